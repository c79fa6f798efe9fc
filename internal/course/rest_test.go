package course

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// crowded is a cluster to which broker 2 was added, with so many partitions that one plan does not even it out.
func crowded() asked {
	return scene(func(in *asked) {
		in.Brokers[2].Leaving, in.Settings.Record.Spread = false, []int32{0, 1}
		in.Snapshot.Partitions = nil
		for i := range int32(6000) {
			in.Snapshot.Partitions = append(in.Snapshot.Partitions, kafka.Partition{
				Topic: "orders", Number: i, Replicas: []int32{0, 1}, ISR: []int32{0, 1}, Leader: 0})
		}
		in.sizes = func() (map[int32][]kafka.LoadDir, error) {
			all := map[int32][]kafka.LoadDir{}
			for id := range int32(3) {
				all[id] = []kafka.LoadDir{{LogDir: kafka.LogDir{Path: "/d", TotalBytes: 1 << 30, UsableBytes: 1 << 30}}}
			}
			return all, nil
		}
	})
}

// arrive carries a plan out at once.
func arrive(in *asked, c *Course) {
	in.Seen.Remembered = c.Remembered
	for _, m := range c.Remembered.Plan.Moves {
		for i := range in.Snapshot.Partitions {
			if p := &in.Snapshot.Partitions[i]; p.Topic == m.Topic && p.Number == m.Partition {
				p.Replicas, p.ISR = m.After, m.After
			}
		}
	}
	in.Now = in.Now.Add(time.Minute)
}

func TestABrokerHasItsShareOnceTheRestOfAPlanThatWasTooLongHasFollowed(t *testing.T) {
	in := crowded()
	for plans := 1; ; plans++ {
		c, some := in.begins()
		if has, _ := c.Has(); !has || some == "" {
			t.Fatalf("plan %d is not made: %+v", plans, c.Status())
		}
		arrive(&in, c)
		status := in.look().Status()
		if len(status.Spread) == 3 {
			if plans < 2 {
				t.Error("one plan has all moves: this proves nothing")
			}
			break
		}
		if status.Phase != v1alpha1.BalancingHeldBack {
			t.Errorf("between two plans: %+v", status)
		}
		if plans == 5 {
			t.Fatal("it never ends")
		}
	}
	held := 0
	for _, p := range in.Snapshot.Partitions {
		for _, id := range p.Replicas {
			if id == 2 {
				held++
			}
		}
	}
	if held < 3000 {
		t.Errorf("broker 2 holds %d of 12000 replicas", held)
	}
}

func TestRoomIsKeptForWhatIsUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		there int64 // what the new replica has so far
		want  string
	}{
		"nothing is there":      {0, ""},
		"nearly all is there":   {190, "orders-1[0 1]"},
		"more than is expected": {999, "orders-1[0 1]"},
	} {
		in := scene(func(in *asked) {
			in.Snapshot.Partitions = in.Snapshot.Partitions[:2]
			in.Snapshot.Partitions[0].Replicas = []int32{0, 1, 2}
			in.Snapshot.Reassignments["orders"] = map[int32]kafka.Reassignment{
				0: {Replicas: []int32{0, 1, 2}, Adding: []int32{1}, Removing: []int32{2}}}
			in.sizes = func() (map[int32][]kafka.LoadDir, error) {
				all := map[int32][]kafka.LoadDir{}
				for id := range int32(3) {
					sizes := map[kafka.PartitionID]int64{{Topic: "orders", Number: 0}: 200, {Topic: "orders", Number: 1}: 200}
					if id == 1 {
						sizes = map[kafka.PartitionID]int64{{Topic: "orders", Number: 0}: c.there}
					}
					all[id] = []kafka.LoadDir{{LogDir: kafka.LogDir{Path: "/d", TotalBytes: 2000, UsableBytes: 600}, Sizes: sizes}}
				}
				return all, nil
			}
		})
		course, got := in.begins()
		if got != c.want {
			t.Errorf("%s: %q, want %q; %+v", name, got, c.want, course.Status())
		}
	}
}

func TestNoRoomOnTheBrokersOfItsRacks(t *testing.T) {
	for name, c := range map[string]struct {
		free int64
		want string
	}{
		"for all":                         {1000, "orders-0[0 3] orders-1[0 3] orders-2[0 3] orders-3[0 3]"},
		"for two, which both are counted": {170, "orders-0[0 3] orders-1[0 3]"},
		"for none":                        {155, ""},
	} {
		in := scene(func(in *asked) {
			in.Brokers = append(in.Brokers, Broker{ID: 3})
			in.Snapshot.Brokers = []kafka.Broker{{ID: 0, Rack: "a"}, {ID: 1, Rack: "a"}, {ID: 2, Rack: "b"}, {ID: 3, Rack: "b"}}
			in.topics = func() []model.PlacedTopic {
				return []model.PlacedTopic{{Name: "orders", Factor: 2, Racks: []string{"a", "b"}}}
			}
		})
		loads := in.sizes
		in.sizes = func() (map[int32][]kafka.LoadDir, error) {
			all, err := loads()
			all[3] = []kafka.LoadDir{{LogDir: kafka.LogDir{Path: "/d", TotalBytes: 1000, UsableBytes: c.free}}}
			return all, err
		}
		course, got := in.begins()
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		stuck := strings.Join(course.Status().Stuck, "\n")
		if some := len(strings.Fields(c.want)) < 8; some != strings.Contains(stuck, "orders-3 on broker 2: no disk of broker 3 stays below 85% of its capacity") {
			t.Errorf("%s: stuck is %q", name, stuck)
		}
		if strings.Contains(stuck, "KafkaTopic places it") {
			t.Errorf("%s: what is stuck is told twice: %q", name, stuck)
		}
	}
}

func TestABrokerOfWhoseDisksNothingIsKnownTakesNoPlacedReplica(t *testing.T) {
	in := scene(func(in *asked) {
		in.topics = func() []model.PlacedTopic {
			return []model.PlacedTopic{{Name: "orders", Factor: 2, Racks: []string{"a"}}}
		}
		for i := range in.Snapshot.Brokers {
			in.Snapshot.Brokers[i].Rack = "a"
		}
	})
	loads := in.sizes
	in.sizes = func() (map[int32][]kafka.LoadDir, error) {
		all, err := loads()
		delete(all, 1)
		return all, err
	}
	if got := in.begun(); got != "" {
		t.Error(got)
	}
}

func TestNoMoreBytesBeginThanAreCopiedInTwoMinutes(t *testing.T) {
	all := []balance.Move{move(0, 0, 1), move(1, 0, 1), move(2, 0, 3), move(3, 0, 1)}
	const mib = 1 << 20
	flies := func(in *asked) {
		in.Snapshot.Partitions[0].Replicas = []int32{0, 2, 1}
		in.Snapshot.Reassignments["orders"] = map[int32]kafka.Reassignment{
			0: {Replicas: []int32{0, 2, 1}, Adding: []int32{1}, Removing: []int32{2}}}
		in.Settings.Record.InFlight = []v1alpha1.MovingPartition{{Topic: "orders", Partition: 0, Replicas: []int32{0, 1}}}
		in.Settings.MaxMoving = 4
	}
	for name, c := range map[string]struct {
		change func(*asked)
		want   string
	}{
		"by the operator's word": {func(in *asked) { in.Seen.Rate = mib / 60 * 3 / 2 }, "orders-0[0 1] orders-1[0 1] orders-2[0 3]"},
		"by the cluster's, before the operator's": {func(in *asked) {
			in.Seen.Rate, in.Settings.Rate = 1, mib/60*3/2
		}, "orders-0[0 1] orders-1[0 1] orders-2[0 3]"},
		"to each broker by itself, and one at least": {func(in *asked) { in.Seen.Rate = 1 }, "orders-0[0 1] orders-2[0 3]"},
		"nothing overtakes what is too large for now": {func(in *asked) {
			in.Seen.Rate = mib / 60
			in.Seen.Remembered.Plan.Moves[3].Bytes = 1
		}, "orders-0[0 1] orders-2[0 3]"},
		"what is under way counts": {func(in *asked) {
			flies(in)
			in.Seen.Rate = mib / 60 * 3 / 2
		}, "orders-1[0 1] orders-2[0 3]"},
		"what was under way before the plan counts": {func(in *asked) {
			flies(in)
			in.Seen.Rate = mib / 60 * 3 / 2
			in.Seen.Remembered.Plan.Moves = all[1:]
			in.Seen.Remembered.Before = map[kafka.PartitionID]int64{{Topic: "orders", Number: 0}: 3 * mib}
		}, "orders-2[0 3]"},
	} {
		in := scene(func(in *asked) { remember(in, slices.Clone(all)...) }, c.change)
		if got := in.begun(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestThePlanKnowsHowLargeIsWhatIsUnderWay(t *testing.T) {
	in := scene(func(in *asked) {
		in.Snapshot.Reassignments["orders"] = map[int32]kafka.Reassignment{
			0: {Replicas: []int32{0, 2, 1}, Adding: []int32{1}, Removing: []int32{2}}}
		in.Settings.Record.InFlight = []v1alpha1.MovingPartition{{Topic: "orders", Partition: 0, Replicas: []int32{0, 1}}}
		in.Settings.MaxMoving = 4
	})
	c, _ := in.begins()
	if got := c.Remembered.Before[kafka.PartitionID{Topic: "orders", Number: 0}]; got != 10 {
		t.Errorf("%+v", c.Remembered)
	}
}

func TestAPlanThatCannotGoOnIsMadeAnew(t *testing.T) {
	in := scene(func(in *asked) {
		remember(in, move(0, 0, 1))
		in.Snapshot.Partitions = in.Snapshot.Partitions[:1]
		in.Snapshot.Partitions[0].Replicas = []int32{0, 2, 1} // somebody has ended the move in the middle
		in.Seen.Remembered.At = noon.Add(-time.Hour)
	})
	c := in.look()
	if has, why := c.Has(); has {
		t.Error("at once, though Kafka may just have ended the move:", why)
	}
	in.Seen.Remembered, in.Now = c.Remembered, in.Now.Add(pause-time.Second)
	c = in.look()
	if has, why := c.Has(); has {
		t.Error("before the pause is over:", why)
	}
	in.Seen.Remembered, in.Now = c.Remembered, in.Now.Add(time.Second)
	c = in.look()
	if has, _ := c.Has(); !has {
		t.Error("it waits for ever")
	}
	if c, _ = in.begins(); !c.Remembered.At.Equal(in.Now) {
		t.Errorf("no plan follows: %+v", c.Status())
	}
}

func TestAPlanThatGoesOnAgainIsNotMadeAnew(t *testing.T) {
	in := scene(func(in *asked) { remember(in, move(0, 0, 1)) })
	hash := in.Seen.Remembered.Plan.Hash()
	in.Snapshot.Partitions[0].Replicas = []int32{0, 2, 1}
	c := in.look()
	in.Snapshot.Partitions[0].Replicas = []int32{0, 2}
	in.Seen.Remembered, in.Now = c.Remembered, in.Now.Add(time.Hour)
	c = in.look()
	in.Snapshot.Partitions[0].Replicas = []int32{0, 2, 1}
	in.Seen.Remembered, in.Now = c.Remembered, in.Now.Add(time.Second)
	if c = in.look(); c.Remembered.Plan == nil || c.Remembered.Plan.Hash() != hash {
		t.Errorf("%+v", c.Remembered)
	}
}

func TestOffRemembersWhichBrokersHaveTheirShare(t *testing.T) {
	off := func(in *asked) { in.Settings.Mode = v1alpha1.BalancingOff }
	in := scene(off, func(in *asked) {
		in.Brokers = append(in.Brokers, Broker{ID: 3})
		in.Settings.Record = &v1alpha1.BalancingStatus{Phase: v1alpha1.BalancingMoving, Message: "balancing: 1 of 2 moves",
			Hash: "h", MovesDone: 1, MovesLeft: 1, Spread: []int32{0, 1, 2}, Stuck: []string{"a"}}
	})
	c := in.look()
	got := c.Status()
	want := &v1alpha1.BalancingStatus{Phase: v1alpha1.BalancingIdle, Spread: []int32{0, 1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if has, _ := c.Has(); has || c.UnderWay() || len(c.Begin()) > 0 {
		t.Error("something begins")
	}
	in.Settings.Record = got
	if again := in.look().Status(); !reflect.DeepEqual(again, want) {
		t.Errorf("at rest it changes: %+v", again)
	}
	in.Settings.Mode = v1alpha1.BalancingOnScale
	in.Brokers = slices.DeleteFunc(in.Brokers, func(b Broker) bool { return b.Leaving })
	if has, why := in.look().Has(); !has || why != "broker 3 gets its share" {
		t.Errorf("after Off: %t %s", has, why)
	}
	if got := New(scene(off, func(in *asked) { in.Settings.Record = nil }).Inputs).Status(); got != nil {
		t.Errorf("with Off from the start: %+v", got)
	}
}

// A cluster that starts begins with all of its brokers: those that come up last were not added.
func TestNothingIsOnRecordBeforeAllBrokersServe(t *testing.T) {
	for name, change := range map[string]func(*kafka.Snapshot){
		"one is not there yet":       func(s *kafka.Snapshot) { s.Brokers = s.Brokers[:1] },
		"one is fenced":              func(s *kafka.Snapshot) { s.Brokers[1].Fenced = true },
		"one that leaves is missing": func(s *kafka.Snapshot) { s.Brokers = s.Brokers[:2] },
	} {
		in := scene(func(in *asked) {
			in.Settings.Record = nil
			change(in.Snapshot)
		})
		status := in.look().Status()
		if complete := name == "one that leaves is missing"; complete != (status != nil) ||
			complete && !slices.Equal(status.Spread, []int32{0, 1}) {
			t.Errorf("%s: %+v", name, status)
		}
	}
}

func TestATopicWithAThrottleThatDoesNotNameItIsLeftForAWhileAndTold(t *testing.T) {
	in := scene(func(in *asked) {
		other := move(1, 0, 1)
		other.Topic = "other"
		p := in.Snapshot.Partitions[1]
		p.Topic = "other"
		in.Snapshot.Partitions = append(in.Snapshot.Partitions, p)
		remember(in, move(0, 0, 1), other)
		in.Seen.Unnamed = map[string]time.Time{"orders": noon.Add(time.Second)}
	})
	c, got := in.begins()
	if got != "other-1[0 1]" {
		t.Error(got)
	}
	if message := c.Status().Message; !strings.Contains(message, "; topic orders does not move: somebody else has set") {
		t.Error(message)
	}
	in.Now = in.Now.Add(time.Minute)
	if got := in.begun(); got != "orders-0[0 1] other-1[0 1]" {
		t.Error("later:", got)
	}
}

// Each attempt is written to the status twice, and asks Kafka for what it has just refused.
func TestWhatKafkaHasRefusedIsLeftForAWhileAndTold(t *testing.T) {
	for name, refused := range map[string]balance.Move{"to a broker": move(0, 0, 1), "between disks": within(1, "/e", "/f")} {
		in := scene(func(in *asked) {
			if refused.Within() {
				withDisks(in)
			}
			remember(in, refused, move(2, 0, 1))
			in.Seen.Refused = map[kafka.PartitionID]model.RefusedMove{
				id(refused.Partition): {Times: 1, Until: noon.Add(time.Second), Why: "KAFKA_STORAGE_ERROR"}}
		})
		c, got := in.begins()
		if got != "orders-2[0 1]" {
			t.Errorf("%s: %q begins", name, got)
		}
		want := fmt.Sprintf("; Kafka refuses to move orders-%d, and is asked again within ten minutes: KAFKA_STORAGE_ERROR",
			refused.Partition)
		if message := c.Status().Message; !strings.HasSuffix(message, want) {
			t.Errorf("%s: %s", name, message)
		}
		in.Now = in.Now.Add(time.Second)
		if got := in.begun(); !strings.HasPrefix(got, fmt.Sprintf("orders-%d[", refused.Partition)) {
			t.Errorf("%s, later: %q begins", name, got)
		}
	}
}

func TestABrokerThatSomebodyHasCordonedTakesNothingAndGetsItsShareLater(t *testing.T) {
	in := scene(func(in *asked) { in.Brokers[1].Cordoned = true })
	if got := in.begun(); got != "" {
		t.Error("the only one that could take it is cordoned:", got)
	}
	in = crowded()
	in.Brokers[2].Cordoned = true
	if has, why := in.look().Has(); has {
		t.Error(why)
	}
	in.Brokers, in.Settings.Record.Spread = append(in.Brokers, Broker{ID: 3}), []int32{0, 1}
	in.Snapshot.Partitions = in.Snapshot.Partitions[:30]
	in.Snapshot.Brokers = append(in.Snapshot.Brokers, kafka.Broker{ID: 3})
	loads := in.sizes
	in.sizes = func() (map[int32][]kafka.LoadDir, error) {
		all, err := loads()
		all[3] = all[0]
		return all, err
	}
	c, got := in.begins()
	if got == "" || strings.Contains(got, "2]") || strings.Contains(got, "[2") {
		t.Error(got)
	}
	arrive(&in, c)
	status := in.look().Status()
	if !slices.Equal(status.Spread, []int32{0, 1, 3}) {
		t.Errorf("%+v", status)
	}
	in.Settings.Record, in.Brokers[2].Cordoned = status, false
	if has, why := in.look().Has(); !has || why != "broker 2 gets its share" {
		t.Error(has, why)
	}
}
