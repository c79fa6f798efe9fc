package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// crd is what is read of a definition.
type crd struct {
	Metadata struct{ Name string }
	Spec     struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct{ Name string }
	}
}

func definitions(t *testing.T) []crd {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(repository, "config", "crd", "bases", "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no definitions", err)
	}
	var all []crd
	for _, path := range paths {
		var c crd
		read(t, path, &c)
		all = append(all, c)
	}
	return all
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestArtifactHubShowsEveryKindAsItIs(t *testing.T) {
	chart, err := readChart(filepath.Join(repository, "charts", product))
	if err != nil {
		t.Fatal(err)
	}
	var shown []struct{ Kind, Version, Name, DisplayName, Description string }
	if err := yaml.UnmarshalStrict([]byte(chart.Annotations["artifacthub.io/crds"]), &shown); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, s := range shown {
		got = append(got, s.Kind+" "+s.Version+" "+s.Name)
		if s.DisplayName == "" || s.Description == "" {
			t.Errorf("%s is shown without words", s.Kind)
		}
	}
	var examples []struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal([]byte(chart.Annotations["artifacthub.io/crdsExamples"]), &examples); err != nil {
		t.Fatal(err)
	}
	for _, d := range definitions(t) {
		version := d.Spec.Versions[len(d.Spec.Versions)-1].Name
		want = append(want, d.Spec.Names.Kind+" "+version+" "+d.Metadata.Name)
		if !slices.Contains(examples, struct{ APIVersion, Kind string }{d.Spec.Group + "/" + version, d.Spec.Names.Kind}) {
			t.Errorf("%s has no example", d.Spec.Names.Kind)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("shown %v, there are %v", got, want)
	}
	var links []struct{ Name, URL string }
	err = yaml.UnmarshalStrict([]byte(chart.Annotations["artifacthub.io/links"]), &links)
	if err != nil || len(links) < 2 {
		t.Errorf("links %v %v", links, err)
	}
	for name, want := range map[string]string{"license": "Apache-2.0", "operator": "true"} {
		if got := chart.Annotations["artifacthub.io/"+name]; got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestTheReleasedChartNamesTheReleasedImage(t *testing.T) {
	r := sample(t)
	withImages(t, r)
	if err := r.prepareChart(); err != nil {
		t.Fatal(err)
	}
	digest, err := r.image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Image struct{ Repository, Digest string }
	}
	read(t, filepath.Join(r.chartFolder(), "values.yaml"), &values)
	if values.Image.Repository != "registry.example.com/team/castellan" || values.Image.Digest != digest.String() {
		t.Errorf("%+v", values)
	}
	chart, err := readChart(r.chartFolder())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"artifacthub.io/images": r.repository() + "@" + digest.String(), "artifacthub.io/prerelease": "true",
		"artifacthub.io/changes": "KafkaTopic", "artifacthub.io/crds": "KafkaUser",
	} {
		if !strings.Contains(chart.Annotations[name], want) {
			t.Errorf("%s: %s", name, chart.Annotations[name])
		}
	}
	info, err := os.Stat(filepath.Join(r.chartFolder(), "templates", "deployment.yaml"))
	if err != nil || !info.ModTime().Equal(epoch) {
		t.Errorf("the time of a template is %v (%v)", info.ModTime(), err)
	}
}

func TestAPlaceToReplaceIsThereOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for content, ok := range map[string]bool{"a b": true, "b": false, "a a": false} {
		put(t, path, content)
		if err := replaceOnce(path, "a", "c"); (err == nil) != ok {
			t.Errorf("%q: %v", content, err)
		}
	}
}
