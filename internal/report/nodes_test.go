package report

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plan"
)

// oneNode is a pass over a cluster of one node that is seen as given.
func oneNode(seen model.ObservedNode) *writer {
	c := &model.Cluster{
		Name: "events", Pools: []model.Pool{{Name: "main", StatefulSet: "events-main", Replicas: 1, Controller: true, Broker: true}},
		Nodes: []model.Node{{ID: 0, Pool: "main", PodName: "events-main-0"}},
	}
	o := &model.Observation{Nodes: map[int32]model.ObservedNode{0: seen}}
	return &writer{
		Pass:   Pass{Cluster: &v1alpha1.KafkaCluster{}, Model: c, Observation: o},
		status: &v1alpha1.KafkaClusterStatus{},
	}
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
		s.Observation.Nodes[0] = model.ObservedNode{Pod: step.pod}
		if s.setNodes(); s.status.Nodes[0].Rack != step.rack {
			t.Errorf("%s: rack %q, want %q", step.name, s.status.Nodes[0].Rack, step.rack)
		}
	}
}

// An autoscaler counts the pods that the selector selects.
func TestThePoolThatIsScaledIsTheOneThatTheScaleSubresourceTellsOf(t *testing.T) {
	s := oneNode(model.ObservedNode{Pod: &model.ObservedPod{Ready: true}})
	s.Model.Pools = append(s.Model.Pools, model.Pool{Name: "brokers", Broker: true, Scaled: true})
	s.Observation.Pools = map[string]model.ObservedPool{"main": {Replicas: 1}, "brokers": {Replicas: 4}}
	s.setFacts()
	if s.status.Replicas != 4 ||
		s.status.Selector != "kafka.castellan.dev/cluster=events,kafka.castellan.dev/pool=brokers" {
		t.Errorf("%d replicas of %q", s.status.Replicas, s.status.Selector)
	}
	s.Model.Pools[1].Scaled = false
	if s.setFacts(); s.status.Replicas != 0 || s.status.Selector != "" {
		t.Errorf("no pool is scaled, and it has %d replicas of %q", s.status.Replicas, s.status.Selector)
	}
}

// A cordon outlives its broker in Kafka, and so does its record.
func TestWhatTheOperatorHasCordonedIsOnRecord(t *testing.T) {
	s := oneNode(model.ObservedNode{})
	for _, cordoned := range [][]int32{{1}, {1, 2}, nil} {
		s.Plan = plan.Plan{Cordoned: cordoned}
		if s.setNodes(); !slices.Equal(s.status.Cordoned, cordoned) {
			t.Errorf("on record are %v, want %v", s.status.Cordoned, cordoned)
		}
	}
}

func TestABrokerThatEndedForWantOfControllersIsToldAsWaiting(t *testing.T) {
	s := oneNode(model.ObservedNode{Pod: &model.ObservedPod{Restarts: 2, Awaits: "there was no controller"}})
	s.setNodes()
	if n := s.status.Nodes[0]; n.State != v1alpha1.NodeWaiting || n.Message != "there was no controller" {
		t.Errorf("it is told as %s: %q", n.State, n.Message)
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
			"events-main-0 does not start (claim data-events-main-0 has lost its volume: bring that back, or annotate the " +
				"claim kafka.castellan.dev/replace=true for an empty disk; Unschedulable: 0/3 nodes are available)"},
		"it has no pod either": {model.ObservedNode{Claims: []model.ObservedClaim{lost}}, "",
			"events-main-0 does not start (claim data-events-main-0 has lost its volume: bring"},
		"an empty disk is permitted, and not yet given": {model.ObservedNode{Pod: unschedulable, Claims: []model.ObservedClaim{permitted}}, "broker 0 keeps its disk: why",
			"events-main-0 does not start (claim data-events-main-0 has lost its volume, and an empty disk may take its " +
				"place; broker 0 keeps its disk: why; Unsch"},
		"only its machine is gone": {model.ObservedNode{Pod: unschedulable, Claims: []model.ObservedClaim{{Name: "data-events-main-0", Bound: true}}}, "",
			"events-main-0 does not start (Unschedulable: 0/3 nodes are available)"},
		"it works": {model.ObservedNode{Pod: &model.ObservedPod{Ready: true}, Claims: []model.ObservedClaim{lost}}, "", ""},
	} {
		s := oneNode(tt.seen)
		s.Plan.Held = []plan.Held{{Node: 0, Message: tt.held}}
		s.setNodes()
		if got := s.failing(); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// The scheduler does not say which claim has no volume, and of which class it is.
func TestAClaimWithoutAVolumeIsNamedWithItsClassAndField(t *testing.T) {
	const unbound = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
	fast, static := "gp3-fast", ""
	pending := model.ObservedClaim{Name: "data-events-main-0", Pool: "main", Volume: "data", Pending: true}
	of := func(class *string) model.ObservedClaim {
		claim := pending
		claim.Class = class
		return claim
	}
	bound := model.ObservedClaim{Name: "more-events-main-0", Pool: "main", Volume: "more", Bound: true, Class: &fast}
	const field = "spec.pools[main].storage.volumes[data].storageClassName"
	for name, tt := range map[string]struct {
		claims []model.ObservedClaim
		said   string
		want   string
	}{
		"its class does not exist": {[]model.ObservedClaim{bound, of(&fast)}, unbound,
			"; claim data-events-main-0 of storage class gp3-fast has no volume: if kubectl get storageclass does not list " +
				"that class, name another in " + field + "; else kubectl describe pvc data-events-main-0 says what it waits for"},
		"no class is the default": {[]model.ObservedClaim{of(nil)}, unbound,
			"; claim data-events-main-0 has no storage class, and Kubernetes had no default one for it: name one in " + field +
				", or make one the default"},
		"it asks for a volume made by hand": {[]model.ObservedClaim{of(&static)}, unbound,
			"; claim data-events-main-0 has no volume, and " + field + ` is "": make a PersistentVolume that fits it, or name a ` +
				"class"},
		"its volume is made once it has a machine": {[]model.ObservedClaim{of(&fast)},
			"0/3 nodes are available: 3 Insufficient memory", ""},
		"every claim has a volume": {[]model.ObservedClaim{bound}, "0/3 nodes are available: 3 node(s) had volume node " +
			"affinity conflict", ""},
	} {
		s := oneNode(model.ObservedNode{Claims: tt.claims,
			Pod: &model.ObservedPod{Problem: model.ProblemUnschedulable, ProblemMessage: tt.said}})
		s.setNodes()
		if want := "events-main-0 does not start (Unschedulable: " + tt.said + tt.want + ")"; s.failing() != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, s.failing(), want)
		}
	}
}

func TestTheStatusSaysSinceWhenAProcessRunsAndChangesWithARestartAlone(t *testing.T) {
	first := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	second := first.Add(time.Hour)
	s := oneNode(model.ObservedNode{})
	for _, step := range []struct {
		name string
		pod  *model.ObservedPod
		want time.Time // zero = nothing is said
	}{
		{"it runs", &model.ObservedPod{Running: true, Ready: true, StartedAt: first}, first},
		{"it goes on", &model.ObservedPod{Running: true, Ready: true, StartedAt: first}, first},
		{"its process has ended", &model.ObservedPod{}, time.Time{}},
		{"its pod is gone", nil, time.Time{}},
		{"it runs again", &model.ObservedPod{Running: true, StartedAt: second}, second},
	} {
		s.Observation.Nodes[0] = model.ObservedNode{Pod: step.pod}
		s.setNodes()
		got := s.status.Nodes[0].StartedAt
		if step.want.IsZero() && got != nil || !step.want.IsZero() && (got == nil || !got.Time.Equal(step.want)) {
			t.Errorf("%s: since %v, want %v", step.name, got, step.want)
		}
	}
}
