package crds

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	utilversion "k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

const (
	repository = "../.."
	bases      = repository + "/config/crd/bases"
	released   = repository + "/config/crd/released"
)

var update = flag.Bool("update", false, "write the digest of the chart's version, which must not be released yet")

// releases lists the versions whose digests are kept, the newest first.
func releases(t *testing.T) (all []string) {
	t.Helper()
	paths, err := filepath.Glob(released + "/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		all = append(all, strings.TrimSuffix(filepath.Base(path), ".txt"))
	}
	slices.SortFunc(all, func(a, b string) int {
		if utilversion.MustParseSemantic(b).LessThan(utilversion.MustParseSemantic(a)) {
			return -1
		}
		return 1
	})
	return all
}

func now(t *testing.T) Schema {
	t.Helper()
	s, err := Read(bases)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// chartVersion is the version that is being worked on, or was released last.
func chartVersion(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(string(read(t, repository+"/charts/castellan/Chart.yaml"))) {
		if version, is := strings.CutPrefix(line, "version: "); is {
			return strings.TrimSpace(version)
		}
	}
	t.Fatal("Chart.yaml has no version")
	return ""
}

// isReleased tells whether the changelog has a heading for a version.
func isReleased(t *testing.T, version string) bool {
	t.Helper()
	text := string(read(t, repository+"/CHANGELOG.md"))
	return strings.Contains(text, "\n## "+version) || strings.Contains(text, "\n## ["+version+"]")
}

// What one release has taken is taken by all later ones, so each is compared with the last. A version that is not
// released yet has its digest written by -update; the changelog's heading ends that.
func TestTheCRDsTakeWhatTheLastReleaseTook(t *testing.T) {
	version := chartVersion(t)
	path := filepath.Join(released, version+".txt")
	if *update {
		if isReleased(t, version) {
			t.Fatalf("%s is released: its digest stays as it is; raise the version in Chart.yaml first", version)
		}
		if err := os.WriteFile(path, now(t).Print(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all := releases(t)
	if len(all) == 0 {
		t.Fatal("config/crd/released is empty: go test ./test/crds -update")
	}
	if isReleased(t, version) && !slices.Contains(all, version) {
		t.Fatalf("%s is released and %s is not there", version, path)
	}
	for _, release := range all {
		before, err := Parse(read(t, filepath.Join(released, release+".txt")))
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range Breaks(before, now(t)) {
			t.Errorf("since %s: %s", release, fault)
		}
	}
}

// A default in an item of a list with one owner belongs to whoever applies the list, and shows to tools that compare
// managed fields, such as Argo CD, as a change that nobody has made.
func TestNoDefaultStandsInAListWithOneOwner(t *testing.T) {
	schema := now(t)
	for path, field := range schema {
		for at, c := range path {
			list := schema[path[:at]]
			if c == '[' && field["default"] != "" && list["list"] != text("map") && strings.Contains(path, " spec.") {
				t.Errorf("%s has the default %s; let the operator take what is absent for it", path, field["default"])
			}
		}
	}
}

func TestADigestIsReadAsItWasWritten(t *testing.T) {
	want := now(t)
	got, err := Parse(want.Print())
	if err != nil || !bytes.Equal(got.Print(), want.Print()) || len(Breaks(got, want)) > 0 || len(Breaks(want, got)) > 0 {
		t.Errorf("error %v, breaks %v", err, Breaks(got, want))
	}
}

// Every keyword that a schema of ours uses is in the digest: what is not could be narrowed and nobody would see it.
func TestEveryKeywordOfTheSchemasIsInTheDigest(t *testing.T) {
	known := []string{"description", "type", "format", "required", "default", "enum", "pattern", "minimum", "maximum",
		"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "nullable", "properties",
		"items", "additionalProperties", "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields",
		"x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations",
		"anyOf", "x-kubernetes-map-type"} // the last two say what the type says already, or how writers share it
	var walk func(path string, schema map[string]any)
	walk = func(path string, schema map[string]any) {
		for keyword, value := range schema {
			if !slices.Contains(known, keyword) {
				t.Errorf("%s has %s, which the digest leaves out", path, keyword)
			}
			switch below, _ := value.(map[string]any); keyword {
			case "properties":
				for name, child := range below {
					walk(path+"."+name, child.(map[string]any))
				}
			case "items", "additionalProperties":
				walk(path+"[]", below)
			}
		}
	}
	for kind, schema := range rawSchemas(t) {
		walk(kind, schema)
	}
}

// changed lays an edit over the schema as it is.
func changed(t *testing.T, edit func(Schema)) Schema {
	t.Helper()
	s := now(t)
	for path := range s {
		s[path] = maps.Clone(s[path])
	}
	edit(s)
	return s
}

func TestWhatTakesLessThanAReleaseIsNamedAndWhatTakesMoreIsNot(t *testing.T) {
	const topic = "KafkaTopic v1alpha1 "
	set := func(path, keyword, value string) func(Schema) {
		return func(s Schema) { s[path][keyword] = value }
	}
	unset := func(path, keyword string) func(Schema) {
		return func(s Schema) { delete(s[path], keyword) }
	}
	for name, c := range map[string]struct {
		edit func(Schema)
		says string // empty = it takes all that it took
	}{
		"nothing":                    {func(Schema) {}, ""},
		"a field goes":               {func(s Schema) { delete(s, topic+"spec.partitions") }, "spec.partitions: it is gone"},
		"a version goes":             {func(s Schema) { delete(s, "KafkaTopic v1alpha1") }, "KafkaTopic v1alpha1: it is gone"},
		"a field comes":              {func(s Schema) { s[topic+"spec.new"] = Field{"type": `"string"`} }, ""},
		"a required field comes":     {func(s Schema) { s[topic+"spec.new"] = Field{"required": "true"} }, "new and required"},
		"one inside of a new object": {func(s Schema) { s[topic+"spec.new"], s[topic+"spec.new.a"] = Field{}, Field{"required": "true"} }, ""},
		"a field becomes required":   {set(topic+"spec.partitions", "required", "true"), "required was absent"},
		"one is no longer required":  {unset(topic+"spec.clusterRef", "required"), ""},
		"an upper bound sinks":       {set(topic+"spec.partitions", "maximum", "10"), "maximum was 100000 and is 10"},
		"an upper bound rises":       {set(topic+"spec.partitions", "maximum", "200000"), ""},
		"an upper bound comes":       {set(topic+"spec.clusterRef", "maxProperties", "1"), "maxProperties was absent"},
		"a lower bound rises":        {set(topic+"spec.partitions", "minimum", "2"), "minimum was 1 and is 2"},
		"a lower bound goes":         {unset(topic+"spec.partitions", "minimum"), ""},
		"a default changes":          {set(topic+"spec.adoption", "default", `"Always"`), "default was"},
		"a default comes":            {set(topic+"spec.partitions", "default", "1"), "default was absent"},
		"a default goes":             {unset(topic+"spec.adoption", "default"), "is absent"},
		"a choice goes":              {set(topic+"spec.adoption", "enum", `["Never"]`), "enum was"},
		"a choice comes":             {set(topic+"spec.adoption", "enum", `["Never","IfMatching","Always","New"]`), ""},
		"choices come at all":        {set(topic+"spec.name", "enum", `["a"]`), "enum was absent"},
		"a pattern changes":          {set(topic+"spec.name", "pattern", `"a"`), "pattern was"},
		"a pattern goes":             {unset(topic+"spec.name", "pattern"), ""},
		"a rule comes":               {set(topic+"spec.partitions", "rules", `["self > 1"]`), "rules was absent"},
		"a rule goes":                {unset(topic+"spec.clusterRef", "rules"), ""},
		"a type changes":             {set(topic+"spec.partitions", "type", `"string"`), "type was"},
		"a list is merged otherwise": {set("KafkaCluster v1alpha1 spec.pools", "list", `"atomic"`), "list was"},
		"a short name goes":          {set("KafkaTopic v1alpha1", "shortNames", `[]`), "shortNames was"},
		"a status field goes":        {func(s Schema) { delete(s, topic+"status.topicId") }, "status.topicId: it is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(Breaks(now(t), changed(t, c.edit)), "\n")
			if c.says == "" && got != "" || !strings.Contains(got, c.says) {
				t.Errorf("it says %q, expected %q", got, c.says)
			}
		})
	}
}

// rawSchemas are the schemas by kind, with every keyword that they use.
func rawSchemas(t *testing.T) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	paths, err := filepath.Glob(bases + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		var crd struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Schema struct{ OpenAPIV3Schema json.RawMessage }
				}
			}
		}
		if err := yaml.Unmarshal(read(t, path), &crd); err != nil {
			t.Fatal(err)
		}
		schema := map[string]any{}
		if err := json.Unmarshal(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &schema); err != nil {
			t.Fatal(err)
		}
		all[crd.Spec.Names.Kind] = schema
	}
	return all
}
