package report

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

func TestAClaimThatIsBeingDeletedIsWarnedOfWithItsCure(t *testing.T) {
	claim := model.ObservedClaim{Name: "data-events-main-0", Deleting: true}
	s := oneNode(model.ObservedNode{Pod: &model.ObservedPod{Ready: true}, Claims: []model.ObservedClaim{claim}})
	s.setWarning()
	warning := meta.FindStatusCondition(s.status.Conditions, v1alpha1.ConditionWarning)
	const cure = "node 0: claim data-events-main-0 is being deleted, which cannot be taken back, and its disk is lost " +
		"as soon as the pod stops: annotate the claim kafka.castellan.dev/replace=true"
	if warning == nil || !strings.HasPrefix(warning.Message, cure) {
		t.Fatalf("the warning is %+v, want %q", warning, cure)
	}
	claim.Deleting = false
	s.Observation.Nodes[0] = model.ObservedNode{Pod: &model.ObservedPod{Ready: true}, Claims: []model.ObservedClaim{claim}}
	s.setWarning()
	if meta.FindStatusCondition(s.status.Conditions, v1alpha1.ConditionWarning) != nil {
		t.Error("the warning stands although the claim stays")
	}
}

func TestABrokerThatServesWithAFailedDiskSaysWhichAndHowToReplaceIt(t *testing.T) {
	s := oneNode(model.ObservedNode{
		Pod: &model.ObservedPod{Ready: true}, Claims: []model.ObservedClaim{{Volume: "data-1", Name: "data-1-events-main-0"}},
	})
	s.Observation.Kafka = &kafka.Snapshot{
		Brokers:    []kafka.Broker{{ID: 0}},
		Partitions: []kafka.Partition{{Offline: []int32{0}}, {Offline: []int32{0, 7}}, {}},
	}
	s.setNodes()
	const unnamed = "one of its disks has failed, and it has not said which: 2 replicas offline"
	if n := s.status.Nodes[0]; n.State != v1alpha1.NodeServing || n.Message != unnamed || n.OfflineReplicas != 2 {
		t.Errorf("it is told as %+v", n)
	}
	s.Observation.Kafka.LogDirs = map[int32][]kafka.LogDir{0: {
		{Path: model.LogDir("data")}, {Path: model.LogDir("data-1"), Error: kafka.ErrorStorage},
	}}
	s.setNodes()
	const named = "disk data-1 has failed (claim data-1-events-main-0): 2 replicas offline; to have it replaced, " +
		"annotate its claim kafka.castellan.dev/replace=true"
	if n := s.status.Nodes[0]; n.Message != named || !slices.Equal(n.FailedLogDirs, []string{"data-1"}) {
		t.Errorf("it is told as %+v", n)
	}
	s.Observation.Kafka.LogDirs[0][1].Error, s.Observation.Kafka.Partitions = "", nil
	s.setNodes()
	if n := s.status.Nodes[0]; n.Message != "" || n.FailedLogDirs != nil || n.OfflineReplicas != 0 {
		t.Errorf("with a new disk it is told as %+v", n)
	}
}
