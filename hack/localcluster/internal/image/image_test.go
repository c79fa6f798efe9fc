package image

import (
	"archive/tar"
	"context"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

func build(t *testing.T, content, ref string) string {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "program")
	if err := os.WriteFile(binary, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	if err := FromBinary(binary, "castellan", ref, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFromBinaryIsReproducible(t *testing.T) {
	read := func(dir string) string {
		content, err := os.ReadFile(filepath.Join(dir, "index.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	a, b, c := read(build(t, "1", "x:1")), read(build(t, "1", "x:1")), read(build(t, "2", "x:1"))
	if a != b {
		t.Error("the same program makes different images")
	}
	if a == c {
		t.Error("different programs make the same image")
	}
}

func TestFromBinaryContent(t *testing.T) {
	img, ref, err := fromLayout(build(t, "content", "castellan:dev"))
	if err != nil || ref != "castellan:dev" {
		t.Fatal(ref, err)
	}
	config, err := img.ConfigFile()
	if err != nil || config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/castellan" || config.OS != "linux" {
		t.Errorf("%+v %v", config, err)
	}
	content := mutate.Extract(img)
	defer content.Close()
	files := map[string]int64{}
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = h.Mode
	}
	if files["castellan"] != 0o755 || files["tmp"] != 0o1777 || files["etc/passwd"] != 0o644 {
		t.Errorf("%v", files)
	}
}

func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	dir := build(t, "content", "castellan:dev")
	archive := filepath.Join(t.TempDir(), "layout.tar")
	if out, err := exec.Command("tar", "-C", dir, "-cf", archive, ".").CombinedOutput(); err != nil {
		t.Fatal(string(out), err)
	}
	for _, c := range []struct{ path, ref, want string }{
		{dir, "", "docker.io/library/castellan:dev"},
		{dir, "quay.io/a/b:1", "quay.io/a/b:1"},
		{archive, "", "docker.io/library/castellan:dev"},
	} {
		got, err := Push(context.Background(), c.path, c.ref, host)
		if err != nil || got.Ref != c.want {
			t.Errorf("%+v: %+v, %v", c, got, err)
		}
	}
	if _, err := Push(context.Background(), t.TempDir(), "", host); err == nil {
		t.Error("an empty folder is pushed")
	}
	if _, err := layout.FromPath(dir); err != nil {
		t.Error(err)
	}
}

func TestFolder(t *testing.T) {
	got, err := Folder("/images", "apache/kafka:4.3.1")
	if err != nil || got != "/images/apache_kafka_4.3.1" {
		t.Error(got, err)
	}
}
