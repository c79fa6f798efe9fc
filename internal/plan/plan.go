// Package plan decides everything that disturbs a running cluster, and nothing else does. It is pure: a resolved
// cluster, what rendering wants, and an observation go in; ordered steps with their reasons, and what is held back with
// the facts that hold it, come out. No clock, no client, no logging may enter.
//
// Why a node should be disturbed (reasons.go) and whether it may be (predicates.go) are separate tables of named values.
package plan

import (
	"time"

	"github.com/castellan-dev/castellan/internal/model"
)

// Held is something that should be done and may not be yet.
type Held struct {
	Node      int32
	Reasons   []string // why it should be done
	Predicate string   // name of the rule that holds it
	Message   string   // the facts, as a sentence
	Field     string   // of the spec, when only the user can end it; empty = it ends by itself
}

// Plan is what to do next.
type Plan struct {
	Steps []Step // in order; those that disturb are the last, and all of one kind
	Held  []Held
	// Pending names nodes that the operator itself would render differently, which waits for a restart that happens anyway.
	Pending []int32
	// Current counts the nodes that are ready on what the spec asks for, and Total those that it asks for.
	Current, Total int
	// Evictable is how many pods Kubernetes may evict now: what the PodDisruptionBudget says. Spared names pods that it
	// does not speak of: all of them may be evicted.
	Evictable int32
	Spared    []string
	// Waiting are sentences about what is under way and needs no act: pods starting, replicas catching up.
	Waiting []string
}

// Empty tells that the cluster is as it shall be and nothing is under way.
func (p Plan) Empty() bool { return len(p.Steps) == 0 && len(p.Held) == 0 && len(p.Waiting) == 0 }

// Next says what brings a cluster nearer to its spec. The same arguments give the same plan; an operator that dies between
// two steps, and a spec edited between them, need no memory of what went before.
func Next(c *model.Cluster, want model.Desired, obs *model.Observation, now time.Time) Plan {
	return next(c, want, obs, now, tables{reasons: reasons, predicates: predicates})
}

// tables are the rules of one pass; tests replace single entries.
type tables struct {
	reasons    []reason
	predicates []predicate
}

func next(c *model.Cluster, want model.Desired, obs *model.Observation, now time.Time, t tables) Plan {
	v := newView(c, want, obs, now)
	p := &Plan{}
	if c.ClusterID == "" || !c.Bootstrapped && len(c.InitialVoters) == 0 {
		// A pod that started now would find nobody to tell it which cluster it belongs to.
		p.wait("the cluster id and the initial voters are not recorded yet")
		return *p
	}
	shaping := v.planPools(p)
	v.planFormat(p)
	chosen, wanted := v.choose(p, t)
	staging := v.planStaging(p, chosen.restarting(), shaping)
	v.planConfig(p)
	if len(wanted) == 0 && !staging && len(shaping) == 0 {
		v.planLeaders(p)
	}
	if !staging && len(shaping) == 0 {
		v.carryOut(p, chosen)
	}
	v.planEviction(p, t, chosen, wanted)
	v.planPending(p)
	v.count(p)
	v.planWaiting(p)
	return *p
}
