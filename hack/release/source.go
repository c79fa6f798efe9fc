package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// command runs a program and returns what it prints; what it says of an error is in the error. Entries of env take the
// place of those of this process.
func command(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		said := strings.TrimSpace(stderr.String() + string(out))
		return nil, fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, said)
	}
	return out, nil
}

// commitOf returns the commit that is checked out and its time. It refuses a tree with changes, which no commit tells
// of, and a version that is the tag of another commit.
func commitOf(ctx context.Context, root, version string) (string, time.Time, error) {
	git := func(args ...string) (string, error) {
		out, err := command(ctx, root, nil, "git", args...)
		return strings.TrimSpace(string(out)), err
	}
	// What a user's git is set to may hide new files, and put a commit's signature before its time.
	changes, err := git("status", "--porcelain", "--untracked-files=normal")
	if err != nil {
		return "", time.Time{}, err
	}
	if changes != "" {
		return "", time.Time{}, fmt.Errorf(
			"a release is made from a commit, and these files have changes that are in none: commit or remove them\n%s", changes)
	}
	commit, err := git("rev-parse", "HEAD")
	if err != nil {
		return "", time.Time{}, err
	}
	tagged, err := git("rev-parse", "--quiet", "--verify", "refs/tags/"+version+"^{commit}")
	if err == nil && tagged != commit {
		return "", time.Time{}, fmt.Errorf("the tag %s is of commit %.12s, and %.12s is checked out: "+
			"check out the tag, or release another version", version, tagged, commit)
	}
	seconds, err := git("log", "-1", "--no-show-signature", "--format=%ct")
	if err != nil {
		return "", time.Time{}, err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("time of commit %s: %w", commit, err)
	}
	return commit, time.Unix(unix, 0).UTC(), nil
}

// export writes the files of a commit to a folder: nothing that git ignores can get into a release. The bytes are those
// of the commit, although git would write other ends of lines where a user's settings ask for them.
func export(ctx context.Context, root, commit, folder string) error {
	archive, err := command(ctx, root, []string{"GIT_ATTR_NOSYSTEM=1"}, "git", "-c", "core.autocrlf=false",
		"-c", "core.eol=lf", "-c", "core.attributesFile=/dev/null", "-c", "tar.umask=0022",
		"archive", "--format=tar", commit)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	into, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer into.Close()
	for entries := tar.NewReader(bytes.NewReader(archive)); ; {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = extract(into, entry, entries)
		}
		if err != nil {
			return fmt.Errorf("export commit %s: %w", commit, err)
		}
	}
}

func extract(into *os.Root, entry *tar.Header, content io.Reader) error {
	name := filepath.Clean(entry.Name)
	switch entry.Typeflag {
	case tar.TypeDir:
		return into.MkdirAll(name, 0o755)
	case tar.TypeReg:
		if err := into.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		file, err := into.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, os.FileMode(entry.Mode).Perm())
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		return errors.Join(err, file.Close())
	case tar.TypeSymlink:
		return into.Symlink(entry.Linkname, name)
	}
	return nil // a comment with the commit
}
