package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// signer is a program in the place of cosign that writes down how it is called; the real one is used in ./whole.
func signer(t *testing.T, r *release) func() string {
	t.Helper()
	calls := filepath.Join(t.TempDir(), "calls")
	r.tools.cosign = filepath.Join(t.TempDir(), "cosign")
	if err := os.WriteFile(r.tools.cosign, []byte("#!/bin/sh\necho \"$@\" >>'"+calls+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return func() string {
		content, err := os.ReadFile(calls)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
}

func TestAPublishedVersionNeverChanges(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	r := sample(t)
	r.registry = strings.TrimPrefix(server.URL, "http://") + "/team"
	withImages(t, r)
	calls := signer(t, r)
	if err := r.push(t.Context(), "env://KEY"); err != nil {
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
		if !strings.Contains(calls(), "sign --recursive "+ref.repository+"@"+ref.digest.String()) {
			t.Errorf("%s is not signed by its digest:\n%s", ref.tagged, calls())
		}
	}
	if err := r.push(t.Context(), "env://KEY"); err != nil {
		t.Errorf("the same once more: %v", err)
	}
	r.commit = strings.Repeat("d", 40)
	withImages(t, r)
	if err := r.push(t.Context(), "env://KEY"); err == nil || !strings.Contains(err.Error(), "is published already") {
		t.Errorf("another one under the same version: %v", err)
	}
}

func TestARegistryThatDoesNotAnswerIsNoFreeTag(t *testing.T) {
	server := httptest.NewServer(registry.New())
	server.Close()
	r := sample(t)
	r.registry = strings.TrimPrefix(server.URL, "http://") + "/team"
	withImages(t, r)
	if err := r.push(t.Context(), "env://KEY"); err == nil || !strings.Contains(err.Error(), "look whether") {
		t.Error(err)
	}
}
