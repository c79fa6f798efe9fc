package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func sized(partitions, replicas int32) func(*v1alpha1.KafkaTopic) {
	return func(t *v1alpha1.KafkaTopic) {
		t.Spec.Partitions, t.Spec.ReplicationFactor = &partitions, &replicas
	}
}

func configured(pairs ...string) func(*v1alpha1.KafkaTopic) {
	return func(t *v1alpha1.KafkaTopic) {
		t.Spec.Config = map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			t.Spec.Config[pairs[i]] = pairs[i+1]
		}
	}
}

func named(name string) func(*v1alpha1.KafkaTopic) {
	return func(t *v1alpha1.KafkaTopic) { t.Spec.Name = name }
}

func (w *topicWorld) wantTopic(name, want string) {
	w.t.Helper()
	t := w.topic(name)
	if t == nil {
		w.t.Fatalf("KafkaTopic %s is gone, want %s", name, want)
	}
	if got := state(t.Status.Conditions); got != want {
		w.t.Fatalf("KafkaTopic %s is %s (%s), want %s", name, got, message(t.Status.Conditions), want)
	}
}

func TestATopicCostsTwoRequestsToCreateOneToChangeOneToDeleteAndNoneAtRest(t *testing.T) {
	w := newWorld(t, readyCluster(3))
	var names []string
	for i := range 20 {
		name := fmt.Sprintf("t%d", i)
		names = append(names, name)
		w.apply(newTopic(name, name, time.Hour, sized(3, 2), configured("retention.ms", "1000")))
	}
	w.settle(names...)
	w.wantTopic("t7", "Ready")
	if got := w.apiWrites(); got != 40 {
		t.Errorf("create: %d API requests for 20 topics: %v", got, w.requests)
	}
	if !maps.Equal(w.kafka.requests, map[string]int{"describe": 1, "create": 1}) {
		t.Errorf("create: Kafka requests %v", w.kafka.requests)
	}
	status := w.topic("t7").Status
	if status.TopicID != string(w.kafka.topics["t7"].ID) || status.ClusterID != "incarnation-1" || status.Partitions != 3 || status.ReplicationFactor != 2 ||
		status.Origin != v1alpha1.OriginCreated || status.DeletionPolicy != v1alpha1.DeletionDelete || !slices.Equal(status.ConfigKeys, []string{"retention.ms"}) {
		t.Errorf("status: %+v", status)
	}

	w.wantSilence(names...)

	w.reset()
	for _, name := range names {
		w.changeTopic(name, func(t *v1alpha1.KafkaTopic) { t.Spec.Partitions = ptrTo(int32(5)); t.Spec.Config = nil })
	}
	w.settle(names...)
	if got := w.apiWrites(); got != 20 {
		t.Errorf("change: %d API requests: %v", got, w.requests)
	}
	if !maps.Equal(w.kafka.requests, map[string]int{"describe": 1, "grow": 1, "alter": 1}) {
		t.Errorf("change: Kafka requests %v", w.kafka.requests)
	}
	if live := w.kafka.topics["t7"]; live.Partitions != 5 || len(live.Config) != 0 {
		t.Errorf("live: %+v", live)
	}

	w.reset()
	for _, name := range names {
		w.remove(w.topic(name))
	}
	w.settle(names...)
	if got := w.apiWrites(); got != 20 {
		t.Errorf("delete: %d API requests: %v", got, w.requests)
	}
	if !maps.Equal(w.kafka.requests, map[string]int{"delete": 1}) || len(w.kafka.topics) != 0 || w.topic("t7") != nil {
		t.Errorf("delete: Kafka requests %v, left %v", w.kafka.requests, w.kafka.topics)
	}
}

func TestATopicThatSomebodyElseGivesUpIsTaken(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u1", time.Hour))
	w.kafka.add("orders", 4, 2, nil)
	w.settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	w.reset()
	for range 4 {
		w.lookAgain(claim.TakenLookLimit)
	}
	if w.apiWrites() != 0 || w.kafka.writes() != 0 {
		t.Errorf("looking wrote: %v, %v", w.requests, w.kafka.requests)
	}
	delete(w.kafka.topics, "orders")
	w.lookAgain(claim.TakenLookLimit)
	w.wantTopic("orders", "Ready")
}

func TestAnExistingTopicIsTakenOverOnlyWhenAsked(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u1", time.Hour, configured("retention.ms", "5")))
	w.kafka.add("orders", 4, 2, map[string]string{"cleanup.policy": "compact"})
	w.settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	if w.kafka.writes() != 0 {
		t.Errorf("touched: %v", w.kafka.requests)
	}
	if len(w.topic("orders").Finalizers) != 0 {
		t.Error("an object that holds nothing has a finalizer")
	}
	w.changeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Adoption = v1alpha1.AdoptionAlways })
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	if s := w.topic("orders").Status; s.Origin != v1alpha1.OriginAdopted || s.DeletionPolicy != v1alpha1.DeletionRetain || s.Partitions != 4 ||
		!maps.Equal(s.Config, map[string]string{"retention.ms": "5", "cleanup.policy": "compact"}) {
		t.Errorf("status %+v", s)
	}
	w.remove(w.topic("orders"))
	w.settle("orders")
	live, exists := w.kafka.topics["orders"]
	if w.topic("orders") != nil || !exists {
		t.Error("an adopted topic is retained and its object goes")
	}
	if live.Config["retention.ms"] != "5" {
		t.Error("a retained topic stays as it is, configuration and all")
	}
}

func TestALostAnswerOfACreationIsStillOurTopic(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u1", time.Hour))
	w.kafka.lose = "create"
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	if s := w.topic("orders").Status; s.Origin != v1alpha1.OriginCreated {
		t.Errorf("origin %s", s.Origin)
	}
	if w.kafka.count("create") != 1 {
		t.Errorf("%v", w.kafka.requests)
	}
}

func TestABrokerThatIsBehindDoesNotMakeOurTopicSomebodyElses(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u1", time.Hour))
	w.kafka.lose = "create"
	_ = w.once("orders")
	w.kafka.stale["orders"] = true // the next answers come from a broker that does not know it yet
	_ = w.once("orders")
	w.kafka.stale["orders"] = false
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	w.kafka.stale["orders"] = true
	_ = w.once("orders")
	w.wantTopic("orders", "Ready")
	w.kafka.stale["orders"] = false
	w.settle("orders")
	w.wantTopic("orders", "Ready")
}

func TestATopicThatSomebodyMakesInBetweenIsNotOurs(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u1", time.Hour))
	w.kafka.add("orders", 1, 1, nil)
	w.kafka.stale["orders"] = true
	_ = w.once("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	w.kafka.stale["orders"] = false
	w.settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	w.remove(w.topic("orders"))
	w.settle("orders")
	if len(w.kafka.topics) != 1 || w.topic("orders") != nil {
		t.Error("deleting the object must leave the topic alone")
	}
}

func TestDeletingTheLosingDuplicateKeepsTheTopic(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("old", "u2", time.Hour, named("orders")), newTopic("young", "u1", time.Minute, named("orders")))
	w.settle("orders")
	w.wantTopic("old", "Ready")
	w.wantTopic("young", "Stalled/Conflict")
	if m := message(w.topic("young").Status.Conditions); !strings.Contains(m, `"old"`) {
		t.Errorf("the message names no holder: %s", m)
	}
	w.reset()
	w.remove(w.topic("young"))
	w.settle("orders")
	if w.kafka.writes() != 0 || w.apiWrites() != 0 || w.topic("young") != nil {
		t.Errorf("%v %v", w.kafka.requests, w.requests)
	}
	w.wantTopic("old", "Ready")
}

func TestAHolderThatGoesHandsTheTopicOver(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("old", "u2", time.Hour, named("orders"), configured("retention.ms", "1")),
		newTopic("young", "u1", time.Minute, named("orders"), configured("segment.ms", "2")))
	w.settle("orders")
	id := w.kafka.topics["orders"].ID
	w.remove(w.topic("old"))
	w.settle("orders")
	w.wantTopic("young", "Ready")
	s := w.topic("young").Status
	if w.topic("old") != nil || w.kafka.topics["orders"].ID != id || s.TopicID != string(id) || s.Origin != v1alpha1.OriginCreated {
		t.Errorf("status %+v, live %+v", s, w.kafka.topics)
	}
	if config := w.kafka.topics["orders"].Config; !maps.Equal(config, map[string]string{"segment.ms": "2"}) {
		t.Errorf("config %v", config)
	}
	w.remove(w.topic("young"))
	w.settle("orders")
	if len(w.kafka.topics) != 0 {
		t.Error("the last holder deletes by its policy")
	}
}

func TestAHandOverSurvivesACrashBeforeTheOldHolderIsReleased(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("old", "u2", time.Hour, named("orders")), newTopic("young", "u1", time.Minute, named("orders")))
	w.settle("orders")
	w.remove(w.topic("old"))
	w.failing["patch old"] = fmt.Errorf("the operator died here")
	_ = w.once("orders")
	w.remove(w.topic("young"))
	w.changeTopic("young", func(t *v1alpha1.KafkaTopic) { t.Spec.DeletionPolicy = v1alpha1.DeletionRetain })
	delete(w.failing, "patch old")
	w.settle("orders")
	if w.topic("old") != nil || w.topic("young") != nil || len(w.kafka.topics) != 1 {
		t.Errorf("one that leaves wants the topic kept: %v", w.kafka.topics)
	}
}

func TestOneRefusedTopicDelaysNoOther(t *testing.T) {
	w := newWorld(t, readyCluster(2), newTopic("good", "g", time.Hour), newTopic("bad", "b", time.Hour, sized(1, 3)),
		newTopic("odd", "o", time.Hour, configured("retention.ms", "x", "retention.bytes", "7")), newTopic("flaky", "f", time.Hour))
	w.kafka.brokers = 2
	w.kafka.refuse["odd"] = &kafka.Refusal{Code: "INVALID_CONFIG", Message: "Invalid value x for configuration retention.ms"}
	w.kafka.refuse["flaky"] = fmt.Errorf("NOT_CONTROLLER")
	if err := w.once("good", "bad", "odd", "flaky"); err != nil {
		t.Fatal(err)
	}
	w.wantTopic("good", "Ready")
	w.wantTopic("bad", "Stalled/InvalidReplicationFactor")
	if m := message(w.topic("bad").Status.Conditions); !strings.Contains(m, "spec.replicationFactor: 3 replicas asked, 2 brokers") {
		t.Error(m)
	}
	w.wantTopic("odd", "Stalled/InvalidConfig")
	if m := message(w.topic("odd").Status.Conditions); !strings.HasPrefix(m, "spec.config[retention.ms]: ") {
		t.Error(m)
	}
	w.wantTopic("flaky", "Reconciling/Retrying")
	delete(w.kafka.refuse, "flaky")
	w.settle()
	w.wantTopic("flaky", "Ready")
}

func TestABadTopicAmongManyCostsTheOthersNothing(t *testing.T) {
	const many = 100
	w := newWorld(t, readyCluster(3))
	names := make([]string, many)
	for i := range names {
		names[i] = fmt.Sprintf("t%d", i)
		w.apply(newTopic(names[i], names[i], time.Hour))
	}
	const bad = "t77"
	w.kafka.refuse[bad] = &kafka.Refusal{Code: "INVALID_CONFIG", Message: "no"}
	w.reset()
	w.settle(names...)
	for _, name := range names {
		if name != bad {
			w.wantTopic(name, "Ready")
		}
	}
	w.wantTopic(bad, "Stalled/InvalidConfig")
	if w.kafka.requests["create"] != 1 || w.kafka.requests["describe"] != 1 {
		t.Errorf("requests to Kafka: %v", w.kafka.requests)
	}
	if got := w.apiWrites(); got != 2*many+1 { // what was announced of the bad one is taken back
		t.Errorf("%d writes to the API for %d topics", got, many)
	}
	w.reset()
	w.settle(names...)
	if w.apiWrites() != 0 || w.kafka.requests["alter"] != 0 {
		t.Errorf("again: %d writes to the API, %v", w.apiWrites(), w.kafka.requests)
	}
}

func TestATopicThatTheOperatorMayNotSeeKeepsItsRecordAndDelaysNoOther(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("hidden", "h", time.Hour), newTopic("good", "g", time.Hour))
	w.settle("hidden")
	id := w.topic("hidden").Status.TopicID
	w.kafka.hidden["hidden"] = true
	w.changeTopic("hidden", func(t *v1alpha1.KafkaTopic) { t.Spec.Config = map[string]string{"retention.ms": "9"} })
	if err := w.once("hidden", "good"); err != nil {
		t.Fatal(err)
	}
	w.wantTopic("good", "Ready")
	w.wantTopic("hidden", "Reconciling/NotAuthorized")
	if m := message(w.topic("hidden").Status.Conditions); !strings.Contains(m, `grant its principal Describe and DescribeConfigs on topic "hidden"`) {
		t.Error(m)
	}
	if got := w.topic("hidden").Status; got.TopicID != id || got.Partitions != 1 || w.kafka.requests["alter"] != 0 {
		t.Errorf("on record %+v, its UUID was %q; requests %v", got, id, w.kafka.requests)
	}
	delete(w.kafka.hidden, "hidden")
	w.settle()
	w.wantTopic("hidden", "Ready")
}

func TestWhatCannotBeChangedIsStalledAndTheRestIsCaredFor(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(6, 2)))
	w.settle("orders")
	w.changeTopic("orders", func(t *v1alpha1.KafkaTopic) {
		t.Spec.Partitions, t.Spec.ReplicationFactor = ptrTo(int32(3)), ptrTo(int32(4))
		t.Spec.Config = map[string]string{"retention.ms": "9"}
	})
	w.settle("orders")
	w.wantTopic("orders", "Stalled/PartitionsCannotShrink")
	m := message(w.topic("orders").Status.Conditions)
	if !strings.Contains(m, "spec.partitions") || !strings.Contains(m, "spec.replicationFactor") {
		t.Error(m)
	}
	if w.kafka.topics["orders"].Config["retention.ms"] != "9" {
		t.Error("the configuration waits for the partitions")
	}
}

func TestATopicReplacedOrLostBehindOurBackIsReportedAndLeftAlone(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
	w.settle("orders")
	delete(w.kafka.topics, "orders")
	w.settle("orders")
	w.wantTopic("orders", "Stalled/TopicLost")
	w.kafka.add("orders", 9, 1, nil)
	w.reset()
	w.settle("orders")
	w.wantTopic("orders", "Stalled/TopicReplaced")
	if w.kafka.writes() != 0 {
		t.Errorf("%v", w.kafka.requests)
	}
	w.remove(w.topic("orders"))
	w.settle("orders")
	if w.topic("orders") != nil || w.kafka.topics["orders"].Partitions != 9 {
		t.Error("deletion acts on the recorded UUID and no other")
	}
}

func TestANewIncarnationOfTheClusterGetsTheTopicAnew(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
	w.settle("orders")
	w.kafka.topics = map[string]kafka.Topic{}
	w.changeCluster(func(c *v1alpha1.KafkaCluster) { c.Status.ClusterID = "incarnation-2" })
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	if s := w.topic("orders").Status; s.ClusterID != "incarnation-2" || s.TopicID != string(w.kafka.topics["orders"].ID) {
		t.Errorf("%+v", s)
	}
}

func TestATopicWaitsForItsClusterAndAReadyOneStaysReady(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("there", "u", time.Hour))
	w.settle("there")
	w.changeCluster(func(c *v1alpha1.KafkaCluster) {
		meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionFalse, Reason: "NoQuorum", Message: "the quorum has no leader"})
	})
	w.apply(newTopic("later", "l", time.Minute))
	w.remove(w.topic("there"))
	w.reset()
	w.settle("there", "later")
	w.wantTopic("later", "Reconciling/ClusterNotAvailable")
	w.wantTopic("there", "Reconciling/ClusterNotAvailable")
	if m := message(w.topic("later").Status.Conditions); !strings.Contains(m, "the quorum has no leader") {
		t.Error(m)
	}
	if w.kafka.count() != 0 {
		t.Errorf("%v", w.kafka.requests)
	}
}

// The partitions that lack replicas may be those of a topic that is being moved, or whose owner is about to change it.
func TestPartitionsBelowTheirMinISRHoldNobodyBack(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("there", "u", time.Hour))
	w.settle("there")
	w.changeCluster(func(c *v1alpha1.KafkaCluster) {
		meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionFalse,
			Reason: reasonBelowMinISR, Message: "1 partitions have fewer in-sync replicas than min.insync.replicas"})
	})
	w.apply(newTopic("later", "l", time.Minute))
	w.changeTopic("there", func(t *v1alpha1.KafkaTopic) { t.Spec.Config = map[string]string{"min.insync.replicas": "1"} })
	w.settle("there", "later")
	w.wantTopic("later", "Ready")
	w.wantTopic("there", "Ready")
	if got := w.kafka.topics["there"].Config["min.insync.replicas"]; got != "1" {
		t.Errorf("min.insync.replicas is %q", got)
	}
}

func TestAClusterThatIsGoneHoldsNoTopicBack(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour), newTopic("other", "o", time.Hour))
	w.settle("orders", "other")
	cluster := readyCluster(3)
	w.remove(cluster)
	w.remove(w.topic("orders"))
	w.settle("orders", "other")
	if w.topic("orders") != nil {
		t.Error("the finalizer hangs")
	}
	w.wantTopic("other", "Stalled/ClusterNotFound")
	if len(w.kafka.topics) != 2 {
		t.Error("the topics go with their cluster, not before")
	}
	select {
	case e := <-w.events.Events:
		if !strings.Contains(e, "Released") {
			t.Error(e)
		}
	default:
		t.Error("no event tells of it")
	}
}

func TestAnUnreachableClusterKeepsTheFinalizerAndSaysWhy(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
	w.settle("orders")
	w.remove(w.topic("orders"))
	w.kafka.down = fmt.Errorf("dial: %w", kafka.ErrUnreachable)
	if err := w.once("orders"); err == nil {
		t.Error("want an error, for the backoff")
	}
	w.wantTopic("orders", "Reconciling/ClusterUnreachable")
	w.reset()
	_ = w.once()
	if w.apiWrites() != 0 {
		t.Errorf("said twice: %v", w.requests)
	}
	w.kafka.down = nil
	w.settle()
	if w.topic("orders") != nil || len(w.kafka.topics) != 0 {
		t.Error("not deleted after all")
	}
}

func TestWhatIsToBeRetainedGoesWithoutItsClustersAnswer(t *testing.T) {
	retained := func(t *v1alpha1.KafkaTopic) { t.Spec.DeletionPolicy = v1alpha1.DeletionRetain }
	w := newWorld(t, readyCluster(3), newTopic("kept", "k", time.Hour, retained), newTopic("moving", "m", time.Hour, sized(1, 1), retained), newTopic("doomed", "d", time.Hour))
	w.settle("kept", "moving", "doomed")
	w.kafka.slow = true
	w.changeTopic("moving", replicas(2))
	_ = w.once("moving")
	w.apply(newTopic("refused", "r", time.Hour))
	w.kafka.refuse["refused"] = &kafka.Refusal{Code: "POLICY_VIOLATION"}
	_ = w.once("refused")
	w.kafka.down = fmt.Errorf("dial: %w", kafka.ErrUnreachable)
	for _, name := range []string{"kept", "moving", "doomed", "refused"} {
		w.remove(w.topic(name))
	}
	_ = w.once("kept", "moving", "doomed", "refused")
	for _, name := range []string{"kept", "refused"} {
		if w.topic(name) != nil {
			t.Errorf("nothing has to be done in Kafka for %s, and it waits", name)
		}
	}
	w.wantTopic("moving", "Reconciling/ClusterUnreachable") // its throttle is to be taken off
	w.wantTopic("doomed", "Reconciling/ClusterUnreachable")
	w.kafka.down = nil
	w.settle()
	if len(w.kafka.topics) != 2 || w.topic("moving") != nil || w.topic("doomed") != nil {
		t.Errorf("%v", w.kafka.topics)
	}
	w.wantNoThrottle()
}

func TestWhatStopsAWholeFlushIsToldByThoseThatWait(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no permission":   {&kafka.Denied{Code: "CLUSTER_AUTHORIZATION_FAILED"}, "Reconciling/NotAuthorized"},
		"something else":  {errors.New("describe 1 topics: UNKNOWN_SERVER_ERROR"), "Reconciling/Retrying"},
		"the end of time": {context.Canceled, "none"},
	} {
		w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
		w.kafka.down = c.err
		ctx, cancel := context.WithCancel(t.Context())
		if errors.Is(c.err, context.Canceled) {
			cancel()
		}
		w.queue.Mark(clusterKey, "orders")
		if _, err := w.run.Reconcile(ctx, reconcile.Request{NamespacedName: clusterKey}); err == nil {
			t.Errorf("%s: want an error, for the backoff", name)
		}
		cancel()
		if got := state(w.topic("orders").Status.Conditions); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestDriftIsMended(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, configured("retention.ms", "5", "cleanup.policy", "compact, delete")))
	w.settle("orders")
	w.kafka.topics["orders"].Config["retention.ms"] = "6"
	w.kafka.topics["orders"].Config["cleanup.policy"] = "compact,delete" // as a broker tells it
	w.kafka.topics["orders"].Config["segment.ms"] = "7"                  // somebody else's
	w.reset()
	w.clock.move(20 * time.Minute)
	_ = w.once()
	if got := w.kafka.topics["orders"].Config; got["retention.ms"] != "5" || got["segment.ms"] != "7" {
		t.Errorf("%v", got)
	}
	w.reset()
	w.clock.move(20 * time.Minute)
	_ = w.once()
	if w.kafka.writes() != 0 || w.apiWrites() != 0 || w.kafka.count("describe") != 1 {
		t.Errorf("%v %v", w.kafka.requests, w.requests)
	}
}

func TestAFlushWaitsForACacheThatIsBehindItsOwnWrites(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
	before := w.topic("orders")
	w.settle("orders")
	if !w.topics.writer.Stale(before) || w.topics.writer.Stale(w.topic("orders")) {
		t.Error("what was read before our write is stale, what was read after it is not")
	}
	if !w.topics.writer.Wrote(w.topic("orders")) {
		t.Error("the echo of our own write is not known as such")
	}
}
