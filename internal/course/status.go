package course

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Status is what the status says after the pass, but for what begins and ends in it: whoever carries that out puts it
// on record, or takes it off, in its own time (With, Without). nil = there is nothing to say.
func (c *Course) Status() *v1alpha1.BalancingStatus {
	if c.off() && len(c.before.InFlight) == 0 {
		return c.atRest()
	}
	if c.in.Snapshot == nil || !c.known && !c.complete() {
		return c.in.Settings.Record
	}
	next := c.before
	if c.off() {
		next.Message, next.Phase = "spec.balancing.mode is Off: what is under way ends, and nothing begins",
			v1alpha1.BalancingMoving
		return &next
	}
	next.Spread, next.SpreadVolumes = c.spread(), c.spreadVolumes(c.finished())
	c.measure(&next)
	next.Stuck = c.stuck()
	next.Phase, next.Message = c.phase(&next)
	return &next
}

// atRest is what is kept while balancing is off: which brokers have their share, so that a spreading goes on once it is
// no longer off. nil = nothing was ever on record.
func (c *Course) atRest() *v1alpha1.BalancingStatus {
	if !c.known {
		return nil
	}
	return &v1alpha1.BalancingStatus{Phase: v1alpha1.BalancingIdle, Spread: c.haveIt(),
		SpreadVolumes: c.before.SpreadVolumes}
}

// haveIt are the brokers on record with their share that stay.
func (c *Course) haveIt() []int32 {
	return slices.DeleteFunc(slices.Clone(c.before.Spread), func(id int32) bool { return !slices.Contains(c.stay, id) })
}

// complete tells whether every broker of the spec is there, so that a cluster begins with all of them.
func (c *Course) complete() bool {
	for _, id := range c.stay {
		if !slices.ContainsFunc(c.in.Snapshot.Brokers, func(b kafka.Broker) bool { return b.ID == id && !b.Fenced }) {
			return false
		}
	}
	return len(c.stay) > 0
}

// finished tells whether a plan that spreads has nothing left, and no other one is to follow.
func (c *Course) finished() bool {
	return c.plan != nil && c.spreads && !c.Remembered.Partial && len(c.left)+len(c.flying) == 0 && c.held == ""
}

// spread lists the brokers that have got their share: those that had it and stay, and all once a plan that spreads has
// nothing left, and no other one is to follow. One that takes nothing gets its share later.
func (c *Course) spread() []int32 {
	switch {
	case !c.known:
		return slices.Clone(c.stay)
	case c.finished():
		return slices.DeleteFunc(slices.Clone(c.stay), func(id int32) bool {
			return c.cordoned(id) && !slices.Contains(c.before.Spread, id)
		})
	}
	return c.haveIt()
}

// measure says how far the plan is.
func (c *Course) measure(next *v1alpha1.BalancingStatus) {
	running := c.plan != nil && len(c.left)+len(c.flying)+len(c.begun)+len(c.ended) > 0
	if has, _ := c.Has(); c.plan == nil && c.before.StartedAt != nil && (has || len(c.before.InFlight) > 0) {
		return // another operator has begun, or for other brokers: a plan is about to be made
	}
	if !running {
		*next = v1alpha1.BalancingStatus{InFlight: c.before.InFlight, BytesPerSecond: c.before.BytesPerSecond,
			Spread: next.Spread, SpreadVolumes: next.SpreadVolumes}
		return
	}
	leftBytes := int64(0)
	for _, m := range c.left {
		leftBytes += m.Bytes
	}
	done := c.Remembered.Moves + len(c.plan.Moves) - len(c.left)
	bytes := max(0, c.Remembered.Bytes+c.plan.Bytes-leftBytes)
	arrived := int32(done) != next.MovesDone
	next.Hash, next.PlannedAt = c.plan.Hash(), &metav1.Time{Time: c.Remembered.At.Truncate(time.Second)}
	next.MovesDone, next.MovesLeft, next.BytesDone, next.BytesLeft = int32(done), int32(len(c.left)), bytes, leftBytes
	next.Percent = percent(next)
	if len(c.begun)+len(c.flying)+len(c.ended) > 0 && next.StartedAt == nil {
		next.StartedAt = &metav1.Time{Time: c.in.Now.Truncate(time.Second)}
	}
	if next.StartedAt == nil || done == 0 {
		next.EstimatedCompletion = nil
	} else if arrived || next.EstimatedCompletion == nil {
		next.EstimatedCompletion = estimate(next, c.in.Now)
	}
}

func percent(s *v1alpha1.BalancingStatus) int32 {
	if all := s.BytesDone + s.BytesLeft; all > 0 {
		return int32(float64(s.BytesDone) / float64(all) * 100)
	}
	return s.MovesDone * 100 / max(1, s.MovesDone+s.MovesLeft)
}

// estimate is when the rest will have been moved at this speed.
func estimate(s *v1alpha1.BalancingStatus, now time.Time) *metav1.Time {
	took, rest := now.Sub(s.StartedAt.Time), float64(s.MovesLeft)/float64(s.MovesDone)
	if s.BytesDone > 0 {
		rest = float64(s.BytesLeft) / float64(s.BytesDone)
	}
	return &metav1.Time{Time: now.Add(min(time.Duration(float64(took)*rest), 1000*time.Hour)).Truncate(time.Second)}
}

// stuck says what cannot be moved.
func (c *Course) stuck() []string {
	if c.plan == nil {
		return c.before.Stuck
	}
	var told []string
	for _, s := range c.Stuck() {
		if told = append(told, s.String()); len(told) == maxStuck {
			if more := len(c.Stuck()) - maxStuck; more > 0 {
				told[maxStuck-1] = fmt.Sprintf("and %d more", more+1)
			}
			break
		}
	}
	return told
}

// Stuck is what has to move and cannot, as far as a plan is known.
func (c *Course) Stuck() []balance.Stuck {
	if c.plan == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.plan.Stuck), func(s balance.Stuck) bool {
		return s.Cause == balance.PartitionFixed && c.planned(s)
	})
}

// planned tells whether a partition that the balance was not to touch is moved all the same: within the racks that its
// KafkaTopic names.
func (c *Course) planned(s balance.Stuck) bool {
	return slices.ContainsFunc(c.plan.Moves, func(m balance.Move) bool {
		return m.Topic == s.Topic && m.Partition == s.Partition
	})
}

// phase tells in one line what is done or waited for.
func (c *Course) phase(s *v1alpha1.BalancingStatus) (v1alpha1.BalancingPhase, string) {
	moving := len(c.flying)+len(c.begun)+len(c.ended) > 0
	manual := c.plan != nil && len(c.left) > 0 && c.in.Settings.Manual && c.in.Settings.Approved != c.plan.Hash()
	foreign := ""
	if len(c.foreign) > 0 {
		foreign = fmt.Sprintf("; a reassignment of %s-%d that somebody else has begun is left alone",
			c.foreign[0].Topic, c.foreign[0].Number)
		if more := len(c.foreign) - 1; more > 0 {
			foreign += fmt.Sprintf(", and %d more", more)
		}
	}
	foreign += c.unnamed() + c.refused()
	has, _ := c.Has()
	switch {
	case manual && !moving:
		return v1alpha1.BalancingPlanned, fmt.Sprintf("balancing waits for approval: %s, %s; annotate %s=%s",
			moved(len(c.left)), balance.Size(s.BytesLeft), v1alpha1.AnnotationApproveBalance, c.plan.Hash())
	case moving:
		return v1alpha1.BalancingMoving, "balancing: " + progressText(s, c.in.Now) + foreign + c.awaits()
	case c.held != "":
		return v1alpha1.BalancingHeldBack, "balancing waits: " + c.held + foreign
	case len(s.Stuck) > 0 && c.empties():
		return v1alpha1.BalancingHeldBack, "balancing: " + c.leavers() + ", and cannot be emptied: " + first(s.Stuck)
	case c.waitsForWindow() && (len(c.coming)+len(c.volumes)+len(c.left) > 0 || c.partial()):
		return v1alpha1.BalancingHeldBack, fmt.Sprintf("balancing: %s, once a window opens (%s)", c.why(), c.windows())
	case has || len(c.left) > 0 || c.partial():
		return v1alpha1.BalancingHeldBack, "balancing: " + c.why() + foreign
	}
	return v1alpha1.BalancingIdle, ""
}

// awaits names a broker that is down and to which replicas are on their way, or from which. All that may move at a time
// may wait for it.
func (c *Course) awaits() string {
	for _, m := range c.flying {
		for _, id := range m.Replicas {
			serves := func(b kafka.Broker) bool { return b.ID == id && !b.Fenced }
			if !slices.ContainsFunc(c.in.Snapshot.Brokers, serves) {
				return fmt.Sprintf("; %s-%d waits for broker %d, which is down", m.Topic, m.Partition, id)
			}
		}
	}
	return ""
}

// unnamed names a topic of the plan that a throttle of somebody else's keeps from moving.
func (c *Course) unnamed() string {
	for _, m := range c.left {
		if _, is := c.in.Seen.Unnamed[m.Topic]; is && !m.flies {
			return fmt.Sprintf("; topic %s does not move: somebody else has set %s or %s on it, which do not name its "+
				"replicas; remove both, or set both to *", m.Topic, moves.LeaderThrottled, moves.FollowerThrottled)
		}
	}
	return ""
}

// refused names a move of the plan that Kafka has refused.
func (c *Course) refused() string {
	for _, m := range c.left {
		if r, is := c.in.Seen.Refused[m.id()]; is && !m.flies {
			return fmt.Sprintf("; Kafka refuses to move %s-%d, and is asked again within ten minutes: %s",
				m.Topic, m.Partition, r.Why)
		}
	}
	return ""
}

func (c *Course) windows() string {
	all := make([]string, len(c.in.Settings.Windows))
	for i, w := range c.in.Settings.Windows {
		all[i] = w.String()
	}
	return strings.Join(all, "; ")
}

func first(sentences []string) string {
	if len(sentences) == 1 {
		return sentences[0]
	}
	return fmt.Sprintf("%s; and %d more", sentences[0], len(sentences)-1)
}

// progressText is such as "12 of 40 moves, 1.2 of 2.0 GiB, 60%, about 3 min left".
func progressText(s *v1alpha1.BalancingStatus, now time.Time) string {
	text := fmt.Sprintf("%d of %s", s.MovesDone, moved(int(s.MovesDone+s.MovesLeft)))
	if all := s.BytesDone + s.BytesLeft; all > 0 {
		done, _ := balance.SizeBeside(s.BytesDone, all)
		text += fmt.Sprintf(", %s of %s", done, balance.Size(all))
	}
	text += fmt.Sprintf(", %d%%", s.Percent)
	if at := s.EstimatedCompletion; at != nil {
		text += fmt.Sprintf(", about %d min left", max(1, int(at.Sub(now).Round(time.Minute)/time.Minute)))
	}
	return text
}

// Leaving says of a broker that leaves what it waits for, and whether only its user can end that.
func (c *Course) Leaving(id int32) (text string, stuck bool) {
	elsewhere := fmt.Sprintf("node %d leaves once its %s elsewhere", id, partitionsAre(c.holding[id]))
	for _, s := range c.Stuck() {
		if s.Broker == id {
			return elsewhere + ": " + s.String(), true
		}
	}
	if message := c.Status().GetMessage(); message != "" {
		return elsewhere + ": " + message, false
	}
	return elsewhere, false
}

func partitionsAre(n int) string {
	if n == 1 {
		return "1 partition is"
	}
	return verdict.Counted(n, "partition") + " are"
}

// UnderWay tells whether the next pass is to follow soon.
func (c *Course) UnderWay() bool {
	rest := c.plan != nil && (c.Remembered.Partial || len(c.left) > 0 && !c.waitsForApproval())
	return len(c.before.InFlight)+len(c.begun) > 0 || rest && !c.waitsForWindow()
}

func (c *Course) waitsForApproval() bool {
	return c.in.Settings.Manual && c.in.Settings.Approved != c.plan.Hash()
}

// With puts moves on record that are about to begin.
func With(s v1alpha1.BalancingStatus, begun []v1alpha1.MovingPartition, rate int64) v1alpha1.BalancingStatus {
	next := *Without(s, begun).DeepCopy()
	next.InFlight = append(next.InFlight, begun...)
	slices.SortFunc(next.InFlight, func(a, b v1alpha1.MovingPartition) int {
		if a.Topic != b.Topic {
			return strings.Compare(a.Topic, b.Topic)
		}
		return int(a.Partition - b.Partition)
	})
	next.BytesPerSecond = rate
	return next
}

// Without takes moves off the record.
func Without(s v1alpha1.BalancingStatus, ended []v1alpha1.MovingPartition) *v1alpha1.BalancingStatus {
	next := s.DeepCopy()
	next.InFlight = slices.DeleteFunc(next.InFlight, func(m v1alpha1.MovingPartition) bool {
		return slices.ContainsFunc(ended, func(e v1alpha1.MovingPartition) bool {
			return e.Topic == m.Topic && e.Partition == m.Partition
		})
	})
	if len(next.InFlight) == 0 {
		next.InFlight, next.BytesPerSecond = nil, 0
	}
	return next
}
