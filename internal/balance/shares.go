package balance

import (
	"math/bits"
	"slices"
)

// share gives every open broker its shares of all that open brokers hold or will: by capacity, as far as racks allow.
// Where a partition has a replica in each rack, every rack holds as much as every other, whatever its disks: then a
// share is one of the rack's. Leaders are free of that, as any replica may lead.
func (s *state) share() {
	var weights, leads int64
	load, count := make([]int64, len(s.racks)), make([]int64, len(s.racks)) // on closed brokers
	var total, replicas int64
	for i := range s.brokers {
		b := &s.brokers[i]
		switch {
		case b.open:
			weights += b.weight
			total, replicas, leads = total+b.load, replicas+b.count, leads+b.leads
		case b.leaving:
			for _, p := range b.held {
				total, replicas = total+s.parts[p].bytes, replicas+1
				if s.parts[p].replicas[0] == int32(i) {
					leads++
				}
			}
		default:
			load[b.rack], count[b.rack] = load[b.rack]+b.load, count[b.rack]+b.count
		}
	}
	s.mean = total / max(1, replicas)
	bytesOf, countOf := s.rackShares(total, load, func(p *part) int64 { return p.bytes }),
		s.rackShares(replicas, count, func(*part) int64 { return 1 })
	for i := range s.brokers {
		b := &s.brokers[i]
		if !b.open {
			continue
		}
		b.bytes = newBand(bytesOf[b.rack].total, b.weight, bytesOf[b.rack].weight, s.o.Tolerance)
		b.replicas = newBand(countOf[b.rack].total, b.weight, countOf[b.rack].weight, s.o.Tolerance)
		b.leaders = newBand(leads, b.weight, weights, s.o.Tolerance)
		s.weigh(b)
		for o := range orders {
			s.racks[b.rack][o] = append(s.racks[b.rack][o], int32(i))
		}
	}
}

// rackShare is what the open brokers of a rack share among them, by weight.
type rackShare struct{ total, weight int64 }

// rackShares divides a total of what partitions measure among racks: by the capacity of their open brokers, within what
// a rack can hold when every partition lies over racks as evenly as their brokers allow. taken is what closed brokers
// hold of it.
func (s *state) rackShares(total int64, taken []int64, measure func(*part) int64) []rackShare {
	low, high := s.rackLimits(measure)
	shares, open := make([]rackShare, len(s.racks)), make([]int, 0, len(s.racks))
	for i := range s.brokers {
		if b := &s.brokers[i]; b.open {
			shares[b.rack].weight += b.weight
		}
	}
	for y := range shares {
		if shares[y].weight > 0 {
			open = append(open, y)
		}
	}
	for rest := total; len(open) > 0; {
		var weight, below, above int64
		for _, y := range open {
			weight += shares[y].weight
		}
		part := func(y int) int64 { return portion(rest, shares[y].weight, weight) }
		for _, y := range open {
			below += max(0, low[y]-taken[y]-part(y))
			above += max(0, part(y)-max(0, high[y]-taken[y]))
		}
		settled := 0
		given := int64(0)
		next := slices.DeleteFunc(slices.Clone(open), func(y int) bool {
			least, most := max(0, low[y]-taken[y]), max(0, high[y]-taken[y])
			switch {
			case below >= above && part(y) < least && least <= rest:
				shares[y].total = least
			case above > below && part(y) > most:
				shares[y].total = most
			default:
				return false
			}
			settled++
			given += shares[y].total
			return true
		})
		if settled == 0 || len(next) == 0 || given > rest { // Nothing is out of bounds, or the bounds cannot be kept.
			for _, y := range open {
				shares[y].total = part(y)
			}
			break
		}
		open, rest = next, rest-given
	}
	return shares
}

// portion is weight out of weights of a total.
func portion(total, weight, weights int64) int64 {
	hi, lo := bits.Mul64(uint64(total), uint64(weight))
	n, _ := bits.Div64(hi, lo, uint64(weights))
	return int64(n)
}

// rackLimits sums, for every rack, the least and the most that it holds of what partitions measure, when each partition
// lies over racks as evenly as their brokers allow.
func (s *state) rackLimits(measure func(*part) int64) (low, high []int64) {
	sums := map[int]int64{} // by replication factor
	for i := range s.parts {
		sums[len(s.parts[i].replicas)] += measure(&s.parts[i])
	}
	brokers := make([]int, len(s.racks))
	for i := range s.brokers {
		if !s.brokers[i].leaving {
			brokers[s.brokers[i].rack]++
		}
	}
	low, high = make([]int64, len(s.racks)), make([]int64, len(s.racks))
	for factor, sum := range sums {
		level := evenLevel(brokers, factor)
		extras := factor
		for _, n := range brokers {
			extras -= min(level, n)
		}
		for y, n := range brokers {
			least, most := min(level, n), min(level, n)
			if extras > 0 {
				most = min(level+1, n)
			}
			low[y], high[y] = low[y]+int64(least)*sum, high[y]+int64(most)*sum
		}
	}
	return low, high
}

// evenLevel is how many replicas of a partition every rack holds that has brokers enough, before some hold one more.
func evenLevel(brokers []int, factor int) int {
	for level := 0; ; level++ {
		sum, before := 0, 0
		for _, n := range brokers {
			sum, before = sum+min(level+1, n), before+min(level, n)
		}
		if sum > factor || sum == before {
			return level
		}
	}
}
