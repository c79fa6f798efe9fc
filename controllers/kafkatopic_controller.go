package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/batch"
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
	// Client reads from the cache; it needs the field index topicIndex.
	Client     client.Client
	Namespaces Namespaces
	Clusters   Clusters
	Clock      Clock
	Events     events.EventRecorder
	// Rate is how many bytes per second each broker may send and receive while the operator moves replicas; zero = no limit.
	Rate int64
	// Drift is how often what others changed is looked for; zero = batch.DriftInterval.
	Drift time.Duration
	// Woken names clusters that answer again.
	Woken <-chan event.GenericEvent

	queue  batch.Queue
	writer batch.Writer
	engine batch.Engine

	mu     sync.Mutex
	doubts map[topicKey]doubt // faults that one broker's answer tells of
	ailing map[topicKey]doubt // health that is not what the status says
}

// Clock tells the time.
type Clock interface{ Now() time.Time }

type topicKey struct {
	cluster types.NamespacedName
	name    string
}

// doubt is what has been seen and may be over in a moment.
type doubt struct {
	what  string
	since time.Time
}

// confirmAfter is how long a doubtful fault must have been standing: longer than a broker's metadata lags.
const confirmAfter = time.Second

// writers is how many objects of a flush are written at once.
const writers = 16

// Reconcile takes the dirty topics of one cluster through one flush.
func (r *KafkaTopicReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return r.engine.Reconcile(ctx, req)
}

func (r *KafkaTopicReconciler) init() {
	r.queue.Now = r.Clock.Now
	r.writer.Client = r.Client
	r.engine = batch.Engine{Queue: &r.queue, Interval: r.Drift, All: r.all, Flush: r.flush}
	r.doubts, r.ailing = map[topicKey]doubt{}, map[topicKey]doubt{}
}

func (r *KafkaTopicReconciler) all(ctx context.Context, cluster types.NamespacedName) ([]string, error) {
	var list v1alpha1.KafkaTopicList
	err := r.Client.List(ctx, &list, client.MatchingFields{clusterIndex: cluster.String()}, client.UnsafeDisableDeepCopy)
	names := make([]string, len(list.Items))
	for i := range list.Items {
		names[i] = topics.Name(&list.Items[i])
	}
	return names, err
}

// flush brings the named topics of a cluster to what their objects ask for.
func (r *KafkaTopicReconciler) flush(ctx context.Context, key types.NamespacedName, names []string) ([]string, error) {
	cluster, err := getHostCluster(ctx, r.Client, r.Namespaces, key)
	if err != nil {
		return names, err
	}
	claims, admission, err := r.claims(ctx, cluster, names)
	if err != nil {
		return names, err
	}
	p := newTopicPass(r, cluster, claims, admission)
	if !cluster.gone() {
		p.bar(ctx)
	}
	switch {
	case cluster.gone():
		return p.abandon(ctx)
	case cluster.awaited() != "":
		return p.wait(ctx, reasonClusterNotAvailable, cluster.awaited())
	}
	kafkaCtx, cancel := context.WithTimeout(ctx, batch.FlushTimeout)
	defer cancel()
	if err := p.change(kafkaCtx); err != nil {
		if reason, message := unanswered(cluster, err); reason != "" {
			if _, err := p.wait(ctx, reason, message); err != nil {
				return names, err
			}
		}
		return names, fmt.Errorf("topics of KafkaCluster %s: %w", key, err)
	}
	return p.report(ctx)
}

// claims sorts out who holds each name. A name of which the cache shows an object as it was before our own last write is
// put off until the cache has caught up.
func (r *KafkaTopicReconciler) claims(ctx context.Context, cluster hostCluster, names []string) ([]*topics.Claim, admission, error) {
	objects, namespaces := map[string][]*v1alpha1.KafkaTopic{}, map[string]bool{}
	for _, name := range names {
		var list v1alpha1.KafkaTopicList
		err := r.Client.List(ctx, &list, client.MatchingFields{topicIndex: cluster.key.String() + "/" + name})
		if err != nil {
			return nil, admission{}, fmt.Errorf("list KafkaTopics for topic %q of KafkaCluster %s: %w", name, cluster.key, err)
		}
		stale := false
		for i := range list.Items {
			objects[name] = append(objects[name], &list.Items[i])
			namespaces[list.Items[i].Namespace] = true
			stale = stale || r.writer.Stale(&list.Items[i])
		}
		switch {
		case stale:
			delete(objects, name)
			r.queue.Retry(cluster.key, name, cacheLag, time.Second)
		case len(objects[name]) == 0:
			r.queue.Settled(cluster.key, name)
			r.forget(topicKey{cluster.key, name})
		}
	}
	admission, err := r.Namespaces.admission(ctx, cluster, namespaces)
	if err != nil {
		return nil, admission, err
	}
	claims := make([]*topics.Claim, 0, len(objects))
	for _, name := range names {
		if len(objects[name]) > 0 {
			claim := topics.Sort(name, objects[name], cluster.id(), admission.admits)
			claims = append(claims, &claim)
		}
	}
	return claims, admission, nil
}

// cacheLag is how soon the cache is looked at again after it was found behind.
const cacheLag = 20 * time.Millisecond

// believes tells whether a fault may be acted upon: at once when it is certain or the status says so already, else when
// it has been standing for a while. In doubt the topic is looked at again.
func (r *KafkaTopicReconciler) believes(cluster types.NamespacedName, t *v1alpha1.KafkaTopic, out topics.Outcome) bool {
	key := topicKey{cluster, topics.Name(t)}
	for _, f := range out.Faults {
		if !f.Doubtful || stalledFor(t.Status.Conditions, f.Reason) {
			continue
		}
		if !r.stands(r.doubts, key, f.Reason, confirmAfter) {
			return false
		}
	}
	r.certain(cluster, key.name)
	return true
}

// stands tells whether something has been seen for long enough, and has it looked at again when not.
func (r *KafkaTopicReconciler) stands(seen map[topicKey]doubt, key topicKey, what string, long time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	d, known := seen[key]
	if !known || d.what != what {
		d = doubt{what, r.Clock.Now()}
		seen[key] = d
	}
	if r.Clock.Now().Sub(d.since) < long {
		r.queue.MarkAfter(key.cluster, long, key.name)
		return false
	}
	return true
}

// ailAfter is how long a topic must have been doing better or worse before the status says so: longer than a broker takes
// to restart, or a roll would write the status of every topic twice.
const ailAfter = time.Minute

// health returns how a topic does, as far as the status is to say so; empty = as it says already.
func (r *KafkaTopicReconciler) health(cluster types.NamespacedName, t *v1alpha1.KafkaTopic, topic kafka.Topic, moving bool) v1alpha1.TopicHealth {
	key, health := topicKey{cluster, topics.Name(t)}, topics.HealthOf(topic, moving)
	if before := t.Status.Health; health == before || before == "" && health == v1alpha1.HealthHealthy {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.ailing, key)
		return health
	}
	if !r.stands(r.ailing, key, string(health), ailAfter) {
		return ""
	}
	return health
}

// forget drops what has been seen of a topic that nobody asks for any more.
func (r *KafkaTopicReconciler) forget(key topicKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.doubts, key)
	delete(r.ailing, key)
}

func (r *KafkaTopicReconciler) certain(cluster types.NamespacedName, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.doubts, topicKey{cluster, name})
}
