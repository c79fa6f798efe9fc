package moves

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// Keys of a topic that name the replicas whose copying is throttled (KIP-73).
const (
	LeaderThrottled   = "leader.replication.throttled.replicas"
	FollowerThrottled = "follower.replication.throttled.replicas"
)

// rateKeys are the brokers' keys that limit the copying of throttled replicas (KIP-73).
var rateKeys = []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate"}

// diskRateKey limits what each broker copies between its disks (KIP-113).
const diskRateKey = "replica.alter.log.dirs.io.max.bytes.per.second"

// throttle names the replicas that copy, and no other: a throttled replica in sync would fall behind. base are the
// replicas before the moves. It tells whether any replica copies.
func throttle(config map[string]string, base [][]int32, inFlight []Assignment) (_ []kafka.ConfigChange, copies bool) {
	var from, to []string
	for _, a := range inFlight {
		adding := without(a.Replicas, base[a.Partition])
		if len(adding) == 0 {
			continue
		}
		for _, id := range base[a.Partition] {
			from = append(from, fmt.Sprintf("%d:%d", a.Partition, id))
		}
		for _, id := range adding {
			to = append(to, fmt.Sprintf("%d:%d", a.Partition, id))
		}
	}
	return append(named(config, LeaderThrottled, from), named(config, FollowerThrottled, to)...), len(to) > 0
}

// Throttle names the replicas that copy for the moves under way of a topic with the given configuration. base are its
// replicas without what is under way. It tells whether any replica copies.
func Throttle(config map[string]string, base [][]int32, inFlight []Assignment) ([]kafka.ConfigChange, bool) {
	return throttle(config, base, inFlight)
}

// Unthrottle takes the names of throttled replicas off a topic with the given configuration.
func Unthrottle(config map[string]string) []kafka.ConfigChange {
	changes, _ := throttle(config, nil, nil)
	return changes
}

func named(config map[string]string, key string, replicas []string) []kafka.ConfigChange {
	have, set := config[key]
	switch want := strings.Join(replicas, ","); {
	case want == "" && set:
		return []kafka.ConfigChange{{Key: key}}
	case want != have:
		return []kafka.ConfigChange{{Key: key, Value: &want}}
	}
	return nil
}

// Limit is what decides about the rate that every broker may copy at.
type Limit struct {
	Rate int64 // that the operator sets, in bytes per second; zero = none
	// Known are the rates that the operator may have set before, by its records.
	Known []int64
	// Copying: replicas copy by the operator's word.
	Copying bool
	// Shifting: some of them copy between the disks of a broker.
	Shifting bool
}

// Add has a record of moves that go on count.
func (l *Limit) Add(r Record) {
	l.Known = append(l.Known, r.BytesPerSecond)
	l.Copying = l.Copying || r.BytesPerSecond > 0
}

// Changes sets the rate while replicas copy, and removes it afterwards, or where there is no limit any more: Kafka
// takes a rate of zero by its word, and nothing would ever arrive. A rate that somebody else has set is theirs: it
// holds for the operator too, and stays.
func (l Limit) Changes(brokers map[string]string) []kafka.ConfigChange {
	var changes []kafka.ConfigChange
	for _, key := range append(slices.Clone(rateKeys), diskRateKey) {
		have, set := brokers[key]
		rate, err := strconv.ParseInt(have, 10, 64)
		mine := err == nil && rate > 0 && (rate == l.Rate || slices.Contains(l.Known, rate))
		limits := l.Copying && l.Rate > 0 && (key != diskRateKey || l.Shifting)
		switch want := strconv.FormatInt(l.Rate, 10); {
		case set && !mine:
		case limits && have != want:
			changes = append(changes, kafka.ConfigChange{Key: key, Value: &want})
		case !limits && set:
			changes = append(changes, kafka.ConfigChange{Key: key})
		}
	}
	return changes
}
