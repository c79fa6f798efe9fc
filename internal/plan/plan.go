// Package plan decides everything that disturbs a running cluster, and nothing else does. It is pure: a resolved
// cluster, what rendering wants, and an observation go in; ordered steps with their reasons, and what is held back with
// the facts that hold it, come out. No clock, no client, no logging may enter.
//
// Why a node should be disturbed (reasons.go) and whether it may be (predicates.go) are separate tables of named values.
package plan

import (
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// Kind is what a step does.
type Kind string

// The steps, in the order in which they are considered. Restart is the only one that disturbs anybody.
const (
	CreatePool   Kind = "CreatePool"   // create the StatefulSet of a pool
	ScalePool    Kind = "ScalePool"    // raise its replicas; its template and the other nodes' files stay what they are
	SayFormat    Kind = "SayFormat"    // tell a pod how to format its empty disk
	StageFiles   Kind = "StageFiles"   // let new pods start on the desired template and, of Nodes, on the desired files; the others' files stay
	AlterConfig  Kind = "AlterConfig"  // set and delete run-time keys in Kafka
	ElectLeaders Kind = "ElectLeaders" // give leadership back to the preferred replicas
	Restart      Kind = "Restart"      // delete one pod
)

// Step is one act.
type Step struct {
	Kind    Kind
	Pool    string
	Node    int32   // SayFormat, Restart, AlterConfig (kafka.AllBrokers = all)
	Nodes   []int32 // StageFiles, CreatePool, ScalePool: whose files become the desired ones
	PodUID  string  // Restart, SayFormat: the very pod that was judged
	DiskUID string  // SayFormat: the disk that was judged; to be recorded before "initial" is said
	Format  string  // SayFormat: FormatInitial or FormatJoin
	Changes []kafka.ConfigChange
	Reasons []string // why, as sentences
	Facts   string   // Restart: what the cluster has left meanwhile
}

// Held is something that should be done and may not be yet.
type Held struct {
	Node      int32
	Reasons   []string // why it should be done
	Predicate string   // name of the rule that holds it
	Message   string   // the facts, as a sentence
}

// Plan is what to do next.
type Plan struct {
	Steps []Step // in order; at most one Restart, and it is the last
	Held  []Held
	// Pending names nodes that the operator itself would render differently, which waits for a restart that happens anyway.
	Pending []int32
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
	chosen := v.choose(p, t)
	staging := v.planStaging(p, chosen, shaping)
	v.planConfig(p)
	if len(chosen) == 0 && !staging && len(shaping) == 0 {
		v.planLeaders(p)
	}
	if !staging && len(shaping) == 0 {
		v.planRestart(p, chosen)
	}
	v.planPending(p)
	v.planWaiting(p)
	return *p
}
