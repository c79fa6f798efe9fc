// Package balance says which replicas should be elsewhere so that data lies evenly, and in which order they move: off
// brokers that leave, over racks, off disks that are too full, and then from brokers that hold more than their share to
// those that hold less. It copies as few bytes as it finds ways to, and nothing at all where everything is within the
// tolerance. It is pure: a cluster and options go in, a plan comes out, and the same input gives the same plan. It asks
// nobody, moves nothing, and knows neither the clock nor Kubernetes.
package balance

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/internal/verdict"
)

// Cluster is what is known of brokers and partitions.
type Cluster struct {
	Brokers    []Broker    // sorted by ID
	Partitions []Partition // of all topics, sorted by topic and number
}

// Broker is a broker with its disks.
type Broker struct {
	ID   int32
	Rack string // brokers without one count as one rack
	// Leaving: it shall hold nothing, and takes nothing.
	Leaving bool
	// Closed: it takes no replica and gives none. It is down, or nothing is known of its disks. A broker without
	// capacity counts as closed.
	Closed bool
	Disks  []Disk // those that share a file system are given once
}

// Disk is one log directory, or several that share a file system.
type Disk struct {
	Path     string
	Capacity int64 // bytes: the lesser of what Kafka says and of what the claim has
	Free     int64 // bytes free now
}

// Partition is a partition with its replicas.
type Partition struct {
	Topic    string
	Number   int32
	Replicas []int32 // the preferred leader first
	ISR      []int32
	Leader   int32 // -1 = none
	Bytes    int64 // of its largest replica, without tiered data
	// Disk has the index in its broker's Disks by replica; -1 = not known. A broker with one disk needs none.
	Disk []int
	// Fixed: not to be touched. It is being reassigned, its topic is left alone, or a KafkaTopic places it. What it
	// holds counts all the same.
	Fixed bool
}

// Options say how even is even enough, and what may move.
type Options struct {
	// Tolerance is how many percent a broker's bytes, replicas and leaders may differ from its share, which follows its
	// capacity. 0 = as even as replicas allow.
	Tolerance int
	// DiskLimit is how many percent of a disk's capacity a plan keeps below. It counts what other data uses.
	DiskLimit int
	// Spread: also what need not move, so that data lies evenly. Without it, only replicas on leaving brokers, too many
	// in one rack, or on disks above their limit move.
	Spread bool
	// Leaders: preferred leaders may change where Spread says that something may be evened out. Their replicas stay.
	Leaders bool
}

// Reason is why a replica moves.
type Reason string

// Reasons, in the order in which a plan heeds them.
const (
	LeavingBroker Reason = "LeavingBroker" // its broker shall hold nothing
	Racks         Reason = "Racks"         // too many replicas of its partition share a rack
	DiskLimit     Reason = "DiskLimit"     // its disk is above the limit
	Bytes         Reason = "Bytes"         // its broker, or the one it goes to, is outside its share of bytes
	Replicas      Reason = "Replicas"      // the same of the number of replicas
	Leaders       Reason = "Leaders"       // the same of the number of preferred leaders
	Topic         Reason = "Topic"         // its broker has more of the topic than its share
)

// Move changes one replica of one partition, or the order of its replicas. A partition that two replicas leave has two
// moves in the plan, and the second begins when the first is complete.
type Move struct {
	Topic     string
	Partition int32
	// Before and After are its replicas, the preferred leader first. They differ in one node id, or in order alone.
	Before, After []int32
	// Bytes are copied over the network; 0 = only the order changes, or the partition is empty.
	Bytes  int64
	Reason Reason
	// Disk is the index in its new broker's Disks on which the plan counts the replica: it fits there, and may not fit
	// on others. -1 = no replica comes.
	Disk int
	// Waits: it begins when every move before it is complete, as it needs the room that they free. All others may be
	// under way at once, however many: their room is there before anything is freed.
	Waits bool
}

// Added returns the node id of the broker that gets a replica, and the one that gives it; none where only the order
// changes.
func (m Move) Added() (to, from int32, ok bool) {
	for i, id := range m.After {
		if !slices.Contains(m.Before, id) {
			return id, m.Before[i], true
		}
	}
	return -1, -1, false
}

// String says for people what moves, how much that is, and why: "orders-3: broker 1 to 4, 2.0 GiB (broker 1 leaves)".
func (m Move) String() string {
	to, from, copies := m.Added()
	if !copies {
		return fmt.Sprintf("%s-%d: preferred leader %d in place of %d, nothing copied (%s)",
			m.Topic, m.Partition, m.After[0], m.Before[0], m.why(to, from))
	}
	return fmt.Sprintf("%s-%d: broker %d to %d, %s (%s)", m.Topic, m.Partition, from, to, size(m.Bytes), m.why(to, from))
}

func (m Move) why(to, from int32) string {
	switch m.Reason {
	case LeavingBroker:
		return fmt.Sprintf("broker %d leaves", from)
	case Racks:
		return "its replicas share a rack"
	case DiskLimit:
		return fmt.Sprintf("a disk of broker %d is above the limit", from)
	case Bytes:
		return "evens out bytes"
	case Replicas:
		return "evens out replicas"
	case Leaders:
		return "evens out leaders"
	case Topic:
		return "evens out the topic"
	}
	return string(m.Reason)
}

// Cause is why a replica that has to move cannot.
type Cause string

// Causes of Stuck.
const (
	BrokerClosed   Cause = "BrokerClosed"   // the broker that holds it gives nothing
	PartitionFixed Cause = "PartitionFixed" // the partition is not to be touched
	NotInSync      Cause = "NotInSync"      // nobody has an in-sync replica to copy from, or too few are in sync
	TooFewBrokers  Cause = "TooFewBrokers"  // every broker that takes replicas has one already
	NoRoom         Cause = "NoRoom"         // no disk of such a broker has room below the limit
)

// Stuck is a replica that has to move and cannot. Where a disk is above its limit and nothing on it can move, Topic is
// empty.
type Stuck struct {
	Broker    int32
	Topic     string
	Partition int32
	Reason    Reason // why it has to move
	Cause     Cause
	Lacking   int64  // bytes; with NoRoom
	Why       string // for people, with a cure
}

// String says what cannot move, and why, with a cure.
func (s Stuck) String() string {
	if s.Topic == "" {
		return fmt.Sprintf("broker %d: %s", s.Broker, s.Why)
	}
	return fmt.Sprintf("%s-%d on broker %d: %s", s.Topic, s.Partition, s.Broker, s.Why)
}

// Summary is one line for people: "12 replicas to move, 3.0 GiB; at least 2.9 GiB needed".
func (p Plan) Summary() string {
	copies := 0
	for _, m := range p.Moves {
		if _, _, copied := m.Added(); copied {
			copies++
		}
	}
	text := fmt.Sprintf("%s to move, %s; at least %s needed",
		verdict.Counted(copies, "replica"), size(p.Bytes), size(p.LeastBytes))
	if n := len(p.Moves) - copies; n > 0 {
		text += fmt.Sprintf("; %s to change", verdict.Counted(n, "preferred leader"))
	}
	if n := len(p.Stuck); n > 0 {
		text += fmt.Sprintf("; %s cannot move", verdict.Counted(n, "replica"))
	}
	return text
}

// Plan is what shall move, in the order in which it shall be done. Whoever follows it may stop after any move, look
// again, and plan anew: that ends where the plan would have ended, or nearer.
type Plan struct {
	Moves []Move
	// Bytes are what the plan copies; LeastBytes what any plan would have to that does what this one does.
	Bytes, LeastBytes int64
	Stuck             []Stuck
}

// New plans for a cluster. It changes nothing in c, and shares no memory with it.
func New(c Cluster, o Options) Plan {
	return Plan{}
}

// Hash is a short name of the plan: the same moves in the same order have the same.
func (p Plan) Hash() string {
	h := sha256.New()
	for _, m := range p.Moves {
		fmt.Fprintf(h, "%s %d %d %d\n", m.Topic, m.Partition, m.Before, m.After)
	}
	return hex.EncodeToString(h.Sum(nil)[:5])
}

// Apply returns the cluster as it is once moves are complete, in which their replicas are in sync. Those that do not
// fit the cluster are left out. It shares no memory with c where the two differ.
func Apply(c Cluster, moves ...Move) Cluster {
	return c
}

// Measure is how uneven a cluster is: what the broker that is furthest over its share is over it, in percent of the
// share.
type Measure struct {
	Broker                   int32 // the one that is furthest over its share of bytes; -1 = none is over
	Bytes, Replicas, Leaders int   // percent
}

// Imbalance measures a cluster, for people. Measure what a plan leads to with Apply(c, plan.Moves...). Brokers that
// leave or are closed have no share.
func Imbalance(c Cluster) Measure {
	return Measure{Broker: -1}
}

// size writes bytes as people do: "3 KiB", "2.0 GiB".
func size(bytes int64) string {
	unit, value := "B", float64(bytes)
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if value < 1024 {
			break
		}
		unit, value = larger, value/1024
	}
	if unit == "B" || unit == "KiB" {
		return fmt.Sprintf("%.0f %s", value, unit)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
