package course

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// swapping is a cluster of which orders-0 and orders-1 change places between brokers 2 and 1, with orders-2 and orders-3
// about to move as well.
func swapping(change ...func(*asked)) asked {
	return scene(append([]func(*asked){func(in *asked) {
		in.Snapshot.Partitions[1].Replicas, in.Snapshot.Partitions[1].ISR = []int32{0, 1}, []int32{0, 1}
		first, second := move(0, 0, 1), move(1, 0, 2)
		first.Paired, second.Before = true, []int32{0, 1}
		remember(in, first, second, move(2, 0, 1), move(3, 0, 1))
	}}, change...)...)
}

func TestTwoThatChangePlacesBeginTogetherOrNotAtAll(t *testing.T) {
	const both, rest = "orders-0[0 1] orders-1[0 2]", "orders-2[0 1] orders-3[0 1]"
	begins := func(in *asked, number int32, adds int32) {
		p := &in.Snapshot.Partitions[number]
		after := []int32{0, adds}
		removing := slices.DeleteFunc(slices.Clone(p.Replicas), func(id int32) bool { return slices.Contains(after, id) })
		p.Replicas = append(slices.Clone(p.Replicas), adds)
		in.Snapshot.Reassignments["orders"] = map[int32]kafka.Reassignment{
			number: {Replicas: p.Replicas, Adding: []int32{adds}, Removing: removing}}
		in.Settings.Record.InFlight = []v1alpha1.MovingPartition{{Topic: "orders", Partition: number, Replicas: after}}
	}
	for name, c := range map[string]struct {
		change func(*asked)
		want   string
	}{
		"both can":                         {func(*asked) {}, both + " " + rest},
		"as many as they are may move":     {func(in *asked) { in.Settings.MaxMoving = 2 }, both},
		"one of them is out of sync":       {func(in *asked) { in.Snapshot.Partitions[1].ISR = []int32{0} }, rest},
		"the first of them is out of sync": {func(in *asked) { in.Snapshot.Partitions[0].ISR = []int32{0} }, rest},
		"there is room for one more": {func(in *asked) {
			in.Settings.MaxMoving = 3
			for i := range int32(2) {
				in.Snapshot.Partitions = append(in.Snapshot.Partitions,
					kafka.Partition{Topic: "z", Number: i, Replicas: []int32{0, 3}, ISR: []int32{0}})
				if in.Snapshot.Reassignments["z"] == nil {
					in.Snapshot.Reassignments["z"] = map[int32]kafka.Reassignment{}
				}
				in.Snapshot.Reassignments["z"][i] = kafka.Reassignment{Replicas: []int32{0, 3}, Adding: []int32{3}}
				in.Settings.Record.InFlight = append(in.Settings.Record.InFlight,
					v1alpha1.MovingPartition{Topic: "z", Partition: i, Replicas: []int32{0, 3}})
			}
		}, ""},
		"one of them goes to a broker that has enough for now": {func(in *asked) {
			in.Settings.Rate = 1
			in.Seen.Remembered.Plan.Moves = slices.Insert(in.Seen.Remembered.Plan.Moves, 0,
				balance.Move{Topic: "y", Before: []int32{0, 1}, After: []int32{0, 2}, Bytes: 1, Disk: -1})
			in.Snapshot.Partitions = append(in.Snapshot.Partitions,
				kafka.Partition{Topic: "y", Replicas: []int32{0, 1}, ISR: []int32{0, 1}})
		}, "y-0[0 2]"},
		"somebody has moved the second elsewhere": {func(in *asked) {
			in.Snapshot.Partitions[1].Replicas, in.Snapshot.Partitions[1].ISR = []int32{1, 0}, []int32{1, 0}
		}, rest},
		"somebody has moved the first elsewhere": {func(in *asked) {
			in.Snapshot.Partitions[0].Replicas, in.Snapshot.Partitions[0].ISR = []int32{2, 0}, []int32{2, 0}
		}, rest},
		"somebody moves the second":   {func(in *asked) { begins(in, 1, 3) }, rest},
		"the topic of one is no more": {func(in *asked) { in.Snapshot.Partitions = slices.Delete(in.Snapshot.Partitions, 1, 2) }, rest},
		"the first is under way":      {func(in *asked) { begins(in, 0, 1) }, "orders-1[0 2] " + rest},
		"the second is under way":     {func(in *asked) { begins(in, 1, 2) }, "orders-0[0 1] " + rest},
		"the first has arrived": {func(in *asked) {
			in.Snapshot.Partitions[0].Replicas, in.Snapshot.Partitions[0].ISR = []int32{0, 1}, []int32{0, 1}
		}, "orders-1[0 2] " + rest},
		"the second has arrived": {func(in *asked) {
			in.Snapshot.Partitions[1].Replicas, in.Snapshot.Partitions[1].ISR = []int32{0, 2}, []int32{0, 2}
		}, "orders-0[0 1] " + rest},
	} {
		course, got := swapping(c.change).begins()
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if pairs := len(course.Swaps()); pairs == 1 != (len(got) >= len(both) && got[:len(both)] == both) {
			t.Errorf("%s: %d pairs are not to begin by half: %q", name, pairs, got)
		}
	}
}

// orders-0 is under way to broker 2, which leaves meanwhile, and orders-1 to broker 1.
func TestWhatIsUnderWayToABrokerThatLeavesIsTakenBack(t *testing.T) {
	const back = "orders-0[0 2]"
	for name, c := range map[string]struct {
		change func(*asked)
		want   string
	}{
		"it has copied nothing yet":           {func(*asked) {}, back},
		"it is down":                          {func(in *asked) { in.Snapshot.Brokers[2].Fenced = true }, back},
		"it is in sync, and so are all":       {func(in *asked) { in.Snapshot.Partitions[0].ISR = []int32{0, 1, 2} }, back},
		"it is in sync, and another is not":   {func(in *asked) { in.Snapshot.Partitions[0].ISR = []int32{0, 2} }, ""},
		"another is not in sync, nor is this": {func(in *asked) { in.Snapshot.Partitions[0].ISR = []int32{0} }, back},
		"it stays":                            {func(in *asked) { in.Brokers[2].Leaving = false }, ""},
		"nothing may be moved":                {func(in *asked) { in.Settings.Mode = v1alpha1.BalancingOff }, ""},
		"it is somebody else's":               {func(in *asked) { in.Settings.Record.InFlight = nil }, ""},
		"Kafka has just refused that": {func(in *asked) {
			in.Seen.Refused = map[kafka.PartitionID]model.RefusedMove{id(0): {Until: noon.Add(time.Second)}}
		}, ""},
	} {
		in := scene(func(in *asked) {
			in.Snapshot.Partitions = in.Snapshot.Partitions[:2]
			for i, adds := range []int32{2, 1} {
				p := &in.Snapshot.Partitions[i]
				p.Replicas, p.ISR = []int32{0, 1, 2}, []int32{0, 3 - adds}
				if in.Snapshot.Reassignments["orders"] == nil {
					in.Snapshot.Reassignments["orders"] = map[int32]kafka.Reassignment{}
				}
				in.Snapshot.Reassignments["orders"][int32(i)] = kafka.Reassignment{
					Replicas: p.Replicas, Adding: []int32{adds}, Removing: []int32{3 - adds}}
				in.Settings.Record.InFlight = append(in.Settings.Record.InFlight,
					v1alpha1.MovingPartition{Topic: "orders", Partition: int32(i), Replicas: []int32{0, adds}})
			}
		}, c.change)
		course, begun := in.begins()
		got := ""
		for _, m := range course.Recalled() {
			got += fmt.Sprintf("%s-%d%v", m.Topic, m.Partition, m.Replicas)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if got != "" && (begun != "" || course.Remembered.Plan != nil) {
			t.Errorf("%s: a plan is made before it is back: %+v", name, course.Status())
		}
	}
}

func TestASwapThatCannotGoOnIsPlannedAnew(t *testing.T) {
	in := swapping(func(in *asked) {
		in.Snapshot.Partitions[1].Replicas = []int32{1, 0}
		in.Snapshot.Partitions = in.Snapshot.Partitions[:2]
	})
	c := in.look()
	in.Seen.Remembered, in.Now = c.Remembered, in.Now.Add(pause)
	if c = in.look(); c.Remembered.Plan != nil {
		t.Errorf("it waits for ever: %+v", c.Status())
	}
}

func TestAPlanIsCutBetweenTwoMovesAndNotInASwap(t *testing.T) {
	all := []balance.Move{move(0, 0, 1), move(1, 0, 1), move(2, 0, 1)}
	all[1].Paired = true
	for most, want := range map[int]int{1: 1, 2: 1, 3: 3} {
		if got := whole(all, most); len(got) != want {
			t.Errorf("of at most %d there are %d, want %d", most, len(got), want)
		}
	}
}

// Where one partition moves at a time no two can change places, and nothing of a plan may wait for that.
func TestWhereOneMovesAtATimeNoTwoChangePlaces(t *testing.T) {
	for most, want := range map[int]int{1: 0, 2: 1} {
		in := scene(func(in *asked) {
			in.Brokers = in.Brokers[:2]
			in.Snapshot.Brokers = in.Snapshot.Brokers[:2]
			in.Settings.Mode, in.Settings.MaxMoving = v1alpha1.BalancingContinuous, most
			in.Settings.Record.Spread = []int32{0, 1}
			sizes := []int64{500, 500, 350, 350}
			in.Snapshot.Partitions = nil
			dirs := [2]kafka.LoadDir{}
			for id := range dirs {
				dirs[id] = kafka.LoadDir{LogDir: kafka.LogDir{Path: "/d", TotalBytes: 4000, UsableBytes: 2400},
					Sizes: map[kafka.PartitionID]int64{}}
			}
			for i, size := range sizes {
				on := int32(i / 2)
				in.Snapshot.Partitions = append(in.Snapshot.Partitions,
					kafka.Partition{Topic: "orders", Number: int32(i), Replicas: []int32{on}, ISR: []int32{on}, Leader: on})
				dirs[on].Sizes[kafka.PartitionID{Topic: "orders", Number: int32(i)}] = size
				dirs[on].UsableBytes -= size
			}
			in.sizes = func() (map[int32][]kafka.LoadDir, error) {
				return map[int32][]kafka.LoadDir{0: {dirs[0]}, 1: {dirs[1]}}, nil
			}
		})
		c, _ := in.begins()
		pairs := 0
		for _, m := range c.Remembered.Plan.Moves {
			if m.Paired {
				pairs++
			}
		}
		if pairs != want {
			t.Errorf("of %d at a time: %+v", most, c.Remembered.Plan.Moves)
		}
		in.Seen.Remembered = c.Remembered
		in.Settings.MaxMoving = 3 - most
		if c = in.look(); c.plan != nil {
			t.Errorf("a plan for %d at a time stays one for %d", most, 3-most)
		}
	}
}
