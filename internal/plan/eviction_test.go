package plan

import (
	"slices"
	"testing"

	"github.com/castellan-dev/castellan/internal/model"
)

func TestWhomKubernetesMayEvict(t *testing.T) {
	pending := func(s *stage) {
		s.pod(0).Ready, s.pod(0).Problem, s.pod(0).KubernetesNode = false, model.ProblemUnschedulable, ""
	}
	for _, tt := range []struct {
		name   string
		change func(s *stage)
		number int32
		spared []string
	}{
		{"any one while all serve", func(*stage) {}, 1, nil},
		{"nobody while one is starting", func(s *stage) { s.pod(0).Ready = false }, 0, nil},
		{"nobody while one catches up", func(s *stage) {
			s.partition(0).MinISR, s.partition(0).ISR = 1, []int32{0, 1}
		}, 0, nil},
		{"nobody while partitions are reassigned", func(s *stage) { s.shot().Reassigning = 1 }, 0, nil},
		{"nobody before the cache has shown the last act", func(s *stage) { s.obs.CacheCurrent = false }, 0, nil},
		{"nobody while the disk of one would go with its pod", func(s *stage) { s.deleteClaim(2, false) }, 0, nil},
		{"nobody before a restart", func(s *stage) { s.change(1) }, 0, nil},
		{"those in the rack of one that waits for its Kubernetes node", func(s *stage) {
			s.spare()
			s.racks("a", "a", "b")
			pending(s)
		}, 0, []string{"events-main-1"}},
		{"those near it though it is out of sync itself", func(s *stage) {
			partitions := s.obs.Kafka.Partitions[:1]
			s.spare()
			s.obs.Kafka.Partitions = partitions
			s.partition(0).MinISR, s.partition(0).ISR = 1, []int32{1, 2}
			s.racks("a", "a", "b")
			pending(s)
		}, 0, []string{"events-main-1"}},
		{"those on the Kubernetes node that its disk is on", func(s *stage) {
			s.spare()
			pending(s)
			seen := s.obs.Nodes[0]
			seen.Claims = []model.ObservedClaim{{KubernetesNode: "k2"}}
			s.obs.Nodes[0] = seen
			s.pod(1).KubernetesNode, s.pod(2).KubernetesNode = "k1", "k2"
		}, 0, []string{"events-main-2"}},
		{"nobody near it whom a partition needs, though Kafka still counts on the one that is down", func(s *stage) {
			partitions := s.obs.Kafka.Partitions
			s.spare()
			s.obs.Kafka.Partitions = partitions
			s.racks("a", "a", "b")
			pending(s)
		}, 0, nil},
		{"nobody near it whom the quorum needs", func(s *stage) {
			s.obs.Kafka.Partitions = nil
			s.racks("a", "a", "b")
			pending(s)
		}, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			tt.change(s)
			if p := s.next(); p.Evictable != tt.number || !slices.Equal(p.Spared, tt.spared) {
				t.Errorf("%d and %v may be evicted, want %d and %v; plan:\n%s", p.Evictable, p.Spared, tt.number,
					tt.spared, p)
			}
		})
	}
}

// A node whose own files stay the same says nothing about a change of the others.
func TestARevisionIsProvenByANodeThatTookIt(t *testing.T) {
	s := newStage(t)
	s.spare()
	s.change(1, 2)
	s.c.MaxUnavailable = 2
	if p := s.next(); !has(p, "restart main-1") || has(p, "restart main-2") {
		t.Errorf("want node 1 to try the revision alone, got:\n%s", p)
	}
	s.pod(1).Files = print2("v2")
	s.change(0)
	s.shot().Quorum.LeaderID = 1
	p := s.next()
	if !has(p, "restart main-0") || !has(p, "restart main-2") {
		t.Errorf("want nodes 0 and 2 together once node 1 works, got:\n%s", p)
	}
}
