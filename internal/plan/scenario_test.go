package plan

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden traces anew")

// threeCombined is a cluster at rest with a topic of three partitions, min ISR 2 of 3.
func threeCombined(t *testing.T) *sim {
	t.Helper()
	s := newSim(simPools("main:0:3:cb"))
	mustSettle(t, s)
	s.topic("orders", 2, []int32{0, 1, 2}, []int32{1, 2, 0}, []int32{2, 0, 1})
	s.trace, s.last = nil, ""
	s.run(1)
	return s
}

func mustSettle(t *testing.T, s *sim) {
	t.Helper()
	if !s.settle(900) {
		t.Fatalf("the plan is not empty after 900 s:\n%s\ntrace:\n%s", s.last, strings.Join(s.trace, "\n"))
	}
}

// scenarios each tell one story; its trace is testdata/<name>.golden.
var scenarios = []struct {
	name string
	play func(t *testing.T) *sim
}{
	{"creation", func(t *testing.T) *sim {
		s := newSim(simPools("main:0:3:cb"))
		return s
	}},
	{"static change over three combined nodes", func(t *testing.T) *sim {
		s := threeCombined(t)
		s.edit("v2")
		return s
	}},
	{"static change over dedicated controllers and brokers", func(t *testing.T) *sim {
		s := newSim(simPools("ctl:0:3:c", "brk:1000:3:b"))
		mustSettle(t, s)
		s.topic("orders", 2, []int32{1000, 1001, 1002}, []int32{1001, 1002, 1000})
		s.trace, s.last = nil, ""
		s.edit("v2")
		return s
	}},
	{"run-time change", func(t *testing.T) *sim {
		s := threeCombined(t)
		s.config["message.max.bytes"] = "1"
		s.c.DynamicConfig = map[string]string{"min.insync.replicas": "1", "log.cleaner.threads": "2"}
		return s
	}},
	{"bad value and back", func(t *testing.T) *sim {
		s := threeCombined(t)
		s.bad["v2"] = true
		s.edit("v2")
		s.run(60)
		s.note("(the user takes the value back)")
		s.edit("v1")
		return s
	}},
	{"bad template and forward", func(t *testing.T) *sim {
		s := threeCombined(t)
		s.bad["t2"] = true
		s.want.Templates["main"] = print2("t2")
		s.run(60)
		s.note("(the user mends the template)")
		s.restarts = map[int32]int{}
		s.want.Templates["main"] = print2("t3")
		return s
	}},
	{"bad value from the very first start", func(t *testing.T) *sim {
		s := newSim(simPools("main:0:3:cb"))
		s.bad["v1"] = true
		s.run(20)
		s.note("(the user mends the value)")
		s.edit("v2")
		return s
	}},
	{"brokers that hang from the very first start", func(t *testing.T) *sim {
		s := newSim(simPools("ctl:0:3:c", "brk:1000:2:b"))
		s.hangs["bad"] = true
		s.edit("bad", 1000, 1001)
		s.run(20)
		s.note("(the user mends the value)")
		s.edit("v2", 1000, 1001)
		return s
	}},
	{"controllers that never find each other", func(t *testing.T) *sim {
		s := newSim(simPools("ctl:0:3:c", "brk:1000:2:b"))
		s.hangs["bad"] = true
		s.edit("bad", 0, 1, 2)
		s.run(20)
		s.note("(the user mends the value)")
		s.edit("v2", 0, 1, 2)
		return s
	}},
	{"a template that no pod can be made from", func(t *testing.T) *sim {
		s := threeCombined(t)
		s.refused["t2"] = true
		s.want.Templates["main"] = print2("t2")
		s.run(20)
		s.note("(the user mends the template)")
		s.restarts = map[int32]int{}
		s.want.Templates["main"] = print2("t3")
		return s
	}},
	{"scale from three to four", func(t *testing.T) *sim {
		s := threeCombined(t)
		s.grow("main")
		return s
	}},
	{"pod deleted in mid-roll", func(t *testing.T) *sim {
		s := threeCombined(t)
		s.edit("v2")
		s.run(6)
		s.note("(somebody deletes the pod of node 2)")
		s.stop(s.nodes[2])
		return s
	}},
	{"node lost in mid-roll", func(t *testing.T) *sim {
		s := threeCombined(t)
		s.edit("v2")
		s.run(20)
		s.note("(the machine of node 2 loses power)")
		s.power(s.nodes[2], true)
		s.run(60)
		s.note("(the machine of node 2 is back)")
		s.power(s.nodes[2], false)
		return s
	}},
	{"stale cache cannot delete two pods", func(t *testing.T) *sim {
		s := threeCombined(t)
		s.lag = 3
		s.edit("v2")
		return s
	}},
	{"another operator version restarts nobody", func(t *testing.T) *sim {
		s := threeCombined(t)
		for id, f := range s.want.Files {
			f.Whole = f.User + "/op2"
			s.want.Files[id] = f
		}
		return s
	}},
	{"a partition of one replica pauses", func(t *testing.T) *sim {
		s := threeCombined(t)
		s.topic("single", 1, []int32{1})
		s.edit("v2")
		return s
	}},
}

func (s *sim) grow(name string) {
	for i := range s.c.Pools {
		if p := &s.c.Pools[i]; p.Name == name {
			addNode(s.c, p, p.FirstNodeID+p.Replicas)
			p.Replicas++
		}
	}
	for _, n := range s.c.Nodes {
		if _, known := s.want.Files[n.ID]; !known {
			s.edit(s.want.Files[s.c.PoolOf(&n).FirstNodeID].User, n.ID)
		}
	}
}

func TestEveryStoryEndsWellAndReadsTheSame(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			s := sc.play(t)
			mustSettle(t, s)
			s.note("(nothing is left to do)")
			if len(s.wrong) > 0 {
				t.Errorf("broken promises:\n%s", strings.Join(s.wrong, "\n"))
			}
			for id, n := range s.nodes {
				if n.pod.Files.User != s.want.Files[id].User {
					t.Errorf("node %d runs %q at the end, want %q", id, n.pod.Files.User, s.want.Files[id].User)
				}
			}
			checkGolden(t, sc.name, strings.Join(s.trace, "\n")+"\n")
		})
	}
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
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

// Every story again, with an operator that dies before each of its steps in turn.
func TestAnOperatorThatDiesBetweenAnyTwoStepsChangesNothing(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			whole := sc.play(t)
			from := whole.steps
			mustSettle(t, whole)
			for at := from + 1; at <= whole.steps; at++ {
				s := sc.play(t)
				s.crashAt = at
				mustSettle(t, s)
				if len(s.wrong) > 0 {
					t.Errorf("operator dead before step %d:\n%s", at, strings.Join(s.wrong, "\n"))
				}
			}
		})
	}
}
