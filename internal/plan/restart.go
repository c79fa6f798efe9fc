package plan

import (
	"cmp"

	"github.com/castellan-dev/castellan/internal/model"
)

// order puts first what disturbs least: pods that serve nobody, then brokers, then nodes that are brokers and
// controllers, then dedicated controllers, and the quorum's leader last. Three rules change that:
//
//   - On the way to a newer version of Kafka, controllers go first.
//   - A node that an unproven revision is staged for stays first, so that the revision does not move from node to node.
//   - Nodes of one rack follow each other, and the rack of the quorum's leader comes last.
func (v *view) order(x, y *disruption) int {
	a, b := x.node, y.node
	switch x.kind {
	case FinalizeVersion, RemovePool:
		return 0
	case RemoveVoter:
		return cmp.Or(first(!v.votesNow(a), !v.votesNow(b)), first(!v.leadsQuorum(a), !v.leadsQuorum(b)),
			cmp.Compare(a.ID, b.ID))
	case ShrinkPool:
		return cmp.Compare(b.ID, a.ID)
	}
	return cmp.Or(
		first(a.fails(), b.fails()),
		cmp.Compare(b.standing, a.standing),
		first(a.pod == nil || !a.pod.Ready, b.pod == nil || !b.pod.Ready),
		first(v.isOnTrial(a), v.isOnTrial(b)),
		first(v.upgrades && !a.isBroker(), v.upgrades && !b.isBroker()),
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

// rack is the broker.rack of a node. Where Kafka does not know the node, it is the zone of its pod. Empty = none.
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

// isOnTrial tells whether the next pod of a node would be the first of its pool to run the wanted revision.
func (v *view) isOnTrial(n *node) bool {
	return n.pod != nil && n.known && n.isStaged && !v.proven(n.Pool) &&
		n.staged.User == n.wanted.User && n.pod.Files.User != n.staged.User
}
