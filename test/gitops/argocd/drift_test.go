package argocd

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
)

// A way is one of those in which Argo CD applies and compares: by kubectl apply and the annotation of what was last
// applied, or on the server's side with the option ServerSideApply=true. ServerSideDiff=true asks the server in both.
type way struct {
	name             string
	onServer, asking bool
}

// blind tells whether a way misses what git has no more: by the server's count it belongs to kubectl apply, and not to
// who asks.
func (w way) blind() bool { return w.asking && !w.onServer }

var ways = []way{
	{"applied by the client, compared three ways", false, false},
	{"applied by the client, compared on the server", false, true},
	{"applied on the server, compared by managed fields", true, false},
	{"applied on the server, compared on the server", true, true},
}

// statusAside is Argo CD's default for resource.compareoptions: it compares no status.
type statusAside struct{}

func (statusAside) Normalize(o *unstructured.Unstructured) error {
	unstructured.RemoveNestedField(o.Object, "status")
	return nil
}

// drift is what Argo CD says of an object: what it would change, or nothing.
func drift(t *testing.T, parser *managedfields.GvkParser, w way, o *unstructured.Unstructured) string {
	t.Helper()
	live, err := get(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	applier, clean, err := control.ManageServerSideDiffDryRuns(config)
	if err != nil {
		t.Fatal(err)
	}
	defer clean()
	result, err := diff.Diff(o.DeepCopy(), live, diff.WithNormalizer(statusAside{}), diff.WithManager(manager),
		diff.WithGVKParser(parser), diff.WithStructuredMergeDiff(w.onServer),
		diff.WithServerSideDiff(w.asking), diff.WithServerSideDryRunner(diff.NewK8sServerSideDryRunner(applier)))
	if err != nil {
		t.Fatalf("compare %s %s: %v", o.GetKind(), o.GetName(), err)
	}
	if !result.Modified {
		return ""
	}
	return fmt.Sprintf("is  %s\nnow %s", result.NormalizedLive, result.PredictedLive)
}

// schemas are those of the server, by which managed fields are compared.
func schemas(t *testing.T) *managedfields.GvkParser {
	t.Helper()
	_, parser, err := control.LoadOpenAPISchema(config)
	if err != nil {
		t.Fatal(err)
	}
	return parser
}

const trackingID = "argocd.argoproj.io/tracking-id"

// tracked puts an object into a namespace, with the annotation by which Argo CD knows it; the Application has the
// namespace's name.
func tracked(o *unstructured.Unstructured, namespace string) *unstructured.Unstructured {
	o = o.DeepCopy()
	switch {
	case o.GetKind() == "Namespace":
		o.SetName(namespace)
	case o.GetNamespace() != "" || strings.HasPrefix(o.GetAPIVersion(), group):
		o.SetNamespace(namespace)
	}
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	kind := o.GroupVersionKind().GroupKind()
	annotations[trackingID] = fmt.Sprintf("%s:%s:%s/%s", namespace, kind, namespace, o.GetName())
	o.SetAnnotations(annotations)
	return o
}

func namespaceFor(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("v1")
	o.SetKind("Namespace")
	o.SetName(name)
	return o
}

// Argo CD finds nothing to change in what it has applied, after the operator has looked at it and written what it
// writes. That holds for all samples, the CRDs and the chart, in each way of applying and comparing, but for ACLs in
// one of them.
func TestArgoCDFindsNoDriftInWhatItApplied(t *testing.T) {
	installCRDs(t)
	parser := schemas(t)
	startOperator(t)
	for n, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			all := slices.Concat(files(t, "config/samples/*.yaml"), files(t, "config/samples/gitops/kafka/*.yaml"))
			for f, file := range all {
				relative, _ := strings.CutPrefix(file, repository+"/")
				t.Run(filepath.Base(file), func(t *testing.T) {
					mustNotDrift(t, parser, w, fmt.Sprintf("sample-%d-%d", n, f), read(t, relative))
				})
			}
			t.Run("values in every notation", func(t *testing.T) {
				mustNotDrift(t, parser, w, fmt.Sprintf("notation-%d", n), objects(t, notations))
			})
			t.Run("the chart", func(t *testing.T) {
				all := chart(t)
				apply(t, w.onServer, all...)
				for _, o := range all {
					if found := drift(t, parser, w, o); found != "" {
						t.Errorf("%s %s drifts:\n%s", o.GetKind(), o.GetName(), found)
					}
				}
			})
		})
	}
}

// mustNotDrift applies objects into a namespace, waits until the operator has written, and compares; then it applies
// once more, which writes nothing.
func mustNotDrift(t *testing.T, parser *managedfields.GvkParser, w way, ns string, all []*unstructured.Unstructured) {
	t.Helper()
	apply(t, true, namespaceFor(ns))
	for i := range all {
		all[i] = tracked(all[i], ns)
	}
	apply(t, w.onServer, all...)
	versions := map[string]string{}
	for _, o := range all {
		if !strings.HasPrefix(o.GetAPIVersion(), group) {
			continue
		}
		if o.GetKind() != "KafkaCluster" { // what the operator adds once a broker answers
			patch(t, o, `metadata: {finalizers: [`+group+`/finalizer], annotations: {`+group+`/creating: "1"}}`)
		}
		eventually(t, "the operator has looked at "+o.GetName(), func(ctx context.Context) error {
			live, err := get(ctx, o)
			if err != nil {
				return err
			}
			seen, _, _ := unstructured.NestedInt64(live.Object, "status", "observedGeneration")
			conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
			if seen != live.GetGeneration() || len(conditions) == 0 {
				return fmt.Errorf("its status is %v", live.Object["status"])
			}
			return nil
		})
	}
	for _, o := range all {
		if found := drift(t, parser, w, o); found != "" {
			t.Errorf("%s %s drifts:\n%s", o.GetKind(), o.GetName(), found)
		}
		live, err := get(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		versions[o.GetKind()+o.GetName()] = fmt.Sprint(live.GetGeneration())
	}
	apply(t, w.onServer, all...)
	for _, o := range all {
		live, err := get(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if now := fmt.Sprint(live.GetGeneration()); now != versions[o.GetKind()+o.GetName()] {
			t.Errorf("applying %s %s again made generation %s of %s", o.GetKind(), o.GetName(), now,
				versions[o.GetKind()+o.GetName()])
		}
	}
}

// notations has the values that other operators' users found drifting: quantities in another unit, numbers where text
// is usual, lists and maps with nothing in them, defaults that are written out, and text that looks like something
// else.
const notations = `
apiVersion: kafka.castellan.dev/v1alpha1
kind: KafkaCluster
metadata:
  name: events
spec:
  version: "4.3.1"
  config: {}
  pools:
  - name: main
    replicas: 3
    resources:
      requests: {cpu: 1000m, memory: 1024Mi}
      limits: {cpu: 2, memory: "2147483648"}
    jvm: {heap: 512Mi}
    storage:
      volumes:
      - {name: data, size: 1024Mi}
---
apiVersion: kafka.castellan.dev/v1alpha1
kind: KafkaTopic
metadata:
  name: orders
spec:
  clusterRef: {name: events}
  partitions: 6
  config: {}
  adoption: Never
---
apiVersion: kafka.castellan.dev/v1alpha1
kind: KafkaTopic
metadata:
  name: "2026"
spec:
  clusterRef: {name: events}
  config:
    retention.ms: "-1"
    preallocate: "false"
    segment.bytes: "1073741824"
---
apiVersion: kafka.castellan.dev/v1alpha1
kind: KafkaUser
metadata:
  name: shop
spec:
  clusterRef: {name: events}
  authentication:
    mechanisms: [SCRAM-SHA-512]
  acls: []
---
apiVersion: kafka.castellan.dev/v1alpha1
kind: KafkaUser
metadata:
  name: written-out
spec:
  clusterRef: {name: events}
  authentication:
    mechanisms: [SCRAM-SHA-512]
  acls:
  - resource: {type: Topic, name: orders, pattern: Literal}
    operations: [Read, Write, Describe]
    host: "*"
    permission: Allow
`

// chart renders the chart as Argo CD does.
func chart(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	helm, err := exec.Command(filepath.Join(repository, "hack", "tool.sh"), "helm").Output()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(strings.TrimSpace(string(helm)), "template", "castellan",
		filepath.Join(repository, "charts", "castellan"), "--namespace", "default", "--include-crds").Output()
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, string(out))
}

// What drift there is, Argo CD sees: a field that somebody else has changed, in each way, and one that git has no more,
// in all ways but the one that docs/gitops.md advises against. Applying again mends it.
func TestArgoCDSeesWhatWasChangedAndWhatWasRemoved(t *testing.T) {
	installCRDs(t)
	parser := schemas(t)
	for n, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			ns := fmt.Sprintf("seen-%d", n)
			apply(t, true, namespaceFor(ns))
			topic := tracked(objects(t, `
apiVersion: kafka.castellan.dev/v1alpha1
kind: KafkaTopic
metadata: {name: orders}
spec:
  clusterRef: {name: events}
  partitions: 6
  config: {retention.ms: "1000", cleanup.policy: compact}
`)[0], ns)
			apply(t, w.onServer, topic)
			patch(t, topic, `spec: {partitions: 12}`)
			if found := drift(t, parser, w, topic); !strings.Contains(found, `"partitions":12`) {
				t.Errorf("a change by hand shows as %q", found)
			}
			apply(t, w.onServer, topic)
			if found := drift(t, parser, w, topic); found != "" {
				t.Errorf("after it was applied again: %s", found)
			}
			unstructured.RemoveNestedField(topic.Object, "spec", "config", "cleanup.policy")
			if found := drift(t, parser, w, topic); strings.Contains(found, `cleanup.policy`) == w.blind() {
				t.Errorf("a field that git has no more shows as %q", found)
			}
			apply(t, w.onServer, topic)
			live, err := get(t.Context(), topic)
			if err != nil {
				t.Fatal(err)
			}
			keys, _, _ := unstructured.NestedStringMap(live.Object, "spec", "config")
			if found := drift(t, parser, w, topic); found != "" || len(keys) != 1 {
				t.Errorf("config %v, and drift %q", keys, found)
			}
		})
	}
}

// The CRDs are small enough for kubectl apply and for Argo CD without ServerSideApply, which keep what they applied in
// an annotation of at most 262144 bytes; an eighth of it is kept free for what releases add.
func TestCRDsFitTheAnnotationOfWhatWasLastApplied(t *testing.T) {
	const limit = 262144 * 7 / 8
	for _, crd := range crds(t) {
		if size := len(mustJSON(t, crd)); size > limit {
			t.Errorf("%s has %d bytes as JSON, expected at most %d", crd.GetName(), size, limit)
		}
	}
}

// The samples have Argo CD apply and compare in a way that shows all drift.
func TestTheSamplesCompareInAWayThatShowsAllDrift(t *testing.T) {
	for _, o := range read(t, "config/samples/gitops/argocd/*.yaml") {
		options, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "syncPolicy", "syncOptions")
		w := way{
			onServer: slices.Contains(options, "ServerSideApply=true"),
			asking:   strings.Contains(o.GetAnnotations()["argocd.argoproj.io/compare-options"], "ServerSideDiff=true"),
		}
		if w.blind() {
			t.Errorf("Application %s applies and compares as %+v", o.GetName(), w)
		}
	}
}
