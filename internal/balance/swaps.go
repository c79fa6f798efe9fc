package balance

import "slices"

// tries bounds how many pairs are looked at before it is taken for granted that there is none: in large clusters, where
// almost everything fits somewhere, the rest is not worth the time.
const tries = 100_000

// pair is a replica that does not fit where it would do good, and another that makes way for it.
type pair struct {
	p, from, into int32 // the partition, and the brokers that give and take its replica
	way, to       int32 // the partition whose replica on into makes way, and the broker that takes that one
}

// makeWay finds two moves that do together what none does alone: the first takes a replica off a broker so that the
// second fits. Where a third broker has room, nothing is worse between them. Where none has, two replicas change
// places. It tells whether it found a pair.
func (s *state) makeWay() bool {
	left, some := tries, false
	done := make([]bool, len(s.brokers))
	for left > 0 {
		b := s.fullest(byBytes, func(i int32, _ *broker) bool { return !done[i] })
		if b == none {
			break
		}
		if found, ok := s.findPair(b, &left); ok {
			s.carryOut(found)
			some = true
			continue
		}
		done[b] = true
	}
	return some
}

func (s *state) carryOut(f pair) {
	first, second := [3]int32{f.way, f.into, f.to}, [3]int32{f.p, f.from, f.into}
	if f.to == f.from { // The larger goes first: then the one that evens this out again is the best move that there is.
		first, second = second, first
	}
	s.move(first[0], s.parts[first[0]].on(first[1]), first[2], Bytes)
	s.moves[len(s.moves)-1].Paired = f.to == f.from
	s.move(second[0], s.parts[second[0]].on(second[1]), second[2], Bytes)
}

// findPair finds a pair for a replica of one broker.
func (s *state) findPair(b int32, left *int) (pair, bool) {
	bk := &s.brokers[b]
	deficit, _ := s.deepest()
	if bk.load <= bk.bytes.upper && deficit <= 0 {
		return pair{}, false
	}
	for _, p := range bk.held {
		pt := &s.parts[p]
		if pt.bytes == 0 || *left <= 0 {
			break
		}
		if !pt.whole || !pt.led {
			continue
		}
		for _, y := range s.racksFor(p, pt.on(b)) {
			for _, d := range s.racks[y][byBytes] {
				dk := &s.brokers[d]
				uneven := bk.load > bk.bytes.upper || dk.load < dk.bytes.lower
				if *left--; !uneven || dk.load >= dk.bytes.upper || *left <= 0 {
					break
				}
				if pt.on(d) != none || dk.fits(pt.bytes) == none {
					continue
				}
				if way, to := s.inTheWay(p, bk, dk, left); way != none {
					return pair{p: p, from: b, into: d, way: way, to: to}, true
				}
			}
		}
	}
	return pair{}, false
}

// racksFor lists the racks in which replica i of a partition lies no worse than where it is.
func (s *state) racksFor(p int32, i int) []int {
	pt := &s.parts[p]
	rack := int(s.brokers[pt.replicas[i]].rack)
	s.tally(pt, 1)
	defer s.tally(pt, -1)
	var racks []int
	for y := range s.racks {
		if y == rack || s.inRack[y] < s.inRack[rack] {
			racks = append(racks, y)
		}
	}
	return racks
}

// inTheWay finds the smallest replica on d that makes room for p, which comes from b, and where it goes: to a broker
// with room, or in exchange to b.
func (s *state) inTheWay(p int32, b, d *broker, left *int) (way, to int32) {
	bytes := s.parts[p].bytes
	short := d.load + bytes - d.bytes.upper
	off := b.bytes.off(b.load) + d.bytes.off(d.load)
	k, _ := slices.BinarySearch(d.held, s.from(max(0, short-1)))
	for k--; k >= 0 && *left > 0; k-- {
		c := &s.parts[d.held[k]]
		if c.bytes >= bytes {
			break
		}
		if *left--; !c.whole || !c.led || d.held[k] == p {
			continue
		}
		there := d.bytes.off(d.load - c.bytes + bytes)
		gain := off - there - b.bytes.off(b.load-bytes)
		if d.load-c.bytes >= min(d.load, d.bytes.lower) && gain > 0 && gain >= (bytes+c.bytes)/worth {
			to := s.into(d.held[k], c.on(d.at), byBytes, func(t *broker) answer {
				return when(t != b && hasRoom(t, c.bytes) == yes)
			})
			if to != none {
				return d.held[k], to
			}
		}
		gain = off - there - b.bytes.off(b.load-bytes+c.bytes)
		if !s.o.NoSwaps && gain > 0 && gain >= (bytes+c.bytes)/worth {
			if s.into(d.held[k], c.on(d.at), byBytes, func(t *broker) answer { return when(t == b) }) != none {
				return d.held[k], b.at
			}
		}
	}
	return none, none
}
