package course

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// disk is the one disk of a broker that holds nothing.
func disk(total, free int64) []kafka.LoadDir {
	return []kafka.LoadDir{{LogDir: kafka.LogDir{Path: "/d", TotalBytes: total, UsableBytes: free}}}
}

// loaded has the only partition be so large, and every broker's disk have so much room.
func loaded(in *asked, size, total, free int64) {
	in.Snapshot.Partitions = in.Snapshot.Partitions[:1]
	in.sizes = func() (map[int32][]kafka.LoadDir, error) {
		all := map[int32][]kafka.LoadDir{}
		for _, b := range in.Snapshot.Brokers {
			all[b.ID] = disk(total, free)
		}
		for _, id := range in.Snapshot.Partitions[0].Replicas {
			all[id][0].Sizes = map[kafka.PartitionID]int64{{Topic: "orders"}: size}
		}
		return all, nil
	}
}

const tib = 1 << 40

// What a user reads in status.balancing.message of a cluster whose broker 2 leaves, in whatever is odd about it.
func TestWhatAUserReads(t *testing.T) {
	hash := func() string {
		c, _ := scene().begins()
		return c.Remembered.Plan.Hash()
	}()
	for name, c := range map[string]struct {
		change func(*asked)
		begins int
		phase  v1alpha1.BalancingPhase
		want   string
	}{
		"it begins": {func(*asked) {}, 4, v1alpha1.BalancingMoving, "balancing: 0 of 4 moves, 0 of 40 B, 0%"},
		"its approval is waited for": {func(in *asked) { in.Settings.Manual = true }, 0, v1alpha1.BalancingPlanned,
			"balancing waits for approval: 4 moves, 40 B; annotate kafka.castellan.dev/approve-balance=" + hash},
		"another plan was approved": {func(in *asked) { in.Settings.Manual, in.Settings.Approved = true, "4f3a90c1d2" }, 0,
			v1alpha1.BalancingPlanned, "balancing waits for approval: 4 moves, 40 B; annotate " +
				"kafka.castellan.dev/approve-balance=" + hash},
		"this very plan was approved": {func(in *asked) { in.Settings.Manual, in.Settings.Approved = true, hash }, 4,
			v1alpha1.BalancingMoving, "balancing: 0 of 4 moves, 0 of 40 B, 0%"},
		"its topic is left alone": {func(in *asked) { in.Settings.Exclude = []string{"ord*"} }, 0,
			v1alpha1.BalancingHeldBack, "balancing: broker 2 leaves, and cannot be emptied: orders-0 on broker 2: spec.balancing.excludeTopics " +
				"has its topic; take that out, or move it yourself; and 3 more"},
		"somebody's reassignment never ends": {func(in *asked) {
			in.Snapshot.Partitions = in.Snapshot.Partitions[:1]
			in.Snapshot.Partitions[0].Replicas = []int32{0, 2, 7}
			in.Snapshot.Reassignments["orders"] = map[int32]kafka.Reassignment{
				0: {Replicas: []int32{0, 2, 7}, Adding: []int32{7}}}
		}, 0, v1alpha1.BalancingHeldBack, "balancing: broker 2 leaves, and cannot be emptied: orders-0 on broker 2: a reassignment of it has not " +
			"ended; wait for that, or cancel it with kafka-reassign-partitions --cancel"},
		"somebody's reassignment of another never ends": {func(in *asked) {
			in.Snapshot.Reassignments["z"] = map[int32]kafka.Reassignment{3: {Replicas: []int32{0, 1}, Adding: []int32{1}}}
		}, 4, v1alpha1.BalancingMoving, "balancing: 0 of 4 moves, 0 of 40 B, 0%; a reassignment of z-3 that somebody else has " +
			"begun is left alone"},
		"a KafkaTopic moves it": {func(in *asked) {
			in.topics = func() []model.PlacedTopic {
				return []model.PlacedTopic{{Name: "orders", Moving: map[int32][]int32{9: {0, 1}}}}
			}
		}, 0, v1alpha1.BalancingHeldBack, "balancing: broker 2 leaves, and cannot be emptied: orders-0 on broker 2: KafkaTopic orders moves " +
			"replicas of its topic; wait until they have arrived; and 3 more"},
		"one partition has 2 TiB": {func(in *asked) {
			loaded(in, 2*tib, 16*tib, 10*tib)
			in.Settings.Rate = 1 << 20
		}, 1, v1alpha1.BalancingMoving, "balancing: 0 of 1 move, 0.0 of 2.0 TiB, 0%"},
		"one partition of 2 TiB fits nowhere": {func(in *asked) { loaded(in, 2*tib, 4*tib, tib) }, 0, v1alpha1.BalancingHeldBack,
			"balancing: broker 2 leaves, and cannot be emptied: orders-0 on broker 2: no disk of a broker that may have it stays below 85% of " +
				"its capacity; 1.6 TiB are lacking: enlarge the disks, add brokers, or keep less data"},
		"as many brokers stay as the topic has replicas, and one takes nothing": {func(in *asked) {
			in.Brokers[1].Cordoned = true
		}, 0, v1alpha1.BalancingHeldBack, "balancing: broker 2 leaves, and cannot be emptied: orders-0 on broker 2: every broker that takes " +
			"replicas has one of the partition already; add a broker, or lower the topic's replication factor; and 3 more"},
		"fewer brokers stay than the topic has replicas": {func(in *asked) {
			in.Brokers[1].Leaving = true
			in.Snapshot.Partitions = in.Snapshot.Partitions[:1]
		}, 0, v1alpha1.BalancingHeldBack, "balancing: broker 2 leaves, and cannot be emptied: orders-0 on broker 2: every broker that takes " +
			"replicas has one of the partition already; add a broker, or lower the topic's replication factor"},
		"its rack has no broker any more, and another takes it": {func(in *asked) {
			for i, rack := range []string{"a", "a", "b"} {
				in.Snapshot.Brokers[i].Rack = rack
			}
		}, 4, v1alpha1.BalancingMoving, "balancing: 0 of 4 moves, 0 of 40 B, 0%"},
		"its rack has too few brokers for where its KafkaTopic places it": {func(in *asked) {
			for i, rack := range []string{"b", "a", "a"} {
				in.Snapshot.Brokers[i].Rack = rack
			}
			in.topics = func() []model.PlacedTopic {
				return []model.PlacedTopic{{Name: "orders", Factor: 2, Racks: []string{"b"}}}
			}
		}, 0, v1alpha1.BalancingHeldBack, "balancing: broker 2 leaves, and cannot be emptied: orders-0 on broker 2: KafkaTopic orders: "},
		"a broker does not say what it holds": {func(in *asked) {
			in.sizes = func() (map[int32][]kafka.LoadDir, error) { return nil, errTold("broker 1 does not answer") }
		}, 0, v1alpha1.BalancingHeldBack, "balancing waits: broker 1 does not answer"},
	} {
		course, begins := scene(c.change).begins()
		status := course.Status()
		if n := len(strings.Fields(begins)) / 2; n != c.begins {
			t.Errorf("%s: %d begin (%s), want %d", name, n, begins, c.begins)
		}
		if status.Phase != c.phase || !strings.HasPrefix(status.Message, c.want) {
			t.Errorf("%s: %s, %q; want %s, %q", name, status.Phase, status.Message, c.phase, c.want)
		}
	}
}

type errTold string

func (e errTold) Error() string { return string(e) }

func TestABrokerThatIsDownIsWhatIsWaitedFor(t *testing.T) {
	c := New(scene().Inputs)
	c.Hold("broker 1 is fenced")
	if got := c.Status(); got.Phase != v1alpha1.BalancingHeldBack || got.Message != "balancing waits: broker 1 is fenced" {
		t.Errorf("%+v", got)
	}
	if text, stuck := c.Leaving(2); stuck ||
		text != "node 2 leaves once its 4 partitions are elsewhere: balancing waits: broker 1 is fenced" {
		t.Error(text, stuck)
	}
}

// What is under way to a broker that is down waits for it, and nothing else says so: all that may move at a time does.
func TestABrokerThatIsDownIsNamedWhileReplicasAreOnTheirWayToIt(t *testing.T) {
	in := scene(func(in *asked) {
		p := &in.Snapshot.Partitions[0]
		p.Replicas = []int32{0, 2, 1}
		in.Snapshot.Reassignments["orders"] = map[int32]kafka.Reassignment{
			0: {Replicas: p.Replicas, Adding: []int32{1}, Removing: []int32{2}}}
		in.Settings.Record.InFlight = []v1alpha1.MovingPartition{{Topic: "orders", Partition: 0, Replicas: []int32{0, 1}}}
	})
	const says = "; orders-0 waits for broker 1, which is down"
	for _, down := range []bool{false, true} {
		in.Snapshot.Brokers[1].Fenced = down
		got := New(in.Inputs).Status()
		if got.Phase != v1alpha1.BalancingMoving || strings.HasSuffix(got.Message, says) != down {
			t.Errorf("down %t: %s", down, got.Message)
		}
	}
}

// A tolerance of 0 asks for what sizes allow, and then nothing moves any more, however odd they are.
func TestAToleranceOfNothingEnds(t *testing.T) {
	in := scene(func(in *asked) {
		in.Brokers[2].Leaving = false
		in.Settings.Mode, in.Settings.Tolerance = v1alpha1.BalancingContinuous, 0
		in.sizes = func() (map[int32][]kafka.LoadDir, error) {
			all := map[int32][]kafka.LoadDir{0: disk(1000, 1000), 1: disk(1000, 1000), 2: disk(1000, 1000)}
			for _, dirs := range all {
				dirs[0].Sizes = map[kafka.PartitionID]int64{}
			}
			for _, p := range in.Snapshot.Partitions {
				for _, id := range p.Replicas {
					size := int64(7 + 13*p.Number)
					all[id][0].Sizes[kafka.PartitionID{Topic: p.Topic, Number: p.Number}] = size
					all[id][0].UsableBytes -= size
				}
			}
			return all, nil
		}
	})
	for plans := 0; ; plans++ {
		c, begins := in.begins()
		if begins == "" {
			if plans == 0 {
				t.Error("nothing was uneven: this proves nothing")
			}
			if got := c.Status(); got.Phase != v1alpha1.BalancingIdle || got.Message != "" {
				t.Errorf("at rest: %+v", got)
			}
			return
		}
		if plans == 10 {
			t.Fatal("it never ends: ", begins)
		}
		for {
			c, begins = in.begins()
			in.Seen.Remembered = c.Remembered
			for _, m := range c.begun {
				p := &in.Snapshot.Partitions[slices.IndexFunc(in.Snapshot.Partitions, func(p kafka.Partition) bool {
					return p.Number == m.Partition
				})]
				p.Replicas, p.ISR = m.Replicas, m.Replicas
			}
			if begins == "" {
				break
			}
		}
		in.Now = in.Now.Add(every + time.Minute)
	}
}

// How large a plan is and how long it takes is there before anybody approves it.
func TestAPlanThatWaitsForApprovalSaysHowMuchItIs(t *testing.T) {
	c, _ := scene(func(in *asked) { in.Settings.Manual = true }).begins()
	got := c.Status()
	if got.Hash != c.Remembered.Plan.Hash() || got.MovesLeft != 4 || got.BytesLeft != 40 || got.PlannedAt == nil ||
		got.StartedAt != nil || len(got.InFlight) > 0 {
		t.Errorf("%+v", got)
	}
	other := balance.Plan{Moves: c.Remembered.Plan.Moves[1:]}
	if other.Hash() == got.Hash {
		t.Error("another plan has the same name")
	}
}
