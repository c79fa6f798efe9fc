package controllers

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/topics"
)

// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkatopics,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkatopics/status,verbs=patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkatopics/finalizers,verbs=update
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// KafkaTopicReconciler cares for the topics of one cluster at a time, many in one flush.
type KafkaTopicReconciler struct {
	register[*v1alpha1.KafkaTopic, v1alpha1.KafkaTopicStatus]
	// rate is how many bytes per second each broker may send and receive while the operator moves replicas; zero = no limit.
	rate   int64
	ailing doubts // health that is not what the status says
	void   void
	quotas quotas
}

func newKafkaTopicReconciler(c common, rate int64) *KafkaTopicReconciler {
	r := &KafkaTopicReconciler{rate: rate}
	r.begin(c, kafkaTopics)
	r.open, r.forget = r.openPass, r.ailing.forget
	return r
}

func (r *KafkaTopicReconciler) openPass(cluster hostCluster, a admission, all []found[*v1alpha1.KafkaTopic]) (*pass[*v1alpha1.KafkaTopic, v1alpha1.KafkaTopicStatus], inKafka) {
	p := newTopicPass(r, cluster, a)
	for _, f := range all {
		for _, t := range f.objects {
			if r.void.has(t.UID) { // it still stands there, and says nothing
				delete(t.Annotations, v1alpha1.AnnotationCreating)
				p.voided = append(p.voided, t)
			}
		}
		p.take(topics.Sort(f.name, f.objects, cluster.id(), a.admits))
	}
	return &p.pass, p
}

// believes tells whether a fault may be acted upon: at once when it is certain or the status says so already, else when
// it has been standing for a while. In doubt the topic is looked at again.
func (r *KafkaTopicReconciler) believes(cluster types.NamespacedName, t *v1alpha1.KafkaTopic, out topics.Outcome) bool {
	key := nameKey{cluster, topics.Name(t)}
	for _, f := range out.Faults {
		if !f.Doubtful || stalledFor(t.Status.Conditions, f.Reason) {
			continue
		}
		if !r.stands(&r.doubts, key, f.Reason, confirmAfter) {
			return false
		}
	}
	r.doubts.forget(key)
	return true
}

// ailAfter is how long a topic must have been doing better or worse before the status says so: longer than a broker takes
// to restart, or a roll would write the status of every topic twice.
const ailAfter = time.Minute

// health returns how a topic does, as far as the status is to say so; empty = as it says already.
func (r *KafkaTopicReconciler) health(cluster types.NamespacedName, t *v1alpha1.KafkaTopic, topic kafka.Topic, moving bool) v1alpha1.TopicHealth {
	key, health := nameKey{cluster, topics.Name(t)}, topics.HealthOf(topic, moving)
	if before := t.Status.Health; health == before || before == "" && health == v1alpha1.HealthHealthy {
		r.ailing.forget(key)
		return health
	}
	if !r.stands(&r.ailing, key, string(health), ailAfter) {
		return ""
	}
	return health
}
