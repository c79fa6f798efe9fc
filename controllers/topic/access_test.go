package topic

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
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func (w *world) wantTopicIn(namespace, name, want string, says ...string) {
	w.T.Helper()
	t := w.TopicIn(namespace, name)
	if t == nil {
		w.T.Fatalf("KafkaTopic %s/%s is gone, want %s", namespace, name, want)
	}
	text := controllertest.Message(t.Status.Conditions)
	if got := controllertest.State(t.Status.Conditions); got != want {
		w.T.Fatalf("KafkaTopic %s/%s is %s (%s), want %s", namespace, name, got, text, want)
	}
	for _, s := range says {
		if !strings.Contains(text, s) {
			w.T.Errorf("KafkaTopic %s/%s says %q, not %q", namespace, name, text, s)
		}
	}
}

func TestATopicFromAnotherNamespaceNeedsTheClustersConsent(t *testing.T) {
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.GuestNamespace(),
		controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", 0, sized(2, 1))),
	)
	w.Settle("orders")
	w.wantTopicIn(
		controllertest.Guests,
		"orders",
		"Stalled/NotAdmitted",
		"spec.clusterRef",
		"shop/events",
		`"guests"`,
		"spec.access.namespaces",
	)
	if len(w.Kafka.Topics) != 0 || len(w.TopicIn(controllertest.Guests, "orders").Finalizers) != 0 {
		t.Errorf("topics %v, finalizers %v", w.Kafka.Topics, w.TopicIn(controllertest.Guests, "orders").Finalizers)
	}
	w.Reset()
	w.Settle("orders")
	if w.APIWrites() != 0 {
		t.Errorf("said again: %v", w.Requests)
	}
	w.ChangeCluster(controllertest.Admit)
	w.Settle("orders")
	w.wantTopicIn(controllertest.Guests, "orders", "Ready")
	if w.Kafka.Topics["orders"].Partitions != 2 {
		t.Errorf("topics %v", w.Kafka.Topics)
	}
}

func TestWithdrawnConsentFreezesATopicAndDeletesNothing(t *testing.T) {
	cluster := controllertest.ReadyCluster(3)
	controllertest.Admit(cluster)
	w := newWorld(
		t,
		cluster,
		controllertest.GuestNamespace(),
		controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", 0, configured("retention.ms", "1000"))),
	)
	w.Settle("orders")
	w.wantTopicIn(controllertest.Guests, "orders", "Ready")
	id := w.TopicIn(controllertest.Guests, "orders").Status.TopicID

	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	held := w.TopicIn(controllertest.Guests, "orders")
	held.Spec.Config["retention.ms"] = "2000"
	held.Generation++
	if err := w.Client.Update(context.Background(), held); err != nil {
		t.Fatal(err)
	}
	w.Apply(
		controllertest.NewTopic(
			"orders",
			"uid-2",
			0,
			func(t *v1alpha1.KafkaTopic) { t.Spec.Adoption = v1alpha1.AdoptionAlways },
		),
	)
	w.Reset()
	w.Settle("orders")
	w.wantTopicIn(controllertest.Guests, "orders", "Stalled/NotAdmitted")
	w.wantTopic("orders", "Stalled/Conflict") // the topic has its holder still
	if got := w.Kafka.Topics["orders"].Config["retention.ms"]; got != "1000" ||
		w.TopicIn(controllertest.Guests, "orders").Status.TopicID != id {
		t.Errorf("retention.ms=%s, on record %s", got, w.TopicIn(controllertest.Guests, "orders").Status.TopicID)
	}
	w.Remove(w.Topic("orders"))
	w.Remove(w.TopicIn(controllertest.Guests, "orders"))
	w.Settle("orders")
	if w.TopicIn(controllertest.Guests, "orders") != nil {
		t.Error("the finalizer holds an object that may do nothing")
	}
	if _, stays := w.Kafka.Topics["orders"]; !stays {
		t.Error("the topic was deleted on the word of a namespace that is not admitted")
	}
}

func TestWhoeverIsNotAdmittedHoldsNoName(t *testing.T) {
	old := controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", time.Hour))
	old.Finalizers = []string{v1alpha1.Finalizer}
	old.Annotations = map[string]string{v1alpha1.AnnotationCreating: "incarnation-1 uid-1"}
	w := newWorld(
		t,
		controllertest.ReadyCluster(3),
		controllertest.GuestNamespace(),
		old,
		controllertest.NewTopic("orders", "uid-2", 0),
	)
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	w.wantTopicIn(controllertest.Guests, "orders", "Stalled/NotAdmitted")
	w.Remove(w.TopicIn(controllertest.Guests, "orders"))
	w.Settle("orders")
	if w.TopicIn(controllertest.Guests, "orders") != nil || len(w.Kafka.Topics) != 1 {
		t.Errorf("topics %v, or the object is still there", w.Kafka.Topics)
	}
}

func TestANamespaceThatCannotBeReadIsNoWithdrawal(t *testing.T) {
	cluster := controllertest.ReadyCluster(3)
	controllertest.Admit(cluster)
	w := newWorld(
		t,
		cluster,
		controllertest.GuestNamespace(),
		controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", 0)),
	)
	w.Settle("orders")
	w.topics.engine.Namespaces.Reader = unreadable{w.Client}
	if err := w.Once("orders"); err == nil || !strings.Contains(err.Error(), "get Namespace guests") {
		t.Errorf("error %v", err)
	}
	w.wantTopicIn(controllertest.Guests, "orders", "Ready")
}

// unreadable is an API server that does not answer.
type unreadable struct{ client.Reader }

func (unreadable) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return context.DeadlineExceeded
}

func TestANamespaceThatGoesWaitsForAClusterElsewhereFiveMinutes(t *testing.T) {
	cluster := controllertest.ReadyCluster(3)
	controllertest.Admit(cluster)
	going := controllertest.GuestNamespace()
	w := newWorld(
		t,
		cluster,
		going,
		controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", 0)),
		controllertest.NewTopic("local", "uid-2", 0),
	)
	w.Settle("orders", "local")
	w.Goes(going)
	w.Remove(w.TopicIn(controllertest.Guests, "orders"))
	w.Remove(w.Topic("local"))
	deleted := w.TopicIn(controllertest.Guests, "orders").DeletionTimestamp.Time
	w.Clock.Move(deleted.Sub(w.Clock.Now()))
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Status.Conditions[0].Status = metav1.ConditionFalse })
	if err := w.Once("orders", "local"); err != nil {
		t.Fatal(err)
	}
	w.wantTopicIn(controllertest.Guests, "orders", "Reconciling/ClusterNotAvailable")
	w.Clock.Move(4*time.Minute + 59*time.Second)
	if err := w.Once("orders"); err != nil || w.TopicIn(controllertest.Guests, "orders") == nil {
		t.Fatalf("let go too early (error %v)", err)
	}
	w.Clock.Move(2 * time.Second)
	if err := w.Once("orders", "local"); err != nil || w.TopicIn(controllertest.Guests, "orders") != nil {
		t.Fatalf("still there after five minutes (error %v)", err)
	}
	if w.Topic("local") == nil {
		t.Error("what lives in the cluster's own namespace does not go without an answer")
	}
	select {
	case e := <-w.Events.Events:
		if !strings.Contains(e, "TopicLeftBehind") || !strings.Contains(e, "guests") || !strings.Contains(e, `"orders"`) {
			t.Errorf("event %q", e)
		}
	default:
		t.Error("nobody is told what is left behind")
	}
	if len(w.Kafka.Topics) != 2 {
		t.Errorf("topics %v", w.Kafka.Topics)
	}
}

func TestANamespaceThatGoesWaitsNoLongerForAClusterElsewhereThatDoesNotLetGo(t *testing.T) {
	for name, hinder := range map[string]func(*world){
		"it refuses the deletion":     func(w *world) { w.Kafka.Refuse["orders"] = &kafka.Refusal{Code: "TOPIC_DELETION_DISABLED"} },
		"it denies the deletion":      func(w *world) { w.Kafka.Refuse["orders"] = &kafka.Denied{Code: "TOPIC_AUTHORIZATION_FAILED"} },
		"the deletion never succeeds": func(w *world) { w.Kafka.Refuse["orders"] = errors.New("REQUEST_TIMED_OUT") },
		"a quota holds it back":       func(w *world) { w.Kafka.Refuse["orders"] = &kafka.Throttled{After: time.Second} },
		"nothing can be read":         func(w *world) { w.Kafka.Forbidden["delete"] = true },
	} {
		t.Run(name, func(t *testing.T) {
			cluster := controllertest.ReadyCluster(3)
			controllertest.Admit(cluster)
			going := controllertest.GuestNamespace()
			w := newWorld(t, cluster, going, controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", 0)))
			w.Settle("orders")
			hinder(w)
			w.Goes(going)
			w.Remove(w.TopicIn(controllertest.Guests, "orders"))
			w.Clock.Move(w.TopicIn(controllertest.Guests, "orders").DeletionTimestamp.Sub(w.Clock.Now()))
			_ = w.Once("orders")
			if o := w.TopicIn(controllertest.Guests, "orders"); o == nil ||
				controllertest.State(o.Status.Conditions) == "Ready" {
				t.Fatal("it is gone at once, or does not say why it is not")
			}
			w.Clock.Move(5*time.Minute + time.Second)
			if name == "a quota holds it back" {
				if _ = w.Once("orders"); w.TopicIn(controllertest.Guests, "orders") == nil {
					t.Error("it goes on, and was not waited for")
				}
				return
			}
			_ = w.Once("orders")
			if w.TopicIn(controllertest.Guests, "orders") != nil {
				t.Error("still there after five minutes")
			}
			select {
			case e := <-w.Events.Events:
				if !strings.Contains(e, "TopicLeftBehind") {
					t.Errorf("event %q", e)
				}
			default:
				t.Error("nobody is told what is left behind")
			}
		})
	}
}

func TestAnOperatorThatHasJustStartedSaysOnceMoreWhyATopicOfANamespaceThatGoesIsNotLetGo(t *testing.T) {
	cluster := controllertest.ReadyCluster(3)
	controllertest.Admit(cluster)
	going := controllertest.GuestNamespace()
	orders := controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", 0))
	w := newWorld(t, cluster, going, orders)
	w.Settle("orders")
	w.Kafka.Refuse["orders"] = &kafka.Refusal{Code: "TOPIC_DELETION_DISABLED"}
	w.Goes(going)
	w.Remove(w.TopicIn(controllertest.Guests, "orders"))
	w.Clock.Move(w.TopicIn(controllertest.Guests, "orders").DeletionTimestamp.Sub(w.Clock.Now()))
	_ = w.Once("orders")
	w.restart()
	w.Reset()
	w.Clock.Move(5*time.Minute + time.Second)
	_ = w.Once("orders")
	if w.TopicIn(controllertest.Guests, "orders") == nil || w.APIWrites() != 0 {
		t.Errorf("let go at the first look, or written: %v", w.Requests)
	}
	w.LookAgain(time.Second)
	if w.TopicIn(controllertest.Guests, "orders") != nil {
		t.Error("still there at the second look")
	}
}

// A namespace is emptied in no particular order: what is deleted in somebody else's Kafka must not depend on it.
func TestANamespaceThatGoesWithItsExternalClusterDeletesNothingThere(t *testing.T) {
	cluster := controllertest.ReadyCluster(3)
	cluster.Spec = v1alpha1.KafkaClusterSpec{
		External: &v1alpha1.External{BootstrapServers: []v1alpha1.BootstrapServer{"kafka:9092"}},
	}
	w := newWorld(t, cluster, controllertest.NewTopic("orders", "uid-1", 0))
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
	home := &corev1.Namespace{}
	if err := w.Client.Get(t.Context(), client.ObjectKey{Name: controllertest.ClusterKey.Namespace}, home); err != nil {
		t.Fatal(err)
	}
	w.Goes(home)
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	if w.Topic("orders") != nil || len(w.Kafka.Topics) != 1 {
		t.Errorf("topics %v, or the object hangs", w.Kafka.Topics)
	}
}

func guestWorld(t *testing.T, topics ...*v1alpha1.KafkaTopic) *world {
	t.Helper()
	cluster := controllertest.ReadyCluster(3)
	controllertest.Admit(cluster)
	w := newWorld(t, cluster, controllertest.GuestNamespace())
	for _, o := range topics {
		w.Apply(controllertest.FromGuests(o))
		w.Settle(o.Name)
		w.wantTopicIn(controllertest.Guests, o.Name, "Ready")
	}
	return w
}

func TestWhatAGuestWritesOnItsObjectIsNoProofOfWhatTheOperatorDid(t *testing.T) {
	for name, deleted := range map[string]bool{"that lives": false, "that is being deleted": true} {
		t.Run(name, func(t *testing.T) {
			w := guestWorld(t)
			w.Kafka.Add("orders", 1, 1, nil)
			forged := controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", 0, configured("retention.ms", "1")))
			forged.Annotations = map[string]string{v1alpha1.AnnotationCreating: "incarnation-1 uid-1"}
			forged.Finalizers = []string{v1alpha1.Finalizer}
			w.Apply(forged)
			if deleted {
				w.Remove(w.TopicIn(controllertest.Guests, "orders"))
			}
			w.Settle("orders")
			if topic, stays := w.Kafka.Topics["orders"]; !stays || len(topic.Config) != 0 {
				t.Errorf("somebody else's topic was changed: %v", w.Kafka.Topics)
			}
			if deleted && w.TopicIn(controllertest.Guests, "orders") != nil {
				t.Error("the finalizer hangs")
			} else if !deleted {
				w.wantTopicIn(controllertest.Guests, "orders", "Stalled/TopicExists")
			}
		})
	}
}

func TestAGuestsTopicWhoseCreationWasNotAnsweredIsItsOwn(t *testing.T) {
	w := guestWorld(t)
	w.Apply(controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", 0)))
	w.Kafka.Lose = "create"
	if w.Once("orders") == nil || len(w.Kafka.Topics) != 1 {
		t.Fatal("the answer was not lost")
	}
	w.restart()
	w.Settle("orders")
	w.wantTopicIn(controllertest.Guests, "orders", "Ready")
	if s := w.TopicIn(controllertest.Guests, "orders").Status; s.Creating != "" || s.Origin != v1alpha1.OriginCreated {
		t.Errorf("creating %q, by origin %s", s.Creating, s.Origin)
	}
	w.Remove(w.TopicIn(controllertest.Guests, "orders"))
	w.Settle("orders")
	if len(w.Kafka.Topics) != 0 {
		t.Error("it was not deleted")
	}
}

func TestAnAnnouncementThatAGuestRestoresAfterKafkaRefusedItSaysNothing(t *testing.T) {
	w := guestWorld(t)
	w.Apply(controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", 0)))
	w.Kafka.Refuse["orders"] = &kafka.Refusal{Code: "POLICY_VIOLATION", Message: "no"}
	w.Settle("orders")
	w.wantTopicIn(controllertest.Guests, "orders", "Stalled/PolicyViolation")
	o := w.TopicIn(controllertest.Guests, "orders")
	if o.Status.Creating != "" {
		t.Errorf("still announced: %q", o.Status.Creating)
	}
	o.Annotations = map[string]string{v1alpha1.AnnotationCreating: "incarnation-1 uid-1"}
	if err := w.Client.Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	delete(w.Kafka.Refuse, "orders")
	w.Kafka.Add("orders", 1, 1, nil)
	w.Settle("orders")
	w.wantTopicIn(controllertest.Guests, "orders", "Stalled/TopicExists")
	w.Remove(w.TopicIn(controllertest.Guests, "orders"))
	w.Settle("orders")
	if len(w.Kafka.Topics) != 1 {
		t.Error("somebody else's topic was deleted")
	}
}

// permit gives the namespace of guests permissions, and takes away those that are not named.
func permit(permissions ...v1alpha1.AccessPermission) func(*v1alpha1.KafkaCluster) {
	return func(c *v1alpha1.KafkaCluster) {
		c.Spec.Access.Grants = []v1alpha1.AccessGrant{
			{Namespace: "elsewhere", Permissions: []v1alpha1.AccessPermission{"Adopt", "InternalTopics"}},
			{Namespace: controllertest.Guests, Permissions: permissions},
		}
	}
}

func adopting(by v1alpha1.Adoption) func(*v1alpha1.KafkaTopic) {
	return func(t *v1alpha1.KafkaTopic) {
		t.Spec.Adoption, t.Spec.DeletionPolicy = by, v1alpha1.DeletionDelete
		t.Spec.Config = map[string]string{"retention.ms": "1000"}
	}
}

func TestAGuestAdoptsATopicOnlyByItsOwnersWord(t *testing.T) {
	for _, by := range []v1alpha1.Adoption{v1alpha1.AdoptionAlways, v1alpha1.AdoptionIfMatching} {
		t.Run(string(by), func(t *testing.T) {
			w := guestWorld(t)
			w.ChangeCluster(permit(v1alpha1.PermissionInternalTopics))
			w.Kafka.Add("orders", 1, 1, map[string]string{"retention.ms": "1000"})
			w.Apply(controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", 0, adopting(by))))
			w.Settle("orders")
			w.wantTopicIn(controllertest.Guests, "orders", "Stalled/TopicExists",
				`namespace "guests" may not take it over`, "spec.access.grants")
			w.ChangeCluster(permit(v1alpha1.PermissionAdopt))
			w.Settle("orders")
			w.wantTopicIn(controllertest.Guests, "orders", "Ready")
			w.ChangeCluster(permit())
			w.Settle("orders")
			w.wantTopicIn(controllertest.Guests, "orders", "Ready")
			w.Remove(w.TopicIn(controllertest.Guests, "orders"))
			w.Settle("orders")
			if w.TopicIn(controllertest.Guests, "orders") != nil || len(w.Kafka.Topics) != 1 {
				t.Errorf("a topic was deleted that its namespace may not take: %v", w.Kafka.Topics)
			}
		})
	}
}

func TestAGuestDoesNotTakeATopicThatTookThePlaceOfItsOwn(t *testing.T) {
	w := guestWorld(t, controllertest.NewTopic("orders", "uid-1", 0, adopting(v1alpha1.AdoptionAlways),
		func(t *v1alpha1.KafkaTopic) { t.Spec.Recreate = v1alpha1.RecreateAlways }))
	delete(w.Kafka.Topics, "orders")
	w.Kafka.Add("orders", 1, 1, nil)
	w.Settle("orders")
	w.wantTopicIn(controllertest.Guests, "orders", "Stalled/TopicExists", "spec.access.grants")
	if len(w.Kafka.Topics["orders"].Config) != 0 {
		t.Errorf("it was changed: %v", w.Kafka.Topics)
	}
}

func TestAGuestTouchesKafkasOwnTopicsOnlyByItsOwnersWord(t *testing.T) {
	for name, there := range map[string]bool{"__consumer_offsets": true, "__share_group_state": false, "__anything": false} {
		t.Run(name, func(t *testing.T) {
			w := guestWorld(t)
			w.ChangeCluster(permit(v1alpha1.PermissionAdopt))
			if there {
				w.Kafka.Add(name, 1, 1, nil)
			}
			w.Apply(controllertest.FromGuests(controllertest.NewTopic("theirs", "uid-1", 0, adopting(v1alpha1.AdoptionAlways),
				func(t *v1alpha1.KafkaTopic) { t.Spec.Name, t.Spec.DeletionPolicy = name, "" })))
			w.Reset()
			w.Settle(name)
			w.wantTopicIn(controllertest.Guests, "theirs", "Stalled/BeyondAccess", "spec.name", name, "InternalTopics")
			if w.Kafka.Count() != 0 {
				t.Errorf("Kafka was asked: %v", w.Kafka.Requests)
			}
			w.ChangeCluster(permit(v1alpha1.PermissionAdopt, v1alpha1.PermissionInternalTopics))
			w.Settle(name)
			if w.Kafka.Add("x", 1, 1, nil); name == "__share_group_state" {
				w.wantTopicIn(controllertest.Guests, "theirs", "Reconciling/InternalTopic")
				return
			}
			w.wantTopicIn(controllertest.Guests, "theirs", "Ready")
			w.ChangeCluster(permit())
			w.Settle(name)
			w.wantTopicIn(controllertest.Guests, "theirs", "Stalled/BeyondAccess")
			w.Remove(w.TopicIn(controllertest.Guests, "theirs"))
			w.Settle(name)
			if _, stays := w.Kafka.Topics[name]; !stays || w.TopicIn(controllertest.Guests, "theirs") != nil {
				t.Errorf("the topic was deleted (%v), or the object hangs", w.Kafka.Topics)
			}
		})
	}
}

func TestAGuestMayWatchKafkasOwnTopics(t *testing.T) {
	w := guestWorld(t)
	w.Kafka.Add("__consumer_offsets", 1, 1, nil)
	w.Apply(controllertest.FromGuests(controllertest.NewTopic("theirs", "uid-1", 0, func(t *v1alpha1.KafkaTopic) {
		t.Spec.Name, t.Spec.Management = "__consumer_offsets", v1alpha1.ManagementObserve
	})))
	w.Settle("__consumer_offsets")
	w.wantTopicIn(controllertest.Guests, "theirs", "Ready")
}

func TestANamespaceThatIsNotKnownYetIsNotAdmitted(t *testing.T) {
	expression := func(operator metav1.LabelSelectorOperator, values ...string) v1alpha1.NamespaceSelector {
		return v1alpha1.NamespaceSelector{MatchExpressions: []v1alpha1.LabelExpression{
			{Key: "team", Operator: operator, Values: values}}}
	}
	for name, selector := range map[string]v1alpha1.NamespaceSelector{
		"by NotIn":        expression(metav1.LabelSelectorOpNotIn, "guests"),
		"by DoesNotExist": expression(metav1.LabelSelectorOpDoesNotExist),
		"by everything":   {},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := controllertest.ReadyCluster(3)
			cluster.Spec.Access = &v1alpha1.Access{Namespaces: selector}
			w := newWorld(t, cluster, controllertest.FromGuests(controllertest.NewTopic("orders", "uid-1", 0)))
			if err := w.Once("orders"); err != nil {
				t.Fatal(err)
			}
			w.wantTopicIn(controllertest.Guests, "orders", "Reconciling/NotAdmitted", `"guests"`)
			if w.Kafka.Count() != 0 {
				t.Errorf("Kafka was asked %v", w.Kafka.Requests)
			}
			w.Apply(controllertest.GuestNamespace())
			w.LookAgain(batch.RetryFirst)
			if name == "by everything" {
				w.wantTopicIn(controllertest.Guests, "orders", "Ready")
				return
			}
			w.wantTopicIn(controllertest.Guests, "orders", "Stalled/NotAdmitted", "spec.access.namespaces")
			if len(w.Kafka.Topics) != 0 {
				t.Errorf("topics %v", w.Kafka.Topics)
			}
		})
	}
}

func evict(c *v1alpha1.KafkaCluster) { c.Spec.Access.Evicted = []string{controllertest.Guests} }

func TestAnEvictedTopicStaysInKafkaAndItsNameIsFree(t *testing.T) {
	w := guestWorld(t, controllertest.NewTopic("orders", "uid-1", time.Hour, configured("retention.ms", "1000")))
	id := w.Kafka.Topics["orders"].ID
	w.ChangeCluster(evict)
	w.Settle("orders")
	w.wantTopicIn(controllertest.Guests, "orders", "Stalled/Evicted", "spec.clusterRef", "shop/events", "spec.access.evicted")
	if s := w.TopicIn(controllertest.Guests, "orders").Status; s.TopicID+s.ClusterID+string(s.Origin)+s.Creating != "" ||
		len(s.Config)+len(s.ConfigKeys) != 0 {
		t.Errorf("it has on record %+v", s)
	}
	select {
	case e := <-w.Events.Events:
		if !strings.Contains(e, "TopicLetGo") || !strings.Contains(e, "guests/orders") {
			t.Errorf("event %q", e)
		}
	default:
		t.Error("the owner is not told")
	}
	w.WantSilence("orders")
	w.Apply(controllertest.NewTopic("ours", "uid-2", 0, func(t *v1alpha1.KafkaTopic) {
		t.Spec.Name, t.Spec.Adoption = "orders", v1alpha1.AdoptionAlways
	}))
	w.Settle("orders")
	w.wantTopic("ours", "Ready")
	w.Remove(w.TopicIn(controllertest.Guests, "orders"))
	w.Settle("orders")
	if topic := w.Kafka.Topics["orders"]; topic.ID != id || topic.Config["retention.ms"] != "1000" ||
		w.Topic("ours").Status.TopicID != string(id) || w.TopicIn(controllertest.Guests, "orders") != nil {
		t.Errorf("Kafka has %v, or the object hangs", w.Kafka.Topics)
	}
}

func TestAnEvictedTopicIsRecordedUntilNoThrottleOfItsOwnIsOnIt(t *testing.T) {
	w := guestWorld(t, controllertest.NewTopic("orders", "uid-1", time.Hour, sized(1, 1)))
	w.Kafka.Slow = true
	o := w.TopicIn(controllertest.Guests, "orders")
	o.Spec.ReplicationFactor = controllertest.PtrTo(int32(2))
	o.Generation++
	if err := w.Client.Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := w.Once("orders"); err != nil {
		t.Fatal(err)
	}
	if w.TopicIn(controllertest.Guests, "orders").Status.Reassignment == nil || len(w.Kafka.Topics["orders"].Config) == 0 {
		t.Fatal("nothing moves under a throttle")
	}
	w.ChangeCluster(evict)
	w.Kafka.Refuse["orders"] = errors.New("REQUEST_TIMED_OUT")
	_ = w.Once("orders")
	if w.TopicIn(controllertest.Guests, "orders").Status.Reassignment == nil {
		t.Error("the record by which its throttle is known is gone before the throttle is")
	}
	delete(w.Kafka.Refuse, "orders")
	w.Settle("orders")
	w.wantTopicIn(controllertest.Guests, "orders", "Stalled/Evicted")
	if s := w.TopicIn(controllertest.Guests, "orders").Status; s.Reassignment != nil || len(w.Kafka.Topics["orders"].Config) != 0 {
		t.Errorf("status %+v, keys %v", s.Reassignment, w.Kafka.Topics["orders"].Config)
	}
}

func TestTheClustersOwnNamespaceIsNeverEvicted(t *testing.T) {
	w := guestWorld(t)
	w.Apply(controllertest.NewTopic("orders", "uid-1", 0))
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Evicted = []string{c.Namespace} })
	w.Settle("orders")
	w.wantTopic("orders", "Ready")
}

func TestAGuestsTopicBeginsAsItsOwnerWants(t *testing.T) {
	w := guestWorld(t, controllertest.NewTopic("orders", "uid-1", time.Hour, configured("retention.ms", "1000")))
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Access.Names = &v1alpha1.AccessNames{Prefixes: []v1alpha1.NamePrefix{"{namespace}."}}
	})
	w.Apply(controllertest.FromGuests(controllertest.NewTopic("other", "uid-2", 0)),
		controllertest.FromGuests(controllertest.NewTopic("guests.own", "uid-3", 0)), controllertest.NewTopic("ours", "uid-4", 0))
	w.Settle("orders", "other", "guests.own", "ours")
	w.wantTopicIn(controllertest.Guests, "other", "Stalled/BeyondAccess", "spec.name", "guests.")
	w.wantTopicIn(controllertest.Guests, "guests.own", "Ready")
	w.wantTopic("ours", "Ready")
	w.wantTopicIn(controllertest.Guests, "orders", "Stalled/BeyondAccess") // frozen: it stays as it is
	if len(w.Kafka.Topics) != 3 || w.Kafka.Topics["orders"].Config["retention.ms"] != "1000" {
		t.Errorf("topics %v", w.Kafka.Topics)
	}
}

func TestANamespaceHasNoMoreTopicsThanItMay(t *testing.T) {
	w := guestWorld(t, controllertest.NewTopic("first", "uid-1", 0))
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Access.Limits = &v1alpha1.AccessLimits{Topics: controllertest.PtrTo(int32(1))}
	})
	w.Apply(controllertest.FromGuests(controllertest.NewTopic("second", "uid-2", time.Hour)),
		controllertest.NewTopic("ours", "uid-3", 0))
	w.Settle("first", "second", "ours")
	w.wantTopicIn(controllertest.Guests, "first", "Ready")
	w.wantTopicIn(controllertest.Guests, "second", "Stalled/LimitReached", "spec.access.limits.topics")
	w.wantTopic("ours", "Ready")
	w.Remove(w.TopicIn(controllertest.Guests, "first"))
	w.Settle("first")
	w.LookAgain(time.Hour)
	w.wantTopicIn(controllertest.Guests, "second", "Ready")
}

func TestANamespaceHasNoMorePartitionsThanItMay(t *testing.T) {
	asks := func(partitions int32) func(*v1alpha1.KafkaTopic) {
		return func(t *v1alpha1.KafkaTopic) { t.Spec.Partitions = controllertest.PtrTo(partitions) }
	}
	w := guestWorld(t, controllertest.NewTopic("first", "uid-1", 0, asks(4)))
	limit := func(partitions int32) {
		w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
			c.Spec.Access.Limits = &v1alpha1.AccessLimits{Partitions: controllertest.PtrTo(partitions)}
		})
	}
	change := func(name string, change func(*v1alpha1.KafkaTopic)) {
		topic := w.TopicIn(controllertest.Guests, name)
		change(topic)
		topic.Generation++
		if err := w.Client.Update(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
	}
	limit(10)
	nameless := controllertest.NewTopic("nameless", "uid-4", time.Hour)
	nameless.Spec.Partitions = nil
	w.Apply(controllertest.FromGuests(controllertest.NewTopic("second", "uid-2", time.Hour, asks(7))),
		controllertest.FromGuests(controllertest.NewTopic("third", "uid-3", time.Minute, asks(5))),
		controllertest.FromGuests(nameless), controllertest.NewTopic("ours", "uid-5", 0, asks(50)))
	w.Settle("first", "second", "third", "nameless", "ours")
	w.wantTopic("ours", "Ready")
	w.wantTopicIn(controllertest.Guests, "first", "Ready")
	w.wantTopicIn(controllertest.Guests, "third", "Ready")
	w.wantTopicIn(controllertest.Guests, "second", "Stalled/LimitReached", "spec.partitions: ",
		"spec.access.limits.partitions")
	w.wantTopicIn(controllertest.Guests, "nameless", "Stalled/LimitReached", "spec.partitions: ", "set it")
	if _, made := w.Kafka.Topics["nameless"]; made || len(w.Kafka.Topics) != 3 {
		t.Errorf("in Kafka: %v", w.Kafka.Topics)
	}

	change("first", func(t *v1alpha1.KafkaTopic) { // growth is refused, and the rest is cared for
		asks(6)(t)
		t.Spec.Config = map[string]string{"retention.ms": "7"}
	})
	w.Settle("first")
	w.wantTopicIn(controllertest.Guests, "first", "Stalled/LimitReached", "spec.partitions: ", "9 of 10")
	if k := w.Kafka.Topics["first"]; k.Partitions != 4 || k.Config["retention.ms"] != "7" {
		t.Errorf("%+v", k)
	}
	w.Reset()
	w.LookAgain(5 * time.Minute)
	if w.APIWrites() != 0 || w.Kafka.Writes() != 0 {
		t.Errorf("what is refused costs %v %v", w.Requests, w.Kafka.Requests)
	}

	limit(3) // what exists stays
	change("first", asks(4))
	w.Settle("first", "third")
	w.wantTopicIn(controllertest.Guests, "first", "Ready")
	w.wantTopicIn(controllertest.Guests, "third", "Ready")

	limit(20)
	change("first", asks(8))
	w.Settle("first", "second", "third")
	for _, name := range []string{"first", "second", "third"} {
		w.wantTopicIn(controllertest.Guests, name, "Ready")
	}
	if w.Kafka.Topics["first"].Partitions != 8 {
		t.Errorf("%+v", w.Kafka.Topics["first"])
	}
}

func TestWhatMayHaveBeenCreatedCountsAgainstTheLimit(t *testing.T) {
	w := guestWorld(t)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Access.Limits = &v1alpha1.AccessLimits{Topics: controllertest.PtrTo(int32(1))}
	})
	w.Apply(controllertest.FromGuests(controllertest.NewTopic("young", "uid-1", 0)))
	w.Kafka.Lose = "create"
	if w.Once("young") == nil {
		t.Fatal("the answer was not lost")
	}
	w.Apply(controllertest.FromGuests(controllertest.NewTopic("old", "uid-2", time.Hour)))
	_ = w.Once("old")
	w.wantTopicIn(controllertest.Guests, "old", "Stalled/LimitReached", "spec.access.limits.topics")
	w.Settle("young", "old")
	w.wantTopicIn(controllertest.Guests, "young", "Ready")
	if len(w.Kafka.Topics) != 1 {
		t.Errorf("in Kafka: %v", w.Kafka.Topics)
	}
}

func TestAdoptionCannotPassTheLimitOfPartitions(t *testing.T) {
	w := guestWorld(t)
	w.ChangeCluster(permit(v1alpha1.PermissionAdopt))
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Access.Limits = &v1alpha1.AccessLimits{Partitions: controllertest.PtrTo(int32(10))}
	})
	w.Kafka.Add("wide", 40, 1, nil)
	w.Kafka.Add("narrow", 8, 1, nil)
	asks := func(partitions int32) func(*v1alpha1.KafkaTopic) {
		return func(t *v1alpha1.KafkaTopic) { t.Spec.Partitions = controllertest.PtrTo(partitions) }
	}
	w.Apply(controllertest.FromGuests(controllertest.NewTopic("wide", "uid-1", 0, adopting(v1alpha1.AdoptionAlways), asks(1))),
		controllertest.FromGuests(controllertest.NewTopic("narrow", "uid-2", 0, adopting(v1alpha1.AdoptionAlways), asks(8))))
	w.Settle("wide", "narrow")
	w.wantTopicIn(controllertest.Guests, "wide", "Stalled/LimitReached", "set spec.partitions to 40")
	w.wantTopicIn(controllertest.Guests, "narrow", "Ready")
	if w.TopicIn(controllertest.Guests, "wide").Status.TopicID != "" {
		t.Error("it has the topic all the same")
	}
	wide := w.TopicIn(controllertest.Guests, "wide")
	asks(40)(wide)
	wide.Generation++
	if err := w.Client.Update(t.Context(), wide); err != nil {
		t.Fatal(err)
	}
	w.Settle("wide")
	w.wantTopicIn(controllertest.Guests, "wide", "Stalled/LimitReached", "spec.access.limits.partitions")
	w.WantSilence("wide", "narrow")
}
