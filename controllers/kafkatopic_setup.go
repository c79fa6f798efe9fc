package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/batch"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/topics"
)

const (
	// clusterIndex finds the objects that name a KafkaCluster: "<namespace>/<cluster>".
	clusterIndex = "castellan.cluster"
	// topicIndex finds the KafkaTopics that stand for one topic: "<namespace>/<cluster>/<topic>".
	topicIndex = "castellan.topic"

	// concurrentClusters is how many clusters are flushed at once, so that those that do not answer, each of which keeps a
	// worker for at most batch.FlushTimeout, leave some over.
	concurrentClusters = 10
)

type queueOf = workqueue.TypedRateLimitingInterface[reconcile.Request]

// SetupWithManager starts the controller with the manager.
func (r *KafkaTopicReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.init()
	for name, value := range topicIndexes() {
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.KafkaTopic{}, name, value); err != nil {
			return fmt.Errorf("index KafkaTopics by %s: %w", name, err)
		}
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("kafkatopic").
		Watches(&v1alpha1.KafkaTopic{}, r.topicEvents()).
		Watches(&v1alpha1.KafkaCluster{}, r.clusterEvents()).
		WatchesRawSource(source.Channel(r.Woken, r.clusterEvents()))
	if len(r.Namespaces.Only) == 0 {
		b = b.WatchesMetadata(&corev1.Namespace{}, namespaceEvents(r.markNamespace))
	}
	return b.WithOptions(batchOptions()).Complete(r)
}

func topicIndexes() map[string]client.IndexerFunc {
	return map[string]client.IndexerFunc{
		clusterIndex: func(o client.Object) []string {
			t, ok := o.(*v1alpha1.KafkaTopic)
			if !ok {
				return nil
			}
			return []string{t.Spec.ClusterRef.From(t.Namespace).String()}
		},
		topicIndex: func(o client.Object) []string {
			t, ok := o.(*v1alpha1.KafkaTopic)
			if !ok {
				return nil
			}
			return []string{t.Spec.ClusterRef.From(t.Namespace).String() + "/" + topics.Name(t)}
		},
	}
}

func batchOptions() controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: concurrentClusters,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](200*time.Millisecond, 30*time.Second),
	}
}

// topicEvents marks the topic of an object whenever its user has changed it; our own writes mark nothing.
func (r *KafkaTopicReconciler) topicEvents() handler.EventHandler {
	mark := func(o client.Object, q queueOf) {
		if t, ok := o.(*v1alpha1.KafkaTopic); ok {
			cluster := t.Spec.ClusterRef.From(t.Namespace)
			r.queue.Mark(cluster, topics.Name(t))
			enqueue(q, cluster)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queueOf) { mark(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queueOf) {
			if userChanged(e.ObjectOld, e.ObjectNew) {
				mark(e.ObjectNew, q)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queueOf) {
			r.writer.Forget(e.Object.GetUID())
			mark(e.Object, q)
		},
	}
}

// markNamespace marks the topics of a namespace that belong to clusters in other ones.
func (r *KafkaTopicReconciler) markNamespace(ctx context.Context, namespace string, q queueOf) error {
	var list v1alpha1.KafkaTopicList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range list.Items {
		t := &list.Items[i]
		if cluster := t.Spec.ClusterRef.From(namespace); cluster.Namespace != namespace {
			r.queue.Mark(cluster, topics.Name(t))
			enqueue(q, cluster)
		}
	}
	return nil
}

func userChanged(before, after client.Object) bool {
	return before.GetUID() != after.GetUID() ||
		before.GetGeneration() != after.GetGeneration() ||
		before.GetDeletionTimestamp().IsZero() != after.GetDeletionTimestamp().IsZero()
}

// clusterEvents marks all topics of a cluster that comes, goes, becomes Available or has a new incarnation, and those
// that are not in force when it has a new broker, which may be what they lacked.
func (r *KafkaTopicReconciler) clusterEvents() handler.EventHandler {
	mark := func(ctx context.Context, o client.Object, q queueOf, wanted func(*v1alpha1.KafkaTopic) bool) {
		cluster := client.ObjectKeyFromObject(o)
		var list v1alpha1.KafkaTopicList
		err := r.Client.List(ctx, &list, client.MatchingFields{clusterIndex: cluster.String()}, client.UnsafeDisableDeepCopy)
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "list the topics of a KafkaCluster", "cluster", cluster)
			return
		}
		marked := false
		for i := range list.Items {
			if t := &list.Items[i]; wanted(t) {
				r.queue.Mark(cluster, topics.Name(t))
				marked = true
			}
		}
		if marked {
			enqueue(q, cluster)
		}
	}
	every := func(*v1alpha1.KafkaTopic) bool { return true }
	notReady := func(t *v1alpha1.KafkaTopic) bool { return !status.IsReady(t.Status.Conditions, t.Generation) }
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

// enqueue asks for a flush of a cluster after a moment in which more events may come; one that is asked for already is
// not put off.
func enqueue(q queueOf, cluster types.NamespacedName) {
	q.AddAfter(reconcile.Request{NamespacedName: cluster}, batch.Linger)
}
