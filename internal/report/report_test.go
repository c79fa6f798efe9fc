package report

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

func TestPartitionsBelowTheirMinISRAreCountedWhileTheClusterCanBeAsked(t *testing.T) {
	partitions := []kafka.Partition{
		{Topic: "a", Replicas: []int32{0, 1, 2}, ISR: []int32{0}, MinISR: 2},
		{Topic: "b", Replicas: []int32{0, 1, 2}, ISR: []int32{0, 1}, MinISR: 2},
		{Topic: "c", Replicas: []int32{0}, ISR: []int32{0}, MinISR: 2}, // it can never have more
	}
	seen := func(leader int32) *kafka.Snapshot {
		return &kafka.Snapshot{Quorum: kafka.Quorum{LeaderID: leader}, Brokers: []kafka.Broker{{ID: 0}}, Partitions: partitions}
	}
	for name, c := range map[string]struct {
		kafka *kafka.Snapshot
		want  int32
		value metav1.ConditionStatus
	}{
		"one is short":             {seen(0), 1, metav1.ConditionFalse},
		"the quorum has no leader": {seen(-1), 0, metav1.ConditionFalse},
		"Kafka was not seen":       {nil, 0, metav1.ConditionUnknown},
	} {
		s := oneNode(model.ObservedNode{})
		s.status.PartitionsBelowMinISR = 7
		s.Observation.Kafka = c.kafka
		s.setAvailable()
		if got := s.status.PartitionsBelowMinISR; got != c.want || s.status.Conditions[0].Status != c.value {
			t.Errorf("%s: %d partitions, %+v", name, got, s.status.Conditions)
		}
	}
}

func TestTheStatusSaysWhoDecides(t *testing.T) {
	for kind, class := range map[v1alpha1.AuthorizationType]string{"Simple": "", "None": "", "Custom": "a.B"} {
		s := oneNode(model.ObservedNode{})
		s.Model.Authorization, s.Model.Authorizer = kind, "a.B"
		s.setAuthorization()
		if got := *s.status.Authorization; got.Type != kind || got.Class != class {
			t.Errorf("%s: %+v", kind, got)
		}
	}
}

// Ready means in force: disks that have not grown yet, or were not even asked to, are not.
func TestAClusterWhoseDisksAreToGrowIsNotReady(t *testing.T) {
	s := oneNode(model.ObservedNode{Pod: &model.ObservedPod{Ready: true}})
	s.Observation.Kafka = &kafka.Snapshot{Brokers: []kafka.Broker{{ID: 0}}}
	ready := func(growing ...string) metav1.Condition {
		s.Cluster.Generation++
		s.Growing = growing
		s.setAvailable()
		s.setReady()
		return *meta.FindStatusCondition(s.status.Conditions, v1alpha1.ConditionReady)
	}
	if c := ready(); c.Status != metav1.ConditionTrue {
		t.Fatalf("at rest: %+v", c)
	}
	c := ready("data-0 is to go from 1Gi to 2Gi", "data-1 is to go from 1Gi to 2Gi")
	if c.Status != metav1.ConditionFalse || c.Reason != "Growing" || c.ObservedGeneration != 2 ||
		c.Message != "data-0 is to go from 1Gi to 2Gi; and 1 more" {
		t.Errorf("%+v", c)
	}
}
