package balance

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// following plans, makes some of the moves, lets sizes grow, and plans again, until there is nothing left to do. It
// returns after how many plans, and how many bytes were copied in all.
func following(r *rand.Rand, c Cluster, o Options, grow int64) (plans int, copied int64, complaint string) {
	for plans = 1; plans <= 400; plans++ {
		p := New(c, o)
		if len(p.Moves) == 0 {
			return plans, copied, ""
		}
		n := 1 + r.IntN(len(p.Moves))
		for _, m := range p.Moves[:n] {
			copied += m.Bytes
		}
		c = Apply(c, p.Moves[:n]...)
		if grow > 0 && plans < 40 {
			for i := range c.Partitions {
				q := &c.Partitions[i]
				more := q.Bytes / 100 * r.Int64N(grow) / 4
				for k, id := range q.Replicas {
					disk := none
					if k < len(q.Disk) {
						disk = q.Disk[k]
					}
					c.use(id, disk, more)
				}
				q.Bytes += more
			}
		}
	}
	return plans, copied, "it does not end"
}

func TestFollowingAPlanInPartEndsAlsoWhileDataGrows(t *testing.T) {
	seed := uint64(envInt("CASTELLAN_PROPERTY_SEED", 1))
	for i := range uint64(envInt("CASTELLAN_PROPERTY_RUNS", 600)) {
		for _, grow := range []int64{0, 12} {
			r := rand.New(rand.NewPCG(seed+i, 7))
			c, o := randomCluster(r)
			if _, _, complaint := following(r, c, o, grow); complaint != "" {
				t.Fatalf("CASTELLAN_PROPERTY_SEED=%d, growing by up to %d%%: %s\n%s", seed+i, grow/4, complaint,
					describe(c, o, New(c, o)))
			}
		}
	}
}

// TestBytesAreNearTheLeast holds plans for random clusters, in which no replica is larger than the tolerance of a
// share, to 1.1 of what any plan needs and one replica; and those with larger ones to one such replica a broker more.
func TestBytesAreNearTheLeast(t *testing.T) {
	var bytes, least int64
	for i := range uint64(envInt("CASTELLAN_PROPERTY_RUNS", 120)) {
		r := rand.New(rand.NewPCG(i, 3))
		l := layout{
			brokers: 6 + r.IntN(25), racks: []int{1, 3, 3, 5}[r.IntN(4)], partitions: 500 + r.IntN(2000), topics: 1 + r.IntN(30),
			factor: 1 + r.IntN(3), size: []func(*rand.Rand) int64{even, uniform, exponential, skewed}[i%4],
			crowded: r.IntN(3) == 0, unequal: r.IntN(3) == 0,
		}
		switch r.IntN(3) {
		case 0:
			l.added = 1 + r.IntN(l.brokers/2)
		case 1:
			l.leaving = 1 + r.IntN(l.brokers/5)
		}
		if l.brokers-l.added < 3*max(3, l.racks) {
			l.brokers = l.added + l.leaving + 3*max(3, l.racks)
		}
		c := l.make(i)
		o := Options{Tolerance: 10, DiskLimit: 90, Spread: true}
		p := New(c, o)
		s := newState(c, o)
		largest, share := s.parts[0].bytes, int64(1)<<62
		for _, b := range s.brokers {
			if b.open {
				share = min(share, b.bytes.share)
			}
		}
		bytes, least = bytes+p.Bytes, least+p.LeastBytes
		name := fmt.Sprintf("seed %d, %+v", i, l)
		slack := largest
		if largest > share/10 {
			slack = largest * int64(l.brokers)
		} else if left := outside(Apply(c, p.Moves...), o); left > 0 {
			t.Errorf("%s: %s are left outside the tolerance", name, Size(left))
		}
		if p.Bytes > p.LeastBytes+p.LeastBytes/10+slack {
			t.Errorf("%s: %s", name, p.Summary())
		}
	}
	t.Logf("%s copied in all, at least %s needed: %.3f", Size(bytes), Size(least), float64(bytes)/float64(least))
}
