package plan

import (
	"cmp"

	"github.com/castellan-dev/castellan/internal/model"
)

// order puts first what disturbs least: pods that serve nobody, then brokers, then nodes that are controllers too, then
// dedicated controllers, and the quorum's leader last. To a newer version of Kafka controllers go first. A node that a new
// revision has been staged for stays first, so that an unproven revision does not wander from node to node. Nodes of one
// rack follow each other, and the rack of the quorum's leader comes last.
func (v *view) order(x, y *disruption) int {
	a, b := x.node, y.node
	switch x.kind {
	case FinalizeVersion, RemovePool:
		return 0
	case RemoveVoter:
		return cmp.Or(first(!v.votesNow(a), !v.votesNow(b)), first(!v.leadsQuorum(a), !v.leadsQuorum(b)), cmp.Compare(a.ID, b.ID))
	case ShrinkPool:
		return cmp.Compare(b.ID, a.ID)
	}
	return cmp.Or(
		first(a.fails(), b.fails()),
		cmp.Compare(b.standing, a.standing),
		first(a.pod == nil || !a.pod.Ready, b.pod == nil || !b.pod.Ready),
		first(v.isOnTrial(a), v.isOnTrial(b)),
		first(v.rises && !a.isBroker(), v.rises && !b.isBroker()),
		first(!v.leadsQuorum(a), !v.leadsQuorum(b)),
		first(!a.isController(), !b.isController()),
		first(a.isBroker(), b.isBroker()),
		first(v.rack(a) != v.leaderRack(), v.rack(b) != v.leaderRack()),
		cmp.Compare(v.rack(a), v.rack(b)),
		cmp.Compare(a.ID, b.ID),
	)
}

func (n *node) fails() bool { return n.pod != nil && n.pod.Problem != model.ProblemNone }

func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func (v *view) leadsQuorum(n *node) bool { return v.kafka.quorum.LeaderID == n.ID }

// rack is the failure domain of a node, as Kafka was told and else as Kubernetes says; empty = none.
func (v *view) rack(n *node) string {
	if b, registered := v.kafka.brokers[n.ID]; registered {
		return b.Rack
	}
	if n.pod != nil {
		return n.pod.Zone
	}
	return ""
}

func (v *view) leaderRack() string {
	for _, n := range v.nodes {
		if v.leadsQuorum(n) && !n.gone {
			return v.rack(n)
		}
	}
	return ""
}

// isOnTrial tells that the next pod of a node would run the wanted revision, while no node of its pool runs it yet.
func (v *view) isOnTrial(n *node) bool {
	return n.pod != nil && n.known && n.isStaged && n.staged.User == n.wanted.User && n.pod.Files.User != n.staged.User &&
		!v.proven(n.Pool)
}
