package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// archive writes tar files in which nothing depends on the machine or the hour: every entry has the commit's time and
// no owner's name, and folders are read in the order of their names.
type archive struct {
	tar   *tar.Writer
	epoch time.Time
}

func newArchive(w io.Writer, epoch time.Time) archive {
	return archive{tar: tar.NewWriter(w), epoch: epoch}
}

func (a archive) folder(name string, mode int64, owner int) error {
	return a.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, Uid: owner, Gid: owner, ModTime: a.epoch,
	})
}

func (a archive) file(name string, mode int64, content []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: a.epoch}
	if err := a.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

// tree writes the files below a folder under another name.
func (a archive) tree(folder, name string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%s is no plain file", path)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		return a.file(filepath.ToSlash(filepath.Join(name, below)), 0o644, content)
	})
}

func (a archive) close() error { return a.tar.Close() }

// tarred is an archive as bytes.
func tarred(epoch time.Time, fill func(archive) error) ([]byte, error) {
	var b bytes.Buffer
	a := newArchive(&b, epoch)
	err := errors.Join(fill(a), a.close())
	return b.Bytes(), err
}

// gzipped compresses as the Go that runs does, without a name and a time in the header.
func gzipped(content []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(content)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// writeTree puts a folder into the release as a tar file, compressed if its name says so. Its entries begin with
// prefix.
func (r *release) writeTree(name, folder, prefix string) error {
	content, err := tarred(r.epoch, func(a archive) error { return a.tree(folder, prefix) })
	if err == nil && strings.HasSuffix(name, "gz") {
		content, err = gzipped(content)
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return r.write(name, content)
}

// measure returns the size and the SHA-256 of a file.
func measure(path string) (int64, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return 0, "", fmt.Errorf("read %s: %w", path, err)
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}

// files are the names of what was made, sorted.
func (r *release) files() ([]string, error) {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return nil, fmt.Errorf("list the release: %w", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}

const checksums = "SHA256SUMS"

// makeChecksums writes the checksums of everything before it, as sha256sum reads them.
func (r *release) makeChecksums(context.Context) error {
	files, err := r.files()
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, name := range files {
		_, digest, err := measure(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", digest, name)
	}
	return r.write(checksums, []byte(b.String()))
}
