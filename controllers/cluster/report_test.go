package cluster

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/verdict"
)

func TestAPassOverAnOldCopyWritesNothingAndTellsNothing(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	old := &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "events"}}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(old).WithStatusSubresource(old).Build()
	recorder := events.NewFakeRecorder(10)
	r := &Reconciler{Client: api, Recorder: recorder}
	read := func() *v1alpha1.KafkaCluster {
		cluster := &v1alpha1.KafkaCluster{}
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(old), cluster); err != nil {
			t.Fatal(err)
		}
		return cluster
	}
	report := func(seen *v1alpha1.KafkaCluster) error {
		s := newScope(decide.Inputs{Cluster: seen, Live: &observe.Live{}, Now: time.Now()})
		s.decision.Verdicts = []verdict.Verdict{verdict.Stalled(verdict.ReasonInvalid, "spec.version", "no")}
		return r.report(t.Context(), s, nil)
	}
	old = read()
	newer := read()
	newer.Status.Plan.Next = []string{"restart main-0"}
	if err := api.Status().Update(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	if err := report(old); !apierrors.IsConflict(err) {
		t.Errorf("error %v, expected a conflict", err)
	}
	if live := read(); len(live.Status.Conditions) != 0 || len(recorder.Events) != 0 {
		t.Errorf("written %+v, %d events", live.Status.Conditions, len(recorder.Events))
	}
	if err := report(read()); err != nil {
		t.Error(err)
	}
	if live := read(); len(live.Status.Conditions) == 0 || len(live.Status.Plan.Next) != 0 || len(recorder.Events) != 1 {
		t.Errorf("written %+v, %d events", live.Status, len(recorder.Events))
	}
}
