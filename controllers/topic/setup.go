package topic

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/topics"
)

// kafkaTopics are the species of KafkaTopics.
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
	Seen:       topics.SeenStatus,
	Leftover: func(t *v1alpha1.KafkaTopic) string {
		if t.Status.TopicID == "" {
			return ""
		}
		return fmt.Sprintf("topic %q (UUID %s)", topics.Name(t), t.Status.TopicID)
	},
}

// SetupWithManager starts the controller with the manager.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	b, err := r.Controller(mgr, "kafkatopic")
	if err != nil {
		return err
	}
	return b.Watches(&v1alpha1.KafkaCluster{}, r.clusterEvents()).
		WatchesRawSource(source.Channel(r.Woken, r.clusterEvents())).
		Complete(r)
}

// clusterEvents marks all topics of a cluster that comes, goes, answers again or has a new incarnation, and those
// that are not in force when it has a new broker, which may be what they lacked.
func (r *Reconciler) clusterEvents() handler.EventHandler {
	mark := func(ctx context.Context, o client.Object, q batch.QueueOf, wanted func(*v1alpha1.KafkaTopic) bool) {
		r.MarkCluster(ctx, client.ObjectKeyFromObject(o), q, wanted)
	}
	every := func(*v1alpha1.KafkaTopic) bool { return true }
	notReady := func(t *v1alpha1.KafkaTopic) bool { return !r.IsReady(t) }
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q batch.QueueOf) { mark(ctx, e.Object, q, every) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q batch.QueueOf) { mark(ctx, e.Object, q, every) },
		// It answers again: what waits need not wait out its interval.
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q batch.QueueOf) { mark(ctx, e.Object, q, notReady) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q batch.QueueOf) {
			before, ok1 := e.ObjectOld.(*v1alpha1.KafkaCluster)
			after, ok2 := e.ObjectNew.(*v1alpha1.KafkaCluster)
			switch {
			case !ok1 || !ok2:
			case batch.FactsOf(before) != batch.FactsOf(after):
				mark(ctx, after, q, every)
			case !slices.Equal(batch.Serving(before), batch.Serving(after)):
				mark(ctx, after, q, notReady)
			}
		},
	}
}
