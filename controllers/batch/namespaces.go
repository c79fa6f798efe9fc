package batch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch

const (
	reasonNotAdmitted = "NotAdmitted"
	reasonEvicted     = "Evicted"
)

// Namespaces tells the labels of namespaces, and whether they are going.
type Namespaces struct {
	// Reader reads the metadata of namespaces.
	Reader client.Reader
	// Live does so past the cache.
	Live client.Reader
	// Only are the namespaces that the operator works in; none = all. Who works in some may not watch namespaces, and
	// notices that one has changed when its topics and users are looked at for another reason.
	Only []string
}

// Admission says from which of a flush's namespaces its cluster takes topics and users.
type Admission struct {
	cluster     types.NamespacedName
	nobodys     bool // there is no cluster to ask
	admitted    map[string]bool
	unknown     map[string]bool // its labels are not known, or it is gone
	terminating map[string]bool
	evicted     []string
}

// Bars says why an object takes no part, as far as its namespace decides that; nil = it takes part.
func (a Admission) Bars(o metav1.Object) *claim.Bar {
	namespace := o.GetNamespace()
	switch {
	case a.nobodys || namespace == a.cluster.Namespace:
		return nil
	case slices.Contains(a.evicted, namespace):
		return &claim.Bar{Evicts: true, Verdict: verdict.Stalled(reasonEvicted, "spec.clusterRef",
			"whoever owns KafkaCluster %s has evicted namespace %q from it; delete this object, or ask for the namespace to be "+
				"taken out of spec.access.evicted of the KafkaCluster", a.cluster, namespace)}
	case a.admitted[namespace]:
		return nil
	}
	if a.unknown[namespace] {
		return &claim.Bar{Verdict: verdict.Waiting(reasonNotAdmitted, "spec.clusterRef", RetryFirst, RetryLimit,
			"the operator does not know namespace %q yet, whose labels decide whether KafkaCluster %s admits it",
			namespace, a.cluster)}
	}
	bar := &claim.Bar{Verdict: notAdmitted(a.cluster, namespace)}
	bar.Follows = true
	return bar
}

// admission looks up the namespaces of objects. An error means that nothing is known, which is not a withdrawal.
func (n Namespaces) admission(ctx context.Context, cluster Host, namespaces map[string]bool) (Admission, error) {
	a := Admission{
		cluster: cluster.Key, nobodys: cluster.Object == nil,
		admitted: map[string]bool{}, unknown: map[string]bool{}, terminating: map[string]bool{},
	}
	if a.nobodys {
		return a, nil
	}
	if access := cluster.Access(); access != nil {
		a.evicted = access.Evicted
	}
	for name := range namespaces {
		if name == a.cluster.Namespace && !cluster.Object.IsExternal() {
			continue
		}
		namespace := namespaceOf(name)
		err := n.Reader.Get(ctx, types.NamespacedName{Name: name}, namespace)
		if client.IgnoreNotFound(err) != nil {
			return a, fmt.Errorf("get Namespace %s: %w", name, err)
		}
		// The cache forgets a namespace a moment after it has lost the last object in it, and may not know a new one
		// yet.
		a.terminating[name] = namespace.DeletionTimestamp != nil || apierrors.IsNotFound(err) && name != a.cluster.Namespace
		if a.unknown[name] = apierrors.IsNotFound(err); a.unknown[name] {
			continue // no label is a label, too, to a selector such as NotIn
		}
		if a.admitted[name], err = claim.Admits(cluster.Object.Spec.Access, namespace.Labels); err != nil {
			return a, err
		}
	}
	return a, nil
}

// Goes tells, past the cache, whether a namespace is being deleted.
func (n Namespaces) Goes(ctx context.Context, name string) (bool, error) {
	namespace := namespaceOf(name)
	if err := n.Live.Get(ctx, types.NamespacedName{Name: name}, namespace); err != nil {
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}
	return namespace.DeletionTimestamp != nil, nil
}

func namespaceOf(name string) *metav1.PartialObjectMetadata {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	namespace.Name = name
	return namespace
}

// notAdmitted tells an object's user that the cluster does not admit its namespace. Only the cluster's owner can cure
// it.
func notAdmitted(cluster types.NamespacedName, namespace string) verdict.Verdict {
	return verdict.Stalled(reasonNotAdmitted, "spec.clusterRef",
		"KafkaCluster %s does not admit namespace %q; whoever owns it can, in its spec.access.namespaces",
		cluster, namespace)
}

// orphanAfter is how long a namespace that goes waits for a cluster of another namespace that does not answer.
const orphanAfter = 5 * time.Minute

// orphaned tells whether an object has waited long enough to go without its cluster's answer, and else for how long it
// still has to; zero = it does not wait for that.
func (a Admission) orphaned(o client.Object, now time.Time) (bool, time.Duration) {
	if o.GetDeletionTimestamp() == nil || !a.terminating[o.GetNamespace()] {
		return false, 0
	}
	left := orphanAfter - now.Sub(o.GetDeletionTimestamp().Time)
	return left <= 0, max(left, 0)
}

// namespaceEvents marks what lives in a namespace and belongs to a cluster in another one, when the namespace becomes
// known, its labels change or it begins to go; and all that lives there when it becomes known with a default of
// spec.deletionPolicy, or that changes.
func namespaceEvents(
	mark func(ctx context.Context, namespace string, all bool, q QueueOf) error,
) handler.EventHandler {
	look := func(ctx context.Context, namespace string, all bool, q QueueOf) {
		if err := mark(ctx, namespace, all, q); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "list what lives in a Namespace", "namespace", namespace)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q QueueOf) {
			if !e.IsInInitialList { // else everything is looked at anyway, and all namespaces are known then
				_, says := e.Object.GetAnnotations()[v1alpha1.AnnotationDeletionPolicy]
				look(ctx, e.Object.GetName(), says, q)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q QueueOf) {
			const key = v1alpha1.AnnotationDeletionPolicy
			before, had := e.ObjectOld.GetAnnotations()[key]
			after, has := e.ObjectNew.GetAnnotations()[key]
			all := before != after || had != has
			if !all && maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) &&
				e.ObjectOld.GetDeletionTimestamp().IsZero() == e.ObjectNew.GetDeletionTimestamp().IsZero() {
				return
			}
			look(ctx, e.ObjectNew.GetName(), all, q)
		},
	}
}
