package plan

import (
	"fmt"
	"slices"
	"strings"
)

// act is one disturbance under consideration: of a node, of a pool that is gone from the spec (the node is only its name
// then), or of the whole cluster (no node).
type act struct {
	kind    Kind
	node    *node
	reasons []string
	facts   []string // what the cluster has left meanwhile
	held    string   // name of the predicate that refused it
}

// disturbing are the kinds of disturbance, what is most urgent first: a plan holds acts of one kind.
var disturbing = []Kind{ReplaceDisk, RemoveVoter, AddVoter, Restart, ShrinkPool, RemovePool, Unregister, FinalizeVersion}

// batch is what has been chosen so far for one plan.
type batch struct {
	acts []*act
	lost []int32 // by partition: in-sync replicas that stop
	rack string
}

func (b *batch) empty() bool { return len(b.acts) == 0 }

func (b *batch) has(id int32) bool {
	return slices.ContainsFunc(b.acts, func(a *act) bool { return a.node != nil && a.node.ID == id })
}

func (b *batch) restarting() []*node {
	var nodes []*node
	for _, a := range b.acts {
		if a.kind == Restart {
			nodes = append(nodes, a.node)
		}
	}
	return nodes
}

func (v *view) add(b *batch, a *act) {
	b.acts = append(b.acts, a)
	if a.kind != Restart && a.kind != evict {
		return
	}
	b.rack = v.rack(a.node)
	if b.lost == nil && v.kafka.snapshot != nil {
		b.lost = make([]int32, len(v.kafka.snapshot.Partitions))
	}
	for _, i := range v.kafka.inSync[a.node.ID] {
		b.lost[i]++
	}
}

// choose finds everything that should be disturbed and says of each what holds it back. It returns what may be done now,
// and everything that was wanted.
func (v *view) choose(p *Plan, t tables) (*batch, []*act) {
	chosen := &batch{}
	var all []*act
	for _, kind := range disturbing {
		wanted := v.wanted(kind, t)
		slices.SortStableFunc(wanted, v.order)
		for _, a := range wanted {
			refusal, facts := v.permitted(a, t, chosen)
			if refusal == nil {
				a.facts = facts
				v.add(chosen, a)
				continue
			}
			a.held = refusal.name
			if kind == Restart && a.node.pod == nil {
				continue // nothing would be deleted; that it has no pod is told anyway
			}
			fact := facts[0]
			if kind == Restart && !chosen.empty() && !strings.Contains(fact, "goes first") {
				fact = chosen.acts[0].subject() + " goes first, and beside it: " + fact
			}
			p.Held = append(p.Held, v.holding(a, refusal, fact))
		}
		all = append(all, wanted...)
	}
	return chosen, all
}

// wanted asks the reasons that lead to a kind of act.
func (v *view) wanted(kind Kind, t tables) []*act {
	var acts []*act
	for _, n := range v.subjects(kind) {
		a := &act{kind: kind, node: n}
		for _, r := range t.reasons {
			if r.leads != kind {
				continue
			}
			if holds, text := r.holds(v, n); holds {
				a.reasons = append(a.reasons, text)
			}
		}
		if len(a.reasons) > 0 {
			acts = append(acts, a)
		}
	}
	return acts
}

// subjects are what a kind of act can be about.
func (v *view) subjects(kind Kind) []*node {
	switch kind {
	case FinalizeVersion:
		return []*node{nil}
	case RemovePool:
		return v.emptied()
	}
	return v.nodes
}

func (v *view) holding(a *act, refusal *predicate, fact string) Held {
	held := Held{Node: -1, Reasons: a.reasons, Predicate: refusal.name, Message: a.subject() + " " + undone[a.kind] + ": " + fact}
	if a.node != nil {
		held.Node = a.node.ID
	}
	if refusal.field != nil {
		held.Field = refusal.field(v, a)
	}
	return held
}

// undone says of every kind of act that it has not been done.
var undone = map[Kind]string{
	ReplaceDisk: "keeps its disk", RemoveVoter: "not taken out of the metadata quorum", AddVoter: "not made a voter",
	Restart: "not restarted", ShrinkPool: "not removed", RemovePool: "not removed", Unregister: "not unregistered",
	FinalizeVersion: "not changed",
}

func (a *act) subject() string {
	switch a.kind {
	case FinalizeVersion:
		return "metadata.version"
	case RemovePool:
		return "pool " + a.node.Pool
	case AddVoter, RemoveVoter:
		return fmt.Sprintf("controller %d", a.node.ID)
	}
	return a.node.name()
}

// carryOut makes steps of what was chosen. A pod is deleted only after an earlier pass has seen its replacement staged.
func (v *view) carryOut(p *Plan, chosen *batch) {
	for _, a := range chosen.acts {
		step := Step{Kind: a.kind, Reasons: a.reasons, Facts: joinFacts(a.facts)}
		if a.node != nil {
			step.Pool, step.Node = a.node.Pool, a.node.ID
		}
		switch a.kind {
		case Restart:
			if a.node.pod == nil || !a.node.isStagedAsWanted() {
				continue
			}
			step.PodUID = a.node.pod.UID
		case ReplaceDisk:
			step.Claims = a.node.claims
			if a.node.pod != nil {
				step.PodUID = a.node.pod.UID
			}
		case AddVoter, RemoveVoter:
			step.Member, step.Endpoint = v.member(a)
		case ShrinkPool:
			step.Replicas = a.node.set.Replicas - 1
		case RemovePool:
			step.SetUID = a.node.set.UID
		case FinalizeVersion:
			step.Level = v.c.MetadataVersion
		}
		p.Steps = append(p.Steps, step)
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
