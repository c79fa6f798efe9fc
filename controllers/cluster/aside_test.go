package cluster

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/tenure"
	"github.com/castellan-dev/castellan/internal/claim"
)

// installed makes the reconciler that of an installation of the operator.
func (h *house) installed(name string, succeeds ...string) {
	h.under.Tenure = &tenure.Keeper{Client: h.under.Client, APIReader: h.api, Recorder: h.under.Recorder, Now: time.Now,
		Installation: claim.Installation{Name: name, Succeeds: succeeds}, Wake: func(types.NamespacedName) {}}
}

// Another operator's cluster gets nothing: neither what it lacks nor a word in its status. A successor cares for it.
func TestAClusterOfAnotherOperatorIsLeftAlone(t *testing.T) {
	h := newHouse(t)
	h.installed("a/castellan")
	h.reconcile()
	cluster := &v1alpha1.KafkaCluster{}
	if h.get("events", cluster); cluster.Status.Operator != "a/castellan" {
		t.Fatalf("status.operator is %q", cluster.Status.Operator)
	}
	service := &corev1.Service{ObjectMeta: named("events-clients", nil)}
	if err := h.api.Delete(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	seen := cluster.ResourceVersion

	h.installed("b/castellan")
	for range 3 {
		result, err := h.under.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(cluster)})
		if err != nil || result.RequeueAfter != tenure.Again {
			t.Fatalf("it looks again in %s: %v", result.RequeueAfter, err)
		}
	}
	if h.get("events", cluster); cluster.ResourceVersion != seen || h.exists("events-clients", &corev1.Service{}) {
		t.Errorf("another operator has made the Service, or written the status: %+v", cluster.Status)
	}

	h.installed("b/castellan", "a/castellan")
	h.reconcile()
	h.get("events", cluster)
	if cluster.Status.Operator != "b/castellan" || !h.exists("events-clients", &corev1.Service{}) {
		t.Errorf("its successor does not care for it: status.operator is %q", cluster.Status.Operator)
	}
}
