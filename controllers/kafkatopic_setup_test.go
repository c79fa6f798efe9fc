package controllers

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// topicWorld is a world with the controller of topics.
type topicWorld struct {
	*world
	topics *KafkaTopicReconciler
}

func newWorld(t *testing.T, objects ...client.Object) *topicWorld {
	t.Helper()
	w := &topicWorld{world: newCore(t, indexed{&v1alpha1.KafkaTopic{}, kafkaTopics.indexes()}, objects...)}
	w.restart()
	return w
}

// restart forgets everything that an operator keeps in memory.
func (w *topicWorld) restart() {
	w.topics = newKafkaTopicReconciler(w.shared, 1000)
	w.queue, w.run = &w.topics.queue, w.topics
}
