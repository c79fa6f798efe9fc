package topic

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
)

func (w *world) wantNoThrottle() {
	w.T.Helper()
	if len(w.Kafka.Config) != 0 {
		w.T.Errorf("brokers keep %v", w.Kafka.Config)
	}
	for name, t := range w.Kafka.Topics {
		if t.Config[moves.LeaderThrottled]+t.Config[moves.FollowerThrottled] != "" {
			w.T.Errorf("topic %s keeps %v", name, t.Config)
		}
	}
}

func replicas(n int32) func(*v1alpha1.KafkaTopic) {
	return func(t *v1alpha1.KafkaTopic) { t.Spec.ReplicationFactor = &n }
}

func TestReplicasAreAddedUnderAThrottleThatIsTakenOff(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(4, 1)))
	w.Settle("orders")
	w.Kafka.Slow = true
	w.ChangeTopic("orders", replicas(3))
	w.Reset()
	_ = w.Once("orders")
	w.wantTopic("orders", "Reconciling/Reassigning")
	if w.APIWrites() != 1 {
		t.Errorf("beginning costs %v", w.Requests)
	}
	live, s := w.Kafka.Topics["orders"], w.Topic("orders").Status
	if len(w.Kafka.Moving["orders"]) != 4 || live.Config[moves.FollowerThrottled] == "" ||
		w.Kafka.Config["leader.replication.throttled.rate"] != "1000" {
		t.Errorf("live %+v, brokers %v", live, w.Kafka.Config)
	}
	if s.ReplicationFactor != 1 || s.Reassignment == nil || s.Reassignment.Left != 4 ||
		s.Reassignment.BytesPerSecond != 1000 ||
		len(s.Config) != 0 {
		t.Errorf("status %+v", s)
	}
	w.Reset()
	w.Clock.Move(time.Minute)
	_ = w.Once("orders")
	if w.APIWrites() != 0 || w.Kafka.Writes() != 0 {
		t.Errorf("nothing has arrived: %v %v", w.Requests, w.Kafka.Requests)
	}
	w.Kafka.Arrive("orders", 0, 1, 2)
	_ = w.Once("orders")
	if r := w.Topic("orders").Status.Reassignment; r == nil || r.Moved != 3 || r.Left != 1 ||
		r.EstimatedCompletion == nil {
		t.Errorf("%+v", r)
	}
	w.Kafka.Arrive("orders", 3)
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantNoThrottle()
	if s := w.Topic("orders").Status; s.ReplicationFactor != 3 || s.Reassignment != nil {
		t.Errorf("%+v", s)
	}
	w.WantSilence("orders")
}

func TestMovesAreCancelledWhenTheSpecGoesBack(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(3, 2)))
	w.Settle("orders")
	before := w.Kafka.Topics["orders"].Replicas
	w.Kafka.Slow = true
	w.ChangeTopic("orders", replicas(3))
	_ = w.Once("orders")
	w.Kafka.Arrive("orders", 1)
	w.ChangeTopic("orders", replicas(2))
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantNoThrottle()
	after := w.Kafka.Topics["orders"].Replicas
	if len(w.Kafka.Moving["orders"]) != 0 || !slices.Equal(after[0], before[0]) || !slices.Equal(after[2], before[2]) ||
		len(after[1]) != 2 {
		t.Errorf("%v, before %v", after, before)
	}
}

func TestMovesAreCancelledWhenTheFieldIsTakenOut(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(3, 2)))
	w.Settle("orders")
	w.Kafka.Slow = true
	w.ChangeTopic("orders", replicas(3))
	_ = w.Once("orders")
	w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.ReplicationFactor = nil })
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantNoThrottle()
	if live := w.Kafka.Topics["orders"]; len(w.Kafka.Moving["orders"]) != 0 || live.ReplicationFactor != 2 {
		t.Errorf("%+v, moving %v", live, w.Kafka.Moving)
	}
}

func TestACancellationThatDoesNotGoThroughIsMadeAgain(t *testing.T) {
	for name, hinder := range map[string]func(*world){
		"Kafka does not take it": func(w *world) { w.Kafka.Refuse["orders"] = errors.New("REQUEST_TIMED_OUT") },
		"the operator dies":      func(w *world) { w.Kafka.Down = kafka.ErrUnreachable },
	} {
		w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(3, 2)))
		w.Settle("orders")
		w.Kafka.Slow = true
		w.ChangeTopic("orders", replicas(3))
		_ = w.Once("orders")
		w.ChangeTopic("orders", replicas(2))
		w.Kafka.Before["reassign"] = func() { hinder(w) }
		_ = w.Once("orders")
		if len(w.Kafka.Moving["orders"]) != 3 {
			t.Fatalf("%s: cancelled all the same", name)
		}
		w.Kafka.Down = nil
		delete(w.Kafka.Before, "reassign")
		delete(w.Kafka.Refuse, "orders")
		w.restart()
		w.Settle("orders")
		w.wantTopic("orders", "Ready")
		w.wantNoThrottle()
		if len(w.Kafka.Moving["orders"]) != 0 || w.Kafka.Topics["orders"].ReplicationFactor != 2 {
			t.Errorf("%s: %+v", name, w.Kafka.Moving)
		}
	}
}

func TestWhatHasArrivedMakesRoomForTheNextAtOnce(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("orders", "u", time.Hour, sized(2*moves.MaxMoving, 1)),
	)
	w.Settle("orders")
	w.Kafka.Slow = true
	w.ChangeTopic("orders", replicas(2))
	_ = w.Once("orders")
	w.Kafka.Arrive("orders", slices.Collect(maps.Keys(w.Kafka.Moving["orders"]))...)
	w.Reset()
	w.Clock.Move(time.Minute)
	_ = w.Once("orders")
	if len(w.Kafka.Moving["orders"]) != moves.MaxMoving || w.APIWrites() != 1 || w.Kafka.Count("alter-brokers") != 0 {
		t.Errorf("%d under way, %v %v", len(w.Kafka.Moving["orders"]), w.Requests, w.Kafka.Requests)
	}
}

func TestATopicThatIsNotAdmittedAnyMoreUsesNoRoom(t *testing.T) {
	cluster := controllertest.ReadyCluster(3)
	controllertest.Admit(cluster)
	w := newWorld(
		t,
		cluster,
		controllertest.GuestNamespace(),
		controllertest.FromGuests(controllertest.NewTopic("a", "a", time.Hour, sized(50, 1))),
		controllertest.NewTopic("b", "b", time.Hour, sized(2, 1)),
	)
	w.Settle("a", "b")
	w.Kafka.Slow = true
	guest := w.TopicIn(controllertest.Guests, "a")
	replicas(2)(guest)
	guest.Generation++
	if err := w.Client.Update(t.Context(), guest); err != nil {
		t.Fatal(err)
	}
	_ = w.Once("a")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	w.Settle("a")
	w.wantTopicIn(controllertest.Guests, "a", "Stalled/NotAdmitted")
	w.Kafka.Arrive("a", slices.Collect(maps.Keys(w.Kafka.Moving["a"]))...)
	w.Kafka.Slow = false
	w.ChangeTopic("b", replicas(2))
	w.Settle("b")
	w.wantTopic("b", "Ready")
	w.wantNoThrottle()
	if s := w.TopicIn(controllertest.Guests, "a").Status; s.Reassignment != nil {
		t.Errorf("%+v", s.Reassignment)
	}
}

// What the brokers refuse as a whole, and not topic by topic, is the matter of those topics that ask for it.
func TestWhoMayNotMoveReplicasIsToldSoAndDelaysNoOther(t *testing.T) {
	for _, kind := range []string{"brokers", "reassignments", "describe-brokers", "alter-brokers", "reassign"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(2, 1)))
			w.Settle("orders")
			w.ChangeTopic("orders", replicas(2))
			w.Apply(controllertest.NewTopic("new", "n", time.Hour))
			w.Kafka.Forbidden[kind] = true
			_ = w.Once("orders", "new")
			w.wantTopic("new", "Ready")
			w.wantTopic("orders", "Reconciling/NotAuthorized")
			if m := controllertest.Message(w.Topic("orders").Status.Conditions); !strings.Contains(m, "Cluster") {
				t.Error(m)
			}
			if w.Kafka.Topics["orders"].ReplicationFactor != 1 {
				t.Error("moved without leave")
			}
			w.Reset()
			w.Clock.Move(10 * time.Second)
			if _ = w.Once("orders"); w.APIWrites() != 0 {
				t.Errorf("said again and again: %v", w.Requests)
			}
			delete(w.Kafka.Forbidden, kind)
			w.Settle("orders")
			w.wantTopic("orders", "Ready")
			w.wantNoThrottle()
			w.WantSilence("orders", "new")
		})
	}
}

func TestThrottleAndRecordSurviveACrashAtEveryRequest(t *testing.T) {
	for _, lost := range []string{"alter-brokers", "alter", "reassign", "describe-brokers", "brokers", "reassignments"} {
		w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(3, 2)))
		w.Settle("orders")
		w.Kafka.Slow = true
		w.ChangeTopic("orders", replicas(3))
		w.Kafka.Lose = lost
		_ = w.Once("orders")
		w.restart()
		w.Clock.Move(time.Minute)
		_ = w.Once("orders")
		w.Kafka.Arrive("orders", slices.Collect(maps.Keys(w.Kafka.Moving["orders"]))...)
		w.Kafka.Lose = lost
		_ = w.Once("orders")
		w.restart()
		w.Settle("orders")
		w.wantTopic("orders", "Ready")
		w.wantNoThrottle()
		if got := w.Kafka.Topics["orders"].ReplicationFactor; got != 3 {
			t.Errorf("%s: %d replicas", lost, got)
		}
	}
}

func TestNothingMovesBeforeItIsOnRecord(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(3, 2)))
	w.Settle("orders")
	w.ChangeTopic("orders", replicas(3))
	w.Failing["status orders"] = errors.New("the API server is away")
	w.Reset()
	_ = w.Once("orders")
	if w.Kafka.Writes() != 0 {
		t.Errorf("%v", w.Kafka.Requests)
	}
}

func TestSomebodyElsesReassignmentIsLeftToEnd(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(2, 2)))
	w.Settle("orders")
	w.Kafka.Slow = true
	w.Kafka.Begins("orders", kafka.Move{Partition: 0, Replicas: []int32{2, 1}})
	w.ChangeTopic("orders", replicas(3))
	w.Reset()
	_ = w.Once("orders")
	w.wantTopic("orders", "Reconciling/ForeignReassignment")
	if w.Kafka.Writes() != 0 {
		t.Errorf("%v", w.Kafka.Requests)
	}
	w.Kafka.Slow = false
	w.Kafka.Arrive("orders", 0)
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantNoThrottle()
}

// While somebody else moves the only replica there are two.
func TestSomebodyElsesReassignmentIsNotTakenForWhatIsWanted(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(1, 1)))
	w.Settle("orders")
	w.Kafka.Slow = true
	w.Kafka.Begins("orders", kafka.Move{Partition: 0, Replicas: []int32{2}})
	live := w.Kafka.Topics["orders"]
	live.UnderReplicated = 1
	w.Kafka.Topics["orders"] = live
	w.ChangeTopic("orders", replicas(2))
	_ = w.Once("orders")
	w.wantTopic("orders", "Reconciling/ForeignReassignment")
}

func TestARateThatSomebodyElseHasSetHoldsAndStays(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(2, 2)))
	w.Settle("orders")
	w.Kafka.Config["leader.replication.throttled.rate"] = "77"
	w.ChangeTopic("orders", replicas(3))
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	if !maps.Equal(w.Kafka.Config, map[string]string{"leader.replication.throttled.rate": "77"}) {
		t.Errorf("%v", w.Kafka.Config)
	}
}

func TestTheLimitOfPartitionsUnderWayIsTheClusters(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("a", "a", time.Hour, sized(40, 1)),
		controllertest.NewTopic("b", "b", time.Hour, sized(40, 1)),
	)
	w.Settle("a", "b")
	w.Kafka.Slow = true
	for _, name := range []string{"a", "b"} {
		w.ChangeTopic(name, replicas(2))
		_ = w.Once(name)
	}
	if a, b := len(w.Kafka.Moving["a"]), len(w.Kafka.Moving["b"]); a != 40 || b != 10 {
		t.Errorf("%d and %d under way", a, b)
	}
	w.Kafka.Arrive("a", slices.Collect(maps.Keys(w.Kafka.Moving["a"]))...)
	w.Kafka.Slow = false
	w.Clock.Move(time.Minute)
	_ = w.Once("a")
	if w.Kafka.Config["leader.replication.throttled.rate"] == "" {
		t.Error("the rate goes while another topic's replicas copy")
	}
	w.Kafka.Arrive("b", slices.Collect(maps.Keys(w.Kafka.Moving["b"]))...)
	w.Settle("a", "b")
	w.wantTopic("b", "Ready")
	w.wantNoThrottle()
}

func TestATopicLivesInItsRacks(t *testing.T) {
	inRacks := func(racks ...string) func(*v1alpha1.KafkaTopic) {
		return func(t *v1alpha1.KafkaTopic) { t.Spec.Placement = &v1alpha1.TopicPlacement{Racks: racks} }
	}
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("orders", "u", time.Hour, sized(4, 2), inRacks("a", "b")),
	)
	w.Kafka.Racks = map[int32]string{0: "a", 1: "b", 2: "c"}
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	if w.Kafka.Count("reassign") != 0 ||
		slices.ContainsFunc(w.Kafka.Topics["orders"].Replicas, func(r []int32) bool { return slices.Contains(r, 2) }) {
		t.Errorf("created at %v", w.Kafka.Topics["orders"].Replicas)
	}
	w.ChangeTopic("orders", inRacks("b", "c"))
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	if slices.ContainsFunc(w.Kafka.Topics["orders"].Replicas, func(r []int32) bool { return slices.Contains(r, 0) }) {
		t.Errorf("moved to %v", w.Kafka.Topics["orders"].Replicas)
	}
	w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) { *t.Spec.Partitions = 7 })
	w.Settle("orders")
	if slices.ContainsFunc(w.Kafka.Topics["orders"].Replicas, func(r []int32) bool { return slices.Contains(r, 0) }) {
		t.Errorf("grown at %v", w.Kafka.Topics["orders"].Replicas)
	}
	w.ChangeTopic("orders", inRacks("b", "x"))
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/InvalidPlacement")
	if m := controllertest.Message(w.Topic("orders").Status.Conditions); !strings.Contains(m, "a, b, c") {
		t.Error(m)
	}
}

func TestATopicThatIsLetGoWhileItMovesKeepsNoThrottle(t *testing.T) {
	for name, letGo := range map[string]func(*world){
		"deleted": func(w *world) { w.Remove(w.Topic("orders")) },
		"retained": func(w *world) {
			w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.DeletionPolicy = v1alpha1.DeletionRetain })
			w.Remove(w.Topic("orders"))
		},
		"observed": func(w *world) { w.ChangeTopic("orders", observing) },
	} {
		w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(3, 2)))
		w.Settle("orders")
		w.Kafka.Slow = true
		w.ChangeTopic("orders", replicas(3))
		_ = w.Once("orders")
		letGo(w)
		w.Settle("orders")
		t.Log(name)
		w.wantNoThrottle()
	}
}

func TestWhatTheClusterMovesToWhereThereIsRoomIsNoForeignReassignment(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(4), controllertest.NewTopic("orders", "u", time.Hour, sized(2, 2)))
	w.Settle("orders")
	w.Kafka.Slow = true
	before := w.Kafka.Topics["orders"].Replicas[0]
	var target []int32
	for id := range int32(4) {
		if !slices.Contains(before, id) {
			target = []int32{before[0], id}
		}
	}
	w.Kafka.Begins("orders", kafka.Move{Partition: 0, Replicas: target})
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Balancing = &v1alpha1.Balancing{BytesPerSecondPerBroker: controllertest.PtrTo(int64(77))}
		c.Status.Balancing = &v1alpha1.BalancingStatus{BytesPerSecond: 77,
			InFlight: []v1alpha1.MovingPartition{{Topic: "orders", Partition: 0, Replicas: target}}}
	})
	w.ChangeTopic("orders", replicas(3))
	_ = w.Once("orders")
	w.wantTopic("orders", "Reconciling/Reassigning")
	if len(w.Kafka.Moving["orders"]) != 1 {
		t.Errorf("under way: %v", w.Kafka.Moving)
	}
	w.Kafka.Arrive("orders", 0)
	w.Clock.Move(time.Minute)
	_ = w.Once("orders")
	if len(w.Kafka.Moving["orders"]) != 2 || w.Kafka.Config["leader.replication.throttled.rate"] != "77" {
		t.Errorf("under way: %v, brokers %v", w.Kafka.Moving, w.Kafka.Config)
	}
}
