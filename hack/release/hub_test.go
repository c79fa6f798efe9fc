package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"sigs.k8s.io/yaml"
)

// hubRules are what Artifact Hub takes for each annotation of a chart:
// https://artifacthub.io/docs/topics/annotations/helm. It ignores a name and a category that it does not know, and does
// not show a version whose changes it cannot read (kubernetes/ingress-nginx#8197).
var hubRules = map[string]func(string) bool{
	"category": oneOf("ai-machine-learning", "database", "integration-delivery", "monitoring-logging", "networking",
		"security", "storage", "streaming-messaging", "skip-prediction"),
	"changes": each(func(c change) bool {
		return c.Description != "" &&
			oneOf("added", "changed", "deprecated", "removed", "fixed", "security")(c.Kind)
	}),
	"containsSecurityUpdates": isBool,
	"crds": each(func(c struct{ Kind, Version, Name, DisplayName, Description string }) bool {
		return c.Kind != "" && c.Version != "" && strings.Contains(c.Name, ".") && c.DisplayName != "" && c.Description != ""
	}),
	"crdsExamples": each(func(o object) bool { return o["kind"] != nil && o["apiVersion"] != nil }),
	"images": each(func(i struct {
		Name, Image string
		Platforms   []string
	}) bool {
		_, err := name.ParseReference(i.Image)
		return err == nil && i.Name != "" && len(i.Platforms) != 0
	}),
	"license": oneOf("Apache-2.0"),
	"links": each(func(l struct{ Name, URL string }) bool {
		return l.Name != "" && strings.HasPrefix(l.URL, "https://")
	}),
	"operator": isBool,
	"operatorCapabilities": oneOf(
		"Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot"),
	"prerelease": isBool,
}

func oneOf(values ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(values, value) }
}

func isBool(value string) bool {
	_, err := strconv.ParseBool(value)
	return err == nil
}

// each says of a list in YAML whether it has entries, and all of them are right.
func each[T any](right func(T) bool) func(string) bool {
	return func(value string) bool {
		var all []T
		return yaml.UnmarshalStrict([]byte(value), &all) == nil && len(all) != 0 &&
			!slices.ContainsFunc(all, func(one T) bool { return !right(one) })
	}
}

// wrongForHub are the annotations that Artifact Hub would not take.
func wrongForHub(annotations map[string]string) []string {
	var wrong []string
	for key, value := range annotations {
		annotation, ok := strings.CutPrefix(key, "artifacthub.io/")
		if !ok {
			continue
		}
		if rule := hubRules[annotation]; rule == nil || !rule(value) {
			wrong = append(wrong, annotation)
		}
	}
	slices.Sort(wrong)
	return wrong
}

// annotated is the chart of a release that is made of the changelog as it stands.
func annotated(t *testing.T) map[string]string {
	t.Helper()
	r := sample(t)
	withImages(t, r)
	changelog, err := os.ReadFile(filepath.Join(repository, "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	if r.section, err = section(string(changelog), r.version); err != nil {
		t.Fatal(err)
	}
	if err := r.prepareChart(); err != nil {
		t.Fatal(err)
	}
	chart, err := readChart(r.chartFolder())
	if err != nil {
		t.Fatal(err)
	}
	return chart.Annotations
}

func TestArtifactHubTakesEveryAnnotation(t *testing.T) {
	all := annotated(t)
	for rule := range hubRules {
		if all["artifacthub.io/"+rule] == "" {
			t.Errorf("the chart of a release has no %s", rule)
		}
	}
	if wrong := wrongForHub(all); len(wrong) != 0 {
		t.Errorf("Artifact Hub does not take %v", wrong)
	}
	for annotation, value := range map[string]string{
		"category": "streaming", "changes": "- kind: mended\n  description: x\n", "categorie": "security",
		"images": "- name: x\n  image: UPPER/x\n  platforms: [linux/amd64]\n", "links": "- name: x\n  href: https://x\n",
		"prerelease": "maybe", "operatorCapabilities": "Full", "crds": "[]",
	} {
		if wrong := wrongForHub(map[string]string{"artifacthub.io/" + annotation: value}); len(wrong) != 1 {
			t.Errorf("%s: %q is taken", annotation, value)
		}
	}
}

func TestASecurityUpdateIsCalledOne(t *testing.T) {
	for section, want := range map[string]string{
		"### Security\n\n- Keys are longer.\n": "true", "### Fixed\n\n- Security is spelt right.\n": "false",
	} {
		r := sample(t)
		r.section = section
		withImages(t, r)
		if err := r.prepareChart(); err != nil {
			t.Fatal(err)
		}
		chart, err := readChart(r.chartFolder())
		if err != nil {
			t.Fatal(err)
		}
		if got := chart.Annotations["artifacthub.io/containsSecurityUpdates"]; got != want {
			t.Errorf("%q: %s, want %s", section, got, want)
		}
	}
}

func TestArtifactHubReadsOfTheRepository(t *testing.T) {
	r := sample(t)
	r.registry = serve(t, quietRegistry())
	withImages(t, r)
	if err := r.push(t.Context()); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(r.registry + "/charts/castellan:artifacthub.io")
	if err != nil {
		t.Fatal(err)
	}
	artifact, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := artifact.Manifest()
	if err != nil || len(manifest.Layers) != 1 || manifest.Config.MediaType != hubConfigType {
		t.Fatalf("%+v %v", manifest, err)
	}
	layer, err := artifact.LayerByDigest(manifest.Layers[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	published, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer published.Close()
	content, err := io.ReadAll(published)
	if err != nil {
		t.Fatal(err)
	}
	if file, err := os.ReadFile(filepath.Join(r.out, hubFile)); err != nil || string(file) != string(content) {
		t.Errorf("the release has another file than the registry (%v)", err)
	}
	var metadata struct {
		RepositoryID string `json:"repositoryID"`
		Owners       []struct{ Name, Email string }
		Ignore       []struct{ Name, Version string }
	}
	if err := yaml.UnmarshalStrict(content, &metadata); err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$`)
	if !id.MatchString(metadata.RepositoryID) {
		t.Errorf("%q is no ID of a repository", metadata.RepositoryID)
	}
	for _, ignored := range metadata.Ignore {
		if _, err := regexp.Compile(ignored.Version); err != nil || ignored.Name == "" {
			t.Errorf("%+v: %v", ignored, err)
		}
	}
	if err := r.push(t.Context()); err != nil {
		t.Errorf("the same once more: %v", err)
	}
}
