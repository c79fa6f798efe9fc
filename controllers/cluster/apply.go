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
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
)

// apply writes what disturbs nobody: Services first, because the nodes' files hold the ports that they are given.
func (r *Reconciler) apply(ctx context.Context, s *scope) error {
	for _, object := range render.Quiet(s.model) {
		service, ok := object.(*corev1.Service)
		if !ok {
			continue
		}
		apply.Own(service, s.cluster, kindCluster, v1alpha1.GroupVersion.String())
		written, err := r.applier.Apply(ctx, service, orNil(s.live.Services[service.Name]))
		if err != nil {
			return err
		}
		if written {
			s.requeue = min(s.requeue, whenBehind)
		}
	}
	return r.createClaims(ctx, s)
}

// createClaims makes the claims that are missing. A claim that exists may hold somebody's records: it is labelled, if the
// controller of StatefulSets was faster to make it, and never changed otherwise.
func (r *Reconciler) createClaims(ctx context.Context, s *scope) error {
	for i := range s.model.Nodes {
		for _, claim := range render.Claims(s.model, &s.model.Nodes[i]) {
			if live := s.live.Claims[claim.Name]; live != nil {
				if err := r.labelClaim(ctx, s, live, claim); err != nil {
					return err
				}
				continue
			}
			err := r.Create(ctx, claim, client.FieldOwner(apply.FieldOwner))
			if apierrors.IsAlreadyExists(err) {
				s.wait(fmt.Sprintf("PersistentVolumeClaim %s exists without the label %s=%s: if it is this cluster's, label it", claim.Name, v1alpha1.LabelCluster, s.cluster.Name), whenHeld)
				continue
			}
			if err != nil {
				return fmt.Errorf("create PersistentVolumeClaim %s/%s: %w", claim.Namespace, claim.Name, err)
			}
			s.requeue = min(s.requeue, whenBehind)
		}
	}
	return nil
}

// labelClaim gives a claim that was made from the template of its StatefulSet what a template cannot say: whose it is.
func (r *Reconciler) labelClaim(ctx context.Context, s *scope, live, claim *corev1.PersistentVolumeClaim) error {
	if live.Labels[v1alpha1.LabelNodeID] != "" || live.DeletionTimestamp != nil {
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
	s.requeue = min(s.requeue, whenBehind)
	return nil
}

// applyBudget tells Kubernetes how many pods it may evict by itself: the planner's word.
func (r *Reconciler) applyBudget(ctx context.Context, s *scope) error {
	budget := render.Budget(s.model, s.plan.Evictable, s.plan.Spared)
	apply.Own(budget, s.cluster, kindCluster, v1alpha1.GroupVersion.String())
	_, err := r.applier.Apply(ctx, budget, orNil(s.live.Budgets[budget.Name]))
	return err
}

// applyHandover leads nodes that look for the quorum to a controller that knows it, while the quorum changes.
func (r *Reconciler) applyHandover(ctx context.Context, s *scope) error {
	if s.model.Successor = s.model.FindSuccessor(s.observation); s.model.Successor == "" {
		return nil
	}
	handover := render.Handover(s.model)
	apply.Own(handover, s.cluster, kindCluster, v1alpha1.GroupVersion.String())
	_, err := r.applier.Apply(ctx, handover, orNil(s.live.Services[handover.Name]))
	return err
}

// prune removes what is no longer rendered, once nothing is under way: a listener that was taken out of the spec keeps
// its Services until no node listens there, a revision until no pod and no StatefulSet names it.
func (r *Reconciler) prune(ctx context.Context, s *scope) error {
	if !s.plan.Empty() || len(s.waiting) > 0 || len(s.plan.Pending) > 0 {
		return nil
	}
	var surplus []client.Object
	rendered := map[string]bool{}
	for _, object := range render.Quiet(s.model) {
		rendered[object.GetName()] = true
	}
	for name, service := range s.live.Services {
		if !rendered[name] {
			surplus = append(surplus, service)
		}
	}
	used := map[string]bool{}
	for i := range s.live.Pods {
		used[observe.RevisionName(s.live.Pods[i].Spec.Volumes)] = true
	}
	for _, set := range s.live.StatefulSets {
		used[observe.RevisionName(set.Spec.Template.Spec.Volumes)] = true
	}
	for name, configMap := range s.live.ConfigMaps {
		if render.ReadRevision(configMap) != nil && !used[name] {
			surplus = append(surplus, configMap)
		}
	}
	for _, object := range surplus {
		if object.GetDeletionTimestamp() != nil {
			continue
		}
		uid := object.GetUID()
		err := r.Delete(ctx, object, client.Preconditions{UID: &uid})
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("remove %T %s/%s, which is no longer rendered: %w", object, object.GetNamespace(), object.GetName(), err)
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
