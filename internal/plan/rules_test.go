package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// stage is a cluster of three combined nodes at rest; tests change it and look at what Next says.
type stage struct {
	c    *model.Cluster
	want model.Desired
	obs  *model.Observation
	now  time.Time
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return stageOf(threeCombined())
}

func stageOf(s *sim) *stage {
	obs := s.observe()
	obs.BudgetClosed, obs.Balancing.Sizes = true, s.sizes()
	for name, set := range obs.Pools {
		set.Files = maps.Clone(set.Files) // tests write into it, and the pods remember what it was
		obs.Pools[name] = set
	}
	for _, seen := range obs.Nodes {
		seen.Pod.Serves = false // so that a test that makes a pod unready makes its process so
	}
	return &stage{s.c, s.want, obs, s.now}
}

func (s *stage) next() Plan                      { return Next(s.c, s.want, s.obs, s.now) }
func (s *stage) pod(id int32) *model.ObservedPod { return s.obs.Nodes[id].Pod }
func (s *stage) shot() *kafka.Snapshot           { return s.obs.Kafka }
func (s *stage) partition(i int) *kafka.Partition {
	return &s.obs.Kafka.Partitions[i]
}

// change asks for other files on some nodes and has them staged.
func (s *stage) change(ids ...int32) {
	for _, id := range ids {
		s.want.Files[id] = print2("v2")
		s.obs.Pools["main"].Files[id] = print2("v2")
	}
}

// prove lets node 0 show that the revision which change asks for works.
func (s *stage) prove() {
	s.change(0)
	s.pod(0).Files = print2("v2")
}

// tryOn lets a node run the revision which change asks for, and be ready on it for a time.
func (s *stage) tryOn(id int32, ready time.Duration, restarts int32) {
	s.change(id)
	s.pod(id).Files, s.pod(id).Restarts, s.pod(id).ReadySince = print2("v2"), restarts, s.now.Add(-ready)
}

// deleteClaim lets the claim of a node be deleted under its pod, with or without consent.
func (s *stage) deleteClaim(id int32, replace bool) {
	seen := s.obs.Nodes[id]
	seen.Claims = slices.Clone(seen.Claims)
	seen.Claims[0].Deleting, seen.Claims[0].Replace = true, replace
	s.obs.Nodes[id] = seen
}

// onlyVoter makes a node the whole quorum.
func (s *stage) onlyVoter(id int32) {
	s.shot().Quorum.Voters = []kafka.QuorumReplica{{ID: id, LastCaughtUp: s.now}}
	s.shot().Quorum.LeaderID = id
}

func TestReasonsToRestart(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *stage)
		reason string // empty = none
	}{
		{"a node that runs what is wanted is left alone", func(*stage) {}, ""},
		{"filesChanged: files that the user changed are a reason", func(s *stage) { s.change(1) },
			"configuration changed"},
		{"files that only the operator renders otherwise are no reason", func(s *stage) {
			s.want.Files[1] = model.Fingerprint{User: s.want.Files[1].User, Whole: "other"}
		}, ""},
		{"files that wait for a fact are no reason", func(s *stage) { delete(s.want.Files, 1) }, ""},
		{"templateChanged: a template that the user changed is a reason", func(s *stage) {
			s.pod(1).Template = print2("t0")
		}, "pod template changed"},
		{"a template that nobody rendered is no reason", func(s *stage) { s.want.Templates = nil }, ""},
		{"templateEdited: a pod made from an edited StatefulSet is a reason", func(s *stage) {
			s.pod(1).Template, s.pod(1).Edited = print2("edited"), "its image differs: it was made from an edited StatefulSet"
		}, "its image differs: it was made from an edited StatefulSet"},
		{"revisionGone: a revision that nobody can read is a reason", func(s *stage) {
			s.pod(1).Files = model.Fingerprint{}
		}, "the revision that it runs is gone"},
		{"podMissing: a pod that no template was seen to make is a reason", func(s *stage) {
			s.obs.Nodes[1] = model.ObservedNode{DiskUID: "claim-1"}
			set := s.obs.Pools["main"]
			set.Template = print2("refused")
			s.obs.Pools["main"] = set
		}, "no pod, and the pod template changed"},
		{"a pod that died comes back on what it last ran", func(s *stage) {
			s.obs.Nodes[1] = model.ObservedNode{DiskUID: "claim-1"}
			s.want.Files[1], s.want.Templates["main"] = print2("v2"), print2("t2")
		}, ""},
		{"diskGoes: a claim that is being deleted, and may be replaced, is a reason", func(s *stage) {
			s.deleteClaim(1, true)
		}, "claim data-1 is being deleted, and its annotation permits an empty disk"},
		{"a claim that is being deleted by mistake is none", func(s *stage) { s.deleteClaim(1, false) }, ""},
		{"a pod that is being deleted needs no other reason", func(s *stage) {
			s.change(1)
			s.pod(1).Deleting = true
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			tt.change(s)
			v := newView(s.c, s.want, s.obs, s.now)
			_, wanted := v.choose(&Plan{}, tables{reasons, predicates})
			got := ""
			for _, d := range wanted {
				if d.node != nil && d.node.ID == 1 {
					got = strings.Join(d.reasons, ", ")
				}
			}
			if got != tt.reason {
				t.Errorf("reasons of broker 1: %q, want %q", got, tt.reason)
			}
		})
	}
}

// predicateTests change node 1 of three and say which predicate holds it back with which words; an empty predicate
// means that it may go.
var predicateTests = []struct {
	name, predicate, message string
	change                   func(s *stage)
}{
	{"a cluster in good health lets a node restart", "", "", func(*stage) {}},
	{"an act that the cache has not shown holds everything", "cacheCurrent",
		"the cache has not yet shown the last act", func(s *stage) {
			s.obs.CacheCurrent = false
		}},
	{"a StatefulSet that goes would not make the pod again", "comesBack",
		"StatefulSet events-main would not make its pod again", func(s *stage) {
			set := s.obs.Pools["main"]
			set.Deleting = true
			s.obs.Pools["main"] = set
		}},
	{"files that wait for a fact hold a change of the template", "filesKnown",
		"its files wait for something: the NodePort of broker 1", func(s *stage) {
			s.pod(1).Template = print2("t0")
			s.c.Nodes[1].Waiting = "the NodePort of broker 1"
			delete(s.want.Files, 1)
		}},
	{"a serving pod of unknown content is not replaced on a guess", "revisionKnown",
		"the revision that it runs is gone", func(s *stage) {
			s.pod(1).Files = model.Fingerprint{}
		}},
	{"a pod of unknown content that fails is replaced", "", "", func(s *stage) {
		s.pod(1).Files, s.pod(1).Ready, s.pod(1).Problem = model.Fingerprint{}, false, model.ProblemConfig
	}},
	{"a revision that fails elsewhere goes no further", "provenRevision",
		"broker 2 is not ready (CrashLoop), and nobody has shown that the new revision works", func(s *stage) {
			s.change(2)
			s.pod(2).Files, s.pod(2).Ready, s.pod(2).Problem = print2("v2"), false, model.ProblemCrashLoop
		}},
	{"a pod that does not start elsewhere holds a restart", "othersReady", "broker 2 is not ready (Unschedulable)",
		func(s *stage) {
			s.prove()
			s.pod(2).Ready, s.pod(2).Problem = false, model.ProblemUnschedulable
		}},
	{"a pod that stops elsewhere holds a restart", "othersReady", "broker 2 is stopping", func(s *stage) {
		s.prove()
		s.pod(2).Deleting = true
	}},
	{"a fenced broker holds a restart", "othersReady", "broker 2 is fenced",
		func(s *stage) { s.shot().Brokers[2].Fenced = true }},
	{"a broker that stopped following the metadata holds a restart", "othersReady",
		"broker 2 has not been heard of", func(s *stage) {
			s.shot().Quorum.Voters[2].LastCaughtUp = s.now.Add(-6 * time.Second)
		}},
	{"no view of Kafka permits nothing", "snapshotFresh", "there is no view of Kafka: timeout", func(s *stage) {
		s.obs.Kafka, s.obs.KafkaError = nil, "timeout"
	}},
	{"an old view of Kafka permits nothing", "snapshotFresh", "the view of Kafka is 11s old", func(s *stage) {
		s.now = s.now.Add(11 * time.Second)
	}},
	{"a view of a foreign cluster permits nothing", "snapshotFresh", "Kafka answers with cluster id OTHER",
		func(s *stage) {
			s.shot().ClusterID = "OTHER"
		}},
	{"a view from before a pod began permits nothing", "snapshotNewer",
		"too old to tell about the new process of broker 2", func(s *stage) {
			s.pod(2).CreatedAt = s.now.Add(-3 * time.Second)
		}},
	{"a view that may still show what ran in the second before a process began permits nothing", "snapshotNewer",
		"the new process of broker 2", func(s *stage) {
			s.pod(2).StartedAt = s.shot().TakenAt.Add(-maxLag)
		}},
	{"a quorum without a leader permits nothing", "quorumMajority", "the metadata quorum has no leader",
		func(s *stage) {
			s.shot().Quorum.LeaderID = -1
		}},
	{"a voter that lags may be the one too many", "quorumMajority",
		"1 of 3 voters would be caught up and the majority is 2", func(s *stage) {
			s.shot().Quorum.Voters[2].LastCaughtUp = time.Time{}
		}},
	{"one voter of one may restart when pauses are accepted", "", "", func(s *stage) {
		s.onlyVoter(1)
	}},
	{"one voter of one waits when they are not", "quorumMajority", "0 of 1 voter would be caught up", func(s *stage) {
		s.onlyVoter(1)
		s.c.Unavailable = v1alpha1.UnavailableWait
	}},
	{"the last in-sync replica stays", "offline", "orders-0 is in sync on no other broker", func(s *stage) {
		p := s.partition(0)
		p.Replicas, p.ISR = []int32{1, 9}, []int32{1}
	}},
	{"min ISR is kept", "minISR", "orders-0 has 2 in-sync replicas and min.insync.replicas is 2", func(s *stage) {
		p := s.partition(0)
		p.Replicas, p.ISR = []int32{0, 1, 9}, []int32{0, 1}
	}},
	{"a partition below min ISR already holds its members", "minISR",
		"orders-0 has 2 in-sync replicas and min.insync.replicas is 3", func(s *stage) {
			p := s.partition(0)
			p.Replicas, p.ISR, p.MinISR = []int32{0, 1, 8, 9}, []int32{0, 1}, 3
		}},
	{"a partition below min ISR does not hold others", "", "", func(s *stage) {
		p := s.partition(0)
		p.Replicas, p.ISR = []int32{0, 8, 9}, []int32{0}
	}},
	{"a partition that cannot be spared pauses when pauses are accepted", "", "", func(s *stage) {
		p := s.partition(0)
		p.Replicas, p.ISR = []int32{0, 1}, []int32{0, 1}
	}},
	{"a partition that cannot be spared holds when they are not", "minISR",
		"orders-0 has 2 replicas and min.insync.replicas is 2, so that it can spare none; set " +
			"spec.rolling.unavailable to Proceed, or give it more replicas", func(s *stage) {
			p := s.partition(0)
			p.Replicas, p.ISR = []int32{0, 1}, []int32{0, 1}
			s.c.Unavailable = v1alpha1.UnavailableWait
		}},
	{"a broker that is still catching up holds a restart", "isrComplete", "broker 2 is not in sync with orders-0",
		func(s *stage) {
			p := s.partition(0)
			p.ISR, p.MinISR = []int32{0, 1}, 1
		}},
	{"one whose disk has failed says so, with its name", "isrComplete",
		"broker 2 is not in sync with orders-0; of broker 2, disk more has failed (claim more-2): 1 replica offline",
		func(s *stage) { s.failDisk(2) }},
	{"also while it has not said which", "isrComplete",
		"broker 2 is not in sync with orders-0; of broker 2, one of its disks has failed, and it has not said which",
		func(s *stage) {
			s.failDisk(2)
			s.shot().LogDirs = nil
		}},
	{"min ISR that is short for a failed disk says so", "minISR",
		"orders-0 has 2 in-sync replicas and min.insync.replicas is 2; of broker 2, disk more has failed (claim more-2)",
		func(s *stage) {
			s.failDisk(2)
			s.partition(0).MinISR = 2
		}},
	{"the last in-sync replica beside a failed disk says so", "offline",
		"orders-0 is in sync on no other broker; of broker 2, disk more has failed", func(s *stage) {
			s.failDisk(2)
			s.partition(0).Replicas, s.partition(0).ISR = []int32{1, 2}, []int32{1}
		}},
	{"without racks another node goes first", "oneRack", "broker 2 goes first", func(s *stage) {
		s.prove()
		s.change(2)
		s.spare()
		s.shot().Quorum.LeaderID = 1
	}},
	{"a pod that crashes is replaced without any view of Kafka", "", "", func(s *stage) {
		s.pod(1).Ready, s.pod(1).Problem, s.obs.Kafka = false, model.ProblemCrashLoop, nil
	}},
	{"a pod that crashed once, serves, and is unready for another reason meets every rule", "quorumMajority",
		"1 of 3 voters would be caught up and the majority is 2", func(s *stage) {
			s.pod(1).Ready, s.pod(1).Serves, s.pod(1).Restarts = false, true, 1
			s.shot().Quorum.Voters[2].LastCaughtUp = time.Time{}
		}},
	{"so does one whose sidecar crashes", "quorumMajority", "1 of 3 voters would be caught up", func(s *stage) {
		s.pod(1).Ready, s.pod(1).Serves, s.pod(1).Restarts = false, true, 7
		s.pod(1).Problem, s.pod(1).Container, s.pod(1).Beside = model.ProblemCrashLoop, "logger", true
		s.shot().Quorum.Voters[2].LastCaughtUp = time.Time{}
	}},
	{"pods that serve and are unready do not wait for each other", "", "", func(s *stage) {
		s.change(0, 2)
		s.shot().Quorum.LeaderID = 2
		s.pod(1).Controller = false
		for id := range int32(3) {
			s.pod(id).Ready, s.pod(id).Serves = false, true
		}
	}},
	{"no pod is taken for dead because all are unready", "snapshotFresh", "there is no view of Kafka", func(s *stage) {
		s.change(0, 2)
		for id := range int32(3) {
			s.pod(id).Ready, s.pod(id).Serves = false, true
		}
		s.obs.Kafka = nil
	}},
	{"a revision is proven only when its first pod has been ready for long enough", "provenRevision",
		"broker 2 tries the new revision, which is proven if none of its containers restarts before", func(s *stage) {
			s.tryOn(2, 19*time.Second, 0)
		}},
	{"after that others follow", "", "", func(s *stage) { s.tryOn(2, 20*time.Second, 0) }},
	{"a pod that was ready for a second between two crashes proves nothing", "provenRevision", "broker 2 tries",
		func(s *stage) { s.tryOn(2, time.Second, 4) }},
	{"each restart of a container doubles the time", "provenRevision", "broker 2 tries",
		func(s *stage) { s.tryOn(2, 159*time.Second, 3) }},
	{"a pod that has got over its restarts proves its revision", "", "", func(s *stage) {
		s.tryOn(2, 160*time.Second, 3)
	}},
	{"no pod has to wait for longer than ten minutes", "", "", func(s *stage) { s.tryOn(2, 10*time.Minute, 99) }},
	{"a claim that is being deleted holds its pod", "diskStays",
		"claim data-1 is being deleted, which cannot be taken back", func(s *stage) { s.deleteClaim(1, false) }},
	{"though the pod fails", "diskStays", "claim data-1 is being deleted", func(s *stage) {
		s.deleteClaim(1, false)
		s.pod(1).Ready, s.pod(1).Problem = false, model.ProblemCrashLoop
	}},
	{"with consent it goes", "", "", func(s *stage) { s.deleteClaim(1, true) }},
	{"but not with the only copy of a partition", "diskStays", "and orders-0 is in sync on no other broker",
		func(s *stage) {
			s.deleteClaim(1, true)
			s.partition(0).Replicas, s.partition(0).ISR = []int32{1}, []int32{1}
		}},
	{"nor with the log of the only voter", "diskStays", "the metadata quorum of 1 voter needs the log on it",
		func(s *stage) {
			s.deleteClaim(1, true)
			s.onlyVoter(1)
		}},
	{"nor without a view of Kafka", "diskStays", "and there is no view of Kafka", func(s *stage) {
		s.deleteClaim(1, true)
		s.pod(1).Ready, s.pod(1).Problem, s.obs.Kafka = false, model.ProblemCrashLoop, nil
	}},
	{"a pod that runs, is not ready and may be in sync is not replaced without a view of Kafka", "snapshotFresh",
		"there is no view of Kafka", func(s *stage) {
			s.pod(1).Ready, s.obs.Kafka = false, nil
		}},
}

func TestPredicatesForARestart(t *testing.T) {
	for _, tt := range predicateTests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.change(1)
			tt.change(s)
			p := s.next()
			if tt.predicate == "" {
				if len(p.Steps) == 0 || p.Steps[len(p.Steps)-1].Kind != Restart || p.Steps[len(p.Steps)-1].Node != 1 {
					t.Fatalf("broker 1 is not restarted:\n%s", p)
				}
				return
			}
			i := slices.IndexFunc(p.Held, func(h Held) bool { return h.Node == 1 })
			if i < 0 {
				t.Fatalf("broker 1 is not held:\n%s", p)
			}
			if h := p.Held[i]; h.Predicate != tt.predicate || !strings.Contains(h.Message, tt.message) {
				t.Errorf("held by %s: %q, want %s: %q", h.Predicate, h.Message, tt.predicate, tt.message)
			}
		})
	}
}

func print2(user string) model.Fingerprint {
	return model.Fingerprint{User: user, Whole: user + "/op1"}
}

func addNode(c *model.Cluster, pool *model.Pool, id int32) {
	c.Nodes = append(c.Nodes, model.Node{ID: id, Pool: pool.Name, PodName: fmt.Sprintf("%s-%d", pool.StatefulSet, id)})
}

// What ends by itself must not be Stalled, and what only the user can end must be.
func TestAFieldIsNamedExactlyWhenOnlyTheUserCanEndIt(t *testing.T) {
	pair := func(p *kafka.Partition) { p.Replicas, p.ISR = []int32{0, 1}, []int32{0, 1} }
	late := func(p *kafka.Partition) { p.Replicas, p.ISR = []int32{0, 1, 9}, []int32{0, 1} }
	tests := []struct {
		name, predicate, field string
		begin                  func() *sim
		change                 func(s *stage)
	}{
		{"a partition with as many replicas as it needs", "minISR", fieldUnavailable, threeCombined,
			func(s *stage) { pair(s.partition(0)) }},
		{"one of them, among others that catch up", "minISR", fieldUnavailable, threeCombined, func(s *stage) {
			late(s.partition(0))
			pair(s.partition(1))
		}},
		{"a partition that lacks a replica now", "minISR", "", threeCombined, func(s *stage) { late(s.partition(0)) }},
		{"a partition with as many replicas as it needs, on others", "minISR", "", threeCombined, func(s *stage) {
			late(s.partition(0))
			s.partition(1).Replicas, s.partition(1).ISR = []int32{1, 2}, []int32{1, 2}
		}},
		{"the only voter", "quorumMajority", fieldUnavailable, oneController, func(*stage) {}},
		{"one of two voters", "quorumMajority", fieldUnavailable, twoControllers, func(*stage) {}},
		{"one of two voters while the other lags", "quorumMajority", "", twoControllers, func(s *stage) {
			s.shot().Quorum.LeaderID = 0
			s.shot().Quorum.Voters[1].LastCaughtUp = time.Time{}
		}},
		{"the only voter until others join", "quorumMajority", "", threeCombined, func(s *stage) { s.onlyVoter(0) }},
		{"a quorum without a leader", "quorumMajority", "", oneController,
			func(s *stage) { s.shot().Quorum.LeaderID = -1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := stageOf(tt.begin())
			s.c.Unavailable = v1alpha1.UnavailableWait
			s.c.Nodes[0].RestartBefore = s.now.Add(-time.Second)
			tt.change(s)
			p := s.next()
			i := slices.IndexFunc(p.Held, func(h Held) bool { return h.Node == 0 })
			if i < 0 || p.Held[i].Predicate != tt.predicate || p.Held[i].Field != tt.field {
				t.Errorf("want node 0 held by %s with field %q, got %+v", tt.predicate, tt.field, p.Held)
			}
			s.c.Unavailable = v1alpha1.UnavailableProceed
			if p := s.next(); slices.ContainsFunc(p.Held, func(h Held) bool { return h.Field != "" }) {
				t.Errorf("the cure does not help:\n%s", p)
			}
		})
	}
}

func oneController() *sim  { return atRest("ctl:0:1:c", "brk:1000:3:b") }
func twoControllers() *sim { return atRest("ctl:0:2:c", "brk:1000:3:b") }
