package plan

import (
	"slices"
	"strings"
	"testing"
)

// leavingStage is dedicated while broker 1003 leaves.
func leavingStage() *stage {
	s := dedicated()
	s.scale("brk", 3)
	return stageOf(s)
}

func TestABrokerIsCordonedWhileItLeaves(t *testing.T) {
	cordoned := func(s *stage, dirs string) {
		s.shot().BrokerConfigs[1003] = map[string]string{cordonKey: dirs}
	}
	tests := []struct {
		name   string
		change func(s *stage)
		steps  string
		record []int32
	}{
		{"it is on record first", func(*stage) {}, "", []int32{1003}},
		{"and then cordoned", func(s *stage) { s.c.Cordoned[1003] = true },
			"cordon broker 1003: it leaves, and gets no new replica", []int32{1003}},
		{"once", func(s *stage) { s.c.Cordoned[1003] = true; cordoned(s, "*") }, "", []int32{1003}},
		{"a cordon of somebody else counts", func(s *stage) { cordoned(s, "*") }, "", []int32{1003}},
		{"that of one disk does not do", func(s *stage) { s.c.Cordoned[1003] = true; cordoned(s, "/logs") },
			"cordon broker 1003: it leaves, and gets no new replica", []int32{1003}},
		{"not before Kafka 4.3",
			func(s *stage) { s.c.Cordoned[1003] = true; s.pod(1003).Version = "4.2.2" }, "", []int32{1003}},
		{"not below metadata.version 4.3-IV0", func(s *stage) { s.shot().MetadataVersion = 29 }, "", nil},
		{"not while too few would stay",
			func(s *stage) { s.partition(1).Replicas = []int32{1000, 1001, 1002, 1003} }, "", nil},
		{"not while it does not answer", func(s *stage) { delete(s.shot().BrokerConfigs, 1003) }, "", nil},
		{"not without a view of Kafka, which changes no record",
			func(s *stage) { s.c.Cordoned[1003] = true; s.obs.Kafka = nil }, "", []int32{1003}},
		{"not where the key is left to others", func(s *stage) {
			s.c.Cordoned[1003], s.c.UnmanagedConfig = true, map[string]bool{cordonKey: true}
		}, "", []int32{1003}},
		{"the record of one that is gone stays", func(s *stage) { s.c.Cordoned[1007] = true }, "", []int32{1003, 1007}},
		{"one of the spec with a cordon of the operator is uncordoned", func(s *stage) {
			s.c.Cordoned[1000], s.shot().BrokerConfigs[1000] = true, map[string]string{cordonKey: "*"}
		}, "uncordon broker 1000: the spec asks for it", []int32{1000, 1003}},
		{"and forgotten", func(s *stage) { s.c.Cordoned[1000] = true }, "", []int32{1003}},
		{"one that somebody has cordoned otherwise since is forgotten", func(s *stage) {
			s.c.Cordoned[1000], s.shot().BrokerConfigs[1000] = true, map[string]string{cordonKey: "/logs"}
		}, "", []int32{1003}},
		{"one of the spec that somebody has cordoned is left alone",
			func(s *stage) { s.shot().BrokerConfigs[1000] = map[string]string{cordonKey: "*"} }, "", []int32{1003}},
		{"nothing is forgotten before the cluster has an id",
			func(s *stage) { s.c.Cordoned[1000], s.c.ClusterID = true, "" }, "", []int32{1000}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := leavingStage()
			tt.change(s)
			p := s.next()
			if got := linesOf(p, Cordon, Uncordon, AlterConfig); got != tt.steps {
				t.Errorf("steps are %q, want %q", got, tt.steps)
			}
			if !slices.Equal(p.Cordoned, tt.record) {
				t.Errorf("on record are %v, want %v", p.Cordoned, tt.record)
			}
		})
	}
}

func linesOf(p Plan, kinds ...Kind) string {
	var lines []string
	for _, step := range p.Steps {
		if slices.Contains(kinds, step.Kind) {
			lines = append(lines, step.String())
		}
	}
	return strings.Join(lines, "|")
}

// goneStage is dedicated with broker 1003 gone; late-0 names it.
func goneStage() *stage {
	s := leavingStage()
	set := s.obs.Pools["brk"]
	set.Replicas = 3
	s.obs.Pools["brk"] = set
	delete(s.obs.Nodes, 1003)
	s.partition(1).ISR = []int32{1001, 1002}
	return s
}

func TestABrokerThatIsGoneComesBackWherePartitionsNameIt(t *testing.T) {
	const back = "bring back brk-1003: it is gone, and has replicas of 1 partition, among them orders-1"
	const waits = "broker 1003 is gone, and has replicas of 1 partition, among them orders-1: " +
		"move them to other brokers, or ask for it again"
	forget := func(s *stage) { s.shot().Brokers = s.shot().Brokers[:3] }
	tests := []struct {
		name   string
		change func(s *stage)
		steps  string
		waits  bool
	}{
		{"registered", func(*stage) {}, back, false},
		{"forgotten by Kafka", forget, back, false},
		{"not where nothing names it", func(s *stage) { s.partition(1).Replicas = []int32{1001, 1002} }, "", false},
		{"not on a view that is too old", func(s *stage) { s.now = s.now.Add(snapshotMaxAge + 1) }, "", false},
		{"not before the cache has shown the last act", func(s *stage) { s.obs.CacheCurrent = false }, "", false},
		{"without its files somebody has to help",
			func(s *stage) { forget(s); delete(s.obs.Pools["brk"].Files, 1003) }, "", true},
		{"not without its StatefulSet", func(s *stage) { forget(s); delete(s.obs.Pools, "brk") }, "", true},
		{"others of the pool between come with it", func(s *stage) {
			s.partition(1).Replicas = []int32{1001, 1002, 1004}
			s.obs.Pools["brk"].Files[1004] = s.obs.Pools["brk"].Files[1003]
		}, strings.ReplaceAll(back, "1003", "1004"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := goneStage()
			tt.change(s)
			p := s.next()
			if got := linesOf(p, ReturnNode); got != tt.steps {
				t.Errorf("steps are %q, want %q", got, tt.steps)
			}
			if got := slices.Contains(p.Waiting, waits); got != tt.waits {
				t.Errorf("it waits for somebody: %t, want %t; %q", got, tt.waits, p.Waiting)
			}
			for _, step := range p.Steps {
				if step.Kind == ReturnNode && step.Replicas != step.Node-999 {
					t.Errorf("its pool is to have %d replicas", step.Replicas)
				}
				if step.Kind == Unregister {
					t.Errorf("%s", step)
				}
			}
		})
	}
}
