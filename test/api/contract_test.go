package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/status"
)

var kinds = []string{"KafkaCluster", "KafkaTopic", "KafkaUser"}

// observed is status.observedGeneration, nil if there is none.
func observed(u *unstructured.Unstructured) any { return dig(u, "status.observedGeneration") }

// A health check in CEL or Lua that reads status.observedGeneration never meets an absent one, and -1 is no generation.
func TestTheStatusIsThereFromTheFirstWrite(t *testing.T) {
	t.Parallel()
	watcher, err := client.NewWithWatch(config, client.Options{Scheme: kube.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		for name, over := range map[string]string{
			"as a tool applies it": "{}",
			"with an empty status": "status: {}",
			"with the status of another, as kubectl get -o yaml shows it": "status: {observedGeneration: 7}",
		} {
			ns := namespace(t)
			u := manifest(t, kind, over)
			u.SetNamespace(ns)
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
			events, err := watcher.Watch(t.Context(), list, client.InNamespace(ns))
			if err != nil {
				t.Fatal(err)
			}
			if err := kube.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(u.DeepCopy()),
				client.FieldOwner("flux")); err != nil {
				t.Fatal(err)
			}
			first, _ := (<-events.ResultChan()).Object.(*unstructured.Unstructured)
			events.Stop()
			live := u.DeepCopy()
			if err := kube.Get(t.Context(), client.ObjectKeyFromObject(u), live); err != nil {
				t.Fatal(err)
			}
			for where, o := range map[string]*unstructured.Unstructured{"the first event of a watch": first, "get": live} {
				if observed(o) != int64(-1) || len(dig(o, "status").(map[string]any)) != 1 {
					t.Errorf("%s %s: %s shows status %v", kind, name, where, dig(o, "status"))
				}
			}
		}
	}
}

// setStatus writes the conditions of an object's status as the operator's own rooms set them.
func setStatus(t *testing.T, u *unstructured.Unstructured, set func(*[]metav1.Condition, int64)) {
	t.Helper()
	live := u.DeepCopy()
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(u), live); err != nil {
		t.Fatal(err)
	}
	var conditions []metav1.Condition
	set(&conditions, live.GetGeneration())
	var all []any
	for _, c := range conditions {
		all = append(all, map[string]any{"type": c.Type, "status": string(c.Status), "reason": c.Reason,
			"message": c.Message, "observedGeneration": c.ObservedGeneration,
			"lastTransitionTime": c.LastTransitionTime.UTC().Format(time.RFC3339)})
	}
	live.Object["status"] = map[string]any{"observedGeneration": live.GetGeneration(), "conditions": all}
	if err := kube.Status().Update(t.Context(), live); err != nil {
		t.Fatal(err)
	}
}

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func reconciling(c *[]metav1.Condition, generation int64) {
	status.Reconciling(c, generation, "Working", "m", began)
}
func ready(c *[]metav1.Condition, generation int64) {
	status.Ready(c, generation, "InForce", "m", began)
}
func stalled(c *[]metav1.Condition, generation int64) {
	status.Stalled(c, generation, "Bad", "m", began)
}

// changes is a change of a spec that each kind takes.
var changes = map[string]string{
	"KafkaCluster": "spec: {config: {log.retention.hours: \"7\"}}", "KafkaTopic": "spec: {partitions: 2}",
	"KafkaUser": "spec: {quotas: {producerByteRate: 1048576}}",
}

// kubectl wait looks once (--timeout=0) in each state in which a pipeline may meet an object.
func TestKubectlWaitIsRightInEveryState(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			u := create(t, namespace(t), manifest(t, kind, "metadata: {finalizers: ["+v1alpha1.Finalizer+"]}"))
			waits := func(state, condition string, want bool) {
				t.Helper()
				out, err := server.Shell(t.Context(), repository, fmt.Sprintf(
					"kubectl -n %s wait %s.kafka.castellan.dev/%s --for=%s --timeout=0",
					u.GetNamespace(), strings.ToLower(kind), u.GetName(), condition))
				if (err == nil) != want {
					t.Errorf("%s: kubectl wait --for=%s is content: %t; it prints %s", state, condition, err == nil, out)
				}
			}
			const isReady, isStalled = "condition=Ready", "condition=Stalled"
			waits("created", isReady, false)
			setStatus(t, u, reconciling)
			waits("being worked on", isReady, false)
			setStatus(t, u, ready)
			waits("in force", isReady, true)
			if err := update(t, u, changes[kind]); err != nil {
				t.Fatal(err)
			}
			waits("changed", isReady, false)
			setStatus(t, u, stalled)
			waits("stalled", isReady, false)
			waits("stalled", isStalled, true)
			setStatus(t, u, ready)
			waits("in force again", isReady, true)
			waits("in force again", "jsonpath={.status.observedGeneration}=2", true)
			if err := kube.Delete(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			waits("being deleted", isReady, false)
			waits("being deleted", "delete", false)
			release(t, u)
			waits("gone", "delete", true)
		})
	}
}

// release takes the finalizer off, as the operator does.
func release(t *testing.T, u *unstructured.Unstructured) {
	t.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	if err := kube.Patch(t.Context(), u.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(u), u.DeepCopy()); !apierrors.IsNotFound(err) {
		t.Errorf("%s %s is still there (error %v)", u.GetKind(), u.GetName(), err)
	}
}

// tools apply one manifest again and again, each in its own way.
var tools = map[string]string{
	"server-side apply":   "kubectl -n %s apply --server-side --field-manager=flux -f -",
	"server-side, forced": "kubectl -n %s apply --server-side --force-conflicts --field-manager=argocd-controller -f -",
	"client-side apply":   "kubectl -n %s apply -f -",
}

// A pipeline that applies everything every minute changes nothing of what the operator has written, and the API server
// writes nothing: the resource version stays. What the operator writes shows in no diff.
func TestWhatTheOperatorWritesOutlivesEveryToolAndIsNoDrift(t *testing.T) {
	t.Parallel()
	for name, command := range tools {
		t.Run(name, func(t *testing.T) {
			for kind, over := range map[string]string{
				"KafkaCluster": "spec: {pools: [{name: main, replicas: 3, resources: {requests: {memory: 1024Mi, cpu: 1000m}}, " +
					"storage: {volumes: [{name: data, size: 1024Mi}]}}], config: {}}",
				"KafkaTopic": "spec: {config: {}}",
				"KafkaUser":  "spec: {acls: [], grants: []}",
			} {
				ns := namespace(t)
				u := manifest(t, kind, over)
				text, err := u.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				run := func(command string) (string, error) {
					return server.Shell(t.Context(), repository, fmt.Sprintf(command, ns)+" <<'EOF'\n"+string(text)+"\nEOF\n")
				}
				if out, err := run(command); err != nil {
					t.Fatalf("%s: %s", kind, out)
				}
				u.SetNamespace(ns)
				operate(t, u)
				before := u.DeepCopy()
				for range 2 {
					if out, err := run(command); err != nil {
						t.Fatalf("%s: %s", kind, out)
					}
				}
				if err := kube.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
					t.Fatal(err)
				}
				if u.GetResourceVersion() != before.GetResourceVersion() || u.GetGeneration() != 1 {
					t.Errorf("%s was written: %v and before %v", kind, u.Object["metadata"], before.Object["metadata"])
				}
				for _, way := range []string{"--server-side --force-conflicts", ""} {
					if way != "" && !strings.Contains(command, "--server-side") {
						continue // of its own annotation kubectl writes another text each way
					}
					diff := "kubectl -n %s diff " + way + " -f -"
					if out, err := run(diff); err != nil {
						t.Errorf("%s: %s finds %s", kind, diff, out)
					}
				}
			}
		})
	}
}

// operate writes on an object what the operator writes: its finalizer, an announcement, and a status.
func operate(t *testing.T, u *unstructured.Unstructured) {
	t.Helper()
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
		t.Fatal(err)
	}
	base := u.DeepCopy()
	controllerutil.AddFinalizer(u, v1alpha1.Finalizer)
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.AnnotationCreating] = "x"
	u.SetAnnotations(annotations)
	writer := batch.Writer{Client: kube}
	if err := writer.PatchMetadata(t.Context(), u, base); err != nil {
		t.Fatal(err)
	}
	setStatus(t, u, ready)
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
		t.Fatal(err)
	}
}
