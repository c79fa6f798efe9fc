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
	// Leaving: it shall hold nothing, and takes nothing. What is on it goes to other disks of its broker.
	Leaving bool
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
	// Busy: it is being reassigned, or moves between disks. Not even its disk changes. It is Fixed, too.
	Busy bool
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
	// NoSwaps: no two replicas change places, as only one may be under way at a time.
	NoSwaps bool
}

// Reason is why a replica moves.
type Reason string

// Reasons, in the order in which a plan heeds them.
const (
	LeavingBroker Reason = "LeavingBroker" // its broker shall hold nothing
	LeavingDisk   Reason = "LeavingDisk"   // its disk shall hold nothing
	Racks         Reason = "Racks"         // too many replicas of its partition share a rack
	DiskLimit     Reason = "DiskLimit"     // its disk is above the limit
	Bytes         Reason = "Bytes"         // its broker, or the one it goes to, is outside its share of bytes
	Replicas      Reason = "Replicas"      // the same of the number of replicas
	Leaders       Reason = "Leaders"       // the same of the number of preferred leaders
	Topic         Reason = "Topic"         // its broker has more of the topic than its share
	Disks         Reason = "Disks"         // its disk, or the one it goes to, is outside its share of its broker's bytes
)

// Move changes one replica of one partition, or the order of its replicas, or the disk of one replica. A partition that
// two replicas leave has two moves in the plan, and the second begins when the first is complete.
type Move struct {
	Topic     string
	Partition int32
	// Before and After are its replicas, the preferred leader first. They differ in one node id, or in order alone. Where
	// a replica changes its disk they are the same.
	Before, After []int32
	// Bytes are copied, over the network or between disks; 0 = only the order changes, or the partition is empty.
	Bytes  int64
	Reason Reason
	// Disk is the index in its new broker's Disks on which the plan counts the replica: it fits there, and may not fit
	// on others. -1 = no replica comes.
	Disk int
	// From and To are the paths of the disks of Broker between which a replica moves; empty = it does not.
	Broker   int32
	From, To string
	// Paired: it changes places with the next move, and both are begun together. Between the two, and only there, bytes
	// lie less evenly than before; no third broker has room for a detour.
	Paired bool
	// Waits: it begins when every move before it is complete, as it needs the room that they free. All others may be
	// under way at once, however many: their room is there before anything is freed.
	Waits bool
}

// Within tells whether a replica moves between two disks of its broker.
func (m Move) Within() bool { return m.To != "" }

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
	s := newState(c, o)
	b := newBound(s)
	s.run()
	p := Plan{Moves: s.moves, Stuck: s.stuck()}
	for _, m := range p.Moves {
		p.Bytes += m.Bytes
	}
	p.LeastBytes = b.least(s)
	return p
}

// run makes moves until nothing is left to be done. Each lets a goal come nearer and none of those before it recede, so
// that it ends; and as every search looks at nothing but the state, planning from where it ended finds nothing.
func (s *state) run() {
	for before := -1; before < len(s.moves); {
		before = len(s.moves)
		s.force()
		if s.o.Spread {
			s.evenBytes()
			s.evenReplicas()
			s.evenTopics()
			s.evenDisks()
		}
		if before == len(s.moves) && s.settle() {
			before = -1
		}
	}
	if s.o.Spread && s.o.Leaders {
		s.evenLeaders()
	}
}

// Hash is a short name of the plan: the same moves in the same order have the same.
func (p Plan) Hash() string {
	h := sha256.New()
	for _, m := range p.Moves {
		fmt.Fprintf(h, "%s %d %d %d\n", m.Topic, m.Partition, m.Before, m.After)
		if m.Within() {
			fmt.Fprintf(h, "%d %s %s\n", m.Broker, m.From, m.To)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:5])
}
