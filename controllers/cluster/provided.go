package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/provided"
)

// naming lists the KafkaClusters whose specs name a Secret.
func (r *Reconciler) naming(ctx context.Context, secret *corev1.Secret) []reconcile.Request {
	var list v1alpha1.KafkaClusterList
	err := r.List(ctx, &list, client.InNamespace(secret.Namespace), client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil // the health check comes by
	}
	var requests []reconcile.Request
	for i := range list.Items {
		named := func(ref provided.Ref) bool { return ref.Name == secret.Name }
		if slices.ContainsFunc(provided.Refs(&list.Items[i].Spec), named) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}

// readProvided reads the Secrets of users that the specs name. One that the cache does not show is looked for past it:
// it is missing, or nobody has labelled it.
func (r *Reconciler) readProvided(ctx context.Context, in *decide.Inputs) error {
	in.Provided = provided.Secrets{}
	for _, ref := range provided.Refs(&in.Cluster.Spec, in.Accepted) {
		key := types.NamespacedName{Namespace: in.Cluster.Namespace, Name: ref.Name}
		secret := &corev1.Secret{}
		err := r.Provided.Get(ctx, key, secret)
		if apierrors.IsNotFound(err) {
			err = r.APIReader.Get(ctx, key, secret)
		}
		switch {
		case err == nil:
			in.Provided[ref] = ref.Data(secret.Labels, secret.Data)
		case !apierrors.IsNotFound(err):
			return fmt.Errorf("read Secret %s: %w", key, err)
		}
	}
	return nil
}

// holders lists the Secrets of the KafkaUsers of a cluster. One whose KafkaUser is stalled or paused is left out: it
// may never be written again, and nobody waits for it.
func (r *Reconciler) holders(ctx context.Context, cluster types.NamespacedName) ([]provided.Holder, error) {
	var list v1alpha1.KafkaUserList
	if err := r.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list KafkaUsers: %w", err)
	}
	var all []provided.Holder
	for i := range list.Items {
		u := &list.Items[i]
		paused, _ := v1alpha1.Holds(u.Annotations, v1alpha1.AnnotationPause)
		if u.Spec.ClusterRef.From(u.Namespace) != cluster || u.DeletionTimestamp != nil || u.Status.Binding == nil ||
			paused || meta.IsStatusConditionTrue(u.Status.Conditions, v1alpha1.ConditionStalled) {
			continue
		}
		secret := &corev1.Secret{}
		key := types.NamespacedName{Namespace: u.Namespace, Name: u.Status.Binding.Name}
		if err := r.Get(ctx, key, secret); err != nil {
			if apierrors.IsNotFound(err) {
				continue // it is made anew, with what is right then
			}
			return nil, fmt.Errorf("read Secret %s: %w", key, err)
		}
		h := holderOf(secret)
		h.Name = fmt.Sprintf("Secret %q of KafkaUser %s/%s", key.Name, u.Namespace, u.Name)
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b provided.Holder) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// holderOf is what a connection Secret tells clients of whom to trust, and where.
func holderOf(secret *corev1.Secret) provided.Holder {
	h := provided.Holder{Anchors: secret.Data[pki.TLSAuthority]}
	for entry := range secret.Data {
		if listener, is := strings.CutPrefix(entry, "bootstrap.servers."); is {
			h.Listeners = append(h.Listeners, listener)
		}
	}
	slices.Sort(h.Listeners)
	return h
}
