package topics

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// MaxMoving is how many partitions of a cluster the operator moves at a time. The next ones begin when some have arrived, so
// that disks hold few replicas twice and a change of mind has little to undo.
const MaxMoving = 50

// moveLook is how soon moving replicas are looked at again, at most moveLookLimit.
const (
	moveLook      = 2 * time.Second
	moveLookLimit = 15 * time.Second
)

// Survey is what is known of a cluster when replicas are a matter of moving.
type Survey struct {
	Brokers     []kafka.Broker
	Reassigning map[string]map[int32]kafka.Reassignment
	// Free is how many partitions more may begin to move.
	Free int
	// HidesFenced: the brokers that are down are not among Brokers, as in Kafka before 4.0.
	HidesFenced bool
	// Unknown is why nothing is known of brokers and reassignments; nil = all is.
	Unknown *verdict.Verdict
	// Rate is the limit, in bytes per second and broker, that the operator sets while replicas move; zero = none.
	Rate int64
	Now  time.Time
}

// movement is what is known of one topic whose replicas are a matter of moving.
type movement struct {
	placer *placer
	// base are the replicas without what is under way, next those once that has ended.
	base, next [][]int32
	ours       []int32 // partitions under way by the operator's own word
	foreign    []int32 // those by anybody else's
}

func (d Desired) movement(topic kafka.Topic, s *Survey) movement {
	m := movement{base: slices.Clone(topic.Replicas), next: slices.Clone(topic.Replicas)}
	for partition := range int32(len(topic.Replicas)) {
		r, under := s.Reassigning[d.Name][partition]
		if !under {
			continue
		}
		m.base[partition], m.next[partition] = without(r.Replicas, r.Adding), without(r.Replicas, r.Removing)
		if began(d.Known.Moving, partition, m.next[partition]) {
			m.ours = append(m.ours, partition)
		} else {
			m.foreign = append(m.foreign, partition)
		}
	}
	return m
}

// Covers tells whether a record has all that is planned: nothing would begin that is not on record.
func Covers(known, planned *v1alpha1.ReassignmentStatus) bool {
	if planned == nil {
		return true
	}
	if known == nil || known.BytesPerSecond != planned.BytesPerSecond {
		return false
	}
	return !slices.ContainsFunc(planned.InFlight, func(p v1alpha1.PartitionReplicas) bool {
		return !began(known, p.Partition, p.Replicas)
	})
}

// began tells whether a reassignment is the one on record.
func began(moving *v1alpha1.ReassignmentStatus, partition int32, replicas []int32) bool {
	if moving == nil {
		return false
	}
	i := slices.IndexFunc(moving.InFlight, func(p v1alpha1.PartitionReplicas) bool { return p.Partition == partition })
	return i >= 0 && slices.Equal(slices.Sorted(slices.Values(moving.InFlight[i].Replicas)), slices.Sorted(slices.Values(replicas)))
}

func without(replicas, some []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(replicas), func(id int32) bool { return slices.Contains(some, id) })
}

// move brings replicas to where they shall be, some at a time: what is under way and as wanted goes on, what is under way by
// the operator and no longer wanted is cancelled, and nothing begins where somebody else moves replicas of the topic.
func (c *Changes) move(d Desired, topic kafka.Topic, s *Survey, out *Outcome) {
	if s.Unknown != nil {
		if out.Record.Moving = d.Known.Moving; out.Record.Moving != nil {
			c.stay(topic, out)
		}
		out.add(*s.Unknown)
		return
	}
	m := d.movement(topic, s)
	out.Topic.ReplicationFactor = smallest(m.base)
	impossible := s.hidden(m.base)
	if impossible == nil {
		m.placer, impossible = newPlacer(d.Name, d.placement(), s.Brokers)
	}
	if impossible != nil {
		// What is under way ends by itself; nothing can be said of the rest.
		out.add(*impossible)
		c.record(d, topic, m, s, nil, int32(len(m.ours)), out)
		return
	}
	var wrong []int32
	cancels := 0
	for partition, replicas := range m.next {
		number := int32(partition)
		switch ours := slices.Contains(m.ours, number); {
		case m.placer.satisfied(replicas) && (d.asksForReplicas() || !ours):
		case ours: // and on record until Kafka has undone it
			cancels++
			c.Move[d.Name] = append(c.Move[d.Name], kafka.Move{Partition: number})
		default:
			wrong = append(wrong, number)
		}
	}
	m.placer.isr = topic.ISR
	left := int32(len(m.ours) + len(wrong))
	var starts []kafka.Move
	switch {
	case len(wrong) == 0 || cancels > 0: // what is cancelled is placed anew when Kafka has undone it
	case len(m.foreign) > 0:
		out.add(awaited(ReasonForeignMove,
			"waiting for a reassignment of topic %q that somebody else has begun (partition %d); it is left to end", d.Name, m.foreign[0]))
	default:
		if starts, impossible = m.starts(wrong, s); impossible != nil {
			out.add(*impossible)
		}
		if impossible == nil && len(starts)+len(m.ours) == 0 {
			out.add(awaited(ReasonMoving,
				"waiting to move replicas: %d partitions of the cluster are under way, which is the most at a time", MaxMoving))
		}
	}
	if len(starts) > 0 {
		c.Move[d.Name] = append(c.Move[d.Name], starts...)
	}
	if len(starts)+len(m.ours) > 0 {
		c.stay(topic, out)
	}
	c.record(d, topic, m, s, starts, left, out)
}

// awaited is the verdict that replicas move, or will when others have arrived.
func awaited(reason, format string, args ...any) verdict.Verdict {
	return verdict.Waiting(reason, "", moveLook, moveLookLimit, format, args...)
}

// stay keeps a topic from growing while its replicas move: Kafka does one or the other.
func (c *Changes) stay(topic kafka.Topic, out *Outcome) {
	delete(c.Grow, topic.Name)
	out.Topic.Partitions = topic.Partitions
	out.Verdicts = slices.DeleteFunc(out.Verdicts, func(v verdict.Verdict) bool { return v.Reason == ReasonGrowing })
}

// hidden says why nothing can be moved while a broker is down of which only the node id is known: whether it comes back and
// in which rack it is, no answer tells.
func (s *Survey) hidden(replicas [][]int32) *verdict.Verdict {
	if !s.HidesFenced {
		return nil
	}
	for _, id := range slices.Concat(replicas...) {
		if !slices.ContainsFunc(s.Brokers, func(b kafka.Broker) bool { return b.ID == id }) {
			v := awaited(ReasonMoving, "waiting for broker %d, which is down: to move replicas meanwhile needs Kafka 4.0", id)
			return &v
		}
	}
	return nil
}

// starts returns the moves that begin now, no more than may.
func (m movement) starts(wrong []int32, s *Survey) ([]kafka.Move, *verdict.Verdict) {
	target, impossible := m.placer.assign(m.next)
	if impossible != nil {
		return nil, impossible
	}
	var starts []kafka.Move
	for _, partition := range wrong[:min(len(wrong), max(s.Free, 0))] {
		starts = append(starts, kafka.Move{Partition: partition, Replicas: target[partition]})
	}
	s.Free -= len(starts)
	return starts, nil
}

// record says what will be under way, names its replicas to the throttle, and tells how far it is.
func (c *Changes) record(d Desired, topic kafka.Topic, m movement, s *Survey, starts []kafka.Move, left int32, out *Outcome) {
	known := d.Known.Moving
	if left == 0 || known == nil && len(starts) == 0 {
		c.throttle(d.Name, topic, known, m, nil)
		return
	}
	next := &v1alpha1.ReassignmentStatus{StartedAt: metav1.NewTime(s.Now.Truncate(time.Second)), Left: left}
	for _, partition := range m.ours {
		next.InFlight = append(next.InFlight, v1alpha1.PartitionReplicas{Partition: partition, Replicas: m.next[partition]})
	}
	for _, start := range starts {
		next.InFlight = append(next.InFlight, v1alpha1.PartitionReplicas{Partition: start.Partition, Replicas: start.Replicas})
	}
	slices.SortFunc(next.InFlight, func(a, b v1alpha1.PartitionReplicas) int { return int(a.Partition - b.Partition) })
	if known != nil {
		next.StartedAt, next.Moved, next.EstimatedCompletion = known.StartedAt, known.Moved+max(known.Left-left, 0), known.EstimatedCompletion
		if next.Moved != known.Moved {
			took := s.Now.Sub(next.StartedAt.Time)
			at := metav1.NewTime(s.Now.Add(took / time.Duration(next.Moved) * time.Duration(left)).Truncate(time.Second))
			next.EstimatedCompletion = &at
		}
	}
	if c.throttle(d.Name, topic, known, m, next.InFlight) {
		next.BytesPerSecond = s.Rate
	}
	out.Record.Moving = next
	out.add(awaited(ReasonMoving, "moving replicas: %d of %d partitions have arrived", next.Moved, next.Moved+left))
}

// throttle names the replicas that copy (KIP-73), and no other: a throttled replica in sync would fall behind. What somebody
// else has named stays where nothing of ours is or was under way. It tells whether any copy.
func (c *Changes) throttle(name string, topic kafka.Topic, known *v1alpha1.ReassignmentStatus, m movement, inFlight []v1alpha1.PartitionReplicas) bool {
	var from, to []string
	for _, p := range inFlight {
		adding := without(p.Replicas, m.base[p.Partition])
		if len(adding) == 0 {
			continue
		}
		for _, id := range m.base[p.Partition] {
			from = append(from, fmt.Sprintf("%d:%d", p.Partition, id))
		}
		for _, id := range adding {
			to = append(to, fmt.Sprintf("%d:%d", p.Partition, id))
		}
	}
	if known == nil && len(inFlight) == 0 {
		return false
	}
	c.nameThrottled(name, LeaderThrottled, from, topic.Config)
	c.nameThrottled(name, FollowerThrottled, to, topic.Config)
	return len(to) > 0
}

func (c *Changes) nameThrottled(name, key string, replicas []string, config map[string]string) {
	have, set := config[key]
	switch want := strings.Join(replicas, ","); {
	case want == "" && set:
		c.Throttle[name] = append(c.Throttle[name], kafka.ConfigChange{Key: key})
	case want != have:
		c.Throttle[name] = append(c.Throttle[name], kafka.ConfigChange{Key: key, Value: &want})
	}
}

// unthrottle takes the throttle off a topic that is let go while its replicas move; they arrive without the operator.
func (c *Changes) unthrottle(name string, by Record, topic kafka.Topic) {
	if by.Moving == nil || topic.ID != by.ID {
		return
	}
	c.throttle(name, topic, by.Moving, movement{}, nil)
}

func smallest(replicas [][]int32) int32 {
	least := 0
	for i, r := range replicas {
		if i == 0 || len(r) < least {
			least = len(r)
		}
	}
	return int32(least)
}
