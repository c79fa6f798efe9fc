package balance

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sort"
)

// none is an index of nothing.
const none = -1

// band is a share, and how far from it is still even.
type band struct{ lower, share, upper int64 }

// off is how far outside a band a value lies.
func (b band) off(value int64) int64 { return max(0, value-b.upper, b.lower-value) }

// newBand gives a part of a total to a weight among weights, and the tolerance in percent on both sides: whole numbers,
// and the two next to the share are always within. What is more than 2^55 is rounded, so that nothing overflows.
func newBand(total, weight, weights int64, tolerance int) band {
	if weights == 0 {
		return band{}
	}
	unit := int64(1)
	for total/unit > 1<<55 {
		unit <<= 1
	}
	part := func(percent int) (int64, bool) {
		hi, lo := bits.Mul64(uint64(total/unit)*uint64(percent), uint64(weight))
		n, rest := bits.Div64(hi, lo, uint64(weights))
		return int64(n/100) * unit, rest > 0 || n%100 > 0
	}
	lower, above := part(max(0, 100-tolerance))
	if above {
		lower += unit
	}
	share, above := part(100)
	upper, _ := part(100 + tolerance)
	b := band{lower: min(lower, share), share: share, upper: max(upper, share)}
	if above {
		b.upper = max(upper, share+unit)
	}
	return b
}

// disk is a disk as the moves so far leave it.
type disk struct {
	capacity, free int64
	freed          int64 // by moves since the last one that waits: not there yet
	floor          int64 // what a plan leaves free
	load           int64 // bytes of replicas, as far as it is known that they are here
	leaving        bool
}

// over is how far a disk is above its limit. One that shall hold nothing has none.
func (d disk) over() int64 {
	if d.leaving {
		return 0
	}
	return max(0, d.floor-d.free-d.freed)
}

// broker is a broker as the moves so far leave it.
type broker struct {
	at                       int32 // index in state.brokers
	id                       int32
	rack                     int32
	leaving, open            bool // closed: neither
	disks                    []disk
	weight                   int64
	load, count, leads       int64
	bytes, replicas, leaders band
	// held are the partitions with a replica here that may move: largest first, as in state.parts.
	held []int32
	key  [orders]int64 // how full it is, by order
}

// fits returns the disk that a replica of this many bytes would use: the one with most room; none = it does not fit.
func (b *broker) fits(size int64) int {
	best := none
	for i := range b.disks {
		room := b.disks[i].free - b.disks[i].floor
		if !b.disks[i].leaving && room >= size && (best == none || room > b.disks[best].free-b.disks[best].floor) {
			best = i
		}
	}
	return best
}

// part is a partition as the moves so far leave it.
type part struct {
	at       int // index in Cluster.Partitions
	topic    int32
	bytes    int64
	replicas []int32 // indices of brokers
	disk     []int32 // by replica; none = not known
	inSync   []bool  // by replica
	led      bool    // it has a leader to copy from
	whole    bool    // every replica is in sync
	fixed    bool
	busy     bool
	moved    bool // in this plan
}

func (p *part) on(broker int32) int { return slices.Index(p.replicas, broker) }

// order is how brokers of a rack are sorted: by how full they are of what.
type order int

const (
	byBytes order = iota
	byCount
	orders
)

// state is a cluster as the moves so far leave it.
type state struct {
	c       Cluster
	o       Options
	brokers []broker
	parts   []part // largest first, then by number and topic, so that pieces of every topic move
	topics  int
	mean    int64             // bytes of a replica
	racks   [][orders][]int32 // the open brokers of a rack, the emptiest first
	inRack  []int             // scratch: replicas of the partition at hand by rack
	moves   []Move
	waits   bool // the next move waits for those before it
}

func newState(c Cluster, o Options) *state {
	s := &state{c: c, o: o}
	s.o.Tolerance = min(100, max(0, s.o.Tolerance))
	racks, index := map[string]int32{}, map[int32]int32{}
	add := func(b Broker) {
		rack, known := racks[b.Rack]
		if !known {
			rack = int32(len(racks))
			racks[b.Rack] = rack
		}
		index[b.ID] = int32(len(s.brokers))
		nb := broker{at: int32(len(s.brokers)), id: b.ID, rack: rack}
		for _, d := range b.Disks {
			if !d.Leaving {
				nb.weight += max(0, d.Capacity)
			}
			hi, lo := bits.Mul64(uint64(max(0, d.Capacity)), uint64(min(100, max(0, o.DiskLimit))))
			limit, _ := bits.Div64(hi, lo, 100)
			nb.disks = append(nb.disks, disk{capacity: d.Capacity, free: d.Free, floor: d.Capacity - int64(limit),
				leaving: d.Leaving})
		}
		closed := b.Closed || nb.weight == 0 && !b.Leaving
		nb.leaving, nb.open = b.Leaving && !closed, !b.Leaving && !closed
		s.brokers = append(s.brokers, nb)
	}
	for _, b := range c.Brokers {
		add(b)
	}
	for _, p := range c.Partitions {
		for _, id := range p.Replicas {
			if _, known := index[id]; !known {
				add(Broker{ID: id, Closed: true}) // it is not registered
			}
		}
	}
	s.inRack = make([]int, len(racks))
	s.racks = make([][orders][]int32, len(racks))
	s.readPartitions(index)
	s.share()
	for y := range s.racks {
		for o := range orders {
			slices.SortFunc(s.racks[y][o], func(a, b int32) int { return s.compare(o, a, b) })
		}
	}
	return s
}

// readPartitions takes the partitions over, in the order in which they are looked at.
func (s *state) readPartitions(index map[int32]int32) {
	n := 0
	for i := range s.c.Partitions {
		n += len(s.c.Partitions[i].Replicas)
	}
	ids, disks, syncs := make([]int32, 0, n), make([]int32, 0, n), make([]bool, 0, n)
	order, topics := s.lookAt()
	s.parts = make([]part, 0, len(order))
	for _, at := range order {
		p := &s.c.Partitions[at]
		from := len(ids)
		whole := true
		for i, id := range p.Replicas {
			b := index[id]
			ids, syncs = append(ids, b), append(syncs, slices.Contains(p.ISR, id))
			whole = whole && syncs[len(syncs)-1]
			disk := int32(none)
			if i < len(p.Disk) && p.Disk[i] >= 0 && p.Disk[i] < len(s.brokers[b].disks) {
				disk = int32(p.Disk[i])
			} else if len(s.brokers[b].disks) == 1 {
				disk = 0
			}
			disks = append(disks, disk)
		}
		to := len(ids)
		s.parts = append(s.parts, part{
			at: int(at), topic: topics[at], bytes: max(0, p.Bytes), fixed: p.Fixed, busy: p.Busy, whole: whole,
			led:      p.Leader >= 0 && len(p.ISR) > 0,
			replicas: ids[from:to:to], disk: disks[from:to:to], inSync: syncs[from:to:to],
		})
	}
	s.hold()
}

// lookAt returns the order in which partitions are looked at, and the topic of each.
func (s *state) lookAt() (order, topics []int32) {
	all := s.c.Partitions
	order, topics = make([]int32, len(all)), make([]int32, len(all))
	for at := range all {
		if at > 0 && all[at].Topic != all[at-1].Topic {
			s.topics++
		}
		order[at], topics[at] = int32(at), int32(s.topics)
	}
	s.topics++
	slices.SortFunc(order, func(a, b int32) int {
		x, y := &all[a], &all[b]
		return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), cmp.Compare(x.Number, y.Number), cmp.Compare(a, b))
	})
	return order, topics
}

// hold counts what brokers hold.
func (s *state) hold() {
	for rank := range s.parts {
		p := &s.parts[rank]
		for i, b := range p.replicas {
			bk := &s.brokers[b]
			bk.load += p.bytes
			bk.count++
			if i == 0 {
				bk.leads++
			}
			if d := p.disk[i]; d != none {
				bk.disks[d].load += p.bytes
			}
			if !p.fixed && (bk.open || bk.leaving) {
				bk.held = append(bk.held, int32(rank))
			}
		}
	}
}

// weigh computes how full a broker is, in millionths of its share.
func (s *state) weigh(b *broker) {
	b.key[byBytes] = ratio(b.load, b.bytes.share)
	b.key[byCount] = ratio(b.count, b.replicas.share)
}

func ratio(value, share int64) int64 {
	hi, lo := bits.Mul64(uint64(value), 1e6)
	share = max(1, share)
	if hi >= uint64(share) {
		return math.MaxInt64
	}
	n, _ := bits.Div64(hi, lo, uint64(share))
	return int64(min(n, math.MaxInt64))
}

// compare sorts the emptier broker first.
func (s *state) compare(o order, a, b int32) int {
	x, y := &s.brokers[a], &s.brokers[b]
	return cmp.Or(cmp.Compare(x.key[o], y.key[o]), cmp.Compare(x.key[orders-1-o], y.key[orders-1-o]), cmp.Compare(a, b))
}

// change keeps a broker in its place among those of its rack while what it holds changes.
func (s *state) change(b int32, how func(*broker)) {
	bk := &s.brokers[b]
	if !bk.open {
		how(bk)
		return
	}
	lists := &s.racks[bk.rack]
	for o := range orders {
		i, _ := slices.BinarySearchFunc(lists[o], b, func(x, y int32) int { return s.compare(o, x, y) })
		lists[o] = slices.Delete(lists[o], i, i+1)
	}
	how(bk)
	s.weigh(bk)
	for o := range orders {
		i, _ := slices.BinarySearchFunc(lists[o], b, func(x, y int32) int { return s.compare(o, x, y) })
		lists[o] = slices.Insert(lists[o], i, b)
	}
}

// ids returns the node ids of a partition's replicas.
func (s *state) ids(p *part) []int32 {
	ids := make([]int32, len(p.replicas))
	for i, b := range p.replicas {
		ids[i] = s.brokers[b].id
	}
	return ids
}

// move moves replica i of a partition to a broker that has room for it.
func (s *state) move(p int32, i int, to int32, why Reason) {
	pt := &s.parts[p]
	from, disk := pt.replicas[i], s.brokers[to].fits(pt.bytes)
	m := Move{
		Topic: s.c.Partitions[pt.at].Topic, Partition: s.c.Partitions[pt.at].Number, Before: s.ids(pt),
		Bytes: pt.bytes, Reason: why, Disk: disk, Waits: s.waits,
	}
	lead := int64(0)
	if i == 0 {
		lead = 1
	}
	s.change(from, func(b *broker) {
		b.load, b.count, b.leads = b.load-pt.bytes, b.count-1, b.leads-lead
		if k, held := slices.BinarySearch(b.held, p); held {
			b.held = slices.Delete(b.held, k, k+1)
		}
		if pt.disk[i] != none {
			b.disks[pt.disk[i]].freed += pt.bytes
			b.disks[pt.disk[i]].load -= pt.bytes
		}
	})
	s.change(to, func(b *broker) {
		b.load, b.count, b.leads = b.load+pt.bytes, b.count+1, b.leads+lead
		k, _ := slices.BinarySearch(b.held, p)
		b.held = slices.Insert(b.held, k, p)
		b.disks[disk].free -= pt.bytes
		b.disks[disk].load += pt.bytes
	})
	pt.replicas[i], pt.disk[i], pt.inSync[i], pt.moved = to, int32(disk), true, true
	pt.whole = !slices.Contains(pt.inSync, false)
	m.After = s.ids(pt)
	s.moves, s.waits = append(s.moves, m), false
}

// settle counts on the room that the moves so far free, so that the next one waits for them. It tells whether there is
// any.
func (s *state) settle() bool {
	found := false
	for i := range s.brokers {
		for j := range s.brokers[i].disks {
			d := &s.brokers[i].disks[j]
			found = found || d.freed > 0
			d.free, d.freed = d.free+d.freed, 0
		}
	}
	s.waits = s.waits || found
	return found
}

// from returns the first rank of partitions that have at most this many bytes.
func (s *state) from(bytes int64) int32 {
	return int32(sort.Search(len(s.parts), func(i int) bool { return s.parts[i].bytes <= bytes }))
}

// tally counts the replicas of a partition by rack, until it is called with -1.
func (s *state) tally(p *part, n int) {
	for _, b := range p.replicas {
		s.inRack[s.brokers[b].rack] += n
	}
}

// answer is what a broker says to a replica.
type answer int

const (
	no   answer = iota
	yes         // if there is room
	stop        // no, and those that are fuller say so too
)

// into finds the broker for replica i of a partition: in the racks in which it lies no worse than where it is, the
// emptiest that says yes and has room. none = there is none.
func (s *state) into(p int32, i int, o order, takes func(*broker) answer) int32 {
	pt, best := &s.parts[p], int32(none)
	rack := s.brokers[pt.replicas[i]].rack
	s.tally(pt, 1)
	for y := range s.racks {
		if int32(y) != rack && s.inRack[y] >= s.inRack[rack] {
			continue
		}
		if b := s.emptiest(pt, y, o, takes); b != none && (best == none || s.compare(o, b, best) < 0) {
			best = b
		}
	}
	s.tally(pt, -1)
	return best
}

// emptiest returns the emptiest broker of a rack that says yes to a replica and has room for it.
func (s *state) emptiest(pt *part, rack int, o order, takes func(*broker) answer) int32 {
	for _, b := range s.racks[rack][o] {
		bk := &s.brokers[b]
		switch takes(bk) {
		case stop:
			return none
		case yes:
			if pt.on(b) == none && bk.fits(pt.bytes) != none {
				return b
			}
		}
	}
	return none
}
