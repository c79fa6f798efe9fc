package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/model"
)

// record writes down what must not be forgotten, before anybody acts on it: what is given out once, and the spec that
// is in force.
func (r *Reconciler) record(ctx context.Context, s *scope) error {
	if err := r.recordIdentity(ctx, s, s.decision.Identity); err != nil {
		return err
	}
	if err := r.withdraw(ctx, s); err != nil {
		return err
	}
	if s.decision.Accepted == nil {
		return nil
	}
	desired, err := decide.RenderAccepted(s.base, s.decision.Accepted)
	if err != nil {
		return err
	}
	_, err = r.apply(ctx, s, model.KindConfigMap, desired, orNil(s.seen.Live.ConfigMaps[desired.Name]))
	return err
}

// withdraw takes listeners that are no longer asked for out of the status before any broker loses them: a client that
// comes to such a listener later is refused by the leaders that are without it.
func (r *Reconciler) withdraw(ctx context.Context, s *scope) error {
	next := s.base.DeepCopy()
	next.Status.Listeners = slices.DeleteFunc(next.Status.Listeners, func(l v1alpha1.ListenerStatus) bool {
		return s.decision.Model.ClientListener(strings.ToUpper(l.Name)) == nil
	})
	if len(next.Status.Listeners) == len(s.base.Status.Listeners) {
		return nil
	}
	patch := client.MergeFromWithOptions(s.base, client.MergeFromWithOptimisticLock{})
	if err := r.Status().Patch(ctx, next, patch); err != nil {
		return fmt.Errorf("withdraw listeners from the status of KafkaCluster %s: %w", s.key(), err)
	}
	s.base = next
	return nil
}

// recordIdentity writes what is given out once to the status: after a read past the cache, and only if nobody else has
// written since.
func (r *Reconciler) recordIdentity(ctx context.Context, s *scope, record identity.Record) error {
	before := identity.Of(&s.base.Status)
	if record.Equal(before) {
		return nil
	}
	fresh := &v1alpha1.KafkaCluster{}
	if err := r.APIReader.Get(ctx, s.key(), fresh); err != nil {
		return fmt.Errorf("read KafkaCluster %s past the cache: %w", s.key(), err)
	}
	if fresh.UID != s.base.UID || !identity.Of(&fresh.Status).Equal(before) {
		return apierrors.NewConflict(schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "kafkaclusters"},
			s.base.Name, fmt.Errorf("the cache is behind"))
	}
	record.WriteTo(&fresh.Status)
	if err := r.Status().Update(ctx, fresh); err != nil {
		return fmt.Errorf("record in the status of KafkaCluster %s: %w", s.key(), err)
	}
	s.base = fresh.DeepCopy()
	switch {
	case record.ClusterID == before.ClusterID:
	case before.ClusterID != "":
		r.event(s, corev1.EventTypeWarning, "NewIncarnation",
			"the only, ephemeral disk of cluster "+before.ClusterID+" is gone; it begins anew as "+record.ClusterID)
	default:
		r.event(s, corev1.EventTypeNormal, "Identified", "cluster id "+record.ClusterID)
	}
	return nil
}
