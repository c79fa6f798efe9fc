package main

import (
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestAPublishedVersionNeverChanges(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	r := sample(t)
	r.registry = strings.TrimPrefix(server.URL, "http://") + "/team"
	withImages(t, r)
	if err := r.push(t.Context()); err != nil {
		t.Fatal(err)
	}
	refs, err := r.references()
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		tag, err := name.NewTag(ref.tagged)
		if err != nil {
			t.Fatal(err)
		}
		there, err := remote.Get(tag)
		if err != nil || there.Digest != ref.digest {
			t.Errorf("%s: %v", ref.tagged, err)
		}
	}
	if err := r.push(t.Context()); err != nil {
		t.Errorf("the same once more: %v", err)
	}
	r.commit = strings.Repeat("d", 40)
	withImages(t, r)
	if err := r.push(t.Context()); err == nil || !strings.Contains(err.Error(), "is published already") {
		t.Errorf("another one under the same version: %v", err)
	}
}

func TestARegistryThatDoesNotAnswerIsNoFreeTag(t *testing.T) {
	server := httptest.NewServer(registry.New())
	server.Close()
	r := sample(t)
	r.registry = strings.TrimPrefix(server.URL, "http://") + "/team"
	withImages(t, r)
	if err := r.push(t.Context()); err == nil || !strings.Contains(err.Error(), "look whether") {
		t.Error(err)
	}
}
