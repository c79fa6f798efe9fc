package report

import (
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

func TestABrokerThatServesWithAFailedDiskSaysSo(t *testing.T) {
	s := oneNode(model.ObservedNode{Pod: &model.ObservedPod{Ready: true}})
	s.Observation.Kafka = &kafka.Snapshot{
		Partitions: []kafka.Partition{{Offline: []int32{0}}, {Offline: []int32{0, 7}}, {}},
	}
	s.setNodes()
	const failed = "one of its disks has failed: 2 replicas offline"
	if n := s.status.Nodes[0]; n.State != v1alpha1.NodeServing || n.Message != failed {
		t.Errorf("it is %s: %q", n.State, n.Message)
	}
}
