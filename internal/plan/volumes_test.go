package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// volumeStage is a cluster of three combined nodes with two disks, of which the second was taken out of the spec. Node
// 1 holds a replica there.
func volumeStage(t *testing.T) *stage {
	t.Helper()
	s := newStage(t)
	s.leaveSecond()
	return s
}

func (s *stage) leaveSecond() {
	s.c.Pools[0].Volumes, s.c.Pools[0].Leaving = jbod, []string{"second"}
	s.shot().LogDirs = map[int32][]kafka.LogDir{}
	for id := range int32(3) {
		s.pod(id).Volumes = []string{"data", "second"}
		seen := s.obs.Nodes[id]
		seen.Claims = append(slices.Clone(seen.Claims), model.ObservedClaim{Volume: "second", Bound: true,
			Name: fmt.Sprintf("second-events-main-%d", id), UID: fmt.Sprintf("second-%d", id), ClusterID: s.c.ClusterID, Pool: "main"})
		s.obs.Nodes[id] = seen
		s.shot().LogDirs[id] = []kafka.LogDir{{Path: model.LogDir("data")}, {Path: model.LogDir("second")}}
	}
	s.shot().LogDirs[1][1].Holds = []kafka.PartitionID{{Topic: s.partition(0).Topic, Number: s.partition(0).Number}}
}

// loseSecond lets the pool have lost the volume. Node 1 alone still runs with it, and restarts next.
func (s *stage) loseSecond() {
	s.leaveSecond()
	s.c.Pools[0].Volumes, s.c.Pools[0].Leaving = jbod[:1], nil
	s.pod(0).Volumes, s.pod(2).Volumes = []string{"data"}, []string{"data"}
	s.change(1)
}

func heldBy(p Plan, predicate string) (held []Held) {
	return slices.DeleteFunc(slices.Clone(p.Held), func(h Held) bool { return h.Predicate != predicate })
}

func TestAVolumeThatWasTakenOutSaysWhatItWaitsFor(t *testing.T) {
	s := volumeStage(t)
	p := s.next()
	held := heldBy(p, volumesEmptyName)
	const says = "volume second of pool main not removed: it holds 1 replica of broker 1; move them to its other disks"
	if len(held) != 1 || !strings.HasPrefix(held[0].Message, says) ||
		held[0].Field != "spec.pools[main].storage.volumes[second]" {
		t.Errorf("held: %+v", p.Held)
	}
	s.shot().LogDirs[1][1] = kafka.LogDir{Path: model.LogDir("second"), Error: kafka.ErrorStorage}
	if held = heldBy(s.next(), volumesEmptyName); !strings.Contains(held[0].Message, "its disk has failed") {
		t.Errorf("held: %+v", held)
	}
}

func TestLogDirectoriesThatLeaveAreCordoned(t *testing.T) {
	dir := model.LogDir("second")
	for _, tt := range []struct {
		name   string
		change func(s *stage)
		steps  string
		record []int32
	}{
		{"it is on record first", func(*stage) {}, "", []int32{0, 1, 2}},
		{"and then cordoned", func(s *stage) { s.c.Cordoned[1] = true },
			"cordon broker 1: a volume of it leaves, and gets no new replica", []int32{0, 1, 2}},
		{"once", func(s *stage) {
			s.c.Cordoned[1], s.shot().BrokerConfigs[1] = true, map[string]string{cordonKey: dir}
		}, "", []int32{0, 1, 2}},
		{"not where somebody has cordoned another", func(s *stage) {
			s.shot().BrokerConfigs[1] = map[string]string{cordonKey: model.LogDir("data")}
		}, "", []int32{0, 2}},
		{"not before Kafka 4.3", func(s *stage) { s.pod(1).Version = "4.2.2" }, "", []int32{0, 2}},
		{"and uncordoned once it is empty, before its pool loses it", func(s *stage) {
			s.c.Cordoned[1], s.shot().BrokerConfigs[1] = true, map[string]string{cordonKey: dir}
			s.c.Pools[0].Volumes, s.c.Pools[0].Leaving = jbod[:1], nil
		}, "uncordon broker 1: the spec asks for it", []int32{1}},
		{"and once the spec has it again", func(s *stage) {
			s.c.Cordoned[1], s.shot().BrokerConfigs[1] = true, map[string]string{cordonKey: dir}
			s.c.Pools[0].Leaving = nil
		}, "uncordon broker 1: the spec asks for it", []int32{1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := volumeStage(t)
			tt.change(s)
			p := s.next()
			if got := linesOf(p, Cordon, Uncordon); got != tt.steps || !slices.Equal(p.Cordoned, tt.record) {
				t.Errorf("steps are %q, want %q; on record are %v", got, tt.steps, p.Cordoned)
			}
		})
	}
}

// The pool has lost the volume, and node 1 restarts next.
func TestABrokerLosesAVolumeOnlyOnceItIsEmpty(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(s *stage)
		held   string
	}{
		{"not while a replica is there", func(*stage) {},
			"broker 1 not restarted: volume second leaves with the pod: it holds 1 replica of broker 1"},
		{"not while one is on its way there", func(s *stage) {
			d := &s.shot().LogDirs[1][1]
			d.Coming, d.Holds = d.Holds, nil
		}, "broker 1 not restarted: volume second leaves with the pod: it holds 1 replica of broker 1"},
		{"not while it does not say", func(s *stage) { delete(s.shot().LogDirs, 1) },
			"broker 1 not restarted: volume second leaves with the pod: broker 1 does not say what is on it"},
		{"not while it is cordoned", func(s *stage) {
			s.shot().LogDirs[1][1].Holds = nil
			s.shot().BrokerConfigs[1] = map[string]string{cordonKey: model.LogDir("second")}
		}, "broker 1 not restarted: volume second leaves with the pod, and its log directory is cordoned"},
		{"not while it fails and nobody sees what is there", func(s *stage) {
			s.pod(1).Ready, s.pod(1).Running, s.pod(1).Problem, s.obs.Kafka = false, false, model.ProblemCrashLoop, nil
		}, "broker 1 not restarted: volume second leaves with the pod: there is no view of Kafka"},
		{"but while it fails and never had a disk there", func(s *stage) {
			s.pod(1).Ready, s.pod(1).Running, s.pod(1).Problem = false, false, model.ProblemUnschedulable
			claims := s.obs.Nodes[1].Claims
			claims[len(claims)-1].Bound = false
			delete(s.shot().LogDirs, 1)
		}, ""},
		{"then it does", func(s *stage) { s.shot().LogDirs[1][1].Holds = nil }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.loseSecond()
			tt.change(s)
			p := s.next()
			held, restarts := heldBy(p, volumesEmptyName), linesOf(p, Restart)
			switch {
			case tt.held == "" && (len(held) > 0 || restarts == ""):
				t.Errorf("it does not restart: %+v", p.Held)
			case tt.held != "" && (restarts != "" || len(held) != 1 || !strings.HasPrefix(held[0].Message, tt.held)):
				t.Errorf("steps %q, held %+v", restarts, p.Held)
			}
		})
	}
}

// A restart that waits for a volume to be empty would wait for ever if nothing moved before the roll is over.
func TestARestartThatWaitsForAnEmptyVolumeKeepsNoReplicaFromMoving(t *testing.T) {
	s := newStage(t)
	s.loseSecond()
	s.c.Balancing = model.Balancing{Mode: v1alpha1.BalancingOnScale, Tolerance: 10,
		Record: &v1alpha1.BalancingStatus{Spread: []int32{0, 1, 2}}}
	if p := s.next(); len(heldBy(p, volumesEmptyName)) != 1 || len(heldBy(p, "rollFirst")) > 0 {
		t.Errorf("held: %+v", p.Held)
	}
}

func TestAPoolWithOtherVolumesIsMadeAnewInPlaceOfItsTemplate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(s *stage)
		steps  []Kind
	}{
		{"once the budget is sealed and the claims are there", func(*stage) {}, []Kind{RenewPool}},
		{"not before the budget is", func(s *stage) { s.obs.BudgetSealed = false }, nil},
		{"not before the claims are", func(s *stage) {
			seen := s.obs.Nodes[2]
			seen.Claims = seen.Claims[:1]
			s.obs.Nodes[2] = seen
		}, nil},
		{"nor while nothing may restart", func(s *stage) { s.c.Paused = true }, nil},
		{"nor while somebody has cordoned a volume that it loses", func(s *stage) {
			s.pod(1).Volumes = []string{"data", "old"}
			s.shot().BrokerConfigs[1] = map[string]string{cordonKey: model.LogDir("old")}
		}, nil},
		{"nor before the operator's own cordon of it is off", func(s *stage) {
			s.pod(1).Volumes, s.c.Cordoned[1] = []string{"data", "old"}, true
			s.shot().BrokerConfigs[1] = map[string]string{cordonKey: model.LogDir("old")}
		}, []Kind{Uncordon}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.c.Pools[0].Volumes, s.obs.BudgetSealed = jbod, true
			set := s.obs.Pools["main"]
			set.OtherVolumes = true
			s.obs.Pools["main"] = set
			for id := range int32(3) {
				seen := s.obs.Nodes[id]
				seen.Claims = append(slices.Clone(seen.Claims[:1]), model.ObservedClaim{Volume: "second", Name: "second"})
				seen.Claims[0].Volume = "data"
				s.obs.Nodes[id] = seen
				s.want.Files[id] = print2("v2")
			}
			s.want.Templates["main"] = print2("t2")
			tt.change(s)
			p := s.next()
			var kinds []Kind
			for _, step := range p.Steps {
				kinds = append(kinds, step.Kind)
			}
			if !slices.Equal(kinds, tt.steps) {
				t.Errorf("steps %v; held %+v; waiting %v", p.Steps, p.Held, p.Waiting)
			}
			if len(tt.steps) > 0 && (!p.Sealed || p.Evictable != 0) {
				t.Errorf("%d may be evicted", p.Evictable)
			}
		})
	}
}

// Node 0 runs without the volume, whose claim it has still. What came to the volume last is nowhere else.
func TestTheClaimOfAVolumeThatLeftStaysWhateverThePoolSays(t *testing.T) {
	s := newStage(t)
	s.leaveSecond()
	s.c.Pools[0].Volumes, s.c.Pools[0].Leaving = jbod[:1], nil
	for id := range int32(3) {
		s.pod(id).Volumes = []string{"data"}
		s.shot().LogDirs[id] = []kafka.LogDir{{Path: model.LogDir("data")}}
	}
	claims := s.obs.Nodes[0].Claims
	claims[len(claims)-1].Unwanted = true
	if p := s.next(); linesOf(p, DeleteClaims) != "" {
		t.Errorf("steps %q; held %+v", linesOf(p, DeleteClaims), p.Held)
	}
}
