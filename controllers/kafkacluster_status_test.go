package controllers

import (
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plan"
)

// oneNode is a pass over a cluster of one node that is seen as given.
func oneNode(seen model.ObservedNode) *scope {
	s := newScope(&v1alpha1.KafkaCluster{}, time.Now())
	s.model = &model.Cluster{
		Name: "events", Pools: []model.Pool{{Name: "main", StatefulSet: "events-main", Replicas: 1, Controller: true, Broker: true}},
		Nodes: []model.Node{{ID: 0, Pool: "main", PodName: "events-main-0"}},
	}
	s.observation = &model.Observation{Nodes: map[int32]model.ObservedNode{0: seen}}
	return s
}

func TestTheRackOfANodeIsRememberedWhileItsPodIsReplaced(t *testing.T) {
	s := oneNode(model.ObservedNode{Pod: &model.ObservedPod{Zone: "a", Ready: true}})
	for _, step := range []struct {
		name string
		pod  *model.ObservedPod
		rack string
	}{
		{"it runs in a", &model.ObservedPod{Zone: "a", Ready: true}, "a"},
		{"its pod is gone", nil, "a"},
		{"its new pod has no machine yet", &model.ObservedPod{}, "a"},
		{"its new pod is in b", &model.ObservedPod{Zone: "b"}, "b"},
	} {
		s.observation.Nodes[0] = model.ObservedNode{Pod: step.pod}
		if setNodes(s); s.cluster.Status.Nodes[0].Rack != step.rack {
			t.Errorf("%s: rack %q, want %q", step.name, s.cluster.Status.Nodes[0].Rack, step.rack)
		}
	}
}

func TestABrokerThatEndedForWantOfControllersIsToldAsWaiting(t *testing.T) {
	s := oneNode(model.ObservedNode{Pod: &model.ObservedPod{Restarts: 2, Awaits: "there was no controller"}})
	setNodes(s)
	if n := s.cluster.Status.Nodes[0]; n.State != v1alpha1.NodeWaiting || n.Message != "there was no controller" {
		t.Errorf("it is told as %s: %q", n.State, n.Message)
	}
}

func TestAPassOverAnOldCopyWritesNothingAndTellsNothing(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	old := &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "events"}}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(old).WithStatusSubresource(old).Build()
	recorder := events.NewFakeRecorder(10)
	r := &KafkaClusterReconciler{Client: api, Recorder: recorder}
	read := func() *v1alpha1.KafkaCluster {
		cluster := &v1alpha1.KafkaCluster{}
		if err := api.Get(t.Context(), client.ObjectKeyFromObject(old), cluster); err != nil {
			t.Fatal(err)
		}
		return cluster
	}
	report := func(seen *v1alpha1.KafkaCluster) error {
		s := newScope(seen, time.Now())
		s.faults = []model.Fault{{Reason: model.ReasonInvalid, Field: "spec.version", Message: "no"}}
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

func TestAFieldThatHoldsManyNodesIsTheFaultOnce(t *testing.T) {
	faults := heldFaults([]plan.Held{
		{Node: 0, Message: "it ends by itself"},
		{Node: 1, Field: "spec.rolling.unavailable", Message: "broker 1 not restarted: a"},
		{Node: 2, Field: "spec.pools[main].replicas", Message: "broker 2 not removed: b"},
		{Node: 3, Field: "spec.rolling.unavailable", Message: "broker 3 not restarted: c"},
	})
	want := []model.Fault{
		{Reason: model.ReasonHeld, Field: "spec.rolling.unavailable", Message: "broker 1 not restarted: a; and 1 more"},
		{Reason: model.ReasonHeld, Field: "spec.pools[main].replicas", Message: "broker 2 not removed: b"},
	}
	if !slices.Equal(faults, want) {
		t.Errorf("got %v, want %v", faults, want)
	}
}

func TestALostVolumeAndItsCureAreToldBeforeTheScheduler(t *testing.T) {
	unschedulable := &model.ObservedPod{Problem: model.ProblemUnschedulable, ProblemMessage: "0/3 nodes are available"}
	lost := model.ObservedClaim{Name: "data-events-main-0", Lost: true}
	permitted := lost
	permitted.Replace = true
	for name, tt := range map[string]struct {
		seen model.ObservedNode
		held string
		want string // the beginning of what is told of the node that fails; empty = it does not
	}{
		"its volume is lost": {model.ObservedNode{Pod: unschedulable, Claims: []model.ObservedClaim{lost}}, "",
			"events-main-0 does not start (claim data-events-main-0 has lost its volume: bring that back, or annotate the claim kafka.castellan.dev/replace=true for an empty disk; Unschedulable: 0/3 nodes are available)"},
		"it has no pod either": {model.ObservedNode{Claims: []model.ObservedClaim{lost}}, "",
			"events-main-0 does not start (claim data-events-main-0 has lost its volume: bring"},
		"an empty disk is permitted, and not yet given": {model.ObservedNode{Pod: unschedulable, Claims: []model.ObservedClaim{permitted}}, "broker 0 keeps its disk: why",
			"events-main-0 does not start (claim data-events-main-0 has lost its volume, and an empty disk may take its place; broker 0 keeps its disk: why; Unsch"},
		"only its machine is gone": {model.ObservedNode{Pod: unschedulable, Claims: []model.ObservedClaim{{Name: "data-events-main-0", Bound: true}}}, "",
			"events-main-0 does not start (Unschedulable: 0/3 nodes are available)"},
		"it works": {model.ObservedNode{Pod: &model.ObservedPod{Ready: true}, Claims: []model.ObservedClaim{lost}}, "", ""},
	} {
		s := oneNode(tt.seen)
		s.plan.Held = []plan.Held{{Node: 0, Message: tt.held}}
		setNodes(s)
		if got := s.failing(); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
