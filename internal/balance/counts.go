package balance

// evenReplicas moves small replicas until every broker has as many as its share, within the tolerance. None that moves
// is larger than the mean, the smallest go first, and bytes lie no less evenly afterwards.
func (s *state) evenReplicas() {
	s.pass(func(b *broker) bool { return b.count > b.replicas.upper },
		func(d *broker) bool { return d.count < d.replicas.upper })
	s.pass(func(b *broker) bool { return b.count > b.replicas.lower },
		func(d *broker) bool { return d.count < d.replicas.lower })
}

// pass moves replicas from the fullest brokers that give to the emptiest that take.
func (s *state) pass(gives, takes func(*broker) bool) {
	done := make([]bool, len(s.brokers))
	for {
		open := false
		for i := range s.brokers {
			open = open || s.brokers[i].open && takes(&s.brokers[i])
		}
		b := s.fullest(byCount, func(i int32, b *broker) bool { return !done[i] && gives(b) })
		if !open || b == none {
			return
		}
		done[b] = !s.giveSmall(b, takes)
	}
}

// misses is how many of the smallest replicas of a broker may find no place before the larger ones are given up, too.
const misses = 32

// giveSmall moves the smallest replica that can move off a broker.
func (s *state) giveSmall(b int32, takes func(*broker) bool) bool {
	bk := &s.brokers[b]
	for k := len(bk.held) - 1; k >= max(0, len(bk.held)-misses); k-- {
		bytes := s.parts[bk.held[k]].bytes
		if bytes > s.mean {
			return false
		}
		loss := bk.bytes.off(bk.load) - bk.bytes.off(bk.load-bytes)
		if s.give(bk.held[k], b, Replicas, byCount, func(d *broker, _ int64) answer {
			if d.count > d.replicas.upper {
				return stop
			}
			return when(takes(d) && d.bytes.off(d.load+bytes) <= d.bytes.off(d.load)+loss)
		}) {
			return true
		}
	}
	return false
}

// evenTopics moves empty partitions off brokers that have more replicas of their topic than their share: the cheapest
// time to spread a topic is before it holds data. Nothing is copied for it. Where replicas move for another reason, the
// order in which partitions are looked at spreads their topics.
func (s *state) evenTopics() {
	empty := make([][]int32, s.topics)
	for rank := s.from(0); int(rank) < len(s.parts); rank++ {
		p := &s.parts[rank]
		if p.bytes == 0 && !p.fixed && p.whole && p.led {
			empty[p.topic] = append(empty[p.topic], rank)
		}
	}
	count := make([][]int64, s.topics)
	for rank := range s.parts {
		topic := s.parts[rank].topic
		if len(empty[topic]) == 0 {
			continue
		}
		if count[topic] == nil {
			count[topic] = make([]int64, len(s.brokers))
		}
		for _, b := range s.parts[rank].replicas {
			count[topic][b]++
		}
	}
	for topic := range empty {
		s.evenTopic(empty[topic], count[topic])
	}
}

// evenTopic does so for one topic, of which each broker has a count of replicas.
func (s *state) evenTopic(empty []int32, count []int64) {
	if len(empty) == 0 {
		return
	}
	var total, weights int64
	for i := range s.brokers {
		if s.brokers[i].open {
			total, weights = total+count[i], weights+s.brokers[i].weight
		}
	}
	most := make([]int64, len(s.brokers))
	for i := range s.brokers {
		if s.brokers[i].open {
			most[i] = newBand(total, s.brokers[i].weight, weights, s.o.Tolerance).upper
		}
	}
	for _, p := range empty {
		for _, b := range s.parts[p].replicas {
			bk := &s.brokers[b]
			if !bk.open || count[b] <= most[b] {
				continue
			}
			loss := bk.replicas.off(bk.count) - bk.replicas.off(bk.count-1)
			to := s.into(p, s.parts[p].on(b), byCount, func(d *broker) answer {
				return when(count[d.at] < most[d.at] && d.replicas.off(d.count+1) <= d.replicas.off(d.count)+loss)
			})
			if to != none {
				s.move(p, s.parts[p].on(b), to, Topic)
				count[b], count[to] = count[b]-1, count[to]+1
				break // The other replicas have their turn in the next round.
			}
		}
	}
}
