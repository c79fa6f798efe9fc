package controllers

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
	"github.com/castellan-dev/castellan/internal/topics"
)

// kafkaTopics are the species of KafkaTopics.
var kafkaTopics = species[*v1alpha1.KafkaTopic, v1alpha1.KafkaTopicStatus]{
	object: &v1alpha1.KafkaTopic{}, kind: "KafkaTopic", what: "topic", index: "castellan.topic",
	key: func(t *v1alpha1.KafkaTopic) nameKey {
		return nameKey{t.Spec.ClusterRef.From(t.Namespace), topics.Name(t)}
	},
	list: func(ctx context.Context, r client.Reader, options ...client.ListOption) ([]*v1alpha1.KafkaTopic, error) {
		var list v1alpha1.KafkaTopicList
		err := r.List(ctx, &list, options...)
		return pointers(list.Items), err
	},
	status:     func(t *v1alpha1.KafkaTopic) *v1alpha1.KafkaTopicStatus { return &t.Status },
	conditions: func(s *v1alpha1.KafkaTopicStatus) *[]metav1.Condition { return &s.Conditions },
	seen:       topics.SeenStatus,
	leftover: func(t *v1alpha1.KafkaTopic) string {
		if t.Status.TopicID == "" {
			return ""
		}
		return fmt.Sprintf("topic %q (UUID %s)", topics.Name(t), t.Status.TopicID)
	},
}

// SetupWithManager starts the controller with the manager.
func (r *KafkaTopicReconciler) SetupWithManager(mgr ctrl.Manager) error {
	b, err := r.controller(mgr, "kafkatopic")
	if err != nil {
		return err
	}
	return b.Watches(&v1alpha1.KafkaCluster{}, r.clusterEvents()).
		WatchesRawSource(source.Channel(r.Woken, r.clusterEvents())).
		Complete(r)
}

// clusterEvents marks all topics of a cluster that comes, goes, answers again or has a new incarnation, and those
// that are not in force when it has a new broker, which may be what they lacked.
func (r *KafkaTopicReconciler) clusterEvents() handler.EventHandler {
	mark := func(ctx context.Context, o client.Object, q queueOf, wanted func(*v1alpha1.KafkaTopic) bool) {
		r.markCluster(ctx, client.ObjectKeyFromObject(o), q, wanted)
	}
	every := func(*v1alpha1.KafkaTopic) bool { return true }
	notReady := func(t *v1alpha1.KafkaTopic) bool { return !r.isReady(t) }
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queueOf) { mark(ctx, e.Object, q, every) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queueOf) { mark(ctx, e.Object, q, every) },
		// It answers again: what waits need not wait out its interval.
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q queueOf) { mark(ctx, e.Object, q, notReady) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queueOf) {
			before, ok1 := e.ObjectOld.(*v1alpha1.KafkaCluster)
			after, ok2 := e.ObjectNew.(*v1alpha1.KafkaCluster)
			switch {
			case !ok1 || !ok2:
			case factsOf(before) != factsOf(after):
				mark(ctx, after, q, every)
			case !slices.Equal(serving(before), serving(after)):
				mark(ctx, after, q, notReady)
			}
		},
	}
}
