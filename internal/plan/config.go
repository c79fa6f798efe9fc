package plan

import (
	"cmp"
	"slices"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/version"
)

// minISRKey is never deleted. Kafka refuses that while it has eligible leader replicas (KIP-966).
const minISRKey = "min.insync.replicas"

// planConfig sets Kafka's run-time keys to what the spec asks for. It disturbs nobody, and repeating it does no harm,
// so the view of Kafka may have any age. It compares only brokers that answered.
func (v *view) planConfig(p *Plan) {
	if v.kafka.snapshot == nil {
		return
	}
	if changes := v.diff(v.c.DynamicConfig, v.kafka.snapshot.Config); len(changes) > 0 {
		p.Steps = append(p.Steps, Step{
			Kind: AlterConfig, Node: kafka.AllBrokers, Changes: changes,
			Reasons: []string{"run-time configuration differs"},
		})
	}
	for _, n := range v.nodes {
		live, answered := v.kafka.snapshot.BrokerConfigs[n.ID]
		if !answered || n.leaving || n.gone {
			continue
		}
		if changes := v.diff(n.pool.DynamicConfig, live); len(changes) > 0 {
			p.Steps = append(p.Steps, Step{
				Kind: AlterConfig, Pool: n.Pool, Node: n.ID, Changes: changes,
				Reasons: []string{"run-time configuration of the pool differs"},
			})
		}
	}
}

// diff returns the changes in the order of their keys. Kafka returns an empty string for the value of a sensitive key.
// Such a key counts as set, or every pass would set it again. The limit: a changed value of a sensitive key goes
// unnoticed. Values are compared as strings: Kafka stores the string that it was given.
func (v *view) diff(desired, live map[string]string) []kafka.ConfigChange {
	var changes []kafka.ConfigChange
	for key, value := range desired {
		now, set := live[key]
		if v.c.UnmanagedConfig[key] || set && (now == value || now == "") {
			continue
		}
		changes = append(changes, kafka.ConfigChange{Key: key, Value: &value})
	}
	for key := range live {
		_, wanted := desired[key]
		if wanted || v.c.UnmanagedConfig[key] || version.Foreign(key) || key == minISRKey {
			continue
		}
		changes = append(changes, kafka.ConfigChange{Key: key})
	}
	slices.SortFunc(changes, func(a, b kafka.ConfigChange) int { return cmp.Compare(a.Key, b.Key) })
	return changes
}
