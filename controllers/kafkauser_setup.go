package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/users"
)

// userIndex finds the KafkaUsers that stand for one principal: "<namespace>/<cluster>/<name>".
const userIndex = "castellan.user"

// SetupWithManager starts the controller with the manager.
func (r *KafkaUserReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.init()
	for name, value := range userIndexes() {
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.KafkaUser{}, name, value); err != nil {
			return fmt.Errorf("index KafkaUsers by %s: %w", name, err)
		}
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("kafkauser").
		Watches(&v1alpha1.KafkaUser{}, r.userEvents()).
		Watches(&v1alpha1.KafkaCluster{}, r.clusterEvents()).
		WatchesRawSource(source.Channel(r.Woken, r.clusterEvents())).
		Watches(&corev1.Secret{}, r.secretEvents())
	if len(r.Namespaces.Only) == 0 {
		b = b.WatchesMetadata(&corev1.Namespace{}, namespaceEvents(r.markNamespace))
	}
	return b.WithOptions(batchOptions()).Complete(r)
}

// markNamespace marks the users of a namespace that belong to clusters in other ones.
func (r *KafkaUserReconciler) markNamespace(ctx context.Context, namespace string, q queueOf) error {
	var list v1alpha1.KafkaUserList
	if err := r.Client.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range list.Items {
		u := &list.Items[i]
		if cluster := u.Spec.ClusterRef.From(namespace); cluster.Namespace != namespace {
			r.queue.Mark(cluster, users.Name(u))
			enqueue(q, cluster)
		}
	}
	return nil
}

func userIndexes() map[string]client.IndexerFunc {
	return map[string]client.IndexerFunc{
		clusterIndex: func(o client.Object) []string {
			u, ok := o.(*v1alpha1.KafkaUser)
			if !ok {
				return nil
			}
			return []string{u.Spec.ClusterRef.From(u.Namespace).String()}
		},
		userIndex: func(o client.Object) []string {
			u, ok := o.(*v1alpha1.KafkaUser)
			if !ok {
				return nil
			}
			return []string{u.Spec.ClusterRef.From(u.Namespace).String() + "/" + users.Name(u)}
		},
	}
}

// userEvents marks the principal of an object whenever its user has changed it; our own writes mark nothing.
func (r *KafkaUserReconciler) userEvents() handler.EventHandler {
	mark := func(o client.Object, q queueOf) {
		if u, ok := o.(*v1alpha1.KafkaUser); ok {
			cluster := u.Spec.ClusterRef.From(u.Namespace)
			r.queue.Mark(cluster, users.Name(u))
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

func (r *KafkaUserReconciler) markAll(ctx context.Context, cluster types.NamespacedName, q queueOf) {
	names, err := r.all(ctx, cluster)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list the users of a KafkaCluster", "cluster", cluster)
		return
	}
	if len(names) > 0 {
		r.queue.Mark(cluster, names...)
		enqueue(q, cluster)
	}
}

// clusterEvents marks all users of a cluster when something has changed that their Secrets tell, that their logins need to
// be proven on, or that decides whether they can be cared for at all.
func (r *KafkaUserReconciler) clusterEvents() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queueOf) {
			r.markAll(ctx, client.ObjectKeyFromObject(e.Object), q)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queueOf) {
			r.markAll(ctx, client.ObjectKeyFromObject(e.Object), q)
		},
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q queueOf) {
			r.markAll(ctx, client.ObjectKeyFromObject(e.Object), q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queueOf) {
			before, ok1 := e.ObjectOld.(*v1alpha1.KafkaCluster)
			after, ok2 := e.ObjectNew.(*v1alpha1.KafkaCluster)
			if ok1 && ok2 && !sameForUsers(before, after) {
				r.markAll(ctx, client.ObjectKeyFromObject(after), q)
			}
		},
	}
}

func sameForUsers(before, after *v1alpha1.KafkaCluster) bool {
	// A broker that has gone away needs no proof; one that has come does.
	return factsOf(before) == factsOf(after) &&
		authorizes(before) == authorizes(after) &&
		len(lacking(serving(after), serving(before))) == 0 &&
		equality.Semantic.DeepEqual(before.Spec.Listeners, after.Spec.Listeners) &&
		equality.Semantic.DeepEqual(before.Spec.External, after.Spec.External) &&
		equality.Semantic.DeepEqual(before.Status.External, after.Status.External) &&
		equality.Semantic.DeepEqual(before.Status.Listeners, after.Status.Listeners)
}

// secretEvents marks the owner of a connection Secret, and all users when the CA or the file of PLAIN users has changed.
// Echoes of our own writes mark nothing.
func (r *KafkaUserReconciler) secretEvents() handler.EventHandler {
	mark := func(ctx context.Context, o client.Object, q queueOf) {
		if r.writer.Wrote(o) {
			return
		}
		cluster := types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetLabels()[v1alpha1.LabelCluster]}
		owner := metav1.GetControllerOf(o)
		switch {
		case cluster.Name == "":
		case owner != nil && owner.Kind == "KafkaUser":
			var u v1alpha1.KafkaUser
			if r.Client.Get(ctx, types.NamespacedName{Namespace: o.GetNamespace(), Name: owner.Name}, &u) == nil {
				cluster = u.Spec.ClusterRef.From(u.Namespace)
				r.queue.Mark(cluster, users.Name(&u))
				enqueue(q, cluster)
			}
		case o.GetName() == authoritySecret(cluster.Name), o.GetName() == render.PlainUsersSecret(cluster.Name):
			r.markAll(ctx, cluster, q)
		}
	}
	return handler.Funcs{
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queueOf) {
			if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
				mark(ctx, e.ObjectNew, q)
			}
		},
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queueOf) { mark(ctx, e.Object, q) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queueOf) {
			r.writer.Forget(e.Object.GetUID())
			mark(ctx, e.Object, q)
		},
	}
}
