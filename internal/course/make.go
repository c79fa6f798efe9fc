package course

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/moves"
)

// diskLimit is up to how many percent a plan fills a disk.
const diskLimit = 85

// maxMoves is how many moves a plan has at most. The next one has the rest.
const maxMoves = 2000

// make makes a plan of what brokers say of their disks. It returns false if they have not said it.
func (c *Course) make(sizes *model.SizesSeen) bool {
	if sizes.Err != "" {
		c.held = sizes.Err
		return false
	}
	cluster := c.cluster(sizes.Dirs)
	if silent := c.silent(cluster); len(silent) > 0 {
		c.held = ids(silent) + " get" + s(len(silent)) + " nothing before it is known how large the disks are"
		return false
	}
	relocated, stuck := c.relocate(&cluster)
	plan := balance.New(cluster, balance.Options{
		Tolerance: c.in.Settings.Tolerance, DiskLimit: diskLimit, Spread: c.spreads && c.open, Leaders: !c.in.KeepLeaders,
		NoSwaps: c.alone(),
	})
	plan.Moves = append(relocated, plan.Moves...)
	partial := len(plan.Moves) > maxMoves
	if partial {
		plan.Moves = whole(plan.Moves, maxMoves)
	}
	partial = partial || c.spreads && !c.open || c.spreads && arrivesAmongDisks(cluster, plan.Moves)
	plan.Bytes = 0
	for _, m := range plan.Moves {
		plan.Bytes += m.Bytes
	}
	plan.Stuck = slices.Concat(stuck, slices.DeleteFunc(plan.Stuck, func(s balance.Stuck) bool {
		return s.Cause == balance.PartitionFixed && tells(stuck, s)
	}))
	for i := range plan.Stuck {
		if s := &plan.Stuck[i]; s.Cause == balance.PartitionFixed {
			s.Why = cmp.Or(c.whyFixed(kafka.PartitionID{Topic: s.Topic, Number: s.Partition}), s.Why)
		}
	}
	next := model.Remembered{Plan: &plan, At: c.in.Now, Of: c.purpose, Partial: partial,
		Before: map[kafka.PartitionID]int64{}}
	for _, p := range cluster.Partitions {
		if c.Moves(p.Topic, p.Number) {
			next.Before[kafka.PartitionID{Topic: p.Topic, Number: p.Number}] = p.Bytes
		}
	}
	if c.before.StartedAt != nil && c.Remembered.Plan == nil { // another operator has begun
		next.Moves, next.Bytes = int(c.before.MovesDone), c.before.BytesDone
	} else {
		c.before.StartedAt, c.before.EstimatedCompletion, c.before.MovesDone = nil, nil, 0
	}
	c.Remembered, c.left = next, nil
	c.follow(&plan)
	return true
}

// whyFixed says why a partition is not to be touched; empty = its KafkaTopic places it.
func (c *Course) whyFixed(id kafka.PartitionID) string {
	_, under := c.in.Snapshot.Reassignments[id.Topic][id.Number]
	switch {
	case c.in.Settings.Excludes(id.Topic):
		return "spec.balancing.excludeTopics has its topic; take that out, or move it yourself"
	case c.placesNow(id.Topic):
		return "KafkaTopic " + id.Topic + " moves replicas of its topic; wait until they have arrived"
	case under:
		return "a reassignment of it has not ended; wait for that, or cancel it with kafka-reassign-partitions --cancel"
	}
	return ""
}

// whole are the first moves of a plan, and none that changes places with one that is not among them.
func whole(all []balance.Move, most int) []balance.Move {
	if all[most-1].Paired {
		most--
	}
	return all[:most]
}

// silent are the brokers that are to get their share and have not told their disks yet: whoever was asked for the
// brokers has not heard of them, or not that they serve.
func (c *Course) silent(cluster balance.Cluster) []int32 {
	return slices.DeleteFunc(slices.Clone(c.coming), func(id int32) bool {
		return slices.ContainsFunc(cluster.Brokers, func(b balance.Broker) bool { return b.ID == id && !b.Closed })
	})
}

// cluster is what is known of brokers and partitions, as it is once what is under way has arrived.
func (c *Course) cluster(loads map[int32][]kafka.LoadDir) balance.Cluster {
	var cluster balance.Cluster
	disks := map[int32]map[kafka.PartitionID]int{}
	sizes, shifting := map[kafka.PartitionID]int64{}, map[kafka.PartitionID]bool{}
	for _, b := range c.in.Snapshot.Brokers {
		next := balance.Broker{ID: b.ID, Rack: b.Rack, Leaving: slices.Contains(c.leave, b.ID)}
		i := slices.IndexFunc(c.in.Brokers, func(o Broker) bool { return o.ID == b.ID })
		dirs, told := loads[b.ID]
		if next.Closed = b.Fenced || i < 0 || !told || c.cordoned(b.ID); !next.Closed {
			next.Disks, disks[b.ID] = disksOf(dirs, c.in.Brokers[i].Capacity, c.in.Brokers[i].Leaves)
		}
		for _, dir := range dirs {
			for _, id := range dir.Coming {
				shifting[id] = true
			}
			for id, size := range dir.Sizes {
				sizes[id] = max(sizes[id], size)
			}
		}
		cluster.Brokers = append(cluster.Brokers, next)
	}
	for i := range c.in.Snapshot.Partitions {
		cluster.Partitions = append(cluster.Partitions, c.partition(&c.in.Snapshot.Partitions[i], sizes, disks))
		last := &cluster.Partitions[i]
		last.Busy = last.Busy || shifting[kafka.PartitionID{Topic: last.Topic, Number: last.Number}]
		last.Fixed = last.Fixed || last.Busy
	}
	c.reserve(&cluster, loads, disks)
	return cluster
}

// reserve takes what replicas under way have still to copy, whoever began them, off the free bytes of their disks.
func (c *Course) reserve(
	cluster *balance.Cluster, loads map[int32][]kafka.LoadDir, disks map[int32]map[kafka.PartitionID]int,
) {
	for i := range cluster.Partitions {
		p := &cluster.Partitions[i]
		id := kafka.PartitionID{Topic: p.Topic, Number: p.Number}
		for _, broker := range c.in.Snapshot.Reassignments[p.Topic][p.Number].Adding {
			b := brokerOf(cluster, broker)
			if b == nil || len(b.Disks) == 0 {
				continue
			}
			at, known := disks[broker][id]
			if !known {
				at = roomiest(b)
			}
			if at < 0 {
				continue // all that works leaves
			}
			there := int64(0)
			for _, dir := range loads[broker] {
				there = max(there, dir.Sizes[id])
			}
			d := &b.Disks[at]
			d.Free = max(0, d.Free-max(0, p.Bytes-there))
		}
	}
}

func brokerOf(cluster *balance.Cluster, id int32) *balance.Broker {
	i := slices.IndexFunc(cluster.Brokers, func(b balance.Broker) bool { return b.ID == id })
	if i < 0 {
		return nil
	}
	return &cluster.Brokers[i]
}

// room is how many bytes a plan may put on a disk.
func room(d balance.Disk) int64 {
	return d.Free - (d.Capacity - int64(float64(d.Capacity)/100*diskLimit))
}

// roomiest is the index of the disk with most room; -1 = there is none.
func roomiest(b *balance.Broker) int {
	best := -1
	for i := range b.Disks {
		if b.Disks[i].Leaving {
			continue
		}
		if best < 0 || room(b.Disks[i]) > room(b.Disks[best]) {
			best = i
		}
	}
	return best
}

func (c *Course) partition(
	p *kafka.Partition, sizes map[kafka.PartitionID]int64, disks map[int32]map[kafka.PartitionID]int,
) balance.Partition {
	id := kafka.PartitionID{Topic: p.Topic, Number: p.Number}
	next := balance.Partition{
		Topic: p.Topic, Number: p.Number, Replicas: slices.Clone(p.Replicas), ISR: slices.Clone(p.ISR), Leader: p.Leader,
		Bytes: sizes[id], Fixed: c.in.Settings.Excludes(p.Topic) || c.placesNow(p.Topic) || c.placed(p.Topic) != nil,
	}
	if r, under := c.in.Snapshot.Reassignments[p.Topic][p.Number]; under {
		next.Busy, next.Replicas = true, Target(r)
	}
	for _, broker := range next.Replicas {
		at, known := disks[broker][id]
		if !known {
			at = -1
		}
		next.Disk = append(next.Disk, at)
	}
	return next
}

// placed is the topic if its KafkaTopic names racks for it; nil = it does not.
func (c *Course) placed(topic string) *model.PlacedTopic {
	i := slices.IndexFunc(c.others(), func(t model.PlacedTopic) bool { return t.Name == topic && len(t.Racks) > 0 })
	if i < 0 {
		return nil
	}
	return &c.others()[i]
}

// disksOf are the disks of a broker, and on which each of its replicas is, or will be. Log directories that share a
// file system are one disk: Kafka says the same of both, to the byte. It says that of two new disks of one size, too:
// one that is no larger than its claim is the claim's own.
func disksOf(
	dirs []kafka.LoadDir, claims map[string]int64, leaves []string,
) ([]balance.Disk, map[kafka.PartitionID]int) {
	type fileSystem struct{ total, usable int64 }
	var disks []balance.Disk
	var used, claimed []int64
	at, on := map[fileSystem]int{}, map[kafka.PartitionID]int{}
	sizes := map[kafka.PartitionID]int64{}
	for _, dir := range dirs {
		if dir.Error != "" {
			continue
		}
		fs := fileSystem{dir.TotalBytes, dir.UsableBytes}
		own := fs.total > 0 && fs.total <= claims[dir.Path] || slices.Contains(leaves, dir.Path)
		i, shared := at[fs]
		if !shared || fs.total < 0 || own {
			i = len(disks)
			disks = append(disks, balance.Disk{Path: dir.Path, Capacity: max(0, fs.total), Free: fs.usable,
				Leaving: slices.Contains(leaves, dir.Path)})
			used, claimed = append(used, 0), append(claimed, 0)
			if !own {
				at[fs] = i
			}
		}
		claimed[i] += claims[dir.Path]
		for id, size := range dir.Sizes {
			used[i] += size
			sizes[id] = size
			if _, goes := on[id]; !goes {
				on[id] = i
			}
		}
		for _, id := range dir.Coming {
			on[id] = i
		}
	}
	for i := range disks {
		d := &disks[i]
		if claimed[i] > 0 && (d.Capacity == 0 || claimed[i] < d.Capacity) {
			d.Capacity = claimed[i]
		}
		free := max(0, d.Capacity-used[i])
		if d.Free < 0 || d.Free > free {
			d.Free = free
		}
	}
	for _, dir := range dirs {
		for _, id := range dir.Coming { // what it has copied already counts twice, for that long
			d := &disks[on[id]]
			d.Free = max(0, d.Free-sizes[id])
		}
	}
	return disks, on
}

// relocate moves topics whose KafkaTopic names racks off brokers that leave, within their racks. It puts them where
// they will be in the cluster.
func (c *Course) relocate(cluster *balance.Cluster) ([]balance.Move, []balance.Stuck) {
	if len(c.holding) == 0 {
		return nil, nil
	}
	var stay []kafka.Broker
	for _, b := range c.in.Snapshot.Brokers {
		if slices.Contains(c.stay, b.ID) {
			if o := brokerOf(cluster, b.ID); o == nil || o.Closed {
				b.Fenced = true // it keeps what it has, and gets nothing
			}
			stay = append(stay, b)
		}
	}
	var all []balance.Move
	var stuck []balance.Stuck
	for i := 0; i < len(cluster.Partitions); {
		topic := cluster.Partitions[i].Topic
		end := i
		var current, isr [][]int32
		leaves := false
		for ; end < len(cluster.Partitions) && cluster.Partitions[end].Topic == topic; end++ {
			p := cluster.Partitions[end]
			current, isr = append(current, p.Replicas), append(isr, p.ISR)
			leaves = leaves || slices.ContainsFunc(p.Replicas, func(id int32) bool { return slices.Contains(c.leave, id) })
		}
		some := cluster.Partitions[i:end]
		i = end
		placed := c.placed(topic)
		if placed == nil || !leaves || c.placesNow(topic) || c.in.Settings.Excludes(topic) {
			continue
		}
		want := moves.Placement{Factor: placed.Factor, Racks: placed.Racks, Fields: moves.Fields{
			Factor: "spec.replicationFactor", Placement: "spec.placement", Racks: "spec.placement.racks"}}
		if want.Factor == 0 {
			want.Factor = len(some[0].Replicas)
		}
		next, impossible := moves.Relocate(topic, current, isr, want, stay)
		if impossible != nil {
			stuck = append(stuck, balance.Stuck{Topic: topic, Broker: c.emptying()[0], Reason: balance.LeavingBroker,
				Cause: balance.TooFewBrokers, Why: "KafkaTopic " + topic + ": " + impossible.Text()})
			continue
		}
		for j := range some {
			p := &some[j]
			_, under := c.in.Snapshot.Reassignments[p.Topic][p.Number]
			if under || slices.Equal(p.Replicas, next[j]) || len(p.Replicas) != len(next[j]) {
				continue
			}
			if none := c.settle(cluster, p, next[j]); none != nil {
				stuck = append(stuck, *none)
				continue
			}
			all = append(all, balance.Move{Topic: topic, Partition: p.Number, Before: p.Replicas, After: next[j],
				Bytes: p.Bytes, Reason: balance.LeavingBroker, Disk: -1})
			p.Replicas, p.Disk = next[j], nil
		}
	}
	return all, stuck
}

// settle takes the bytes of a partition off the free ones of the disks that it moves to, or says which has no room.
func (c *Course) settle(cluster *balance.Cluster, p *balance.Partition, after []int32) *balance.Stuck {
	var disks []*balance.Disk
	for _, id := range after {
		if slices.Contains(p.Replicas, id) {
			continue
		}
		b, lacking := brokerOf(cluster, id), p.Bytes
		if at := roomiest(b); at >= 0 {
			if lacking -= max(0, room(b.Disks[at])); lacking <= 0 {
				disks = append(disks, &b.Disks[at])
				continue
			}
		}
		leaves := slices.IndexFunc(p.Replicas, func(id int32) bool { return slices.Contains(c.leave, id) })
		return &balance.Stuck{Topic: p.Topic, Partition: p.Number, Broker: p.Replicas[max(0, leaves)],
			Reason: balance.LeavingBroker, Cause: balance.NoRoom, Lacking: lacking,
			Why: fmt.Sprintf("no disk of broker %d stays below %d%% of its capacity; %s are lacking: enlarge its disks, add "+
				"brokers in the racks of KafkaTopic %s, or keep less data", id, diskLimit, balance.Size(lacking), p.Topic)}
	}
	for _, d := range disks {
		d.Free -= p.Bytes
	}
	return nil
}

// tells tells whether one of some already says why a replica cannot move.
func tells(some []balance.Stuck, s balance.Stuck) bool {
	return slices.ContainsFunc(some, func(o balance.Stuck) bool {
		return o.Topic == s.Topic && o.Partition == s.Partition && o.Broker == s.Broker && o.Cause == balance.NoRoom
	})
}
