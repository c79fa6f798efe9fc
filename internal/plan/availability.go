package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// What the cluster has left while nodes stop. It is judged for the whole round, on the real assignments of replicas.

// quorumMajority holds before the disruption and after it.
func quorumMajority(v *view, d *disruption, chosen *round) (bool, string) {
	e := v.kafka
	if e.quorum.LeaderID < 0 {
		return false, "the metadata quorum has no leader"
	}
	voters := len(e.quorum.Voters)
	var left int
	_, is := e.voter(d.node.ID)
	switch {
	case d.kind == AddVoter:
		voters, left = voters+1, e.votersWithout(v.isDown)+1
	case !is:
		return true, ""
	case d.kind == RemoveVoter:
		voters, left = voters-1, e.votersWithout(func(id int32) bool { return id == d.node.ID || v.isDown(id) })
	default:
		left = e.votersWithout(func(id int32) bool { return id == d.node.ID || chosen.has(id) })
	}
	spared := d.restarts() || d.kind == evict
	switch {
	case voters > 0 && left >= majority(voters):
		return true, fmt.Sprintf("%d of %d voters stay", left, voters)
	case spared && sparesNone(voters, left) && v.c.Unavailable != v1alpha1.UnavailableWait:
		return true, fmt.Sprintf("the metadata quorum pauses: %s", verdict.Counted(voters, "voter"))
	case d.restarts() && v.waitsForQuorum(d.node):
		return false, fmt.Sprintf("the metadata quorum has %s and can spare none; set spec.rolling.unavailable to "+
			"Proceed, or ask for three controllers", verdict.Counted(voters, "voter"))
	}
	return false, fmt.Sprintf("%d of %s would be caught up and the majority is %d", left, verdict.Counted(voters, "voter"),
		majority(voters))
}

// sparesNone tells whether a quorum is too small to lose a voter, though all its voters have caught up.
func sparesNone(voters, left int) bool { return voters <= 2 && left == voters-1 }

// waitsForQuorum tells whether a restart waits for ever. The spec asks for one or two controllers, so the majority
// needs this very node, and spec.rolling.unavailable says Wait.
func (v *view) waitsForQuorum(n *node) bool {
	_, is := v.kafka.voter(n.ID)
	asked := 0
	for _, m := range v.nodes {
		if m.votes() {
			asked++
		}
	}
	return is && asked <= 2 && v.c.Unavailable == v1alpha1.UnavailableWait &&
		sparesNone(len(v.kafka.quorum.Voters), v.kafka.votersWithout(n.is))
}

const fieldUnavailable = "spec.rolling.unavailable"

func fieldOfQuorum(v *view, d *disruption) string {
	if d.restarts() && v.kafka.quorum.LeaderID >= 0 && v.waitsForQuorum(d.node) {
		return fieldUnavailable
	}
	return ""
}

// isDown tells whether Kafka's process is ready in no pod of a node of this cluster. It does not vote then, whatever
// Kafka last heard of it.
func (v *view) isDown(id int32) bool {
	for _, n := range v.nodes {
		if n.ID == id {
			return !n.isHeard()
		}
	}
	return false
}

// left counts the in-sync replicas that a partition keeps when one more of them stops together with the round.
func (r *round) left(p *kafka.Partition, index int) int32 {
	left := int32(len(p.ISR)) - 1
	if r.lost != nil {
		left -= r.lost[index]
	}
	return left
}

// carried lists the partitions that lose an in-sync replica when a node stops. Kafka leaves the last one in the ISR
// though its disk has failed: that one is lost already.
func (v *view) carried(n *node) []int {
	held := v.kafka.inSync[n.ID]
	if _, has := v.kafka.failed[n.ID]; !has {
		return held
	}
	return slices.DeleteFunc(slices.Clone(held), func(i int) bool {
		return v.kafka.onFailed(v.kafka.partition(i), n.ID)
	})
}

func offline(v *view, d *disruption, chosen *round) (bool, string) {
	var only listed
	why := ""
	for _, i := range v.carried(d.node) {
		if p := v.kafka.partition(i); chosen.left(p, i) <= 0 && len(p.Replicas) > 1 {
			only.add("%s is in sync on no other broker", partition(p))
			why = cmp.Or(why, v.kafka.because(p))
		}
	}
	return only.count == 0, only.String() + why
}

// minISR looks only at partitions that the node is in sync with. Its restart takes nothing from the others.
func minISR(v *view, d *disruption, chosen *round) (bool, string) {
	var short, spent, never listed
	why := ""
	carried := v.carried(d.node)
	for _, i := range carried {
		p := v.kafka.partition(i)
		if chosen.left(p, i) >= p.MinISR {
			continue
		}
		switch {
		case int32(len(p.Replicas)) > p.MinISR:
			short.add("%s has %s and min.insync.replicas is %d", partition(p),
				verdict.Counted(len(p.ISR), "in-sync replica"), p.MinISR)
			why = cmp.Or(why, v.kafka.because(p))
		case v.c.Unavailable == v1alpha1.UnavailableWait:
			never.add("%s has %s and min.insync.replicas is %d, so that it can spare none", partition(p),
				verdict.Counted(len(p.Replicas), "replica"), p.MinISR)
		default:
			spent.add("%s pauses, its replication factor is %d and min.insync.replicas is %d", partition(p),
				len(p.Replicas), p.MinISR)
		}
	}
	switch {
	case never.count > 0:
		return false, never.String() + "; set spec.rolling.unavailable to Proceed, or give it more replicas than that"
	case short.count > 0:
		return false, short.String() + why
	case spent.count > 0:
		return true, fmt.Sprintf("%d of %d partitions keep min ISR; %s", len(carried)-spent.count, len(carried),
			spent.String())
	case len(carried) > 0:
		p := v.kafka.partition(carried[0])
		return true, fmt.Sprintf("%d of %d partitions keep min ISR, such as %s with %d of %d",
			len(carried), len(carried), partition(p), chosen.left(p, carried[0]), len(p.Replicas))
	}
	return true, ""
}

// fieldOfMinISR names the field when a partition can spare none of its replicas: the restart would wait for ever.
func fieldOfMinISR(v *view, d *disruption) string {
	never := func(i int) bool { p := v.kafka.partition(i); return int32(len(p.Replicas)) <= p.MinISR }
	if v.c.Unavailable == v1alpha1.UnavailableWait && slices.ContainsFunc(v.kafka.inSync[d.node.ID], never) {
		return fieldUnavailable
	}
	return ""
}

// keepsListener looks for any other unfenced broker: every broker carries every listener.
func keepsListener(v *view, d *disruption, chosen *round) (bool, string) {
	if !d.node.isBroker() {
		return true, ""
	}
	brokers := 0
	for _, n := range v.nodes {
		if n.gone || !n.isBroker() {
			continue
		}
		brokers++
		serves := n.ready() || !d.node.ready() && n.isHeard() // clients lose nothing with a pod that is not ready
		if b := v.kafka.brokers[n.ID]; n != d.node && !chosen.has(n.ID) && serves && b.ID == n.ID && !b.Fenced {
			return true, ""
		}
	}
	return brokers == 1 && d.kind != ShrinkPool, "no other broker would carry the listeners"
}

// isrComplete looks only at brokers of this cluster that stay up. A foreign broker that is out of sync must not stop
// every rollout for ever. minISR and offline count its partitions, and those of the brokers that stop, one by one. So
// they do where the disks of two brokers have failed: neither waits for the other's to be replaced.
func isrComplete(v *view, d *disruption, chosen *round) (bool, string) {
	var behind listed
	why := ""
	for _, m := range v.nodes {
		if m == d.node || chosen.has(m.ID) {
			continue
		}
		late := v.kafka.lagging[m.ID]
		onFailed := func(i int) bool { return v.kafka.onFailed(v.kafka.partition(i), m.ID) }
		if d.kind == ReplaceDisk || d.node.going != "" {
			late = slices.DeleteFunc(slices.Clone(late), onFailed)
		}
		if len(late) == 0 {
			continue
		}
		behind.addMany(len(late), "%s is not in sync with %s", m.name(), partition(v.kafka.partition(late[0])))
		if slices.ContainsFunc(late, onFailed) {
			why = cmp.Or(why, fmt.Sprintf("; of %s, %s", m.name(), v.kafka.failed[m.ID]))
		}
	}
	return behind.count == 0, behind.String() + why
}

func oneRack(v *view, d *disruption, chosen *round) (bool, string) {
	if chosen.empty() || v.rack(d.node) == chosen.rack && (chosen.rack != "" || v.c.MaxUnavailable > 0) {
		return true, ""
	}
	if chosen.rack == "" {
		return false, chosen.disruptions[0].subject() + " goes first"
	}
	return false, "rack " + chosen.rack + " goes first"
}

func maxUnavailable(v *view, _ *disruption, chosen *round) (bool, string) {
	return v.c.MaxUnavailable == 0 || len(chosen.disruptions) < int(v.c.MaxUnavailable),
		fmt.Sprintf("spec.rolling.maxUnavailable is %d", v.c.MaxUnavailable)
}

func trialAlone(v *view, d *disruption, chosen *round) (bool, string) {
	for _, before := range chosen.disruptions {
		if !v.proven(before.node.Pool) {
			return false, before.node.name() + " tries the new revision first"
		}
	}
	return chosen.empty() || v.proven(d.node.Pool), "it would try the new revision of its pool, and goes alone"
}

func leaderAlone(v *view, d *disruption, chosen *round) (bool, string) {
	if leader := v.kafka.quorum.LeaderID; chosen.has(leader) {
		return false, fmt.Sprintf("node %d leads the metadata quorum and goes alone", leader)
	}
	return chosen.empty() || !v.leadsQuorum(d.node), "it leads the metadata quorum and goes after the others"
}

func budgetClosed(v *view, _ *disruption, _ *round) (bool, string) {
	return v.obs.BudgetClosed, "Kubernetes is told first to evict no pod meanwhile"
}

func partition(p *kafka.Partition) string { return fmt.Sprintf("%s-%d", p.Topic, p.Number) }
