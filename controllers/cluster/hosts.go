package cluster

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
)

// watchHosts looks at the clusters that advertise Kubernetes nodes when the addresses of those are others.
func (r *Reconciler) watchHosts(build *ctrl.Builder) *ctrl.Builder {
	named := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []reconcile.Request {
		var list v1alpha1.KafkaClusterList
		if err := r.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
			return nil // the health check comes by
		}
		var requests []reconcile.Request
		for i := range list.Items {
			if advertisesHosts(&list.Items[i].Spec) {
				requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
			}
		}
		return requests
	})
	moved := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, isNode := e.ObjectOld.(*corev1.Node)
		after, isStill := e.ObjectNew.(*corev1.Node)
		return isNode && isStill && !slices.Equal(before.Status.Addresses, after.Status.Addresses)
	}}
	return build.Watches(&corev1.Node{}, named, builder.WithPredicates(moved))
}

func advertisesHosts(spec *v1alpha1.KafkaClusterSpec) bool {
	return slices.ContainsFunc(spec.Listeners, func(l v1alpha1.Listener) bool {
		return l.Exposure.Type == v1alpha1.ExposureNodePort && l.Encryption != v1alpha1.EncryptionNone
	})
}

// readHosts lists the addresses of the Kubernetes nodes, where the operator may read them and somebody is told of them.
func (r *Reconciler) readHosts(ctx context.Context, in *decide.Inputs) error {
	told := advertisesHosts(&in.Cluster.Spec) || in.Accepted != nil && advertisesHosts(in.Accepted)
	if told {
		in.HostsDenied = r.Settings.Denied.Nodes
	}
	if !r.Settings.ReadNodes || !told {
		return nil
	}
	var list corev1.NodeList
	if err := r.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the Kubernetes nodes: %w", err)
	}
	for i := range list.Items {
		for _, address := range list.Items[i].Status.Addresses {
			if address.Type == corev1.NodeInternalIP && list.Items[i].DeletionTimestamp == nil {
				in.HostAddresses = append(in.HostAddresses, address.Address)
			}
		}
	}
	slices.Sort(in.HostAddresses)
	in.HostAddresses = slices.Compact(in.HostAddresses)
	return nil
}

// listHost asks for one Kubernetes node.
func listHost(ctx context.Context, apiReader client.Reader) error {
	return apiReader.List(ctx, &corev1.NodeList{}, client.Limit(1))
}

// hostsDenied is why the operator may not read the Kubernetes nodes, in Kubernetes' words; empty = nobody says so.
func hostsDenied(ctx context.Context, apiReader client.Reader) string {
	if err := listHost(ctx, apiReader); apierrors.IsForbidden(err) {
		return err.Error()
	}
	return ""
}
