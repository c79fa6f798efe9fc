// Package whole makes a release as people do, twice, publishes it to a registry on this machine, and verifies it by the
// commands of docs/release.md and docs/verify.md, as they are printed. It takes minutes and belongs to `make test-all`.
//
// What is released is the commit that is checked out: changes that are in no commit are not tested.
package whole

import (
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"encoding/json"
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
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
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
		built := output(t, w.home, w.env, "kustomize", "build", "castellan-"+version+"-kustomize/default")
		install := readFile(t, filepath.Join(w.out, "install.yaml"))
		if _, objects, _ := strings.Cut(string(install), "install.yaml\n"); objects != string(built) {
			t.Error("they differ")
		}
	})
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

// sums and signed are the commands of docs/verify.md; walk has run them as they are printed.
const (
	sums   = "sha256sum --check --ignore-missing SHA256SUMS"
	signed = "base64 -d SHA256SUMS.sig >SHA256SUMS.raw && " +
		"openssl dgst -sha256 -verify castellan.pub -signature SHA256SUMS.raw SHA256SUMS"
)

// notSummed are the files that no checksum can have.
var notSummed = []string{"SHA256SUMS", "SHA256SUMS.sig", "castellan.pub"}

// files are the names of what was made.
func files(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "SHA256SUMS.raw" { // left by the commands of docs/verify.md
			names = append(names, e.Name())
		}
	}
	return names
}

// coversAll holds that the signature reaches every file, and that nothing that the page lists is missing.
func (w *world) coversAll(t *testing.T) {
	var summed []string
	for line := range strings.Lines(string(readFile(t, filepath.Join(w.out, "SHA256SUMS")))) {
		summed = append(summed, strings.Fields(line)[1])
	}
	covered := append(slices.Clone(notSummed), summed...)
	slices.Sort(covered)
	if made := files(t, w.out); !slices.Equal(covered, made) {
		t.Errorf("checksums cover %v, and there are %v", covered, made)
	}
	page := string(readFile(t, filepath.Join(w.clone, "docs", "release.md")))
	for _, name := range covered {
		if listed := "`" + strings.Replace(name, version, "0.1.0", 1) + "`"; !strings.Contains(page, listed) {
			t.Errorf("docs/release.md does not list %s", listed)
		}
	}
}

// refusesChanges holds that verification fails where it should: for any file, and for other checksums, another
// signature and another key, of which one byte is different.
func (w *world) refusesChanges(t *testing.T) {
	other := t.TempDir()
	names := files(t, w.out)
	for _, name := range names {
		write(t, filepath.Join(other, name), readFile(t, filepath.Join(w.out, name)))
	}
	for _, check := range []string{sums, signed} {
		output(t, other, w.env, "bash", "-c", check)
	}
	for _, name := range names {
		check := sums
		if slices.Contains(notSummed, name) {
			check = signed
		}
		path, content := filepath.Join(other, name), readFile(t, filepath.Join(w.out, name))
		changed := bytes.Clone(content)
		changed[len(changed)/2] ^= 1
		write(t, path, changed)
		if out, err := try(t, other, w.env, "bash", "-c", check); err == nil {
			t.Errorf("%s was changed, and this is content: %s\n%s", name, check, out)
		}
		write(t, path, content)
	}
	for _, check := range []string{sums, signed} {
		output(t, other, w.env, "bash", "-c", check)
	}
}

// refusesTheRegistrys puts another chart and another image under the version into the registry: the page's commands
// refuse the chart, and the chart that was verified goes on naming the image that was released.
func (w *world) refusesTheRegistrys(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", filepath.Join(w.home, "authorities.pem"))
	pinned := digestOf(t, w.registry+"/castellan:"+version)
	install := string(readFile(t, filepath.Join(w.out, "install.yaml")))
	if !strings.Contains(install, w.registry+"/castellan@"+pinned) {
		t.Errorf("install.yaml does not name %s", pinned)
	}
	for _, repository := range []string{"charts/castellan", "castellan"} {
		tag, err := name.NewTag(w.registry + "/" + repository + ":" + version)
		if err != nil {
			t.Fatal(err)
		}
		there, err := remote.Get(tag)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := remote.Put(tag, there); err != nil {
				t.Error(err)
			}
		})
	}
	altered, err := name.NewTag(w.registry + "/charts/castellan:" + version)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(altered, otherChart(t, altered)); err != nil {
		t.Fatal(err)
	}
	image, err := name.NewTag(w.registry + "/castellan:" + version)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(image, empty.Index); err != nil {
		t.Fatal(err)
	}
	pulled := t.TempDir()
	check := `helm pull "oci://$REGISTRY/charts/castellan" --version "$1" --destination "$2" && ` +
		`cmp "$2/castellan-$1.tgz" "castellan-$1.tgz"`
	out, err := try(t, w.out, w.env, "bash", "-c", check, "-", version, pulled)
	if err == nil || !strings.Contains(string(out), "differ") {
		t.Errorf("another chart is content: %v\n%s", err, out)
	}
	if got := digestOf(t, w.registry+"/castellan@"+pinned); got != pinned {
		t.Errorf("the pinned image is %s, not %s", got, pinned)
	}
}

// otherChart is the chart that a tag names, with a byte of a comment more.
func otherChart(t *testing.T, tag name.Tag) v1.Image {
	t.Helper()
	chart, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := chart.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(layers, err)
	}
	packed, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	content, err := io.ReadAll(packed)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := layers[0].MediaType()
	if err != nil {
		t.Fatal(err)
	}
	// A second, empty member of the gzip stream: the same chart in other bytes.
	var more bytes.Buffer
	if err := gzip.NewWriter(&more).Close(); err != nil {
		t.Fatal(err)
	}
	return altered{chart, static.NewLayer(append(content, more.Bytes()...), kind)}
}

// altered is a chart in a registry with another layer.
type altered struct {
	v1.Image
	layer v1.Layer
}

func (a altered) Layers() ([]v1.Layer, error) { return []v1.Layer{a.layer}, nil }

func (a altered) Manifest() (*v1.Manifest, error) {
	m, err := a.Image.Manifest()
	if err != nil {
		return nil, err
	}
	m = m.DeepCopy()
	if m.Layers[0].Digest, err = a.layer.Digest(); err != nil {
		return nil, err
	}
	m.Layers[0].Size, err = a.layer.Size()
	return m, err
}

func (a altered) RawManifest() ([]byte, error) {
	m, err := a.Manifest()
	if err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

func (a altered) Digest() (v1.Hash, error) { return partial.Digest(a) }
func (a altered) Size() (int64, error)     { return partial.Size(a) }

func (a altered) LayerByDigest(digest v1.Hash) (v1.Layer, error) {
	if own, err := a.layer.Digest(); err != nil || own == digest {
		return a.layer, err
	}
	return a.Image.LayerByDigest(digest)
}

func digestOf(t *testing.T, reference string) string {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	there, err := remote.Head(ref)
	if err != nil {
		t.Fatal(err)
	}
	return there.Digest.String()
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
// releases elsewhere, with nothing compiled before, and compares every file.
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
		"GOCACHE="+t.TempDir(), "TZ=Asia/Tokyo", "LC_ALL=tr_TR.UTF-8", "GOFLAGS=-tags=other", "GOAMD64=v3",
		"SOURCE_DATE_EPOCH=1", "HELM_DATA_HOME="+home, "KEY_PASSWORD=")
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
