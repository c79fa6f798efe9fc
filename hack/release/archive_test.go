package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAnArchiveDependsOnNamesAndContentsAlone(t *testing.T) {
	packed := func(names []string, mode os.FileMode, at time.Time) []byte {
		folder := t.TempDir()
		for _, name := range names {
			path := filepath.Join(folder, name)
			put(t, path, "content of "+name)
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
		r := &release{epoch: epoch, out: t.TempDir()}
		if err := r.writeTree("x.tar.gz", folder, "x"); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(r.out, "x.tar.gz"))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	one := packed([]string{"a", "b/c"}, 0o644, epoch)
	if !bytes.Equal(one, packed([]string{"b/c", "a"}, 0o600, epoch.Add(time.Hour))) {
		t.Error("order, mode or time of files changes the archive")
	}
	if bytes.Equal(one, packed([]string{"a", "b/d"}, 0o644, epoch)) {
		t.Error("another name does not")
	}
}

func TestALinkIsNotPacked(t *testing.T) {
	folder := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	r := &release{epoch: epoch, out: t.TempDir()}
	if err := r.writeTree("x.tar", folder, "x"); err == nil || !strings.Contains(err.Error(), "no plain file") {
		t.Error(err)
	}
}

func TestChecksumsNameEveryFile(t *testing.T) {
	r := sample(t)
	put(t, filepath.Join(r.out, "b"), "")
	put(t, filepath.Join(r.out, "a"), "")
	if err := r.makeChecksums(t.Context()); err != nil {
		t.Fatal(err)
	}
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	got, err := os.ReadFile(filepath.Join(r.out, checksums))
	if err != nil || string(got) != empty+"  a\n"+empty+"  b\n" {
		t.Errorf("%s %v", got, err)
	}
}
