package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// Balancing is spec.balancing with every default filled in, and what is on record of it.
type Balancing struct {
	Mode      v1alpha1.BalancingMode
	Tolerance int   // percent
	Rate      int64 // bytes per second and broker; 0 = as the operator was told
	MaxMoving int   // partitions at a time
	Windows   []Window
	Exclude   []string // topics, or prefixes that end in *
	Manual    bool     // a plan waits for its approval
	Approved  string   // hash of the plan that a person has approved; empty = none
	// Record is what the status holds; nil = there is none yet.
	Record *v1alpha1.BalancingStatus
}

// Excludes tells whether the replicas of a topic are left where they are.
func (b Balancing) Excludes(topic string) bool {
	return slices.ContainsFunc(b.Exclude, func(entry string) bool {
		prefix, isPrefix := strings.CutSuffix(entry, "*")
		return entry == topic || isPrefix && strings.HasPrefix(topic, prefix)
	})
}

// Window is a span of hours, in UTC.
type Window struct {
	Days     []time.Weekday // on which it begins; none = all
	From, To time.Duration  // since midnight; To is on the next day unless it is after From
}

// Open tells whether a time is in the window.
func (w Window) Open(at time.Time) bool {
	at = at.UTC()
	begins := func(day time.Weekday) bool { return len(w.Days) == 0 || slices.Contains(w.Days, day) }
	since := at.Sub(time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC))
	today, yesterday := at.Weekday(), at.AddDate(0, 0, -1).Weekday()
	if w.From < w.To {
		return begins(today) && w.From <= since && since < w.To
	}
	return begins(today) && w.From <= since || begins(yesterday) && since < w.To
}

func (w Window) String() string {
	clock := func(d time.Duration) string { return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60) }
	var days []string
	for _, day := range w.Days {
		days = append(days, day.String())
	}
	return strings.TrimSpace(strings.Join(days, ", ") + " " + clock(w.From) + " to " + clock(w.To) + " UTC")
}

// InWindow tells whether replicas may begin to move to even out brokers.
func (b Balancing) InWindow(at time.Time) bool {
	return len(b.Windows) == 0 || slices.ContainsFunc(b.Windows, func(w Window) bool { return w.Open(at) })
}

// BalancingSeen is what is seen only when replicas may have to move, and what the operator remembers of that. Sizes and
// Topics are read where a course wants them, and the pass is decided anew with them: the answers cost brokers requests.
type BalancingSeen struct {
	Remembered Remembered
	// Rate is how many bytes per second each broker copies where the cluster does not say; 0 = no limit.
	Rate int64
	// Unnamed has the topics with a throttle of somebody else's that does not name what was to move, and until when no
	// more of them is to begin.
	Unnamed map[string]time.Time
	// Refused has the partitions whose last move Kafka has refused.
	Refused map[kafka.PartitionID]RefusedMove
	// Sizes are those of replicas, as brokers say; nil = nobody has been asked.
	Sizes *SizesSeen
	// Topics are those that a KafkaTopic of the cluster places or moves; nil = nobody has looked.
	Topics *TopicsSeen
}

// RefusedMove is a move that Kafka has refused.
type RefusedMove struct {
	Times int       // in a row
	Until time.Time // from when on it is tried again
	Why   string    // in Kafka's words
}

// SizesSeen is what brokers said of their log directories, by broker. One that did not answer makes it an error.
type SizesSeen struct {
	Dirs map[int32][]kafka.LoadDir
	Err  string // why it is not known; empty = it is
}

// TopicsSeen lists topics whose KafkaTopics place replicas or move them.
type TopicsSeen struct {
	Placed []PlacedTopic
	Err    string // why they are not known; empty = they are
}

// Remembered is the last plan of moves, which an operator that takes over makes anew. The zero value = none.
type Remembered struct {
	Plan *balance.Plan
	At   time.Time // when it was made
	Of   string    // what it was made for: brokers and options
	// Partial: it has not all that is to move, and another one follows.
	Partial bool
	// Before has the bytes of what was under way by the operator's word when it was made.
	Before map[kafka.PartitionID]int64
	// Since is from when on nothing of it has been under way, nor could begin; zero = something is, or could.
	Since time.Time
	// Past counts, by partition, its moves in the plan that are past.
	Past map[kafka.PartitionID]int
	// Moves and Bytes were done before it, in the same run.
	Moves int
	Bytes int64
}

// Left are the moves of the plan that are not past.
func (r Remembered) Left() []balance.Move {
	if r.Plan == nil {
		return nil
	}
	var left []balance.Move
	at := map[kafka.PartitionID]int{}
	for _, m := range r.Plan.Moves {
		id := kafka.PartitionID{Topic: m.Topic, Number: m.Partition}
		if at[id]++; at[id] > r.Past[id] {
			left = append(left, m)
		}
	}
	return left
}

// PlacedTopic is a topic whose KafkaTopic places its replicas, or moves them now.
type PlacedTopic struct {
	Name   string
	Factor int
	Racks  []string // over which exactly they are spread; none = anywhere
	Moving map[int32][]int32
	// BytesPerSecond is the limit under which they move; 0 = none.
	BytesPerSecond int64
}
