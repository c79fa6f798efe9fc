package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
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
	{"one that is to take the role over does not wait for other containers there", "", "", Restart, 1000,
		func(s *stage) { s.handOver() }},
	{"nor for as long as it fails on what is no longer wanted", "", "", Restart, 1000, func(s *stage) {
		s.handOver()
		s.pod(2).Problem, s.pod(2).Container, s.pod(2).Beside = model.ProblemCrashLoop, "logger", true
	}},
	{"but for one that fails on the wanted template", "othersReady", "broker 2 is not ready (container logger: CrashLoop)",
		Restart, 1000, func(s *stage) {
			s.handOver()
			s.want.Templates["main"], s.want.Files[2] = s.pod(2).Template, print2("v2")
			s.pod(2).Problem, s.pod(2).Container, s.pod(2).Beside = model.ProblemCrashLoop, "logger", true
		}},
	{"and for Kafka's process there", "othersReady", "broker 2 is not ready", Restart, 1000, func(s *stage) {
		s.handOver()
		s.pod(2).Serves = false
	}},
	{"and for all that runs in a pool that keeps the role", "othersReady", "broker 2 is not ready", Restart, 1000,
		func(s *stage) {
			s.handOver()
			s.want.Templates["main"], s.c.Pools[0].Controller = s.pod(2).Template, true
		}},
	{"nor does one go on that takes no role over", "othersReady", "broker 2 is not ready", Restart, 1000,
		func(s *stage) {
			s.handOver()
			s.c.Pools[1].Controller = false
			s.onlyVoter(0) // removing the last voter is held by the majority
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
	{"nor does one that shows more replicas as a move has just ended", "holdsNothing",
		"it holds 2 partitions, among them orders-0; move them to other brokers", ShrinkPool, 3, func(s *stage) {
			s.leave(false)
			s.partition(0).Replicas, s.partition(0).ISR = []int32{0, 1, 3}, []int32{0, 1, 3}
			s.partition(1).Replicas, s.partition(1).ISR = []int32{0, 1, 2, 3}, []int32{0, 1, 2, 3}
			s.c.Balancing.Record = &v1alpha1.BalancingStatus{InFlight: []v1alpha1.MovingPartition{
				{Topic: "orders", Partition: 1, Replicas: []int32{0, 1, 2}}}}
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
	{"the claims of a node that is gone for good go", "", "delete the claims of main-7: the node is gone", DeleteClaims, 7,
		func(s *stage) { s.leaveClaims(7) }},
	{"not while Kafka knows the node", "forgotten", "Kafka has not forgotten broker 7", DeleteClaims, 7, func(s *stage) {
		s.leaveClaims(7)
		s.remember(7, false)
	}},
	{"not while nobody can see what Kafka knows", "snapshotFresh", "there is no view of Kafka", DeleteClaims, 7,
		func(s *stage) {
			s.leaveClaims(7)
			s.obs.Kafka = nil
		}},
	{"not while Kafka counts on it", "isFenced", "Kafka still counts on it", Unregister, 7,
		func(s *stage) { s.remember(7, false) }},

	{"a disk is replaced when that is permitted", "", "", ReplaceDisk, 1, func(s *stage) { s.permitReplacement(1) }},
	{"not under a broker that serves", "notServing",
		"it serves, and does not say that its disk data has failed; take the annotation off claim data-1", ReplaceDisk, 1,
		func(s *stage) { s.permit(1, "data") }},
	{"nor under one whose sidecar alone is not ready", "notServing", "it serves, and does not say", ReplaceDisk, 1,
		func(s *stage) {
			s.permit(1, "data")
			s.pod(1).Ready, s.pod(1).Serves = false, true
		}},
	{"one of several that has failed is replaced under a broker that serves", "", "", ReplaceDisk, 1,
		func(s *stage) { s.failDisk(1).permit(1, "more") }},
	{"not those that work", "notServing", "does not say that its disk data has failed", ReplaceDisk, 1,
		func(s *stage) { s.failDisk(1).permit(1, "more", "data") }},
	{"not one of two that have failed", "notServing", "its disk third has failed, too; annotate claim third-1 as well",
		ReplaceDisk, 1, func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.shot().LogDirs[1][2].Error = kafka.ErrorStorage
		}},
	{"not beside one that nobody knows", "notServing", "its log directory /mnt has failed, too, which is on no known",
		ReplaceDisk, 1, func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.shot().LogDirs[1] = append(s.shot().LogDirs[1], kafka.LogDir{Path: "/mnt", Error: kafka.ErrorStorage})
		}},
	{"not one that the broker has another error with", "notServing", "does not say that its disk more has failed",
		ReplaceDisk, 1, func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.shot().LogDirs[1][1].Error = "UNKNOWN_SERVER_ERROR"
		}},
	{"not the one with the metadata log", "notServing", "does not say that its disk data has failed", ReplaceDisk, 1,
		func(s *stage) {
			s.failDisk(1).permit(1, "data")
			s.shot().LogDirs[1][0].Error, s.shot().LogDirs[1][1].Error = kafka.ErrorStorage, ""
		}},
	{"not while the broker does not say which has failed", "notServing",
		"one of its disks has failed, and it has not said which: 1 replica offline", ReplaceDisk, 1, func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.shot().LogDirs = nil
		}},
	{"not with a volume that its pool has lost and that holds something", volumesEmptyName,
		"volume second leaves with the pod: it holds 1 replica of broker 1", Restart, 1, (*stage).loseSecond},
	{"not with the last replica on it", "lastReplica", "orders-0 is in sync on no other broker, and was on disk more",
		ReplaceDisk, 1, func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.partition(0).Replicas, s.partition(0).ISR = []int32{1}, []int32{1}
		}},
	{"nor with one that none has in sync", "lastReplica", "orders-0 is in sync on no other broker, and was on disk more",
		ReplaceDisk, 1, func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.partition(0).Replicas, s.partition(0).ISR = []int32{1}, nil
		}},
	{"nor with one that may be on it", "lastReplica", "orders-1 is in sync on no other broker, and nobody says which disk",
		ReplaceDisk, 1, func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.partition(1).Replicas, s.partition(1).ISR = []int32{1}, []int32{1}
		}},
	{"which is told before what it takes offline", "lastReplica", "and was on disk more", ReplaceDisk, 1, func(s *stage) {
		s.failDisk(1).permit(1, "more")
		s.partition(0).Replicas, s.partition(0).ISR = []int32{1, 9}, []int32{1}
	}},
	{"but with one that is on another disk", "", "", ReplaceDisk, 1, func(s *stage) {
		s.failDisk(1).permit(1, "more")
		s.partition(1).Replicas, s.partition(1).ISR = []int32{1}, []int32{1}
		s.shot().LogDirs[1][0].Sole = []kafka.PartitionID{{Topic: "orders", Number: 1}}
	}},
	{"not with one on an ephemeral disk that goes with the pod", "lastReplica", "orders-1 is in sync on no other broker",
		ReplaceDisk, 1, func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.c.Pools[0].Volumes[2].Ephemeral = true
			s.partition(1).Replicas, s.partition(1).ISR = []int32{1}, []int32{1}
			s.shot().LogDirs[1][2].Sole = []kafka.PartitionID{{Topic: "orders", Number: 1}}
		}},
	{"under a broker that serves every rule of a restart is asked: other nodes", "othersReady", "broker 2 is not ready",
		ReplaceDisk, 1, func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.pod(2).Ready = false
			s.prove()
		}},
	{"but not other containers that fail on what is no longer wanted", "", "", ReplaceDisk, 1, func(s *stage) {
		s.failDisk(1).permit(1, "more")
		s.pod(2).Ready, s.pod(2).Serves, s.pod(2).Template = false, true, print2("t0")
		s.pod(2).Problem, s.pod(2).Container, s.pod(2).Beside = model.ProblemCrashLoop, "logger", true
	}},
	{"and the minimum of in-sync replicas", "minISR", "orders-1 has 2 in-sync replicas and min.insync.replicas is 2",
		ReplaceDisk, 1, func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.partition(1).Replicas, s.partition(1).ISR = []int32{0, 1, 9}, []int32{0, 1}
		}},
	{"but no voters of its pool while it comes back as it is", "", "", ReplaceDisk, 1, func(s *stage) {
		s.failDisk(1).permit(1, "more")
		s.c.Pools[0].Controller = false
	}},
	{"voters of its pool if it comes back without the role", "leftQuorum", "node 0 is still a voter", ReplaceDisk, 1,
		func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.c.Pools[0].Controller = false
			set := s.obs.Pools["main"]
			set.Controller = false
			s.obs.Pools["main"] = set
		}},
	{"or on files that it does not run", "leftQuorum", "node 0 is still a voter", ReplaceDisk, 1, func(s *stage) {
		s.failDisk(1).permit(1, "more")
		s.c.Pools[0].Controller = false
		s.obs.Pools["main"].Files[1] = print2("v2")
	}},
	{"and so it is once its claim is being deleted", "", "more-1 is being deleted", Restart, 1, func(s *stage) {
		s.failDisk(1).permit(1, "more")
		s.obs.Nodes[1].Claims[1].Deleting = true
		s.c.Pools[0].Controller = false
		s.onlyVoter(0) // removing the last voter is held by the majority
	}},
	{"but not once that of a disk that works is", "leftQuorum", "node 0 is still a voter", Restart, 1, func(s *stage) {
		s.failDisk(1).permit(1, "data", "more")
		s.obs.Nodes[1].Claims[0].Deleting = true
		s.c.Pools[0].Controller = false
		s.onlyVoter(0) // removing the last voter is held by the majority
	}},
	{"and replicas that catch up", "isrComplete", "broker 2 is not in sync with orders-1", ReplaceDisk, 1,
		func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.partition(1).ISR, s.partition(1).MinISR = []int32{0, 1}, 1
		}},
	{"under a broker that leaves, too", "", "", ReplaceDisk, 3, func(s *stage) {
		s.leave(false)
		s.partition(0).Replicas = append(slices.Clone(s.partition(0).Replicas), 3)
		s.failDisk(3).permit(3, "more")
	}},
	{"but not the failed disk of another broker", "", "", ReplaceDisk, 1, func(s *stage) {
		s.failDisk(1).permit(1, "more").failDisk(2)
		s.partition(1).ISR, s.partition(1).MinISR, s.partition(1).Offline = []int32{0, 1}, 1, []int32{2}
	}},
	{"and the majority of the quorum", "quorumMajority", "1 of 3 voters would be caught up", ReplaceDisk, 1,
		func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.shot().Quorum.Voters[2].LastCaughtUp = time.Time{}
		}},
	{"and evictions", "budgetClosed", "evict no pod meanwhile", ReplaceDisk, 1, func(s *stage) {
		s.failDisk(1).permit(1, "more")
		s.obs.BudgetClosed = false
	}},
	{"and the only voter restarts with its metadata log, when pauses are accepted", "", "", ReplaceDisk, 1,
		func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.onlyVoter(1)
		}},
	{"a replacement that was cut short is ended", "", "more-1 is being deleted, and its annotation permits", Restart, 1,
		func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.obs.Nodes[1].Claims[1].Deleting = true
		}},
	{"nor is the metadata log of the only voter on it", "", "more-1 is being deleted", Restart, 1,
		func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.obs.Nodes[1].Claims[1].Deleting = true
			s.onlyVoter(1)
		}},
	{"one of a disk that works does not wait for one that has failed to catch up", "",
		"data-1 is being deleted, and its annotation permits", Restart, 1, func(s *stage) {
			s.failDisk(1).permit(1, "data", "more")
			s.obs.Nodes[1].Claims[0].Deleting = true
		}},
	{"not with the last replica either", "diskStays", "orders-0 is in sync on no other broker, and was on disk more",
		Restart, 1, func(s *stage) {
			s.failDisk(1).permit(1, "more")
			s.obs.Nodes[1].Claims[1].Deleting = true
			s.partition(0).Replicas, s.partition(0).ISR = []int32{1}, []int32{1}
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

	{"replicas move to a broker that was added", "", "broker 2 gets its share", BeginMoves, 0, (*stage).uneven},
	{"not while the cluster is paused", "notPaused", "replicas not moved: the cluster is paused", BeginMoves, -1,
		func(s *stage) {
			s.uneven()
			s.c.Paused = true
		}},
	{"not while a broker is down", "othersReady", "replicas not moved: broker 1 is fenced", BeginMoves, -1,
		func(s *stage) {
			s.uneven()
			s.shot().Brokers[1].Fenced = true
		}},
	{"not before a roll that waits", "rollFirst", "replicas not moved: a node is to be restarted first", BeginMoves, -1,
		func(s *stage) {
			s.uneven()
			s.change(1)
			s.c.Unavailable = v1alpha1.UnavailableWait
		}},
	{"not while a disk has failed", "disksWork", "replicas not moved: of broker 1, disk data has failed", BeginMoves, -1,
		func(s *stage) {
			s.uneven()
			s.shot().LogDirs = map[int32][]kafka.LogDir{1: {{Path: model.LogDir("data"), Error: kafka.ErrorStorage}}}
		}},
}

// uneven is a broker 2 that was added, and holds nothing.
func (s *stage) uneven() {
	s.c.Balancing = model.Balancing{Mode: v1alpha1.BalancingOnScale, Tolerance: 10, MaxMoving: 50,
		Record: &v1alpha1.BalancingStatus{Spread: []int32{0, 1}}}
	for i := range s.shot().Partitions {
		p := s.partition(i)
		p.Replicas, p.ISR, p.Leader = []int32{0, 1}, []int32{0, 1}, 0
	}
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

// leaveClaims leaves claims of a node that was asked for once, of a pool that deletes them.
func (s *stage) leaveClaims(id int32) {
	s.obs.Nodes[id] = model.ObservedNode{Claims: []model.ObservedClaim{{
		Volume: "data", Name: fmt.Sprintf("data-events-main-%d", id), UID: "left", ClusterID: s.c.ClusterID, Pool: "main",
		Bound: true, Unwanted: true,
	}}}
}

func TestClaimsThatNobodyAskedToDeleteStay(t *testing.T) {
	for name, change := range map[string]func(s *stage, claim *model.ObservedClaim){
		"the pool retained them":     func(_ *stage, claim *model.ObservedClaim) { claim.Unwanted = false },
		"they are another cluster's": func(_ *stage, claim *model.ObservedClaim) { claim.ClusterID = "another" },
		"they are being deleted":     func(_ *stage, claim *model.ObservedClaim) { claim.Deleting = true },
		"the node is asked for":      func(s *stage, _ *model.ObservedClaim) { s.c.Nodes[2].ID = 7 },
		"its pod has not ended": func(s *stage, _ *model.ObservedClaim) {
			seen := s.obs.Nodes[7]
			seen.Pod = &model.ObservedPod{Name: "events-main-7", UID: "pod-7", Pool: "main", Deleting: true}
			s.obs.Nodes[7] = seen
		},
	} {
		s := newStage(t)
		s.leaveClaims(7)
		claims := s.obs.Nodes[7].Claims
		change(s, &claims[0])
		if p := s.next(); strings.Contains(p.String(), "the claims of") || strings.Contains(p.String(), "claims of node") {
			t.Errorf("%s, and they go:\n%s", name, p)
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

// permit annotates claims of a node for replacement.
func (s *stage) permit(id int32, volumes ...string) *stage {
	for i, claim := range s.obs.Nodes[id].Claims {
		s.obs.Nodes[id].Claims[i].Replace = slices.Contains(volumes, claim.Volume)
	}
	return s
}

// handOver adds brokers 1000 to 1002, which are to become controllers in place of nodes 0 to 2. Another container of
// node 2 is unready, which a template mends that node 2 does not run yet.
func (s *stage) handOver() {
	*s = *stageOf(handsOver())
	s.obs.Kafka.Partitions = nil
	s.c.Pools[0].Controller, s.c.Pools[1].Controller = false, true
	s.want.Templates["main"] = print2("t2")
	s.pod(2).Ready, s.pod(2).Serves = false, true
	for id := int32(1000); id < 1003; id++ {
		s.want.Files[id] = print2("v2")
		s.obs.Pools["more"].Files[id] = print2("v2")
	}
}

// failDisk gives a broker three disks, of which the second has failed. Of its replicas that of orders-0 was on it.
func (s *stage) failDisk(id int32) *stage {
	names := []string{"data", "more", "third"}
	s.c.Pools[0].Volumes = nil
	seen := s.obs.Nodes[id]
	seen.Claims = nil
	if s.shot().LogDirs == nil {
		s.shot().LogDirs = map[int32][]kafka.LogDir{}
	}
	s.shot().LogDirs[id] = nil
	for _, name := range names {
		s.c.Pools[0].Volumes = append(s.c.Pools[0].Volumes, v1alpha1.Volume{Name: name})
		seen.Claims = append(seen.Claims,
			model.ObservedClaim{Volume: name, Name: fmt.Sprintf("%s-%d", name, id), UID: fmt.Sprintf("%s-%d", name, id)})
		s.shot().LogDirs[id] = append(s.shot().LogDirs[id], kafka.LogDir{Path: model.LogDir(name)})
	}
	s.shot().LogDirs[id][1].Error = kafka.ErrorStorage
	s.obs.Nodes[id] = seen
	p := s.partition(0)
	p.Offline = append(p.Offline, id)
	p.ISR = slices.DeleteFunc(slices.Clone(p.ISR), func(in int32) bool { return in == id })
	p.MinISR = 1
	return s
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
