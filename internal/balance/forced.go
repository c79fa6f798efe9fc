package balance

import (
	"cmp"
	"fmt"
	"slices"
)

// obligation is a replica that has to move, and what stands in the way of it; no cause = nothing does.
type obligation struct {
	broker  int32
	p       int32 // none = a disk of the broker is too full, and nothing on it may move
	reason  Reason
	cause   Cause
	lacking int64
}

// force moves what has to move, whether or not data shall lie evenly. Brokers that leave come first, as their replicas
// can go where racks miss one. Where room is lacking, what is freed by then is waited for.
func (s *state) force() {
	for {
		before, noRoom := len(s.moves), false
		s.duties(func(o obligation) { noRoom = noRoom || o.cause == NoRoom })
		if len(s.moves) == before && (!noRoom || !s.settle()) {
			return
		}
	}
}

// duties does everything that has to be done and can be, and reports what cannot.
func (s *state) duties(report func(obligation)) {
	s.leave(report)
	s.clear(report)
	s.spreadRacks(report)
	s.relieveDisks(report)
}

// leave moves replicas off brokers that leave.
func (s *state) leave(report func(obligation)) {
	for rank := range s.parts {
		p := &s.parts[rank]
		for i, b := range p.replicas {
			bk := &s.brokers[b]
			if !s.leaves(b) {
				continue
			}
			o := obligation{broker: b, p: int32(rank), reason: LeavingBroker}
			switch {
			case p.fixed:
				o.cause = PartitionFixed
			case !bk.leaving:
				o.cause = BrokerClosed
			case !p.led:
				o.cause = NotInSync
			default:
				var to int32
				if to, o.cause, o.lacking = s.refuge(int32(rank), i); to != none {
					s.move(int32(rank), i, to, LeavingBroker)
					continue
				}
			}
			report(o)
		}
	}
}

// leaves tells whether a broker shall hold nothing, closed or not.
func (s *state) leaves(b int32) bool { return int(b) < len(s.c.Brokers) && s.c.Brokers[b].Leaving }

// refuge finds the broker for a replica that has to go: in the rack that has fewest of its partition. Racks get no
// worse where that is possible with the brokers that there are, whether or not they have room.
func (s *state) refuge(p int32, i int) (to int32, cause Cause, lacking int64) {
	pt := &s.parts[p]
	rack := s.brokers[pt.replicas[i]].rack
	s.tally(pt, 1)
	defer s.tally(pt, -1)
	s.inRack[rack]--
	defer func() { s.inRack[rack]++ }()
	var racks []int
	for y := range s.racks {
		if slices.ContainsFunc(s.racks[y][byBytes], func(b int32) bool { return pt.on(b) == none }) {
			racks = append(racks, y)
		}
	}
	if len(racks) == 0 {
		return none, TooFewBrokers, 0
	}
	slices.SortStableFunc(racks, func(x, y int) int { return cmp.Compare(s.inRack[x], s.inRack[y]) })
	fewest, lacking := s.inRack[racks[0]], int64(-1)
	for k, first := 0, 0; k < len(racks); first = k {
		for k < len(racks) && s.inRack[racks[k]] == s.inRack[racks[first]] {
			k++
		}
		if here := s.inRack[racks[first]]; here > fewest && here > s.inRack[rack] {
			break // racks would be worse than they are
		}
		if to := s.among(pt, racks[first:k]); to != none {
			return to, "", 0
		}
		for _, y := range racks[first:k] {
			if short := s.short(pt, y); lacking < 0 || short < lacking {
				lacking = short
			}
		}
	}
	return none, NoRoom, lacking
}

// among finds the broker for a replica in some racks: the emptiest that stays within its share, or else the emptiest.
func (s *state) among(pt *part, racks []int) int32 {
	for _, takes := range []func(*broker) answer{
		func(b *broker) answer { return when(b.load+pt.bytes <= b.bytes.upper) },
		func(*broker) answer { return yes },
	} {
		best := int32(none)
		for _, y := range racks {
			if b := s.emptiest(pt, y, byBytes, takes); b != none && (best == none || s.compare(byBytes, b, best) < 0) {
				best = b
			}
		}
		if best != none {
			return best
		}
	}
	return none
}

func when(holds bool) answer {
	if holds {
		return yes
	}
	return no
}

// short tells how many bytes the roomiest disk of a rack lacks for a replica.
func (s *state) short(pt *part, rack int) int64 {
	least := int64(-1)
	for _, b := range s.racks[rack][byBytes] {
		if pt.on(b) != none {
			continue
		}
		for _, d := range s.brokers[b].disks {
			if d.leaving {
				continue
			}
			if lacks := pt.bytes - (d.free + d.freed - d.floor); least < 0 || lacks < least {
				least = lacks
			}
		}
	}
	return least
}

// spreadRacks moves replicas of partitions that have two more in one rack than in another which has a broker for one
// of them.
func (s *state) spreadRacks(report func(obligation)) {
	if len(s.racks) < 2 {
		return
	}
	for rank := range s.parts {
		p := &s.parts[rank]
		if p.fixed || !p.whole || !p.led {
			continue
		}
		for again := true; again; {
			var o obligation
			again, o = s.spreadRack(int32(rank))
			if o.cause != "" {
				report(o)
			}
		}
	}
}

// spreadRack makes one such move.
func (s *state) spreadRack(rank int32) (moved bool, o obligation) {
	p := &s.parts[rank]
	s.tally(p, 1)
	type way struct{ i, gap, rack int }
	var ways []way
	for i, b := range p.replicas {
		n := s.inRack[s.brokers[b].rack]
		if n < 2 || !s.brokers[b].open {
			continue
		}
		for y := range s.racks {
			if gap := n - s.inRack[y]; gap >= 2 {
				ways = append(ways, way{i, gap, y})
			}
		}
	}
	s.tally(p, -1)
	slices.SortStableFunc(ways, func(a, b way) int {
		return cmp.Or(cmp.Compare(b.gap, a.gap), -s.compare(byBytes, p.replicas[a.i], p.replicas[b.i]))
	})
	for k := 0; k < len(ways); {
		// Every rack to which this replica may go, and which has equally few.
		var racks []int
		first := ways[k]
		for ; k < len(ways) && ways[k].i == first.i && ways[k].gap == first.gap; k++ {
			racks = append(racks, ways[k].rack)
		}
		if to := s.among(p, racks); to != none {
			s.move(rank, first.i, to, Racks)
			return true, obligation{}
		}
		for _, y := range racks {
			if short := s.short(p, y); short > 0 && (o.cause == "" || short < o.lacking) {
				o = obligation{broker: p.replicas[first.i], p: rank, reason: Racks, cause: NoRoom, lacking: short}
			}
		}
	}
	return false, o
}

// relieveDisks moves replicas off disks above their limit: the largest that are not too large, and then the smallest
// that is enough.
func (s *state) relieveDisks(report func(obligation)) {
	for b := range s.brokers {
		if !s.brokers[b].open {
			continue
		}
		for d := range s.brokers[b].disks {
			disk := &s.brokers[b].disks[d]
			for disk.over() > 0 && s.relieveDisk(int32(b), int32(d), disk.over()) {
			}
			if over := disk.over(); over > 0 {
				report(obligation{broker: int32(b), p: none, reason: DiskLimit, cause: NoRoom, lacking: over})
			}
		}
	}
}

func (s *state) relieveDisk(b, d int32, over int64) bool {
	held := s.brokers[b].held
	enough, _ := slices.BinarySearch(held, s.from(over))
	try := func(rank int32) bool {
		p := &s.parts[rank]
		i := p.on(b)
		if p.bytes == 0 || p.disk[i] != d || !p.whole || !p.led {
			return false
		}
		if s.relieveWithin(rank, b) {
			return true
		}
		for _, takes := range []func(*broker) answer{
			func(b *broker) answer { return when(b.load+p.bytes <= b.bytes.upper) },
			func(*broker) answer { return yes },
		} {
			if to := s.into(rank, i, byBytes, takes); to != none {
				s.move(rank, i, to, DiskLimit)
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(held[enough:], try) ||
		slices.ContainsFunc(reversed(held[:enough]), try)
}

func reversed(ranks []int32) []int32 {
	r := slices.Clone(ranks)
	slices.Reverse(r)
	return r
}

// stuck lists what had to move and could not.
func (s *state) stuck() []Stuck {
	var all []Stuck
	s.duties(func(o obligation) {
		st := Stuck{Broker: s.brokers[o.broker].id, Partition: none, Reason: o.reason, Cause: o.cause, Lacking: o.lacking}
		if o.p != none {
			p := s.c.Partitions[s.parts[o.p].at]
			st.Topic, st.Partition = p.Topic, p.Number
		}
		if st.Why = st.why(s.o.DiskLimit); o.reason == LeavingDisk && o.cause == NoRoom {
			st.Why = fmt.Sprintf("no other disk of the broker stays below %d%% of its capacity; %s are lacking: enlarge the "+
				"other disks, keep less data, or keep the volume", s.o.DiskLimit, Size(o.lacking))
		}
		all = append(all, st)
	})
	return all
}
