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

// nightly is a cluster to which broker 2 was added, at night, when brokers may be evened out on a person's word.
func nightly(change ...func(*asked)) asked {
	in := crowded()
	in.Snapshot.Partitions = in.Snapshot.Partitions[:12]
	in.Settings.Windows, in.Settings.Manual = []model.Window{{From: 22 * time.Hour, To: 4 * time.Hour}}, true
	in.Now = noon.Add(12 * time.Hour)
	for _, c := range change {
		c(&in)
	}
	return in
}

func TestAnApprovedPlanOutlivesItsWindow(t *testing.T) {
	in := nightly()
	c, got := in.begins()
	if got != "" || c.Remembered.Plan == nil {
		t.Fatal(got, c.Status())
	}
	hash := c.Remembered.Plan.Hash()
	in.Settings.Approved, in.Settings.MaxMoving = hash, 2
	in.Seen.Remembered = c.Remembered
	in.Now = noon.Add(20 * time.Hour)
	if c, got = in.begins(); got != "" || c.UnderWay() {
		t.Errorf("by day: %s", got)
	}
	if s := c.Status(); s.Hash != hash || s.Message != "balancing: broker 2 gets its share, once a window opens (22:00 to 04:00 UTC)" {
		t.Errorf("by day: %+v", s)
	}
	in.Seen.Remembered = c.Remembered
	in.Now = noon.Add(34*time.Hour + 5*time.Minute)
	if c, got = in.begins(); strings.Count(got, "orders-") != 2 || c.Remembered.Plan.Hash() != hash {
		t.Errorf("the next night: %+v", c.Status())
	}
}

// An operator that takes over remembers no plan. It makes the same one, of sizes that may have changed a little, so the
// word that a person gave to the operator before it holds.
func TestAnApprovalOutlivesTheOperatorThatShowedThePlan(t *testing.T) {
	in := nightly()
	c, _ := in.begins()
	hash := c.Status().Hash
	in.Settings.Approved, in.Settings.Record, in.Settings.MaxMoving = hash, c.Status(), 2
	in.Seen.Remembered, in.Now = model.Remembered{}, in.Now.Add(time.Minute)
	loads := in.sizes
	in.sizes = func() (map[int32][]kafka.LoadDir, error) {
		all, err := loads()
		for id := range all {
			for i := range all[id] {
				all[id][i].UsableBytes -= 10
			}
		}
		return all, err
	}
	c, got := in.begins()
	if strings.Count(got, "orders-") != 2 || c.Status().Hash != hash {
		t.Errorf("%q begins; %+v", got, c.Status())
	}

	// In the middle another plan follows, which is not the one that was approved.
	in.Snapshot.Partitions[0].Replicas, in.Snapshot.Partitions[0].ISR = []int32{2, 1}, []int32{2, 1}
	c, got = in.begins()
	if s := c.Status(); got != "" || s.Hash == hash || s.Phase != v1alpha1.BalancingPlanned ||
		!strings.Contains(s.Message, s.Hash) {
		t.Errorf("in the middle: %q begins; %+v", got, c.Status())
	}
}

func TestAPlanThatNobodyApprovesIsMadeAnewEachDay(t *testing.T) {
	in := nightly()
	c, _ := in.begins()
	in.Seen.Remembered = c.Remembered
	in.Now = in.Now.Add(24*time.Hour - time.Minute)
	if has, _ := in.look().Has(); has {
		t.Error("too early")
	}
	in.Now = in.Now.Add(time.Minute)
	if c = in.look(); !isDue(c) {
		t.Error("never")
	}
	if c, _ = in.begins(); !c.Remembered.At.Equal(in.Now) {
		t.Errorf("%+v", c.Remembered)
	}
}

func isDue(c *Course) bool { has, _ := c.Has(); return has }

// evening is a move that a broker which leaves does not need.
func evening(number int32, after ...int32) balance.Move {
	m := move(number, after...)
	m.Reason = balance.Bytes
	return m
}

func TestByDayOnlyWhatABrokerThatLeavesNeedsBegins(t *testing.T) {
	in := scene(func(in *asked) {
		in.Settings.Windows = []model.Window{{From: 22 * time.Hour, To: 4 * time.Hour}}
		remember(in, evening(0, 1, 2), move(1, 0, 1))
	})
	if got := in.begun(); got != "orders-1[0 1]" {
		t.Error(got)
	}
	waits := move(1, 0, 1)
	waits.Waits = true
	remember(&in, evening(0, 1, 2), waits)
	c, got := in.begins()
	if got != "" {
		t.Error("it does not wait:", got)
	}
	in.Seen.Remembered, in.Now = c.Remembered, in.Now.Add(pause)
	if got := in.begun(); !strings.Contains(got, "orders-1") {
		t.Errorf("what leaves waits for the night behind what evens out: %q", got)
	}
}

func TestWhatLeavesByDayIsFollowedByEveningOutAtNight(t *testing.T) {
	in := nightly(func(in *asked) {
		in.Settings.Manual = false
		in.Brokers = append(in.Brokers, Broker{ID: 3, Leaving: true})
		in.Snapshot.Brokers = append(in.Snapshot.Brokers, kafka.Broker{ID: 3})
		in.Snapshot.Partitions[0].Replicas, in.Snapshot.Partitions[0].ISR = []int32{0, 3}, []int32{0, 3}
		in.Now = noon
	})
	loads := in.sizes
	in.sizes = func() (map[int32][]kafka.LoadDir, error) {
		all, err := loads()
		all[3] = all[0]
		return all, err
	}
	c, got := in.begins()
	if strings.Count(got, "orders-") != 1 {
		t.Errorf("by day: %s", got)
	}
	arrive(&in, c)
	c = in.look()
	if s := c.Status(); slices.Contains(s.Spread, 2) || isDue(c) || s.Phase != v1alpha1.BalancingHeldBack {
		t.Errorf("by day: %+v", s)
	}
	in.Seen.Remembered, in.Now = c.Remembered, noon.Add(12*time.Hour)
	if c = in.look(); !isDue(c) || in.begun() == "" {
		t.Errorf("at night: %+v", c.Status())
	}
}
