package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/version"
)

// A running broker changes the size of a thread pool to no more than double and no less than half of what it is, and
// refuses everything else (version.ThreadPools). So each broker goes by doubles and halves of its own, set for it
// alone, until it can take the value of the spec at once. What it was given on the way is then taken away again.

// inReach tells whether a broker that runs a pool of one size takes another.
func inReach(now, size int) bool { return now <= 0 || now/2 <= size && size <= 2*now }

// towards is the size next to the desired one that a broker takes.
func towards(now, size int) int {
	if size > now {
		return min(2*now, size)
	}
	return max(now/2, size, 1)
}

// mayChangeForAll tells whether every broker that has no value of its own takes a change for all. One that is to have
// its own is given that first, and goes straight there. Of keys other than thread pools, Kafka says so itself.
func (v *view) mayChangeForAll(catalogued version.Version, c kafka.ConfigChange) bool {
	if !version.IsThreadPool(c.Key) {
		return true
	}
	size, known := sizeOf(c.Value)
	if c.Value == nil {
		size, known = catalogued.Default(c.Key)
	}
	return !known || !slices.ContainsFunc(v.nodes, func(n *node) bool {
		now, answered := v.threads(n, c.Key)
		_, own := v.kafka.snapshot.BrokerConfigs[n.ID][c.Key]
		_, its := n.pool.DynamicConfig[c.Key]
		return answered && !own && (its || !inReach(now, size))
	})
}

// threads is how many threads of a pool a broker runs; false = it did not say so, or is going anyway.
func (v *view) threads(n *node, key string) (int, bool) {
	value, told := v.kafka.snapshot.InUse[n.ID][key]
	if !told || n.leaving || n.gone {
		return 0, false
	}
	return sizeOf(&value)
}

func sizeOf(value *string) (int, bool) {
	if value == nil {
		return 0, false
	}
	size, err := strconv.Atoi(strings.TrimSpace(*value))
	return size, err == nil && size > 0
}

// inSteps puts for each thread pool of a broker that tells its size, in the place of the change that is missing, the
// one that the broker takes now.
func (v *view) inSteps(
	catalogued version.Version, n *node, changes, pending []kafka.ConfigChange,
) []kafka.ConfigChange {
	for _, key := range version.ThreadPools() {
		now, told := v.threads(n, key)
		desired, known := v.sizeFor(catalogued, n, key)
		if !told || !known || v.c.UnmanagedConfig[key] {
			continue
		}
		of := func(c kafka.ConfigChange) bool { return c.Key == key }
		changes = slices.DeleteFunc(changes, of)
		if next, needed := v.nextSize(n, key, now, desired, slices.ContainsFunc(pending, of)); needed {
			changes = append(changes, next)
		}
	}
	return changes
}

// sizeFor is the size that the spec asks for; false = none is asked for, nor set, or it is no size and Kafka is to say
// so.
func (v *view) sizeFor(catalogued version.Version, n *node, key string) (int, bool) {
	if value, own := n.pool.DynamicConfig[key]; own {
		return sizeOf(&value)
	}
	if value, asked := v.c.DynamicConfig[key]; asked {
		return sizeOf(&value)
	}
	_, all := v.kafka.snapshot.Config[key]
	_, one := v.kafka.snapshot.BrokerConfigs[n.ID][key]
	if !all && !one {
		return 0, false
	}
	return catalogued.Default(key)
}

// nextSize is the change that leads a broker to the size that it should have. What only led there is taken away when
// the value for all brokers is the desired one.
func (v *view) nextSize(n *node, key string, now, desired int, pendingForAll bool) (kafka.ConfigChange, bool) {
	value, set := v.kafka.snapshot.BrokerConfigs[n.ID][key]
	has, _ := sizeOf(&value)
	size := desired
	if !inReach(now, desired) {
		size = towards(now, desired)
	} else if _, own := n.pool.DynamicConfig[key]; !own {
		return kafka.ConfigChange{Key: key}, set && !pendingForAll
	}
	text := strconv.Itoa(size)
	return kafka.ConfigChange{Key: key, Value: &text}, !set || has != size
}
