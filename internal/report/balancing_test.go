package report

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/course"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

func TestAClusterWhoseBrokersAreEvenedOutIsReadyAndSaysHowFarThatIs(t *testing.T) {
	under := v1alpha1.MovingPartition{Topic: "a", Partition: 1, Replicas: []int32{1}}
	record := &v1alpha1.BalancingStatus{Spread: []int32{0}, InFlight: []v1alpha1.MovingPartition{under}, BytesPerSecond: 7}
	in := course.Inputs{
		Settings: model.Balancing{Mode: v1alpha1.BalancingOnScale, Record: record},
		Brokers:  []course.Broker{{ID: 0}, {ID: 1}}, Now: time.Unix(3e6, 0),
		Snapshot: &kafka.Snapshot{
			Quorum: kafka.Quorum{LeaderID: 0}, Brokers: []kafka.Broker{{ID: 0}, {ID: 1}},
			Partitions: []kafka.Partition{{Topic: "a", Number: 0, Replicas: []int32{1}, ISR: []int32{1}},
				{Topic: "a", Number: 1, Replicas: []int32{0, 1}, ISR: []int32{0}}},
			Reassignments: map[string]map[int32]kafka.Reassignment{
				"a": {1: {Replicas: []int32{0, 1}, Adding: []int32{1}, Removing: []int32{0}}},
			},
		},
	}
	move := func(number int32) balance.Move {
		return balance.Move{Topic: "a", Partition: number, Before: []int32{0}, After: []int32{1}, Bytes: 1 << 30}
	}
	in.Seen.Remembered = model.Remembered{Plan: &balance.Plan{Bytes: 2 << 30, Moves: []balance.Move{move(0), move(1)}},
		Of: "[0 1] [] true [0 1] 0 [] false []false"}
	s := oneNode(model.ObservedNode{Pod: &model.ObservedPod{Ready: true}})
	s.Observation.Kafka, s.Plan.Course = in.Snapshot, course.New(in)
	s.status.Balancing = record
	s.setAvailable()
	s.setBalancing()
	s.setPlan()
	s.setReady()
	const line = "balancing: 1 of 2 moves, 1.0 of 2.0 GiB, 50%"
	ready := meta.FindStatusCondition(s.status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue || !strings.Contains(ready.Message, line) {
		t.Errorf("Ready is %+v", ready)
	}
	if !strings.HasPrefix(s.status.Plan.Summary, line) {
		t.Errorf("in one line: %q", s.status.Plan.Summary)
	}
	if b := s.status.Balancing; len(b.InFlight) != 1 || b.BytesPerSecond != 7 || b.Phase != v1alpha1.BalancingMoving {
		t.Errorf("what is under way is told as %+v", b)
	}
}
