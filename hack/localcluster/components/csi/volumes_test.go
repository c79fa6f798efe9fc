package csi

import (
	"os"
	"path/filepath"
	"testing"
)

func TestVolumes(t *testing.T) {
	v := Volumes{t.TempDir()}
	for range 2 { // a second request for the same volume gets the first one
		if size, err := v.Create("pvc-1", 100); err != nil || size != 100 {
			t.Fatal(size, err)
		}
	}
	if _, err := v.Create("pvc-1", 200); err == nil {
		t.Error("a volume of another size is taken for the same")
	}
	if size, err := v.Create("pvc-2", 0); err != nil || size != defaultSize {
		t.Error(size, err)
	}
	path, err := v.existing("pvc-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "f"), []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := used(path); got != 5 {
		t.Error(got)
	}
	if err := v.setSize("pvc-1", 300); err != nil || v.size("pvc-1") != 300 {
		t.Error(v.size("pvc-1"), err)
	}
	for range 2 {
		if err := v.Remove("pvc-1"); err != nil {
			t.Error(err)
		}
	}
	if _, err := v.existing("pvc-1"); err == nil {
		t.Error("it is still there")
	}
}

func TestVolumeIDs(t *testing.T) {
	v := Volumes{t.TempDir()}
	for _, id := range []string{"", ".", "..", "../x", "a/b", "/etc", ".hidden"} {
		if _, err := v.path(id); err == nil {
			t.Errorf("id %q is accepted", id)
		}
	}
}
