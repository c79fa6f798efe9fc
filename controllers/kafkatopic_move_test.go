package controllers

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/topics"
)

func (w *topicWorld) wantNoThrottle() {
	w.t.Helper()
	if len(w.kafka.config) != 0 {
		w.t.Errorf("brokers keep %v", w.kafka.config)
	}
	for name, t := range w.kafka.topics {
		if t.Config[topics.LeaderThrottled]+t.Config[topics.FollowerThrottled] != "" {
			w.t.Errorf("topic %s keeps %v", name, t.Config)
		}
	}
}

func replicas(n int32) func(*v1alpha1.KafkaTopic) {
	return func(t *v1alpha1.KafkaTopic) { t.Spec.ReplicationFactor = &n }
}

func TestReplicasAreAddedUnderAThrottleThatIsTakenOff(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(4, 1)))
	w.settle("orders")
	w.kafka.slow = true
	w.changeTopic("orders", replicas(3))
	w.reset()
	_ = w.once("orders")
	w.wantTopic("orders", "Reconciling/Reassigning")
	if w.apiWrites() != 1 {
		t.Errorf("beginning costs %v", w.requests)
	}
	live, s := w.kafka.topics["orders"], w.topic("orders").Status
	if len(w.kafka.moving["orders"]) != 4 || live.Config[topics.FollowerThrottled] == "" || w.kafka.config["leader.replication.throttled.rate"] != "1000" {
		t.Errorf("live %+v, brokers %v", live, w.kafka.config)
	}
	if s.ReplicationFactor != 1 || s.Reassignment == nil || s.Reassignment.Left != 4 || s.Reassignment.BytesPerSecond != 1000 || len(s.Config) != 0 {
		t.Errorf("status %+v", s)
	}
	w.reset()
	w.clock.move(time.Minute)
	_ = w.once("orders")
	if w.apiWrites() != 0 || w.kafka.writes() != 0 {
		t.Errorf("nothing has arrived: %v %v", w.requests, w.kafka.requests)
	}
	w.kafka.arrive("orders", 0, 1, 2)
	_ = w.once("orders")
	if r := w.topic("orders").Status.Reassignment; r == nil || r.Moved != 3 || r.Left != 1 || r.EstimatedCompletion == nil {
		t.Errorf("%+v", r)
	}
	w.kafka.arrive("orders", 3)
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantNoThrottle()
	if s := w.topic("orders").Status; s.ReplicationFactor != 3 || s.Reassignment != nil {
		t.Errorf("%+v", s)
	}
	w.wantSilence("orders")
}

func TestMovesAreCancelledWhenTheSpecGoesBack(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(3, 2)))
	w.settle("orders")
	before := w.kafka.topics["orders"].Replicas
	w.kafka.slow = true
	w.changeTopic("orders", replicas(3))
	_ = w.once("orders")
	w.kafka.arrive("orders", 1)
	w.changeTopic("orders", replicas(2))
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantNoThrottle()
	after := w.kafka.topics["orders"].Replicas
	if len(w.kafka.moving["orders"]) != 0 || !slices.Equal(after[0], before[0]) || !slices.Equal(after[2], before[2]) || len(after[1]) != 2 {
		t.Errorf("%v, before %v", after, before)
	}
}

func TestMovesAreCancelledWhenTheFieldIsTakenOut(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(3, 2)))
	w.settle("orders")
	w.kafka.slow = true
	w.changeTopic("orders", replicas(3))
	_ = w.once("orders")
	w.changeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.ReplicationFactor = nil })
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantNoThrottle()
	if live := w.kafka.topics["orders"]; len(w.kafka.moving["orders"]) != 0 || live.ReplicationFactor != 2 {
		t.Errorf("%+v, moving %v", live, w.kafka.moving)
	}
}

func TestACancellationThatDoesNotGoThroughIsMadeAgain(t *testing.T) {
	for name, hinder := range map[string]func(*topicWorld){
		"Kafka does not take it": func(w *topicWorld) { w.kafka.refuse["orders"] = errors.New("REQUEST_TIMED_OUT") },
		"the operator dies":      func(w *topicWorld) { w.kafka.down = kafka.ErrUnreachable },
	} {
		w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(3, 2)))
		w.settle("orders")
		w.kafka.slow = true
		w.changeTopic("orders", replicas(3))
		_ = w.once("orders")
		w.changeTopic("orders", replicas(2))
		w.kafka.before["reassign"] = func() { hinder(w) }
		_ = w.once("orders")
		if len(w.kafka.moving["orders"]) != 3 {
			t.Fatalf("%s: cancelled all the same", name)
		}
		w.kafka.down = nil
		delete(w.kafka.before, "reassign")
		delete(w.kafka.refuse, "orders")
		w.restart()
		w.settle("orders")
		w.wantTopic("orders", "Ready")
		w.wantNoThrottle()
		if len(w.kafka.moving["orders"]) != 0 || w.kafka.topics["orders"].ReplicationFactor != 2 {
			t.Errorf("%s: %+v", name, w.kafka.moving)
		}
	}
}

func TestWhatHasArrivedMakesRoomForTheNextAtOnce(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(2*topics.MaxMoving, 1)))
	w.settle("orders")
	w.kafka.slow = true
	w.changeTopic("orders", replicas(2))
	_ = w.once("orders")
	w.kafka.arrive("orders", slices.Collect(maps.Keys(w.kafka.moving["orders"]))...)
	w.reset()
	w.clock.move(time.Minute)
	_ = w.once("orders")
	if len(w.kafka.moving["orders"]) != topics.MaxMoving || w.apiWrites() != 1 || w.kafka.count("alter-brokers") != 0 {
		t.Errorf("%d under way, %v %v", len(w.kafka.moving["orders"]), w.requests, w.kafka.requests)
	}
}

func TestATopicThatIsNotAdmittedAnyMoreUsesNoRoom(t *testing.T) {
	cluster := readyCluster(3)
	admit(cluster)
	w := newWorld(t, cluster, guestNamespace(), fromGuests(newTopic("a", "a", time.Hour, sized(50, 1))), newTopic("b", "b", time.Hour, sized(2, 1)))
	w.settle("a", "b")
	w.kafka.slow = true
	guest := w.topicIn(guests, "a")
	replicas(2)(guest)
	guest.Generation++
	if err := w.client.Update(t.Context(), guest); err != nil {
		t.Fatal(err)
	}
	_ = w.once("a")
	w.changeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	w.settle("a")
	w.wantTopicIn(guests, "a", "Stalled/NotAdmitted")
	w.kafka.arrive("a", slices.Collect(maps.Keys(w.kafka.moving["a"]))...)
	w.kafka.slow = false
	w.changeTopic("b", replicas(2))
	w.settle("b")
	w.wantTopic("b", "Ready")
	w.wantNoThrottle()
	if s := w.topicIn(guests, "a").Status; s.Reassignment != nil {
		t.Errorf("%+v", s.Reassignment)
	}
}

// What the brokers refuse as a whole, and not topic by topic, is the matter of those topics that ask for it.
func TestWhoMayNotMoveReplicasIsToldSoAndDelaysNoOther(t *testing.T) {
	for _, kind := range []string{"brokers", "reassignments", "describe-brokers", "alter-brokers", "reassign"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(2, 1)))
			w.settle("orders")
			w.changeTopic("orders", replicas(2))
			w.apply(newTopic("new", "n", time.Hour))
			w.kafka.forbidden[kind] = true
			_ = w.once("orders", "new")
			w.wantTopic("new", "Ready")
			w.wantTopic("orders", "Reconciling/NotAuthorized")
			if m := message(w.topic("orders").Status.Conditions); !strings.Contains(m, "Cluster") {
				t.Error(m)
			}
			if w.kafka.topics["orders"].ReplicationFactor != 1 {
				t.Error("moved without leave")
			}
			w.reset()
			w.clock.move(10 * time.Second)
			if _ = w.once("orders"); w.apiWrites() != 0 {
				t.Errorf("said again and again: %v", w.requests)
			}
			delete(w.kafka.forbidden, kind)
			w.settle("orders")
			w.wantTopic("orders", "Ready")
			w.wantNoThrottle()
			w.wantSilence("orders", "new")
		})
	}
}

func TestThrottleAndRecordSurviveACrashAtEveryRequest(t *testing.T) {
	for _, lost := range []string{"alter-brokers", "alter", "reassign", "describe-brokers", "brokers", "reassignments"} {
		w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(3, 2)))
		w.settle("orders")
		w.kafka.slow = true
		w.changeTopic("orders", replicas(3))
		w.kafka.lose = lost
		_ = w.once("orders")
		w.restart()
		w.clock.move(time.Minute)
		_ = w.once("orders")
		w.kafka.arrive("orders", slices.Collect(maps.Keys(w.kafka.moving["orders"]))...)
		w.kafka.lose = lost
		_ = w.once("orders")
		w.restart()
		w.settle("orders")
		w.wantTopic("orders", "Ready")
		w.wantNoThrottle()
		if got := w.kafka.topics["orders"].ReplicationFactor; got != 3 {
			t.Errorf("%s: %d replicas", lost, got)
		}
	}
}

func TestNothingMovesBeforeItIsOnRecord(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(3, 2)))
	w.settle("orders")
	w.changeTopic("orders", replicas(3))
	w.failing["status orders"] = errors.New("the API server is away")
	w.reset()
	_ = w.once("orders")
	if w.kafka.writes() != 0 {
		t.Errorf("%v", w.kafka.requests)
	}
}

func TestSomebodyElsesReassignmentIsLeftToEnd(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(2, 2)))
	w.settle("orders")
	w.kafka.slow = true
	w.kafka.begins("orders", kafka.Move{Partition: 0, Replicas: []int32{2, 1}})
	w.changeTopic("orders", replicas(3))
	w.reset()
	_ = w.once("orders")
	w.wantTopic("orders", "Reconciling/ForeignReassignment")
	if w.kafka.writes() != 0 {
		t.Errorf("%v", w.kafka.requests)
	}
	w.kafka.slow = false
	w.kafka.arrive("orders", 0)
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantNoThrottle()
}

// While somebody else moves the only replica there are two.
func TestSomebodyElsesReassignmentIsNotTakenForWhatIsWanted(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(1, 1)))
	w.settle("orders")
	w.kafka.slow = true
	w.kafka.begins("orders", kafka.Move{Partition: 0, Replicas: []int32{2}})
	live := w.kafka.topics["orders"]
	live.UnderReplicated = 1
	w.kafka.topics["orders"] = live
	w.changeTopic("orders", replicas(2))
	_ = w.once("orders")
	w.wantTopic("orders", "Reconciling/ForeignReassignment")
}

func TestARateThatSomebodyElseHasSetHoldsAndStays(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(2, 2)))
	w.settle("orders")
	w.kafka.config["leader.replication.throttled.rate"] = "77"
	w.changeTopic("orders", replicas(3))
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	if !maps.Equal(w.kafka.config, map[string]string{"leader.replication.throttled.rate": "77"}) {
		t.Errorf("%v", w.kafka.config)
	}
}

func TestTheLimitOfPartitionsUnderWayIsTheClusters(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("a", "a", time.Hour, sized(40, 1)), newTopic("b", "b", time.Hour, sized(40, 1)))
	w.settle("a", "b")
	w.kafka.slow = true
	for _, name := range []string{"a", "b"} {
		w.changeTopic(name, replicas(2))
		_ = w.once(name)
	}
	if a, b := len(w.kafka.moving["a"]), len(w.kafka.moving["b"]); a != 40 || b != 10 {
		t.Errorf("%d and %d under way", a, b)
	}
	w.kafka.arrive("a", slices.Collect(maps.Keys(w.kafka.moving["a"]))...)
	w.kafka.slow = false
	w.clock.move(time.Minute)
	_ = w.once("a")
	if w.kafka.config["leader.replication.throttled.rate"] == "" {
		t.Error("the rate goes while another topic's replicas copy")
	}
	w.kafka.arrive("b", slices.Collect(maps.Keys(w.kafka.moving["b"]))...)
	w.settle("a", "b")
	w.wantTopic("b", "Ready")
	w.wantNoThrottle()
}

func TestATopicLivesInItsRacks(t *testing.T) {
	inRacks := func(racks ...string) func(*v1alpha1.KafkaTopic) {
		return func(t *v1alpha1.KafkaTopic) { t.Spec.Placement = &v1alpha1.TopicPlacement{Racks: racks} }
	}
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(4, 2), inRacks("a", "b")))
	w.kafka.racks = map[int32]string{0: "a", 1: "b", 2: "c"}
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	if w.kafka.count("reassign") != 0 || slices.ContainsFunc(w.kafka.topics["orders"].Replicas, func(r []int32) bool { return slices.Contains(r, 2) }) {
		t.Errorf("created at %v", w.kafka.topics["orders"].Replicas)
	}
	w.changeTopic("orders", inRacks("b", "c"))
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	if slices.ContainsFunc(w.kafka.topics["orders"].Replicas, func(r []int32) bool { return slices.Contains(r, 0) }) {
		t.Errorf("moved to %v", w.kafka.topics["orders"].Replicas)
	}
	w.changeTopic("orders", func(t *v1alpha1.KafkaTopic) { *t.Spec.Partitions = 7 })
	w.settle("orders")
	if slices.ContainsFunc(w.kafka.topics["orders"].Replicas, func(r []int32) bool { return slices.Contains(r, 0) }) {
		t.Errorf("grown at %v", w.kafka.topics["orders"].Replicas)
	}
	w.changeTopic("orders", inRacks("b", "x"))
	w.settle("orders")
	w.wantTopic("orders", "Stalled/InvalidPlacement")
	if m := message(w.topic("orders").Status.Conditions); !strings.Contains(m, "a, b, c") {
		t.Error(m)
	}
}

func TestATopicThatIsLetGoWhileItMovesKeepsNoThrottle(t *testing.T) {
	for name, letGo := range map[string]func(*topicWorld){
		"deleted": func(w *topicWorld) { w.remove(w.topic("orders")) },
		"retained": func(w *topicWorld) {
			w.changeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.DeletionPolicy = v1alpha1.DeletionRetain })
			w.remove(w.topic("orders"))
		},
		"observed": func(w *topicWorld) { w.changeTopic("orders", observing) },
	} {
		w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(3, 2)))
		w.settle("orders")
		w.kafka.slow = true
		w.changeTopic("orders", replicas(3))
		_ = w.once("orders")
		letGo(w)
		w.settle("orders")
		t.Log(name)
		w.wantNoThrottle()
	}
}
