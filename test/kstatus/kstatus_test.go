// Package kstatus holds our statuses to the library by which Flux and Helm judge them. It is a module of its own: the
// operator needs nothing of that library.
package kstatus

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
	conditions "github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// firstStatus is what the API server gives to an object of a kind before anybody has looked at it.
func firstStatus(t *testing.T, kind string) any {
	t.Helper()
	paths, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		crd := map[string]any{}
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		if of, _, _ := unstructured.NestedString(crd, "spec", "names", "kind"); of != kind {
			continue
		}
		versions, _, _ := unstructured.NestedSlice(crd, "spec", "versions")
		first, _, err := unstructured.NestedMap(versions[0].(map[string]any),
			"schema", "openAPIV3Schema", "properties", "status", "default")
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
	t.Fatalf("no CRD of kind %s", kind)
	return nil
}

func judged(t *testing.T, object any, kind string, first any) status.Status {
	t.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	if first != nil { // as the API server writes it
		raw, err := json.Marshal(first)
		if err == nil {
			err = json.Unmarshal(raw, &first)
		}
		if err != nil {
			t.Fatal(err)
		}
		first.(map[string]any)["observedGeneration"] = int64(first.(map[string]any)["observedGeneration"].(float64))
		fields["status"] = first
	}
	u := &unstructured.Unstructured{Object: fields}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	result, err := status.Compute(u)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

func meta(generation int64) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: "orders", Generation: generation, UID: "u"}
}

// topic, user and cluster are objects whose status the operator's own rooms have written for a generation.
func topic(generation int64, state string) *v1alpha1.KafkaTopic {
	t := &v1alpha1.KafkaTopic{ObjectMeta: meta(generation)}
	switch state {
	case "working":
		t.Status = topics.ObservedStatus(t, kafka.Topic{}, false, "", "c", now)
	case "ready":
		t.Status = topics.ObservedStatus(t, kafka.Topic{ID: "i", Partitions: 1, ReplicationFactor: 1}, true, "", "c", now)
	case "stalled":
		t.Status = topics.ConflictStatus(t, &v1alpha1.KafkaTopic{ObjectMeta: metav1.ObjectMeta{Name: "older"}}, now)
	}
	return t
}

func user(generation int64, state string) *v1alpha1.KafkaUser {
	u := &v1alpha1.KafkaUser{ObjectMeta: meta(generation)}
	u.Status = users.SeenStatus(u)
	switch state {
	case "working":
		conditions.Reconciling(&u.Status.Conditions, generation, "Waiting", "for a broker", now)
	case "ready":
		conditions.Ready(&u.Status.Conditions, generation, "InForce", "logs in", now)
	case "stalled":
		u.Status = users.ConflictStatus(u, &v1alpha1.KafkaUser{ObjectMeta: metav1.ObjectMeta{Name: "older"}}, now)
	}
	return u
}

func cluster(generation int64, state string) *v1alpha1.KafkaCluster {
	c := &v1alpha1.KafkaCluster{ObjectMeta: meta(generation)}
	c.Spec.External = &v1alpha1.External{}
	overview := &kafka.Overview{ClusterID: "c", Brokers: []kafka.Broker{{ID: 0, Host: "a", Port: 9092}}}
	var fault *verdict.Verdict
	switch state {
	case "working":
		v := verdict.Waiting("Unreachable", "spec.external", time.Second, time.Minute, "nobody answers")
		fault, overview = &v, nil
	case "stalled":
		v := verdict.Stalled("Refused", "spec.external", "the password is wrong")
		fault, overview = &v, nil
	}
	c.Status = external.StatusOf(c, overview, fault, "", now)
	return c
}

func TestKstatusIsRightInEveryState(t *testing.T) {
	leaves := metav1.NewTime(now)
	for kind, of := range map[string]func(int64, string) runtime.Object{
		"KafkaTopic":   func(g int64, s string) runtime.Object { return topic(g, s) },
		"KafkaUser":    func(g int64, s string) runtime.Object { return user(g, s) },
		"KafkaCluster": func(g int64, s string) runtime.Object { return cluster(g, s) },
	} {
		changed, leaving := of(1, "ready"), of(1, "ready")
		changed.(metav1.Object).SetGeneration(2)
		leaving.(metav1.Object).SetDeletionTimestamp(&leaves)
		for name, c := range map[string]struct {
			object runtime.Object
			first  any
			want   status.Status
		}{
			"created":                 {of(1, "ready"), firstStatus(t, kind), status.InProgressStatus},
			"being worked on":         {of(1, "working"), nil, status.InProgressStatus},
			"in force":                {of(1, "ready"), nil, status.CurrentStatus},
			"changed":                 {changed, nil, status.InProgressStatus},
			"stalled":                 {of(1, "stalled"), nil, status.FailedStatus},
			"in force after a change": {of(2, "ready"), nil, status.CurrentStatus},
			"being deleted":           {leaving, nil, status.TerminatingStatus},
		} {
			if got := judged(t, c.object, kind, c.first); got != c.want {
				t.Errorf("%s, %s: %s, expected %s", kind, name, got, c.want)
			}
		}
	}
}

// Without the default in the CRD what nobody has looked at would count as done.
func TestAnAbsentStatusCountsAsDone(t *testing.T) {
	metadata := map[string]any{"name": "a", "generation": int64(1)}
	u := &unstructured.Unstructured{Object: map[string]any{"metadata": metadata}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("KafkaTopic"))
	result, err := status.Compute(u)
	if err != nil || result.Status != status.CurrentStatus {
		t.Errorf("%v, error %v: the default of status may not be needed any more", result, err)
	}
}
