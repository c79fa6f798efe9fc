package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// emptyFor is for how long a leaving broker has to be without replicas before it goes.
const emptyFor = 5 * time.Second

func notAskedFor(_ *view, n *node) (bool, string) {
	why := "the spec asks for fewer nodes"
	if n.isExtra() {
		why += " than StatefulSet " + n.pool.StatefulSet + ", which somebody has scaled by hand"
	}
	return n.leaving && n.made, why
}

// isExtra tells that the spec has not asked for a node since files were staged last: there are none for it, and there
// are for others.
func (n *node) isExtra() bool { return n.leaving && n.made && !n.isStaged && len(n.set.Files) > 0 }

func poolGone(_ *view, _ *node) (bool, string) { return true, "the spec has no such pool" }

func brokerGone(v *view, n *node) (bool, string) {
	_, registered := v.kafka.brokers[n.ID]
	return n.gone && registered, "it is gone for good"
}

// emptied lists the StatefulSets that have no nodes and whose pools are not in the spec.
func (v *view) emptied() []*node {
	var pools []*node
	for name, set := range v.obs.Pools {
		if set.Replicas == 0 && !set.Deleting && v.c.Pool(name) == nil {
			pool := &model.Pool{Name: name, StatefulSet: v.c.Name + "-" + name}
			pools = append(pools, &node{Node: &model.Node{ID: -1, Pool: name}, pool: pool, set: set})
		}
	}
	slices.SortFunc(pools, func(a, b *node) int { return strings.Compare(a.Pool, b.Pool) })
	return pools
}

// highestFirst follows the StatefulSet: fewer replicas always end the pod with the highest ordinal.
func highestFirst(v *view, d *disruption, _ *round) (bool, string) {
	for _, m := range v.nodes {
		if m.leaving && m.Pool == d.node.Pool && m.ID > d.node.ID {
			return false, m.name() + " of its pool goes first"
		}
	}
	return true, ""
}

func holdsNothing(v *view, d *disruption, _ *round) (bool, string) {
	count, example := v.kafka.replicas(d.node.ID)
	if count == 0 {
		return true, ""
	}
	if text := v.leaves(d.node); text != "" {
		return false, text
	}
	holds := fmt.Sprintf("it holds %s, among them %s", verdict.Counted(count, "partition"), partition(example))
	widest, stay := v.kafka.widest(d.node.ID), v.brokersToStay()
	if factor := len(widest.Replicas); factor > stay && !v.moves() {
		return false, fmt.Sprintf("topic %s has the replication factor %d and %s would stay; ask for %s more, or "+
			"lower the replication factor first; %s",
			widest.Topic, factor, verdict.Counted(stay, "broker"), verdict.Counted(factor-stay, "broker"), holds)
	}
	return false, holds + "; move them to other brokers"
}

// leaves says what a broker that leaves waits for where the operator empties it; empty = it does not. Of one that does
// not start nothing moves, as it is not in sync: its user may know better.
func (v *view) leaves(n *node) string {
	if n.gone || !v.balances() || v.tooWide(n) || n.fails() && !n.up() {
		return ""
	}
	text, _ := v.course.Leaving(n.ID)
	return text
}

// tooWide tells whether a broker holds a topic with more replicas than brokers would stay.
func (v *view) tooWide(n *node) bool {
	widest := v.kafka.widest(n.ID)
	return widest != nil && !v.moves() && len(widest.Replicas) > v.brokersToStay()
}

// moves tells whether some partition may show more replicas than its replication factor: it is being reassigned, or was
// a moment ago, and the broker that was asked has not heard of the end.
func (v *view) moves() bool {
	record := v.c.Balancing.Record
	return v.kafka.snapshot.Reassigning > 0 || record != nil && len(record.InFlight) > 0
}

// fieldOfHolding names the field where only the user can have the broker leave.
func fieldOfHolding(v *view, d *disruption) string {
	if v.leaves(d.node) == "" {
		return fieldOfPool(v, d)
	}
	if _, stuck := v.course.Leaving(d.node.ID); stuck {
		return fieldOfPool(v, d)
	}
	return ""
}

func (v *view) brokersToStay() int {
	stay := 0
	for _, n := range v.nodes {
		if n.pool.Broker && !n.leaving && !n.gone {
			stay++
		}
	}
	return stay
}

// fieldOfPool names the field with which the user keeps the node.
func fieldOfPool(v *view, d *disruption) string {
	pool := v.c.Pool(d.node.Pool)
	if pool == nil {
		return model.PoolField(d.node.Pool, "")
	}
	return model.ReplicasField(pool.Name, pool.Scaled)
}

func emptyTwice(v *view, d *disruption, _ *round) (bool, string) {
	if !d.node.isBroker() {
		return true, ""
	}
	since, noted := v.c.EmptySince[d.node.ID]
	return noted && !v.kafka.snapshot.TakenAt.Before(since.Add(emptyFor)),
		"it holds nothing, and is looked at once more before it goes"
}

func notReassigning(v *view, _ *disruption, _ *round) (bool, string) {
	moving := v.kafka.snapshot.Reassigning
	return moving == 0, verdict.Counted(moving, "partition") + " are being reassigned"
}

func podsGone(v *view, d *disruption, _ *round) (bool, string) {
	for id, seen := range v.obs.Nodes {
		if seen.Pod != nil && seen.Pod.Pool == d.node.Pool {
			return false, fmt.Sprintf("the pod of node %d has not ended", id)
		}
	}
	return true, ""
}

// isFenced protects a running broker: unregistered, it would go on outside the cluster.
func isFenced(v *view, d *disruption, _ *round) (bool, string) {
	return v.kafka.brokers[d.node.ID].Fenced, "Kafka still counts on it"
}

// departed lists the nodes of which Kubernetes has nothing but claims, and that the spec does not ask for. Claims of
// volumes that a pool has lost are not among them: what came to such a volume after it was seen empty, and before its
// broker ran without, is nowhere else.
func (v *view) departed() []*node {
	var departed []*node
	for _, id := range slices.Sorted(maps.Keys(v.obs.Nodes)) {
		seen := v.obs.Nodes[id]
		there := slices.ContainsFunc(v.nodes, func(n *node) bool { return n.ID == id && !n.gone })
		claims := slices.DeleteFunc(slices.Clone(seen.Claims), func(claim model.ObservedClaim) bool {
			return claim.ClusterID != v.c.ClusterID
		})
		if seen.Pod != nil || there || len(claims) == 0 {
			continue
		}
		pool := &model.Pool{Name: claims[0].Pool, StatefulSet: v.c.Name + "-" + claims[0].Pool}
		departed = append(departed, &node{Node: &model.Node{ID: id, Pool: pool.Name}, pool: pool, gone: true, claims: claims})
	}
	return departed
}

func (n *node) claimsName() string { return fmt.Sprintf("claims of node %d", n.ID) }

func claimsUnwanted(_ *view, n *node) (bool, string) {
	for _, claim := range n.claims {
		if claim.Unwanted && !claim.Deleting {
			return true, "the node is gone, and storage.retention.whenScaled of its pool was Delete"
		}
	}
	return false, ""
}

// forgotten protects claims for as long as the node might be wanted back.
func forgotten(v *view, d *disruption, _ *round) (bool, string) {
	id := d.node.ID
	if _, registered := v.kafka.brokers[id]; registered {
		return false, fmt.Sprintf("Kafka has not forgotten broker %d", id)
	}
	if _, votes := v.kafka.voter(id); votes {
		return false, fmt.Sprintf("controller %d is a voter of the metadata quorum", id)
	}
	count, example := v.kafka.replicas(id)
	if count == 0 {
		return true, ""
	}
	return false, fmt.Sprintf("%s name it, among them %s", verdict.Counted(count, "partition"), partition(example))
}
