package topic

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/topics"
)

// kafkaTopics is the kind KafkaTopic.
var kafkaTopics = batch.Kind[*v1alpha1.KafkaTopic, v1alpha1.KafkaTopicStatus]{
	Object: &v1alpha1.KafkaTopic{}, Name: "KafkaTopic", Noun: "topic", Index: "castellan.topic",
	Key: func(t *v1alpha1.KafkaTopic) batch.Key {
		return batch.Key{Cluster: t.Spec.ClusterRef.From(t.Namespace), Name: topics.Name(t)}
	},
	List: func(ctx context.Context, r client.Reader, options ...client.ListOption) ([]*v1alpha1.KafkaTopic, error) {
		var list v1alpha1.KafkaTopicList
		err := r.List(ctx, &list, options...)
		return batch.Pointers(list.Items), err
	},
	Status:     func(t *v1alpha1.KafkaTopic) *v1alpha1.KafkaTopicStatus { return &t.Status },
	Conditions: func(s *v1alpha1.KafkaTopicStatus) *[]metav1.Condition { return &s.Conditions },
	Operator:   func(s *v1alpha1.KafkaTopicStatus) *string { return &s.Operator },
	Observed:   func(s *v1alpha1.KafkaTopicStatus) int64 { return s.ObservedGeneration },
	Seen:       topics.SeenStatus,
	Policy:     func(t *v1alpha1.KafkaTopic) *v1alpha1.DeletionPolicy { return &t.Spec.DeletionPolicy },
	Leftover: func(t *v1alpha1.KafkaTopic) string {
		if t.Status.TopicID == "" {
			return ""
		}
		return fmt.Sprintf("topic %q (UUID %s)", topics.Name(t), t.Status.TopicID)
	},
}

// SetupWithManager starts the controller with the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	b, err := r.engine.Controller(mgr, "kafkatopic")
	if err != nil {
		return err
	}
	// A cluster that answers again, or has a new broker, may have what topics lacked: what waits need not wait out
	// its interval.
	notReady := func(t *v1alpha1.KafkaTopic) bool { return !r.engine.IsReady(t) }
	type test = func(*v1alpha1.KafkaTopic) bool
	events := r.engine.ClusterEvents(notReady, func(before, after *v1alpha1.KafkaCluster) test {
		switch {
		case batch.FactsOf(before) != batch.FactsOf(after):
			return batch.Every[*v1alpha1.KafkaTopic]
		case !slices.Equal(batch.Serving(before), batch.Serving(after)):
			return notReady
		}
		return nil
	})
	return b.Watches(&v1alpha1.KafkaCluster{}, events).
		WatchesRawSource(source.Channel(r.engine.Woken, events)).
		Complete(r)
}
