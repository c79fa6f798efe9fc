package controllers

import (
	"context"
	"testing"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func TestTheTwoReconcilersDivideTheClusters(t *testing.T) {
	own := &v1alpha1.KafkaCluster{}
	for _, c := range []*v1alpha1.KafkaCluster{own, externalCluster()} {
		for _, external := range []bool{true, false} {
			if takes := externalOnly(external).Generic(event.GenericEvent{Object: c}); takes != (c.IsExternal() == external) {
				t.Errorf("external %t: the reconciler of external=%t takes it: %t", c.IsExternal(), external, takes)
			}
		}
	}
	w := newCore(t, indexed{}, externalCluster())
	r := &KafkaClusterReconciler{Client: w.shared.Client, APIReader: w.client, Settings: Settings{Now: w.clock.Now}}
	result, err := r.Reconcile(context.Background(), reconcile.Request{NamespacedName: clusterKey})
	if err != nil || result != (ctrl.Result{}) || w.apiWrites() != 0 {
		t.Errorf("the reconciler of our own clusters minds it: %v %v %v", result, err, w.requests)
	}
}
