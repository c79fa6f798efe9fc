package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// predicate is one answer to "may this node be restarted now". The facts say why not or, where it helps, why.
type predicate struct {
	name     string
	sentence string // for the documentation
	// asks is the last standing that the predicate is asked about: serving = only pods that somebody may depend on,
	// failed = every pod.
	asks    standing
	permits func(v *view, n *node, chosen []*node) (bool, string)
}

// predicates in the order in which they are asked. The first that says no is the one the status shows, so what is most
// likely the cause of the others comes first: a pod that does not start before the partitions that miss it.
var predicates = []predicate{
	{"cacheCurrent", "The operator sees what it did last.", failed, cacheCurrent},
	{"comesBack", "The StatefulSet that makes the pod anew exists, stays, and counts this node.", failed, comesBack},
	{"filesKnown", "Everything that the node's files depend on is known.", serving, filesKnown},
	{"revisionKnown", "What the pod runs is known; a serving pod is not replaced on a guess.", serving, revisionKnown},
	{"provenRevision", "No other node runs a new revision that no node of its pool has shown to work.", idle, provenRevision},
	{"othersReady", "Every other node has a pod that is ready and stays, and every other broker is unfenced.", serving, othersReady},
	{"snapshotFresh", "There is a complete view of Kafka, it is of this cluster, and it is at most 10 seconds old.", serving, snapshotFresh},
	{"snapshotNewer", "The view of Kafka is at least 5 seconds younger than every pod, so that it shows the processes that run now.", serving, snapshotNewer},
	{"quorumMajority", "The metadata quorum has a leader and keeps a majority of caught-up voters without the node. With one or two voters none can be spared, and spec.rolling.unavailable decides.", serving, quorumMajority},
	{"offline", "No partition has the node as its only in-sync replica, unless it has no other replica at all.", serving, offline},
	{"minISR", "Every partition that the node is in sync with keeps min.insync.replicas without it. Where the replication factor makes that impossible, spec.rolling.unavailable decides.", serving, minISR},
	{"isrComplete", "Every other broker is in sync with all partitions that it replicates.", serving, isrComplete},
	{"oneAtATime", "No other node is being restarted by the same plan.", failed, oneAtATime},
}

func cacheCurrent(v *view, _ *node, _ []*node) (bool, string) {
	return v.obs.CacheCurrent, "the cache has not yet shown the last act"
}

func comesBack(_ *view, n *node, _ []*node) (bool, string) {
	return n.made && !n.set.Deleting, fmt.Sprintf("StatefulSet %s would not make its pod again", n.pool.StatefulSet)
}

func filesKnown(_ *view, n *node, _ []*node) (bool, string) {
	return n.known, "its files wait for something: " + n.Waiting
}

func revisionKnown(_ *view, n *node, _ []*node) (bool, string) {
	return !isGone(n.pod), "the revision that it runs is gone and it works; delete its pod to replace it"
}

func snapshotFresh(v *view, _ *node, _ []*node) (bool, string) { return v.freshSnapshot() }

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
	if age > SnapshotMaxAge || age < -maxClockSkew {
		return false, fmt.Sprintf("the view of Kafka is %s old", age.Round(time.Second))
	}
	return true, ""
}

func snapshotNewer(v *view, _ *node, _ []*node) (bool, string) { return v.snapshotNewerThanPods() }

func (v *view) snapshotNewerThanPods() (bool, string) {
	if v.kafka.snapshot == nil {
		return false, "there is no view of Kafka"
	}
	for _, n := range v.nodes {
		if n.pod != nil && v.kafka.snapshot.TakenAt.Before(n.pod.CreatedAt.Add(podHeadStart)) {
			return false, fmt.Sprintf("the view of Kafka is too old to tell about the new pod of %s", n.name())
		}
	}
	return true, ""
}

func quorumMajority(v *view, n *node, _ []*node) (bool, string) {
	e := v.kafka
	if e.quorum.LeaderID < 0 {
		return false, "the metadata quorum has no leader"
	}
	if !e.isVoter(n.ID) {
		return true, ""
	}
	voters, left := len(e.quorum.Voters), e.votersWithout(n.ID)
	switch {
	case left >= e.majority():
		return true, fmt.Sprintf("%d of %d voters stay", left, voters)
	case voters <= 2 && left == voters-1 && v.c.Unavailable != v1alpha1.UnavailableWait:
		return true, fmt.Sprintf("the metadata quorum pauses: %s", counted(voters, "voter"))
	}
	return false, fmt.Sprintf("%d of %s would stay caught up and the majority is %d", left, counted(voters, "voter"), e.majority())
}

func offline(v *view, n *node, _ []*node) (bool, string) {
	var only listed
	for _, p := range v.kafka.inSync[n.ID] {
		if len(p.ISR) == 1 && len(p.Replicas) > 1 {
			only.add("%s is in sync on no other broker", partition(p))
		}
	}
	return only.count == 0, only.String()
}

// minISR ignores partitions that the node is not in sync with: stopping it takes nothing from them.
func minISR(v *view, n *node, _ []*node) (bool, string) {
	var short, spent listed
	carried := v.kafka.inSync[n.ID]
	for _, p := range carried {
		if int32(len(p.ISR)-1) >= p.MinISR {
			continue
		}
		if int32(len(p.Replicas)) > p.MinISR || v.c.Unavailable == v1alpha1.UnavailableWait {
			short.add("%s has %s and min.insync.replicas is %d", partition(p), counted(len(p.ISR), "in-sync replica"), p.MinISR)
		} else {
			spent.add("%s pauses, its replication factor is %d and min.insync.replicas is %d", partition(p), len(p.Replicas), p.MinISR)
		}
	}
	switch {
	case short.count > 0:
		return false, short.String()
	case spent.count > 0:
		return true, fmt.Sprintf("%d of %d partitions keep min ISR; %s", len(carried)-spent.count, len(carried), spent.String())
	case len(carried) > 0:
		return true, fmt.Sprintf("%d of %d partitions keep min ISR", len(carried), len(carried))
	}
	return true, ""
}

func provenRevision(v *view, n *node, _ []*node) (bool, string) {
	for _, m := range v.nodes {
		if m == n || m.ready() || !m.runsWanted() && !m.willRunWanted() || v.proven(m.Pool) {
			continue
		}
		return false, fmt.Sprintf("%s tries the new revision and is not ready%s", m.name(), problem(m.pod))
	}
	return true, ""
}

// othersReady looks only at nodes that a StatefulSet has been asked for: one that never was carries nothing.
func othersReady(v *view, n *node, _ []*node) (bool, string) {
	var not listed
	for _, m := range v.nodes {
		if m == n || !m.made && m.pod == nil {
			continue
		}
		if state := v.unready(m); state != "" {
			not.add("%s %s", m.name(), state)
		}
	}
	return not.count == 0, not.String()
}

// unready says what a node lacks; empty = nothing.
func (v *view) unready(n *node) string {
	b, registered := v.kafka.brokers[n.ID]
	switch {
	case n.pod == nil:
		return "has no pod"
	case n.pod.Deleting:
		return "is stopping"
	case !n.pod.Ready:
		return "is not ready" + problem(n.pod)
	case !n.pool.Broker || v.kafka.snapshot == nil:
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

// isrComplete looks at the brokers of this cluster only. What a broker that is not ours keeps out of sync is counted by
// minISR and offline, partition by partition: it must not stop every roll for ever.
func isrComplete(v *view, n *node, _ []*node) (bool, string) {
	var behind listed
	for _, m := range v.nodes {
		if late := v.kafka.lagging[m.ID]; m != n && len(late) > 0 {
			behind.addMany(len(late), "%s is not in sync with %s", m.name(), partition(late[0]))
		}
	}
	return behind.count == 0, behind.String()
}

func oneAtATime(_ *view, _ *node, chosen []*node) (bool, string) {
	if len(chosen) == 0 {
		return true, ""
	}
	return false, chosen[0].name() + " goes first"
}

func partition(p *kafka.Partition) string { return fmt.Sprintf("%s-%d", p.Topic, p.Number) }

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// problem tells why a pod does not run, in brackets.
func problem(pod *model.ObservedPod) string {
	if pod == nil || pod.Problem == model.ProblemNone {
		return ""
	}
	return fmt.Sprintf(" (%s)", pod.Problem)
}

// permitted asks all predicates about a node and returns the first that refuses, or the facts in favour.
func (v *view) permitted(n *node, t tables, chosen []*node) (refusal *predicate, facts []string) {
	for i := range t.predicates {
		p := &t.predicates[i]
		if n.standing > p.asks {
			continue
		}
		ok, fact := p.permits(v, n, chosen)
		if !ok {
			return p, []string{fact}
		}
		if fact != "" && slices.Contains(tellingWhenPermitted, p.name) {
			facts = append(facts, fact)
		}
	}
	return nil, facts
}

// tellingWhenPermitted are the predicates whose facts are worth reading when they say yes.
var tellingWhenPermitted = []string{"quorumMajority", "minISR"}
