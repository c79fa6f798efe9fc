package course

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func id(number int32) kafka.PartitionID { return kafka.PartitionID{Topic: "orders", Number: number} }

// withDisks gives broker 0 two more disks than /d, of which /e leaves and holds orders-1. No broker leaves.
func withDisks(in *asked) {
	in.Brokers[2].Leaving = false
	in.Brokers[0].Leaves = []string{"/e"}
	in.Settings.Record.SpreadVolumes = []string{"main/d", "main/f"}
	in.Volumes = []string{"main/d", "main/f"}
	dirs := []kafka.LogDir{
		{Path: "/d", TotalBytes: 1000, UsableBytes: 900, Holds: []kafka.PartitionID{id(0)}},
		{Path: "/e", TotalBytes: 1000, UsableBytes: 800, Holds: []kafka.PartitionID{id(1)}},
		{Path: "/f", TotalBytes: 1000, UsableBytes: 950},
	}
	in.Snapshot.LogDirs = map[int32][]kafka.LogDir{0: dirs}
	others := in.sizes
	in.sizes = func() (map[int32][]kafka.LoadDir, error) {
		all, err := others()
		all[0] = nil
		for _, dir := range in.Snapshot.LogDirs[0] {
			load := kafka.LoadDir{LogDir: dir, Sizes: map[kafka.PartitionID]int64{}}
			for _, p := range dir.Holds {
				load.Sizes[p] = 10
			}
			all[0] = append(all[0], load)
		}
		return all, err
	}
}

func within(number int32, from, to string) balance.Move {
	return balance.Move{Topic: "orders", Partition: number, Before: []int32{0, 2}, After: []int32{0, 2}, Bytes: 10,
		Reason: balance.LeavingDisk, Broker: 0, From: from, To: to}
}

func flight(number int32, to string) v1alpha1.MovingPartition {
	broker := int32(0)
	return v1alpha1.MovingPartition{Topic: "orders", Partition: number, Replicas: []int32{0, 2}, Broker: &broker, LogDir: to}
}

func TestADiskThatLeavesIsEmptiedByAPlanOfItsOwn(t *testing.T) {
	in := scene(withDisks)
	if has, why := New(in.Inputs).Has(); !has || why != "a disk of broker 0 leaves" {
		t.Fatalf("%t, %q", has, why)
	}
	var some []v1alpha1.MovingPartition
	c := in.course(func(c *Course) { some = c.Begin() })
	if len(some) != 1 || some[0].Broker == nil || *some[0].Broker != 0 || some[0].LogDir != "/f" ||
		some[0].Partition != 1 {
		t.Fatalf("begun are %+v", some)
	}
	text, stuck := c.Clearing(0, "/e")
	if !strings.HasPrefix(text, "it holds 1 replica of broker 0: balancing: 0 of 1 move") || stuck {
		t.Errorf("%q, %t", text, stuck)
	}
	if text, _ := c.Clearing(0, "/d"); text != "" {
		t.Errorf("of a disk that stays: %q", text)
	}
	in.Snapshot.LogDirs[0][1].Holds, in.Snapshot.LogDirs[0][1].Coming = nil, []kafka.PartitionID{id(1)}
	if text, _ := in.look().Clearing(0, "/e"); !strings.HasPrefix(text, "it holds 1 replica of broker 0") {
		t.Errorf("of what is on its way there: %q", text)
	}
	in.Settings.Mode = v1alpha1.BalancingOff
	if text, stuck := in.look().Clearing(0, "/e"); !strings.Contains(text, "let spec.balancing.mode be OnScale") || !stuck {
		t.Errorf("where nothing moves: %q, %t", text, stuck)
	}
}

// What a move between disks is at is seen in the log directories of its broker alone.
func TestHowFarAMoveBetweenDisksIs(t *testing.T) {
	for name, test := range map[string]struct {
		change func(in *asked)
		state  string // of the move of the plan
		flying int
	}{
		"it is to come": {func(*asked) {}, "startable", 0},
		"it is under way": {func(in *asked) { in.Snapshot.LogDirs[0][2].Coming = []kafka.PartitionID{id(1)} },
			"flies", 1},
		"it is complete": {func(in *asked) {
			in.Snapshot.LogDirs[0][1].Holds, in.Snapshot.LogDirs[0][2].Holds = nil, []kafka.PartitionID{id(1)}
		}, "past", 0},
		"its replica is elsewhere": {func(in *asked) {
			in.Snapshot.LogDirs[0][0].Holds, in.Snapshot.LogDirs[0][1].Holds = []kafka.PartitionID{id(0), id(1)}, nil
		}, "past", 0},
		"somebody moves it elsewhere": {func(in *asked) { in.Snapshot.LogDirs[0][0].Coming = []kafka.PartitionID{id(1)} },
			"past", 1},
		"its partition is reassigned": {func(in *asked) {
			in.Snapshot.Reassignments["orders"] = map[int32]kafka.Reassignment{1: {Replicas: []int32{0, 2, 1}, Adding: []int32{1}}}
		}, "past", 0},
		"its broker has not said": {func(in *asked) { delete(in.Snapshot.LogDirs, 0) }, "waits", 1},
	} {
		in := scene(withDisks)
		remember(&in, within(1, "/e", "/f"))
		in.Settings.Record.InFlight = []v1alpha1.MovingPartition{flight(1, "/f")}
		test.change(&in)
		c := in.look()
		state := "past"
		if len(c.left) == 1 {
			switch p := c.left[0]; {
			case p.flies:
				state = "flies"
			case p.startable:
				state = "startable"
			default:
				state = "waits"
			}
		}
		if state != test.state || len(c.flying) != test.flying || len(c.ended) != 1-test.flying {
			t.Errorf("%s: %s, %d fly, %d have ended", name, state, len(c.flying), len(c.ended))
		}
	}
}

func TestBrokersBetweenWhoseDisksReplicasMoveAreAsked(t *testing.T) {
	broker := int32(7)
	status := &v1alpha1.BalancingStatus{InFlight: []v1alpha1.MovingPartition{{Topic: "a"}, {Topic: "b", Broker: &broker}}}
	left := []balance.Move{{Topic: "a"}, within(0, "/d", "/e")}
	if got := InDoubt(status, left); !slices.Equal(got, []int32{0, 7}) {
		t.Errorf("asked are %v", got)
	}
	if got := InDoubt(nil, nil); len(got) > 0 {
		t.Errorf("at rest %v are asked", got)
	}
}

func TestAVolumeThatComesGetsItsShareOnce(t *testing.T) {
	in := scene(withDisks)
	in.Brokers[0].Leaves, in.Settings.Record.SpreadVolumes = nil, []string{"main/d"}
	if has, why := New(in.Inputs).Has(); !has || why != "volume main/f gets its share" {
		t.Fatalf("%t, %q", has, why)
	}
	c := in.course(func(c *Course) { c.Begin() })
	in.Seen.Remembered, in.Snapshot.Partitions = c.Remembered, nil // and all of the plan is past
	if got := in.look().Status().SpreadVolumes; !slices.Equal(got, []string{"main/d", "main/f"}) {
		t.Errorf("on record are %v", got)
	}
	in = scene(withDisks)
	in.Settings.Record.SpreadVolumes = nil // an earlier version of the operator has written it
	in.Brokers[0].Leaves = nil
	if has, why := in.look().Has(); has {
		t.Errorf("what was there already: %s", why)
	}
	if got := in.look().Status().SpreadVolumes; !slices.Equal(got, in.Volumes) {
		t.Errorf("on record are %v", got)
	}
}

// Which of its disks a replica uses that comes to a broker is Kafka's choice: another plan looks where it is.
func TestABrokerWithSeveralDisksHasItsShareOnceAnotherPlanHasLookedAtThem(t *testing.T) {
	for _, paths := range [][]string{{"/d"}, {"/d", "/e"}} {
		in := crowded()
		in.Snapshot.Partitions = in.Snapshot.Partitions[:12]
		loads := in.sizes
		in.sizes = func() (map[int32][]kafka.LoadDir, error) {
			all, err := loads()
			all[2] = nil
			for i, path := range paths {
				all[2] = append(all[2], kafka.LoadDir{LogDir: kafka.LogDir{
					Path: path, TotalBytes: 1 << 30, UsableBytes: 1<<30 - int64(i)}})
			}
			return all, err
		}
		c, got := in.begins()
		if got == "" {
			t.Fatal(paths, "nothing begins")
		}
		arrive(&in, c)
		has := slices.Contains(in.look().Status().Spread, 2)
		if has != (len(paths) == 1) {
			t.Errorf("%v: it has its share: %t", paths, has)
		}
		c, _ = in.begins()
		in.Seen.Remembered = c.Remembered
		if !slices.Contains(in.look().Status().Spread, 2) {
			t.Errorf("%v: another plan has looked, and it has not its share: %+v", paths, c.Status())
		}
	}
}

// Two new disks of one size say the same of themselves, to the byte, and are two.
func TestWhichLogDirectoriesShareADisk(t *testing.T) {
	at := func(path string, total, usable int64) kafka.LoadDir {
		return kafka.LoadDir{LogDir: kafka.LogDir{Path: path, TotalBytes: total, UsableBytes: usable}}
	}
	for name, test := range map[string]struct {
		dirs   []kafka.LoadDir
		claims map[string]int64
		leaves []string
		want   string
	}{
		"folders of a large file system": {[]kafka.LoadDir{at("/a", 1000, 900), at("/b", 1000, 900)},
			map[string]int64{"/a": 100, "/b": 100}, nil, "/a of 200"},
		"two new disks": {[]kafka.LoadDir{at("/a", 95, 90), at("/b", 95, 90)},
			map[string]int64{"/a": 100, "/b": 100}, nil, "/a of 95, /b of 95"},
		"one that leaves is one of its own": {[]kafka.LoadDir{at("/a", 1000, 900), at("/b", 1000, 900)},
			map[string]int64{"/a": 100, "/b": 100}, []string{"/b"}, "/a of 100, /b of 100"},
	} {
		disks, _ := disksOf(test.dirs, test.claims, test.leaves)
		var got []string
		for _, d := range disks {
			got = append(got, fmt.Sprintf("%s of %d", d.Path, d.Capacity))
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%s: %v, want %s", name, got, test.want)
		}
	}
}

// What a broker says no more of: it has left, or its partition has.
func TestAMoveBetweenDisksOfABrokerThatIsGoneHasEnded(t *testing.T) {
	in := scene(withDisks)
	gone := int32(7)
	in.Settings.Record.InFlight = []v1alpha1.MovingPartition{
		{Topic: "orders", Replicas: []int32{0, 7}, Broker: &gone, LogDir: "/e"},
		{Topic: "deleted", Replicas: []int32{0, 2}, Broker: new(int32), LogDir: "/f"},
	}
	if c := in.look(); len(c.Ended()) != 2 {
		t.Errorf("ended are %v", c.Ended())
	}
}

// An operator that was just upgraded has nothing on record, and waits for all brokers to serve.
func TestABrokerThatLeavesIsToldOfWithoutARecord(t *testing.T) {
	in := scene(func(in *asked) { in.Settings.Record, in.Snapshot.Brokers[1].Fenced = nil, true })
	if text, _ := in.look().Leaving(2); !strings.Contains(text, "node 2 leaves once its 4 partitions are elsewhere") {
		t.Errorf("%q", text)
	}
}
