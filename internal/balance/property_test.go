package balance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func envInt(key string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(key)); err == nil {
		return n
	}
	return otherwise
}

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
	tib = int64(1) << 40
)

// randomCluster makes a small cluster with everything that can be odd about one.
func randomCluster(r *rand.Rand) (Cluster, Options) {
	o := Options{
		Tolerance: []int{0, 5, 10, 10, 25}[r.IntN(5)], DiskLimit: []int{80, 80, 90, 60}[r.IntN(4)],
		Spread: r.IntN(4) > 0, Leaders: r.IntN(3) > 0,
	}
	var c Cluster
	brokers, racks := 1+r.IntN(9), r.IntN(5)
	roomy := r.IntN(3) > 0
	for i := range brokers {
		b := Broker{ID: int32(i * 100), Leaving: r.IntN(8) == 0, Closed: r.IntN(10) == 0}
		if racks > 0 && r.IntN(12) > 0 {
			b.Rack = string(rune('a' + r.IntN(racks)))
		}
		for d := range 1 + r.IntN(6)/5*r.IntN(3) {
			capacity := (50 + r.Int64N(3)*25) * gib
			if roomy {
				capacity *= 100
			}
			b.Disks = append(b.Disks, Disk{Path: fmt.Sprint("/", d), Capacity: capacity, Free: capacity,
				Leaving: d > 0 && r.IntN(4) == 0})
		}
		c.Brokers = append(c.Brokers, b)
	}
	big := r.IntN(20) == 0
	for t := range 1 + r.IntN(4) {
		factor := 1 + r.IntN(min(brokers, 4))
		if r.IntN(10) == 0 {
			factor = brokers
		}
		skew := r.IntN(3)
		for n := range 1 + r.IntN(12) {
			p := Partition{Topic: string(rune('a' + t)), Number: int32(n), Fixed: r.IntN(15) == 0}
			switch r.IntN(4) {
			case 0:
			case 1:
				p.Bytes = gib
			default:
				p.Bytes = r.Int64N(8 * gib)
			}
			if big {
				p.Bytes, big = 2*tib, false
			}
			order := r.Perm(brokers)
			if skew > 0 {
				slices.SortStableFunc(order, func(a, b int) int { return r.IntN(3) - 1 + skew*(a-b)/3 })
			}
			for _, i := range order[:factor] {
				b := &c.Brokers[i]
				p.Replicas = append(p.Replicas, b.ID)
				disk := r.IntN(len(b.Disks))
				b.Disks[disk].Free -= p.Bytes
				if r.IntN(10) == 0 {
					disk = none
				}
				p.Disk = append(p.Disk, disk)
			}
			p.ISR, p.Leader = slices.Clone(p.Replicas), p.Replicas[0]
			switch r.IntN(12) {
			case 0:
				p.ISR = p.ISR[:1+r.IntN(len(p.ISR))]
			case 1:
				if r.IntN(4) == 0 {
					p.ISR, p.Leader = nil, none
				}
			}
			c.Partitions = append(c.Partitions, p)
		}
	}
	return c, o
}

func describe(c Cluster, o Options, p Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", o)
	for _, x := range c.Brokers {
		fmt.Fprintf(&b, "%+v\n", x)
	}
	for _, x := range c.Partitions {
		fmt.Fprintf(&b, "%+v\n", x)
	}
	for _, m := range p.Moves {
		fmt.Fprintf(&b, "%s waits=%v paired=%v %d->%d\n", m, m.Waits, m.Paired, m.Before, m.After)
	}
	for _, s := range p.Stuck {
		fmt.Fprintf(&b, "stuck %s\n", s)
	}
	return b.String()
}

// promises returns which promise a plan for a cluster breaks, and the cluster as it is afterwards.
func promises(c Cluster, o Options) (Plan, string) {
	p := New(c, o)
	j, worst := newJudge(c, o), outside(c, o)
	for i, m := range p.Moves {
		paired := i > 0 && p.Moves[i-1].Paired
		if complaint := j.step(m); complaint != "" {
			return p, fmt.Sprintf("move %d, %s: %s", i, m, complaint)
		}
		now := outside(j.c, o)
		if (m.Reason == Bytes || m.Reason == Replicas || m.Reason == Topic) && !m.Paired && now > worst {
			return p, fmt.Sprintf("move %d, %s: bytes lie less evenly, by %d", i, m, now-worst)
		}
		if !m.Paired || paired {
			worst = now
		}
	}
	if left := j.left(p.Stuck); left != "" {
		return p, left
	}
	if p.LeastBytes > p.Bytes {
		return p, fmt.Sprintf("it copies %d bytes, and says that at least %d have to be", p.Bytes, p.LeastBytes)
	}
	if again := New(j.c, o); len(again.Moves) > 0 {
		return p, fmt.Sprintf("planned again, there is more to do: %s", again.Moves[0])
	}
	return p, ""
}

func TestRandomPlansKeepTheirPromises(t *testing.T) {
	seed := uint64(envInt("CASTELLAN_PROPERTY_SEED", 1))
	moves, even, uneven := 0, 0, 0
	for i := range uint64(envInt("CASTELLAN_PROPERTY_RUNS", 6000)) {
		c, o := randomCluster(rand.New(rand.NewPCG(seed+i, 0)))
		input, _ := randomCluster(rand.New(rand.NewPCG(seed+i, 0)))
		p, complaint := promises(c, o)
		if complaint != "" {
			t.Fatalf("CASTELLAN_PROPERTY_SEED=%d: %s\n%s", seed+i, complaint, describe(c, o, p))
		}
		if !reflect.DeepEqual(c, input) {
			t.Fatalf("CASTELLAN_PROPERTY_SEED=%d: the input was changed", seed+i)
		}
		if again := New(c, o); !reflect.DeepEqual(again, p) {
			t.Fatalf("CASTELLAN_PROPERTY_SEED=%d: two plans for one cluster", seed+i)
		}
		moves += len(p.Moves)
		if outside(Apply(c, p.Moves...), o) == 0 {
			even++
		} else {
			uneven++
		}
	}
	t.Logf("%d moves; %d clusters even afterwards, %d not", moves, even, uneven)
}
