package csi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const defaultSize = 1 << 30

// Volumes is a folder of volumes: ID is the volume's content and ID.size its
// size in bytes. The size is told, not enforced: a folder has no quota. A sized
// volume is a disk instead, and can be full: ID.img is a sparse file with XFS (ext4
// grows only for those who have CAP_SYS_RESOURCE, which root in a virtual machine may lack). ID.largest, where there is
// one, is the size in bytes beyond which the volume does not grow.
type Volumes struct{ root string }

// image is the suffix of a sized volume's file.
const image = ".img"

// largestSuffix is that of the file that says how far a volume grows.
const largestSuffix = ".largest"

func (v Volumes) path(id string) (string, error) {
	if id == "" || id != filepath.Base(id) || strings.HasPrefix(id, ".") {
		return "", status.Errorf(codes.InvalidArgument, "bad volume id %q", id)
	}
	return filepath.Join(v.root, id), nil
}

// existing is the folder or, of a sized volume, the file of a volume that must
// be there.
func (v Volumes) existing(id string) (path string, sized bool, err error) {
	path, err = v.path(id)
	if err != nil {
		return "", false, err
	}
	if _, err := os.Stat(path + image); err == nil {
		return path + image, true, nil
	}
	if _, err := os.Stat(path); err != nil {
		return "", false, status.Errorf(codes.NotFound, "volume %s: %v", id, err)
	}
	return path, false, nil
}

// Create makes a volume and returns its size in bytes; one that exists is kept.
func (v Volumes) Create(id string, size int64, sized bool) (int64, error) {
	path, err := v.path(id)
	if err != nil {
		return 0, err
	}
	if size == 0 {
		size = defaultSize
	}
	if have := v.size(id); have > 0 {
		if have < size {
			return 0, status.Errorf(codes.AlreadyExists, "volume %s has another size", id)
		}
		return have, nil
	}
	if sized {
		err = makeDisk(path+image, size)
	} else if err = os.MkdirAll(path, 0o755); err == nil {
		err = os.Chmod(path, 0o777)
	}
	if err != nil {
		return 0, err
	}
	return size, v.setSize(id, size)
}

// smallestDisk is what mkfs.xfs takes.
const smallestDisk = 300 << 20

func makeDisk(path string, size int64) error {
	if size < smallestDisk {
		return status.Errorf(codes.OutOfRange, "a disk of %d bytes is too small: XFS wants %d", size, smallestDisk)
	}
	err := os.WriteFile(path, nil, 0o600)
	if err == nil {
		err = os.Truncate(path, size)
	}
	if err != nil {
		return err
	}
	return run("mkfs.xfs", "-q", "-f", path)
}

// run is for the programs of xfsprogs and util-linux; its error has their words.
func run(program string, args ...string) error {
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Bound lets a volume grow to so many bytes at most; 0 = as far as anybody likes.
func (v Volumes) Bound(id string, largest int64) error {
	if largest == 0 {
		return nil
	}
	return os.WriteFile(filepath.Join(v.root, id+largestSuffix), []byte(strconv.FormatInt(largest, 10)), 0o644)
}

// Grow gives a volume a new size and returns whether its file system must
// follow on its node.
func (v Volumes) Grow(id string, size int64) (onNode bool, err error) {
	path, sized, err := v.existing(id)
	if largest := v.number(id + largestSuffix); err == nil && largest > 0 && size > largest {
		return false, status.Errorf(codes.OutOfRange, "a disk of its class has at most %d bytes", largest)
	}
	if err == nil && sized {
		err = os.Truncate(path, size)
	}
	if err != nil {
		return false, err
	}
	return sized, v.setSize(id, size)
}

// Remove deletes a volume, if it is there.
func (v Volumes) Remove(id string) error {
	path, err := v.path(id)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	for _, file := range []string{path + image, path + ".size", path + largestSuffix} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (v Volumes) size(id string) int64 { return v.number(id + ".size") }

// number is what stands in a file of the folder; 0 = there is none.
func (v Volumes) number(file string) int64 {
	b, err := os.ReadFile(filepath.Join(v.root, file))
	if err != nil {
		return 0
	}
	number, _ := strconv.ParseInt(string(b), 10, 64)
	return number
}

func (v Volumes) setSize(id string, size int64) error {
	return os.WriteFile(filepath.Join(v.root, id+".size"), []byte(strconv.FormatInt(size, 10)), 0o644)
}

// used is the sum of the file sizes below path.
func used(path string) int64 {
	var sum int64
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // files may vanish while we count
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
