package main

import (
	"archive/tar"
	"encoding/pem"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// withImages fills in an image, a chart and a bundle that hold nothing of use.
func withImages(t *testing.T, r *release) {
	t.Helper()
	base, err := layerOf(r.epoch, r.base)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(r.work, "binary")
	put(t, binary, "program")
	image, err := r.imageFor("arm64", base, binary)
	if err != nil {
		t.Fatal(err)
	}
	r.image = mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}},
	})
	r.bundle = image
	r.chart, err = newArtifact([]byte(`{}`), chartConfigType, []byte("chart"), chartLayerType, r.labels(product))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.makeHub(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTheImageHoldsTheProgramItsLicencesAndAuthorities(t *testing.T) {
	r := sample(t)
	r.modules[0].texts = []text{{"LICENSE", []byte("of m")}}
	withImages(t, r)
	config, err := r.bundle.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "arm64" || config.OS != "linux" || config.Config.User != "65532:65532" ||
		!slices.Equal(config.Config.Entrypoint, []string{"/castellan"}) || !config.Created.Equal(epoch) {
		t.Errorf("%+v", config)
	}
	labels := config.Config.Labels
	if labels["org.opencontainers.image.version"] != r.version || labels[revisionLabel] != r.commit {
		t.Errorf("%v", labels)
	}
	modes := map[string]int64{}
	content := mutate.Extract(r.bundle)
	defer content.Close()
	for entries := tar.NewReader(content); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(epoch) {
			t.Errorf("%s has the time %s", h.Name, h.ModTime)
		}
		modes[strings.TrimSuffix(h.Name, "/")] = h.Mode
	}
	for name, mode := range map[string]int64{
		"castellan": 0o755, "tmp": 0o1777, "etc/passwd": 0o644, authorities: 0o644, "licenses/LICENSE": 0o644,
		"licenses/example.com/m/LICENSE": 0o644,
	} {
		if got, ok := modes[name]; !ok || got != mode {
			t.Errorf("%s: there %v, mode %o, want %o", name, ok, got, mode)
		}
	}
}

func TestAuthoritiesAreMany(t *testing.T) {
	n := 0
	for block, rest := pem.Decode(roots()); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	if n < 100 {
		t.Errorf("%d authorities", n)
	}
}

func TestTheSameInputMakesTheSameImages(t *testing.T) {
	digests := func() []v1.Hash {
		r := sample(t)
		withImages(t, r)
		refs, err := r.references()
		if err != nil {
			t.Fatal(err)
		}
		var all []v1.Hash
		for _, ref := range refs {
			all = append(all, ref.digest)
		}
		return all
	}
	if a, b := digests(), digests(); !slices.Equal(a, b) {
		t.Errorf("%v\n%v", a, b)
	}
}
