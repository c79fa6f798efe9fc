package plan

import (
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/course"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// diskBytes is what each log directory of a simulated broker holds.
const diskBytes = 1 << 20

// bytesOf is the size of a partition.
func bytesOf(p *simPart) int64 { return int64(100 + 50*(int(p.Number)+len(p.Topic))%400) }

// sizes is what brokers say of their disks. One that does not answer makes the whole an error.
func (s *sim) sizes() *model.SizesSeen {
	all := map[int32][]kafka.LoadDir{}
	for _, n := range s.order {
		if !n.unfenced {
			continue
		}
		if !n.alive() || s.dark {
			return &model.SizesSeen{Err: "a broker does not answer"}
		}
		dir := kafka.LoadDir{LogDir: kafka.LogDir{Path: model.LogDir("data"), TotalBytes: diskBytes, UsableBytes: diskBytes},
			Sizes: map[kafka.PartitionID]int64{}}
		for i := range s.kafka.parts {
			if p := &s.kafka.parts[i]; slices.Contains(p.Replicas, n.id) {
				dir.Sizes[kafka.PartitionID{Topic: p.Topic, Number: p.Number}] = bytesOf(p)
				dir.UsableBytes -= bytesOf(p)
			}
		}
		all[n.id] = []kafka.LoadDir{dir}
	}
	return &model.SizesSeen{Dirs: all}
}

func (s *sim) showReassignment(shot *kafka.Snapshot, p *simPart) {
	if shot.Reassignments == nil {
		shot.Reassignments = map[string]map[int32]kafka.Reassignment{}
	}
	if shot.Reassignments[p.Topic] == nil {
		shot.Reassignments[p.Topic] = map[int32]kafka.Reassignment{}
	}
	removing := slices.DeleteFunc(slices.Clone(p.Replicas), func(id int32) bool { return slices.Contains(p.target, id) })
	shot.Reassignments[p.Topic][p.Number] = kafka.Reassignment{Replicas: p.Replicas, Adding: p.added, Removing: removing}
}

// moveReplicas does what a step says, in the order of controllers/balancing: what begins is on record before, and what
// has ended leaves the record after its throttle has left Kafka. The operator may die in between.
func (s *sim) moveReplicas(step *Step) error {
	if step.Kind == RecallMoves {
		return s.perform(func() error {
			for _, m := range step.Moves {
				if p := s.part(m.Topic, m.Partition); slices.Equal(p.target, m.Replicas) {
					s.recall(p)
				}
			}
			return nil
		})
	}
	if step.Kind == EndMoves {
		next := course.Without(*s.c.Balancing.Record, step.Moves)
		for _, m := range step.Moves {
			if !slices.ContainsFunc(next.InFlight, func(o v1alpha1.MovingPartition) bool { return o.Topic == m.Topic }) {
				delete(s.kafka.throttled, m.Topic)
			}
		}
		return s.perform(func() error { s.c.Balancing.Record = next; return nil })
	}
	s.judgeMoves(step)
	next := course.With(*s.c.Balancing.Record, step.Moves, 1000)
	s.c.Balancing.Record = &next
	return s.perform(func() error {
		if s.kafka.throttled == nil {
			s.kafka.throttled = map[string]bool{}
		}
		for _, m := range step.Moves {
			s.kafka.throttled[m.Topic] = true
			p := s.part(m.Topic, m.Partition)
			if slices.Equal(p.Replicas, m.Replicas) && p.target == nil {
				continue
			}
			s.reassign(p, slices.Clone(m.Replicas))
			p.ours = true
		}
		return nil
	})
}

func (s *sim) part(topic string, number int32) *simPart {
	i := slices.IndexFunc(s.kafka.parts, func(p simPart) bool { return p.Topic == topic && p.Number == number })
	return &s.kafka.parts[i]
}

// judgeMoves holds what begins to what was seen when it was decided.
func (s *sim) judgeMoves(step *Step) {
	if s.c.Paused {
		s.violate("replicas move in a cluster that is paused")
	}
	if s.c.Balancing.Mode == v1alpha1.BalancingOff || s.c.Balancing.Mode == "" {
		s.violate("replicas move though nobody has asked for it")
	}
	for _, n := range s.c.Nodes {
		if !s.sawAlive[n.ID] {
			s.violate("replicas begin to move while node %d is down", n.ID)
		}
	}
	for _, n := range s.order {
		// A failed disk on which nothing is offline is told within a minute: brokers are asked that often.
		// One that has left tells nothing any more.
		known := s.toldFailed(n.id) || n.second.failedFor > 90 && n.alive() && n.unfenced
		serves := slices.ContainsFunc(s.seen.Brokers, func(b kafka.Broker) bool { return b.ID == n.id })
		if n.second.failed && !s.unseen && known && serves {
			s.violate("replicas begin to move while a disk of node %d has failed", n.id)
		}
		want, known := s.want.Files[n.id]
		if known && n.pod != nil && !s.unseen && (n.pod.Files.User != want.User || n.pod.Template.User != s.want.Templates[n.pool].User) {
			s.violate("replicas begin to move while node %d is to be restarted", n.id)
		}
	}
	for _, m := range step.Moves {
		p := s.part(m.Topic, m.Partition)
		if int32(len(m.Replicas)) != p.factor() {
			s.violate("moving %s changes its replication factor", p.name())
		}
		for _, seen := range s.seen.Partitions {
			if seen.Topic == m.Topic && seen.Number == m.Partition && s.seen.Reassignments[m.Topic][m.Partition].Replicas != nil {
				s.violate("%s is moved, which somebody moves already", p.name())
			}
		}
		for _, id := range m.Replicas {
			if !slices.Contains(p.Replicas, id) && !s.wantedBroker(id) {
				s.violate("%s moves to broker %d, which is not wanted", p.name(), id)
			}
		}
	}
	if len(s.c.Balancing.Record.InFlight)+len(step.Moves) > 50 {
		s.violate("%d partitions move at a time", len(s.c.Balancing.Record.InFlight)+len(step.Moves))
	}
}

// reportBalancing writes to the status what a pass has come to, as internal/report does.
func (s *sim) reportBalancing(p *Plan) {
	next := p.Course.Status()
	if before := s.c.Balancing.Record; next != nil && before != nil {
		next.InFlight, next.BytesPerSecond = before.InFlight, before.BytesPerSecond
	} else if next != nil {
		next.InFlight = nil
	}
	s.c.Balancing.Record = next
}

func (s *sim) movesAtRest() string {
	if record := s.c.Balancing.Record; record != nil && len(record.InFlight) > 0 {
		return fmt.Sprintf("%d moves are on record", len(record.InFlight))
	}
	if len(s.kafka.throttled) > 0 {
		return fmt.Sprintf("topics are throttled: %v", s.kafka.throttled)
	}
	return ""
}
