package topics

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// MovingOf reads the record of moves that a KafkaTopic's status carries; nil = nothing is under way.
func MovingOf(s *v1alpha1.ReassignmentStatus) *moves.Record {
	if s == nil {
		return nil
	}
	r := &moves.Record{StartedAt: s.StartedAt.Time, Moved: s.Moved, Left: s.Left, BytesPerSecond: s.BytesPerSecond}
	if s.EstimatedCompletion != nil {
		r.EstimatedCompletion = s.EstimatedCompletion.Time
	}
	for _, p := range s.InFlight {
		r.InFlight = append(r.InFlight, moves.Assignment{Partition: p.Partition, Replicas: p.Replicas})
	}
	return r
}

// reassignmentOf is how a KafkaTopic's status carries a record of moves.
func reassignmentOf(r *moves.Record) *v1alpha1.ReassignmentStatus {
	if r == nil {
		return nil
	}
	s := &v1alpha1.ReassignmentStatus{
		StartedAt: metav1.NewTime(r.StartedAt), Moved: r.Moved, Left: r.Left, BytesPerSecond: r.BytesPerSecond,
	}
	if !r.EstimatedCompletion.IsZero() {
		at := metav1.NewTime(r.EstimatedCompletion)
		s.EstimatedCompletion = &at
	}
	for _, a := range r.InFlight {
		s.InFlight = append(s.InFlight, v1alpha1.PartitionReplicas{Partition: a.Partition, Replicas: a.Replicas})
	}
	return s
}

// move brings the replicas of a topic to where they shall be.
func (c *Changes) move(d Desired, topic kafka.Topic, s *moves.Survey, out *Outcome) {
	t := moves.Topic{Name: d.Name, Replicas: topic.Replicas, ISR: topic.ISR, Config: topic.Config}
	if s.Unknown == nil {
		out.Topic.ReplicationFactor = smallest(s.Base(t))
	}
	decided := moves.Plan(t, d.placement(), d.Known.Moving, s)
	if len(decided.Moves) > 0 {
		c.Move[d.Name] = decided.Moves
	}
	if len(decided.Throttle) > 0 {
		c.Throttle[d.Name] = decided.Throttle
	}
	if decided.Busy {
		c.stay(topic, out)
	}
	out.Record.Moving, out.Verdicts = decided.Record, append(out.Verdicts, decided.Verdicts...)
}

// stay keeps a topic from growing while its replicas move: Kafka does one or the other.
func (c *Changes) stay(topic kafka.Topic, out *Outcome) {
	delete(c.Grow, topic.Name)
	out.Topic.Partitions = topic.Partitions
	out.Verdicts = slices.DeleteFunc(out.Verdicts, func(v verdict.Verdict) bool { return v.Reason == ReasonGrowing })
}

// unthrottle takes the throttle off a topic that is let go while its replicas move; they arrive without the operator.
func (c *Changes) unthrottle(name string, by Record, topic kafka.Topic) {
	if by.Moving == nil || topic.ID != by.ID {
		return
	}
	if changes := moves.Unthrottle(topic.Config); len(changes) > 0 {
		c.Throttle[name] = changes
	}
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
