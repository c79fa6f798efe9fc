package balance

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/internal/verdict"
)

// Apply returns the cluster as it is once moves are complete, in which their replicas are in sync. A move that does not
// fit the cluster is left out. It shares no memory with c where the two differ.
func Apply(c Cluster, moves ...Move) Cluster {
	after := Cluster{Brokers: slices.Clone(c.Brokers), Partitions: slices.Clone(c.Partitions)}
	for i := range after.Brokers {
		after.Brokers[i].Disks = slices.Clone(after.Brokers[i].Disks)
	}
	for _, m := range moves {
		i, found := slices.BinarySearchFunc(after.Partitions, m, func(p Partition, m Move) int {
			return cmp.Or(cmp.Compare(p.Topic, m.Topic), cmp.Compare(p.Number, m.Partition))
		})
		if found && slices.Equal(after.Partitions[i].Replicas, m.Before) {
			after.arrive(&after.Partitions[i], m)
		}
	}
	return after
}

// arrive completes one move.
func (c Cluster) arrive(p *Partition, m Move) {
	if m.Within() {
		i := slices.Index(p.Replicas, m.Broker)
		p.Disk = slices.Clone(p.Disk)
		c.use(m.Broker, m.Disk, m.Bytes)
		c.use(m.Broker, p.Disk[i], -m.Bytes)
		p.Disk[i] = m.Disk
		return
	}
	disks := make([]int, len(m.After))
	for i, id := range m.After {
		disks[i] = m.Disk
		if k := slices.Index(m.Before, id); k >= 0 {
			disks[i] = none
			if k < len(p.Disk) {
				disks[i] = p.Disk[k]
			}
		}
	}
	to, from, copied := m.Added()
	if copied {
		c.use(to, m.Disk, m.Bytes)
		was := none
		if k := slices.Index(m.Before, from); k < len(p.Disk) {
			was = p.Disk[k]
		}
		c.use(from, was, -m.Bytes)
		p.ISR = append(slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return id == from }), to)
	}
	if preferred := m.After[0]; slices.Contains(p.ISR, preferred) && (!copied || p.Leader == from) {
		p.Leader = preferred
	}
	p.Replicas, p.Disk = slices.Clone(m.After), disks
}

// use takes bytes of a disk, or gives them back.
func (c Cluster) use(id int32, disk int, bytes int64) {
	i, found := slices.BinarySearchFunc(c.Brokers, id, func(b Broker, id int32) int { return cmp.Compare(b.ID, id) })
	if !found {
		return
	}
	disks := c.Brokers[i].Disks
	if disk < 0 && len(disks) == 1 {
		disk = 0
	}
	if disk >= 0 && disk < len(disks) {
		disks[disk].Free -= bytes
	}
}

// Measure is how uneven a cluster is: what the broker that is furthest over its share is over it, in percent of the
// share. A share follows the capacity.
type Measure struct {
	Broker                   int32 // the one that is furthest over its share of bytes; -1 = none is over
	Bytes, Replicas, Leaders int   // percent
}

// Imbalance measures a cluster, for people. Measure what a plan leads to with Apply(c, plan.Moves...). Brokers that
// leave or are closed have no share; what is on those that leave counts as to be shared by the others.
func Imbalance(c Cluster) Measure {
	s, m := newState(c, Options{}), Measure{Broker: none}
	worst := int64(0)
	over := func(value, share int64) int { return int(max(0, ratio(value, share)/1e4-100)) }
	for i := range s.brokers {
		b := &s.brokers[i]
		if !b.open {
			continue
		}
		if b.load > b.bytes.share && b.key[byBytes] > worst {
			m.Broker, worst = b.id, b.key[byBytes]
		}
		m.Bytes = max(m.Bytes, over(b.load, b.bytes.share))
		m.Replicas = max(m.Replicas, over(b.count, b.replicas.upper))
		m.Leaders = max(m.Leaders, over(b.leads, b.leaders.upper))
	}
	return m
}

// Summary is one line for people: "12 replicas to move, 3.0 GiB; at least 2.9 GiB needed".
func (p Plan) Summary() string {
	copies := 0
	for _, m := range p.Moves {
		if _, _, copied := m.Added(); copied || m.Within() {
			copies++
		}
	}
	text := fmt.Sprintf("%s to move, %s; at least %s needed",
		verdict.Counted(copies, "replica"), Size(p.Bytes), Size(p.LeastBytes))
	if n := len(p.Moves) - copies; n > 0 {
		text += fmt.Sprintf("; %s to change", verdict.Counted(n, "preferred leader"))
	}
	if n := len(p.Stuck); n > 0 {
		text += fmt.Sprintf("; %s cannot move", verdict.Counted(n, "replica"))
	}
	return text
}
