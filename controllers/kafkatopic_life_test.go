package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func recreating(t *v1alpha1.KafkaTopic) { t.Spec.Recreate = v1alpha1.RecreateAlways }
func observing(t *v1alpha1.KafkaTopic)  { t.Spec.Management = v1alpha1.ManagementObserve }

func TestALostTopicIsCreatedAgainWhereTheSpecSaysSo(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, recreating))
	w.settle("orders")
	before := w.kafka.topics["orders"].ID
	delete(w.kafka.topics, "orders")
	w.kafka.lose = "create"
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	live := w.kafka.topics["orders"]
	if s := w.topic("orders").Status; s.TopicID != string(live.ID) || live.ID == before || s.Origin != v1alpha1.OriginCreated {
		t.Errorf("status %+v, live %+v", s, live)
	}
	if got := w.kafka.count("create"); got != 2 {
		t.Errorf("%d creations", got)
	}
	w.wantSilence("orders")
}

func TestATopicThatTookTheNameOfALostOneIsNotOurs(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, recreating))
	w.settle("orders")
	delete(w.kafka.topics, "orders")
	foreign := w.kafka.add("orders", 9, 1, nil)
	w.reset()
	w.settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	w.remove(w.topic("orders"))
	w.settle("orders")
	if w.kafka.writes() != 0 || w.kafka.topics["orders"].ID != foreign.ID || w.topic("orders") != nil {
		t.Errorf("%v", w.kafka.requests)
	}
}

func TestObservingReportsAndNeverWrites(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, observing, sized(9, 1), configured("retention.ms", "5")),
		newTopic("second", "v", time.Hour, observing, named("orders")))
	w.settle("orders")
	w.wantTopic("orders", "Reconciling/TopicNotFound")
	w.kafka.add("orders", 4, 2, map[string]string{"cleanup.policy": "compact"})
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantTopic("second", "Ready")
	s := w.topic("orders").Status
	if s.Partitions != 4 || s.ReplicationFactor != 2 || s.Origin != "" || s.DeletionPolicy != v1alpha1.DeletionRetain || s.Config["cleanup.policy"] != "compact" {
		t.Errorf("%+v", s)
	}
	if len(w.topic("orders").Finalizers) != 0 {
		t.Error("an observer has a finalizer")
	}
	w.remove(w.topic("orders"))
	w.settle("orders")
	if w.kafka.writes() != 0 || w.topic("orders") != nil {
		t.Errorf("%v", w.kafka.requests)
	}
}

func TestAHolderThatBeginsToObserveLetsGoAndCanComeBack(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
	w.settle("orders")
	w.changeTopic("orders", observing)
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	if o := w.topic("orders"); len(o.Finalizers) != 0 || len(o.Annotations) != 0 {
		t.Errorf("%v %v", o.Finalizers, o.Annotations)
	}
	w.changeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Management = v1alpha1.ManagementFull })
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	if s := w.topic("orders").Status; s.Origin != v1alpha1.OriginCreated {
		t.Errorf("%+v", s)
	}
	w.changeTopic("orders", observing)
	w.settle("orders")
	delete(w.kafka.topics, "orders")
	w.kafka.add("orders", 1, 1, nil)
	w.settle("orders")
	w.changeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Management = v1alpha1.ManagementFull })
	w.settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
}

func TestExactConfigurationRemovesWhatOthersSet(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, configured("retention.ms", "5")))
	w.settle("orders")
	w.kafka.topics["orders"].Config["segment.ms"] = "7"
	w.settle("orders")
	s := w.topic("orders").Status
	if s.Config["segment.ms"] != "7" || slices.Contains(s.ConfigKeys, "segment.ms") {
		t.Errorf("what others set is reported as theirs: %+v", s)
	}
	w.changeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.ConfigPolicy = v1alpha1.ConfigExact })
	w.settle("orders")
	if _, left := w.kafka.topics["orders"].Config["segment.ms"]; left {
		t.Error("it stays")
	}
}

func TestKafkasOwnTopicIsAwaitedConfiguredAndLeft(t *testing.T) {
	const name = "__consumer_offsets"
	w := newWorld(t, readyCluster(3), newTopic("offsets", "u", time.Hour, named(name), configured("segment.bytes", "5"),
		func(t *v1alpha1.KafkaTopic) { t.Spec.Adoption = v1alpha1.AdoptionAlways }))
	w.settle(name)
	w.wantTopic("offsets", "Reconciling/InternalTopic")
	w.kafka.add(name, 50, 3, nil)
	w.settle(name)
	w.wantTopic("offsets", "Ready")
	w.remove(w.topic("offsets"))
	w.settle(name)
	if w.kafka.count("create", "delete", "grow") != 0 || w.kafka.topics[name].Config["segment.bytes"] != "5" || w.topic("offsets") != nil {
		t.Errorf("%v %+v", w.kafka.requests, w.kafka.topics)
	}
}

func TestATopicThatKafkaIsStillDeletingIsCreatedOnceItIsGone(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
	lingering := w.kafka.add("orders", 1, 1, nil)
	w.kafka.stale["orders"] = true // neither described nor gone
	_ = w.once("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	delete(w.kafka.topics, "orders")
	w.kafka.stale["orders"] = false
	w.settle()
	w.wantTopic("orders", "Ready")
	if w.kafka.topics["orders"].ID == lingering.ID {
		t.Error("not a new topic")
	}
}

func TestRefusalsAreToldApart(t *testing.T) {
	for code, c := range map[string]struct{ want, says string }{
		"POLICY_VIOLATION":             {"Stalled/PolicyViolation", "policy"},
		"TOPIC_AUTHORIZATION_FAILED":   {"Reconciling/NotAuthorized", "Create"},
		"CLUSTER_AUTHORIZATION_FAILED": {"Reconciling/NotAuthorized", "Create"},
	} {
		w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
		w.kafka.refuse["orders"] = error(&kafka.Denied{Code: code})
		if code == "POLICY_VIOLATION" {
			w.kafka.refuse["orders"] = &kafka.Refusal{Code: code, Message: "no"}
		}
		_ = w.once("orders")
		w.wantTopic("orders", c.want)
		if m := message(w.topic("orders").Status.Conditions); !strings.Contains(m, c.says) {
			t.Errorf("%s: %s", code, m)
		}
		delete(w.kafka.refuse, "orders")
		if c.want != "Stalled/PolicyViolation" {
			w.settle()
			w.wantTopic("orders", "Ready")
		}
	}
}

func TestAQuotaIsWaitedForAsLongAsKafkaSays(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
	w.kafka.refuse["orders"] = &kafka.Throttled{After: 7 * time.Second}
	_ = w.once("orders")
	w.wantTopic("orders", "Reconciling/QuotaExceeded")
	if next, waits := w.queue.Next(clusterKey); !waits || next != 7*time.Second {
		t.Errorf("next in %s", next)
	}
	delete(w.kafka.refuse, "orders")
	w.settle()
	w.wantTopic("orders", "Ready")
}

func TestATopicThatAppearsAfterOurCreationWasRefusedIsNotOurs(t *testing.T) {
	w := newWorld(t, readyCluster(2), newTopic("orders", "u", time.Hour, sized(1, 3)))
	w.kafka.brokers = 2
	w.settle("orders")
	w.wantTopic("orders", "Stalled/InvalidReplicationFactor")
	foreign := w.kafka.add("orders", 1, 1, nil)
	w.settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	w.remove(w.topic("orders"))
	w.settle("orders")
	if w.topic("orders") != nil || w.kafka.topics["orders"].ID != foreign.ID {
		t.Error("somebody else's topic went with our object")
	}
}

func TestARefusalIsNotForgottenWhileTheClusterIsAway(t *testing.T) {
	refusals := map[string]error{
		"a policy":     &kafka.Refusal{Code: "POLICY_VIOLATION", Message: "no"},
		"a quota":      &kafka.Throttled{After: 10 * time.Minute},
		"a permission": &kafka.Denied{Code: "TOPIC_AUTHORIZATION_FAILED"},
	}
	for name, refusal := range refusals {
		for _, deletedMeanwhile := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, deleted meanwhile is %v", name, deletedMeanwhile), func(t *testing.T) {
				w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
				w.kafka.refuse["orders"] = refusal
				_ = w.once("orders")
				delete(w.kafka.refuse, "orders")
				foreign := w.kafka.add("orders", 1, 1, map[string]string{"flush.ms": "3"})
				w.kafka.down = fmt.Errorf("%w: connection refused", kafka.ErrUnreachable)
				w.clock.move(time.Second)
				_ = w.once("orders")
				if deletedMeanwhile {
					w.remove(w.topic("orders"))
				}
				w.restart()
				w.kafka.down = nil
				w.settle("orders")
				if !deletedMeanwhile {
					w.wantTopic("orders", "Stalled/TopicExists")
					w.remove(w.topic("orders"))
					w.settle("orders")
				}
				if live := w.kafka.topics["orders"]; w.topic("orders") != nil || live.ID != foreign.ID || len(live.Config) != 1 {
					t.Errorf("somebody else's topic is %+v", live)
				}
			})
		}
	}
}

func TestATopicThatIsCreatedAfterAllIsOursAlsoWhenThatWasNotRecorded(t *testing.T) {
	for name, refusal := range map[string]error{"a policy": &kafka.Refusal{Code: "POLICY_VIOLATION"}, "a quota": &kafka.Throttled{After: time.Second}} {
		w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
		w.kafka.refuse["orders"] = refusal
		_ = w.once("orders")
		delete(w.kafka.refuse, "orders")
		w.failing["status orders"] = errors.New("the operator died here")
		w.clock.move(time.Minute)
		if _ = w.once("orders"); w.kafka.topics["orders"].ID == "" {
			t.Fatalf("%s: not created", name)
		}
		delete(w.failing, "status orders")
		w.restart()
		w.settle("orders")
		w.wantTopic("orders", "Ready")
	}
}

// What goes wrong after Kafka's answer does not undo what is known by it.
func TestARefusalHoldsWhateverElseFailsInItsFlush(t *testing.T) {
	for name, fail := range map[string]func(*topicWorld){
		"a later request is lost": func(w *topicWorld) { w.kafka.lose = "alter" },
		"the announcement cannot be undone": func(w *topicWorld) {
			w.kafka.before["create"] = func() { w.failing["patch orders"] = errors.New("away") }
		},
		"the operator is told to end": func(w *topicWorld) {
			var end func()
			w.ctx, end = context.WithCancel(context.Background())
			w.kafka.before["create"] = end
		},
		"the status cannot be written": func(w *topicWorld) { w.failing["status orders"] = errors.New("away") },
	} {
		for _, refused := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, refused is %v", name, refused), func(t *testing.T) {
				w := newWorld(t, readyCluster(3), newTopic("other", "o", time.Hour))
				w.settle("other")
				w.changeTopic("other", configured("retention.ms", "1"))
				w.apply(newTopic("orders", "u", time.Hour))
				var foreign kafka.Topic
				fail(w)
				hindered := w.kafka.before["create"]
				w.kafka.before["create"] = func() {
					if hindered != nil {
						hindered()
					}
					if refused {
						w.kafka.refuse["orders"] = &kafka.Refusal{Code: "POLICY_VIOLATION"}
						return
					}
					foreign = w.kafka.add("orders", 1, 1, map[string]string{"flush.ms": "3"})
				}
				_ = w.once("orders", "other")
				if w.ctx != nil {
					w.ctx = nil
					w.restart()
				}
				clear(w.kafka.before)
				clear(w.kafka.refuse)
				clear(w.failing)
				if refused {
					foreign = w.kafka.add("orders", 1, 1, map[string]string{"flush.ms": "3"})
				}
				w.settle("orders", "other")
				w.wantTopic("orders", "Stalled/TopicExists")
				if _, stands := w.topic("orders").Annotations[v1alpha1.AnnotationCreating]; stands {
					t.Error("it still says that it creates the topic")
				}
				w.remove(w.topic("orders"))
				w.settle("orders")
				if live := w.kafka.topics["orders"]; w.topic("orders") != nil || live.ID != foreign.ID || len(live.Config) != 1 {
					t.Errorf("somebody else's topic is %+v", live)
				}
			})
		}
	}
}

func TestAnAnnouncementThatWasNotAnsweredStandsUntilItIs(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(1, 1), func(t *v1alpha1.KafkaTopic) {
		t.Spec.Placement = &v1alpha1.TopicPlacement{Racks: []string{"a"}}
	}))
	w.kafka.racks = map[int32]string{0: "a", 1: "a", 2: "a"}
	w.kafka.lose = "create"
	_ = w.once("orders")
	w.kafka.stale["orders"] = true // the next broker does not know it yet
	w.kafka.forbidden["reassignments"] = true
	w.clock.move(time.Second)
	_ = w.once("orders")
	w.wantTopic("orders", "Reconciling/NotAuthorized")
	clear(w.kafka.stale)
	clear(w.kafka.forbidden)
	w.restart()
	w.settle("orders")
	w.wantTopic("orders", "Ready")
}

func TestAnAnnouncementGoesWhenNothingIsToBeCreatedAnyMore(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, recreating))
	w.settle("orders")
	delete(w.kafka.topics, "orders")
	w.kafka.refuse["orders"] = errors.New("REQUEST_TIMED_OUT")
	for range 5 { // the loss is told, and then made good, or tried to
		_ = w.once("orders")
		w.clock.move(2 * time.Second)
	}
	w.wantTopic("orders", "Reconciling/Retrying")
	w.changeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Recreate = v1alpha1.RecreateNever })
	w.settle("orders")
	w.wantTopic("orders", "Stalled/TopicLost")
	clear(w.kafka.refuse)
	foreign := w.kafka.add("orders", 1, 1, nil)
	w.settle("orders")
	w.wantTopic("orders", "Stalled/TopicReplaced")
	w.remove(w.topic("orders"))
	w.settle("orders")
	if w.topic("orders") != nil || w.kafka.topics["orders"].ID != foreign.ID {
		t.Errorf("%+v", w.kafka.topics)
	}
}

func TestAQuotaThatIsUsedUpIsNotRunAgainst(t *testing.T) {
	const many = 3 * quotaTries
	w := newWorld(t, readyCluster(3))
	names := make([]string, many)
	for i := range names {
		names[i] = fmt.Sprintf("t%d", i)
		w.apply(newTopic(names[i], names[i], time.Hour))
		w.kafka.refuse[names[i]] = &kafka.Throttled{After: 10 * time.Second}
	}
	_ = w.once(names...)
	w.reset()
	w.clock.move(9 * time.Second)
	if _ = w.once(names...); w.apiWrites() != 0 || w.kafka.writes() != 0 {
		t.Errorf("before the time has come: %v %v", w.requests, w.kafka.requests)
	}
	w.clock.move(2 * time.Second)
	if _ = w.once(names...); w.apiWrites() > 2*quotaTries || w.kafka.count("create") != 1 {
		t.Errorf("when it has come: %v %v", w.requests, w.kafka.requests)
	}
	clear(w.kafka.refuse)
	w.settle(names...)
	for _, name := range names {
		w.wantTopic(name, "Ready")
	}
}

func TestARefusedTopicIsTriedAgainAndCostsNoWriteMeanwhile(t *testing.T) {
	for name, refusal := range map[string]error{
		"a policy":     &kafka.Refusal{Code: "POLICY_VIOLATION", Message: "no"},
		"a permission": &kafka.Denied{Code: "TOPIC_AUTHORIZATION_FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour))
			w.kafka.refuse["orders"] = refusal
			_ = w.once("orders")
			w.clock.move(time.Hour)
			w.reset()
			_ = w.once("orders")
			if w.apiWrites() != 0 || w.kafka.writes() != 0 || w.kafka.count("validate") != 1 {
				t.Errorf("%v %v", w.requests, w.kafka.requests)
			}
			delete(w.kafka.refuse, "orders")
			w.settle("orders")
			w.wantTopic("orders", "Ready")
		})
	}
}

func TestHealthIsToldWhenItLastsAndNotWithEveryReplicaThatFallsBehind(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, sized(4, 2)))
	w.settle("orders")
	ail := func(under, offline int32) {
		live := w.kafka.topics["orders"]
		live.UnderReplicated, live.Offline = under, offline
		w.kafka.topics["orders"] = live
	}
	ail(3, 0)
	w.reset()
	_ = w.once("orders")
	w.clock.move(30 * time.Second)
	ail(0, 0)
	w.settle("orders")
	if w.apiWrites() != 0 {
		t.Errorf("a broker restarts: %v", w.requests)
	}
	ail(3, 0)
	w.settle("orders")
	if s := w.topic("orders").Status; s.Health != v1alpha1.HealthUnderReplicated || s.UnderReplicated != 3 || w.apiWrites() != 1 {
		t.Errorf("%+v, %v", s, w.requests)
	}
	w.reset()
	ail(2, 0)
	w.settle("orders")
	if w.apiWrites() != 0 {
		t.Errorf("still under-replicated: %v", w.requests)
	}
	ail(2, 1)
	w.settle("orders")
	if s := w.topic("orders").Status; s.Health != v1alpha1.HealthOffline || s.Offline != 1 {
		t.Errorf("%+v", s)
	}
	ail(0, 0)
	w.settle("orders")
	if s := w.topic("orders").Status; s.Health != v1alpha1.HealthHealthy || s.Offline+s.UnderReplicated != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWhatWasSeenOfATopicIsForgottenWithItsObject(t *testing.T) {
	w := newWorld(t, readyCluster(3), newTopic("orders", "u", time.Hour, func(t *v1alpha1.KafkaTopic) { t.Spec.DeletionPolicy = v1alpha1.DeletionRetain }))
	w.settle("orders")
	live := w.kafka.topics["orders"]
	live.UnderReplicated = 1
	w.kafka.topics["orders"] = live
	_ = w.once("orders")
	if len(w.topics.ailing.seen) != 1 {
		t.Fatalf("%d topics are watched for their health", len(w.topics.ailing.seen))
	}
	w.remove(w.topic("orders"))
	w.settle("orders")
	w.settle("orders") // the object is gone by now
	if w.topic("orders") != nil || len(w.topics.ailing.seen)+len(w.topics.doubts.seen) != 0 {
		t.Errorf("kept in memory: %v, %v", w.topics.ailing.seen, w.topics.doubts.seen)
	}
}
