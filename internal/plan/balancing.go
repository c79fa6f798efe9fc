package plan

import (
	"fmt"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance/course"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/version"
)

// How replicas get to where there is room: internal/balance says where that is, internal/balance/course when it is due
// and what begins, and the rules here whether anything may.

// toBalance is what the moving of replicas follows from. Brokers that are gone, and those of others, take no part.
func (v *view) toBalance() course.Inputs {
	in := course.Inputs{
		Settings: v.c.Balancing, Seen: v.obs.Balancing, Snapshot: v.kafka.snapshot, KeepLeaders: v.keepsLeaders(), Now: v.now,
	}
	for _, n := range v.nodes {
		if n.gone || n.leaving && !n.isBroker() || !n.leaving && !n.pool.Broker {
			continue
		}
		b := course.Broker{ID: n.ID, Leaving: n.leaving, Capacity: map[string]int64{}}
		b.Cordoned = !n.leaving && v.cordonedByOthers(n)
		for _, volume := range n.pool.Volumes {
			if volume.Ephemeral {
				b.Capacity[model.LogDir(volume.Name)] = volume.Size.Value()
			}
		}
		for _, claim := range n.claims {
			b.Capacity[model.LogDir(claim.Volume)] = claim.Capacity.Value()
		}
		in.Brokers = append(in.Brokers, b)
	}
	return in
}

// cordonedByOthers tells whether somebody has cordoned log directories of a broker. What the operator has cordoned, it
// is about to take back.
func (v *view) cordonedByOthers(n *node) bool {
	if v.kafka.snapshot == nil {
		return false
	}
	dirs := v.kafka.snapshot.BrokerConfigs[n.ID][version.CordonKey]
	return dirs != "" && (dirs != allDirs || !v.c.Cordoned[n.ID])
}

// balances tells whether the operator moves replicas at all.
func (v *view) balances() bool {
	return v.c.Balancing.Mode == v1alpha1.BalancingOnScale || v.c.Balancing.Mode == v1alpha1.BalancingContinuous
}

func movesDue(v *view, _ *node) (bool, string) { return v.course.Has() }

// planEndMoves takes the throttle off what has arrived. It waits for nothing: what has ended disturbs nobody.
func (v *view) planEndMoves(p *Plan) {
	fresh, _ := v.freshSnapshot()
	if ended := v.course.Ended(); fresh && len(ended) > 0 {
		p.Steps = append(p.Steps, Step{Kind: EndMoves, Moves: ended, Reasons: []string{"they are under way no more"}})
	}
}

func judgedMoves(v *view, _ *disruption, s *Step) bool {
	s.Moves = v.course.Begin()
	s.Swaps = v.course.Swaps()
	return len(s.Moves) > 0
}

func movedReplicas(s Step) string {
	var some listed
	for _, m := range s.Moves {
		some.add("%s-%d to brokers %s", m.Topic, m.Partition, joinIDs(m.Replicas))
	}
	return some.String()
}

func rollFirst(_ *view, _ *disruption, chosen *round) (bool, string) {
	return !chosen.rolls, "a node is to be restarted first"
}

func disksWork(v *view, _ *disruption, _ *round) (bool, string) {
	for _, n := range v.nodes {
		if failed := v.kafka.failed[n.ID].String(); failed != "" {
			return false, fmt.Sprintf("of %s, %s", n.name(), failed)
		}
	}
	return true, ""
}
