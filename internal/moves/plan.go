package moves

import (
	"slices"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Decision is what is to be done about the replicas of one topic. Whoever carries it out records Record first, then
// sets the limit of the brokers, then Throttle, and only then sends Moves.
type Decision struct {
	Moves []kafka.Move // begun, or cancelled where they have no replicas
	// Throttle sets and removes the topic's keys that name the replicas whose copying is limited.
	Throttle []kafka.ConfigChange
	// Record is what is under way once all is done; nil = nothing of ours is.
	Record   *Record
	Verdicts []verdict.Verdict
	// Busy: partitions of the topic move by the operator's word, or are about to. Kafka adds no partition meanwhile.
	Busy bool
}

func (d *Decision) add(v verdict.Verdict) { d.Verdicts = append(d.Verdicts, v) }

// motion is what one topic's partitions do.
type motion struct {
	base, next [][]int32 // the replicas without what is under way, and those once that has ended
	ours       []int32   // partitions under way by the operator's own word
	others     []int32   // those by its word, on another record
	foreign    []int32   // those by anybody else's
}

func (s *Survey) motion(t Topic, known *Record) motion {
	m := motion{base: s.Base(t), next: slices.Clone(t.Replicas)}
	for partition := range int32(len(t.Replicas)) {
		r, under := s.Reassigning[t.Name][partition]
		if !under {
			continue
		}
		m.next[partition] = without(r.Replicas, r.Removing)
		if known.Has(partition, m.next[partition]) {
			m.ours = append(m.ours, partition)
		} else if s.isOthers(t.Name, partition, m.next[partition]) {
			m.others = append(m.others, partition)
		} else {
			m.foreign = append(m.foreign, partition)
		}
	}
	return m
}

// Base returns a topic's replicas without those that reassignments under way are adding.
func (s *Survey) Base(t Topic) [][]int32 {
	base := slices.Clone(t.Replicas)
	for partition, r := range s.Reassigning[t.Name] {
		if int(partition) < len(base) {
			base[partition] = without(r.Replicas, r.Adding)
		}
	}
	return base
}

// Plan brings a topic's replicas to where they shall be, some at a time. What is under way and as wanted goes on.
// What is under way by the operator and no longer wanted is cancelled. Nothing begins where somebody else moves
// replicas of the topic.
func Plan(t Topic, want Placement, known *Record, s *Survey) Decision {
	var d Decision
	if s.Unknown != nil {
		d.Record, d.Busy = known, known != nil
		d.add(*s.Unknown)
		return d
	}
	m := s.motion(t, known)
	impossible := s.hidden(m.base)
	var p *placer
	if impossible == nil {
		p, impossible = newPlacer(t.Name, want, s.Brokers)
	}
	if impossible != nil {
		// What is under way ends by itself; nothing can be said of the rest.
		d.add(*impossible)
		d.record(t, known, m, nil, len(m.ours), s)
		return d
	}
	p.isr = t.ISR
	wrong := d.cancel(m, p)
	starts := d.start(t, m, p, wrong, s)
	d.Moves = append(d.Moves, starts...)
	d.Busy = len(starts)+len(m.ours)+len(m.others) > 0
	d.record(t, known, m, starts, len(m.ours)+len(wrong), s)
	return d
}

// cancel takes back what is under way by the operator and no longer wanted, and returns the other partitions that are
// not as wanted. What is cancelled stays on record until Kafka has undone it.
func (d *Decision) cancel(m motion, p *placer) (wrong []int32) {
	for partition, replicas := range m.next {
		number := int32(partition)
		switch ours := slices.Contains(m.ours, number); {
		case p.satisfied(replicas) && (p.want.asks() || !ours):
		case ours:
			d.Moves = append(d.Moves, kafka.Move{Partition: number})
		default:
			wrong = append(wrong, number)
		}
	}
	return wrong
}

// start returns the moves that begin now, or says what they wait for.
func (d *Decision) start(t Topic, m motion, p *placer, wrong []int32, s *Survey) []kafka.Move {
	switch {
	case len(wrong) == 0 || len(d.Moves) > 0: // what is cancelled is placed anew when Kafka has undone it
		return nil
	case len(m.others) > 0:
		d.add(awaited(ReasonMoving, "waiting for partition %d, which moves to where there is room (spec.balancing of the "+
			"KafkaCluster)", m.others[0]))
		return nil
	case len(m.foreign) > 0:
		d.add(awaited(ReasonForeignMove,
			"waiting for a reassignment of topic %q that somebody else has begun (partition %d); it is left to end",
			t.Name, m.foreign[0]))
		return nil
	}
	target, impossible := p.assign(m.next)
	if impossible != nil {
		d.add(*impossible)
		return nil
	}
	var starts []kafka.Move
	for _, partition := range wrong[:min(len(wrong), max(s.Free, 0))] {
		starts = append(starts, kafka.Move{Partition: partition, Replicas: target[partition]})
	}
	if s.Free -= len(starts); len(starts)+len(m.ours) == 0 {
		d.add(awaited(ReasonMoving,
			"waiting to move replicas: %d partitions of the cluster are under way, which is the most at a time", MaxMoving))
	}
	return starts
}

// awaited is the verdict that replicas move, or will when others have arrived.
func awaited(reason, format string, args ...any) verdict.Verdict {
	return verdict.Waiting(reason, "", look, lookLimit, format, args...)
}

// hidden says why nothing can be moved while a broker is down of which only the node id is known: no answer tells
// whether it comes back, and in which rack it is.
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

// record says what will be under way, names its replicas to the throttle, and tells how far it is.
func (d *Decision) record(t Topic, known *Record, m motion, starts []kafka.Move, left int, s *Survey) {
	if left == 0 || known == nil && len(starts) == 0 {
		if known != nil {
			d.Throttle = Unthrottle(t.Config)
		}
		return
	}
	next := &Record{StartedAt: s.Now.Truncate(time.Second), Left: int32(left)}
	for _, partition := range m.ours {
		next.InFlight = append(next.InFlight, Assignment{Partition: partition, Replicas: m.next[partition]})
	}
	for _, start := range starts {
		next.InFlight = append(next.InFlight, Assignment{Partition: start.Partition, Replicas: start.Replicas})
	}
	slices.SortFunc(next.InFlight, func(a, b Assignment) int { return int(a.Partition - b.Partition) })
	if known != nil {
		next.follow(known, s.Now)
	}
	var copies bool
	if d.Throttle, copies = throttle(t.Config, m.base, next.InFlight); copies {
		next.BytesPerSecond = s.Rate
	}
	d.Record = next
	d.add(awaited(ReasonMoving, "moving replicas: %d of %d partitions have arrived", next.Moved, next.Moved+next.Left))
}

// follow counts on from the record before. The estimate changes when partitions have arrived.
func (r *Record) follow(before *Record, now time.Time) {
	r.StartedAt, r.EstimatedCompletion = before.StartedAt, before.EstimatedCompletion
	r.Moved = before.Moved + max(before.Left-r.Left, 0)
	if r.Moved != before.Moved {
		each := now.Sub(r.StartedAt) / time.Duration(r.Moved)
		r.EstimatedCompletion = now.Add(each * time.Duration(r.Left)).Truncate(time.Second)
	}
}
