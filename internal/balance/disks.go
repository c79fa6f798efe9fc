package balance

import "slices"

// What moves between the disks of one broker. No other broker copies anything, so no share of a broker changes, no
// rack, and nothing that is in sync. Disks are even by themselves, and after brokers.

// clear moves replicas off disks that shall hold nothing, to other disks of the same broker. The rules of who holds a
// partition are not asked, as that stays: only one that moves already waits.
func (s *state) clear(report func(obligation)) {
	if !slices.ContainsFunc(s.brokers, broker.clears) {
		return
	}
	for rank := range s.parts {
		p := &s.parts[rank]
		for i, b := range p.replicas {
			bk, d := &s.brokers[b], p.disk[i]
			if d == none || bk.leaving || !bk.disks[d].leaving {
				continue // What is on a broker that leaves goes to another one.
			}
			o := obligation{broker: b, p: int32(rank), reason: LeavingDisk}
			switch to := bk.fits(p.bytes); {
			case p.busy:
				o.cause = PartitionFixed
			case !bk.open:
				o.cause = BrokerClosed
			case to == none:
				o.cause, o.lacking = NoRoom, bk.lacks(p.bytes)
			default:
				s.shift(int32(rank), i, to, LeavingDisk)
				continue
			}
			report(o)
		}
	}
}

func (b broker) clears() bool {
	return slices.ContainsFunc(b.disks, func(d disk) bool { return d.leaving })
}

// lacks tells how many bytes the roomiest disk of a broker lacks for a replica.
func (b *broker) lacks(bytes int64) int64 {
	least := bytes
	for _, d := range b.disks {
		if !d.leaving {
			least = min(least, bytes-(d.free+d.freed-d.floor))
		}
	}
	return max(0, least)
}

// evenDisks moves replicas between the disks of each broker until each disk holds its share of what the broker holds,
// by capacity and within the tolerance, or nothing that moves makes them more even.
func (s *state) evenDisks() {
	for b := range s.brokers {
		bk := &s.brokers[b]
		if !bk.open || len(bk.disks) < 2 {
			continue
		}
		for s.evenDisk(bk) {
		}
	}
}

// evenDisk makes the move that brings two disks of a broker nearest to their shares. As between brokers, one that
// brings too little for what it copies is not made.
func (s *state) evenDisk(b *broker) bool {
	bands := s.diskShares(b)
	rank, to, best := int32(none), none, int64(0)
	for _, p := range b.held {
		pt := &s.parts[p]
		from := pt.disk[pt.on(b.at)]
		if pt.bytes == 0 {
			break
		}
		if from == none || pt.busy || b.disks[from].leaving || bands[from].off(b.disks[from].load) == 0 &&
			b.disks[from].load <= bands[from].share {
			continue
		}
		loss := bands[from].off(b.disks[from].load) - bands[from].off(b.disks[from].load-pt.bytes)
		for d := range b.disks {
			disk := &b.disks[d]
			if d == int(from) || disk.leaving || disk.free-disk.floor < pt.bytes {
				continue
			}
			gain := loss + bands[d].off(disk.load) - bands[d].off(disk.load+pt.bytes)
			if gain > best && gain >= pt.bytes/worth {
				rank, to, best = p, d, gain
			}
		}
	}
	if rank == none {
		return false
	}
	s.shift(rank, s.parts[rank].on(b.at), to, Disks)
	return true
}

// diskShares are the shares of the disks of a broker of what is on them. One that shall hold nothing has none.
func (s *state) diskShares(b *broker) []band {
	total := int64(0)
	for _, d := range b.disks {
		total += d.load
	}
	bands := make([]band, len(b.disks))
	for i, d := range b.disks {
		if !d.leaving {
			bands[i] = newBand(total, max(0, d.capacity), b.weight, s.o.Tolerance)
		}
	}
	return bands
}

// relieveWithin moves a replica off a disk above its limit to another disk of its broker.
func (s *state) relieveWithin(rank, b int32) bool {
	p := &s.parts[rank]
	to := s.brokers[b].fits(p.bytes)
	if to == none || p.busy {
		return false
	}
	s.shift(rank, p.on(b), to, DiskLimit)
	return true
}

// shift moves replica i of a partition to a disk of its broker that has room for it.
func (s *state) shift(p int32, i, to int, why Reason) {
	pt := &s.parts[p]
	b := &s.brokers[pt.replicas[i]]
	from := int(pt.disk[i])
	paths := s.c.Brokers[b.at].Disks
	m := Move{
		Topic: s.c.Partitions[pt.at].Topic, Partition: s.c.Partitions[pt.at].Number, Before: s.ids(pt), After: s.ids(pt),
		Bytes: pt.bytes, Reason: why, Disk: to, Waits: s.waits,
		Broker: b.id, From: paths[from].Path, To: paths[to].Path,
	}
	b.disks[from].freed, b.disks[from].load = b.disks[from].freed+pt.bytes, b.disks[from].load-pt.bytes
	b.disks[to].free, b.disks[to].load = b.disks[to].free-pt.bytes, b.disks[to].load+pt.bytes
	pt.disk[i], pt.moved = int32(to), true
	s.moves, s.waits = append(s.moves, m), false
}
