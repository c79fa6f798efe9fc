package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/internal/model"
)

// predicate is one rule about whether a disruption may happen now. Its facts say why not or, where that helps, why.
type predicate struct {
	name     string
	sentence string // what has to be true, for the documentation
	guards   []Kind // the kinds that it is asked about
	// asks limits which restarts it is asked about: up to this standing of the pod. serving = only pods that somebody
	// may depend on; failed = every pod.
	asks    standing
	permits func(v *view, d *disruption, chosen *round) (bool, string)
	// field names the field of the spec that the user has to change when nothing else ends a refusal; nil or empty =
	// the refusal ends by itself.
	field func(v *view, d *disruption) string
	tells bool // the facts are told when it permits, too
}

// evict is what Kubernetes does to a pod when it drains a node. It is no step: the PodDisruptionBudget permits it in
// advance.
const evict Kind = "eviction"

var (
	everything = disturbing
	members    = []Kind{AddVoter, RemoveVoter}
	stops      = []Kind{Restart, evict}
)

const (
	budgetClosedName   = "budgetClosed"
	provenRevisionName = "provenRevision"
	volumesEmptyName   = "volumesEmpty"
)

// predicates in the order in which they are asked. The status shows the first that refuses, so a cause stands before
// its consequences: a pod that does not start before the partitions that miss its replicas.
var predicates = []predicate{
	{
		name: "cacheCurrent", guards: slices.Concat(everything, []Kind{evict}), asks: failed, permits: cacheCurrent,
		sentence: "The operator's cache shows its last step.",
	},
	{
		name: "notPaused", guards: everything, asks: failed, permits: notPaused,
		sentence: "The annotation kafka.castellan.dev/pause does not say true.",
	},
	{
		name: "oneThing", guards: everything, asks: failed, permits: oneThing,
		sentence: "The plan disturbs nothing else. Restarts may go together if all their pods serve.",
	},
	{
		name: "comesBack", guards: []Kind{Restart, ReplaceDisk}, asks: failed, permits: comesBack,
		sentence: "The StatefulSet exists, is not being deleted, and asks for enough replicas to make the pod " +
			"again.",
	},
	{
		name: "diskStays", guards: stops, asks: failed, permits: diskStays,
		sentence: "No claim of the node is being deleted: its disk would be lost as soon as the pod stops. With the " +
			"annotation kafka.castellan.dev/replace on the claim, it is enough that every partition is in sync on another " +
			"broker, that a broker which serves is catching up on none, and that the metadata quorum keeps its majority " +
			"without the disk. Of a disk that has failed under a broker which serves, only what was on it counts.",
	},
	{
		name: "knowsFeatures", guards: []Kind{Restart}, asks: failed, permits: knowsFeatures, field: fieldOfVersion,
		sentence: "The version of Kafka that the spec asks for can run with the metadata.version and the other " +
			"features that Kafka has finalized.",
	},
	{
		name: "filesKnown", guards: []Kind{Restart}, permits: filesKnown,
		sentence: "Everything that the node's files depend on is known.",
	},
	{
		name: "revisionKnown", guards: []Kind{Restart}, permits: revisionKnown,
		sentence: "The revision that the pod runs is known. A serving pod is not replaced on a guess.",
	},
	{
		name: "leftQuorum", guards: []Kind{Restart}, asks: failed, permits: leftQuorum,
		sentence: "A node gives up the role Controller only when no node of its pool is a voter any more. A node that " +
			"restarts to have a disk replaced, and comes back on the files and with the roles that it has, gives up none.",
	},
	{
		name: provenRevisionName, guards: []Kind{Restart}, asks: idle, permits: provenRevision,
		sentence: "No other node runs a new revision that no node of its pool has shown to work: by being ready for 20 " +
			"seconds without a break, and for twice as long with each restart of one of its containers, up to 10 minutes.",
	},
	{
		name: "notServing", guards: []Kind{ReplaceDisk}, permits: notServing,
		sentence: "A node whose disk is to be replaced does not serve. Or it is a broker that serves, and exactly those of " +
			"its disks are to be replaced that have failed, as it says itself: then every rule of a restart is asked, too.",
	},
	{
		name: "othersReady", guards: []Kind{Restart, ShrinkPool, BeginMoves}, permits: othersReady,
		sentence: "Every other node has a ready pod that stays, and every other broker is unfenced. Nodes that " +
			"leave, do not vote and hold no replica are not counted. Of a node that leaves, it is enough that " +
			"Kafka's process is ready, and so it is of every other one for a pod that is itself not ready and for the " +
			"replacement of a disk, unless a container fails there on the wanted pod template. The same holds for a node that " +
			"restarts to become a controller, of nodes that wait for it to give up that role.",
	},
	{
		name: "snapshotFresh", permits: snapshotFresh,
		guards: []Kind{Restart, ReplaceDisk, AddVoter, RemoveVoter, ShrinkPool, Unregister, DeleteClaims, FinalizeVersion,
			BeginMoves, evict},
		sentence: "There is a complete view of Kafka, it is of this cluster, and it is at most 10 seconds old.",
	},
	{
		name: "snapshotNewer", permits: snapshotNewer,
		guards: []Kind{Restart, ReplaceDisk, AddVoter, RemoveVoter, ShrinkPool, FinalizeVersion, BeginMoves, evict},
		sentence: "The view of Kafka is at least 6 seconds younger than every pod and its process, so that it shows " +
			"the processes that run now.",
	},
	{
		name: "canVote", guards: []Kind{AddVoter}, permits: canVote,
		sentence: "A node that becomes a voter is ready and has caught up with the metadata log.",
	},
	{
		name: "replacementsVote", guards: []Kind{RemoveVoter}, permits: replacementsVote,
		sentence: "Every controller that the spec asks for is a voter before another one is removed. A dead voter " +
			"may be removed at once.",
	},
	{
		name: "notVoter", guards: []Kind{ShrinkPool, Unregister}, permits: notVoter,
		sentence: "A node that leaves is not a voter of the metadata quorum.",
	},
	{
		name: "quorumMajority", guards: slices.Concat(stops, members, []Kind{ReplaceDisk}), permits: quorumMajority,
		field: fieldOfQuorum, tells: true,
		sentence: "The metadata quorum has a leader and keeps a majority of caught-up voters, before and after. A " +
			"quorum of one or two voters can spare none; there spec.rolling.unavailable decides about a " +
			"restart.",
	},
	{
		name: "offline", guards: stops, permits: offline,
		sentence: "Every partition that loses an in-sync replica keeps another one. A partition with a single " +
			"replica is exempt.",
	},
	{
		name: volumesEmptyName, guards: stops, asks: failed, permits: volumesEmpty, field: fieldOfVolume,
		sentence: "A volume that is taken out of a pool is empty: on every broker of the pool before any of them loses it, " +
			"and on a broker once more before its pod goes. No cordon names it any more.",
	},
	{
		name: "lastReplica", guards: []Kind{ReplaceDisk}, permits: lastReplica,
		sentence: "No partition has its only in-sync replica on the disk that is to be replaced. Of a node that does not " +
			"serve, nobody can tell which disk a replica is on: each counts.",
	},
	{
		name: "minISR", guards: stops, permits: minISR, field: fieldOfMinISR, tells: true,
		sentence: "Every partition that loses an in-sync replica keeps min.insync.replicas of them. Where the " +
			"replication factor makes that impossible, spec.rolling.unavailable decides.",
	},
	{
		name: "keepsListener", guards: []Kind{Restart, ShrinkPool, evict}, permits: keepsListener,
		sentence: "Another broker stays unfenced and serves the listeners. The only broker may restart or be evicted.",
	},
	{
		name: "isrComplete", guards: stops, permits: isrComplete,
		sentence: "Every other broker is in sync with all partitions that it replicates. The replacement of a disk does " +
			"not wait for what is on failed disks of others.",
	},
	{
		name: "oneRack", guards: []Kind{Restart}, permits: oneRack,
		sentence: "Nodes that restart together are in one rack. Without racks, one node restarts at a time, or as " +
			"many as spec.rolling.maxUnavailable says.",
	},
	{
		name: "maxUnavailable", guards: []Kind{Restart}, permits: maxUnavailable,
		sentence: "At most spec.rolling.maxUnavailable nodes restart together.",
	},
	{
		name: "trialAlone", guards: []Kind{Restart}, asks: failed, permits: trialAlone,
		sentence: "The first node of a pool to try a new revision restarts alone.",
	},
	{
		name: "leaderAlone", guards: []Kind{Restart}, permits: leaderAlone,
		sentence: "The leader of the metadata quorum restarts alone, after the others.",
	},
	{
		name: "highestFirst", guards: []Kind{ShrinkPool}, permits: highestFirst,
		sentence: "The highest node id of a pool leaves first: a StatefulSet removes its highest ordinal.",
	},
	{
		name: "holdsNothing", guards: []Kind{ShrinkPool, Unregister}, permits: holdsNothing, field: fieldOfHolding,
		sentence: "A broker that leaves, or is gone, has no replica of any partition.",
	},
	{
		name: "notReassigning", guards: []Kind{ShrinkPool, Unregister, evict}, permits: notReassigning,
		sentence: "No partition is being reassigned, by anybody.",
	},
	{
		name: "emptyTwice", guards: []Kind{ShrinkPool}, permits: emptyTwice,
		sentence: "A broker that leaves was seen without replicas twice, at least 5 seconds apart.",
	},
	{
		name: "podsGone", guards: []Kind{RemovePool}, permits: podsGone,
		sentence: "The pool that is removed has no pods any more.",
	},
	{
		name: "brokersForgotten", guards: []Kind{RemovePool}, permits: brokersForgotten,
		sentence: "Kafka has forgotten the brokers of the pool that is removed, and no partition names one: without the " +
			"StatefulSet none could come back.",
	},
	{
		name: "isFenced", guards: []Kind{Unregister}, permits: isFenced,
		sentence: "A broker that is unregistered is fenced: Kafka has given up on it.",
	},
	{
		name: "forgotten", guards: []Kind{DeleteClaims}, permits: forgotten,
		sentence: "Of a node whose claims are deleted nothing is left: Kafka lists no such broker, the metadata quorum no " +
			"such voter, and no partition names it.",
	},
	{
		name: "allOnVersion", guards: []Kind{FinalizeVersion}, permits: allOnVersion,
		sentence: "Every node is ready, unfenced, and runs what the spec asks for.",
	},
	{
		name: "rollFirst", guards: []Kind{BeginMoves}, permits: rollFirst,
		sentence: "No node is to be restarted, now or later: a roll does not wait for replicas that have not begun to move.",
	},
	{
		name: "disksWork", guards: []Kind{BeginMoves}, permits: disksWork,
		sentence: "No disk of a broker has failed: what is on it is copied before anything is evened out.",
	},
	{
		name: budgetClosedName, guards: []Kind{Restart}, permits: budgetClosed,
		sentence: "Kubernetes has taken note of the PodDisruptionBudget that lets it evict no pod meanwhile.",
	},
}

// permitted asks the predicates about a disruption. It returns the first that refuses, with its fact, or the facts of
// those that permit.
func (v *view) permitted(d *disruption, t tables, chosen *round) (refusal *predicate, facts []string) {
	for i := range t.predicates {
		p := &t.predicates[i]
		if !p.isAskedAbout(d) {
			continue
		}
		ok, fact := p.permits(v, d, chosen)
		if !ok {
			return p, []string{fact}
		}
		if fact != "" && p.tells {
			facts = append(facts, fact)
		}
	}
	return nil, facts
}

// isAskedAbout asks about the replacement of a disk under a process that serves what is asked about its restart, too.
func (p *predicate) isAskedAbout(d *disruption) bool {
	if slices.Contains(p.guards, d.kind) {
		return d.kind != Restart || d.node.standing <= p.asks
	}
	return d.restarts() && slices.Contains(p.guards, Restart)
}

func cacheCurrent(v *view, _ *disruption, _ *round) (bool, string) {
	return v.obs.CacheCurrent, "the cache has not yet shown the last act"
}

func notPaused(v *view, _ *disruption, _ *round) (bool, string) {
	return !v.c.Paused, "the cluster is paused"
}

func oneThing(_ *view, d *disruption, chosen *round) (bool, string) {
	if chosen.empty() {
		return true, ""
	}
	before := chosen.disruptions[0]
	together := d.kind == Restart && before.kind == Restart && d.node.standing == serving &&
		before.node.standing == serving
	if before.node != nil && before.node == d.node {
		return together, "it " + before.kind.Row().disruption.effect + " first"
	}
	return together, before.subject() + " goes first"
}

func comesBack(_ *view, d *disruption, _ *round) (bool, string) {
	return d.node.made && !d.node.set.Deleting,
		fmt.Sprintf("StatefulSet %s would not make its pod again", d.node.pool.StatefulSet)
}

func filesKnown(_ *view, d *disruption, _ *round) (bool, string) {
	return d.node.known || d.node.leaving, "its files wait for something: " + d.node.Waiting
}

func revisionKnown(_ *view, d *disruption, _ *round) (bool, string) {
	return !isGone(d.node.pod), "the revision that it runs is gone and it works; delete its pod to replace it"
}

func provenRevision(v *view, d *disruption, _ *round) (bool, string) {
	for _, m := range v.nodes {
		switch {
		case m == d.node || v.proven(m.Pool):
		case v.tries(m):
			return false, fmt.Sprintf("%s tries the new revision, which is proven if none of its containers restarts "+
				"before %s", m.name(), m.worksAt().UTC().Format(time.TimeOnly+" MST"))
		case !m.ready() && (m.runsWanted() || m.willRunWanted()):
			return false, fmt.Sprintf("%s is not ready%s, and nobody has shown that the new revision works", m.name(),
				problem(m.pod))
		}
	}
	return true, ""
}

func othersReady(v *view, d *disruption, _ *round) (bool, string) {
	var not listed
	joins := d.kind == Restart && d.node.votes() && !d.node.isController()
	for _, m := range v.nodes {
		if m == d.node || !v.isCountedOn(m) {
			continue
		}
		state := v.unready(m)
		waits := v.replaces(d) || d.kind == Restart && !d.node.ready() || joins && v.stillVoting(m.pool) != ""
		if m.isHeard() && (m.leaving || waits && !(m.fails() && m.runsWantedTemplate())) {
			// Kafka's process is ready. Clients miss the other pod too, and waiting for each other would keep it so: the other
			// pod may not restart while replicas are on a failed disk, or before this one votes in its place. Or it leaves,
			// and nobody mends what runs beside.
			state = v.unknownToKafka(m)
		}
		if state != "" {
			not.add("%s %s", m.name(), state)
		}
	}
	return not.count == 0, not.String()
}

// isCountedOn tells whether the cluster misses a node while it is not ready. A node that leaves, does not vote and
// holds no replica is not missed: nobody repairs it, so it may never be ready again.
func (v *view) isCountedOn(n *node) bool {
	if !n.leaving || n.ready() {
		return n.made || n.pod != nil
	}
	fresh, _ := v.freshSnapshot()
	held, _ := v.kafka.replicas(n.ID)
	return !fresh || held > 0 || v.votesNow(n)
}

// unready says what a node lacks; empty = nothing.
func (v *view) unready(n *node) string {
	switch {
	case n.pod == nil:
		return "has no pod"
	case n.pod.Deleting:
		return "is stopping"
	case !n.pod.Ready:
		return "is not ready" + problem(n.pod)
	}
	return v.unknownToKafka(n)
}

// unknownToKafka says what Kafka misses of a node whose process is ready; empty = nothing.
func (v *view) unknownToKafka(n *node) string {
	b, registered := v.kafka.brokers[n.ID]
	switch {
	case !n.isBroker() || v.kafka.snapshot == nil:
		return ""
	case !registered:
		return "is not registered"
	case b.Fenced:
		return "is fenced"
	case v.kafka.isSilent(n.ID):
		return "has not been heard of by the metadata quorum"
	}
	return ""
}

func snapshotFresh(v *view, _ *disruption, _ *round) (bool, string) { return v.freshSnapshot() }

func (v *view) freshSnapshot() (bool, string) {
	switch {
	case v.kafka.foreign != "":
		return false, fmt.Sprintf("Kafka answers with cluster id %s", v.kafka.foreign)
	case v.kafka.snapshot == nil && v.obs.KafkaError != "":
		return false, "there is no view of Kafka: " + v.obs.KafkaError
	case v.kafka.snapshot == nil:
		return false, "there is no view of Kafka"
	}
	age := v.now.Sub(v.kafka.snapshot.TakenAt)
	if age > snapshotMaxAge || age < -maxClockSkew {
		return false, fmt.Sprintf("the view of Kafka is %s old", age.Round(time.Second))
	}
	return true, ""
}

func snapshotNewer(v *view, _ *disruption, _ *round) (bool, string) { return v.snapshotNewerThanPods() }

func (v *view) snapshotNewerThanPods() (bool, string) {
	if v.kafka.snapshot == nil {
		return false, "there is no view of Kafka"
	}
	for _, n := range v.nodes {
		if n.pod == nil {
			continue
		}
		if seenBy := v.kafka.snapshot.TakenAt.Add(-podHeadStart); seenBy.Before(n.pod.CreatedAt) ||
			seenBy.Before(n.pod.StartedAt) {
			return false, fmt.Sprintf("the view of Kafka is too old to tell about the new process of %s", n.name())
		}
	}
	return true, ""
}

// problem is why a pod does not run, in brackets; empty = no reason is known.
func problem(pod *model.ObservedPod) string {
	if pod == nil || pod.Problem == model.ProblemNone {
		return ""
	}
	if pod.Container != "" {
		return fmt.Sprintf(" (container %s: %s)", pod.Container, pod.Problem)
	}
	return fmt.Sprintf(" (%s)", pod.Problem)
}

func joinFacts(facts []string) string { return strings.Join(facts, "; ") }
