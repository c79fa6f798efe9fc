package balance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/internal/verdict"
)

var update = flag.Bool("update", false, "write the golden plans anew")

// story is a small cluster that a person can check by hand.
type story struct {
	c Cluster
	o Options
}

func tell() *story {
	return &story{o: Options{Tolerance: 10, DiskLimit: 80, Spread: true, Leaders: true}}
}

// broker adds a broker with one disk.
func (s *story) broker(id int32, rack string, capacity int64, how ...func(*Broker)) *story {
	b := Broker{ID: id, Rack: rack, Disks: []Disk{{Path: "/data", Capacity: capacity, Free: capacity}}}
	for _, change := range how {
		change(&b)
	}
	s.c.Brokers = append(s.c.Brokers, b)
	return s
}

func leaving(b *Broker) { b.Leaving = true }

func closed(b *Broker) { b.Closed = true }

// topic adds a topic with a partition of so many bytes for each list of replicas, all in sync.
func (s *story) topic(name string, bytes int64, replicas ...[]int32) *story {
	for n, ids := range replicas {
		s.partition(Partition{Topic: name, Number: int32(n), Bytes: bytes, Replicas: ids, ISR: ids, Leader: ids[0]})
	}
	return s
}

func (s *story) partition(p Partition) *story {
	for _, id := range p.Replicas {
		p.Disk = append(p.Disk, 0)
		for i := range s.c.Brokers {
			if s.c.Brokers[i].ID == id {
				s.c.Brokers[i].Disks[0].Free -= p.Bytes
			}
		}
	}
	s.c.Partitions = append(s.c.Partitions, p)
	return s
}

// around returns so many lists of replicas, round and round over brokers.
func around(n, factor int, brokers ...int32) [][]int32 {
	var all [][]int32
	for i := range n {
		var ids []int32
		for k := range factor {
			ids = append(ids, brokers[(i+k)%len(brokers)])
		}
		all = append(all, ids)
	}
	return all
}

// table prints what each broker holds.
func table(b *strings.Builder, c Cluster) {
	for _, broker := range c.Brokers {
		var load, used, capacity int64
		count, leads := 0, 0
		for _, p := range c.Partitions {
			if i := slices.Index(p.Replicas, broker.ID); i >= 0 {
				load, count = load+p.Bytes, count+1
				if i == 0 {
					leads++
				}
			}
		}
		for _, d := range broker.Disks {
			used, capacity = used+d.Capacity-d.Free, capacity+d.Capacity
		}
		note := ""
		if broker.Rack != "" {
			note = ", rack " + broker.Rack
		}
		if broker.Leaving {
			note += ", leaves"
		}
		if broker.Closed {
			note += ", closed"
		}
		fmt.Fprintf(b, "  broker %d: %s in %s, leads %d, disk %d%% full%s\n",
			broker.ID, Size(load), verdict.Counted(count, "replica"), leads, used*100/capacity, note)
	}
}

func TestStories(t *testing.T) {
	quarter := []int32{1, 2, 3}
	stories := map[string]*story{
		"three brokers become six, with 2 GiB": tell().
			broker(1, "", 10*gib).broker(2, "", 10*gib).broker(3, "", 10*gib).
			broker(4, "", 10*gib).broker(5, "", 10*gib).broker(6, "", 10*gib).
			topic("events", 64*mib, around(8, 3, quarter...)...).
			topic("orders", 128*mib, around(12, 3, quarter...)...),
		"a broker leaves": tell().
			broker(1, "a", 10*gib).broker(2, "b", 10*gib).broker(3, "c", 10*gib).broker(4, "a", 10*gib, leaving).
			topic("orders", 128*mib, []int32{1, 2, 3}, []int32{4, 2, 3}, []int32{2, 3, 4}, []int32{3, 1, 2}),
		"a rack is added": tell().
			broker(1, "a", 10*gib).broker(2, "a", 10*gib).broker(3, "b", 10*gib).broker(4, "b", 10*gib).
			broker(5, "c", 10*gib).broker(6, "c", 10*gib).
			topic("orders", 256*mib, []int32{1, 3, 2}, []int32{2, 4, 1}, []int32{3, 1, 4}, []int32{4, 2, 3}),
		"a disk is nearly full, and only what must move may": func() *story {
			s := tell().broker(1, "", 2*gib).broker(2, "", 10*gib).broker(3, "", 10*gib)
			s.o.Spread = false
			return s.topic("logs", 300*mib, []int32{1}, []int32{1}, []int32{1}).topic("orders", 900*mib, []int32{1})
		}(),
		"there is nowhere to go": tell().
			broker(1, "", 10*gib).broker(2, "", 10*gib).broker(3, "", 10*gib, leaving).broker(4, "", gib).
			topic("all", gib, []int32{1, 2, 3}).topic("orders", mib, []int32{4, 2, 1}),
		"a broker is down": tell().
			broker(1, "", 10*gib).broker(2, "", 10*gib, closed).broker(3, "", 10*gib, leaving).broker(4, "", 10*gib).
			partition(Partition{Topic: "orders", Number: 0, Bytes: gib, Replicas: []int32{3, 2}, ISR: []int32{3}, Leader: 3}).
			partition(Partition{Topic: "orders", Number: 1, Bytes: gib, Replicas: []int32{1, 2}, ISR: []int32{1}, Leader: 1}).
			partition(Partition{Topic: "orders", Number: 2, Bytes: gib, Replicas: []int32{1, 4}, ISR: []int32{1, 4}, Leader: 1}),
		"everything is within the tolerance": tell().
			broker(1, "", 10*gib).broker(2, "", 10*gib).broker(3, "", 10*gib).
			topic("orders", gib, around(6, 2, quarter...)...),
		"two large replicas and two smaller ones change places": tell().
			broker(1, "", 200*gib).broker(2, "", 200*gib).
			topic("a", 60*gib, []int32{1}, []int32{1}).topic("b", 40*gib, []int32{2}, []int32{2}),
		"one partition is larger than any share": tell().
			broker(1, "", 4*tib).broker(2, "", 4*tib).broker(3, "", 4*tib).
			topic("huge", 2*tib, []int32{1}).topic("orders", gib, around(9, 1, quarter...)...),
		"leaders are uneven, and nothing has to be copied": tell().
			broker(1, "", 10*gib).broker(2, "", 10*gib).broker(3, "", 10*gib).
			topic("orders", gib, []int32{1, 2, 3}, []int32{1, 3, 2}, []int32{1, 2, 3}),
		"only broker 3 needs leaders, and broker 1 shares none with it": func() *story {
			s := tell().broker(1, "", 10*gib).broker(2, "", 10*gib).broker(3, "", 10*gib)
			s.o.Tolerance = 50
			return s.topic("orders", 0, []int32{1, 2}, []int32{1, 2}, []int32{2, 3}, []int32{2, 3})
		}(),
		"one of three racks gets a second broker, and half of the data of that rack": tell().
			broker(1, "a", 10*gib).broker(2, "b", 10*gib).broker(3, "c", 10*gib).broker(4, "c", 10*gib).
			topic("orders", 256*mib, around(8, 3, 1, 2, 3)...),
		"a broker is replaced, and the others keep what they have": tell().
			broker(1, "", 10*gib).broker(2, "", 10*gib).broker(3, "", 10*gib, leaving).broker(4, "", 10*gib).
			topic("orders", 512*mib, around(6, 2, 1, 2, 3)...),
		"a broker has room, and none of its disks has": func() *story {
			s := tell().broker(1, "", 10*gib, leaving).broker(2, "", 10*gib)
			s.c.Brokers[1].Disks = []Disk{
				{Path: "/one", Capacity: 5 * gib, Free: 4 * gib}, {Path: "/two", Capacity: 5 * gib, Free: 4 * gib},
			}
			return s.topic("large", 4*gib, []int32{1}).topic("small", 2*gib, []int32{1}, []int32{1})
		}(),
		"data is even, and replicas are not": tell().
			broker(1, "", 10*gib).broker(2, "", 10*gib).broker(3, "", 10*gib).
			topic("orders", gib, []int32{1}, []int32{2}, []int32{3}).
			topic("pages", mib, around(9, 1, 1)...),
		"an empty topic lies on half of the brokers": func() *story {
			s := tell().broker(1, "", 10*gib).broker(2, "", 10*gib).broker(3, "", 10*gib).broker(4, "", 10*gib)
			s.o.Tolerance = 25
			return s.topic("fresh", 0, around(8, 1, 1, 2)...).topic("orders", gib, around(8, 1, 3, 4)...).
				topic("pages", gib, around(8, 1, 1, 2)...).topic("quiet", 0, around(8, 1, 3, 4)...)
		}(),
		"a move waits for room that others free": tell().
			broker(1, "a", 10*gib).broker(2, "b", 100*gib).broker(3, "a", 10*gib, leaving).
			topic("orders", 4*gib, []int32{3, 2}).
			topic("pages", gib, around(5, 1, 1)...),
		"a rack has twice the disks of the others": tell().
			broker(1, "a", 20*gib).broker(2, "a", 20*gib).broker(3, "b", 10*gib).broker(4, "b", 10*gib).
			broker(5, "c", 10*gib).broker(6, "c", 10*gib).
			topic("orders", 512*mib, around(6, 3, 1, 3, 5)...),
	}
	for name, s := range stories {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			p, complaint := promises(s.c, s.o)
			if complaint != "" {
				t.Error(complaint)
			}
			table(&b, s.c)
			fmt.Fprintf(&b, "\n%s\n", p.Summary())
			for _, m := range p.Moves {
				note := ""
				if m.Waits {
					note = ", waits"
				}
				if m.Paired {
					note += ", with the next"
				}
				fmt.Fprintf(&b, "  %s%s\n", m, note)
			}
			for _, s := range p.Stuck {
				fmt.Fprintf(&b, "  stuck: %s\n", s)
			}
			fmt.Fprintln(&b)
			table(&b, Apply(s.c, p.Moves...))
			golden(t, name, b.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", strings.NewReplacer(" ", "-", ",", "").Replace(name)+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("the plan differs from %s (go test ./internal/balance -update writes it anew); got:\n%s", file, got)
	}
}
