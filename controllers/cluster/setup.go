package cluster

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/observe"
)

// SetupWithManager watches KafkaClusters and everything that carries a cluster's label.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.applier.Client = r.Client
	r.expiries.now = r.Settings.Now
	if err := metrics.Registry.Register(&r.expiries); err != nil {
		return fmt.Errorf("register the metrics of certificates: %w", err)
	}
	own, err := connect.CacheLabelled(mgr, r.Settings.Namespaces, v1alpha1.UseListenerCertificate,
		v1alpha1.UseListenerAuthority, v1alpha1.UseClientAuthority, v1alpha1.UseJWKS, v1alpha1.UsePlugin)
	if err != nil {
		return err
	}
	r.Provided = own
	ofCluster := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, object client.Object) []reconcile.Request {
		name := object.GetLabels()[v1alpha1.LabelCluster]
		if name == "" {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}}}
	})
	// A pause and a restart are asked for by annotation.
	asked := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	build := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.KafkaCluster{}, builder.WithPredicates(connect.ExternalOnly(false), asked)).
		WatchesRawSource(source.Channel(r.Woken, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: connect.ClustersAtOnce})
	for _, object := range labelled(r.Settings.kinds()) {
		build = build.Watches(object, ofCluster, builder.WithPredicates(concerning(object)))
	}
	if r.Settings.ReadNodes {
		build = r.watchHosts(build)
	}
	provided := handler.TypedEnqueueRequestsFromMapFunc(r.naming)
	return build.WatchesRawSource(source.Kind(own, &corev1.Secret{}, provided)).Complete(r)
}

// concerning holds off what bears a cluster's label and is nothing of the cluster's: there may be thousands of users.
func concerning(object client.Object) predicate.Predicate {
	if _, is := object.(*corev1.Secret); !is {
		return predicate.Funcs{}
	}
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return !isUsers(e.Object) },
		DeleteFunc: func(e event.DeleteEvent) bool { return !isUsers(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, after := e.ObjectOld.(*corev1.Secret), e.ObjectNew.(*corev1.Secret)
			return !isUsers(after) || !isUsers(before) || tells(before, after)
		},
	}
}

// isUsers tells whether an object is the connection Secret of a user.
func isUsers(o client.Object) bool {
	owner := metav1.GetControllerOf(o)
	return owner != nil && owner.Kind == "KafkaUser"
}

// tells that a connection Secret names other authorities, or other listeners: for that a change of the authority that
// signs waits; see holders.
func tells(before, after *corev1.Secret) bool {
	one, other := holderOf(before), holderOf(after)
	return !bytes.Equal(one.Anchors, other.Anchors) || !slices.Equal(one.Listeners, other.Listeners)
}

// Labelled is an object of each kind that carries a cluster's label.
func Labelled() []client.Object { return labelled(observe.Kinds) }

func labelled(kinds []observe.Kind) []client.Object {
	// The revisions of StatefulSets bear the labels of the pods that are made from them.
	objects := []client.Object{&corev1.Pod{}, &appsv1.ControllerRevision{}}
	for _, kind := range kinds {
		objects = append(objects, kind.New())
	}
	return objects
}
