package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

// A broker that leaves gets no new replica: from Kafka 4.3 on it is cordoned (KIP-1066). A cordon has two gaps. Older
// brokers know none, and who assigns replicas by hand passes it by. So a broker that is gone and that partitions still
// name comes back, is emptied by its user, and goes again.

// allDirs cordons every log directory of a broker.
const allDirs = "*"

// planCordons cordons brokers that leave, and log directories on volumes that leave, and takes the cordon off those
// that came back. Kafka keeps a cordon for an id that is gone, so which ones are the operator's is on record before
// they are set. A cordon of a broker that leaves counts as the operator's, whoever set it.
func (v *view) planCordons(p *Plan) {
	recorded := map[int32]bool{}
	maps.Copy(recorded, v.c.Cordoned)
	for _, n := range v.nodes {
		if v.kafka.snapshot == nil || n.gone || v.c.UnmanagedConfig[version.CordonKey] {
			continue
		}
		live, answered := v.kafka.snapshot.BrokerConfigs[n.ID]
		dirs, want := live[version.CordonKey], v.toCordon(n)
		step := Step{Pool: n.Pool, Node: n.ID}
		switch {
		case !answered:
		case want == "" && recorded[n.ID] && !isOurCordon(dirs):
			delete(recorded, n.ID) // it is off, or somebody has put one of their own in its place
		case want == "" && recorded[n.ID]:
			step.Kind, step.Reasons = Uncordon, []string{"the spec asks for it"}
			step.Changes = []kafka.ConfigChange{{Key: version.CordonKey}}
			p.Steps = append(p.Steps, step)
		case want == allDirs && (dirs == want || v.mayCordon(n)),
			want != "" && want != allDirs && (dirs == want || (dirs == "" || recorded[n.ID]) && v.knowsCordons(n)):
			if dirs != want && recorded[n.ID] {
				step.Kind, step.Reasons = Cordon, []string{"it leaves, and gets no new replica"}
				if want != allDirs {
					step.Reasons = []string{"a volume of it leaves, and gets no new replica"}
				}
				step.Changes = []kafka.ConfigChange{{Key: version.CordonKey, Value: &want}}
				p.Steps = append(p.Steps, step)
			}
			recorded[n.ID] = true
		}
	}
	p.Cordoned = slices.Sorted(maps.Keys(recorded))
}

// toCordon are the log directories of a broker that are to get no new replica, as Kafka has them; empty = none. The
// cordon of a volume is taken off before its pool loses it: a broker that starts with the cordon of a log directory
// which it does not have passes over all of its run-time configuration, and nobody can see why.
func (v *view) toCordon(n *node) string {
	if n.leaving {
		return allDirs
	}
	return strings.Join(slices.DeleteFunc(v.dirsLeaving(n), func(path string) bool {
		return !slices.Contains(n.pool.Leaving, model.VolumeOf(path))
	}), ",")
}

// cordoned tells which volume that the next pod of a broker would not have is cordoned, whoever did it; empty = none.
func (v *view) cordoned(n *node) string {
	if v.kafka.snapshot == nil {
		return ""
	}
	dirs := strings.Split(v.kafka.snapshot.BrokerConfigs[n.ID][version.CordonKey], ",")
	for _, volume := range n.volumesToLose() {
		if slices.ContainsFunc(dirs, func(dir string) bool { return strings.TrimSpace(dir) == model.LogDir(volume) }) {
			return volume
		}
	}
	return ""
}

// isOurCordon tells whether the operator may have set a cordon: of all log directories, or of some on volumes.
func isOurCordon(dirs string) bool {
	return dirs == allDirs || dirs != "" && !slices.ContainsFunc(strings.Split(dirs, ","), func(path string) bool {
		return model.VolumeOf(path) == ""
	})
}

// knowsCordons tells whether Kafka knows cordons on a broker.
func (v *view) knowsCordons(n *node) bool {
	if n.pod == nil || n.pod.Deleting {
		return false
	}
	runs, known := version.Find(n.pod.Version)
	return known && runs.Cordons(v.kafka.snapshot.MetadataVersion)
}

// mayCordon tells whether Kafka knows cordons and could do without the broker. Where too few brokers would stay it
// cannot leave, and every new topic as wide as the widest would be refused.
func (v *view) mayCordon(n *node) bool {
	widest := v.kafka.widest(n.ID)
	return v.knowsCordons(n) && (widest == nil || len(widest.Replicas) <= v.brokersToStay())
}

// planReturns brings brokers back that are gone and that partitions still name. Each starts on what it last ran; one
// whose files nobody has any more cannot come back so.
func (v *view) planReturns(p *Plan, shaping map[string]bool) {
	fresh, _ := v.freshSnapshot()
	if !fresh || !v.obs.CacheCurrent {
		return
	}
	for _, n := range v.highestNamed() {
		set, exists := v.obs.Pools[n.Pool]
		count, example := v.kafka.replicas(n.ID)
		holds := fmt.Sprintf("%s, among them %s", verdict.Counted(count, "partition"), partition(example))
		if exists && !set.Deleting && !shaping[n.Pool] && hasFiles(set.Files, set.FirstNodeID+set.Replicas, n.ID) {
			shaping[n.Pool] = true
			p.Steps = append(p.Steps, Step{
				Kind: ReturnNode, Pool: n.Pool, Node: n.ID, Replicas: n.ID - set.FirstNodeID + 1,
				Reasons: []string{"it is gone, and has replicas of " + holds},
			})
		} else if _, registered := v.kafka.brokers[n.ID]; !registered {
			p.wait("broker %d is gone, and has replicas of %s: move them to other brokers, or ask for it again", n.ID, holds)
		}
	}
}

// highestNamed lists, for each pool, the broker with the highest id that is gone and that partitions still name,
// registered or not.
func (v *view) highestNamed() []*node {
	there := map[int32]bool{}
	for _, n := range v.nodes {
		there[n.ID] = !n.gone
	}
	highest := map[string]*node{}
	for _, held := range []map[int32][]int{v.kafka.inSync, v.kafka.lagging} {
		for id := range held {
			pool := v.poolOfID(id)
			if pool == nil || there[id] || highest[pool.Name] != nil && id <= highest[pool.Name].ID {
				continue
			}
			highest[pool.Name] = &node{Node: &model.Node{ID: id, Pool: pool.Name}, pool: pool, gone: true}
		}
	}
	return slices.SortedFunc(maps.Values(highest), func(a, b *node) int { return cmp.Compare(a.ID, b.ID) })
}

// hasFiles tells whether a revision has the files of all nodes from one id to another.
func hasFiles[F any](files map[int32]F, from, to int32) bool {
	for id := from; id <= to; id++ {
		if _, has := files[id]; !has {
			return false
		}
	}
	return from <= to
}

// brokersForgotten keeps the StatefulSet of a pool until Kafka has forgotten its brokers: without it none of them can
// come back.
func brokersForgotten(v *view, d *disruption, _ *round) (bool, string) {
	if !v.c.Bootstrapped {
		return true, "" // there was never a broker
	}
	if fresh, why := v.freshSnapshot(); !fresh {
		return false, why
	}
	for _, n := range v.nodes {
		if n.Pool != d.node.Pool {
			continue
		}
		count, example := v.kafka.replicas(n.ID)
		if count > 0 {
			return false, fmt.Sprintf("broker %d has replicas of %s, among them %s", n.ID,
				verdict.Counted(count, "partition"), partition(example))
		}
		if _, registered := v.kafka.brokers[n.ID]; registered {
			return false, fmt.Sprintf("Kafka has not forgotten broker %d", n.ID)
		}
	}
	return true, ""
}
