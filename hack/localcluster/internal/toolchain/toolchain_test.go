package toolchain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// TestPins keeps the versions here and in go.mod the same.
func TestPins(t *testing.T) {
	content, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"k8s.io/kubernetes " + Kubernetes + "\n",
		"k8s.io/client-go " + strings.Replace(Kubernetes, "v1.", "v0.", 1) + "\n",
	} {
		if !strings.Contains(string(content), want) {
			t.Errorf("go.mod has no %q", want)
		}
	}
}

func TestKey(t *testing.T) {
	key := func(files map[string]string, change func(*recipe)) string {
		sources := fstest.MapFS{}
		for path, content := range files {
			sources[path] = &fstest.MapFile{Data: []byte(content)}
		}
		r := recipe{name: "x", packages: []string{"./a"}, sources: []string{"a"}}
		if change != nil {
			change(&r)
		}
		k, err := Builder{Sources: sources}.key(r)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	base := key(map[string]string{"a/x.go": "1", "b/y.go": "1"}, nil)
	if got := key(map[string]string{"a/x.go": "1", "b/y.go": "2"}, nil); got != base {
		t.Error("the key changes with a file that does not count")
	}
	for name, got := range map[string]string{
		"content": key(map[string]string{"a/x.go": "2"}, nil),
		"name":    key(map[string]string{"a/z.go": "1"}, nil),
		"flags":   key(map[string]string{"a/x.go": "1"}, func(r *recipe) { r.flags = []string{"-s"} }),
		"cgo":     key(map[string]string{"a/x.go": "1"}, func(r *recipe) { r.cgo = true }),
	} {
		if got == base {
			t.Errorf("the key does not change with the %s", name)
		}
	}
}

func TestMissing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "header")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got := missing([]Need{
		{Command: "sh", Package: "dash"}, {File: file, Package: "header"},
		{Command: "no-such-command", Package: "z"}, {File: file + "2", Package: "b"}, {Command: "nor-this", Package: "z"},
	})
	if strings.Join(got, " ") != "b z" {
		t.Error(got)
	}
}
