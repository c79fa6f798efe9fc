package balance

import "slices"

// evenBytes moves replicas until every broker's bytes are within the tolerance of its share, or nothing that can move
// makes them lie more evenly.
func (s *state) evenBytes() {
	for again := true; again; again = s.overshoot() || s.makeWay() {
		s.giveExcess()
		s.fillDeficits()
	}
}

// fullest returns the fullest broker for which eligible holds; none = there is none.
func (s *state) fullest(o order, eligible func(i int32, b *broker) bool) int32 {
	best := int32(none)
	for y := range s.racks {
		for _, i := range slices.Backward(s.racks[y][o]) {
			b := &s.brokers[i]
			if best != none && b.key[o] < s.brokers[best].key[o] {
				break
			}
			if eligible(i, b) && (best == none || b.key[o] > s.brokers[best].key[o] || i < best) {
				best = i
			}
		}
	}
	return best
}

// deepest returns how many bytes the broker that lacks most lacks, and how many the roomiest may still take.
func (s *state) deepest() (deficit, room int64) {
	for i := range s.brokers {
		if b := &s.brokers[i]; b.open {
			deficit, room = max(deficit, b.bytes.lower-b.load), max(room, b.bytes.upper-b.load)
		}
	}
	return deficit, room
}

// giveExcess lets brokers above their share give what is too much, the fullest first.
func (s *state) giveExcess() {
	done := make([]bool, len(s.brokers))
	for {
		b := s.fullest(byBytes, func(i int32, b *broker) bool { return b.load > b.bytes.upper && !done[i] })
		if b == none {
			return
		}
		done[b] = !s.relieve(b)
	}
}

// taker is what a broker says to a replica of so many bytes.
type taker func(b *broker, bytes int64) answer

func lacksAsMuch(b *broker, bytes int64) answer {
	if b.load >= b.bytes.share {
		return stop
	}
	return when(b.bytes.lower-b.load >= bytes)
}

func hasRoom(b *broker, bytes int64) answer {
	if b.load >= b.bytes.upper {
		return stop
	}
	return when(b.bytes.upper-b.load >= bytes)
}

func lacksSome(b *broker, bytes int64) answer {
	if b.load >= b.bytes.share {
		return stop
	}
	return when(b.load < b.bytes.lower && b.bytes.upper-b.load >= bytes)
}

// butCounts adds to a taker that the number of replicas stays within its share.
func butCounts(takes taker) taker {
	return func(b *broker, bytes int64) answer {
		if b.count >= b.replicas.upper {
			return no
		}
		return takes(b, bytes)
	}
}

// relieve moves one replica off a broker above its share: the largest that fits both what is too much here and what is
// lacking there, or else what there is room for there, or else the smallest that is enough. Where the broker also has
// too many replicas, the largest leaves enough over for as many as are too many.
func (s *state) relieve(b int32) bool {
	bk := &s.brokers[b]
	excess := bk.load - bk.bytes.upper
	deficit, room := s.deepest()
	most := max(excess-s.reserve(bk), 1)
	for _, fresh := range []bool{true, false} {
		if s.largest(b, min(most, deficit), fresh, butCounts(lacksAsMuch)) ||
			s.largest(b, min(most, room), fresh, butCounts(hasRoom)) {
			return true
		}
	}
	return s.largest(b, min(excess, deficit), false, lacksAsMuch) || s.largest(b, min(excess, room), false, hasRoom) ||
		s.smallest(b, excess, min(room, bk.load-bk.bytes.lower), hasRoom)
}

// reserve is how many bytes the smallest replicas have that a broker has too many of, but one.
func (s *state) reserve(b *broker) int64 {
	n, bytes := b.count-b.replicas.upper-1, int64(0)
	for k := len(b.held) - 1; k >= 0 && n > 0; k, n = k-1, n-1 {
		bytes += s.parts[b.held[k]].bytes
	}
	return bytes
}

// fillDeficits lets the fullest brokers give to those that lack bytes.
func (s *state) fillDeficits() {
	done := make([]bool, len(s.brokers))
	for {
		deficit, _ := s.deepest()
		if deficit <= 0 {
			return
		}
		b := s.fullest(byBytes, func(i int32, b *broker) bool { return b.load > b.bytes.lower && !done[i] })
		if b == none {
			return
		}
		bk := &s.brokers[b]
		spare := bk.load - bk.bytes.lower
		done[b] = !(s.largest(b, min(spare, deficit), true, butCounts(lacksAsMuch)) ||
			s.largest(b, min(spare, deficit), false, lacksAsMuch) || s.smallest(b, 1, spare, lacksSome))
	}
}

// largest moves the largest replica of at most this many bytes off a broker to one that takes it. fresh ones have not
// moved in this plan.
func (s *state) largest(b int32, most int64, fresh bool, takes taker) bool {
	if most <= 0 {
		return false
	}
	held := s.brokers[b].held
	k, _ := slices.BinarySearch(held, s.from(most))
	for ; k < len(held) && s.parts[held[k]].bytes > 0; k++ {
		if p := &s.parts[held[k]]; (!fresh || !p.moved) && s.give(held[k], b, Bytes, byBytes, takes) {
			return true
		}
	}
	return false
}

// smallest moves the smallest replica of at least and at most so many bytes off a broker to one that takes it.
func (s *state) smallest(b int32, least, most int64, takes taker) bool {
	held := s.brokers[b].held
	k, _ := slices.BinarySearch(held, s.from(least-1))
	for k--; k >= 0 && s.parts[held[k]].bytes <= most; k-- {
		if s.give(held[k], b, Bytes, byBytes, takes) {
			return true
		}
	}
	return false
}

// give moves a partition's replica off a broker to one that takes it.
func (s *state) give(p, b int32, why Reason, o order, takes taker) bool {
	pt := &s.parts[p]
	if !pt.whole || !pt.led {
		return false
	}
	i := pt.on(b)
	to := s.into(p, i, o, func(b *broker) answer { return takes(b, pt.bytes) })
	if to == none {
		return false
	}
	s.move(p, i, to, why)
	return true
}

// worth is which part of the bytes that are copied has to lie more evenly afterwards, where a copy goes further than a
// broker's tolerance: an eighth. Less is not worth the copying, and would come back with the next change of sizes.
const worth = 8

// overshoot makes single moves that bring one broker nearer to its share, or further beyond it on the other side, as
// long as both together are better off. It tells whether there was any.
func (s *state) overshoot() bool {
	found := false
	done := make([]bool, len(s.brokers))
	for {
		b := s.fullest(byBytes, func(i int32, _ *broker) bool { return !done[i] })
		if b == none {
			return found
		}
		for s.overshootFrom(b) {
			found = true
		}
		done[b] = true
	}
}

// overshootFrom makes the best such move off a broker.
func (s *state) overshootFrom(b int32) bool {
	bk := &s.brokers[b]
	deficit, _ := s.deepest()
	if bk.load <= bk.bytes.lower || bk.load <= bk.bytes.upper && deficit <= 0 {
		return false // It has nothing to give, or nobody is better off.
	}
	var best, bestGain, bestTo = int32(none), int64(0), int32(none)
	for _, p := range bk.held {
		pt := &s.parts[p]
		if pt.bytes == 0 {
			break
		}
		loss := bk.bytes.off(bk.load) - bk.bytes.off(bk.load-pt.bytes)
		enough := max(bestGain+1, pt.bytes/worth)
		if !pt.whole || !pt.led || loss+min(pt.bytes, max(0, deficit)) < enough {
			continue
		}
		gain := func(d *broker) int64 { return loss + d.bytes.off(d.load) - d.bytes.off(d.load+pt.bytes) }
		to := s.into(p, pt.on(b), byBytes, func(d *broker) answer {
			if d.load >= d.bytes.upper {
				return stop
			}
			return when(gain(d) >= enough)
		})
		if to != none {
			best, bestGain, bestTo = p, gain(&s.brokers[to]), to
		}
	}
	if best == none {
		return false
	}
	s.move(best, s.parts[best].on(b), bestTo, Bytes)
	return true
}
