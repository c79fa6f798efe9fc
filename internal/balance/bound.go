package balance

// bound remembers where a plan begins, to tell how many bytes any plan has to copy that gets as far as it does: that
// leaves no broker further outside its share, no partition with more replicas in a rack, and as little on brokers that
// leave and on disks that are too full.
type bound struct {
	all         []int32 // every partition that may move
	load, count []int64
	over        [][]int64 // by broker and disk
	clear       int64     // bytes on disks that shall hold nothing
	held        [][]int32
	brokers     [][]int32 // of the replicas, by partition; none with one rack
}

func newBound(s *state) *bound {
	b := &bound{}
	for i := range s.parts {
		if !s.parts[i].fixed {
			b.all = append(b.all, int32(i))
		}
	}
	for i := range s.brokers {
		bk := &s.brokers[i]
		b.load, b.count = append(b.load, bk.load), append(b.count, bk.count)
		b.held = append(b.held, append([]int32(nil), bk.held...))
		var over []int64
		for _, d := range bk.disks {
			over = append(over, d.over())
			if d.leaving && bk.open {
				b.clear += d.load
			}
		}
		b.over = append(b.over, over)
	}
	if len(s.racks) > 1 {
		for i := range s.parts {
			b.brokers = append(b.brokers, append([]int32(nil), s.parts[i].replicas...))
		}
	}
	return b
}

// least returns the bound. What has to leave brokers is added up over brokers, as is what has to come to them; one copy
// does both, so that the larger of the two sums counts.
func (b *bound) least(s *state) int64 {
	var leaving, outside, lacking int64
	cleared := b.clear
	gives := make([]bool, len(s.brokers)) // it has to give something, racks or not
	for i := range s.brokers {
		bk := &s.brokers[i]
		if bk.leaving {
			leaving += b.load[i] - bk.load
		}
		if !bk.open {
			continue
		}
		for _, d := range bk.disks {
			if d.leaving {
				cleared -= d.load
			}
		}
		out := b.off(s, i)
		gives[i] = out > 0
		outside += out
		if s.o.Spread {
			lacking += s.whole(b.all, min(bk.bytes.lower, bk.load)-b.load[i])
		}
	}
	apart, within := b.forRacks(s, gives)
	return max(leaving+apart+max(outside, within), lacking, cleared)
}

// off is how many bytes have to leave a broker: what is above its share, what is above the limit of its disks, and the
// smallest of the replicas that are too many; each as far as the plan gets. They are the same bytes in the best case.
func (b *bound) off(s *state, i int) int64 {
	bk, out := &s.brokers[i], int64(0)
	for d := range bk.disks {
		out += max(0, b.over[i][d]-bk.disks[d].over())
	}
	if !s.o.Spread {
		return out
	}
	out = max(out, s.whole(b.held[i], b.load[i]-max(bk.bytes.upper, bk.load)))
	n, bytes := b.count[i]-max(bk.replicas.upper, bk.count), int64(0)
	for k := len(b.held[i]) - 1; k >= 0 && n > 0; k, n = k-1, n-1 {
		bytes += s.parts[b.held[i][k]].bytes
	}
	return max(out, bytes)
}

// forRacks returns how many bytes have to move so that no rack has more replicas of a partition than the plan leaves in
// one: apart from what any broker has to give, and those which may be the same. What goes with a broker that leaves is
// not counted again.
func (b *bound) forRacks(s *state, gives []bool) (apart, within int64) {
	if b.brokers == nil {
		return 0, 0
	}
	then := make([]int, len(s.racks))
	for rank := range s.parts {
		p := &s.parts[rank]
		most, need, shared := 0, 0, false
		s.tally(p, 1)
		for _, r := range p.replicas {
			most = max(most, s.inRack[s.brokers[r].rack])
		}
		s.tally(p, -1)
		for _, r := range b.brokers[rank] {
			y := s.brokers[r].rack
			if then[y]++; then[y] > most {
				need++
			}
		}
		for _, r := range b.brokers[rank] {
			if s.brokers[r].leaving && p.on(r) == none {
				need--
			}
			shared = shared || gives[r]
		}
		for _, r := range b.brokers[rank] {
			then[s.brokers[r].rack] = 0
		}
		switch bytes := int64(max(0, need)) * p.bytes; {
		case shared:
			within += bytes
		default:
			apart += bytes
		}
	}
	return apart, within
}

// whole rounds bytes up to whole replicas, of these: as many as it takes of the largest, each as small as the smallest.
func (s *state) whole(ranks []int32, bytes int64) int64 {
	var n, sum, smallest int64
	for _, p := range ranks {
		if sum >= bytes || s.parts[p].bytes == 0 {
			break
		}
		n, sum = n+1, sum+s.parts[p].bytes
	}
	for k := len(ranks) - 1; k >= 0 && smallest == 0; k-- {
		smallest = s.parts[ranks[k]].bytes
	}
	return max(0, bytes, n*smallest)
}
