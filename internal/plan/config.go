package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/version"
)

// minISRKey is never deleted for all brokers. Kafka refuses that while it has eligible leader replicas (KIP-966).
const minISRKey = "min.insync.replicas"

// planConfig sets Kafka's run-time keys to what the spec asks for. It disturbs nobody, and repeating it does no harm,
// so the view of Kafka may have any age. It compares only brokers that answered.
func (v *view) planConfig(p *Plan) {
	if v.kafka.snapshot == nil {
		return
	}
	catalogued, _ := version.Find(v.c.Version)
	all := Step{Node: kafka.AllBrokers, Reasons: []string{"run-time configuration differs"}}
	pending := slices.DeleteFunc(
		v.diff(v.c.DynamicConfig, v.kafka.snapshot.Config, sameText(catalogued)),
		func(c kafka.ConfigChange) bool { return c.Key == minISRKey && c.Value == nil },
	)
	p.configure(all, slices.DeleteFunc(slices.Clone(pending), func(c kafka.ConfigChange) bool {
		return !v.mayChangeForAll(catalogued, c)
	}))
	for _, n := range v.nodes {
		live, answered := v.kafka.snapshot.BrokerConfigs[n.ID]
		if !answered || n.leaving || n.gone {
			continue
		}
		one := Step{Pool: n.Pool, Node: n.ID, Reasons: []string{"run-time configuration of the pool differs"}}
		changes := v.inSteps(catalogued, n, v.diff(n.pool.DynamicConfig, live, sameValue(catalogued)), pending)
		p.configure(one, changes)
		if len(pending)+len(changes) == 0 {
			v.readBack(p, catalogued, n)
		}
	}
}

// configure adds the steps for changes of one broker, or of all. What guards acknowledged records comes first and by
// itself, so that nothing that Kafka refuses keeps it out; so does each thread pool, which Kafka has limits for.
func (p *Plan) configure(step Step, changes []kafka.ConfigChange) {
	step.Kind = AlterConfig
	var guards, rest, pools [][]kafka.ConfigChange
	for _, c := range changes {
		switch {
		case c.Key == minISRKey:
			guards = append(guards, []kafka.ConfigChange{c})
		case version.IsThreadPool(c.Key):
			pools = append(pools, []kafka.ConfigChange{c})
		case len(rest) == 0:
			rest = append(rest, []kafka.ConfigChange{c})
		default:
			rest[0] = append(rest[0], c)
		}
	}
	for _, step.Changes = range slices.Concat(guards, rest, pools) {
		p.Steps = append(p.Steps, step)
	}
}

// Apart splits a step that Kafka refuses as a whole into one for each key; nil = it has only one.
func (s Step) Apart() []Step {
	if s.Kind != AlterConfig || len(s.Changes) < 2 {
		return nil
	}
	parts := make([]Step, len(s.Changes))
	for i := range s.Changes {
		parts[i] = s
		parts[i].Changes = s.Changes[i : i+1]
	}
	return parts
}

// comparison tells whether a desired value of a key and what Kafka tells of it are the same.
type comparison func(key, want, have string) bool

// sameText compares with what is set for all brokers, of which Kafka tells the text that it was given. It must have no
// blanks around it.
func sameText(v version.Version) comparison {
	return func(key, want, have string) bool { return have == version.Trimmed(have) && v.Same(key, want, have) }
}

// sameValue compares with what one broker has understood. It tells what a variable stands for, so that one that is set
// counts as the same. The limit: another variable in its place goes unnoticed.
func sameValue(v version.Version) comparison {
	return func(key, want, have string) bool { return strings.Contains(want, "${") || v.Same(key, want, have) }
}

// diff returns the changes in the order of their keys.
func (v *view) diff(desired, live map[string]string, same comparison) []kafka.ConfigChange {
	var changes []kafka.ConfigChange
	for key, value := range desired {
		now, set := live[key]
		if v.c.UnmanagedConfig[key] || set && same(key, value, now) {
			continue
		}
		value = version.Trimmed(value)
		changes = append(changes, kafka.ConfigChange{Key: key, Value: &value})
	}
	for key := range live {
		_, wanted := desired[key]
		if wanted || v.c.UnmanagedConfig[key] || version.Foreign(key) {
			continue
		}
		changes = append(changes, kafka.ConfigChange{Key: key})
	}
	slices.SortFunc(changes, func(a, b kafka.ConfigChange) int { return cmp.Compare(a.Key, b.Key) })
	return changes
}

// readBack waits for a broker that does not use what is set: it may be a moment behind, or be unable to.
func (v *view) readBack(p *Plan, catalogued version.Version, n *node) {
	var behind listed
	uses := v.kafka.snapshot.InUse[n.ID]
	for _, key := range sortedKeys(v.c.DynamicConfig, n.pool.DynamicConfig) {
		value, own := n.pool.DynamicConfig[key]
		if !own {
			value = v.c.DynamicConfig[key]
		}
		if has, told := uses[key]; told && !v.c.UnmanagedConfig[key] && !sameValue(catalogued)(key, value, has) {
			behind.add("%s", key)
		}
	}
	if behind.count > 0 {
		p.wait("%s does not use the value of the spec yet for %s; its log says why if this lasts", n.name(), &behind)
	}
}

func sortedKeys(maps ...map[string]string) []string {
	var keys []string
	for _, m := range maps {
		for key := range m {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
