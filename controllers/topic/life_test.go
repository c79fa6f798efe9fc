package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func recreating(t *v1alpha1.KafkaTopic) { t.Spec.Recreate = v1alpha1.RecreateAlways }

func observing(t *v1alpha1.KafkaTopic) { t.Spec.Management = v1alpha1.ManagementObserve }

func TestALostTopicIsCreatedAgainWhereTheSpecSaysSo(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, recreating))
	w.Settle("orders")
	before := w.Kafka.Topics["orders"].ID
	delete(w.Kafka.Topics, "orders")
	w.Kafka.Lose = "create"
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	live := w.Kafka.Topics["orders"]
	if s := w.Topic("orders").Status; s.TopicID != string(live.ID) || live.ID == before ||
		s.Origin != v1alpha1.OriginCreated {
		t.Errorf("status %+v, live %+v", s, live)
	}
	if got := w.Kafka.Count("create"); got != 2 {
		t.Errorf("%d creations", got)
	}
	w.WantSilence("orders")
}

func TestATopicThatTookTheNameOfALostOneIsNotOurs(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, recreating))
	w.Settle("orders")
	delete(w.Kafka.Topics, "orders")
	foreign := w.Kafka.Add("orders", 9, 1, nil)
	w.Reset()
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	if w.Kafka.Writes() != 0 || w.Kafka.Topics["orders"].ID != foreign.ID || w.Topic("orders") != nil {
		t.Errorf("%v", w.Kafka.Requests)
	}
}

func TestObservingReportsAndNeverWrites(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("orders", "u", time.Hour, observing, sized(9, 1), configured("retention.ms", "5")),
		controllertest.NewTopic("second", "v", time.Hour, observing, named("orders")),
	)
	w.Settle("orders")
	w.wantTopic("orders", "Reconciling/TopicNotFound")
	w.Kafka.Add("orders", 4, 2, map[string]string{"cleanup.policy": "compact"})
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantTopic("second", "Ready")
	s := w.Topic("orders").Status
	if s.Partitions != 4 || s.ReplicationFactor != 2 || s.Origin != "" || s.DeletionPolicy != v1alpha1.DeletionRetain ||
		s.Config["cleanup.policy"] != "compact" {
		t.Errorf("%+v", s)
	}
	if len(w.Topic("orders").Finalizers) != 0 {
		t.Error("an observer has a finalizer")
	}
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	if w.Kafka.Writes() != 0 || w.Topic("orders") != nil {
		t.Errorf("%v", w.Kafka.Requests)
	}
}

func TestAHolderThatBeginsToObserveLetsGoAndCanComeBack(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
	w.Settle("orders")
	w.ChangeTopic("orders", observing)
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	if o := w.Topic("orders"); len(o.Finalizers) != 0 || len(o.Annotations) != 0 {
		t.Errorf("%v %v", o.Finalizers, o.Annotations)
	}
	w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Management = v1alpha1.ManagementFull })
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	if s := w.Topic("orders").Status; s.Origin != v1alpha1.OriginCreated {
		t.Errorf("%+v", s)
	}
	w.ChangeTopic("orders", observing)
	w.Settle("orders")
	delete(w.Kafka.Topics, "orders")
	w.Kafka.Add("orders", 1, 1, nil)
	w.Settle("orders")
	w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Management = v1alpha1.ManagementFull })
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
}

func TestExactConfigurationRemovesWhatOthersSet(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("orders", "u", time.Hour, configured("retention.ms", "5")),
	)
	w.Settle("orders")
	w.Kafka.Topics["orders"].Config["segment.ms"] = "7"
	w.Settle("orders")
	s := w.Topic("orders").Status
	if s.Config["segment.ms"] != "7" || slices.Contains(s.ConfigKeys, "segment.ms") {
		t.Errorf("what others set is reported as theirs: %+v", s)
	}
	w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.ConfigPolicy = v1alpha1.ConfigExact })
	w.Settle("orders")
	if _, left := w.Kafka.Topics["orders"].Config["segment.ms"]; left {
		t.Error("it stays")
	}
}

func TestKafkasOwnTopicIsAwaitedConfiguredAndLeft(t *testing.T) {
	const name = "__consumer_offsets"
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("offsets", "u", time.Hour, named(name), configured("segment.bytes", "5"),
			func(t *v1alpha1.KafkaTopic) { t.Spec.Adoption = v1alpha1.AdoptionAlways }),
	)
	w.Settle(name)
	w.wantTopic("offsets", "Reconciling/InternalTopic")
	w.Kafka.Add(name, 50, 3, nil)
	w.Settle(name)
	w.wantTopic("offsets", "Ready")
	w.Remove(w.Topic("offsets"))
	w.Settle(name)
	if w.Kafka.Count("create", "delete", "grow") != 0 || w.Kafka.Topics[name].Config["segment.bytes"] != "5" ||
		w.Topic("offsets") != nil {
		t.Errorf("%v %+v", w.Kafka.Requests, w.Kafka.Topics)
	}
}

func TestATopicThatKafkaIsStillDeletingIsCreatedOnceItIsGone(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
	lingering := w.Kafka.Add("orders", 1, 1, nil)
	w.Kafka.Stale["orders"] = true // neither described nor gone
	_ = w.Once("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	delete(w.Kafka.Topics, "orders")
	w.Kafka.Stale["orders"] = false
	w.Settle()
	w.wantTopic("orders", "Ready")
	if w.Kafka.Topics["orders"].ID == lingering.ID {
		t.Error("not a new topic")
	}
}

func TestRefusalsAreToldApart(t *testing.T) {
	for code, c := range map[string]struct{ want, says string }{
		"POLICY_VIOLATION":             {"Stalled/PolicyViolation", "policy"},
		"TOPIC_AUTHORIZATION_FAILED":   {"Reconciling/NotAuthorized", "Create"},
		"CLUSTER_AUTHORIZATION_FAILED": {"Reconciling/NotAuthorized", "Create"},
	} {
		w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
		w.Kafka.Refuse["orders"] = error(&kafka.Denied{Code: code})
		if code == "POLICY_VIOLATION" {
			w.Kafka.Refuse["orders"] = &kafka.Refusal{Code: code, Message: "no"}
		}
		_ = w.Once("orders")
		w.wantTopic("orders", c.want)
		if m := controllertest.Message(w.Topic("orders").Status.Conditions); !strings.Contains(m, c.says) {
			t.Errorf("%s: %s", code, m)
		}
		delete(w.Kafka.Refuse, "orders")
		if c.want != "Stalled/PolicyViolation" {
			w.Settle()
			w.wantTopic("orders", "Ready")
		}
	}
}

func TestAQuotaIsWaitedForAsLongAsKafkaSays(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
	w.Kafka.Refuse["orders"] = &kafka.Throttled{After: 7 * time.Second}
	_ = w.Once("orders")
	w.wantTopic("orders", "Reconciling/QuotaExceeded")
	if next, waits := w.Queue.Next(controllertest.ClusterKey); !waits || next != 7*time.Second {
		t.Errorf("next in %s", next)
	}
	delete(w.Kafka.Refuse, "orders")
	w.Settle()
	w.wantTopic("orders", "Ready")
}

func TestATopicThatAppearsAfterOurCreationWasRefusedIsNotOurs(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(2), controllertest.NewTopic("orders", "u", time.Hour, sized(1, 3)))
	w.Kafka.BrokerCount = 2
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/InvalidReplicationFactor")
	foreign := w.Kafka.Add("orders", 1, 1, nil)
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/TopicExists")
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	if w.Topic("orders") != nil || w.Kafka.Topics["orders"].ID != foreign.ID {
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
				w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
				w.Kafka.Refuse["orders"] = refusal
				_ = w.Once("orders")
				delete(w.Kafka.Refuse, "orders")
				foreign := w.Kafka.Add("orders", 1, 1, map[string]string{"flush.ms": "3"})
				w.Kafka.Down = fmt.Errorf("%w: connection refused", kafka.ErrUnreachable)
				w.Clock.Move(time.Second)
				_ = w.Once("orders")
				if deletedMeanwhile {
					w.Remove(w.Topic("orders"))
				}
				w.restart()
				w.Kafka.Down = nil
				w.Settle("orders")
				if !deletedMeanwhile {
					w.wantTopic("orders", "Stalled/TopicExists")
					w.Remove(w.Topic("orders"))
					w.Settle("orders")
				}
				if live := w.Kafka.Topics["orders"]; w.Topic("orders") != nil || live.ID != foreign.ID || len(live.Config) != 1 {
					t.Errorf("somebody else's topic is %+v", live)
				}
			})
		}
	}
}

func TestATopicThatIsCreatedAfterAllIsOursAlsoWhenThatWasNotRecorded(t *testing.T) {
	for name, refusal := range map[string]error{"a policy": &kafka.Refusal{Code: "POLICY_VIOLATION"}, "a quota": &kafka.Throttled{After: time.Second}} {
		w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
		w.Kafka.Refuse["orders"] = refusal
		_ = w.Once("orders")
		delete(w.Kafka.Refuse, "orders")
		w.Failing["status orders"] = errors.New("the operator died here")
		w.Clock.Move(time.Minute)
		if _ = w.Once("orders"); w.Kafka.Topics["orders"].ID == "" {
			t.Fatalf("%s: not created", name)
		}
		delete(w.Failing, "status orders")
		w.restart()
		w.Settle("orders")
		w.wantTopic("orders", "Ready")
	}
}

// What goes wrong after Kafka's answer does not undo what is known by it.
func TestARefusalHoldsWhateverElseFailsInItsFlush(t *testing.T) {
	for name, fail := range map[string]func(*world){
		"a later request is lost": func(w *world) { w.Kafka.Lose = "alter" },
		"the announcement cannot be undone": func(w *world) {
			w.Kafka.Before["create"] = func() { w.Failing["patch orders"] = errors.New("away") }
		},
		"the operator is told to end": func(w *world) {
			var end func()
			w.Ctx, end = context.WithCancel(context.Background())
			w.Kafka.Before["create"] = end
		},
		"the status cannot be written": func(w *world) { w.Failing["status orders"] = errors.New("away") },
	} {
		for _, refused := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, refused is %v", name, refused), func(t *testing.T) {
				w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("other", "o", time.Hour))
				w.Settle("other")
				w.ChangeTopic("other", configured("retention.ms", "1"))
				w.Apply(controllertest.NewTopic("orders", "u", time.Hour))
				var foreign kafka.Topic
				fail(w)
				hindered := w.Kafka.Before["create"]
				w.Kafka.Before["create"] = func() {
					if hindered != nil {
						hindered()
					}
					if refused {
						w.Kafka.Refuse["orders"] = &kafka.Refusal{Code: "POLICY_VIOLATION"}
						return
					}
					foreign = w.Kafka.Add("orders", 1, 1, map[string]string{"flush.ms": "3"})
				}
				_ = w.Once("orders", "other")
				if w.Ctx != nil {
					w.Ctx = nil
					w.restart()
				}
				clear(w.Kafka.Before)
				clear(w.Kafka.Refuse)
				clear(w.Failing)
				if refused {
					foreign = w.Kafka.Add("orders", 1, 1, map[string]string{"flush.ms": "3"})
				}
				w.Settle("orders", "other")
				w.wantTopic("orders", "Stalled/TopicExists")
				if _, stands := w.Topic("orders").Annotations[v1alpha1.AnnotationCreating]; stands {
					t.Error("it still says that it creates the topic")
				}
				w.Remove(w.Topic("orders"))
				w.Settle("orders")
				if live := w.Kafka.Topics["orders"]; w.Topic("orders") != nil || live.ID != foreign.ID || len(live.Config) != 1 {
					t.Errorf("somebody else's topic is %+v", live)
				}
			})
		}
	}
}

func TestAnAnnouncementThatWasNotAnsweredStandsUntilItIs(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic("orders", "u", time.Hour, sized(1, 1), func(t *v1alpha1.KafkaTopic) {
			t.Spec.Placement = &v1alpha1.TopicPlacement{Racks: []string{"a"}}
		}),
	)
	w.Kafka.Racks = map[int32]string{0: "a", 1: "a", 2: "a"}
	w.Kafka.Lose = "create"
	_ = w.Once("orders")
	w.Kafka.Stale["orders"] = true // the next broker does not know it yet
	w.Kafka.Forbidden["reassignments"] = true
	w.Clock.Move(time.Second)
	_ = w.Once("orders")
	w.wantTopic("orders", "Reconciling/NotAuthorized")
	clear(w.Kafka.Stale)
	clear(w.Kafka.Forbidden)
	w.restart()
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
}

func TestAnAnnouncementGoesWhenNothingIsToBeCreatedAnyMore(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, recreating))
	w.Settle("orders")
	delete(w.Kafka.Topics, "orders")
	w.Kafka.Refuse["orders"] = errors.New("REQUEST_TIMED_OUT")
	for range 5 { // the loss is told, and then made good, or tried to
		_ = w.Once("orders")
		w.Clock.Move(2 * time.Second)
	}
	w.wantTopic("orders", "Reconciling/Retrying")
	w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Recreate = v1alpha1.RecreateNever })
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/TopicLost")
	clear(w.Kafka.Refuse)
	foreign := w.Kafka.Add("orders", 1, 1, nil)
	w.Settle("orders")
	w.wantTopic("orders", "Stalled/TopicReplaced")
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	if w.Topic("orders") != nil || w.Kafka.Topics["orders"].ID != foreign.ID {
		t.Errorf("%+v", w.Kafka.Topics)
	}
}

func TestAQuotaThatIsUsedUpIsNotRunAgainst(t *testing.T) {
	const many = 3 * quotaTries
	w := newWorld(t, controllertest.ReadyCluster(3))
	names := make([]string, many)
	for i := range names {
		names[i] = fmt.Sprintf("t%d", i)
		w.Apply(controllertest.NewTopic(names[i], names[i], time.Hour))
		w.Kafka.Refuse[names[i]] = &kafka.Throttled{After: 10 * time.Second}
	}
	_ = w.Once(names...)
	w.Reset()
	w.Clock.Move(9 * time.Second)
	if _ = w.Once(names...); w.APIWrites() != 0 || w.Kafka.Writes() != 0 {
		t.Errorf("before the time has come: %v %v", w.Requests, w.Kafka.Requests)
	}
	w.Clock.Move(2 * time.Second)
	if _ = w.Once(names...); w.APIWrites() > 2*quotaTries || w.Kafka.Count("create") != 1 {
		t.Errorf("when it has come: %v %v", w.Requests, w.Kafka.Requests)
	}
	clear(w.Kafka.Refuse)
	w.Settle(names...)
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
			w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour))
			w.Kafka.Refuse["orders"] = refusal
			_ = w.Once("orders")
			w.Clock.Move(time.Hour)
			w.Reset()
			_ = w.Once("orders")
			if w.APIWrites() != 0 || w.Kafka.Writes() != 0 || w.Kafka.Count("validate") != 1 {
				t.Errorf("%v %v", w.Requests, w.Kafka.Requests)
			}
			delete(w.Kafka.Refuse, "orders")
			w.Settle("orders")
			w.wantTopic("orders", "Ready")
		})
	}
}

func TestHealthIsToldWhenItLastsAndNotWithEveryReplicaThatFallsBehind(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, sized(4, 2)))
	w.Settle("orders")
	ail := func(under, offline int32) {
		live := w.Kafka.Topics["orders"]
		live.UnderReplicated, live.Offline = under, offline
		w.Kafka.Topics["orders"] = live
	}
	ail(3, 0)
	w.Reset()
	_ = w.Once("orders")
	w.Clock.Move(30 * time.Second)
	ail(0, 0)
	w.Settle("orders")
	if w.APIWrites() != 0 {
		t.Errorf("a broker restarts: %v", w.Requests)
	}
	ail(3, 0)
	w.Settle("orders")
	if s := w.Topic("orders").Status; s.Health != v1alpha1.HealthUnderReplicated || s.UnderReplicated != 3 ||
		w.APIWrites() != 1 {
		t.Errorf("%+v, %v", s, w.Requests)
	}
	w.Reset()
	ail(2, 0)
	w.Settle("orders")
	if w.APIWrites() != 0 {
		t.Errorf("still under-replicated: %v", w.Requests)
	}
	ail(2, 1)
	w.Settle("orders")
	if s := w.Topic("orders").Status; s.Health != v1alpha1.HealthOffline || s.Offline != 1 {
		t.Errorf("%+v", s)
	}
	ail(0, 0)
	w.Settle("orders")
	if s := w.Topic("orders").Status; s.Health != v1alpha1.HealthHealthy || s.Offline+s.UnderReplicated != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWhatWasSeenOfATopicIsForgottenWithItsObject(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.NewTopic(
			"orders",
			"u",
			time.Hour,
			func(t *v1alpha1.KafkaTopic) { t.Spec.DeletionPolicy = v1alpha1.DeletionRetain },
		),
	)
	w.Settle("orders")
	live := w.Kafka.Topics["orders"]
	live.UnderReplicated = 1
	w.Kafka.Topics["orders"] = live
	_ = w.Once("orders")
	if len(w.topics.health.Seen) != 1 {
		t.Fatalf("%d topics are watched for their health", len(w.topics.health.Seen))
	}
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	w.Settle("orders") // the object is gone by now
	if w.Topic("orders") != nil || len(w.topics.health.Seen)+len(w.topics.engine.Doubts.Seen) != 0 {
		t.Errorf("kept in memory: %v, %v", w.topics.health.Seen, w.topics.engine.Doubts.Seen)
	}
}

// The operator before this one did not write status.notCreated. What it has left is looked at once more, and nothing is
// created twice, lost, or refused again and again.
func TestAStatusThatDoesNotSayWhyThereIsNoTopicIsSafe(t *testing.T) {
	for name, c := range map[string]struct {
		hinder    func(*world)
		told      v1alpha1.NotCreated
		want      string
		creations int
	}{
		"lost, and to be made good": {func(w *world) {
			w.Settle("orders")
			delete(w.Kafka.Topics, "orders")
			_ = w.Once("orders")
			w.Clock.Move(time.Second)
			_ = w.Once("orders")
		}, v1alpha1.NotCreatedLost, "Ready", 1},
		"refused": {func(w *world) {
			w.Kafka.Refuse["orders"] = &kafka.Refusal{Code: "POLICY_VIOLATION", Message: "no"}
			_ = w.Once("orders")
		}, v1alpha1.NotCreatedRefused, "Stalled/PolicyViolation", 1},
		"over quota": {func(w *world) {
			w.Kafka.Refuse["orders"] = &kafka.Throttled{After: 10 * time.Minute}
			_ = w.Once("orders")
		}, v1alpha1.NotCreatedOverQuota, "Reconciling/QuotaExceeded", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, controllertest.ReadyCluster(3), controllertest.NewTopic("orders", "u", time.Hour, recreating))
			c.hinder(w)
			old := w.Topic("orders")
			if old.Status.NotCreated != c.told {
				t.Fatalf("notCreated is %q: %+v", old.Status.NotCreated, old.Status.Conditions)
			}
			old.Status.NotCreated = ""
			if err := w.Client.Status().Update(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			w.restart()
			w.Reset()
			w.Settle("orders")
			w.wantTopic("orders", c.want)
			if got := w.Kafka.Count("create"); got != c.creations {
				t.Errorf("%d creations", got)
			}
			w.Reset()
			w.Settle("orders")
			if w.APIWrites() != 0 || w.Kafka.Writes() != 0 {
				t.Errorf("at rest: %v %v", w.Requests, w.Kafka.Requests)
			}
		})
	}
}
