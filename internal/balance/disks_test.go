package balance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// jbod is a cluster of one broker with disks of so many GiB, and a partition of 1 GiB for each entry of on: the disk
// that it is on.
func jbod(sizes []int64, on ...int) Cluster {
	b := Broker{ID: 1, Rack: "a"}
	for i, size := range sizes {
		b.Disks = append(b.Disks, Disk{Path: fmt.Sprint("/", i), Capacity: size * gib, Free: size * gib})
	}
	c := Cluster{}
	for n, disk := range on {
		b.Disks[disk].Free -= gib
		c.Partitions = append(c.Partitions, Partition{Topic: "a", Number: int32(n), Bytes: gib, Replicas: []int32{1},
			ISR: []int32{1}, Leader: 1, Disk: []int{disk}})
	}
	c.Brokers = []Broker{b}
	return c
}

func onDisks(c Cluster) []int {
	held := make([]int, len(c.Brokers[0].Disks))
	for _, p := range c.Partitions {
		held[p.Disk[0]]++
	}
	return held
}

func TestADiskThatLeavesIsEmptiedWithinItsBroker(t *testing.T) {
	even := Options{Tolerance: 10, DiskLimit: 80}
	for name, test := range map[string]struct {
		c      Cluster
		change func(*Cluster)
		want   []int
		stuck  string
	}{
		"to the one with most room": {jbod([]int64{10, 10, 20}, 0, 1, 1), nil, []int{1, 0, 2}, ""},
		"also what may not leave its broker": {jbod([]int64{10, 10}, 1, 1),
			func(c *Cluster) { c.Partitions[0].Fixed = true }, []int{2, 0}, ""},
		"also what nobody has in sync": {jbod([]int64{10, 10}, 1),
			func(c *Cluster) { c.Partitions[0].ISR, c.Partitions[0].Leader = nil, none }, []int{1, 0}, ""},
		"but not what moves already": {jbod([]int64{10, 10}, 1, 1),
			func(c *Cluster) { c.Partitions[0].Fixed, c.Partitions[0].Busy = true, true }, []int{1, 1},
			"a-0 on broker 1: the partition is being reassigned"},
		"and as far as there is room": {jbod([]int64{4, 10}, 1, 1, 1, 1), nil, []int{3, 1},
			"a-3 on broker 1: no other disk of the broker stays below 80% of its capacity; 819.2 MiB are lacking: enlarge"},
	} {
		test.c.Brokers[0].Disks[1].Leaving = true
		if test.change != nil {
			test.change(&test.c)
		}
		p := New(test.c, even)
		after := Apply(test.c, p.Moves...)
		if got := onDisks(after); !slices.Equal(got, test.want) {
			t.Errorf("%s: on the disks are %v, want %v; %v", name, got, test.want, p.Moves)
		}
		told := ""
		if len(p.Stuck) > 0 {
			told = p.Stuck[0].String()
		}
		if !strings.HasPrefix(told, test.stuck) || test.stuck == "" && told != "" {
			t.Errorf("%s: stuck is %q, want %q", name, told, test.stuck)
		}
		if p.LeastBytes != p.Bytes {
			t.Errorf("%s: %d bytes, and at least %d", name, p.Bytes, p.LeastBytes)
		}
	}
}

func TestADiskThatComesGetsItsShareOfItsBroker(t *testing.T) {
	for name, test := range map[string]struct {
		c      Cluster
		spread bool
		want   []int
	}{
		"of equal size":            {jbod([]int64{20, 20, 20}, 0, 0, 0, 1, 1, 1), true, []int{2, 2, 2}},
		"by capacity":              {jbod([]int64{20, 40}, 0, 0, 0, 0, 0, 0), true, []int{2, 4}},
		"not unless it is asked":   {jbod([]int64{20, 20}, 0, 0, 0, 0), false, []int{4, 0}},
		"nothing where it is even": {jbod([]int64{20, 20}, 0, 1, 0, 1), true, []int{2, 2}},
	} {
		p := New(test.c, Options{Tolerance: 10, DiskLimit: 80, Spread: test.spread})
		if got := onDisks(Apply(test.c, p.Moves...)); !slices.Equal(got, test.want) {
			t.Errorf("%s: on the disks are %v, want %v; %v", name, got, test.want, p.Moves)
		}
		for _, m := range p.Moves {
			if !m.Within() || m.Reason != Disks {
				t.Errorf("%s: %s", name, m)
			}
		}
	}
}

// Other data may be on a disk, too.
func TestADiskGetsNoMoreOfItsBrokerThanThereIsRoomFor(t *testing.T) {
	c := jbod([]int64{20, 20}, 0, 0, 0, 0)
	c.Brokers[0].Disks[1].Free = 9 * gib / 2 // of which 4 are to stay free
	if p := New(c, Options{Tolerance: 10, DiskLimit: 80, Spread: true}); len(p.Moves) > 0 {
		t.Errorf("%v", p.Moves)
	}
}

// A copy of 100 that brings both disks together 8 nearer to their shares of 100 is not made, and one that brings 16 is.
func TestNothingIsCopiedBetweenDisksForNextToNothing(t *testing.T) {
	for over, want := range map[int64]int{52: 0, 54: 1} {
		c := jbod([]int64{1, 1}, 0, 0, 1)
		for i, bytes := range []int64{100, over, 100 - over} {
			c.Partitions[i].Bytes, c.Partitions[i].Busy = bytes, i > 0
		}
		c.Brokers[0].Disks[0].Free, c.Brokers[0].Disks[1].Free = gib, gib
		if p := New(c, Options{Tolerance: 10, DiskLimit: 80, Spread: true}); len(p.Moves) != want {
			t.Errorf("%d over its share: %v, want %d moves", over, p.Moves, want)
		}
	}
}

// What leaves /1 finds no room before /0 has given to /2.
func TestARoomThatAMoveBetweenDisksFreesIsWaitedFor(t *testing.T) {
	c := jbod([]int64{10, 10, 10}, 0, 0, 0, 0, 0, 0, 0, 0, 1)
	c.Partitions[8].Bytes = 17 * gib / 10
	disks := c.Brokers[0].Disks
	disks[1].Leaving = true
	disks[0].Free, disks[2].Free = 29*gib/10, 35*gib/10 // of each, 2 are to stay free
	p := New(c, Options{Tolerance: 10, DiskLimit: 80, Spread: true})
	i := slices.IndexFunc(p.Moves, func(m Move) bool { return m.Partition == 8 })
	if i < 1 || !p.Moves[i].Waits || p.Moves[i].To != "/0" || p.Moves[0].Waits || p.Moves[0].To != "/2" {
		t.Errorf("%v", p.Moves)
	}
}

func TestADiskThatIsTooFullIsRelievedWithinItsBroker(t *testing.T) {
	c := jbod([]int64{4, 10}, 0, 0, 0, 0)
	p := New(c, Options{Tolerance: 10, DiskLimit: 80})
	const want = "a-3: within broker 1, /0 to /1, 1.0 GiB (a disk of broker 1 is above the limit)"
	if len(p.Moves) != 1 || p.Moves[0].String() != want {
		t.Errorf("moves are %v", p.Moves)
	}
}

func TestPlansThatDifferInADiskAloneHaveDifferentNames(t *testing.T) {
	p := Plan{Moves: []Move{{Topic: "a", Before: []int32{1}, After: []int32{1}, Broker: 1, From: "/0", To: "/1"}}}
	before := p.Hash()
	if p.Moves[0].To = "/2"; p.Hash() == before {
		t.Error("they have one")
	}
}
