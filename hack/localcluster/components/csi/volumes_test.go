package csi

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestVolumes(t *testing.T) {
	v := Volumes{t.TempDir()}
	for range 2 { // a second request for the same volume gets the first one
		if size, err := v.Create("pvc-1", 100, false); err != nil || size != 100 {
			t.Fatal(size, err)
		}
	}
	if _, err := v.Create("pvc-1", 200, false); err == nil {
		t.Error("a volume of another size is taken for the same")
	}
	if size, err := v.Create("pvc-2", 0, false); err != nil || size != defaultSize {
		t.Error(size, err)
	}
	path, _, err := v.existing("pvc-1")
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
	if _, _, err := v.existing("pvc-1"); err == nil {
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

// A disk's file is as long as asked for, grows with the volume and goes with it.
func TestSizedVolumes(t *testing.T) {
	if _, err := exec.LookPath("mkfs.xfs"); err != nil {
		t.Skip("no mkfs.xfs on this machine: `localcluster up` installs it")
	}
	v := Volumes{t.TempDir()}
	if _, err := v.Create("pvc-1", smallestDisk-1, true); err == nil {
		t.Error("a disk that XFS cannot be made on is accepted")
	}
	if _, err := v.Create("pvc-1", smallestDisk, true); err != nil {
		t.Fatal(err)
	}
	path, sized, err := v.existing("pvc-1")
	if err != nil || !sized {
		t.Fatal(sized, err)
	}
	if onNode, err := v.Grow("pvc-1", 2*smallestDisk); err != nil || !onNode {
		t.Error(onNode, err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 2*smallestDisk || v.size("pvc-1") != 2*smallestDisk {
		t.Error(info, err)
	}
	if err := v.Bound("pvc-1", 3*smallestDisk); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Grow("pvc-1", 3*smallestDisk+1); status.Code(err) != codes.OutOfRange {
		t.Error("it grows beyond the bound of its class:", err)
	}
	if _, err := v.Grow("pvc-1", 3*smallestDisk); err != nil {
		t.Error(err)
	}
	if err := v.Remove("pvc-1"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(v.root); err != nil || len(left) != 0 {
		t.Error("something is left:", left, err)
	}
}
