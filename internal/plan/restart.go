package plan

import (
	"cmp"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/version"
)

// order puts first what disturbs least: pods that serve nobody, then brokers, then nodes that are controllers too, then
// dedicated controllers, and the quorum's leader last. To a newer version of Kafka controllers go first. A node that a new
// revision has been staged for stays first, so that an unproven revision does not wander from node to node. Nodes of one
// rack follow each other, and the rack of the quorum's leader comes last.
func (v *view) order(x, y *act) int {
	a, b := x.node, y.node
	switch x.kind {
	case FinalizeVersion, RemovePool:
		return 0
	case RemoveVoter:
		return cmp.Or(first(!v.votesNow(a), !v.votesNow(b)), first(!v.leadsQuorum(a), !v.leadsQuorum(b)), cmp.Compare(a.ID, b.ID))
	case ShrinkPool:
		return cmp.Compare(b.ID, a.ID)
	}
	up := v.upgrades()
	return cmp.Or(
		first(a.fails(), b.fails()),
		cmp.Compare(b.standing, a.standing),
		first(a.pod == nil || !a.pod.Ready, b.pod == nil || !b.pod.Ready),
		first(v.isOnTrial(a), v.isOnTrial(b)),
		first(up && !a.isBroker(), up && !b.isBroker()),
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

// upgrades tells that some node runs an older version of Kafka than the spec asks for.
func (v *view) upgrades() bool {
	for _, n := range v.nodes {
		if n.pod != nil && !n.leaving && n.pod.Version != "" && version.Compare(n.pod.Version, v.c.Version) < 0 {
			return true
		}
	}
	return false
}

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
