package topics

import (
	"maps"
	"slices"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/version"
)

// configChanges sets the keys of the spec and removes those that have left it: owned are the keys that this object
// has set before, all others are somebody else's and go only where the spec is exact. From Kafka's own topics no key
// is removed: Kafka has set some of them when it made the topic, and the brokers' defaults are not those. Nor does
// their cleanup policy change, on which depends whether what Kafka keeps there lives on.
func configChanges(d Desired, owned []string, live map[string]string) []kafka.ConfigChange {
	var changes []kafka.ConfigChange
	for _, key := range keys(d.Config) {
		if have, set := live[key]; !set || !version.SameOnTopic(key, d.Config[key], have) {
			if Internal(d.Name) && key == cleanupPolicy {
				continue
			}
			value := d.Config[key]
			changes = append(changes, kafka.ConfigChange{Key: key, Value: &value})
		}
	}
	switch {
	case Internal(d.Name):
		owned = nil
	case d.Exact:
		owned = keys(live)
	}
	for _, key := range owned {
		_, wanted := d.Config[key]
		if _, set := live[key]; set && !wanted && !throttles(key) {
			changes = append(changes, kafka.ConfigChange{Key: key})
		}
	}
	return changes
}

const cleanupPolicy = "cleanup.policy"

// throttles tells whether a key belongs to a reassignment under way (KIP-73), whoever runs it: it is no part of what a
// topic should be.
func throttles(key string) bool {
	return key == moves.LeaderThrottled || key == moves.FollowerThrottled
}

// changed returns a configuration with changes applied.
func changed(config map[string]string, changes []kafka.ConfigChange) map[string]string {
	config = maps.Clone(config)
	for _, c := range changes {
		if c.Value == nil {
			delete(config, c.Key)
			continue
		}
		if config == nil {
			config = map[string]string{}
		}
		config[c.Key] = *c.Value
	}
	return config
}

// reported returns the keys set on a topic as the status tells them: without those of a reassignment, and as they stand
// there already where Kafka reads the two alike, so that its other spelling is no news.
func reported(live, before map[string]string) map[string]string {
	var all map[string]string
	for _, key := range keys(live) {
		if throttles(key) {
			continue
		}
		if all == nil {
			all = make(map[string]string, len(live))
		}
		all[key] = live[key]
		if was, ok := before[key]; ok && version.SameOnTopic(key, was, live[key]) {
			all[key] = was
		}
	}
	return all
}

func keys(config map[string]string) []string { return slices.Sorted(maps.Keys(config)) }
