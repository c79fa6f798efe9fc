package csi

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const defaultSize = 1 << 30

// Volumes is a folder of volumes: ID is the volume's content and ID.size its
// size in bytes. The size is told, not enforced: a folder has no quota.
type Volumes struct{ root string }

func (v Volumes) path(id string) (string, error) {
	if id == "" || id != filepath.Base(id) || strings.HasPrefix(id, ".") {
		return "", status.Errorf(codes.InvalidArgument, "bad volume id %q", id)
	}
	return filepath.Join(v.root, id), nil
}

// existing is path for a volume that must be there.
func (v Volumes) existing(id string) (string, error) {
	path, err := v.path(id)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", status.Errorf(codes.NotFound, "volume %s: %v", id, err)
	}
	return path, nil
}

// Create makes a volume and returns its size; one that exists is kept.
func (v Volumes) Create(id string, size int64) (int64, error) {
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
	if err := os.MkdirAll(path, 0o755); err != nil {
		return 0, err
	}
	if err := os.Chmod(path, 0o777); err != nil {
		return 0, err
	}
	return size, v.setSize(id, size)
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
	if err := os.Remove(path + ".size"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (v Volumes) size(id string) int64 {
	b, err := os.ReadFile(filepath.Join(v.root, id+".size"))
	if err != nil {
		return 0
	}
	size, _ := strconv.ParseInt(string(b), 10, 64)
	return size
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
