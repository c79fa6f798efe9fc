package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func TestTopicsOfAnExternalClusterLiveAndAreReleasedWithIt(t *testing.T) {
	w := newWorld(t, readyExternal())
	w.apply(newTopic("orders", "t1", time.Hour), newTopic("keep", "t2", time.Hour))
	w.settle("orders", "keep")
	if state(w.topic("orders").Status.Conditions) != "Ready" || len(w.kafka.topics) != 2 {
		t.Fatalf("%+v", w.topic("orders").Status)
	}
	w.remove(w.topic("orders"))
	w.settle("orders")
	if w.topic("orders") != nil || len(w.kafka.topics) != 1 {
		t.Error("the topic is not deleted with its object")
	}
	// Away: the finalizer stays and says why. The KafkaCluster deleted: it goes, and the topic stays.
	w.changeCluster(func(c *v1alpha1.KafkaCluster) {
		f := external.Explain(fmt.Errorf("%w: x", kafka.ErrUnreachable), c.Spec.External)
		c.Status = external.StatusOf(c, nil, f, "", testStart)
	})
	w.remove(w.topic("keep"))
	w.settle("keep")
	if kept := w.topic("keep"); kept == nil || state(kept.Status.Conditions) != "Reconciling/ClusterNotAvailable" || !strings.Contains(message(kept.Status.Conditions), "bootstrapServers") {
		t.Fatalf("%+v", kept)
	}
	w.remove(readyExternal())
	w.settle("keep")
	if w.topic("keep") != nil || len(w.kafka.topics) != 1 {
		t.Errorf("released %t, topics in Kafka: %v", w.topic("keep") == nil, w.kafka.topics)
	}
}

func TestWhenAnotherClusterAnswersTopicsWaitAndNothingIsChanged(t *testing.T) {
	w := newWorld(t, readyExternal())
	w.apply(newTopic("orders", "t1", time.Hour, func(t *v1alpha1.KafkaTopic) { t.Spec.Recreate = v1alpha1.RecreateAlways }))
	w.settle("orders")
	record := w.topic("orders").Status.TopicID
	w.kafka.down = &kafka.AnotherCluster{Want: "incarnation-1", Have: "second"}
	w.kafka.topics = map[string]kafka.Topic{}
	w.changeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.Config = map[string]string{"retention.ms": "1"} })
	w.reset()
	if err := w.once("orders"); err == nil {
		t.Error("no error is told")
	}
	got := w.topic("orders")
	if w.kafka.writes() != 0 || got.Status.TopicID != record || state(got.Status.Conditions) != "Reconciling/ClusterNotAvailable" {
		t.Errorf("%d writes; %s: %s", w.kafka.writes(), state(got.Status.Conditions), message(got.Status.Conditions))
	}
}

func TestATopicThatMayNotBeSeenHoldsUpNoOther(t *testing.T) {
	w := newWorld(t, readyExternal())
	w.kafka.topics["hidden"] = kafka.Topic{Name: "hidden", Denied: &kafka.Denied{Code: "TOPIC_AUTHORIZATION_FAILED"}}
	w.apply(newTopic("hidden", "t1", time.Hour), newTopic("watched", "t2", time.Hour, func(t *v1alpha1.KafkaTopic) {
		t.Spec.Name, t.Spec.Management = "hidden", v1alpha1.ManagementObserve
	}), newTopic("orders", "t3", time.Hour))
	_ = w.once("hidden", "orders")
	if state(w.topic("orders").Status.Conditions) != "Ready" {
		t.Errorf("orders: %s", message(w.topic("orders").Status.Conditions))
	}
	for _, name := range []string{"hidden", "watched"} {
		got := w.topic(name)
		if state(got.Status.Conditions) != "Reconciling/NotAuthorized" || !strings.Contains(message(got.Status.Conditions), "grant its principal Describe and DescribeConfigs") {
			t.Errorf("%s is %s: %s", name, state(got.Status.Conditions), message(got.Status.Conditions))
		}
	}
	if w.kafka.count("create") != 1 {
		t.Errorf("%d creations", w.kafka.count("create"))
	}
	w.remove(w.topic("hidden"))
	w.remove(w.topic("watched"))
	_ = w.once("hidden")
	if w.topic("hidden") != nil || w.topic("watched") != nil {
		t.Error("what never had a topic cannot be deleted")
	}
}

func TestBeforeKafka40ReplicasWaitForABrokerThatIsDown(t *testing.T) {
	w := newWorld(t, readyExternal(kafka.FeatureFenced))
	w.apply(newTopic("orders", "t1", time.Hour, func(t *v1alpha1.KafkaTopic) {
		t.Spec.Partitions, t.Spec.ReplicationFactor = ptrTo(int32(1)), ptrTo(int32(3))
	}))
	w.settle("orders")
	w.kafka.brokers = 2 // the third is not listed while it is down
	w.changeTopic("orders", func(t *v1alpha1.KafkaTopic) { t.Spec.ReplicationFactor = ptrTo(int32(2)) })
	w.reset()
	_ = w.once("orders")
	got := w.topic("orders")
	if w.kafka.writes() != 0 || state(got.Status.Conditions) != "Reconciling/Reassigning" || !strings.Contains(message(got.Status.Conditions), "broker 2, which is down") {
		t.Errorf("%d writes; %s: %s", w.kafka.writes(), state(got.Status.Conditions), message(got.Status.Conditions))
	}
	w.kafka.brokers = 3
	w.settle("orders")
	if got := w.topic("orders"); state(got.Status.Conditions) != "Ready" || got.Status.ReplicationFactor != 2 {
		t.Errorf("%s: %s", state(got.Status.Conditions), message(got.Status.Conditions))
	}
}
