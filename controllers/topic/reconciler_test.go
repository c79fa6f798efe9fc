package topic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
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

func (w *world) wantTopic(name, want string) {
	w.T.Helper()
	t := w.Topic(name)
	if t == nil {
		w.T.Fatalf("KafkaTopic %s is gone, want %s", name, want)
	}
	if got := controllertest.State(t.Status.Conditions); got != want {
		w.T.Fatalf("KafkaTopic %s is %s (%s), want %s", name, got, controllertest.Message(t.Status.Conditions), want)
	}
}

func TestATopicCostsTwoRequestsToCreateOneToChangeOneToDeleteAndNoneAtRest(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3))
	var names []string
	for i := range 20 {
		name := fmt.Sprintf("t%d", i)
		names = append(names, name)
		w.Apply(controllertest.NewTopic(name, name, time.Hour, sized(3, 2), configured("retention.ms", "1000")))
	}
	w.Settle(names...)
	w.wantTopic("t7", "Ready")
	if got := w.APIWrites(); got != 40 {
		t.Errorf("create: %d API requests for 20 topics: %v", got, w.Requests)
	}
	if !maps.Equal(w.Kafka.Requests, map[string]int{"describe": 1, "create": 1}) {
		t.Errorf("create: Kafka requests %v", w.Kafka.Requests)
	}
	status := w.Topic("t7").Status
	if status.TopicID != string(w.Kafka.Topics["t7"].ID) || status.ClusterID != "incarnation-1" || status.Partitions != 3 || status.ReplicationFactor != 2 ||
		status.Origin != v1alpha1.OriginCreated ||
		status.DeletionPolicy != v1alpha1.DeletionDelete ||
		!slices.Equal(status.ConfigKeys, []string{"retention.ms"}) {
		t.Errorf("status: %+v", status)
	}

	w.WantSilence(names...)

	w.Reset()
	for _, name := range names {
		w.ChangeTopic(
			name,
			func(t *v1alpha1.KafkaTopic) { t.Spec.Partitions = controllertest.PtrTo(int32(5)); t.Spec.Config = nil },
		)
	}
	w.Settle(names...)
	if got := w.APIWrites(); got != 20 {
		t.Errorf("change: %d API requests: %v", got, w.Requests)
	}
	if !maps.Equal(w.Kafka.Requests, map[string]int{"describe": 1, "grow": 1, "alter": 1}) {
		t.Errorf("change: Kafka requests %v", w.Kafka.Requests)
	}
	if live := w.Kafka.Topics["t7"]; live.Partitions != 5 || len(live.Config) != 0 {
		t.Errorf("live: %+v", live)
	}

	w.Reset()
	for _, name := range names {
		w.Remove(w.Topic(name))
	}
	w.Settle(names...)
	if got := w.APIWrites(); got != 20 {
		t.Errorf("delete: %d API requests: %v", got, w.Requests)
	}
	if !maps.Equal(w.Kafka.Requests, map[string]int{"delete": 1}) || len(w.Kafka.Topics) != 0 || w.Topic("t7") != nil {
		t.Errorf("delete: Kafka requests %v, left %v", w.Kafka.Requests, w.Kafka.Topics)
	}
}

func TestATopicThatSomebodyElseGivesUpIsTaken(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u1", time.Hour))
	w.Kafka.Add("orders", 4, 2, nil)
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	w.Reset()
	for range 4 {
		w.LookAgain(claim.TakenLookLimit)
	}
	if w.APIWrites() != 0 || w.Kafka.Writes() != 0 {
		t.Errorf("looking wrote: %v, %v", w.Requests, w.Kafka.Requests)
	}
	delete(w.Kafka.Topics, "orders")
	w.LookAgain(claim.TakenLookLimit)
	w.wantTopic("orders", "Ready")
}

func TestAnExistingTopicIsTakenOverOnlyWhenAsked(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("orders", "u1", time.Hour, configured("retention.ms", "5")),
	)
	w.Kafka.Add("orders", 4, 2, map[string]string{"cleanup.policy": "compact"})
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	if w.Kafka.Writes() != 0 {
		t.Errorf("touched: %v", w.Kafka.Requests)
	}
	if len(w.Topic("orders").Finalizers) != 0 {
		t.Error("an object that holds nothing has a finalizer")
	}
	w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Adoption = v1alpha1.AdoptionAlways })
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	if s := w.Topic("orders").Status; s.Origin != v1alpha1.OriginAdopted || s.DeletionPolicy != v1alpha1.DeletionRetain ||
		s.Partitions != 4 ||
		!maps.Equal(s.Config, map[string]string{"retention.ms": "5", "cleanup.policy": "compact"}) {
		t.Errorf("status %+v", s)
	}
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	live, exists := w.Kafka.Topics["orders"]
	if w.Topic("orders") != nil || !exists {
		t.Error("an adopted topic is retained and its object goes")
	}
	if live.Config["retention.ms"] != "5" {
		t.Error("a retained topic stays as it is, configuration and all")
	}
}

func TestALostAnswerOfACreationIsStillOurTopic(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u1", time.Hour))
	w.Kafka.Lose = "create"
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	if s := w.Topic("orders").Status; s.Origin != v1alpha1.OriginCreated {
		t.Errorf("origin %s", s.Origin)
	}
	if w.Kafka.Count("create") != 1 {
		t.Errorf("%v", w.Kafka.Requests)
	}
}

func TestABrokerThatIsBehindDoesNotMakeOurTopicSomebodyElses(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u1", time.Hour))
	w.Kafka.Lose = "create"
	_ = w.Once("orders")
	w.Kafka.Stale["orders"] = true // the next answers come from a broker that does not know it yet
	_ = w.Once("orders")
	w.Kafka.Stale["orders"] = false
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	w.Kafka.Stale["orders"] = true
	_ = w.Once("orders")
	w.wantTopic("orders", "Ready")
	w.Kafka.Stale["orders"] = false
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
}

func TestATopicThatSomebodyMakesInBetweenIsNotOurs(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u1", time.Hour))
	w.Kafka.Add("orders", 1, 1, nil)
	w.Kafka.Stale["orders"] = true
	_ = w.Once("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	w.Kafka.Stale["orders"] = false
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	if len(w.Kafka.Topics) != 1 || w.Topic("orders") != nil {
		t.Error("deleting the object must leave the topic alone")
	}
}

func TestDeletingTheLosingDuplicateKeepsTheTopic(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("old", "u2", time.Hour, named("orders")),
		controllertest.NewTopic("young", "u1", time.Minute, named("orders")),
	)
	w.Settle("orders")
	w.wantTopic("old", "Ready")
	w.wantTopic("young", "Stalled/Conflict")
	if m := controllertest.Message(w.Topic("young").Status.Conditions); !strings.Contains(m, `"old"`) {
		t.Errorf("the message names no holder: %s", m)
	}
	w.Reset()
	w.Remove(w.Topic("young"))
	w.Settle("orders")
	if w.Kafka.Writes() != 0 || w.APIWrites() != 0 || w.Topic("young") != nil {
		t.Errorf("%v %v", w.Kafka.Requests, w.Requests)
	}
	w.wantTopic("old", "Ready")
}

func TestAHolderThatGoesHandsTheTopicOver(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("old", "u2", time.Hour, named("orders"), configured("retention.ms", "1")),
		controllertest.NewTopic("young", "u1", time.Minute, named("orders"), configured("segment.ms", "2")),
	)
	w.Settle("orders")
	id := w.Kafka.Topics["orders"].ID
	w.Remove(w.Topic("old"))
	w.Settle("orders")
	w.wantTopic("young", "Ready")
	s := w.Topic("young").Status
	if w.Topic("old") != nil || w.Kafka.Topics["orders"].ID != id || s.TopicID != string(id) ||
		s.Origin != v1alpha1.OriginCreated {
		t.Errorf("status %+v, live %+v", s, w.Kafka.Topics)
	}
	if config := w.Kafka.Topics["orders"].Config; !maps.Equal(config, map[string]string{"segment.ms": "2"}) {
		t.Errorf("config %v", config)
	}
	w.Remove(w.Topic("young"))
	w.Settle("orders")
	if len(w.Kafka.Topics) != 0 {
		t.Error("the last holder deletes by its policy")
	}
}

func TestAHandOverSurvivesACrashBeforeTheOldHolderIsReleased(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("old", "u2", time.Hour, named("orders")),
		controllertest.NewTopic("young", "u1", time.Minute, named("orders")),
	)
	w.Settle("orders")
	w.Remove(w.Topic("old"))
	w.Failing["patch old"] = fmt.Errorf("the operator died here")
	_ = w.Once("orders")
	w.Remove(w.Topic("young"))
	w.ChangeTopic("young", func(t *v1alpha1.KafkaTopic) { t.Spec.DeletionPolicy = v1alpha1.DeletionRetain })
	delete(w.Failing, "patch old")
	w.Settle("orders")
	if w.Topic("old") != nil || w.Topic("young") != nil || len(w.Kafka.Topics) != 1 {
		t.Errorf("one that leaves wants the topic kept: %v", w.Kafka.Topics)
	}
}

func TestOneRefusedTopicDelaysNoOther(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(2),
		controllertest.NewTopic("good", "g", time.Hour),
		controllertest.NewTopic("bad", "b", time.Hour, sized(1, 3)),
		controllertest.NewTopic(
			"odd",
			"o",
			time.Hour,
			configured("retention.ms", "x", "retention.bytes", "7"),
		),
		controllertest.NewTopic("flaky", "f", time.Hour),
	)
	w.Kafka.BrokerCount = 2
	w.Kafka.Refuse["odd"] = &kafka.Refusal{
		Code:    "INVALID_CONFIG",
		Message: "Invalid value x for configuration retention.ms",
	}
	w.Kafka.Refuse["flaky"] = fmt.Errorf("NOT_CONTROLLER")
	if err := w.Once("good", "bad", "odd", "flaky"); err != nil {
		t.Fatal(err)
	}
	w.wantTopic("good", "Ready")
	w.wantTopic("bad", "Stalled/InvalidReplicationFactor")
	if m := controllertest.Message(w.Topic("bad").Status.Conditions); !strings.Contains(
		m,
		"spec.replicationFactor: 3 replicas asked, 2 brokers",
	) {
		t.Error(m)
	}
	w.wantTopic("odd", "Stalled/InvalidConfig")
	if m := controllertest.Message(w.Topic("odd").Status.Conditions); !strings.HasPrefix(
		m,
		"spec.config[retention.ms]: ",
	) {
		t.Error(m)
	}
	w.wantTopic("flaky", "Reconciling/Retrying")
	delete(w.Kafka.Refuse, "flaky")
	w.Settle()
	w.wantTopic("flaky", "Ready")
}

func TestATopicThatCannotBeMarkedSaysSoAndDelaysNoOther(t *testing.T) {
	refused := apierrors.NewForbidden(schema.GroupResource{Resource: "kafkatopics"}, "bad",
		errors.New("admission webhook \"policy\" denied the request: no finalizers"))
	for name, c := range map[string]struct{ verb, state string }{
		"its finalizer": {"patch bad", "Reconciling/Retrying"},
		"its status":    {"status bad", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, controllertest.ReadyCluster(1), controllertest.NewTopic("good", "g", time.Hour),
				controllertest.NewTopic("bad", "b", time.Hour))
			w.Failing[c.verb] = refused
			for _, interval := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second} {
				if next, _ := w.Queue.Next(controllertest.ClusterKey); next != interval {
					t.Fatalf("due after %s, expected %s", next, interval)
				}
				w.Clock.Move(interval)
				if err := w.Once(map[bool][]string{true: {"good", "bad"}}[interval == 0]...); err != nil {
					t.Fatalf("the whole cluster is retried for one topic: %v", err)
				}
				w.wantTopic("good", "Ready")
				w.wantTopic("bad", c.state)
			}
			if m := controllertest.Message(w.Topic("bad").Status.Conditions); c.state != "none" &&
				!strings.Contains(m, "denied the request: no finalizers") {
				t.Error(m)
			}
			if _, made := w.Kafka.Topics["bad"]; made != (c.state == "none") {
				t.Errorf("in Kafka: %t", made)
			}
			clear(w.Failing)
			w.LookAgain(time.Minute)
			w.wantTopic("bad", "Ready")
		})
	}
}

func TestABadTopicAmongManyCostsTheOthersNothing(t *testing.T) {
	const many = 100
	w := newWorld(t, controllertest.ReadyCluster(3))
	names := make([]string, many)
	for i := range names {
		names[i] = fmt.Sprintf("t%d", i)
		w.Apply(controllertest.NewTopic(names[i], names[i], time.Hour))
	}
	const bad = "t77"
	w.Kafka.Refuse[bad] = &kafka.Refusal{Code: "INVALID_CONFIG", Message: "no"}
	w.Reset()
	w.Settle(names...)
	for _, name := range names {
		if name != bad {
			w.wantTopic(name, "Ready")
		}
	}
	w.wantTopic(bad, "Stalled/InvalidConfig")
	if w.Kafka.Requests["create"] != 1 || w.Kafka.Requests["describe"] != 1 {
		t.Errorf("requests to Kafka: %v", w.Kafka.Requests)
	}
	if got := w.APIWrites(); got != 2*many+1 { // what was announced of the bad one is taken back
		t.Errorf("%d writes to the API for %d topics", got, many)
	}
	w.Reset()
	w.Settle(names...)
	if w.APIWrites() != 0 || w.Kafka.Requests["alter"] != 0 {
		t.Errorf("again: %d writes to the API, %v", w.APIWrites(), w.Kafka.Requests)
	}
}

func TestATopicThatTheOperatorMayNotSeeKeepsItsRecordAndDelaysNoOther(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("hidden", "h", time.Hour),
		controllertest.NewTopic("good", "g", time.Hour),
	)
	w.Settle("hidden")
	id := w.Topic("hidden").Status.TopicID
	w.Kafka.Hidden["hidden"] = true
	w.ChangeTopic("hidden", func(t *v1alpha1.KafkaTopic) { t.Spec.Config = map[string]string{"retention.ms": "9"} })
	if err := w.Once("hidden", "good"); err != nil {
		t.Fatal(err)
	}
	w.wantTopic("good", "Ready")
	w.wantTopic("hidden", "Reconciling/NotAuthorized")
	if m := controllertest.Message(w.Topic("hidden").Status.Conditions); !strings.Contains(
		m,
		`grant its principal Describe and DescribeConfigs on topic "hidden"`,
	) {
		t.Error(m)
	}
	if got := w.Topic("hidden").Status; got.TopicID != id || got.Partitions != 1 || w.Kafka.Requests["alter"] != 0 {
		t.Errorf("on record %+v, its UUID was %q; requests %v", got, id, w.Kafka.Requests)
	}
	delete(w.Kafka.Hidden, "hidden")
	w.Settle()
	w.wantTopic("hidden", "Ready")
}

func TestWhatCannotBeChangedIsStalledAndTheRestIsCaredFor(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(6, 2)))
	w.Settle("orders")
	w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) {
		t.Spec.Partitions, t.Spec.ReplicationFactor = controllertest.PtrTo(int32(3)), controllertest.PtrTo(int32(4))
		t.Spec.Config = map[string]string{"retention.ms": "9"}
	})
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/PartitionsCannotShrink")
	m := controllertest.Message(w.Topic("orders").Status.Conditions)
	if !strings.Contains(m, "spec.partitions") || !strings.Contains(m, "spec.replicationFactor") {
		t.Error(m)
	}
	if w.Kafka.Topics["orders"].Config["retention.ms"] != "9" {
		t.Error("the configuration waits for the partitions")
	}
}

func TestATopicReplacedOrLostBehindOurBackIsReportedAndLeftAlone(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
	w.Settle("orders")
	delete(w.Kafka.Topics, "orders")
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/TopicLost")
	w.Kafka.Add("orders", 9, 1, nil)
	w.Reset()
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/TopicReplaced")
	if w.Kafka.Writes() != 0 {
		t.Errorf("%v", w.Kafka.Requests)
	}
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	if w.Topic("orders") != nil || w.Kafka.Topics["orders"].Partitions != 9 {
		t.Error("deletion acts on the recorded UUID and no other")
	}
}

func TestANewIncarnationOfTheClusterGetsTheTopicAnew(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
	w.Settle("orders")
	w.Kafka.Topics = map[string]kafka.Topic{}
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Status.ClusterID = "incarnation-2" })
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	if s := w.Topic("orders").Status; s.ClusterID != "incarnation-2" || s.TopicID != string(w.Kafka.Topics["orders"].ID) {
		t.Errorf("%+v", s)
	}
}

func TestATopicWaitsForItsClusterAndAReadyOneStaysReady(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("there", "u", time.Hour))
	w.Settle("there")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		meta.SetStatusCondition(
			&c.Status.Conditions,
			metav1.Condition{
				Type:    v1alpha1.ConditionAvailable,
				Status:  metav1.ConditionFalse,
				Reason:  "NoQuorum",
				Message: "the quorum has no leader",
			},
		)
	})
	w.Apply(controllertest.NewTopic("later", "l", time.Minute))
	w.Remove(w.Topic("there"))
	w.Reset()
	w.Settle("there", "later")
	w.wantTopic("later", "Reconciling/ClusterNotAvailable")
	w.wantTopic("there", "Reconciling/ClusterNotAvailable")
	if m := controllertest.Message(w.Topic("later").Status.Conditions); !strings.Contains(m, "the quorum has no leader") {
		t.Error(m)
	}
	if w.Kafka.Count() != 0 {
		t.Errorf("%v", w.Kafka.Requests)
	}
}

// The partitions that lack replicas may be those of a topic that is being moved, or whose owner is about to change it.
func TestPartitionsBelowTheirMinISRHoldNobodyBack(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("there", "u", time.Hour))
	w.Settle("there")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Status.PartitionsBelowMinISR = 1
		meta.SetStatusCondition(
			&c.Status.Conditions,
			metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionFalse,
				Reason: "BelowMinISR", Message: "1 partitions have fewer in-sync replicas than min.insync.replicas"},
		)
	})
	w.Apply(controllertest.NewTopic("later", "l", time.Minute))
	w.ChangeTopic("there", func(t *v1alpha1.KafkaTopic) { t.Spec.Config = map[string]string{"min.insync.replicas": "1"} })
	w.Settle("there", "later")
	w.wantTopic("later", "Ready")
	w.wantTopic("there", "Ready")
	if got := w.Kafka.Topics["there"].Config["min.insync.replicas"]; got != "1" {
		t.Errorf("min.insync.replicas is %q", got)
	}
}

// Whoever applies everything at once may hand in a topic before its cluster: a tool that waits for health gives up on
// what is Stalled. A reference that nothing follows is a mistake all the same.
func TestATopicBeforeItsClusterIsNotStalledUntilItsClusterIsOverdue(t *testing.T) {
	w := newWorld(t, controllertest.NewTopic("orders", "u", 0), controllertest.NewTopic("lost", "l", 0))
	_ = w.Once("orders", "lost")
	w.wantTopic("orders", "Reconciling/ClusterNotFound")
	w.Apply(controllertest.ReadyCluster(3))
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	w.Remove(controllertest.ReadyCluster(3))
	w.Settle("lost")
	w.wantTopic("lost", "Stalled/ClusterNotFound")
	w.WantSilence("lost")
}

// spec.clusterRef cannot be changed, so that a wrong one takes another object.
func TestAReferenceThatNothingFollowsIsToldWithACureThatWorks(t *testing.T) {
	for name, c := range map[string]struct {
		only []string
		want string
	}{
		"no such cluster": {nil, `spec.clusterRef.name: there is no KafkaCluster "events" in namespace "shop"; create it, ` +
			"or write another KafkaTopic that names one that there is, with spec.clusterRef.namespace if it is elsewhere, " +
			"and delete this one"},
		"a namespace that nobody looks after": {[]string{"elsewhere"}, `spec.clusterRef.name: the operator does not look ` +
			`after namespace "shop" (its flag --watch-namespaces); add it there, or delete this KafkaTopic`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, controllertest.NewTopic("lost", "l", 0))
			w.Shared.Namespaces.Only = c.only
			w.restart()
			w.Settle("lost")
			w.wantTopic("lost", "Stalled/ClusterNotFound")
			if got := controllertest.Message(w.Topic("lost").Status.Conditions); got != c.want {
				t.Errorf("it says %q", got)
			}
		})
	}
}

func TestAClusterThatIsGoneHoldsNoTopicBack(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("orders", "u", time.Hour),
		controllertest.NewTopic("other", "o", time.Hour),
	)
	w.Settle("orders", "other")
	cluster := controllertest.ReadyCluster(3)
	w.Remove(cluster)
	w.Remove(w.Topic("orders"))
	w.Settle("orders", "other")
	if w.Topic("orders") != nil {
		t.Error("the finalizer hangs")
	}
	w.wantTopic("other", "Stalled/ClusterNotFound")
	if len(w.Kafka.Topics) != 2 {
		t.Error("the topics go with their cluster, not before")
	}
	select {
	case e := <-w.Events.Events:
		if !strings.Contains(e, "Released") {
			t.Error(e)
		}
	default:
		t.Error("no event tells of it")
	}
}

func TestAnUnreachableClusterKeepsTheFinalizerAndSaysWhy(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
	w.Settle("orders")
	w.Remove(w.Topic("orders"))
	w.Kafka.Down = fmt.Errorf("dial: %w", kafka.ErrUnreachable)
	if err := w.Once("orders"); err == nil {
		t.Error("want an error, for the backoff")
	}
	w.wantTopic("orders", "Reconciling/ClusterUnreachable")
	w.Reset()
	_ = w.Once()
	if w.APIWrites() != 0 {
		t.Errorf("said twice: %v", w.Requests)
	}
	w.Kafka.Down = nil
	w.Settle()
	if w.Topic("orders") != nil || len(w.Kafka.Topics) != 0 {
		t.Error("not deleted after all")
	}
}

func TestWhatIsToBeRetainedGoesWithoutItsClustersAnswer(t *testing.T) {
	retained := func(t *v1alpha1.KafkaTopic) { t.Spec.DeletionPolicy = v1alpha1.DeletionRetain }
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("kept", "k", time.Hour, retained),
		controllertest.NewTopic("moving", "m", time.Hour, sized(1, 1), retained),
		controllertest.NewTopic("doomed", "d", time.Hour),
	)
	w.Settle("kept", "moving", "doomed")
	w.Kafka.Slow = true
	w.ChangeTopic("moving", replicas(2))
	_ = w.Once("moving")
	w.Apply(controllertest.NewTopic("refused", "r", time.Hour))
	w.Kafka.Refuse["refused"] = &kafka.Refusal{Code: "POLICY_VIOLATION"}
	_ = w.Once("refused")
	w.Kafka.Down = fmt.Errorf("dial: %w", kafka.ErrUnreachable)
	for _, name := range []string{"kept", "moving", "doomed", "refused"} {
		w.Remove(w.Topic(name))
	}
	_ = w.Once("kept", "moving", "doomed", "refused")
	for _, name := range []string{"kept", "refused"} {
		if w.Topic(name) != nil {
			t.Errorf("nothing has to be done in Kafka for %s, and it waits", name)
		}
	}
	w.wantTopic("moving", "Reconciling/ClusterUnreachable") // its throttle is to be taken off
	w.wantTopic("doomed", "Reconciling/ClusterUnreachable")
	w.Kafka.Down = nil
	w.Settle()
	if len(w.Kafka.Topics) != 2 || w.Topic("moving") != nil || w.Topic("doomed") != nil {
		t.Errorf("%v", w.Kafka.Topics)
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
		w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
		w.Kafka.Down = c.err
		ctx, cancel := context.WithCancel(t.Context())
		if errors.Is(c.err, context.Canceled) {
			cancel()
		}
		w.Queue.Mark(controllertest.ClusterKey, "orders")
		if _, err := w.Run.Reconcile(ctx, reconcile.Request{NamespacedName: controllertest.ClusterKey}); err == nil {
			t.Errorf("%s: want an error, for the backoff", name)
		}
		cancel()
		if got := controllertest.State(w.Topic("orders").Status.Conditions); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestDriftIsMended(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic(
			"orders",
			"u",
			time.Hour,
			configured("retention.ms", "5", "cleanup.policy", "compact, delete"),
		),
	)
	w.Settle("orders")
	w.Kafka.Topics["orders"].Config["retention.ms"] = "6"
	w.Kafka.Topics["orders"].Config["cleanup.policy"] = "compact,delete" // as a broker tells it
	w.Kafka.Topics["orders"].Config["segment.ms"] = "7"                  // somebody else's
	w.Reset()
	w.Clock.Move(20 * time.Minute)
	_ = w.Once()
	if got := w.Kafka.Topics["orders"].Config; got["retention.ms"] != "5" || got["segment.ms"] != "7" {
		t.Errorf("%v", got)
	}
	w.Reset()
	w.Clock.Move(20 * time.Minute)
	_ = w.Once()
	if w.Kafka.Writes() != 0 || w.APIWrites() != 0 || w.Kafka.Count("describe") != 1 {
		t.Errorf("%v %v", w.Kafka.Requests, w.Requests)
	}
}

func TestAFlushWaitsForACacheThatIsBehindItsOwnWrites(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
	before := w.Topic("orders")
	w.Settle("orders")
	if !w.topics.engine.Writer.Stale(before) || w.topics.engine.Writer.Stale(w.Topic("orders")) {
		t.Error("what was read before our write is stale, what was read after it is not")
	}
	if !w.topics.engine.Writer.Wrote(w.Topic("orders")) {
		t.Error("the echo of our own write is not known as such")
	}
}

func TestValuesAreSentWithoutWhatKafkaDropsFromThem(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3))
	w.Apply(controllertest.NewTopic("orders", "u1", time.Hour,
		configured("min.insync.replicas", " 2", "compression.type", " zstd")))
	w.Settle("orders")
	w.ChangeTopic("orders", func(o *v1alpha1.KafkaTopic) {
		o.Spec.Config["retention.ms"], o.Spec.Config["preallocate"] = "+86400000 ", "TRUE"
	})
	w.Settle("orders")
	want := map[string]string{
		"min.insync.replicas": "2", "retention.ms": "86400000", "preallocate": "true", "compression.type": " zstd",
	}
	if have := w.Kafka.Topics["orders"].Config; !maps.Equal(have, want) {
		t.Errorf("Kafka was told %q, want %q", have, want)
	}
	w.WantSilence("orders")
}
