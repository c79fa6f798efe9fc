package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// released is a repository whose commit can be released as v1.0.0, as far as that is seen without building it.
func released(t *testing.T) string {
	t.Helper()
	folder, git := commits(t)
	put(t, filepath.Join(folder, "CHANGELOG.md"), "# Changelog\n\n## 1.0.0 - 2026-12-01\n\n### Added\n\n- All.\n")
	git("add", ".")
	git("commit", "-q", "-m", "changelog")
	return folder
}

func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/team"
}

func quietRegistry() http.Handler {
	return registry.New(registry.Logger(log.New(io.Discard, "", 0)))
}

// readOnly is a registry whose user may pull alone.
func readOnly() http.Handler {
	all := quietRegistry()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Error(w, `{"errors":[{"code":"DENIED","message":"requested access is denied"}]}`, http.StatusForbidden)
			return
		}
		all.ServeHTTP(w, r)
	})
}

// published is a registry that has the version, made from another commit.
func published(t *testing.T) string {
	t.Helper()
	r := sample(t)
	r.version, r.registry = "1.0.0", serve(t, quietRegistry())
	withImages(t, r)
	if err := r.push(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.registry
}

// gone is a registry at which nothing listens.
func gone() string {
	server := httptest.NewServer(quietRegistry())
	server.Close()
	return strings.TrimPrefix(server.URL, "http://") + "/team"
}

func TestWhatCannotEndWellIsRefusedBeforeItIsBuilt(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv(passwordVariable, "")
	plain, locked := newKey(t, ""), newKey(t, "throw-away")
	other := filepath.Join(t.TempDir(), "ed25519.key")
	out, err := exec.Command("openssl", "genpkey", "-algorithm", "ed25519", "-out", other).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const key = "docs/release.md"
	for _, c := range []struct {
		title      string
		change     func(t *testing.T, folder string)
		push, key  string
		what, cure string
	}{
		{title: "a changed file", change: func(t *testing.T, folder string) {
			put(t, filepath.Join(folder, "a"), "changed")
		}, what: "changes that are in none", cure: "commit or remove them"},
		{title: "a changelog without the version", change: func(t *testing.T, folder string) {
			commitAgain(t, folder, "## Unreleased\n\n- All.\n")
		}, what: "CHANGELOG.md has no section", cure: "give what stands under"},
		{title: "a changelog that says nothing", change: func(t *testing.T, folder string) {
			commitAgain(t, folder, "## 1.0.0\n\n## 0.9.0\n\n- All.\n")
		}, what: "CHANGELOG.md says nothing", cure: "write"},
		{title: "no such key", key: filepath.Join(t.TempDir(), "none"), what: "no file that can be read", cure: key},
		{title: "a key without its password", key: locked, what: "cannot sign", cure: passwordVariable},
		{title: "a key of another kind", key: other, what: "cannot sign", cure: key},
		{title: "a public key", key: publicOf(t, plain), what: "cannot sign", cure: key},
		{title: "a registry that is not there", push: gone(), key: plain, what: "cannot be pushed to", cure: "is PUSH right"},
		{title: "a registry that lets nobody push", push: serve(t, readOnly()), key: plain,
			what: "cannot be pushed to", cure: "login"},
		{title: "a version of another commit", push: published(t), key: plain,
			what: "is published already, from commit cccccccccccc", cure: "release another one"},
	} {
		t.Run(c.title, func(t *testing.T) {
			folder, out := released(t), filepath.Join(t.TempDir(), "out")
			if c.change != nil {
				c.change(t, folder)
			}
			args := []string{"-root", folder, "-version", "v1.0.0", "-out", out, "-key", c.key}
			err := run(t.Context(), append(args, "-push", c.push), io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.what) || !strings.Contains(err.Error(), c.cure) {
				t.Errorf("error %v, want %q and %q", err, c.what, c.cure)
			}
			for _, left := range []string{out, out + ".part"} {
				if _, err := os.Stat(left); err == nil {
					t.Errorf("%s is left", left)
				}
			}
		})
	}
}

// commitAgain commits another changelog.
func commitAgain(t *testing.T, folder, changelog string) {
	t.Helper()
	put(t, filepath.Join(folder, "CHANGELOG.md"), changelog)
	out, err := exec.Command("git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@example.com",
		"commit", "-q", "-a", "-m", "another changelog").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func publicOf(t *testing.T, key string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "public.pem")
	if out, err := exec.Command("openssl", "pkey", "-in", key, "-pubout", "-out", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// A release whose every check passes goes on to the programs that it needs: the repository here has none.
func TestWhatMayEndWellIsBuilt(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv(passwordVariable, "throw-away")
	args := []string{
		"-root", released(t), "-version", "v1.0.0", "-out", filepath.Join(t.TempDir(), "out"),
		"-key", newKey(t, "throw-away"), "-push", serve(t, quietRegistry()),
	}
	if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), "hack/tool.sh") {
		t.Errorf("error %v, want one about hack/tool.sh", err)
	}
}
