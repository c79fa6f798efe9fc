package plan

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// breakRule is the environment variable in which hack/mutation.sh names a rule to be broken for a whole run of the
// tests.
const breakRule = "CASTELLAN_MUTATE"

func TestMain(m *testing.M) {
	if name := os.Getenv(breakRule); name != "" && !broke(name) {
		fmt.Fprintf(os.Stderr, "%s: there is no reason or predicate %q\n", breakRule, name)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// broke makes a predicate say yes to everything, or a reason hold nowhere; it tells whether there is one of that name.
func broke(name string) bool {
	for i := range predicates {
		if predicates[i].name == name {
			predicates[i].permits = func(*view, *disruption, *round) (bool, string) { return true, "" }
			return true
		}
	}
	for i := range reasons {
		if reasons[i].name == name {
			reasons[i].holds = func(*view, *node) (bool, string) { return false, "" }
			return true
		}
	}
	return false
}

// killers hold, for every predicate, the story that goes wrong without it, and the promise that is broken then.
var killers = map[string]struct {
	breaks string
	play   func(s *sim)
	make   func() *sim
}{
	"cacheCurrent": {"while node 2 is not ready", func(s *sim) {
		s.lag, s.snapAge = 3, 9
		s.edit("v2")
		for range 60 {
			if s.run(1); s.started[2] > 0 {
				break
			}
		}
		s.edit("v1", 2) // node 2 needs no restart any more, and its old pod still stands in the cache
		s.run(5)
	}, combinedAtRest},
	"comesBack": {"nobody makes its pod again", func(s *sim) {
		s.edit("v2")
		s.run(2)
		s.sets["main"].deleting = true
		s.run(5)
	}, combinedAtRest},
	"diskStays": {"its disk goes with it, and nobody permitted that", func(s *sim) {
		s.nodes[1].going = true
		s.users.replaceAfter = 0
		s.edit("v2", 1)
		s.run(5)
	}, combinedAtRest},
	"knowsFeatures": {"which cannot read metadata.version 30", func(s *sim) {
		s.editVersion("4.2.2")
		s.run(20)
	}, combinedAtRest},
	"filesKnown": {"restarted twice for one change", func(s *sim) {
		s.learn(1, "the NodePort of broker 1")
		s.edit("v2")
		s.editTemplate("main", "t2")
		s.run(60)
		s.learn(1, "")
		s.run(60)
	}, combinedAtRest},
	"revisionKnown": {"on a guess", func(s *sim) {
		s.nodes[1].change(func(p *model.ObservedPod) { p.Files = model.Fingerprint{} })
		s.run(5)
	}, combinedAtRest},
	"snapshotFresh": {"is not in sync", func(s *sim) {
		s.snapAge = 100
		s.topic("lean", 1, []int32{0, 1, 2})
		s.cached = nil
		s.run(5)
		s.fallBehind(2)
		s.run(20)
		s.edit("v2")
		s.run(5)
	}, combinedAtRest},
	"snapshotNewer": {"is not in sync", func(s *sim) {
		s.snapAge, s.ticks.boot, s.ticks.sync = 10, 2, 30
		s.edit("v2", 1)
		s.topic("lean", 1, []int32{0, 1, 2})
		s.cached = nil
		_, _ = s.snapshot()
		s.kill(s.nodes[2])
		s.run(9)
	}, combinedAtRest},
	"quorumMajority": {"the quorum keeps 1 of 3 voters", func(s *sim) {
		s.nodes[2].frozen = true
		s.run(10)
		s.edit("v2", 0, 1)
		s.run(5)
	}, func() *sim { return atRest("ctl:0:3:c", "brk:1000:3:b") }},
	"offline": {"goes offline", func(s *sim) {
		s.topic("orphans", 2, []int32{1000, 9})
		s.kafka.parts[0].ISR = []int32{1000}
		s.edit("v2", 1000)
		s.run(5)
	}, func() *sim { return atRest("ctl:0:3:c", "brk:1000:3:b") }},
	"minISR": {"falls to 1 in-sync replicas", func(s *sim) {
		s.c.Unavailable = v1alpha1.UnavailableWait
		s.topic("pairs", 2, []int32{0, 1})
		s.edit("v2")
		s.run(20)
	}, combinedAtRest},
	"provenRevision": {"onto a template whose sidecar does not work", func(s *sim) {
		s.topic("orders", 2, []int32{1000, 1001, 1002}, []int32{1001, 1002, 1003})
		s.flaky["t2"] = true
		s.editTemplate("brk", "t2")
		s.run(60)
	}, func() *sim { return atRest("ctl:0:3:c", "brk:1000:4:b") }},
	"othersReady": {"while node 1002 is not ready", func(s *sim) {
		s.power(s.nodes[1002], true)
		s.run(20)
		s.edit("v2", 0, 1, 2)
		s.run(5)
	}, func() *sim { return atRest("ctl:0:3:c", "brk:1000:3:b") }},
	"brokersForgotten": {"pool more is removed and partitions name broker 2000", func(s *sim) {
		s.snapAge = 9
		s.removePool("more")
		s.getsReplicaAtItsEnd(2000)
		s.run(20)
	}, func() *sim {
		c := simPools("ctl:0:3:c", "brk:1000:3:b", "more:2000:1:b")
		c.Version = "4.2.2"
		s := newSim(c)
		s.settle(300)
		return s.aged()
	}},
	"forgotten": {"are deleted and Kafka knows it", func(s *sim) {
		s.deleteWhenScaled("brk")
		s.run(2)
		s.scale("brk", 3)
		for s.slot(s.nodes[1003]) {
			s.run(1)
		}
		s.kill(s.nodes[1003]) // Kafka counts on it until its session ends
		s.run(5)
	}, func() *sim { return atRest("ctl:0:3:c", "brk:1000:4:b") }},
	"rollFirst": {"is to be restarted", func(s *sim) {
		s.run(4)
		s.edit("v2")
		s.run(30)
	}, growing},
	"disksWork": {"while a disk of node", func(s *sim) {
		s.run(4)
		s.failDisk(s.nodes[1])
		s.run(30)
	}, growing},
	"isrComplete": {"is not in sync", func(s *sim) {
		s.ticks.sync = 10
		s.topic("lean", 1, []int32{0, 1, 2})
		s.edit("v2")
		s.run(60)
	}, combinedAtRest},
}

func combinedAtRest() *sim { return atRest("main:0:3:cb") }

func TestEveryPredicateIsMissedWhenItIsMadeToSayYes(t *testing.T) {
	for i, p := range predicates {
		t.Run(p.name, func(t *testing.T) {
			k, told := killers[p.name]
			if !told {
				if !slices.ContainsFunc(disruptionTests,
					func(tt disruptionTest) bool { return tt.predicate == p.name }) {
					t.Fatalf("nothing goes wrong without predicate %s", p.name)
				}
				return
			}
			s := k.make()
			k.play(s)
			if len(s.wrong) > 0 {
				t.Errorf("the story goes wrong with all predicates:\n%s\n%s", strings.Join(s.wrong, "\n"),
					strings.Join(s.trace, "\n"))
			}
			s = k.make()
			s.tables.predicates = slices.Clone(predicates)
			s.tables.predicates[i].permits = func(*view, *disruption, *round) (bool, string) { return true, "" }
			k.play(s)
			if !strings.Contains(strings.Join(s.wrong, "\n"), k.breaks) {
				t.Errorf("without it, want a broken promise %q, got %q; trace:\n%s", k.breaks, s.wrong,
					strings.Join(s.trace, "\n"))
			}
		})
	}
}

// growing is a cluster whose replicas move to a broker that was added, one at a time.
func growing() *sim {
	s := newSim(simPools("main:0:3:cbj", "more:1000:1:bj"))
	s.c.Balancing = model.Balancing{Mode: v1alpha1.BalancingOnScale, Tolerance: 10, MaxMoving: 1}
	s.settle(200)
	var assignments [][]int32
	for i := range int32(12) {
		assignments = append(assignments, []int32{i % 3, (i + 1) % 3})
	}
	s.topic("orders", 1, assignments...)
	s.scale("more", 2)
	for len(s.kafka.throttled) == 0 && s.tick < 500 {
		s.run(1)
	}
	return s
}
