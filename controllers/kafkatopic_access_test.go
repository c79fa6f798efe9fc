package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func (w *topicWorld) wantTopicIn(namespace, name, want string, says ...string) {
	w.t.Helper()
	t := w.topicIn(namespace, name)
	if t == nil {
		w.t.Fatalf("KafkaTopic %s/%s is gone, want %s", namespace, name, want)
	}
	text := message(t.Status.Conditions)
	if got := state(t.Status.Conditions); got != want {
		w.t.Fatalf("KafkaTopic %s/%s is %s (%s), want %s", namespace, name, got, text, want)
	}
	for _, s := range says {
		if !strings.Contains(text, s) {
			w.t.Errorf("KafkaTopic %s/%s says %q, not %q", namespace, name, text, s)
		}
	}
}

func TestATopicFromAnotherNamespaceNeedsTheClustersConsent(t *testing.T) {
	w := newWorld(t, readyCluster(3), guestNamespace(), fromGuests(newTopic("orders", "uid-1", 0, sized(2, 1))))
	w.settle("orders")
	w.wantTopicIn(guests, "orders", "Stalled/NotAdmitted", "spec.clusterRef", "shop/events", `"guests"`, "spec.access.namespaces")
	if len(w.kafka.topics) != 0 || len(w.topicIn(guests, "orders").Finalizers) != 0 {
		t.Errorf("topics %v, finalizers %v", w.kafka.topics, w.topicIn(guests, "orders").Finalizers)
	}
	w.reset()
	w.settle("orders")
	if w.apiWrites() != 0 {
		t.Errorf("said again: %v", w.requests)
	}
	w.changeCluster(admit)
	w.settle("orders")
	w.wantTopicIn(guests, "orders", "Ready")
	if w.kafka.topics["orders"].Partitions != 2 {
		t.Errorf("topics %v", w.kafka.topics)
	}
}

func TestWithdrawnConsentFreezesATopicAndDeletesNothing(t *testing.T) {
	cluster := readyCluster(3)
	admit(cluster)
	w := newWorld(t, cluster, guestNamespace(), fromGuests(newTopic("orders", "uid-1", 0, configured("retention.ms", "1000"))))
	w.settle("orders")
	w.wantTopicIn(guests, "orders", "Ready")
	id := w.topicIn(guests, "orders").Status.TopicID

	w.changeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	held := w.topicIn(guests, "orders")
	held.Spec.Config["retention.ms"] = "2000"
	held.Generation++
	if err := w.client.Update(context.Background(), held); err != nil {
		t.Fatal(err)
	}
	w.apply(newTopic("orders", "uid-2", 0, func(t *v1alpha1.KafkaTopic) { t.Spec.Adoption = v1alpha1.AdoptionAlways }))
	w.reset()
	w.settle("orders")
	w.wantTopicIn(guests, "orders", "Stalled/NotAdmitted")
	w.wantTopic("orders", "Stalled/Conflict") // the topic has its holder still
	if got := w.kafka.topics["orders"].Config["retention.ms"]; got != "1000" || w.topicIn(guests, "orders").Status.TopicID != id {
		t.Errorf("retention.ms=%s, on record %s", got, w.topicIn(guests, "orders").Status.TopicID)
	}
	w.remove(w.topic("orders"))
	w.remove(w.topicIn(guests, "orders"))
	w.settle("orders")
	if w.topicIn(guests, "orders") != nil {
		t.Error("the finalizer holds an object that may do nothing")
	}
	if _, stays := w.kafka.topics["orders"]; !stays {
		t.Error("the topic was deleted on the word of a namespace that is not admitted")
	}
}

func TestWhoeverIsNotAdmittedHoldsNoName(t *testing.T) {
	old := fromGuests(newTopic("orders", "uid-1", time.Hour))
	old.Finalizers = []string{v1alpha1.Finalizer}
	old.Annotations = map[string]string{v1alpha1.AnnotationCreating: "incarnation-1 uid-1"}
	w := newWorld(t, readyCluster(3), guestNamespace(), old, newTopic("orders", "uid-2", 0))
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantTopicIn(guests, "orders", "Stalled/NotAdmitted")
	w.remove(w.topicIn(guests, "orders"))
	w.settle("orders")
	if w.topicIn(guests, "orders") != nil || len(w.kafka.topics) != 1 {
		t.Errorf("topics %v, or the object is still there", w.kafka.topics)
	}
}

func TestANamespaceThatCannotBeReadIsNoWithdrawal(t *testing.T) {
	cluster := readyCluster(3)
	admit(cluster)
	w := newWorld(t, cluster, guestNamespace(), fromGuests(newTopic("orders", "uid-1", 0)))
	w.settle("orders")
	w.topics.Namespaces.Reader = unreadable{w.client}
	if err := w.once("orders"); err == nil || !strings.Contains(err.Error(), "get Namespace guests") {
		t.Errorf("error %v", err)
	}
	w.wantTopicIn(guests, "orders", "Ready")
}

// unreadable is an API server that does not answer.
type unreadable struct{ client.Reader }

func (unreadable) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return context.DeadlineExceeded
}

func TestANamespaceThatGoesWaitsForAClusterElsewhereFiveMinutes(t *testing.T) {
	cluster := readyCluster(3)
	admit(cluster)
	going := guestNamespace()
	w := newWorld(t, cluster, going, fromGuests(newTopic("orders", "uid-1", 0)), newTopic("local", "uid-2", 0))
	w.settle("orders", "local")
	w.goes(going)
	w.remove(w.topicIn(guests, "orders"))
	w.remove(w.topic("local"))
	deleted := w.topicIn(guests, "orders").DeletionTimestamp.Time
	w.clock.move(deleted.Sub(w.clock.Now()))
	w.changeCluster(func(c *v1alpha1.KafkaCluster) { c.Status.Conditions[0].Status = metav1.ConditionFalse })
	if err := w.once("orders", "local"); err != nil {
		t.Fatal(err)
	}
	w.wantTopicIn(guests, "orders", "Reconciling/ClusterNotAvailable")
	w.clock.move(4*time.Minute + 59*time.Second)
	if err := w.once("orders"); err != nil || w.topicIn(guests, "orders") == nil {
		t.Fatalf("let go too early (error %v)", err)
	}
	w.clock.move(2 * time.Second)
	if err := w.once("orders", "local"); err != nil || w.topicIn(guests, "orders") != nil {
		t.Fatalf("still there after five minutes (error %v)", err)
	}
	if w.topic("local") == nil {
		t.Error("what lives in the cluster's own namespace does not go without an answer")
	}
	select {
	case e := <-w.events.Events:
		if !strings.Contains(e, "TopicLeftBehind") || !strings.Contains(e, "guests") || !strings.Contains(e, `"orders"`) {
			t.Errorf("event %q", e)
		}
	default:
		t.Error("nobody is told what is left behind")
	}
	if len(w.kafka.topics) != 2 {
		t.Errorf("topics %v", w.kafka.topics)
	}
}

func TestANamespaceThatGoesWaitsNoLongerForAClusterElsewhereThatDoesNotLetGo(t *testing.T) {
	for name, hinder := range map[string]func(*topicWorld){
		"it refuses the deletion":     func(w *topicWorld) { w.kafka.refuse["orders"] = &kafka.Refusal{Code: "TOPIC_DELETION_DISABLED"} },
		"it denies the deletion":      func(w *topicWorld) { w.kafka.refuse["orders"] = &kafka.Denied{Code: "TOPIC_AUTHORIZATION_FAILED"} },
		"the deletion never succeeds": func(w *topicWorld) { w.kafka.refuse["orders"] = errors.New("REQUEST_TIMED_OUT") },
		"a quota holds it back":       func(w *topicWorld) { w.kafka.refuse["orders"] = &kafka.Throttled{After: time.Second} },
		"nothing can be read":         func(w *topicWorld) { w.kafka.forbidden["delete"] = true },
	} {
		t.Run(name, func(t *testing.T) {
			cluster := readyCluster(3)
			admit(cluster)
			going := guestNamespace()
			w := newWorld(t, cluster, going, fromGuests(newTopic("orders", "uid-1", 0)))
			w.settle("orders")
			hinder(w)
			w.goes(going)
			w.remove(w.topicIn(guests, "orders"))
			w.clock.move(w.topicIn(guests, "orders").DeletionTimestamp.Sub(w.clock.Now()))
			_ = w.once("orders")
			if o := w.topicIn(guests, "orders"); o == nil || state(o.Status.Conditions) == "Ready" {
				t.Fatal("it is gone at once, or does not say why it is not")
			}
			w.clock.move(5*time.Minute + time.Second)
			if name == "a quota holds it back" {
				if _ = w.once("orders"); w.topicIn(guests, "orders") == nil {
					t.Error("it goes on, and was not waited for")
				}
				return
			}
			_ = w.once("orders")
			if w.topicIn(guests, "orders") != nil {
				t.Error("still there after five minutes")
			}
			select {
			case e := <-w.events.Events:
				if !strings.Contains(e, "TopicLeftBehind") {
					t.Errorf("event %q", e)
				}
			default:
				t.Error("nobody is told what is left behind")
			}
		})
	}
}

// A namespace is emptied in no particular order: what is deleted in somebody else's Kafka must not depend on it.
func TestANamespaceThatGoesWithItsExternalClusterDeletesNothingThere(t *testing.T) {
	cluster := readyCluster(3)
	cluster.Spec = v1alpha1.KafkaClusterSpec{External: &v1alpha1.External{BootstrapServers: []v1alpha1.BootstrapServer{"kafka:9092"}}}
	w := newWorld(t, cluster, newTopic("orders", "uid-1", 0))
	w.settle("orders")
	w.wantTopic("orders", "Ready")
	home := &corev1.Namespace{}
	if err := w.client.Get(t.Context(), client.ObjectKey{Name: clusterKey.Namespace}, home); err != nil {
		t.Fatal(err)
	}
	w.goes(home)
	w.remove(w.topic("orders"))
	w.settle("orders")
	if w.topic("orders") != nil || len(w.kafka.topics) != 1 {
		t.Errorf("topics %v, or the object hangs", w.kafka.topics)
	}
}
