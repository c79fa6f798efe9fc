package cluster

import (
	"context"
	"testing"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/connect"
)

func TestTheTwoReconcilersDivideTheClusters(t *testing.T) {
	own := &v1alpha1.KafkaCluster{}
	for _, c := range []*v1alpha1.KafkaCluster{own, controllertest.ExternalCluster()} {
		for _, external := range []bool{true, false} {
			if takes := connect.ExternalOnly(external).Generic(event.GenericEvent{Object: c}); takes != (c.IsExternal() == external) {
				t.Errorf("external %t: the reconciler of external=%t takes it: %t", c.IsExternal(), external, takes)
			}
		}
	}
	w := controllertest.NewCore(t, controllertest.Indexed{}, controllertest.ExternalCluster())
	r := &Reconciler{Client: w.Shared.Client, APIReader: w.Client, Settings: Settings{Now: w.Clock.Now}}
	result, err := r.Reconcile(context.Background(), reconcile.Request{NamespacedName: controllertest.ClusterKey})
	if err != nil || result != (ctrl.Result{}) || w.APIWrites() != 0 {
		t.Errorf("the reconciler of our own clusters minds it: %v %v %v", result, err, w.Requests)
	}
}
