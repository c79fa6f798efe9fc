package balance

import (
	"fmt"
	"slices"
)

// judge holds a plan to its promises, move by move, on the public types alone.
type judge struct {
	c      Cluster
	o      Options
	limit  [][]int64 // free bytes that each disk keeps, by broker
	unsure [][]int64 // bytes that moves free, and that no later move may count on until one waits
}

func newJudge(c Cluster, o Options) *judge {
	j := &judge{c: Apply(c), o: o}
	for _, b := range c.Brokers {
		var floors []int64
		for _, d := range b.Disks {
			floors = append(floors, d.Capacity-int64(float64(d.Capacity)/100*float64(o.DiskLimit)))
		}
		j.limit = append(j.limit, floors)
		j.unsure = append(j.unsure, make([]int64, len(b.Disks)))
	}
	return j
}

func (j *judge) broker(id int32) (int, *Broker) {
	i := slices.IndexFunc(j.c.Brokers, func(b Broker) bool { return b.ID == id })
	if i < 0 {
		return i, nil
	}
	return i, &j.c.Brokers[i]
}

func (j *judge) partition(m Move) *Partition {
	i := slices.IndexFunc(j.c.Partitions, func(p Partition) bool { return p.Topic == m.Topic && p.Number == m.Partition })
	return &j.c.Partitions[i]
}

// crowd is how unevenly replicas lie over racks: the sum of the squares of their numbers.
func (j *judge) crowd(replicas []int32) (distinct, squares int) {
	count := map[string]int{}
	for _, id := range replicas {
		if _, b := j.broker(id); b != nil {
			count[b.Rack]++
		} else {
			count[""]++
		}
	}
	for _, n := range count {
		squares += n * n
	}
	return len(count), squares
}

// step makes one move, and returns which promise it breaks.
func (j *judge) step(m Move) string {
	p := j.partition(m)
	to, from, copied := m.Added()
	switch {
	case !slices.Equal(p.Replicas, m.Before):
		return fmt.Sprintf("it starts from %d and the replicas are %d", m.Before, p.Replicas)
	case p.Busy, p.Fixed && m.Reason != LeavingDisk:
		return "the partition is fixed"
	case len(m.After) != len(m.Before):
		return "the replication factor changes"
	case len(slices.Compact(slices.Sorted(slices.Values(m.After)))) != len(m.After):
		return "two replicas share a broker"
	case !m.Within() && (len(p.ISR) == 0 || p.Leader < 0):
		return "there is nothing to copy from"
	}
	var complaint string
	switch {
	case m.Within():
		complaint = j.shifted(p, m)
	case copied:
		complaint = j.copied(p, m, to, from)
	default:
		complaint = j.ordered(p, m)
	}
	before := len(p.ISR)
	j.c = Apply(j.c, m)
	if after := len(j.partition(m).ISR); complaint == "" && after < before {
		return "fewer replicas are in sync"
	}
	return complaint
}

func (j *judge) ordered(p *Partition, m Move) string {
	_, was := j.broker(m.Before[0])
	_, is := j.broker(m.After[0])
	switch {
	case !j.o.Leaders || !j.o.Spread || m.Reason != Leaders:
		return "leaders may not change"
	case m.Bytes != 0:
		return "an order costs bytes"
	case !slices.Equal(slices.Sorted(slices.Values(m.Before)), slices.Sorted(slices.Values(m.After))):
		return "replicas change with the order"
	case len(p.ISR) < len(p.Replicas):
		return "a partition that is not in sync changes its leader"
	case was.Closed || is.Closed || is.Leaving:
		return "a broker that is closed or leaves gets or gives leadership"
	}
	return ""
}

func (j *judge) copied(p *Partition, m Move, to, from int32) string {
	at, dst := j.broker(to)
	src, source := j.broker(from)
	changed := 0
	for i := range m.After {
		if m.After[i] != m.Before[i] {
			changed++
		}
	}
	distinct, squares := j.crowd(m.Before)
	distinctAfter, squaresAfter := j.crowd(m.After)
	forced := source != nil && source.Leaving
	switch {
	case changed != 1:
		return "more than one replica changes"
	case m.Bytes != p.Bytes:
		return "it copies other bytes than the partition has"
	case dst == nil || dst.Closed || dst.Leaving:
		return "its destination takes nothing"
	case source == nil || source.Closed:
		return "its source gives nothing"
	case forced != (m.Reason == LeavingBroker):
		return "its reason is wrong"
	case !forced && len(p.ISR) < len(p.Replicas):
		return "a partition that is not in sync moves without need"
	case !j.o.Spread && m.Reason != LeavingBroker && m.Reason != Racks && m.Reason != DiskLimit:
		return "it moves without need"
	case (distinctAfter < distinct || squaresAfter > squares) && !(forced && !j.keepsRacks(p, from)):
		return "racks are worse"
	case m.Reason == Racks && squaresAfter >= squares:
		return "racks are no better"
	case m.Disk < 0 || m.Disk >= len(dst.Disks), dst.Disks[m.Disk].Leaving:
		return "there is no such disk"
	}
	if m.Waits {
		for i := range j.unsure {
			clear(j.unsure[i])
		}
	}
	if room := dst.Disks[m.Disk].Free - j.unsure[at][m.Disk] - j.limit[at][m.Disk]; room < m.Bytes {
		return fmt.Sprintf("disk %d of broker %d has room for %d", m.Disk, to, room)
	}
	if i := slices.Index(p.Replicas, from); i < len(p.Disk) && p.Disk[i] >= 0 {
		j.unsure[src][p.Disk[i]] += m.Bytes
	} else if len(source.Disks) == 1 {
		j.unsure[src][0] += m.Bytes
	}
	return ""
}

// shifted judges a move between two disks of a broker.
func (j *judge) shifted(p *Partition, m Move) string {
	at, b := j.broker(m.Broker)
	i := slices.Index(p.Replicas, m.Broker)
	switch {
	case i < 0 || !slices.Equal(m.Before, m.After):
		return "replicas change with the disk"
	case b.Closed || b.Leaving:
		return "a broker that is closed or leaves changes disks"
	case p.Disk[i] < 0 || b.Disks[p.Disk[i]].Path != m.From:
		return "the replica is on another disk"
	case b.Disks[m.Disk].Path != m.To || m.Disk == p.Disk[i] || b.Disks[m.Disk].Leaving:
		return "its destination takes nothing"
	case b.Disks[p.Disk[i]].Leaving != (m.Reason == LeavingDisk):
		return "its reason is wrong"
	case !j.o.Spread && m.Reason == Disks:
		return "it moves without need"
	case m.Bytes != p.Bytes:
		return "it copies other bytes than the partition has"
	}
	if m.Waits {
		for i := range j.unsure {
			clear(j.unsure[i])
		}
	}
	if room := b.Disks[m.Disk].Free - j.unsure[at][m.Disk] - j.limit[at][m.Disk]; room < m.Bytes {
		return fmt.Sprintf("disk %d of broker %d has room for %d", m.Disk, m.Broker, room)
	}
	j.unsure[at][p.Disk[i]] += m.Bytes
	return ""
}

// keepsRacks tells whether there is a broker that could take a replica without racks getting worse, room or not.
func (j *judge) keepsRacks(p *Partition, from int32) bool {
	_, squares := j.crowd(p.Replicas)
	for _, b := range j.c.Brokers {
		if b.Closed || b.Leaving || slices.Contains(p.Replicas, b.ID) || capacity(b) == 0 {
			continue
		}
		after := slices.Clone(p.Replicas)
		after[slices.Index(after, from)] = b.ID
		if _, s := j.crowd(after); s <= squares {
			return true
		}
	}
	return false
}

func capacity(b Broker) int64 {
	sum := int64(0)
	for _, d := range b.Disks {
		if !d.Leaving {
			sum += d.Capacity
		}
	}
	return sum
}

// left tells what is still to be done of what has to be done, and that Stuck does not speak of.
func (j *judge) left(stuck []Stuck) string {
	speaks := func(broker int32, topic string, number int32) bool {
		return slices.ContainsFunc(stuck, func(s Stuck) bool {
			return s.Broker == broker && s.Topic == topic && s.Partition == number && s.Why != ""
		})
	}
	for _, p := range j.c.Partitions {
		for i, id := range p.Replicas {
			_, b := j.broker(id)
			if b != nil && p.Disk[i] >= 0 && b.Disks[p.Disk[i]].Leaving && !speaks(id, p.Topic, p.Number) {
				return fmt.Sprintf("%s-%d is left on disk %d of broker %d", p.Topic, p.Number, p.Disk[i], id)
			}
			if b != nil && b.Leaving && !speaks(id, p.Topic, p.Number) {
				return fmt.Sprintf("%s-%d is left on broker %d", p.Topic, p.Number, id)
			}
		}
		if d := j.rackFault(p); d != "" &&
			!slices.ContainsFunc(stuck, func(s Stuck) bool { return s.Topic == p.Topic && s.Partition == p.Number }) {
			return d
		}
	}
	for i, b := range j.c.Brokers {
		for d := range b.Disks {
			if !b.Closed && !b.Leaving && !b.Disks[d].Leaving && b.Disks[d].Free < j.limit[i][d] && !speaks(b.ID, "", none) {
				return fmt.Sprintf("disk %d of broker %d is above its limit", d, b.ID)
			}
		}
	}
	return ""
}

// rackFault tells whether a move would make the racks of a partition better that may move.
func (j *judge) rackFault(p Partition) string {
	if p.Fixed || len(p.ISR) < len(p.Replicas) || p.Leader < 0 {
		return ""
	}
	_, squares := j.crowd(p.Replicas)
	for i, id := range p.Replicas {
		if _, b := j.broker(id); b == nil || b.Closed || b.Leaving || capacity(*b) == 0 {
			continue
		}
		for _, b := range j.c.Brokers {
			if b.Closed || b.Leaving || slices.Contains(p.Replicas, b.ID) || capacity(b) == 0 {
				continue
			}
			after := slices.Clone(p.Replicas)
			after[i] = b.ID
			if _, s := j.crowd(after); s < squares {
				return fmt.Sprintf("%s-%d could be spread better over racks: %d to %d", p.Topic, p.Number, id, b.ID)
			}
		}
	}
	return ""
}

// outside sums how many bytes brokers are outside the tolerance of their shares.
func outside(c Cluster, o Options) int64 {
	s, sum := newState(c, o), int64(0)
	for _, b := range s.brokers {
		if b.open {
			sum += b.bytes.off(b.load)
		}
	}
	return sum
}
