package course

import (
	"cmp"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// begunFor bounds how many bytes are on their way to a broker: as many as it copies in this time under the throttle. A
// roll waits until they have arrived. One partition goes however large it is.
const begunFor = 2 * time.Minute

// begin picks what begins, in the order of the plan. Two replicas that change places begin together or not at all; if
// one of them has begun in a former pass, the other follows by itself.
func (c *Course) begin() {
	room := c.room()
	if room < c.least() {
		return
	}
	load := c.newLoad()
	busy := false // something before is not complete
	for i := 0; i < len(c.left); {
		some := c.left[i : i+1]
		if c.changesPlaces(i) {
			some = c.left[i : i+2]
		}
		if some[0].Waits && busy || len(c.begun)+len(some) > room {
			return
		}
		busy = true
		if !slices.ContainsFunc(some, func(m progress) bool { return !c.ready(m) }) && load.takes(some) {
			c.start(some)
		}
		i += len(some)
	}
}

// changesPlaces tells whether a move and the next one are the halves of a swap of which neither is under way or past.
func (c *Course) changesPlaces(i int) bool {
	return c.left[i].Paired && !c.left[i].flies && i+1 < len(c.left) && c.left[i+1].at == c.left[i].at+1 &&
		!c.left[i+1].flies
}

// ready tells whether a move can begin as far as its partition is concerned.
func (c *Course) ready(m progress) bool {
	p := c.current[kafka.PartitionID{Topic: m.Topic, Number: m.Partition}]
	return m.startable && (m.Within() || len(p.ISR) == len(p.Replicas)) && !c.placesNow(m.Topic) &&
		!c.in.Seen.Unnamed[m.Topic].After(c.in.Now) && !c.in.Seen.Refused[m.id()].Until.After(c.in.Now)
}

// start has moves begin. Of two, neither begins without the other.
func (c *Course) start(some []progress) {
	for _, m := range some {
		next := v1alpha1.MovingPartition{Topic: m.Topic, Partition: m.Partition, Replicas: m.After}
		if m.Within() {
			next.Broker, next.LogDir = &m.Broker, m.To
		}
		c.begun = append(c.begun, next)
	}
	if len(some) > 1 {
		c.swaps = append(c.swaps, [2]kafka.PartitionID{some[0].id(), some[1].id()})
	}
}

func (p progress) id() kafka.PartitionID {
	return kafka.PartitionID{Topic: p.Topic, Number: p.Move.Partition}
}

// Swaps are those pairs among what begins of which neither begins without the other.
func (c *Course) Swaps() [][2]kafka.PartitionID { return c.swaps }

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
		if i := slices.IndexFunc(c.left, func(p progress) bool { return p.flies && p.id() == id }); i >= 0 {
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

// takes adds moves, unless a broker that one of them goes to has enough for now. What comes later overtakes none.
func (l *load) takes(some []progress) bool {
	full := false
	coming := map[int32]int64{}
	for _, m := range some {
		to := m.added()
		if m.Within() {
			to = []int32{m.Broker}
		}
		for _, id := range to {
			coming[id] += m.Bytes
			full = full || l.full[id] || l.most > 0 && l.bytes[id] > 0 && l.bytes[id]+m.Bytes > l.most
		}
	}
	for id, bytes := range coming {
		if l.full[id] = l.full[id] || full; !full {
			l.bytes[id] += bytes
		}
	}
	return !full
}

// added are the brokers that a move copies to: several where a KafkaTopic places its replicas.
func (p progress) added() []int32 {
	return slices.DeleteFunc(slices.Clone(p.After), func(id int32) bool { return slices.Contains(p.Before, id) })
}
