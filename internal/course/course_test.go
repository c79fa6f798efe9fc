package course

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC) // a Monday

// asked is what a course follows from, and what whoever makes it answers where it wants to know more.
type asked struct {
	Inputs
	sizes  func() (map[int32][]kafka.LoadDir, error)
	topics func() []model.PlacedTopic // nil = no KafkaTopic places or moves anything
}

// course makes a course, and makes it anew with what it wants.
func (in asked) course(run func(*Course)) *Course {
	for asking := 0; ; asking++ {
		c := New(in.Inputs)
		run(c)
		switch {
		case !c.Wants().Any():
			return c
		case asking == 2:
			panic("it wants more and more")
		}
		if c.Wants().Topics {
			in.Seen.Topics = &model.TopicsSeen{}
			if in.topics != nil {
				in.Seen.Topics.Placed = in.topics()
			}
		}
		if c.Wants().Sizes {
			dirs, err := in.sizes()
			if in.Seen.Sizes = (&model.SizesSeen{Dirs: dirs}); err != nil {
				in.Seen.Sizes.Err = err.Error()
			}
		}
	}
}

// look makes a course of which nothing begins.
func (in asked) look() *Course { return in.course(func(*Course) {}) }

// begins makes a course, and says what begins.
func (in asked) begins() (*Course, string) {
	var text string
	c := in.course(func(c *Course) { text = begun(c) })
	return c, text
}

// begun says what begins.
func (in asked) begun() string {
	_, text := in.begins()
	return text
}

// scene is a cluster of three brokers, of which broker 2 leaves, and what is remembered of it.
func scene(change ...func(*asked)) asked {
	in := asked{Inputs: Inputs{
		Settings: model.Balancing{Mode: v1alpha1.BalancingOnScale, Tolerance: 10, MaxMoving: 50,
			Record: &v1alpha1.BalancingStatus{Spread: []int32{0, 1, 2}}},
		Brokers: []Broker{{ID: 0}, {ID: 1}, {ID: 2, Leaving: true}}, Now: noon,
		Snapshot: &kafka.Snapshot{
			Brokers: []kafka.Broker{{ID: 0}, {ID: 1}, {ID: 2}}, Reassignments: map[string]map[int32]kafka.Reassignment{},
		},
	}}
	for i := range int32(4) {
		in.Snapshot.Partitions = append(in.Snapshot.Partitions, kafka.Partition{
			Topic: "orders", Number: i, Replicas: []int32{0, 2}, ISR: []int32{0, 2}, Leader: 0,
		})
	}
	in.sizes = func() (map[int32][]kafka.LoadDir, error) {
		all := map[int32][]kafka.LoadDir{}
		for id := range int32(3) {
			dir := kafka.LoadDir{LogDir: kafka.LogDir{Path: "/d", TotalBytes: 1000, UsableBytes: 900},
				Sizes: map[kafka.PartitionID]int64{}}
			for _, p := range in.Snapshot.Partitions {
				if slices.Contains(p.Replicas, id) {
					dir.Sizes[kafka.PartitionID{Topic: p.Topic, Number: p.Number}] = 10
				}
			}
			all[id] = []kafka.LoadDir{dir}
		}
		return all, nil
	}
	for _, c := range change {
		c(&in)
	}
	return in
}

// plan has a course remember a plan of these moves for what it is about.
func remember(in *asked, some ...balance.Move) {
	c := New(in.Inputs)
	in.Seen.Remembered = model.Remembered{Plan: &balance.Plan{Moves: some}, At: in.Now, Of: c.purpose}
	for _, m := range some {
		in.Seen.Remembered.Plan.Bytes += m.Bytes
	}
}

func move(number int32, after ...int32) balance.Move {
	return balance.Move{Topic: "orders", Partition: number, Before: []int32{0, 2}, After: after, Bytes: 1 << 20,
		Reason: balance.LeavingBroker, Disk: -1}
}

func begun(c *Course) string {
	var all []string
	for _, m := range c.Begin() {
		all = append(all, fmt.Sprintf("%s-%d%v", m.Topic, m.Partition, m.Replicas))
	}
	return strings.Join(all, " ")
}

func TestNothingIsAskedWhileNothingIsDue(t *testing.T) {
	for name, change := range map[string]func(*asked){
		"every broker has its share":   func(in *asked) { in.Brokers[2].Leaving = false },
		"Off":                          func(in *asked) { in.Settings.Mode = v1alpha1.BalancingOff },
		"there is no view of Kafka":    func(in *asked) { in.Snapshot = nil },
		"the cluster is not on record": func(in *asked) { in.Settings.Record = nil },
		"a window is closed": func(in *asked) {
			in.Brokers[2].Leaving, in.Settings.Record.Spread = false, []int32{0, 1}
			in.Settings.Windows = []model.Window{{From: 22 * time.Hour, To: 4 * time.Hour}}
		},
		"Continuous has just looked": func(in *asked) {
			in.Brokers[2].Leaving, in.Settings.Mode = false, v1alpha1.BalancingContinuous
			in.Seen.Remembered.At = noon.Add(-time.Minute)
		},
	} {
		c := New(scene(change).Inputs)
		if has, why := c.Has(); has {
			t.Errorf("%s: %s", name, why)
		}
		if c.Status(); c.Wants().Any() {
			t.Errorf("%s: it wants %+v", name, c.Wants())
		}
	}
}

// Whoever is asked for the brokers may not have heard yet that a new one serves. A plan without it gives it nothing, and
// would be over at once.
func TestABrokerThatHasNotToldItsDisksYetIsWaitedFor(t *testing.T) {
	in := scene(func(in *asked) {
		in.Brokers[2].Leaving, in.Settings.Record.Spread = false, []int32{0, 1}
		whole := in.sizes
		in.sizes = func() (map[int32][]kafka.LoadDir, error) {
			loads, err := whole()
			delete(loads, 2)
			return loads, err
		}
	})
	c, got := in.begins()
	if got != "" {
		t.Errorf("%s began", got)
	}
	if got := c.Status(); !slices.Equal(got.Spread, []int32{0, 1}) || !strings.Contains(got.Message, "broker 2") {
		t.Errorf("spread %v: %s", got.Spread, got.Message)
	}
}

func TestAPlanIsDue(t *testing.T) {
	for name, change := range map[string]func(*asked){
		"a broker leaves": func(*asked) {},
		"a broker leaves while no window is open": func(in *asked) {
			in.Settings.Windows = []model.Window{{From: 22 * time.Hour, To: 4 * time.Hour}}
		},
		"a broker has come": func(in *asked) {
			in.Brokers[2].Leaving, in.Settings.Record.Spread = false, []int32{0, 1}
		},
		"Continuous has not looked for long": func(in *asked) {
			in.Brokers[2].Leaving, in.Settings.Mode = false, v1alpha1.BalancingContinuous
			in.Seen.Remembered.At = noon.Add(-time.Hour)
		},
		"other brokers than the plan was made for": func(in *asked) {
			remember(in)
			in.Brokers[1].Leaving = true
		},
	} {
		if has, _ := New(scene(change).Inputs).Has(); !has {
			t.Errorf("%s: nothing is due", name)
		}
	}
}

func TestWhatBegins(t *testing.T) {
	all := []balance.Move{move(0, 0, 1), move(1, 0, 1), move(2, 0, 1), move(3, 0, 1)}
	under := func(in *asked, number int32, to ...int32) {
		replicas := append([]int32{0, 2}, to...)
		p := &in.Snapshot.Partitions[number]
		p.Replicas = replicas
		if in.Snapshot.Reassignments["orders"] == nil {
			in.Snapshot.Reassignments["orders"] = map[int32]kafka.Reassignment{}
		}
		in.Snapshot.Reassignments["orders"][number] = kafka.Reassignment{Replicas: replicas, Adding: to, Removing: []int32{2}}
		in.Snapshot.Reassigning++
	}
	for name, c := range map[string]struct {
		change func(*asked)
		want   string
	}{
		"all at once where there is room": {func(*asked) {}, "orders-0[0 1] orders-1[0 1] orders-2[0 1] orders-3[0 1]"},
		"as many as may move":             {func(in *asked) { in.Settings.MaxMoving = 2 }, "orders-0[0 1] orders-1[0 1]"},
		"none before a fourth has room": {func(in *asked) {
			in.Settings.MaxMoving = 8
			in.Settings.Record.InFlight = nil
			for i := range int32(7) {
				in.Snapshot.Partitions = append(in.Snapshot.Partitions, kafka.Partition{Topic: "z", Number: i, Replicas: []int32{0, 1}, ISR: []int32{0}})
				if in.Snapshot.Reassignments["z"] == nil {
					in.Snapshot.Reassignments["z"] = map[int32]kafka.Reassignment{}
				}
				in.Snapshot.Reassignments["z"][i] = kafka.Reassignment{Replicas: []int32{0, 1}, Adding: []int32{1}}
				in.Settings.Record.InFlight = append(in.Settings.Record.InFlight, v1alpha1.MovingPartition{Topic: "z", Partition: i, Replicas: []int32{0, 1}})
			}
		}, ""},
		"not what is out of sync": {func(in *asked) { in.Snapshot.Partitions[0].ISR = []int32{0} },
			"orders-1[0 1] orders-2[0 1] orders-3[0 1]"},
		"not what somebody else moves": {func(in *asked) { under(in, 1, 1) }, "orders-0[0 1] orders-2[0 1] orders-3[0 1]"},
		"not what is gone":             {func(in *asked) { in.Snapshot.Partitions = in.Snapshot.Partitions[:2] }, "orders-0[0 1] orders-1[0 1]"},
		"not what somebody else has moved": {func(in *asked) { in.Snapshot.Partitions[2].Replicas = []int32{1, 0} },
			"orders-0[0 1] orders-1[0 1] orders-3[0 1]"},
		"not a topic that a KafkaTopic moves": {func(in *asked) {
			in.topics = func() []model.PlacedTopic {
				return []model.PlacedTopic{{Name: "orders", Moving: map[int32][]int32{9: {0, 1}}}}
			}
		}, ""},
		"not what waits for what is before it":       {func(in *asked) { in.Seen.Remembered.Plan.Moves[1].Waits = true }, "orders-0[0 1]"},
		"as many bytes as are copied in two minutes": {func(in *asked) { in.Settings.Rate = 20 << 10 }, "orders-0[0 1] orders-1[0 1]"},
		"nothing without the word of a person":       {func(in *asked) { in.Settings.Manual = true }, ""},
		"nothing by the word for another plan": {func(in *asked) {
			in.Settings.Manual, in.Settings.Approved = true, "0123456789"
		}, ""},
		"all by the word for this plan": {func(in *asked) {
			in.Settings.Manual, in.Settings.Approved = true, in.Seen.Remembered.Plan.Hash()
		}, "orders-0[0 1] orders-1[0 1] orders-2[0 1] orders-3[0 1]"},
	} {
		in := scene(func(in *asked) { remember(in, slices.Clone(all)...) }, c.change)
		if got := in.begun(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestTheSecondMoveOfAPartitionWaitsForTheFirst(t *testing.T) {
	first, second := move(0, 0, 1), move(0, 3, 1)
	second.Before = []int32{0, 1}
	in := scene(func(in *asked) { remember(in, first, second) })
	if got := in.begun(); got != "orders-0[0 1]" {
		t.Error(got)
	}
	in.Snapshot.Partitions[0].Replicas, in.Snapshot.Partitions[0].ISR = []int32{0, 1}, []int32{0, 1}
	if got := in.begun(); got != "orders-0[3 1]" {
		t.Error(got)
	}
}

func TestHowFarItIsIsTold(t *testing.T) {
	in := scene(func(in *asked) { remember(in, move(0, 0, 1), move(1, 0, 1), move(2, 0, 1), move(3, 0, 1)) })
	in.Snapshot.Partitions[0].Replicas = []int32{0, 1}
	started := noon.Add(-time.Minute)
	in.Settings.Record.StartedAt = &metav1.Time{Time: started}
	in.Settings.Record.InFlight = []v1alpha1.MovingPartition{{Topic: "orders", Partition: 0, Replicas: []int32{0, 1}}}
	c := in.look()
	if got := c.Text(); got != "balancing: 1 of 4 moves, 1.0 of 4.0 MiB, 25%, about 3 min left" {
		t.Error(got)
	}
	if text, stuck := c.Leaving(2); stuck || !strings.HasPrefix(text, "node 2 leaves once its 3 partitions are elsewhere: balancing: 1 of 4") {
		t.Error(text, stuck)
	}
	if len(c.Ended()) != 1 {
		t.Errorf("ended: %v", c.Ended())
	}
}

func TestAKafkaTopicsRacksHoldWhenItsBrokerLeaves(t *testing.T) {
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
		all[3] = []kafka.LoadDir{{LogDir: kafka.LogDir{Path: "/d", TotalBytes: 1000, UsableBytes: 1000}}}
		return all, err
	}
	if got := in.begun(); got != "orders-0[0 3] orders-1[0 3] orders-2[0 3] orders-3[0 3]" {
		t.Error(got)
	}
	in.Brokers, in.Snapshot.Brokers = in.Brokers[:3], in.Snapshot.Brokers[:3]
	c, got := in.begins()
	if got != "" || !strings.Contains(strings.Join(c.Status().Stuck, "\n"), `no broker is in rack "b"`) {
		t.Errorf("%s %+v", got, c.Status())
	}
}

func TestExcludedTopicsAreLeftWhereTheyAre(t *testing.T) {
	for _, exclude := range []string{"orders", "ord*", "*"} {
		in := scene(func(in *asked) { in.Settings.Exclude = []string{"other", exclude} })
		if got := in.begun(); got != "" {
			t.Errorf("%s: %s", exclude, got)
		}
	}
}

func TestASilentBrokerIsWaitedFor(t *testing.T) {
	in := scene(func(in *asked) {
		in.sizes = func() (map[int32][]kafka.LoadDir, error) { return nil, errors.New("broker 1 does not answer") }
	})
	c, got := in.begins()
	if got != "" || c.Text() != "balancing waits: broker 1 does not answer" {
		t.Error(got, c.Text())
	}
}

func TestLogDirectoriesThatShareAFileSystemAreOneDisk(t *testing.T) {
	dir := func(path string, total, usable, size int64) kafka.LoadDir {
		return kafka.LoadDir{LogDir: kafka.LogDir{Path: path, TotalBytes: total, UsableBytes: usable},
			Sizes: map[kafka.PartitionID]int64{{Topic: path}: size}}
	}
	for name, c := range map[string]struct {
		dirs   []kafka.LoadDir
		claims map[string]int64
		want   string
	}{
		"one disk":                        {[]kafka.LoadDir{dir("a", 100, 60, 40)}, nil, "a 100 60"},
		"a claim smaller than its disk":   {[]kafka.LoadDir{dir("a", 100, 60, 10)}, map[string]int64{"a": 30}, "a 30 20"},
		"a claim that Kafka has outgrown": {[]kafka.LoadDir{dir("a", 100, 60, 40)}, map[string]int64{"a": 30}, "a 30 0"},
		"two disks":                       {[]kafka.LoadDir{dir("a", 100, 60, 40), dir("b", 100, 50, 50)}, nil, "a 100 60; b 100 50"},
		"two folders of one disk":         {[]kafka.LoadDir{dir("a", 100, 50, 40), dir("b", 100, 50, 10)}, nil, "a 100 50"},
		"two claims on one disk": {[]kafka.LoadDir{dir("a", 100, 50, 40), dir("b", 100, 50, 10)},
			map[string]int64{"a": 45, "b": 20}, "a 65 15"},
		"a disk that has failed":             {[]kafka.LoadDir{{LogDir: kafka.LogDir{Path: "a", Error: kafka.ErrorStorage}}}, nil, ""},
		"a broker that does not say":         {[]kafka.LoadDir{dir("a", -1, -1, 10)}, map[string]int64{"a": 30}, "a 30 20"},
		"two of which a broker says nothing": {[]kafka.LoadDir{dir("a", -1, -1, 10), dir("b", -1, -1, 10)}, map[string]int64{"a": 30, "b": 40}, "a 30 20; b 40 30"},
	} {
		disks, _ := disksOf(c.dirs, c.claims, nil)
		var got []string
		for _, d := range disks {
			got = append(got, fmt.Sprint(d.Path, " ", d.Capacity, " ", d.Free))
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}
