package topic

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func TestTopicsOfAnExternalClusterLiveAndAreReleasedWithIt(t *testing.T) {
	w := newWorld(t, controllertest.ReadyExternal())
	w.Apply(controllertest.NewTopic("orders", "t1", time.Hour), controllertest.NewTopic("keep", "t2", time.Hour))
	w.Settle("orders", "keep")
	if controllertest.State(w.Topic("orders").Status.Conditions) != "Ready" || len(w.Kafka.Topics) != 2 {
		t.Fatalf("%+v", w.Topic("orders").Status)
	}
	w.Remove(w.Topic("orders"))
	w.Settle("orders")
	if w.Topic("orders") != nil || len(w.Kafka.Topics) != 1 {
		t.Error("the topic is not deleted with its object")
	}
	// Away: the finalizer stays and says why. The KafkaCluster deleted: it goes, and the topic stays.
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		f := external.Explain(fmt.Errorf("%w: x", kafka.ErrUnreachable), c.Spec.External)
		c.Status = external.StatusOf(c, nil, f, "", controllertest.TestStart)
	})
	w.Remove(w.Topic("keep"))
	w.Settle("keep")
	if kept := w.Topic("keep"); kept == nil ||
		controllertest.State(kept.Status.Conditions) != "Reconciling/ClusterNotAvailable" ||
		!strings.Contains(controllertest.Message(kept.Status.Conditions), "bootstrapServers") {
		t.Fatalf("%+v", kept)
	}
	w.Remove(controllertest.ReadyExternal())
	w.Settle("keep")
	if w.Topic("keep") != nil || len(w.Kafka.Topics) != 1 {
		t.Errorf("released %t, topics in Kafka: %v", w.Topic("keep") == nil, w.Kafka.Topics)
	}
}

func TestWhenAnotherClusterAnswersTopicsWaitAndNothingIsChanged(t *testing.T) {
	w := newWorld(t, controllertest.ReadyExternal())
	w.Apply(
		controllertest.NewTopic(
			"orders",
			"t1",
			time.Hour,
			func(t *v1alpha1.KafkaTopic) { t.Spec.Recreate = v1alpha1.RecreateAlways },
		),
	)
	w.Settle("orders")
	record := w.Topic("orders").Status.TopicID
	w.Kafka.Down = &kafka.AnotherCluster{Want: "incarnation-1", Have: "second"}
	w.Kafka.Topics = map[string]kafka.Topic{}
	w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Config = map[string]string{"retention.ms": "1"} })
	w.Reset()
	if err := w.Once("orders"); err == nil {
		t.Error("no error is told")
	}
	got := w.Topic("orders")
	if w.Kafka.Writes() != 0 || got.Status.TopicID != record ||
		controllertest.State(got.Status.Conditions) != "Reconciling/ClusterNotAvailable" {
		t.Errorf(
			"%d writes; %s: %s",
			w.Kafka.Writes(),
			controllertest.State(got.Status.Conditions),
			controllertest.Message(got.Status.Conditions),
		)
	}
}

func TestATopicThatMayNotBeSeenHoldsUpNoOther(t *testing.T) {
	w := newWorld(t, controllertest.ReadyExternal())
	w.Kafka.Topics["hidden"] = kafka.Topic{Name: "hidden", Denied: &kafka.Denied{Code: "TOPIC_AUTHORIZATION_FAILED"}}
	w.Apply(
		controllertest.NewTopic("hidden", "t1", time.Hour),
		controllertest.NewTopic("watched", "t2", time.Hour, func(t *v1alpha1.KafkaTopic) {
			t.Spec.Name, t.Spec.Management = "hidden", v1alpha1.ManagementObserve
		}),
		controllertest.NewTopic("orders", "t3", time.Hour),
	)
	_ = w.Once("hidden", "orders")
	if controllertest.State(w.Topic("orders").Status.Conditions) != "Ready" {
		t.Errorf("orders: %s", controllertest.Message(w.Topic("orders").Status.Conditions))
	}
	for _, name := range []string{"hidden", "watched"} {
		got := w.Topic(name)
		if controllertest.State(got.Status.Conditions) != "Reconciling/NotAuthorized" ||
			!strings.Contains(
				controllertest.Message(got.Status.Conditions),
				"grant its principal Describe and DescribeConfigs",
			) {
			t.Errorf(
				"%s is %s: %s",
				name,
				controllertest.State(got.Status.Conditions),
				controllertest.Message(got.Status.Conditions),
			)
		}
	}
	if w.Kafka.Count("create") != 1 {
		t.Errorf("%d creations", w.Kafka.Count("create"))
	}
	w.Remove(w.Topic("hidden"))
	w.Remove(w.Topic("watched"))
	_ = w.Once("hidden")
	if w.Topic("hidden") != nil || w.Topic("watched") != nil {
		t.Error("what never had a topic cannot be deleted")
	}
}

func TestBeforeKafka40ReplicasWaitForABrokerThatIsDown(t *testing.T) {
	w := newWorld(t, controllertest.ReadyExternal(kafka.FeatureFenced))
	w.Apply(controllertest.NewTopic("orders", "t1", time.Hour, func(t *v1alpha1.KafkaTopic) {
		t.Spec.Partitions, t.Spec.ReplicationFactor = controllertest.PtrTo(int32(1)), controllertest.PtrTo(int32(3))
	}))
	w.Settle("orders")
	w.Kafka.BrokerCount = 2 // the third is not listed while it is down
	w.ChangeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.ReplicationFactor = controllertest.PtrTo(int32(2)) })
	w.Reset()
	_ = w.Once("orders")
	got := w.Topic("orders")
	if w.Kafka.Writes() != 0 || controllertest.State(got.Status.Conditions) != "Reconciling/Reassigning" ||
		!strings.Contains(controllertest.Message(got.Status.Conditions), "broker 2, which is down") {
		t.Errorf(
			"%d writes; %s: %s",
			w.Kafka.Writes(),
			controllertest.State(got.Status.Conditions),
			controllertest.Message(got.Status.Conditions),
		)
	}
	w.Kafka.BrokerCount = 3
	w.Settle("orders")
	if got := w.Topic("orders"); controllertest.State(got.Status.Conditions) != "Ready" ||
		got.Status.ReplicationFactor != 2 {
		t.Errorf("%s: %s", controllertest.State(got.Status.Conditions), controllertest.Message(got.Status.Conditions))
	}
}

// What an operator with --external-only finds in other clusters stays as it is, also when it is deleted: it may not
// even see the pods there.
func TestExternalOnlyLeavesTopicsOfOtherClustersAlone(t *testing.T) {
	w := newWorld(t, controllertest.ReadyCluster(3))
	w.Apply(controllertest.NewTopic("orders", "t1", time.Hour))
	w.Settle("orders")
	w.Shared.ExternalOnly = true
	w.restart()
	w.Apply(controllertest.NewTopic("more", "t2", time.Hour))
	w.Remove(w.Topic("orders"))
	w.Settle("orders", "more")
	for _, name := range []string{"orders", "more"} {
		topic := w.Topic(name)
		if topic == nil || controllertest.State(topic.Status.Conditions) != "Reconciling/ClusterNotAvailable" ||
			!strings.Contains(controllertest.Message(topic.Status.Conditions), "--external-only") {
			t.Errorf("%s: %+v", name, topic)
		}
	}
	if len(w.Kafka.Topics) != 1 {
		t.Errorf("topics in Kafka: %v", w.Kafka.Topics)
	}
}
