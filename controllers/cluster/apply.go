package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/render"
)

// applyQuiet writes what disturbs nobody: Services first, because the nodes' files hold the ports that they are given.
func (r *Reconciler) applyQuiet(ctx context.Context, s *scope) error {
	for _, object := range render.Quiet(s.decision.Model) {
		service, ok := object.(*corev1.Service)
		if !ok {
			continue
		}
		apply.Own(service, s.base, decide.KindCluster, v1alpha1.GroupVersion.String())
		written, err := r.applier.Apply(ctx, service, orNil(s.seen.Live.Services[service.Name]))
		if err != nil {
			return err
		}
		if written {
			s.lookAgain(whenBehind)
		}
	}
	return r.createClaims(ctx, s)
}

// createClaims makes the claims that are missing. A claim that exists may hold somebody's records: it is labelled, if
// the controller of StatefulSets was faster to make it, and annotated, and never changed otherwise.
func (r *Reconciler) createClaims(ctx context.Context, s *scope) error {
	for i := range s.decision.Model.Nodes {
		for _, claim := range render.Claims(s.decision.Model, &s.decision.Model.Nodes[i]) {
			if live := s.seen.Live.Claims[claim.Name]; live != nil {
				if err := r.labelClaim(ctx, s, live, claim); err != nil {
					return err
				}
				continue
			}
			err := r.Create(ctx, claim, client.FieldOwner(apply.FieldOwner))
			if apierrors.IsAlreadyExists(err) {
				s.wait(
					fmt.Sprintf(
						"PersistentVolumeClaim %s exists without the label %s=%s: if it is this cluster's, label it",
						claim.Name,
						v1alpha1.LabelCluster,
						s.base.Name,
					),
					whenHeld,
				)
				continue
			}
			if err != nil {
				return fmt.Errorf("create PersistentVolumeClaim %s/%s: %w", claim.Namespace, claim.Name, err)
			}
			s.lookAgain(whenBehind)
		}
	}
	return nil
}

// labelClaim gives a claim that was made from the template of its StatefulSet what a template cannot say: whose it is.
// One that is this cluster's is given what came to be known since it was made.
func (r *Reconciler) labelClaim(ctx context.Context, s *scope, live, claim *corev1.PersistentVolumeClaim) error {
	bare := live.Labels[v1alpha1.LabelNodeID] == ""
	ours := live.Labels[v1alpha1.LabelClusterID] == claim.Labels[v1alpha1.LabelClusterID]
	if live.DeletionTimestamp != nil || !bare && (!ours || knows(live, claim.Annotations)) {
		return nil
	}
	told := map[string]any{"uid": live.UID, "labels": claim.Labels, "annotations": claim.Annotations}
	patch, err := json.Marshal(map[string]any{"metadata": told})
	if err != nil {
		return fmt.Errorf("say whose PersistentVolumeClaim %s/%s is: %w", live.Namespace, live.Name, err)
	}
	err = r.Patch(ctx, live.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.FieldOwner(apply.FieldOwner))
	if err = apply.IgnoreGone(err); err != nil {
		return fmt.Errorf("label PersistentVolumeClaim %s/%s: %w", live.Namespace, live.Name, err)
	}
	s.lookAgain(whenBehind)
	return nil
}

// knows tells that a claim has the annotations already.
func knows(claim *corev1.PersistentVolumeClaim, annotations map[string]string) bool {
	for key, value := range annotations {
		if claim.Annotations[key] != value {
			return false
		}
	}
	return true
}

// applyBudget tells Kubernetes how many pods it may evict by itself: the planner's word.
func (r *Reconciler) applyBudget(ctx context.Context, s *scope) error {
	budget := render.Budget(s.decision.Model, s.decision.Plan.Evictable, s.decision.Plan.Spared)
	apply.Own(budget, s.base, decide.KindCluster, v1alpha1.GroupVersion.String())
	_, err := r.applier.Apply(ctx, budget, orNil(s.seen.Live.Budgets[budget.Name]))
	return err
}

// applyHandover leads nodes that look for the quorum to a controller that knows it, while the quorum changes.
func (r *Reconciler) applyHandover(ctx context.Context, s *scope) error {
	if s.decision.Successor == "" {
		return nil
	}
	handover := render.Handover(s.decision.Model, s.decision.Successor)
	apply.Own(handover, s.base, decide.KindCluster, v1alpha1.GroupVersion.String())
	_, err := r.applier.Apply(ctx, handover, orNil(s.seen.Live.Services[handover.Name]))
	return err
}

// prune removes what is no longer rendered, unless an act of this pass has found something to wait for.
func (r *Reconciler) prune(ctx context.Context, s *scope) error {
	if len(s.waiting) > 0 {
		return nil
	}
	for _, object := range s.decision.Surplus {
		uid := object.GetUID()
		err := r.Delete(ctx, object, client.Preconditions{UID: &uid})
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf(
				"remove %T %s/%s, which is no longer rendered: %w",
				object,
				object.GetNamespace(),
				object.GetName(),
				err,
			)
		}
	}
	return nil
}

// orNil makes a nil pointer a nil interface.
func orNil[T any, P interface {
	*T
	client.Object
}](object P) client.Object {
	if object == nil {
		return nil
	}
	return object
}
