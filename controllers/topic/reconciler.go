// Package topic is the controller of KafkaTopics: it reads what is live, has internal/topics decide, announces,
// carries out and reports, many topics in one flush.
package topic

import (
	"cmp"
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/controllers/moving"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkatopics,verbs=list;watch;patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkatopics/status,verbs=patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters,verbs=list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// The engine, its flush and what it finds, of KafkaTopics.
type (
	engine = batch.Reconciler[*v1alpha1.KafkaTopic, v1alpha1.KafkaTopicStatus]
	flush  = batch.Pass[*v1alpha1.KafkaTopic, v1alpha1.KafkaTopicStatus]
	found  = batch.Found[*v1alpha1.KafkaTopic]
)

// Reconciler cares for the topics of one cluster at a time, many in one flush.
type Reconciler struct {
	engine engine
	mover  moving.Mover
	// refused are the objects whose announcement Kafka has refused, until it is off: the API server may be away.
	refused batch.ByUID[struct{}]
	quota   mutationQuota
	// health is that of topics which do better or worse than their status says.
	health batch.Doubts
}

// New returns the controller of topics. rate is how many bytes per second each broker may send and receive while the
// operator moves replicas; zero = no limit.
func New(c batch.Common, rate int64) *Reconciler {
	r := &Reconciler{mover: moving.Mover{Rate: rate}}
	r.engine.Begin(c, kafkaTopics, r)
	return r
}

// Reconcile takes the dirty topics of one cluster through one flush.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return r.engine.Reconcile(ctx, req)
}

// Open begins a flush of topics.
func (r *Reconciler) Open(
	_ context.Context, cluster batch.Host, a batch.Admission, all []found, peers []*v1alpha1.KafkaTopic,
) (*flush, batch.Work, error) {
	base := batch.NewPass(&r.engine, cluster, a)
	p := &pass{controller: r, engine: &r.engine, flush: &base, cluster: cluster, byName: map[string]*item{}}
	exists := func(t *v1alpha1.KafkaTopic) bool { return topics.RecordOf(t, cluster.ID()).ID != "" }
	behind := func(t *v1alpha1.KafkaTopic) bool { return r.engine.Writer.Stale(t) }
	// What may have been created counts like what is known to exist.
	has := func(t *v1alpha1.KafkaTopic) bool {
		return exists(t) || topics.Intends(t, cluster.ID(), "") || behind(t)
	}
	over := claim.Over(peers, func(t *v1alpha1.KafkaTopic) bool { return cluster.IsHome(t) },
		has,
		claim.Limit[*v1alpha1.KafkaTopic]{Max: cluster.Limits().Topics, Field: "spec.access.limits.topics",
			Counts: func(t *v1alpha1.KafkaTopic) bool { return t.Spec.Management != v1alpha1.ManagementObserve }})
	room := topics.BeyondRoom(peers, cluster.Key, cluster.ID(), cluster.Limits().Partitions,
		behind)
	consent := topics.Consent{
		Bars: func(t *v1alpha1.KafkaTopic) *claim.Bar {
			bar := cmp.Or(a.Bars(t), topics.Beyond(t, cluster.Key, cluster.Access()))
			if v, tooMany := over[t.UID]; bar == nil && tooMany {
				bar = &claim.Bar{Verdict: v}
			}
			if v, beyond := room[t.UID]; bar == nil && beyond && !exists(t) {
				bar = &claim.Bar{Verdict: v}
			}
			return bar
		},
		Adopts:  func(t *v1alpha1.KafkaTopic) bool { return cluster.Permits(t, v1alpha1.PermissionAdopt) },
		Counted: func(t *v1alpha1.KafkaTopic) bool { return cluster.Limits().Partitions != nil && !cluster.IsHome(t) },
		Grows: func(t *v1alpha1.KafkaTopic) *verdict.Verdict {
			if v, beyond := room[t.UID]; beyond {
				return &v
			}
			return nil
		},
	}
	for _, f := range all {
		for _, t := range f.Objects {
			if _, is := r.refused.Get(t.UID); is { // it still stands there, and says nothing
				delete(t.Annotations, v1alpha1.AnnotationCreating)
				p.refused = append(p.refused, t)
			}
		}
		p.take(topics.Sort(f.Name, f.Objects, cluster.ID(), consent))
	}
	return p.flush, p, nil
}

// Forget drops what has been seen of a topic's health.
func (r *Reconciler) Forget(key batch.Key) { r.health.Forget(key) }

// believes tells whether the verdicts on a topic may be acted upon: at once when they are certain, else when they
// have been standing for a while. In doubt the topic is looked at again.
func (r *Reconciler) believes(key batch.Key, out topics.Outcome) bool {
	for _, v := range out.Verdicts {
		if v.Doubtful && !r.engine.Stands(&r.engine.Doubts, key, v.Reason, batch.ConfirmAfter) {
			return false
		}
	}
	r.engine.Doubts.Forget(key)
	return true
}

// healthAfter is how long a topic must have been doing better or worse before the status says so: longer than a
// broker takes to restart, or a rollout would write the status of every topic twice.
const healthAfter = time.Minute

// healthOf returns how a topic does, as far as the status is to say so; empty = as it says already.
func (r *Reconciler) healthOf(key batch.Key, t *v1alpha1.KafkaTopic, is v1alpha1.TopicHealth) v1alpha1.TopicHealth {
	if before := t.Status.Health; is == before || before == "" && is == v1alpha1.HealthHealthy {
		r.health.Forget(key)
		return is
	}
	if !r.engine.Stands(&r.health, key, string(is), healthAfter) {
		return ""
	}
	return is
}
