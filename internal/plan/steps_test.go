package plan

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// has tells whether a plan prints a line that begins so.
func has(p Plan, line string) bool {
	return strings.HasPrefix(p.String(), line) || strings.Contains(p.String(), "\n"+line)
}

func TestStepsOfAPass(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *stage)
		want   []string // beginnings of lines; "!" before one that must not be there
	}{
		{"a cluster at rest needs nothing", func(*stage) {}, nil},
		{"nothing is done before the cluster id is on record", func(s *stage) { s.c.ClusterID = "" },
			[]string{"wait: the cluster id and the initial voters are not recorded yet"}},
		{"nothing is done before the initial voters are on record",
			func(s *stage) { s.c.Bootstrapped, s.c.InitialVoters = false, nil },
			[]string{"wait: the cluster id and the initial voters are not recorded yet"}},
		{"a new pool waits until the files of all its nodes are known", func(s *stage) {
			delete(s.obs.Pools, "main")
			s.obs.Nodes = nil
			delete(s.want.Files, 2)
			s.c.Nodes[2].Waiting = "the NodePort of broker 2"
		}, []string{"wait: broker 2 waits: the NodePort of broker 2", "!create"}},
		{"the StatefulSet of pods that live is made again at once", func(s *stage) {
			delete(s.obs.Pools, "main")
			delete(s.want.Files, 2)
		}, []string{"create pool main with nodes 0, 1:"}},
		{"a pool does not grow before the files of its new nodes are known", func(s *stage) {
			addNode(s.c, &s.c.Pools[0], 3)
			s.c.Pools[0].Replicas, s.c.Nodes[3].Waiting = 4, "the NodePort of broker 3"
		}, []string{"wait: broker 3 waits: the NodePort of broker 3", "!scale"}},
		{"a pool never shrinks", func(s *stage) { s.c.Pools[0].Replicas = 2 }, []string{"!scale"}},
		{"a growing pool stages nothing else and restarts nobody in the same pass", func(s *stage) {
			addNode(s.c, &s.c.Pools[0], 3)
			s.c.Pools[0].Replicas, s.want.Files[3] = 4, print2("v1")
			s.change(1)
		}, []string{"scale pool main by nodes 3:", "!stage", "!restart"}},
		{"an unproven revision is staged for the next node alone", func(s *stage) {
			for id := range s.want.Files {
				s.want.Files[id] = print2("v2")
			}
		}, []string{"stage main for nodes 1: the next", "!restart"}},
		{"a proven revision is staged for all at once", func(s *stage) {
			for id := range s.want.Files {
				s.want.Files[id] = print2("v2")
			}
			s.obs.Pools["main"].Files[1], s.pod(1).Files = print2("v2"), print2("v2")
		}, []string{"stage main for nodes 0, 2: the new revision works"}},
		{"a change that was staged and taken back is staged back without a restart", func(s *stage) {
			s.obs.Pools["main"].Files[1] = print2("v2")
		}, []string{"stage main for nodes 1:", "!restart"}},
		{"a pool that is to have no controllers keeps what is staged while one of them votes", func(s *stage) {
			s.c.Pools[0].Controller = false
			s.change(1)
			s.pod(1).Files = print2("v2")
			s.want.Files[0], s.want.Files[2] = print2("v2"), print2("v2")
		}, []string{"!stage"}},
		{"a node that waits for a fact keeps its files and goes on", func(s *stage) {
			delete(s.want.Files, 1)
			s.c.Nodes[1].Waiting = "the NodePort of broker 1"
		}, []string{"wait: broker 1 keeps its files: the NodePort of broker 1", "!stage", "!restart"}},
		{"preferred leaders are not elected while somebody catches up", func(s *stage) {
			s.partition(0).Leader = 1
			s.partition(1).ISR = []int32{1, 2}
		}, []string{"!elect", "wait: broker 0 is catching up on 1 partition"}},
		{"preferred leaders are elected when all is quiet", func(s *stage) { s.partition(0).Leader = 1 },
			[]string{"elect preferred leaders: orders-0 is led by broker 1 and not by broker 0"}},
		{"preferred leaders are not elected where Kafka is told not to", func(s *stage) {
			s.partition(0).Leader = 1
			s.c.Pools[0].StaticConfig = map[string]string{"auto.leader.rebalance.enable": " FALSE"}
		}, []string{"!elect"}},
		{"a preferred replica that is out of sync is not elected", func(s *stage) {
			p := s.partition(0)
			p.Replicas, p.ISR, p.Leader = []int32{9, 0, 1}, []int32{0, 1}, 0
		}, []string{"!elect"}},
		{"a partition without a leader gets one while somebody catches up", func(s *stage) {
			s.partition(0).Leader = -1
			s.partition(1).ISR = []int32{1, 2}
		}, []string{"elect preferred leaders: orders-0 has no leader, and broker 0 is in sync"}},
		{"and where Kafka is told to leave leaders alone", func(s *stage) {
			s.partition(0).Leader, s.partition(1).Leader = -1, 2
			s.c.Pools[0].StaticConfig = map[string]string{"auto.leader.rebalance.enable": "false"}
		}, []string{"elect preferred leaders: orders-0 has no leader"}},
		{"and with those that others lead", func(s *stage) { s.partition(0).Leader, s.partition(1).Leader = -1, 2 },
			[]string{"elect preferred leaders: orders-0 has no leader, and broker 0 is in sync, orders-1 is led by broker 2"}},
		{"and where all serve that may have been in sync last", func(s *stage) {
			p := s.partition(0)
			p.Leader, p.ISR = -1, nil
		}, []string{"elect preferred leaders: orders-0 has no leader, and all its replicas serve"}},
		{"but not where one that may have been it does not serve", func(s *stage) {
			p := s.partition(0)
			p.Leader, p.ISR = -1, nil
			s.shot().Brokers[1].Fenced = true
		}, []string{"!elect"}},
		{"nor where none of those in sync serves", func(s *stage) {
			p := s.partition(0)
			p.Leader, p.ISR = -1, []int32{0}
			s.shot().Brokers[0].Fenced = true
		}, []string{"!elect"}},
		{"nor from a pod that stops", func(s *stage) {
			p := s.partition(0)
			p.Leader, p.ISR = -1, []int32{0}
			s.pod(0).Deleting = true
		}, []string{"!elect"}},
		{"nor from a disk that has failed", func(s *stage) {
			p := s.partition(0)
			p.Leader, p.ISR, p.Offline = -1, []int32{0}, []int32{0}
		}, []string{"!elect"}},
		{"nor by an old view", func(s *stage) {
			s.partition(0).Leader = -1
			s.shot().TakenAt = s.shot().TakenAt.Add(-time.Minute)
		}, []string{"!elect"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			tt.change(s)
			p := s.next()
			for _, line := range tt.want {
				if unwanted, no := strings.CutPrefix(line, "!"); no && has(p, unwanted) || !no && !has(p, line) {
					t.Errorf("line %q in plan:\n%s", line, p)
				}
			}
			if len(tt.want) == 0 && !p.Empty() {
				t.Errorf("want an empty plan, got:\n%s", p)
			}
		})
	}
}

func TestFormattingIsSaidOncePerDisk(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *stage)
		want   string
	}{
		{"the first disk of an initial voter founds the quorum", func(s *stage) {
			s.c.Bootstrapped, s.c.InitialVoters[1].DiskUID = false, ""
		}, FormatInitial},
		{"a founder that comes up late is told the same", func(s *stage) { s.c.Bootstrapped = false }, FormatInitial},
		{"a disk that was emptied joins, though it is on record", func(*stage) {}, FormatJoin},
		{"another disk of an initial voter joins", func(s *stage) {
			s.obs.Nodes[1] = model.ObservedNode{Pod: s.pod(1), DiskUID: "claim-new"}
		}, FormatJoin},
		{"another disk joins even before the cluster was seen to work", func(s *stage) {
			s.c.Bootstrapped = false
			s.obs.Nodes[1] = model.ObservedNode{Pod: s.pod(1), DiskUID: "claim-new"}
		}, FormatJoin},
		{"a disk that is not on record joins a cluster that was seen to work", func(s *stage) {
			s.c.InitialVoters[1].DiskUID = ""
		}, FormatJoin},
		{"a node that was no initial voter joins", func(s *stage) { s.c.InitialVoters = s.c.InitialVoters[:1] },
			FormatJoin},
		{"an ephemeral disk is known by its pod", func(s *stage) {
			s.c.Pools[0].Volumes[0].Ephemeral = true
			s.c.Bootstrapped, s.c.InitialVoters[1].DiskUID = false, s.pod(1).UID
		}, FormatInitial},
		{"an ephemeral disk of a later pod joins", func(s *stage) { s.c.Pools[0].Volumes[0].Ephemeral = true },
			FormatJoin},
		{"a claim that nobody has seen says nothing",
			func(s *stage) { s.obs.Nodes[1] = model.ObservedNode{Pod: s.pod(1)} }, ""},
		{"a pod that is being deleted is told nothing", func(s *stage) { s.pod(1).Deleting = true }, ""},
		{"a stale cache tells nothing", func(s *stage) { s.obs.CacheCurrent = false }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.pod(1).Format = ""
			tt.change(s)
			got := ""
			for _, step := range s.next().Steps {
				if step.Kind == SayFormat && step.Node == 1 {
					got = step.Format
				}
			}
			if got != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRunTimeConfigurationIsMadeEqual(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *stage)
		want   string // the configuring lines
	}{
		{"equal keys are left alone", func(*stage) {}, ""},
		{"a missing and a different key are set", func(s *stage) {
			s.c.DynamicConfig = map[string]string{"min.insync.replicas": "1", "a": "1"}
		}, "configure all brokers: set min.insync.replicas|configure all brokers: set a"},
		{"a key that nobody asks for is deleted", func(s *stage) { s.shot().Config["b"] = "1" },
			"configure all brokers: delete b"},
		{"a key that the user leaves to others is left alone", func(s *stage) {
			s.shot().Config["b"] = "1"
			s.c.UnmanagedConfig = map[string]bool{"b": true}
		}, ""},
		{"throttles of other tools are left alone",
			func(s *stage) { s.shot().Config["leader.replication.throttled.rate"] = "1" }, ""},
		{"a sensitive key, whose value Kafka hides, is not set again and again", func(s *stage) {
			s.c.DynamicConfig["ssl.key.password"], s.shot().Config["ssl.key.password"] = "x", ""
		}, ""},
		{"min.insync.replicas is never deleted", func(s *stage) { s.c.DynamicConfig = nil }, ""},
		{"a pool's keys are set on its brokers that answered", func(s *stage) {
			s.c.Pools[0].DynamicConfig = map[string]string{"c": "1"}
			s.shot().BrokerConfigs = map[int32]map[string]string{0: {"c": "1"}, 1: {}, 2: {"c": "1", "d": "1"}}
		}, "configure broker 1: set c|configure broker 2: delete d"},
		{"cordoned log directories are left alone", func(s *stage) {
			s.shot().BrokerConfigs = map[int32]map[string]string{0: {"cordoned.log.dirs": "*"}}
		}, ""},
		{"a foreign cluster is left alone", func(s *stage) {
			s.shot().ClusterID, s.shot().Config = "OTHER", nil
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			tt.change(s)
			var got []string
			for _, step := range s.next().Steps {
				if step.Kind == AlterConfig {
					line, _, _ := strings.Cut(step.String(), ": run-time")
					got = append(got, line)
				}
			}
			if strings.Join(got, "|") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWaitingTellsTheWaysOfNotStartingApart(t *testing.T) {
	tests := []struct {
		problem model.PodProblem
		want    string
	}{
		{model.ProblemNone, "broker 1 is starting"},
		{model.ProblemUnschedulable, "broker 1 finds no Kubernetes node: why"},
		{model.ProblemImagePull, "broker 1 cannot pull its image: why"},
		{model.ProblemCrashLoop, "broker 1 stops as soon as it starts (5 restarts): why"},
		{model.ProblemConfig, "broker 1 cannot be set up: why"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			s := newStage(t)
			pod := s.pod(1)
			pod.Ready, pod.Problem, pod.ProblemMessage, pod.Restarts = false, tt.problem, "why", 5
			if p := s.next(); !has(p, "wait: "+tt.want) {
				t.Errorf("want %q in:\n%s", tt.want, p)
			}
		})
	}
}

func TestWaitingTellsOfABrokerThatEndedForNoFaultOfItsOwn(t *testing.T) {
	s := newStage(t)
	pod := s.pod(1)
	pod.Ready, pod.Awaits, pod.Restarts = false, "why", 2
	if p := s.next(); !has(p, "wait: broker 1 waits (2 restarts): why") {
		t.Errorf("nothing says that it waits:\n%s", p)
	}
}

func TestOrderOfRestarts(t *testing.T) {
	s := newSim(simPools("ctl:0:3:c", "mix:10:1:cb", "brk:1000:2:b"))
	s.settle(300)
	s.kafka.leader = 10
	s.cached = nil
	obs := s.observe()
	obs.Nodes[1001].Pod.Ready = false
	s.edit("v2")
	v := newView(s.c, s.want, obs, s.now)
	p := &Plan{}
	none := tables{reasons, []predicate{{
		name: "never", guards: everything, asks: failed,
		permits: func(*view, *disruption, *round) (bool, string) { return false, "x" },
	}}}
	v.choose(p, none)
	var order []string
	for _, h := range p.Held {
		order = append(order, fmt.Sprint(h.Node))
	}
	if got := strings.Join(order, " "); got != "1001 1000 0 1 2 10" {
		t.Errorf("order %s: want the broken broker, the other broker, the controllers, the quorum's leader", got)
	}
}

// Long lists are told by their first entry and a number, and the same arguments give the same plan.
func TestFactsAreShortAndPlansAreRepeatable(t *testing.T) {
	s := newStage(t)
	s.change(1)
	for i := range 12 {
		s.shot().Partitions = append(s.shot().Partitions, kafka.Partition{
			Topic: "pairs", Number: int32(i), Leader: 1, Replicas: []int32{0, 1, 9}, ISR: []int32{0, 1}, MinISR: 2,
		})
	}
	want := "broker 1 not restarted: pairs-0 has 2 in-sync replicas and min.insync.replicas is 2 (and 11 more)"
	p := s.next()
	if len(p.Held) != 1 || p.Held[0].Message != want {
		t.Errorf("held %+v, want %q", p.Held, want)
	}
	if again := s.next(); again.String() != p.String() {
		t.Errorf("two plans of one pass:\n%s\n%s", p, again)
	}
}

func TestAnEmptyObservationOfAnEmptyClusterDoesNotPanic(t *testing.T) {
	c := &model.Cluster{ClusterID: "CID", Bootstrapped: true, Unavailable: v1alpha1.UnavailableProceed}
	if p := Next(c, model.Desired{}, &model.Observation{}, time.Time{}); len(p.Steps) > 0 {
		t.Errorf("steps for nobody:\n%s", p)
	}
}

// docs/predicates.md holds the tables of the code, word for word, and docs/restarts.md what brings a reason about.
func TestTheDocumentationHoldsEveryRule(t *testing.T) {
	compare(t, "../../docs/predicates.md", func(string) string { return documentation() })
	compare(t, "../../docs/restarts.md", func(page string) string {
		head, rest, begins := strings.Cut(page, tableBegins)
		_, tail, ends := strings.Cut(rest, tableEnds)
		if !begins || !ends {
			t.Fatalf("docs/restarts.md has no place for the table, between %q and %q", tableBegins, tableEnds)
		}
		return head + tableBegins + effects() + tableEnds + tail
	})
}

// compare holds a page against what the code makes of it.
func compare(t *testing.T, page string, written func(page string) string) {
	t.Helper()
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := written(string(got))
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(got) != text {
		t.Errorf("%s differs from the tables of the code; go test ./internal/plan -update writes it anew", page)
	}
}

func documentation() string {
	var b strings.Builder
	row := func(name, sentence string, kinds ...Kind) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, sentence, joinKinds(kinds))
	}
	b.WriteString(docsHead)
	b.WriteString("\n## Why\n\n| Reason | What it means | Leads to |\n|---|---|---|\n")
	for _, r := range reasons {
		row(r.name, r.sentence, r.leads)
	}
	b.WriteString(docsBetween + "\n| Predicate | What has to be true | Before |\n|---|---|---|\n")
	for _, p := range predicates {
		row(p.name, p.sentence, p.guards...)
	}
	b.WriteString(docsTail)
	return b.String()
}

func joinKinds(kinds []Kind) string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
	}
	return strings.Join(names, ", ")
}

func TestTheFieldThatKeepsANodeIsTheOneThatSaysHowManyThereAre(t *testing.T) {
	v := &view{c: &model.Cluster{Pools: []model.Pool{{Name: "main"}, {Name: "brokers", Scaled: true}}}}
	for pool, want := range map[string]string{
		"main": "spec.pools[main].replicas", "brokers": "spec.replicas", "old": "spec.pools[old]",
	} {
		if got := fieldOfPool(v, &disruption{node: &node{Node: &model.Node{Pool: pool}}}); got != want {
			t.Errorf("pool %s: %s, expected %s", pool, got, want)
		}
	}
}
