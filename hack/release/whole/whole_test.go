// Package whole makes a release as people do, twice, publishes it to a registry on this machine, and verifies it by the
// commands of docs/release.md and docs/verify.md, as they are printed. It takes minutes and belongs to `make test-all`.
//
// What is released is the commit that is checked out: changes that are in no commit are not tested.
package whole

import (
	"bytes"
	"debug/buildinfo"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	repository = "../../.."
	version    = "0.1.0-rc.1" // as the pages have it
)

// world is where a release is made: a clone, a home folder, and a registry.
type world struct {
	clone, home, out, registry string
	env                        []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	quiet := registry.Logger(log.New(io.Discard, "", 0))
	server := httptest.NewUnstartedServer(registry.New(quiet, registry.WithReferrersSupport(true)))
	server.StartTLS()
	t.Cleanup(server.Close)
	w := &world{home: t.TempDir(), registry: strings.TrimPrefix(server.URL, "https://") + "/team"}
	w.out = filepath.Join(w.home, "release")
	w.clone = clone(t, filepath.Join(t.TempDir(), "one"))

	// Go's programs read the authorities from here: those of the machine, for modules, and that of the registry.
	trusted, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		t.Logf("only the registry is trusted: %v", err)
	}
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	authorities := filepath.Join(w.home, "authorities.pem")
	write(t, authorities, append(trusted, own...))

	programs := filepath.Join(w.home, "bin")
	for _, tool := range []string{"helm", "kustomize"} {
		path := strings.TrimSpace(string(output(t, repository, nil, "hack/tool.sh", tool)))
		if err := os.MkdirAll(programs, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(programs, tool)); err != nil {
			t.Fatal(err)
		}
	}
	w.env = []string{
		"HOME=" + w.home, "REGISTRY=" + w.registry, "KEY_PASSWORD=throw-away", "SSL_CERT_FILE=" + authorities,
		"PATH=" + programs + ":" + os.Getenv("PATH"), "CASTELLAN_CACHE=" + cache(t),
	}
	// The home folder is another one, and what is compiled and downloaded stays where it is.
	for _, variable := range []string{"GOCACHE", "GOMODCACHE", "GOENV"} {
		w.env = append(w.env, variable+"="+strings.TrimSpace(string(output(t, ".", nil, "go", "env", variable))))
	}
	return w
}

func cache(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("CASTELLAN_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "castellan")
}

// clone copies the commit that is checked out.
func clone(t *testing.T, folder string) string {
	t.Helper()
	output(t, repository, nil, "git", "clone", "--quiet", "--no-hardlinks", ".", folder)
	commit := strings.TrimSpace(string(output(t, repository, nil, "git", "rev-parse", "HEAD")))
	output(t, folder, nil, "git", "checkout", "--quiet", "--detach", commit)
	return folder
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// try runs a program and returns all that it says.
func try(t *testing.T, dir string, env []string, program string, args ...string) ([]byte, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	var all, stdout bytes.Buffer
	c.Stdout, c.Stderr = io.MultiWriter(&all, &stdout), &all
	if err := c.Run(); err != nil {
		return all.Bytes(), err
	}
	return stdout.Bytes(), nil
}

func output(t *testing.T, dir string, env []string, program string, args ...string) []byte {
	t.Helper()
	out, err := try(t, dir, env, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

// walk runs the blocks of a page that are fenced with a word, in one shell.
func (w *world) walk(t *testing.T, page, fence, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.clone, "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var script []string
	inside := false
	for line := range strings.SplitSeq(string(text), "\n") {
		switch {
		case line == "```sh "+fence:
			inside = true
		case line == "```":
			inside = false
		case inside:
			script = append(script, line)
		}
	}
	if len(script) == 0 {
		t.Fatalf("%s has no block %q", page, fence)
	}
	out := output(t, dir, w.env, "bash", "-euxo", "pipefail", "-c", strings.Join(script, "\n"))
	t.Logf("%s:\n%s", page, out)
}

func TestAReleaseIsMadePublishedAndVerifiedAsTheDocumentationSays(t *testing.T) {
	w := newWorld(t)
	w.walk(t, "release.md", "release", w.clone)
	t.Run("verified", func(t *testing.T) { w.walk(t, "verify.md", "verify", w.out) })
	t.Run("the image has the binary of its architecture", w.holdsBinaries)
	t.Run("kustomize gives what install.yaml has", func(t *testing.T) {
		folder := "castellan-" + version + "-kustomize/default"
		built := output(t, w.home, w.env, "bash", "-c", `kustomize build "$1"`, "-", folder)
		install := readFile(t, filepath.Join(w.out, "install.yaml"))
		if _, objects, _ := strings.Cut(string(install), "install.yaml\n"); objects != string(built) {
			t.Error("they differ")
		}
	})
	t.Run("the validators of OLM take the bundle, and no broken one", w.validatesBundle)
	t.Run("the checksums, which are signed, have every file", w.coversAll)
	t.Run("what was changed is refused", w.refusesChanges)
	t.Run("what the registry changed is refused", w.refusesTheRegistrys)
	t.Run("another release under the same version is refused", w.refusesAnother)
	t.Run("built again elsewhere", w.buildAgain)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// holdsBinaries pulls the image for each architecture and reads how its binary was built.
func (w *world) holdsBinaries(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", filepath.Join(w.home, "authorities.pem"))
	tag, err := name.NewTag(w.registry + "/castellan:" + version)
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		image, err := remote.Image(tag, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(t.TempDir(), arch)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		content := mutate.Extract(image)
		unpack := exec.CommandContext(t.Context(), "tar", "-x", "-C", folder, "castellan")
		unpack.Stdin = content
		if out, err := unpack.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := content.Close(); err != nil {
			t.Fatal(err)
		}
		info, err := buildinfo.ReadFile(filepath.Join(folder, "castellan"))
		if err != nil {
			t.Fatal(err)
		}
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		if settings["GOARCH"] != arch || settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" {
			t.Errorf("%s: %v", arch, settings)
		}
	}
}

// refusesAnother tries to publish another commit under the same version.
func (w *world) refusesAnother(t *testing.T) {
	next := clone(t, filepath.Join(t.TempDir(), "next"))
	output(t, next, nil, "git", "-c", "user.name=x", "-c", "user.email=x@example.com",
		"commit", "--quiet", "--allow-empty", "-m", "next")
	out, err := try(t, next, w.env, "make", "release", "VERSION=v"+version, "PUSH="+w.registry,
		"KEY="+filepath.Join(w.home, "castellan.key"), "OUT="+filepath.Join(t.TempDir(), "out"))
	if err == nil || !strings.Contains(string(out), "is published already") {
		t.Errorf("%v:\n%s", err, out)
	}
}

// buildAgain makes the same release in another folder, by a user whose machine is set to everything that has changed
// releases elsewhere, and compares every file. What is compiled already is taken from Go's cache, which knows it by its
// inputs; CASTELLAN_RELEASE_GOCACHE names an empty folder to compile all of it once more, which takes long.
func (w *world) buildAgain(t *testing.T) {
	folder := clone(t, filepath.Join(t.TempDir(), "a folder with another name"))
	again := filepath.Join(t.TempDir(), "again")
	home := t.TempDir()
	attributes, goSettings := filepath.Join(home, "attributes"), filepath.Join(home, "go.env")
	write(t, attributes, []byte("*.yaml text eol=crlf\nLICENSE export-ignore\n"))
	write(t, filepath.Join(home, ".gitconfig"), []byte("[core]\n\tautocrlf = true\n\tattributesFile = "+attributes+
		"\n[tar]\n\tumask = 0077\n[log]\n\tshowSignature = true\n"))
	write(t, goSettings, []byte("GOFLAGS=-tags=elsewhere\nGOFIPS140=latest\nGOARM64=v8.2\n"))
	env := append(slices.Clone(w.env), "HOME="+home, "USER=somebody", "LOGNAME=somebody", "GOENV="+goSettings,
		"TZ=Asia/Tokyo", "LC_ALL=C", "GOFLAGS=-tags=other", "GOAMD64=v3",
		"SOURCE_DATE_EPOCH=1", "HELM_DATA_HOME="+home, "TMPDIR="+t.TempDir(), "KEY_PASSWORD=")
	if compiled := os.Getenv("CASTELLAN_RELEASE_GOCACHE"); compiled != "" {
		env = append(env, "GOCACHE="+compiled)
	}
	const build = `umask 077 && make release VERSION="$1" REGISTRY="$REGISTRY" OUT="$2"`
	output(t, folder, env, "bash", "-c", build, "-", "v"+version, again)
	var want []string
	for _, name := range files(t, w.out) {
		if name != "castellan.pub" && name != "SHA256SUMS.sig" {
			want = append(want, name)
		}
	}
	if got := files(t, again); !slices.Equal(got, want) || len(want) < 10 {
		t.Fatalf("there are %v, and there were %v", got, want)
	}
	for _, name := range want {
		if !bytes.Equal(readFile(t, filepath.Join(w.out, name)), readFile(t, filepath.Join(again, name))) {
			t.Errorf("%s differs", name)
		}
	}
	t.Logf("%d files are the same:\n%s", len(want), readFile(t, filepath.Join(again, "SHA256SUMS")))
}
