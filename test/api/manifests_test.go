package api

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// The shortest manifests that mean anything. Cases lay their differences over them.
var shortest = map[string]string{
	"KafkaCluster": `
apiVersion: kafka.castellan.dev/v1alpha1
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - name: main
    replicas: 3
    storage: {volumes: [{name: data, size: 10Gi}]}
`,
	"KafkaTopic": `
apiVersion: kafka.castellan.dev/v1alpha1
kind: KafkaTopic
metadata: {name: orders}
spec:
  clusterRef: {name: events}
`,
	"KafkaUser": `
apiVersion: kafka.castellan.dev/v1alpha1
kind: KafkaUser
metadata: {name: app}
spec:
  clusterRef: {name: events}
  authentication: {mechanisms: [SCRAM-SHA-512]}
`,
}

// manifest is the shortest manifest of a kind with YAML laid over it: maps are merged, lists and scalars replaced, null
// removes.
func manifest(t *testing.T, kind, over string) *unstructured.Unstructured {
	t.Helper()
	base, change := parse(t, shortest[kind]), parse(t, over)
	u := &unstructured.Unstructured{Object: lay(base, change)}
	if u.GetKind() == "" {
		t.Fatalf("no shortest manifest for kind %q", kind)
	}
	return u
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	raw, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		t.Fatalf("the test's own YAML is wrong: %v\n%s", err, text)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("the test's own YAML is no map: %v\n%s", err, text)
	}
	return out
}

func lay(base, change map[string]any) map[string]any {
	if base == nil {
		base = map[string]any{}
	}
	for key, value := range change {
		nested, isMap := value.(map[string]any)
		below, wasMap := base[key].(map[string]any)
		switch {
		case value == nil:
			delete(base, key)
		case isMap && wasMap:
			base[key] = lay(below, nested)
		default:
			base[key] = value
		}
	}
	return base
}

// namespace makes a namespace of the test's own. Nobody removes namespaces here: no controller runs, and the server
// goes when the tests end.
func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := kube.Create(t.Context(), ns); err != nil {
		t.Fatalf("create namespace: %v", err)
	}
	return ns.Name
}

// tryCreate asks the server to accept an object without keeping it, and returns what it would have kept.
func tryCreate(t *testing.T, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	t.Helper()
	u = u.DeepCopy()
	if u.GetNamespace() == "" {
		u.SetNamespace(metav1.NamespaceDefault)
	}
	err := kube.Create(t.Context(), u, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
	return u, err
}

func create(t *testing.T, namespace string, u *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	u.SetNamespace(namespace)
	if err := kube.Create(t.Context(), u, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
		t.Fatalf("create %s: %v", u.GetKind(), err)
	}
	return u
}

// update lays YAML over the live object and writes it back.
func update(t *testing.T, u *unstructured.Unstructured, over string) error {
	t.Helper()
	live := u.DeepCopy()
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(u), live); err != nil {
		t.Fatal(err)
	}
	live.Object = lay(live.Object, parse(t, over))
	return kube.Update(t.Context(), live, client.FieldValidation(metav1.FieldValidationStrict))
}

// mustRefuse fails unless the error names the field and the cure.
func mustRefuse(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted; expected a refusal that says %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the refusal does not say %q; it says: %v", part, err)
		}
	}
}

// dig returns the value at a path such as spec.pools.0.roles, or nil.
func dig(u *unstructured.Unstructured, path string) any {
	var at any = u.Object
	for step := range strings.SplitSeq(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[step]
		case []any:
			if step != "0" || len(v) == 0 {
				return nil
			}
			at = v[0]
		default:
			return nil
		}
	}
	return at
}

func resource(t *testing.T, u *unstructured.Unstructured) string {
	t.Helper()
	mapping, err := kube.RESTMapper().RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
	if meta.IsNoMatchError(err) || err != nil {
		t.Fatal(err)
	}
	return mapping.Resource.Resource
}
