package topic

import (
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/claim"
)

// installed is a world whose cluster records an operator, seen by another one or the same.
func installed(t *testing.T, recorded, self string, topics ...*v1alpha1.KafkaTopic) *world {
	t.Helper()
	cluster := controllertest.ReadyCluster(3)
	cluster.Status.Operator = recorded
	w := newWorld(t, cluster)
	for _, topic := range topics {
		w.Apply(topic)
	}
	w.install(self)
	return w
}

// install starts the controller of another installation of the operator.
func (w *world) install(self string, succeeds ...string) {
	w.Shared.Installation = claim.Installation{Name: self, Succeeds: succeeds}
	w.Shared.Tenure = func(c *v1alpha1.KafkaCluster) claim.Tenure { return w.Shared.Installation.Of(c.Status.Operator) }
	w.restart()
}

func TestWhoLooksAfterTheClusterSignsItsTopics(t *testing.T) {
	w := installed(t, "a/castellan", "a/castellan", controllertest.NewTopic("orders", "1", time.Hour))
	w.Settle("orders")
	if s := w.Topic("orders").Status; s.Operator != "a/castellan" || controllertest.State(s.Conditions) != "Ready" {
		t.Errorf("status %+v", s)
	}
	w.WantSilence("orders")
}

// A topic from before the field is signed by one write of its status, and nothing else happens.
func TestATopicFromBeforeTheFieldIsSigned(t *testing.T) {
	w := installed(t, "", "", controllertest.NewTopic("orders", "1", time.Hour))
	w.Settle("orders")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Status.Operator = "a/castellan" })
	w.install("a/castellan")
	w.Reset()
	w.Settle("orders")
	if w.Topic("orders").Status.Operator != "a/castellan" || w.APIWrites() != 1 || w.Kafka.Writes() != 0 {
		t.Errorf("%+v, %v, %v", w.Topic("orders").Status, w.Requests, w.Kafka.Requests)
	}
	w.WantSilence("orders")
}

// Until somebody is on record nobody acts, and what is in force stays said.
func TestTopicsOfAClusterThatIsNobodysWait(t *testing.T) {
	w := installed(t, "", "a/castellan", controllertest.NewTopic("orders", "1", time.Hour))
	w.Settle("orders")
	s := w.Topic("orders").Status
	state := controllertest.State(s.Conditions)
	if state != "Reconciling/ClusterNotAvailable" || w.Kafka.Writes() != 0 || s.Operator != "" {
		t.Errorf("status %+v, %v", s, w.Kafka.Requests)
	}
	if !strings.Contains(controllertest.Message(s.Conditions), "status.operator") {
		t.Errorf("it says %s", controllertest.Message(s.Conditions))
	}
}

func TestTopicsOfAnotherOperatorsClusterAreLeftAlone(t *testing.T) {
	w := installed(t, "a/castellan", "b/castellan", controllertest.NewTopic("orders", "1", time.Hour))
	if err := w.Once("orders"); err != nil {
		t.Fatal(err)
	}
	if w.APIWrites() != 0 || w.Kafka.Writes() != 0 {
		t.Fatalf("%v, %v", w.Requests, w.Kafka.Requests)
	}
	// Its own operator takes it up in time, and then the other one has nothing to say.
	w.install("a/castellan")
	w.Settle("orders")
	w.install("b/castellan")
	w.WantSilence("orders")

	// A change that nobody takes up for a minute is told, once.
	w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Config = v1alpha1.Config{"retention.ms": "1"} })
	w.Settle("orders")
	w.Clock.Move(claim.AsideAfter)
	w.Settle()
	s := w.Topic("orders").Status
	if controllertest.State(s.Conditions) != "Stalled/OtherOperator" || s.Operator != "a/castellan" || s.TopicID == "" {
		t.Errorf("status %+v", s)
	}
	if w.Kafka.Writes() != 0 {
		t.Errorf("it has changed Kafka: %v", w.Kafka.Requests)
	}
	w.WantSilence("orders")

	// The one that looks after it takes the word back.
	w.install("a/castellan")
	w.Settle("orders")
	if got := controllertest.State(w.Topic("orders").Status.Conditions); got != "Ready" {
		t.Errorf("it is %s", got)
	}
}

func TestADeletedTopicOfAnotherOperatorsClusterKeepsItsFinalizer(t *testing.T) {
	w := installed(t, "a/castellan", "a/castellan", controllertest.NewTopic("orders", "1", time.Hour))
	w.Settle("orders")
	w.Remove(w.Topic("orders"))
	w.install("b/castellan")
	w.Reset()
	w.Settle("orders")
	if w.Topic("orders") == nil || w.Kafka.Writes() != 0 {
		t.Fatal("another operator has let it go, or deleted the topic")
	}
	w.install("a/castellan")
	w.Settle("orders")
	if w.Topic("orders") != nil {
		t.Error("its own operator does not let it go")
	}
}

// An operator that does not see the cluster, because it works in the topic's namespace alone, must not let the topic go
// under the hands of the one that does.
func TestATopicWhoseClusterOnlyAnotherOperatorSeesIsLeftAlone(t *testing.T) {
	w := installed(t, "a/castellan", "a/castellan", controllertest.NewTopic("orders", "1", time.Hour))
	w.Settle("orders")
	w.Shared.Namespaces.Only = []string{"elsewhere"}
	w.install("b/castellan")
	w.WantSilence("orders")
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	if w.Topic("orders") == nil {
		t.Fatal("it has let the topic go")
	}
	// The other one is gone for good, and this one comes in its place: nobody sees the cluster any more.
	w.install("b/castellan", "a/castellan")
	w.Settle("orders")
	if w.Topic("orders") != nil {
		t.Error("its successor does not let it go")
	}
}

// Both see a new topic. The one that does not see the cluster is late: what the other one has said stands.
func TestAVerdictOverANewTopicIsNotWrittenOverAnothers(t *testing.T) {
	w := installed(t, "a/castellan", "a/castellan", controllertest.NewTopic("orders", "1", time.Hour))
	behind := w.Topic("orders") // as the late one's cache has it
	w.Settle("orders")
	if err := w.topics.engine.Writer.ClaimStatus(t.Context(), behind, behind.Status, v1alpha1.KafkaTopicStatus{
		ObservedGeneration: 1}); err == nil {
		t.Error("the late one has written")
	}
	if got := controllertest.State(w.Topic("orders").Status.Conditions); got != "Ready" {
		t.Errorf("it is %s", got)
	}
}
