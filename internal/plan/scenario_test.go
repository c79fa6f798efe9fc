package plan

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/model"
)

var update = flag.Bool("update", false, "write the golden traces anew")

// story is one thing that happens to a cluster; its trace is testdata/<name>.golden.
type story struct {
	name  string
	begin func() *sim
	play  func(s *sim)
}

// stories hold one for every point of what the planner decides.
func stories() []story {
	return slices.Concat(restartStories, repairStories, upgradeStories, quorumStories, sizeStories, careStories, balancingStories)
}

// atRest is a cluster that is complete and has nothing to do.
func atRest(pools ...string) *sim {
	s := newSim(simPools(pools...))
	s.settle(300)
	return s.aged()
}

// aged lets every pod have been ready for an hour, so that nothing is on trial.
func (s *sim) aged() *sim {
	for _, n := range s.order {
		if n.pod != nil && n.pod.Ready {
			n.change(func(p *model.ObservedPod) { p.ReadySince = p.ReadySince.Add(-time.Hour) })
		}
	}
	return s
}

// toldAnew forgets the trace so far.
func toldAnew(s *sim) *sim {
	s.run(s.snapAge + 1)
	s.trace, s.last, s.rounds = nil, "", 0
	return s.aged()
}

// threeCombined is a cluster at rest with a topic of three partitions, min ISR 2 of 3.
func threeCombined() *sim {
	s := atRest("main:0:3:cb")
	s.topic("orders", 2, []int32{0, 1, 2}, []int32{1, 2, 0}, []int32{2, 0, 1})
	return toldAnew(s)
}

// twoDisks is threeCombined with two disks each.
func twoDisks() *sim {
	s := atRest("main:0:3:cbj")
	s.topic("orders", 2, []int32{0, 1, 2}, []int32{1, 2, 0}, []int32{2, 0, 1})
	return toldAnew(s)
}

// handsOver has controllers in a pool of brokers with two disks each, and another pool of brokers.
func handsOver() *sim {
	s := atRest("main:0:3:cbj", "more:1000:3:b")
	s.topic("orders", 2, []int32{0, 1, 1000}, []int32{1, 2, 1001}, []int32{2, 0, 1002})
	return toldAnew(s)
}

// dedicated has three controllers, four brokers, and a topic with min ISR 2 of 3.
func dedicated() *sim {
	s := atRest("ctl:0:3:c", "brk:1000:4:b")
	s.topic("orders", 2, []int32{1000, 1001, 1002}, []int32{1001, 1002, 1003})
	return toldAnew(s)
}

// older is dedicated on a version of Kafka that knows no cordon.
func older() *sim {
	c := simPools("ctl:0:3:c", "brk:1000:4:b")
	c.Version = "4.2.2"
	s := newSim(c)
	s.settle(300)
	s.topic("orders", 2, []int32{1000, 1001, 1002}, []int32{1001, 1002, 1003})
	return toldAnew(s)
}

// zoned has six brokers in three racks; every partition has a replica in each.
func zoned() *sim {
	s := newSim(simPools("ctl:0:3:c", "brk:1000:6:b"))
	s.users.racks, s.c.RackKey = 3, "zone"
	s.settle(300)
	s.topic("orders", 2, []int32{1000, 1001, 1002}, []int32{1003, 1004, 1005}, []int32{1001, 1005, 1003})
	return toldAnew(s)
}

func TestEveryStoryEndsWellAndReadsTheSame(t *testing.T) {
	for _, st := range stories() {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			s := st.begin()
			s.playToTheEnd(t, st)
			s.note("(nothing is left to do)")
			checkGolden(t, st.name, strings.Join(s.trace, "\n")+"\n")
		})
	}
}

// playToTheEnd fails the test when the story ends badly.
func (s *sim) playToTheEnd(t *testing.T, st story) {
	t.Helper()
	st.play(s)
	settled := s.settle(900)
	complaint := strings.Join(s.wrong, "\n")
	if complaint == "" && !settled {
		complaint = "the plan is not empty after 900 s:\n" + s.last
	}
	if complaint == "" {
		complaint = s.atRest()
	}
	if complaint != "" {
		t.Errorf("%s\ntrace:\n%s", complaint, strings.Join(s.trace, "\n"))
	}
}

func goldenFile(name string) string {
	return filepath.Join("testdata", strings.NewReplacer(",", "", "'", "", " ", "-").Replace(name)+".golden")
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	file := goldenFile(name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the trace differs from %s (go test -update writes it anew); got:\n%s", file, got)
	}
}

// Every story again, with an operator that dies before each of its steps in turn, one whose request is lost, and one
// that never hears the answer.
func TestTroubleBetweenAnyTwoStepsChangesNothing(t *testing.T) {
	troubles := map[string]func(s *sim, at int){
		"dies":       func(s *sim, at int) { s.crashAt = at },
		"is unheard": func(s *sim, at int) { s.loseAt = at },
		"hears nothing": func(s *sim, at int) {
			s.loseAt, s.performed = at, true
		},
	}
	for _, st := range stories() {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			whole := st.begin()
			from := whole.steps
			st.play(whole)
			whole.settle(900)
			for name, trouble := range troubles {
				for at := from + 1; at <= whole.steps && !t.Failed(); at++ {
					s := st.begin()
					trouble(s, at)
					s.playToTheEnd(t, st)
					if t.Failed() {
						t.Logf("the operator %s at step %d", name, at)
					}
				}
			}
		})
	}
}

// A golden file without a story is a story that nobody tells any more.
func TestEveryGoldenFileHasAStory(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, st := range stories() {
		told[goldenFile(st.name)] = true
	}
	for _, file := range files {
		if !told[file] {
			t.Errorf("%s belongs to no story", file)
		}
	}
}

// Every rule is told by a story, or has a case of its own in which it alone decides.
func TestEveryRuleIsToldSomewhere(t *testing.T) {
	var told strings.Builder
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		told.Write(text)
	}
	names := " "
	for _, tt := range predicateTests {
		names += tt.predicate + " "
	}
	for _, p := range predicates {
		alone := slices.ContainsFunc(disruptionTests, func(tt disruptionTest) bool { return tt.predicate == p.name }) ||
			strings.Contains(names, " "+p.name+" ")
		if !alone && !strings.Contains(told.String(), "["+p.name+"]") {
			t.Errorf("no story and no case tells of predicate %s", p.name)
		}
	}
	words := map[string]string{
		"filesChanged": "configuration changed", "templateChanged": "pod template changed",
		"revisionGone": "the revision that it runs is gone", "templateEdited": "it was made from an edited StatefulSet",
		"restartAsked": "asked for at", "replaceAsked": "permits it", "diskGoes": "permits an empty disk",
		"diskChanged": "it came back with another disk", "notAController": "no longer asked for as a controller",
		"notAVoter": "it is asked for as a controller", "notAskedFor": "the spec asks for fewer nodes",
		"poolGone":       "the spec has no such pool",
		"identityEnds":   "its certificate ends at",
		"claimsUnwanted": "the node is gone, and storage.retention.whenScaled of its pool was Delete",
		"brokerGone":     "it is gone for good", "metadataAsked": "is asked for", "movesDue": "gets its share",
	}
	for _, r := range reasons {
		if r.name == "podMissing" {
			continue // it deletes nothing, so no line of a trace gives it
		}
		alone := slices.ContainsFunc(disruptionTests, func(tt disruptionTest) bool {
			return tt.predicate == "" && words[r.name] != "" && strings.Contains(words[r.name], tt.message)
		})
		if words[r.name] == "" || !alone && !strings.Contains(told.String(), words[r.name]) {
			t.Errorf("no story tells of reason %s", r.name)
		}
	}
}
