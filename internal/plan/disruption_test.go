package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/version"
)

// disruptionTest is a cluster in which one predicate alone stands between the plan and a disruption. An empty predicate
// means that the plan disturbs.
type disruptionTest struct {
	name, predicate, message string
	kind                     Kind
	node                     int32
	change                   func(s *stage)
}

var disruptionTests = []disruptionTest{
	{"a pause holds a restart", "notPaused", "the cluster is paused", Restart, 1, func(s *stage) {
		s.change(1)
		s.c.Paused = true
	}},
	{"a restart that is asked for is done", "", "asked for at", Restart, 1, func(s *stage) {
		s.c.Nodes[1].RestartBefore = s.now.Add(-time.Second)
	}},
	{"a node restarts before its certificate ends", "", "its certificate ends at", Restart, 1, func(s *stage) {
		seen := s.obs.Nodes[1]
		seen.IdentityEnds = s.now.Add(identityLead - time.Second)
		s.obs.Nodes[1] = seen
	}},
	{"a pause holds the restart for a certificate, too", "notPaused", "the cluster is paused", Restart, 1, func(s *stage) {
		seen := s.obs.Nodes[1]
		seen.IdentityEnds = s.now.Add(identityLead - time.Second)
		s.obs.Nodes[1] = seen
		s.c.Paused = true
	}},
	{"nothing else is disturbed beside a restart", "oneThing", "broker 1 goes first", Unregister, 7, func(s *stage) {
		s.change(1)
		s.remember(7, true)
	}},
	{"nobody tries a version that cannot read what is finalized", "knowsFeatures",
		"Kafka 4.2.2 cannot run with metadata.version 4.3-IV0, which this cluster has finalized; use one of: 4.3.1",
		Restart, 1, func(s *stage) {
			s.change(1)
			s.c.Version = "4.2.2"
		}},
	{"not even a pod that fails", "knowsFeatures", "cannot run with metadata.version 4.3-IV0", Restart, 1,
		func(s *stage) {
			s.change(1)
			s.c.Version = "4.2.2"
			s.pod(1).Ready, s.pod(1).Problem = false, model.ProblemCrashLoop
		}},
	{"a version that can read it is tried", "", "version 4.1.2 -> 4.2.2", Restart, 1, func(s *stage) {
		s.c.Version = "4.2.2"
		s.pod(1).Version, s.pod(1).Template = "4.1.2", print2("t0")
		s.shot().Features = map[string]int16{version.MetadataVersion: 27}
	}},
	{"a node that runs the version goes on as it is", "", "configuration changed", Restart, 1, func(s *stage) {
		s.change(1)
		s.c.Version = "4.2.2"
		s.pod(1).Version = "4.2.2"
	}},
	{"roles are taken from nobody who votes", "leftQuorum", "node 1 is still a voter", Restart, 1, func(s *stage) {
		s.change(1)
		s.c.Pools[0].Controller = false
		s.shot().Quorum.Voters = s.shot().Quorum.Voters[1:2] // removing the last voter is held by the majority
		s.shot().Quorum.LeaderID = 1
	}},
	{"a rack at a time", "oneRack", "rack a goes first", Restart, 2, func(s *stage) {
		s.prove()
		s.change(1, 2)
		s.racks("b", "a", "b")
		s.spare()
	}},
	{"brokers of one rack restart together", "", "", Restart, 2, func(s *stage) {
		s.prove()
		s.change(1, 2)
		s.racks("a", "b", "b")
		s.spare()
	}},
	{"no more than maxUnavailable", "maxUnavailable", "spec.rolling.maxUnavailable is 1", Restart, 2, func(s *stage) {
		s.prove()
		s.change(1, 2)
		s.racks("a", "b", "b")
		s.spare()
		s.c.MaxUnavailable = 1
	}},
	{"an unproven revision is tried by one", "trialAlone", "tries the new revision first", Restart, 2, func(s *stage) {
		s.change(0, 1, 2)
		s.racks("a", "b", "b")
		s.spare()
	}},
	{"the quorum's leader goes alone", "leaderAlone", "it leads the metadata quorum", Restart, 2, func(s *stage) {
		s.prove()
		s.change(1, 2)
		s.racks("a", "b", "b")
		s.spare()
		s.shot().Quorum.LeaderID = 2
	}},
	{"nobody goes together with the quorum's leader", "leaderAlone",
		"node 1 leads the metadata quorum and goes alone", Restart, 2, func(s *stage) {
			s.prove()
			s.change(1, 2)
			s.racks("a", "b", "b")
			s.spare()
			s.shot().Quorum.LeaderID = 1
			s.pod(1).Broker, s.pod(1).Version = false, "4.1.2" // to a newer version controllers go first
		}},
	{"somebody carries the listeners", "keepsListener", "no other broker would carry the listeners", Restart, 2,
		func(s *stage) {
			s.prove()
			s.change(1, 2)
			s.racks("a", "b", "b")
			s.spare()
			s.pod(0).Broker = false
		}},
	{"Kubernetes evicts nobody meanwhile", "budgetClosed", "evict no pod meanwhile", Restart, 1, func(s *stage) {
		s.change(1)
		s.obs.BudgetClosed = false
	}},

	{"a controller that follows becomes a voter", "", "", AddVoter, 2, func(s *stage) { s.unvote(2) }},
	{"one that lags does not", "canVote", "it has not caught up", AddVoter, 2, func(s *stage) {
		s.unvote(2)
		s.shot().Quorum.Observers[0].LastCaughtUp = s.now.Add(-time.Minute)
	}},
	{"a voter that is no longer asked for is taken out", "", "", RemoveVoter, 3, func(s *stage) { s.leave(true) }},
	{"not before its replacement votes", "replacementsVote", "controller 2 does not vote yet", RemoveVoter, 3,
		func(s *stage) {
			s.leave(true)
			s.unvote(2)
			s.shot().Quorum.Observers = nil
		}},
	{"the entry of a lost disk is taken out", "", "it came back with another disk", RemoveVoter, 2,
		func(s *stage) { s.loseDisk(2) }},

	{"an empty broker goes", "", "", ShrinkPool, 3, func(s *stage) { s.leave(false) }},
	{"a voter does not", "notVoter", "it is still a voter", ShrinkPool, 3, func(s *stage) {
		s.leave(true)
		s.unvote(2)
		s.shot().Quorum.Observers = nil
	}},
	{"one that holds a partition does not", "holdsNothing", "it holds 1 partition, among them orders-0", ShrinkPool,
		3, func(s *stage) {
			s.leave(false)
			s.partition(0).Replicas, s.partition(0).ISR = []int32{0, 1, 3}, []int32{0, 1, 3}
		}},
	{"one that holds a topic with more replicas than brokers would stay says so first", "holdsNothing",
		"broker 3 not removed: topic orders has the replication factor 4 and 3 brokers would stay; ask for 1 broker " +
			"more, or lower the replication factor first; it holds 2 partitions", ShrinkPool, 3, func(s *stage) {
			s.leave(false)
			s.partition(0).Replicas, s.partition(0).ISR = []int32{0, 1, 3}, []int32{0, 1, 3}
			s.partition(1).Replicas, s.partition(1).ISR = []int32{0, 1, 2, 3}, []int32{0, 1, 2, 3}
		}},
	{"one that was not looked at twice does not", "emptyTwice", "looked at once more", ShrinkPool, 3, func(s *stage) {
		s.leave(false)
		s.c.EmptySince[3] = s.now
	}},
	{"nobody goes while partitions move", "notReassigning", "2 partitions are being reassigned", ShrinkPool, 3,
		func(s *stage) {
			s.leave(false)
			s.shot().Reassigning = 2
		}},
	{"the highest goes first", "highestFirst", "of its pool goes first", ShrinkPool, 2, func(s *stage) {
		s.leave(false)
		s.c.Pools[0].Replicas, s.c.Nodes = 2, s.c.Nodes[:2]
		s.c.EmptySince[2] = s.now.Add(-time.Minute)
		s.obs.Kafka.Partitions = nil
		s.shot().Quorum.Voters = s.shot().Quorum.Voters[:2]
		s.c.EmptySince[3] = s.now // 3 has to be looked at again
	}},
	{"a pool without nodes goes", "", "", RemovePool, -1,
		func(s *stage) { s.obs.Pools["old"] = model.ObservedPool{UID: "set"} }},
	{"not before its last pod has ended", "podsGone", "the pod of node 50 has not ended", RemovePool, -1,
		func(s *stage) {
			s.obs.Pools["old"] = model.ObservedPool{UID: "set"}
			s.obs.Nodes[50] = model.ObservedNode{Pod: &model.ObservedPod{Pool: "old", Deleting: true,
				Files: print2("v1"), Template: print2("t1")}}
		}},
	{"a broker that is gone is forgotten", "", "", Unregister, 7, func(s *stage) { s.remember(7, true) }},
	{"not while Kafka counts on it", "isFenced", "Kafka still counts on it", Unregister, 7,
		func(s *stage) { s.remember(7, false) }},

	{"a disk is replaced when that is permitted", "", "", ReplaceDisk, 1, func(s *stage) { s.permitReplacement(1) }},
	{"not under a broker that serves", "notServing", "it is ready", ReplaceDisk, 1, func(s *stage) {
		s.permitReplacement(1)
		s.pod(1).Ready = true
	}},
	{"nor is one that serves with a failed disk said to work", "notServing",
		"it is ready, and one of its disks has failed, with 1 replica on it, while the others work", ReplaceDisk, 1,
		func(s *stage) {
			s.permitReplacement(1)
			s.pod(1).Ready = true
			s.partition(0).Offline = []int32{1}
		}},
	{"not with the last replica", "lastReplica", "orders-0 is in sync on no other broker", ReplaceDisk, 1,
		func(s *stage) {
			s.permitReplacement(1)
			s.partition(0).Replicas, s.partition(0).ISR = []int32{1}, []int32{1}
		}},

	{"metadata.version is raised at the end", "", "", FinalizeVersion, 0, func(s *stage) { s.askVersion() }},
	{"not before every node runs the version", "allOnVersion", "broker 1 does not run what is asked for",
		FinalizeVersion, -1, func(s *stage) {
			s.askVersion()
			delete(s.want.Files, 1)
		}},
}

func TestEachPredicateAloneHoldsItsAct(t *testing.T) {
	for _, tt := range disruptionTests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t)
			s.c.EmptySince = map[int32]time.Time{}
			tt.change(s)
			done := func(p Plan) bool {
				return slices.ContainsFunc(p.Steps,
					func(st Step) bool { return st.Kind == tt.kind && (st.Node == tt.node || tt.node < 0) })
			}
			p := s.next()
			if tt.predicate == "" {
				if !done(p) || !strings.Contains(p.String(), tt.message) {
					t.Errorf("want %s of node %d, got:\n%s", tt.kind, tt.node, p)
				}
				return
			}
			if done(p) || !slices.ContainsFunc(p.Held, func(h Held) bool {
				return h.Predicate == tt.predicate && h.Node == tt.node && strings.Contains(h.Message, tt.message)
			}) {
				t.Errorf("want node %d held by %s: %q, got:\n%s", tt.node, tt.predicate, tt.message, p)
			}
			yes := slices.Clone(predicates)
			for i := range yes {
				if yes[i].name == tt.predicate {
					yes[i].permits = func(*view, *disruption, *round) (bool, string) { return true, "" }
				}
			}
			if p := next(s.c, s.want, s.obs, s.now, tables{reasons, yes}); !done(p) && tt.kind != AddVoter {
				t.Errorf("without %s it should be done, or another rule holds it too:\n%s", tt.predicate, p)
			}
		})
	}
	for _, r := range reasons {
		if r.leads == Restart {
			continue // TestReasonsToRestart
		}
		if !slices.ContainsFunc(disruptionTests,
			func(tt disruptionTest) bool { return tt.kind == r.leads && tt.predicate == "" }) {
			t.Errorf("reason %s has no test", r.name)
		}
	}
}

// unvote makes a voter an observer that has caught up.
func (s *stage) unvote(id int32) {
	q := &s.shot().Quorum
	i := slices.IndexFunc(q.Voters, func(r kafka.QuorumReplica) bool { return r.ID == id })
	q.Observers = append(q.Observers, q.Voters[i])
	q.Voters = slices.Delete(q.Voters, i, i+1)
}

// loseDisk leaves the entry of the old disk among the voters, and the new one among the observers.
func (s *stage) loseDisk(id int32) {
	s.unvote(id)
	q := &s.shot().Quorum
	q.Observers[0].DirectoryID = "new"
	q.Voters = append(q.Voters, kafka.QuorumReplica{ID: id, DirectoryID: "old", LastCaughtUp: s.now.Add(-time.Minute)})
}

// racks tells Kafka's racks of the three nodes.
func (s *stage) racks(names ...string) {
	for i, name := range names {
		s.shot().Brokers[i].Rack = name
	}
}

// spare takes everything away that two nodes could not be spared for together: partitions and votes.
func (s *stage) spare() {
	s.obs.Kafka.Partitions = nil
	s.shot().Quorum.LeaderID = 0
	for id := range int32(5) {
		if id > 2 {
			s.shot().Quorum.Voters = append(s.shot().Quorum.Voters,
				kafka.QuorumReplica{ID: 900 + id, LastCaughtUp: s.now})
		}
	}
}

// leave adds a node 3 to the live cluster that the spec does not ask for.
func (s *stage) leave(voter bool) {
	set := s.obs.Pools["main"]
	set.Replicas = 4
	s.obs.Pools["main"] = set
	pod := *s.pod(2)
	pod.UID, pod.Pool = "leaver", "main"
	s.obs.Nodes[3] = model.ObservedNode{DiskUID: "claim-3", Pod: &pod}
	s.shot().Brokers = append(s.shot().Brokers, kafka.Broker{ID: 3})
	s.c.EmptySince[3] = s.now.Add(-time.Minute)
	r := kafka.QuorumReplica{ID: 3, LastCaughtUp: s.now}
	if voter {
		s.shot().Quorum.Voters = append(s.shot().Quorum.Voters, r)
	} else {
		s.shot().Quorum.Observers = append(s.shot().Quorum.Observers, r)
	}
}

// remember makes Kafka remember a broker that Kubernetes does not have.
func (s *stage) remember(id int32, fenced bool) {
	s.shot().Brokers = append(s.shot().Brokers, kafka.Broker{ID: id, Fenced: fenced})
}

// permitReplacement makes a node fail on a disk that may be replaced.
func (s *stage) permitReplacement(id int32) {
	seen := s.obs.Nodes[id]
	seen.Claims = []model.ObservedClaim{{Name: "data-events-main", UID: "claim", Lost: true, Replace: true}}
	s.obs.Nodes[id] = seen
	s.pod(id).Ready, s.pod(id).Problem = false, model.ProblemUnschedulable
	s.shot().Quorum.Voters[id].LastCaughtUp = s.now.Add(-time.Minute)
}

// askVersion asks for a metadata.version above the one that is finalized.
func (s *stage) askVersion() {
	s.shot().MetadataVersion, s.c.MetadataVersion = 29, 30
}
