// Package moves decides how replicas get to where they shall be: which partitions move, in which order, how many at a
// time, under which throttle, what is cancelled, and whose reassignment is whose. It serves whoever wants replicas
// elsewhere, and knows neither KafkaTopics nor the clients of Kafka and Kubernetes. It is pure: the clock is an
// argument.
package moves

import (
	"slices"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// MaxMoving is how many partitions of a cluster the operator moves at a time. The next ones begin when some have
// arrived. Disks then hold few replicas twice, and a change of mind has little to undo.
const MaxMoving = 50

// look is how soon moving replicas are looked at again, at intervals that double up to lookLimit.
const (
	look      = 2 * time.Second
	lookLimit = 15 * time.Second
)

// Reasons of verdicts on replicas.
const (
	ReasonPlacement   = "InvalidPlacement"
	ReasonReplication = "InvalidReplicationFactor"
	ReasonMoving      = "Reassigning"
	ReasonForeignMove = "ForeignReassignment"
)

// Topic is a live topic whose replicas are a matter of moving.
type Topic struct {
	Name string
	// Replicas are node ids by partition, the preferred leader first. Those that a reassignment adds or removes are
	// among them.
	Replicas [][]int32
	ISR      [][]int32 // those of Replicas that are in sync, by partition; none = not known
	// Config has the keys that are set on the topic. Those of the throttle count.
	Config map[string]string
}

// Record says which reassignments of one topic the operator has begun, how far they are, and under which limit. It is
// written before anything is moved, so that an operator that takes over knows what is its own.
type Record struct {
	StartedAt time.Time
	Moved     int32 // partitions that have arrived
	Left      int32 // partitions that have not
	// EstimatedCompletion is when the rest will have arrived at this speed; zero = not known.
	EstimatedCompletion time.Time
	BytesPerSecond      int64 // the limit on each broker; zero = none was set
	// InFlight are the partitions under way, with the replicas that they will have, in their order.
	InFlight []Assignment
}

// Assignment says where the replicas of one partition of a topic are, or will be.
type Assignment struct {
	Partition int32
	Replicas  []int32 // the preferred leader first
}

// Has tells whether a reassignment is on record.
func (r *Record) Has(partition int32, replicas []int32) bool {
	if r == nil {
		return false
	}
	i := slices.IndexFunc(r.InFlight, func(a Assignment) bool { return a.Partition == partition })
	return i >= 0 && slices.Equal(sorted(r.InFlight[i].Replicas), sorted(replicas))
}

// Covers tells whether the record has all that is planned: nothing would begin that is not on record.
func (r *Record) Covers(planned *Record) bool {
	if planned == nil {
		return true
	}
	if r == nil || r.BytesPerSecond != planned.BytesPerSecond {
		return false
	}
	return !slices.ContainsFunc(planned.InFlight, func(a Assignment) bool { return !r.Has(a.Partition, a.Replicas) })
}

// Entry is a record with the topic that it is of.
type Entry struct {
	Topic string
	Record
}

// Ledger has the records of a cluster, of any topics and whoever carries them: the status of a KafkaTopic for its
// topic, for topics that no KafkaTopic stands for whoever moves them.
type Ledger []Entry

// underWay counts the partitions on record that have not arrived.
func (l Ledger) underWay(reassigning map[string]map[int32]kafka.Reassignment) int {
	n := 0
	for _, entry := range l {
		for _, a := range entry.InFlight {
			if _, under := reassigning[entry.Topic][a.Partition]; under {
				n++
			}
		}
	}
	return n
}

// Survey is what is known of a cluster when replicas are a matter of moving.
type Survey struct {
	Brokers     []kafka.Broker
	Reassigning map[string]map[int32]kafka.Reassignment // by topic and partition
	// Others are records of the same operator that somebody else of it carries out: what is on them is left to end.
	Others Ledger
	// Free is how many partitions more may begin to move. Plan takes from it.
	Free int
	// HidesFenced: the brokers that are down are not among Brokers, as in Kafka before 4.0.
	HidesFenced bool
	// Unknown is why nothing is known of brokers and reassignments; nil = all is.
	Unknown *verdict.Verdict
	// Rate is the limit, in bytes per second and broker, that the operator sets while replicas move; zero = none.
	Rate int64
	Now  time.Time
}

// Grant lets as many partitions begin to move as the cluster may still bear beside those on record.
func (s *Survey) Grant(l Ledger) { s.Free = MaxMoving - l.underWay(s.Reassigning) }

// isOthers tells whether a reassignment is on the record of somebody else of the same operator.
func (s *Survey) isOthers(topic string, partition int32, replicas []int32) bool {
	return slices.ContainsFunc(s.Others, func(e Entry) bool { return e.Topic == topic && e.Has(partition, replicas) })
}

func sorted(ids []int32) []int32 { return slices.Sorted(slices.Values(ids)) }

func without(replicas, some []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(replicas), func(id int32) bool { return slices.Contains(some, id) })
}
