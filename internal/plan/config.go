package plan

import (
	"cmp"
	"slices"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/version"
)

// minISRKey is never deleted: with eligible leader replicas (KIP-966) Kafka refuses that.
const minISRKey = "min.insync.replicas"

// planConfig makes the run-time keys in Kafka what they shall be. It disturbs nobody and repeats itself harmlessly, so
// any view of this cluster is young enough. Only brokers that answered are compared.
func (v *view) planConfig(p *Plan) {
	if v.kafka.snapshot == nil {
		return
	}
	if changes := v.diff(v.c.DynamicConfig, v.kafka.snapshot.Config); len(changes) > 0 {
		p.Steps = append(p.Steps, Step{
			Kind: AlterConfig, Node: kafka.AllBrokers, Changes: changes, Reasons: []string{"run-time configuration differs"},
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

// diff returns changes by key, in order. Kafka never tells the value of a key that it holds to be sensitive, but an empty
// string: such a key counts as set, or it would be set again in every pass. Its limit: a changed value of a sensitive
// key goes unnoticed. Values are compared as the strings that Kafka stores, which are the ones it was given.
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
