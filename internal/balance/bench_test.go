package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
)

// layout says how a large cluster is made.
type layout struct {
	name             string
	brokers, racks   int
	added, leaving   int // brokers at the end that hold nothing; brokers at the front that leave
	partitions       int
	topics           int
	factor           int
	size             func(r *rand.Rand) int64
	crowded, unequal bool // replicas prefer some brokers; disks of three sizes
}

func even(*rand.Rand) int64      { return gib }
func uniform(r *rand.Rand) int64 { return 1 + r.Int64N(2*gib) }
func exponential(r *rand.Rand) int64 {
	return int64(r.ExpFloat64() * float64(gib))
}

// skewed sizes: half of the partitions are empty, and a few hold most.
func skewed(r *rand.Rand) int64 {
	if r.IntN(2) == 0 {
		return 0
	}
	return int64(math.Exp(r.NormFloat64()*2) * float64(64*mib))
}

// make makes the cluster; its disks are half full on the whole.
func (l layout) make(seed uint64) Cluster {
	r := rand.New(rand.NewPCG(seed, 1))
	sizes, total := make([]int64, l.partitions), int64(0)
	for i := range sizes {
		sizes[i] = l.size(r)
		total += sizes[i] * int64(l.factor)
	}
	var c Cluster
	for i := range l.brokers {
		capacity := total*2/int64(l.brokers-l.added-l.leaving) + 2*gib
		if l.unequal {
			capacity = capacity * int64(1+i%3) / 2
		}
		c.Brokers = append(c.Brokers, Broker{
			ID: int32(i), Rack: fmt.Sprint(i % max(1, l.racks)), Leaving: i < l.leaving,
			Disks: []Disk{{Path: "/data", Capacity: capacity * 2, Free: capacity * 2}},
		})
	}
	old := l.brokers - l.added
	byRack := make([][]int, max(1, l.racks))
	for i := range old {
		byRack[i%len(byRack)] = append(byRack[i%len(byRack)], i)
	}
	for i, bytes := range sizes {
		perTopic := (l.partitions + l.topics - 1) / l.topics
		p := Partition{Topic: fmt.Sprintf("t%05d", i/perTopic), Number: int32(i % perTopic), Bytes: bytes}
		racks := r.Perm(len(byRack))
		for k := 0; len(p.Replicas) < l.factor; k++ {
			in := byRack[racks[k%len(racks)]]
			n := r.IntN(len(in))
			if l.crowded {
				n = n * r.IntN(len(in)) / len(in)
			}
			if id := int32(in[n]); !contains(p.Replicas, id) {
				p.Replicas = append(p.Replicas, id)
				p.Disk = append(p.Disk, 0)
				c.Brokers[id].Disks[0].Free -= bytes
			}
		}
		p.ISR, p.Leader = p.Replicas, p.Replicas[0]
		c.Partitions = append(c.Partitions, p)
	}
	return c
}

func contains(ids []int32, id int32) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}

var layouts = []layout{
	{
		name: "uniform", brokers: 500, racks: 3, partitions: 100_000, topics: 1000, factor: 3,
		size: uniform,
	},
	{
		name: "exponential", brokers: 500, racks: 5, partitions: 100_000, topics: 1000, factor: 3,
		size: exponential,
	},
	{
		name: "skewed", brokers: 500, racks: 3, partitions: 100_000, topics: 1000, factor: 3,
		size: skewed,
	},
	{
		name: "crowded", brokers: 500, racks: 3, partitions: 100_000, topics: 1000, factor: 3,
		size: exponential, crowded: true,
	},
	{
		name: "unequal", brokers: 500, racks: 5, partitions: 100_000, topics: 1000, factor: 3,
		size: exponential, unequal: true,
	},
	{
		name: "doubled", brokers: 500, added: 250, racks: 3, partitions: 100_000, topics: 1000, factor: 3,
		size: exponential,
	},
	{
		name: "halved", brokers: 500, leaving: 250, racks: 3, partitions: 100_000, topics: 1000, factor: 3,
		size: exponential,
	},
	{
		name: "without racks", brokers: 500, added: 50, partitions: 100_000, topics: 1000, factor: 3,
		size: skewed,
	},
	{
		name: "a rack each", brokers: 500, racks: 500, partitions: 100_000, topics: 1000, factor: 3,
		size: exponential,
	},
}

// processorTime is what the process has used, in seconds, whatever else the machine does.
func processorTime() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

func BenchmarkPlan(b *testing.B) {
	for _, l := range layouts {
		b.Run(l.name, func(b *testing.B) {
			c, o := l.make(1), Options{Tolerance: 10, DiskLimit: 80, Spread: true, Leaders: true}
			var p Plan
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			began := processorTime()
			for b.Loop() {
				p = New(c, o)
			}
			b.ReportMetric((processorTime()-began)/float64(b.N), "cpu-s/plan")
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(mib), "MiB/plan")
			b.ReportMetric(float64(len(p.Moves)), "moves")
			b.ReportMetric(float64(p.Bytes)/float64(max(1, p.LeastBytes)), "bytes/least")
			b.ReportMetric(float64(outside(Apply(c, p.Moves...), o))/float64(gib), "GiB-outside")
			m := Imbalance(Apply(c, p.Moves...))
			b.ReportMetric(float64(m.Replicas), "%replicas-over")
			b.ReportMetric(float64(m.Leaders), "%leaders-over")
		})
	}
}
