package whole

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
)

// validatesBundle holds the bundle as it is published to the validators of the Operator Framework, and then without
// what they ask for: a check that takes everything would not be noticed.
func (w *world) validatesBundle(t *testing.T) {
	check := strings.TrimSpace(string(output(t, w.clone, w.env, "hack/tool.sh", "bundle-check")))
	folder := t.TempDir()
	output(t, folder, w.env, "tar", "-xf", filepath.Join(w.out, "castellan-"+version+"-olm-bundle.tar.gz"))
	folder = filepath.Join(folder, "castellan-"+version+"-olm-bundle")
	t.Logf("warnings:\n%s", output(t, folder, w.env, "bash", "-c", `"$1" "$PWD" 2>&1`, "-", check))
	path := filepath.Join(folder, "manifests", "castellan.clusterserviceversion.yaml")
	csv := string(readFile(t, path))
	for line, change := range map[string]string{
		"version: " + version: "version: one", "kind: KafkaTopic": "kind: KafkaTopics",
		"supported: true": "supported: false",
	} {
		if !strings.Contains(csv, line) {
			t.Errorf("the bundle has no %q", line)
		}
		write(t, path, []byte(strings.ReplaceAll(csv, line, change)))
		if out, err := try(t, folder, w.env, check, folder); err == nil {
			t.Errorf("the validators take %q: %s", change, out)
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
	if err == nil || !strings.Contains(string(out), "cmp: ") {
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
