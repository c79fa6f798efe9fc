package course

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// How replicas move between the disks of one broker. Kafka lists such moves nowhere but in what the broker itself says
// of its log directories, so the brokers with one are asked in every pass (InDoubt).

// dir is a log directory of a broker.
type dir struct {
	broker int32
	path   string
}

// InDoubt lists the brokers that have to say what is in their log directories: replicas move between them by the record
// of a status, or are about to by a plan.
func InDoubt(status *v1alpha1.BalancingStatus, left []balance.Move) []int32 {
	asked := map[int32]bool{}
	if status != nil {
		for _, m := range status.InFlight {
			if m.Broker != nil {
				asked[*m.Broker] = true
			}
		}
	}
	for _, m := range left {
		if m.Within() {
			asked[m.Broker] = true
		}
	}
	return slices.Sorted(maps.Keys(asked))
}

// leaves prints which log directories leave, for what a plan was made for.
func leaves(brokers []Broker) string {
	var all []string
	for _, b := range brokers {
		if len(b.Leaves) > 0 {
			all = append(all, fmt.Sprint(b.ID, b.Leaves))
		}
	}
	return strings.Join(all, " ")
}

// lookAtDirs counts what is in log directories that leave. A broker that leaves itself is emptied as a whole.
func (c *Course) lookAtDirs(s *kafka.Snapshot) {
	for _, b := range c.in.Brokers {
		for _, d := range s.LogDirs[b.ID] {
			if n := len(d.Holds) + len(d.Coming); n > 0 && !b.Leaving && slices.Contains(b.Leaves, d.Path) {
				c.clearing[dir{b.ID, d.Path}] = n
			}
		}
	}
}

// find tells in which log directory of a broker a replica is, and to which it moves; told tells whether the broker has
// said.
func (c *Course) find(broker int32, id kafka.PartitionID) (where, coming string, told bool) {
	dirs, told := c.in.Snapshot.LogDirs[broker]
	for _, d := range dirs {
		if _, here := slices.BinarySearchFunc(d.Holds, id, kafka.PartitionID.Compare); here {
			where = d.Path
		}
		if _, here := slices.BinarySearchFunc(d.Coming, id, kafka.PartitionID.Compare); here {
			coming = d.Path
		}
	}
	return where, coming, told
}

// shifts tells whether a move between disks that is on record is under way, as far as is known. One of a partition that
// is gone, or that its broker has no more, is not, whether or not the broker ever says so.
func (c *Course) shifts(m v1alpha1.MovingPartition) bool {
	id := kafka.PartitionID{Topic: m.Topic, Number: m.Partition}
	_, coming, told := c.find(*m.Broker, id)
	p, exists := c.current[id]
	return exists && slices.Contains(p.Replicas, *m.Broker) && (!told || coming != "")
}

// pastWithin is 1 if a move between disks is past, 0 if it is to come or under way, and all of them if its replica is
// elsewhere: somebody else has moved it, or Kafka has put it on another disk than was planned.
func (c *Course) pastWithin(id kafka.PartitionID, m balance.Move, all int) int {
	where, coming, told := c.find(m.Broker, id)
	switch {
	case !told, coming == m.To:
		return 0
	case coming != "":
		return all
	case where == m.To:
		return 1
	case where == m.From:
		return 0
	}
	return all
}

// arrivesAmongDisks tells whether a plan copies to a broker with several disks. Another plan looks where Kafka has put
// the replicas.
func arrivesAmongDisks(cluster balance.Cluster, some []balance.Move) bool {
	return slices.ContainsFunc(some, func(m balance.Move) bool {
		to, _, copies := m.Added()
		b := brokerOf(&cluster, to)
		return copies && b != nil && len(b.Disks) > 1
	})
}

// leavers names what leaves and holds something.
func (c *Course) leavers() string {
	if some := c.emptying(); len(some) > 0 {
		return ids(some) + " leave" + s(len(some))
	}
	dirs := c.clearingDirs()
	return fmt.Sprintf("a disk of %s leaves", ids(brokersOf(dirs)))
}

func (c *Course) clearingDirs() []dir {
	return slices.SortedFunc(maps.Keys(c.clearing), func(a, b dir) int {
		return cmp.Or(cmp.Compare(a.broker, b.broker), cmp.Compare(a.path, b.path))
	})
}

func brokersOf(dirs []dir) []int32 {
	var some []int32
	for _, d := range dirs {
		some = append(some, d.broker)
	}
	return slices.Compact(some)
}

// Clearing says of a log directory that leaves what it waits for, and whether only its user can end that; empty = it
// holds nothing, as far as is known.
func (c *Course) Clearing(broker int32, path string) (text string, stuck bool) {
	n := c.clearing[dir{broker, path}]
	if n == 0 {
		return "", false
	}
	elsewhere := fmt.Sprintf("it holds %s of broker %d", verdict.Counted(n, "replica"), broker)
	if c.off() {
		return elsewhere + "; move them to its other disks, or let spec.balancing.mode be OnScale", true
	}
	for _, s := range c.Stuck() {
		if s.Broker == broker && s.Reason == balance.LeavingDisk {
			return elsewhere + ": " + s.String(), true
		}
	}
	if message := c.Status().GetMessage(); message != "" {
		return elsewhere + ": " + message, false
	}
	return elsewhere, false
}

// volumes names volumes of pools.
func volumes(some []string) string {
	if len(some) == 1 {
		return "volume " + some[0]
	}
	return "volumes " + strings.Join(some, ", ")
}

// spreadVolumes lists the volumes that have got their share, as spread does brokers.
func (c *Course) spreadVolumes(finished bool) []string {
	if finished || !c.known || c.before.SpreadVolumes == nil {
		return slices.Clone(c.in.Volumes)
	}
	return slices.DeleteFunc(slices.Clone(c.before.SpreadVolumes), func(volume string) bool {
		return !slices.Contains(c.in.Volumes, volume)
	})
}

// Shifts tells whether replicas move between disks of a broker, by the record of a status.
func Shifts(s *v1alpha1.BalancingStatus) bool {
	return s != nil && slices.ContainsFunc(s.InFlight, func(m v1alpha1.MovingPartition) bool { return m.Broker != nil })
}
