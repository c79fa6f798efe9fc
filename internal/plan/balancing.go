package plan

import (
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/course"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/version"
)

// How replicas get to where there is room: internal/balance says where that is, internal/course when it is due
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
		b.Leaves = v.dirsLeaving(n)
		in.Brokers = append(in.Brokers, b)
	}
	for i := range v.c.Pools {
		for _, volume := range v.c.Pools[i].Volumes {
			if pool := &v.c.Pools[i]; pool.Broker && pool.Keeps(volume.Name) {
				in.Volumes = append(in.Volumes, pool.Name+"/"+volume.Name)
			}
		}
	}
	slices.Sort(in.Volumes)
	return in
}

// dirsLeaving are the log directories of a broker that its pod runs with, on volumes that the spec does not have. They
// are sorted.
func (v *view) dirsLeaving(n *node) []string {
	if n.pod == nil || n.leaving || n.gone || len(n.pool.Volumes) == 0 {
		return nil
	}
	var paths []string
	for _, name := range n.pod.Volumes {
		if !n.pool.Keeps(name) {
			paths = append(paths, model.LogDir(name))
		}
	}
	slices.Sort(paths)
	return paths
}

// volumesToLose are the volumes of a pod that its next one would not have.
func (n *node) volumesToLose() []string {
	if n.pod == nil || n.leaving || n.gone || len(n.pool.Volumes) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.pod.Volumes), func(name string) bool {
		return slices.ContainsFunc(n.pool.Volumes, func(w v1alpha1.Volume) bool { return w.Name == name })
	})
}

// cordonedByOthers tells whether somebody has cordoned log directories of a broker. What the operator has cordoned, it
// is about to take back.
func (v *view) cordonedByOthers(n *node) bool {
	if v.kafka.snapshot == nil {
		return false
	}
	dirs := v.kafka.snapshot.BrokerConfigs[n.ID][version.CordonKey]
	return dirs != "" && !(v.c.Cordoned[n.ID] && isOurCordon(dirs))
}

// balances tells whether the operator moves replicas at all.
func (v *view) balances() bool {
	return v.c.Balancing.Mode == v1alpha1.BalancingOnScale || v.c.Balancing.Mode == v1alpha1.BalancingContinuous
}

func movesDue(v *view, _ *node) (bool, string) { return v.course.Has() }

// planRecalls cancels what is under way to brokers that leave. A paused cluster is left as it is.
func (v *view) planRecalls(p *Plan) {
	fresh, _ := v.freshSnapshot()
	if recalled := v.course.Recalled(); fresh && !v.c.Paused && len(recalled) > 0 {
		p.Steps = append(p.Steps, Step{Kind: RecallMoves, Moves: recalled, Reasons: []string{"the broker leaves"}})
	}
}

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
		if m.Broker != nil {
			some.add("%s-%d to %s of broker %d", m.Topic, m.Partition, m.LogDir, *m.Broker)
			continue
		}
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
