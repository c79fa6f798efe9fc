package balance

import "cmp"

// evenLeaders changes the order of replicas until every broker is the preferred leader of its share of partitions, or
// replicas lie so that no order is more even. Nothing is copied.
func (s *state) evenLeaders() {
	s.passOn(func(b *broker) bool { return b.leads > b.leaders.upper },
		func(d *broker) bool { return d.leads < d.leaders.upper })
	s.passOn(func(b *broker) bool { return b.leads > b.leaders.lower },
		func(d *broker) bool { return d.leads < d.leaders.lower })
}

// passOn lets the brokers that lead most pass leadership on, until it arrives where it is wanted.
func (s *state) passOn(gives, takes func(*broker) bool) {
	done := make([]bool, len(s.brokers))
	for {
		best, open := int32(none), false
		for i := range s.brokers {
			b := &s.brokers[i]
			if !b.open {
				continue
			}
			open = open || takes(b)
			if !done[i] && gives(b) && (best == none || s.leadsLess(best, int32(i))) {
				best = int32(i)
			}
		}
		if best == none || !open {
			return
		}
		path := s.path(best, takes)
		done[best] = len(path) == 0
		for i := len(path) - 1; i >= 0; i-- { // From its end on, so that nobody leads more than before meanwhile.
			s.reorder(path[i])
		}
	}
}

func (s *state) leadsLess(a, b int32) bool {
	x, y := &s.brokers[a], &s.brokers[b]
	return cmp.Or(cmp.Compare(ratio(x.leads, x.leaders.share), ratio(y.leads, y.leaders.share)), cmp.Compare(b, a)) < 0
}

// hop passes the leadership of a partition on to its replica on a broker.
type hop struct{ p, to int32 }

// path finds the shortest way on which leadership gets from a broker to one that takes it, over partitions of which
// both ends of a hop have a replica in sync.
func (s *state) path(from int32, takes func(*broker) bool) []hop {
	came := make([]hop, len(s.brokers)) // how leadership comes to a broker, and from whom
	before := make([]int32, len(s.brokers))
	for i := range before {
		before[i] = none
	}
	before[from] = from
	for level := []int32{from}; len(level) > 0; {
		var next []int32
		best := int32(none)
		for _, b := range level {
			for _, p := range s.brokers[b].held {
				pt := &s.parts[p]
				if pt.replicas[0] != b || !pt.whole || !pt.led {
					continue
				}
				for _, to := range pt.replicas[1:] {
					if before[to] != none || !s.brokers[to].open {
						continue
					}
					before[to], came[to] = b, hop{p, to}
					next = append(next, to)
					if takes(&s.brokers[to]) && (best == none || s.leadsLess(to, best)) {
						best = to
					}
				}
			}
		}
		if best != none {
			var path []hop
			for b := best; b != from; b = before[b] {
				path = append([]hop{came[b]}, path...)
			}
			return path
		}
		level = next
	}
	return nil
}

// reorder makes a replica the preferred leader, in exchange with the one that was.
func (s *state) reorder(h hop) {
	pt := &s.parts[h.p]
	i := pt.on(h.to)
	m := Move{
		Topic: s.c.Partitions[pt.at].Topic, Partition: s.c.Partitions[pt.at].Number, Before: s.ids(pt),
		Reason: Leaders, Disk: none,
	}
	s.brokers[pt.replicas[0]].leads--
	s.brokers[h.to].leads++
	pt.replicas[0], pt.replicas[i] = pt.replicas[i], pt.replicas[0]
	pt.disk[0], pt.disk[i] = pt.disk[i], pt.disk[0]
	pt.inSync[0], pt.inSync[i] = pt.inSync[i], pt.inSync[0]
	m.After = s.ids(pt)
	s.moves = append(s.moves, m)
}
