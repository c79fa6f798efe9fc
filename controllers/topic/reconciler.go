package topic

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/controllers/moving"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/topics"
)

// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkatopics,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkatopics/status,verbs=patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkatopics/finalizers,verbs=update
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler cares for the topics of one cluster at a time, many in one flush.
type Reconciler struct {
	batch.Reconciler[*v1alpha1.KafkaTopic, v1alpha1.KafkaTopicStatus]
	mover  moving.Mover
	ailing batch.Doubts // health that is not what the status says
	void   void
	quotas quotas
}

// New returns the controller of topics. rate is how many bytes per second each broker may send and receive while the operator
// moves replicas; zero = no limit.
func New(c batch.Common, rate int64) *Reconciler {
	r := &Reconciler{mover: moving.Mover{Rate: rate}}
	r.Begin(c, kafkaTopics)
	r.Open, r.Forget = r.openPass, r.ailing.Forget
	return r
}

func (r *Reconciler) openPass(cluster batch.Host, a batch.Admission, all []batch.Found[*v1alpha1.KafkaTopic]) (*batch.Pass[*v1alpha1.KafkaTopic, v1alpha1.KafkaTopicStatus], batch.Work) {
	p := newTopicPass(r, cluster, a)
	for _, f := range all {
		for _, t := range f.Objects {
			if r.void.has(t.UID) { // it still stands there, and says nothing
				delete(t.Annotations, v1alpha1.AnnotationCreating)
				p.voided = append(p.voided, t)
			}
		}
		p.take(topics.Sort(f.Name, f.Objects, cluster.Id(), a.Admits))
	}
	return &p.Pass, p
}

// believes tells whether the verdicts on a topic may be acted upon: at once when they are certain, else when they have been
// standing for a while. In doubt the topic is looked at again.
func (r *Reconciler) believes(cluster types.NamespacedName, name string, out topics.Outcome) bool {
	key := batch.Key{Cluster: cluster, Name: name}
	for _, v := range out.Verdicts {
		if v.Doubtful && !r.Stands(&r.Doubts, key, v.Reason, batch.ConfirmAfter) {
			return false
		}
	}
	r.Doubts.Forget(key)
	return true
}

// ailAfter is how long a topic must have been doing better or worse before the status says so: longer than a broker takes
// to restart, or a roll would write the status of every topic twice.
const ailAfter = time.Minute

// health returns how a topic does, as far as the status is to say so; empty = as it says already.
func (r *Reconciler) health(cluster types.NamespacedName, t *v1alpha1.KafkaTopic, topic kafka.Topic, moving bool) v1alpha1.TopicHealth {
	key, health := batch.Key{Cluster: cluster, Name: topics.Name(t)}, topics.HealthOf(topic, moving)
	if before := t.Status.Health; health == before || before == "" && health == v1alpha1.HealthHealthy {
		r.ailing.Forget(key)
		return health
	}
	if !r.Stands(&r.ailing, key, string(health), ailAfter) {
		return ""
	}
	return health
}
