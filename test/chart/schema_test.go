package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// schema is what of values.schema.json these tests look at.
type schema struct {
	Type       any               `json:"type"`
	Properties map[string]schema `json:"properties"`
	Additional json.RawMessage   `json:"additionalProperties"`
	Items      *schema           `json:"items"`
}

// free are the values whose keys are the user's own, or Kubernetes', which checks them.
var free = map[string]string{
	"global":                      "Helm's own, for a chart that holds this one",
	"serviceAccount.annotations":  "annotations",
	"networkPolicy.metricsFrom[]": "NetworkPolicyPeers",
	"podLabels":                   "labels",
	"podAnnotations":              "annotations",
	"nodeSelector":                "labels",
	"tolerations[]":               "Kubernetes' Tolerations",
	"affinity":                    "Kubernetes' Affinity",
	"topologySpreadConstraints[]": "Kubernetes' TopologySpreadConstraints",
}

// objects are the paths of all objects below a schema, and whether they take keys that are not listed.
func (s schema) objects(path string, found map[string]bool) {
	if s.Type == "object" {
		found[path] = string(s.Additional) != "false"
	}
	if s.Items != nil {
		s.Items.objects(path+"[]", found)
	}
	for name, child := range s.Properties {
		child.objects(strings.TrimPrefix(path+"."+name, "."), found)
	}
}

func chartFile(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "charts", "castellan", name))
	if err == nil {
		err = yaml.Unmarshal(content, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A misspelt value is refused on every level, by its name; helm would install the default without a word.
func TestAMisspeltValueIsRefusedOnEveryLevel(t *testing.T) {
	var all schema
	chartFile(t, "values.schema.json", &all)
	open := map[string]bool{}
	all.objects("", open)
	for path, is := range open {
		if _, free := free[path]; is != free {
			t.Errorf("the object %q takes unknown keys: %t, and is listed as free: %t", path, is, free)
		}
		if is {
			continue
		}
		value := strings.TrimPrefix(path+".misspelt", ".")
		_, err := template(t, "--set", value+"=1")
		if err == nil || !strings.Contains(err.Error(), "misspelt") {
			t.Errorf("--set %s=1: %v", value, err)
		}
	}
	for path := range free {
		if _, found := open[path]; !found {
			t.Errorf("there is no object %q", path)
		}
	}
}

// Every value that the chart has is in the schema, with its type, and the other way round: what is in one of them alone
// is either refused or means nothing.
func TestValuesAndSchemaListTheSame(t *testing.T) {
	var all schema
	var values map[string]any
	chartFile(t, "values.schema.json", &all)
	chartFile(t, "values.yaml", &values)
	delete(all.Properties, "global") // a chart that holds this one sets it
	compareKeys(t, "", all, values)
}

func compareKeys(t *testing.T, path string, s schema, values map[string]any) {
	t.Helper()
	if len(s.Properties) == 0 {
		return
	}
	var known, has []string
	for name := range s.Properties {
		known = append(known, name)
	}
	for name, value := range values {
		has = append(has, name)
		if inner, is := value.(map[string]any); is {
			compareKeys(t, path+"."+name, s.Properties[name], inner)
		}
	}
	slices.Sort(known)
	slices.Sort(has)
	if path == ".resources.requests" || path == ".resources.limits" {
		return // what is not set there has no default
	}
	if !slices.Equal(known, has) {
		t.Errorf("%s: the schema has %v, values.yaml %v", path, known, has)
	}
}
