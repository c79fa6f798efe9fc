package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const repository = "../.."

// epoch is some commit's time.
var epoch = time.Date(2026, 11, 30, 3, 10, 27, 0, time.UTC)

// sample is a release of a commit of which nothing is built.
func sample(t *testing.T) *release {
	t.Helper()
	return &release{
		version: "0.1.0-rc.1", commit: strings.Repeat("c", 40), epoch: epoch, registry: "registry.example.com/team",
		source: repository, out: t.TempDir(), work: t.TempDir(), goSDK: "go1.26.8",
		section: "### Added\n\n- KafkaTopic: creation.\n",
		modules: []module{{path: "example.com/m", version: "v1.0.0", license: "MIT"}},
	}
}

func TestWhatIsAskedForIsCheckedBeforeAnythingIsBuilt(t *testing.T) {
	there, free := t.TempDir(), filepath.Join(t.TempDir(), "out")
	const version, badRegistry = "is no version", "is no folder of a registry"
	for _, c := range []struct {
		title, want, version, out string
		args                      []string
	}{
		{"no version", version, "", free, nil},
		{"a version without v", version, "0.1.0", free, nil},
		{"a version with build metadata, which no tag may have", version, "v0.1.0+x", free, nil},
		{"a version of two numbers", version, "v0.1", free, nil},
		{"a leading zero", version, "v0.01.0", free, nil},
		{"a folder that is there", "is there already", "v0.1.0", there, nil},
		{"publishing unsigned", "PUSH needs KEY", "v0.1.0", free, []string{"-push", "registry.example.com/team"}},
		{"a registry with a scheme", badRegistry, "v0.1.0", free, []string{"-registry", "https://r.example/x"}},
		{"a registry without a folder", badRegistry, "v0.1.0", free, []string{"-registry", "r.example"}},
		{"a registry with a tag", badRegistry, "v0.1.0", free, []string{"-registry", "r.example/x:1"}},
		{"a word too many", "what is", "v0.1.0", free, []string{"now"}},
	} {
		t.Run(c.title, func(t *testing.T) {
			err := run(t.Context(), append([]string{"-version", c.version, "-out", c.out}, c.args...), io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if c.want != "what is" && !strings.Contains(err.Error(), ": ") {
				t.Errorf("%v says no cure", err)
			}
		})
	}
	for _, registry := range []string{"r.example.com/a", "localhost:5000/a/b", "127.0.0.1:5000/castellan/"} {
		if _, err := parse([]string{"-version", "v1.2.3-rc.1", "-out", free, "-registry", registry}); err != nil {
			t.Errorf("%s: %v", registry, err)
		}
	}
}

// commits makes a repository with one commit.
func commits(t *testing.T) (string, func(args ...string) string) {
	t.Helper()
	folder := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		own := []string{"-C", folder, "-c", "user.name=x", "-c", "user.email=x@example.com"}
		c := exec.Command("git", append(own, args...)...)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	for name, content := range map[string]string{"a": "1", "bin/run": "2", ".gitignore": "/secret\n"} {
		put(t, filepath.Join(folder, name), content)
	}
	git("add", ".")
	git("commit", "-q", "-m", "first")
	return folder, git
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAReleaseIsMadeFromTheCommitAlone(t *testing.T) {
	folder, git := commits(t)
	put(t, filepath.Join(folder, "secret"), "ignored, and in no release")
	commit, at, err := commitOf(t.Context(), folder, "v1.0.0")
	if err != nil || commit != git("rev-parse", "HEAD") || at.IsZero() || at.Location() != time.UTC {
		t.Fatal(commit, at, err)
	}
	into := filepath.Join(t.TempDir(), "source")
	if err := export(t.Context(), folder, commit, into); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"a": true, "bin/run": true, "secret": false} {
		if _, err := os.Stat(filepath.Join(into, name)); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", name, err, want)
		}
	}
}

// settings makes the file of a user's git settings that the test runs with.
func settings(t *testing.T, content string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gitconfig")
	put(t, path, content)
	t.Setenv("GIT_CONFIG_GLOBAL", path)
}

func TestSettingsOfTheUsersGitChangeNothing(t *testing.T) {
	folder, git := commits(t)
	put(t, filepath.Join(folder, "lines"), "one\ntwo\n")
	git("add", ".")
	git("commit", "-q", "-m", "lines")
	commit, at, err := commitOf(t.Context(), folder, "v1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	attributes := filepath.Join(t.TempDir(), "attributes")
	put(t, attributes, "a export-ignore\nlines text eol=crlf\n")
	settings(t, "[core]\n\tautocrlf = true\n\tattributesFile = "+attributes+"\n[tar]\n\tumask = 0777\n"+
		"[log]\n\tshowSignature = true\n[status]\n\tshowUntrackedFiles = no\n")
	into := filepath.Join(t.TempDir(), "source")
	if err := export(t.Context(), folder, commit, into); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"lines": "one\ntwo\n", "a": "1"} {
		if got, err := os.ReadFile(filepath.Join(into, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(into, "bin", "run")); err != nil || info.Mode().Perm()&0o400 == 0 {
		t.Errorf("bin/run cannot be read: %v %v", info, err)
	}
	if _, again, err := commitOf(t.Context(), folder, "v1.0.0"); err != nil || !again.Equal(at) {
		t.Errorf("the time is %v, and was %v (%v)", again, at, err)
	}
	put(t, filepath.Join(folder, "new"), "in no commit")
	if _, _, err := commitOf(t.Context(), folder, "v1.0.0"); err == nil || !strings.Contains(err.Error(), " new") {
		t.Errorf("error %v names no new file", err)
	}
}

func TestATreeWithChangesIsNotReleased(t *testing.T) {
	for title, change := range map[string]string{"a changed file": "a", "a new file": "b"} {
		t.Run(title, func(t *testing.T) {
			folder, _ := commits(t)
			put(t, filepath.Join(folder, change), "changed")
			if _, _, err := commitOf(t.Context(), folder, "v1.0.0"); err == nil || !strings.Contains(err.Error(), " "+change) {
				t.Errorf("error %v names no file %s", err, change)
			}
		})
	}
}

func TestAVersionIsTheTagOfTheCommitOrOfNone(t *testing.T) {
	folder, git := commits(t)
	git("tag", "v1.0.0")
	if _, _, err := commitOf(t.Context(), folder, "v1.0.0"); err != nil {
		t.Errorf("the tag of this commit: %v", err)
	}
	git("commit", "-q", "--allow-empty", "-m", "second")
	if _, _, err := commitOf(t.Context(), folder, "v1.0.0"); err == nil || !strings.Contains(err.Error(), "tag v1.0.0") {
		t.Errorf("the tag of another commit: %v", err)
	}
}
