// Package plan decides every disruption of a running cluster. No other package does.
//
// It is pure. A resolved cluster, the desired files and templates, and an observation go in. Ordered steps come out,
// each with its reasons, and so does what is held back, with the rule and the facts that hold it. No clock, no client
// and no logger may enter.
//
// Three tables hold the rules: why a node should be disturbed (reasons.go), whether it may be disturbed now
// (predicates.go), and how each kind of step is told and carried out (steps_table.go).
package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/internal/course"
	"github.com/castellan-dev/castellan/internal/model"
)

// Held is something that should be done and may not be yet.
type Held struct {
	Node      int32    // -1 = it concerns no single node
	Reasons   []string // why it should be done
	Predicate string   // name of the rule that holds it
	Message   string   // the facts, as a sentence
	Field     string   // the field of the spec that the user has to change; empty = the wait ends by itself
}

// Plan is what to do next.
type Plan struct {
	Steps []Step // in order; those that disturb come last and are all of one kind
	Held  []Held
	// Pending lists nodes that run what the user asked for, and that this version of the operator would render
	// differently. They change with a restart that happens for another reason.
	Pending []int32
	// Current counts the nodes that are ready on what the spec asks for. Total counts the nodes that it asks for.
	Current, Total int
	// Evictable is the number of pods that the PodDisruptionBudget lets Kubernetes evict now. Spared names pods that
	// the budget leaves out: Kubernetes may evict all of them.
	Evictable int32
	Spared    []string
	// Sealed tells that the budget lets nobody go, whether or not Kubernetes knows the StatefulSets of all pods.
	Sealed bool
	// Cordoned lists the brokers whose cordon is the operator's. It is to be on record before the next pass.
	Cordoned []int32
	// Course is how far the moving of replicas is; nil = nobody looked.
	Course *course.Course
	// Waiting says what is under way and needs no step, such as a pod that starts or a replica that catches up.
	Waiting []string
	// Until is when the passing of time alone changes the plan; zero = it does not.
	Until time.Time
}

// Empty tells whether the cluster is as the spec asks and nothing is under way.
func (p Plan) Empty() bool { return len(p.Steps) == 0 && len(p.Held) == 0 && len(p.Waiting) == 0 }

// Next plans what brings a cluster nearer to its spec. The same arguments give the same plan. The plan depends on
// nothing that happened before, so the operator may die, and the spec may change, between any two steps.
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
	p := &Plan{Course: v.course, Cordoned: slices.Sorted(maps.Keys(c.Cordoned))}
	if c.ClusterID == "" || !c.Bootstrapped && len(c.InitialVoters) == 0 {
		// A pod that started now would find nobody to tell it which cluster it belongs to.
		p.wait("the cluster id and the initial voters are not recorded yet")
		return *p
	}
	shaping := v.planPools(p)
	v.planReturns(p, shaping)
	v.planFormat(p)
	v.planRetries(p)
	chosen, wanted := v.choose(p, t)
	staging := v.planStaging(p, chosen.restarting(), shaping)
	v.planConfig(p)
	v.planCordons(p)
	v.planRecalls(p)
	v.planEndMoves(p)
	v.planLeaders(p, len(wanted) == 0 && !staging && len(shaping) == 0)
	if !staging && len(shaping) == 0 {
		v.carryOut(p, chosen)
		v.planRenewal(p)
	}
	v.planLeavingVolumes(p)
	if p.Sealed = p.Sealed || v.isSealed(); !p.Sealed {
		v.planEviction(p, t, chosen, wanted)
	}
	v.planPending(p)
	v.count(p)
	v.planWaiting(p)
	p.Until = v.until(p)
	return *p
}
