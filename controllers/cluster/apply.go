package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// applyQuiet writes what disturbs nobody: Services first, because the nodes' files hold the ports that they are given.
func (r *Reconciler) applyQuiet(ctx context.Context, s *scope) error {
	for _, object := range render.Quiet(s.decision.Model) {
		service, ok := object.(*corev1.Service)
		if !ok {
			continue
		}
		live := s.seen.Live.Services[service.Name]
		written, err := r.apply(ctx, s, model.KindService, service, orNil(live))
		if live == nil && isPortTaken(err) && !s.decision.Model.HasFixedPort(service.Name) {
			r.event(s, corev1.EventTypeWarning, "PortTaken", fmt.Sprintf("Service %s was deleted, and its node port %d "+
				"cannot be had again: clients outside have to learn the new one", service.Name, service.Spec.Ports[0].NodePort))
			service.Spec.Ports[0].NodePort = 0
			written, err = r.apply(ctx, s, model.KindService, service, nil)
		}
		if err := s.refuseExposed(service, err); err != nil {
			return err
		}
		if written {
			s.lookAgain(whenBehind)
		}
	}
	if err := r.applySlices(ctx, s); err != nil {
		return err
	}
	r.applyRoutes(ctx, s)
	return errors.Join(r.createClaims(ctx, s), r.changeClaims(ctx, s))
}

// applySlices leads to single brokers behind one Service, at the addresses that their pods have now.
func (r *Reconciler) applySlices(ctx context.Context, s *scope) error {
	for _, slice := range s.decision.Slices {
		written, err := r.apply(ctx, s, model.KindSlice, slice, orNil(s.seen.Live.Slices[slice.Name]))
		if err := s.refuseExposed(slice, err); err != nil {
			return err
		}
		if written {
			s.lookAgain(whenBehind)
		}
	}
	return nil
}

// refuseExposed makes Kubernetes' no to a Service or route of a listener the fault of that listener, so that nothing
// else waits for it. Anything else is retried.
func (s *scope) refuseExposed(object client.Object, err error) error {
	listener := object.GetLabels()[v1alpha1.LabelListener]
	words, refused := refusal(err)
	if listener == "" || !refused {
		return err
	}
	s.refused = append(s.refused, verdict.Stalled(verdict.ReasonInvalid, model.ListenerField(listener, "exposure"),
		"Kubernetes refuses %s %s: %s; change what is asked for here, or what stands in its way",
		object.GetObjectKind().GroupVersionKind().Kind, object.GetName(), words))
	return nil
}

// refusal are Kubernetes' words where it says no to what an object is, or to who makes it.
func refusal(err error) (words string, refused bool) {
	if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) || apply.IgnoreGone(err) == nil {
		return "", false
	}
	words = err.Error()
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		words = status.Status().Message
	}
	return words, true
}

// isPortTaken tells that the API server refuses the node port of a Service: another one has it, or it is outside of the
// range that Kubernetes gives out now.
func isPortTaken(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && apierrors.IsInvalid(err) && status.Status().Details != nil &&
		slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool {
			return strings.HasSuffix(c.Field, ".nodePort")
		})
}

// apply makes an object of the cluster what was rendered, unless somebody else has the name. It tells whether a write
// was needed.
func (r *Reconciler) apply(ctx context.Context, s *scope, kind string, desired, live client.Object) (bool, error) {
	if s.taken(kind, desired.GetName()) {
		return false, nil
	}
	apply.Own(desired, s.base, model.KindCluster, v1alpha1.GroupVersion.String())
	return r.applier.Apply(ctx, desired, live)
}

// patch merges fields into the metadata and the spec of the very object that bears this name and UID; no other is
// touched.
func (r *Reconciler) patch(ctx context.Context, object client.Object, metadata, spec map[string]any) error {
	fields := map[string]any{"uid": object.GetUID()}
	maps.Copy(fields, metadata)
	changes := map[string]any{"metadata": fields}
	if spec != nil {
		changes["spec"] = spec
	}
	text, err := json.Marshal(changes)
	if err != nil {
		return fmt.Errorf("print the changes of %T %s: %w", object, object.GetName(), err)
	}
	return r.Patch(ctx, object, client.RawPatch(types.MergePatchType, text), client.FieldOwner(apply.FieldOwner))
}

// mendPools puts StatefulSets back that somebody has edited. That disturbs no pod: only the plan does. It leaves alone
// what a step is about to write, or waits to.
func (r *Reconciler) mendPools(ctx context.Context, s *scope) error {
	for i := range s.decision.Model.Pools {
		pool := &s.decision.Model.Pools[i]
		live := s.seen.Live.StatefulSets[pool.StatefulSet]
		stepped := slices.ContainsFunc(s.decision.Plan.Steps, func(step plan.Step) bool { return step.Pool == pool.Name })
		if live == nil || live.DeletionTimestamp != nil || live.Spec.Replicas == nil || stepped {
			continue
		}
		seen := s.decision.Observation.Pools[pool.Name]
		set := render.StatefulSet(s.decision.Model, pool, seen.Revision, *live.Spec.Replicas, live)
		written, err := r.mendPolicies(ctx, set, live)
		edited := written
		if err == nil && !written && seen.Template == s.decision.Desired.Templates[pool.Name] {
			set.ResourceVersion = live.ResourceVersion // a stale copy knows an old number of replicas
			written, err = r.apply(ctx, s, model.KindStatefulSet, set, live)
			edited = written && r.applier.Edited(set, live)
		}
		if err != nil {
			return err
		}
		if edited {
			r.event(s, corev1.EventTypeNormal, "EditUndone", "StatefulSet "+set.Name+" is again as the operator makes it")
		}
		if written {
			s.lookAgain(whenBehind)
		}
	}
	return nil
}

// mendPolicies puts back when a StatefulSet replaces its pods, and when it deletes their disks: never by itself. What
// another strategy needs has to go with it, which an apply would leave.
func (r *Reconciler) mendPolicies(ctx context.Context, set, live *appsv1.StatefulSet) (bool, error) {
	if equality.Semantic.DeepEqual(live.Spec.UpdateStrategy, set.Spec.UpdateStrategy) &&
		equality.Semantic.DeepEqual(
			live.Spec.PersistentVolumeClaimRetentionPolicy, set.Spec.PersistentVolumeClaimRetentionPolicy) {
		return false, nil
	}
	err := r.patch(ctx, live.DeepCopy(), nil, map[string]any{
		"updateStrategy":                       map[string]any{"type": set.Spec.UpdateStrategy.Type, "rollingUpdate": nil},
		"persistentVolumeClaimRetentionPolicy": set.Spec.PersistentVolumeClaimRetentionPolicy,
	})
	if err = apply.IgnoreGone(err); err != nil {
		return false, fmt.Errorf("put the policies of StatefulSet %s/%s back: %w", live.Namespace, live.Name, err)
	}
	return true, nil
}

// applyBudget tells Kubernetes how many pods it may evict by itself: the planner's word.
func (r *Reconciler) applyBudget(ctx context.Context, s *scope) error {
	budget := render.Budget(s.decision.Model, s.decision.Plan.Evictable, s.decision.Plan.Spared,
		s.decision.Plan.Sealed)
	_, err := r.apply(ctx, s, model.KindBudget, budget, orNil(s.seen.Live.Budgets[budget.Name]))
	return err
}

// applyHandover leads nodes that look for the quorum to a controller that knows it, while the quorum changes.
func (r *Reconciler) applyHandover(ctx context.Context, s *scope) error {
	if s.decision.Successor == "" {
		return nil
	}
	handover := render.Handover(s.decision.Model, s.decision.Successor)
	_, err := r.apply(ctx, s, model.KindService, handover, orNil(s.seen.Live.Services[handover.Name]))
	return err
}

// prune removes what is no longer rendered, as it was judged: a claim that has been given a volume meanwhile stays.
func (r *Reconciler) prune(ctx context.Context, s *scope) error {
	for _, object := range s.decision.Surplus {
		uid, version := object.GetUID(), object.GetResourceVersion()
		err := r.Delete(ctx, object, client.Preconditions{UID: &uid, ResourceVersion: &version})
		if _, claim := object.(*corev1.PersistentVolumeClaim); claim && err == nil {
			r.event(s, corev1.EventTypeNormal, "ClaimRemoved", "PersistentVolumeClaim "+object.GetName()+
				", which never had a volume, is removed: no node needs it")
		}
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
