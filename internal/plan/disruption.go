package plan

import (
	"slices"
	"strings"
)

// disruption is one disturbance under consideration. It concerns a node, or a pool that the spec no longer has (the
// node then carries only its name), or the whole cluster (there is no node then).
type disruption struct {
	kind    Kind
	node    *node
	reasons []string
	facts   []string // what the cluster has left meanwhile
	held    string   // name of the predicate that refused it
}

// restarts tells whether a disruption ends a process that starts again on the same metadata log. So does the
// replacement of a disk under a process that serves: notServing permits it for no disk that holds the log.
func (d *disruption) restarts() bool {
	return d.kind == Restart || d.kind == ReplaceDisk && d.node.isHeard()
}

// round is what one plan disturbs together.
type round struct {
	disruptions []*disruption
	lost        []int32 // by partition: how many of its in-sync replicas stop
	rack        string  // of the node that was added last
	rolls       bool    // some node is to be restarted, now or later
}

func (r *round) empty() bool { return len(r.disruptions) == 0 }

func (r *round) has(id int32) bool {
	return slices.ContainsFunc(r.disruptions, func(d *disruption) bool { return d.node != nil && d.node.ID == id })
}

func (r *round) restarting() []*node {
	var nodes []*node
	for _, d := range r.disruptions {
		if d.kind == Restart {
			nodes = append(nodes, d.node)
		}
	}
	return nodes
}

func (v *view) add(r *round, d *disruption) {
	r.disruptions = append(r.disruptions, d)
	if d.kind != Restart && d.kind != evict {
		return
	}
	r.rack = v.rack(d.node)
	if r.lost == nil && v.kafka.snapshot != nil {
		r.lost = make([]int32, len(v.kafka.snapshot.Partitions))
	}
	for _, i := range v.kafka.inSync[d.node.ID] {
		r.lost[i]++
	}
}

// choose finds everything that should be disturbed and tells p what holds it back. It returns what may be disturbed
// now, and everything that should be.
func (v *view) choose(p *Plan, t tables) (*round, []*disruption) {
	chosen := &round{}
	var all []*disruption
	for _, kind := range disturbing {
		wanted := v.wanted(kind, t)
		slices.SortStableFunc(wanted, v.order)
		for _, d := range wanted {
			refusal, facts := v.permitted(d, t, chosen)
			if refusal == nil {
				d.facts = facts
				v.add(chosen, d)
				continue
			}
			if d.held = refusal.name; kind == BeginMoves {
				v.course.Hold(facts[0])
			}
			if kind == Restart && d.node.pod == nil {
				continue // there is no pod to delete, and planWaiting says so
			}
			fact := facts[0]
			if kind == Restart && !chosen.empty() && chosen.disruptions[0].node != d.node &&
				!strings.Contains(fact, "goes first") {
				fact = chosen.disruptions[0].subject() + " goes first, and beside it: " + fact
			}
			p.Held = append(p.Held, v.holding(d, refusal, fact))
		}
		all = append(all, wanted...)
		// What waits for replicas to move keeps none from moving.
		waits := func(d *disruption) bool { return d.held != volumesEmptyName }
		chosen.rolls = chosen.rolls || (kind == Restart || kind == ReplaceDisk) && slices.ContainsFunc(wanted, waits)
	}
	return chosen, all
}

// wanted asks the reasons that lead to a kind of disruption.
func (v *view) wanted(kind Kind, t tables) []*disruption {
	var disruptions []*disruption
	for _, n := range kind.Row().disruption.concerns(v) {
		d := &disruption{kind: kind, node: n}
		for _, r := range t.reasons {
			if r.leads != kind {
				continue
			}
			if holds, text := r.holds(v, n); holds {
				d.reasons = append(d.reasons, text)
			}
		}
		if len(d.reasons) > 0 {
			disruptions = append(disruptions, d)
		}
	}
	return disruptions
}

func (v *view) holding(d *disruption, refusal *predicate, fact string) Held {
	held := Held{
		Node: -1, Reasons: d.reasons, Predicate: refusal.name,
		Message: d.subject() + " " + d.kind.Row().disruption.undone + ": " + fact,
	}
	if d.node != nil {
		held.Node = d.node.ID
	}
	if d.kind == ShrinkPool && d.node.isExtra() {
		held.Message += "; somebody has scaled StatefulSet " + d.node.pool.StatefulSet + " by hand"
	}
	if refusal.field != nil {
		held.Field = refusal.field(v, d)
	}
	return held
}

// subject names what a disruption concerns.
func (d *disruption) subject() string { return d.kind.Row().disruption.subject(d.node) }

// carryOut makes steps of what was chosen. A pod is deleted only after an earlier pass has seen its replacement staged.
func (v *view) carryOut(p *Plan, chosen *round) {
	for _, d := range chosen.disruptions {
		step := Step{Kind: d.kind, Reasons: d.reasons, Facts: joinFacts(d.facts)}
		if d.node != nil {
			step.Pool, step.Node = d.node.Pool, d.node.ID
		}
		if d.kind.Row().disruption.judged(v, d, &step) {
			p.Steps = append(p.Steps, step)
		}
	}
}

// planPending lists nodes that run what the user asked for, as another version of the operator rendered it.
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

func (v *view) count(p *Plan) {
	for _, n := range v.nodes {
		if n.leaving || n.gone {
			continue
		}
		if p.Total++; n.runsWanted() && n.ready() {
			p.Current++
		}
	}
}
