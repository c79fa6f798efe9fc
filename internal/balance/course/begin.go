package course

import (
	"cmp"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// begunFor bounds how many bytes are on their way to a broker: as many as it copies in this time under the throttle. A
// roll waits until they have arrived. One partition goes however large it is.
const begunFor = 2 * time.Minute

// begin picks what begins, in the order of the plan.
func (c *Course) begin() {
	room := c.room()
	if room < c.least() {
		return
	}
	load := c.newLoad()
	busy := false // something before is not complete
	for i := range c.left {
		m := &c.left[i]
		p := c.current[kafka.PartitionID{Topic: m.Topic, Number: m.Partition}]
		if m.Waits && busy || len(c.begun) == room {
			return
		}
		busy = true
		if m.startable && (m.Within() || len(p.ISR) == len(p.Replicas)) && !c.placesNow(m.Topic) &&
			!c.in.Seen.Unnamed[m.Topic].After(c.in.Now) && load.takes(m.Move) {
			next := v1alpha1.MovingPartition{Topic: m.Topic, Partition: m.Partition, Replicas: m.After}
			if m.Within() {
				next.Broker, next.LogDir = &m.Broker, m.To
			}
			c.begun = append(c.begun, next)
		}
	}
}

// load is what is on its way to each broker.
type load struct {
	most  int64 // 0 = any
	bytes map[int32]int64
	full  map[int32]bool // something waits for its turn
}

func (c *Course) newLoad() *load {
	l := &load{bytes: map[int32]int64{}, full: map[int32]bool{}}
	l.most = cmp.Or(c.in.Settings.Rate, c.in.Seen.Rate) * int64(begunFor/time.Second)
	for _, m := range c.flying {
		id := kafka.PartitionID{Topic: m.Topic, Number: m.Partition}
		size := c.Remembered.Before[id]
		if i := slices.IndexFunc(c.left, func(p progress) bool {
			return p.flies && p.Topic == m.Topic && p.Move.Partition == m.Partition
		}); i >= 0 {
			size = c.left[i].Bytes
		}
		if m.Broker != nil {
			l.bytes[*m.Broker] += size
		}
		for _, broker := range c.in.Snapshot.Reassignments[m.Topic][m.Partition].Adding {
			l.bytes[broker] += size
		}
	}
	return l
}

// takes adds a move, unless a broker that it goes to has enough for now. What comes later does not overtake it.
func (l *load) takes(m balance.Move) bool {
	full := false
	var to []int32
	if m.Within() {
		to, full = append(to, m.Broker), l.full[m.Broker] || l.most > 0 && l.bytes[m.Broker] > 0 &&
			l.bytes[m.Broker]+m.Bytes > l.most
	}
	for _, id := range m.After {
		if slices.Contains(m.Before, id) {
			continue
		}
		to = append(to, id)
		full = full || l.full[id] || l.most > 0 && l.bytes[id] > 0 && l.bytes[id]+m.Bytes > l.most
	}
	for _, id := range to {
		if l.full[id] = l.full[id] || full; !full {
			l.bytes[id] += m.Bytes
		}
	}
	return !full
}
