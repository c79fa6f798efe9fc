package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/test/apiserver"
)

// maxBytes bounds all CRDs together: kubectl, Helm and etcd all have to carry them. Each alone has to fit into an
// annotation of 256 KiB, in which kubectl apply without --server-side keeps it.
const maxBytes = 220 * 1024

func TestTheCRDsAreSmall(t *testing.T) {
	files, err := apiserver.CRDFiles(repository)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, content := range files {
		total += len(content)
	}
	t.Logf("FIGURE crd-bytes %d", total)
	if total >= maxBytes {
		t.Errorf("the CRDs have %d bytes, expected fewer than %d", total, maxBytes)
	}
}

// schemas returns the schema of each kind.
func schemas(t *testing.T) map[string]apiextensionsv1.JSONSchemaProps {
	t.Helper()
	files, err := apiserver.CRDFiles(repository)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]apiextensionsv1.JSONSchemaProps{}
	for path, content := range files {
		crd := apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(content, &crd); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out[crd.Spec.Names.Kind] = *crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	}
	return out
}

// field is one field of a schema.
type field struct {
	path     string
	schema   apiextensionsv1.JSONSchemaProps
	optional bool
}

// fields lists every field below a schema, those of list items included.
func fields(path string, schema apiextensionsv1.JSONSchemaProps) []field {
	if schema.Items != nil {
		return fields(path+"[]", *schema.Items.Schema)
	}
	var out []field
	for name, child := range schema.Properties {
		at := path + "." + name
		out = append(out, field{at, child, !slices.Contains(schema.Required, name)})
		out = append(out, fields(at, child)...)
	}
	return out
}

func TestEveryFieldIsExplained(t *testing.T) {
	for kind, schema := range schemas(t) {
		for _, part := range []string{"spec", "status"} {
			all := append([]field{{path: part, schema: schema.Properties[part]}}, fields(part, schema.Properties[part])...)
			for _, f := range all {
				if text := strings.TrimSpace(f.schema.Description); !strings.HasSuffix(text, ".") {
					t.Errorf("%s %s: its description is no sentence: %q", kind, f.path, text)
				}
			}
		}
	}
}

func TestEverySpecFieldNamesItsDefault(t *testing.T) {
	for kind, schema := range schemas(t) {
		for _, f := range fields("spec", schema.Properties["spec"]) {
			// An object without a default of its own is explained by its fields.
			if !f.optional || (f.schema.Type == "object" && len(f.schema.Properties) > 0) {
				continue
			}
			if text := strings.ToLower(f.schema.Description); !strings.Contains(text, "default") {
				t.Errorf("%s %s is optional and its description names no default: %q", kind, f.path, f.schema.Description)
			}
		}
	}
}

// bounds are the limits that a schema sets, as the numbers that a reader must be told; an error names one that is
// missing.
func bounds(s apiextensionsv1.JSONSchemaProps) (told []string, err error) {
	number := func(v *float64) string { return strconv.FormatFloat(*v, 'f', -1, 64) }
	switch {
	case s.XIntOrString || len(s.Enum) > 0:
	case s.Type == "integer":
		if s.Minimum == nil || (s.Maximum == nil && s.Format == "") {
			return nil, errors.New("a number without minimum or maximum")
		}
		told = append(told, number(s.Minimum))
		if s.Maximum != nil {
			told = append(told, number(s.Maximum))
		}
	case s.Type == "string":
		if s.MaxLength == nil && !strings.Contains(s.Pattern, "{") {
			return nil, errors.New("a string without maxLength")
		}
		if s.MaxLength != nil {
			told = append(told, strconv.FormatInt(*s.MaxLength, 10))
		}
	case s.Type == "array":
		if s.MaxItems == nil {
			return nil, errors.New("a list without maxItems")
		}
		if len(s.Items.Schema.Enum) == 0 { // a list of named choices tells its own length
			told = append(told, strconv.FormatInt(*s.MaxItems, 10))
		}
	case s.AdditionalProperties != nil:
		if s.MaxProperties == nil {
			return nil, errors.New("a map without maxProperties")
		}
		told = append(told, strconv.FormatInt(*s.MaxProperties, 10))
	}
	return told, nil
}

func TestEverySpecFieldHasABoundAndNamesIt(t *testing.T) {
	for kind, schema := range schemas(t) {
		for _, f := range fields("spec", schema.Properties["spec"]) {
			told, err := bounds(f.schema)
			if err != nil {
				t.Errorf("%s %s: %v", kind, f.path, err)
			}
			for _, bound := range told {
				if !strings.Contains(f.schema.Description, bound) {
					t.Errorf("%s %s: the description does not name the bound %s: %q", kind, f.path, bound, f.schema.Description)
				}
			}
			if f.schema.Items == nil {
				continue
			}
			if _, err := bounds(*f.schema.Items.Schema); err != nil {
				t.Errorf("%s %s[]: %v", kind, f.path, err)
			}
		}
	}
}

func TestNoFloats(t *testing.T) {
	for kind, schema := range schemas(t) {
		for _, f := range fields("", schema) {
			if f.schema.Type == "number" {
				t.Errorf("%s %s is a floating-point number", kind, f.path)
			}
		}
	}
}

func TestPrinterColumnsShowFacts(t *testing.T) {
	cases := map[string]struct {
		status  string
		columns []string
		row     []any // the first columns of the row; Age and what follows is left out
	}{
		"KafkaCluster": {
			`status: {version: 4.3.1, brokers: 3/3, conditions: [{type: Ready, status: "True", reason: AllGood, message: m, ` +
				`lastTransitionTime: "2024-01-01T00:00:00Z"}, {type: Available, status: "True", reason: R, message: m, ` +
				`lastTransitionTime: "2024-01-01T00:00:00Z"}]}`,
			[]string{"Name", "Version", "Brokers", "Available", "Ready", "Reason", "Doing", "Age", "Message"},
			[]any{"events", "4.3.1", "3/3", "True", "True", "AllGood"},
		},
		"KafkaTopic": {
			`status: {name: orders, partitions: 6, replicationFactor: 2, conditions: [{type: Ready, status: "False", ` +
				`reason: Waiting, message: m, lastTransitionTime: "2024-01-01T00:00:00Z"}]}`,
			[]string{"Name", "Cluster", "Topic", "Partitions", "Replicas", "Ready", "Reason", "Age", "Message"},
			[]any{"orders", "events", "orders", int64(6), int64(2), "False", "Waiting"},
		},
		"KafkaUser": {
			`status: {name: app, binding: {name: app-kafka}, conditions: [{type: Ready, status: "True", reason: Proven, ` +
				`message: m, lastTransitionTime: "2024-01-01T00:00:00Z"}]}`,
			[]string{"Name", "Cluster", "User", "Secret", "Ready", "Reason", "Age", "Message"},
			[]any{"app", "events", "app", "app-kafka", "True", "Proven"},
		},
	}
	for kind, c := range cases {
		live := create(t, namespace(t), manifest(t, kind, "{}"))
		live.Object = lay(live.Object, parse(t, c.status))
		if err := kube.Status().Update(t.Context(), live); err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		table := tableOf(t, live)
		var names []string
		for _, column := range table.ColumnDefinitions {
			names = append(names, column.Name)
		}
		if !slices.Equal(names, c.columns) {
			t.Errorf("%s: columns %q, expected %q", kind, names, c.columns)
		}
		if row := table.Rows[0].Cells; fmt.Sprint(row[:len(c.row)]) != fmt.Sprint(c.row) {
			t.Errorf("%s: row %v, expected %v", kind, row, c.row)
		}
	}
}

// tableOf asks for an object the way kubectl get does.
func tableOf(t *testing.T, u *unstructured.Unstructured) metav1.Table {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/apis/%s/namespaces/%s/%s/%s", u.GetAPIVersion(), u.GetNamespace(), resource(t, u), u.GetName())
	raw, err := client.RESTClient().Get().AbsPath(path).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	table := metav1.Table{}
	if err := json.Unmarshal(raw, &table); err != nil {
		t.Fatal(err)
	}
	return table
}

func TestShortNamesAndCategory(t *testing.T) {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	list, err := client.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	short := map[string]string{}
	for _, r := range list.APIResources {
		if strings.Contains(r.Name, "/") {
			continue
		}
		short[r.Kind] = strings.Join(r.ShortNames, ",")
		if !slices.Contains(r.Categories, "kafka") || !r.Namespaced {
			t.Errorf("%s: categories %q, namespaced %v", r.Kind, r.Categories, r.Namespaced)
		}
	}
	want := map[string]string{"KafkaCluster": "kc", "KafkaTopic": "kt", "KafkaUser": "ku"}
	if fmt.Sprint(short) != fmt.Sprint(want) {
		t.Errorf("short names %v, expected %v", short, want)
	}
}

func TestEverySampleIsAccepted(t *testing.T) {
	var paths []string
	for _, folder := range []string{"samples", filepath.Join("samples", "gitops", "kafka")} {
		found, err := filepath.Glob(filepath.Join(repository, "config", folder, "*.yaml"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no samples in config/%s (error %v)", folder, err)
		}
		paths = append(paths, found...)
	}
	kinds := map[string]int{}
	for _, path := range paths {
		if filepath.Base(path) == "kustomization.yaml" {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			documents := utilyaml.NewYAMLOrJSONDecoder(file, 4096)
			for {
				u := &unstructured.Unstructured{}
				err := documents.Decode(u)
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				ensureNamespace(t.Context(), u)
				_, err = tryCreate(t, u)
				if made := u.GetKind() == "Namespace" && apierrors.IsAlreadyExists(err); err != nil && !made {
					t.Errorf("%s %s: %v", u.GetKind(), u.GetName(), err)
				}
				kinds[u.GetKind()]++
			}
		})
	}
	for kind := range shortest {
		if kinds[kind] == 0 {
			t.Errorf("no sample shows a %s", kind)
		}
	}
}

// ensureNamespace makes a sample's namespace: even a dry run needs it.
func ensureNamespace(ctx context.Context, u *unstructured.Unstructured) {
	if u.GetNamespace() == "" || u.GetKind() == "Namespace" {
		return
	}
	ns := &unstructured.Unstructured{}
	ns.SetAPIVersion("v1")
	ns.SetKind("Namespace")
	ns.SetName(u.GetNamespace())
	_ = kube.Create(ctx, ns) // there already, or the sample's own creation will say why not
}
