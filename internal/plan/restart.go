package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/internal/model"
)

// choose finds the nodes that need a restart, says of each what holds it back, and returns those that may go now: at
// most one, as long as the predicate oneAtATime says so.
func (v *view) choose(p *Plan, t tables) []*node {
	var needing []*node
	for _, n := range v.nodes {
		for _, r := range t.reasons {
			if holds, text := r.holds(n); holds {
				n.reasons = append(n.reasons, text)
			}
		}
		if len(n.reasons) > 0 {
			needing = append(needing, n)
		}
	}
	slices.SortStableFunc(needing, v.order)
	var chosen []*node
	for _, n := range needing {
		refusal, facts := v.permitted(n, t, chosen)
		if refusal == nil {
			n.facts = facts
			chosen = append(chosen, n)
			continue
		}
		if n.pod == nil {
			continue // nothing would be deleted; that it has no pod is told anyway
		}
		p.Held = append(p.Held, Held{
			Node: n.ID, Reasons: n.reasons, Predicate: refusal.name,
			Message: fmt.Sprintf("%s not restarted: %s", n.name(), facts[0]),
		})
	}
	return chosen
}

// order puts first what disturbs least: pods that serve nobody, then brokers, then nodes that are controllers too, then
// dedicated controllers, and the quorum's leader last. A node that a new revision has been staged for stays first, so
// that an unproven revision does not wander from node to node.
func (v *view) order(a, b *node) int {
	return cmp.Or(
		first(a.fails(), b.fails()),
		cmp.Compare(b.standing, a.standing),
		first(a.pod == nil || !a.pod.Ready, b.pod == nil || !b.pod.Ready),
		first(v.isOnTrial(a), v.isOnTrial(b)),
		first(!v.leadsQuorum(a), !v.leadsQuorum(b)),
		first(!a.pool.Controller, !b.pool.Controller),
		first(a.pool.Broker, b.pool.Broker),
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

// isOnTrial tells that the next pod of a node would run the wanted revision, while no node of its pool runs it yet.
func (v *view) isOnTrial(n *node) bool {
	return n.pod != nil && n.known && n.isStaged && n.staged.User == n.wanted.User && n.pod.Files.User != n.staged.User &&
		!v.proven(n.Pool)
}

// planRestart deletes a pod only after an earlier pass has seen its replacement staged.
func (v *view) planRestart(p *Plan, chosen []*node) {
	for _, n := range chosen {
		if n.pod == nil || !n.isStagedAsWanted() {
			continue
		}
		p.Steps = append(p.Steps, Step{
			Kind: Restart, Pool: n.Pool, Node: n.ID, PodUID: n.pod.UID, Reasons: n.reasons, Facts: strings.Join(n.facts, "; "),
		})
	}
}

// planPending names nodes that run what the user asked for, though not in the operator's present words.
func (v *view) planPending(p *Plan) {
	for _, n := range v.nodes {
		if n.pod == nil || n.pod.Deleting || !n.runsWanted() {
			continue
		}
		if n.pod.Files.Whole != n.wanted.Whole || n.pod.Template.Whole != n.template.Whole {
			p.Pending = append(p.Pending, n.ID)
		}
	}
}
