package registry

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestManifestsOutliveTheProcess pushes an image and reads it from a second
// registry on the same folder.
func TestManifestsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	img, err := random.Image(100, 2)
	if err != nil {
		t.Fatal(err)
	}
	serve := func(use func(ref name.Reference)) {
		h, err := newHandler(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(h)
		defer s.Close()
		ref, err := name.ParseReference(strings.TrimPrefix(s.URL, "http://")+"/a/b:1", name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		use(ref)
	}
	serve(func(ref name.Reference) {
		if err := remote.Write(ref, img); err != nil {
			t.Fatal(err)
		}
	})
	serve(func(ref name.Reference) {
		got, err := remote.Image(ref)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := got.Layers()
		if err != nil || len(layers) != 2 {
			t.Fatal(layers, err)
		}
		if content, err := layers[0].Compressed(); err != nil {
			t.Error(err)
		} else if err := content.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestBlobsOfLayouts(t *testing.T) {
	dir, layouts := t.TempDir(), t.TempDir()
	hash, size, err := v1.SHA256(strings.NewReader("blob"))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(layouts, "some_image", "blobs", "sha256")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, hash.Hex), []byte("blob"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := &blobs{own: dir, layouts: layouts}
	if got, err := b.Stat(context.Background(), "", hash); err != nil || got != size {
		t.Error(got, err)
	}
	if _, err := (&blobs{own: dir}).Stat(context.Background(), "", hash); err == nil {
		t.Error("a blob that is not there")
	}
}

func TestRefusedManifestsAreNotKept(t *testing.T) {
	dir := t.TempDir()
	h, err := newHandler(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	index := `{"schemaVersion":2,"manifests":[{"digest":"sha256:` + strings.Repeat("0", 64) + `","mediaType":"application/vnd.oci.image.manifest.v1+json"}]}`
	req := httptest.NewRequest(http.MethodPut, "/v2/a/manifests/1", strings.NewReader(index))
	req.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	kept, err := os.ReadDir(filepath.Join(dir, "manifests"))
	if err != nil || w.Code/100 == 2 || len(kept) != 0 {
		t.Errorf("status %d, kept %v, %v", w.Code, kept, err)
	}
}
