package cluster

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
)

// Everything here takes something away, and each function does the bidding of one kind of step of the plan. What it
// takes is named by UID: the very thing that the planner judged.

// restart deletes the very pod that the planner judged.
func (r *Reconciler) restart(ctx context.Context, s *scope, step plan.Step) error {
	if err := r.deletePod(ctx, s, step); err != nil {
		return err
	}
	r.tell(s, step, step.String())
	return nil
}

// deletePod leaves alone what is gone already or has been replaced: the cache will show it.
func (r *Reconciler) deletePod(ctx context.Context, s *scope, step plan.Step) error {
	uid := types.UID(step.PodUID)
	r.expectations.expect(s.key(), uid, doubted)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.base.Namespace, Name: s.podName(step)}}
	err := r.Delete(ctx, pod, client.Preconditions{UID: &uid})
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err):
		r.expectations.expect(s.key(), uid, answered)
		return nil
	case isRefusal(err):
		r.expectations.kept(s.key(), uid)
	}
	return fmt.Errorf("delete pod %s: %w", pod.Name, err)
}

// isRefusal tells whether the API server itself said that it did not do what was asked. After any other error it may
// have been done.
func isRefusal(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsInvalid(err) ||
		apierrors.IsBadRequest(err) ||
		apierrors.IsTooManyRequests(err)
}

// replaceDisk deletes the claims of a node and then its pod: Kubernetes keeps a claim until no pod uses it, and the
// next pass makes an empty one.
func (r *Reconciler) replaceDisk(ctx context.Context, s *scope, step plan.Step) error {
	for _, judged := range step.Claims {
		if !judged.Replace {
			continue
		}
		uid := types.UID(judged.UID)
		asJudged := client.Preconditions{UID: &uid}
		if live := s.seen.Live.Claims[judged.Name]; live != nil {
			asJudged.ResourceVersion = &live.ResourceVersion // the permission may have been taken back since
		}
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: s.base.Namespace, Name: judged.Name}}
		err := r.Delete(ctx, claim, asJudged)
		if apierrors.IsConflict(err) {
			s.lookAgain(whenBehind)
			return nil
		}
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete PersistentVolumeClaim %s: %w", judged.Name, err)
		}
	}
	r.tell(s, step, step.String())
	if step.PodUID == "" {
		return nil
	}
	return r.deletePod(ctx, s, step)
}

// scalePool lets the highest node of a pool go, whose claims stay, or lets it come back.
func (r *Reconciler) scalePool(ctx context.Context, s *scope, step plan.Step) error {
	live := s.seen.Live.StatefulSets[s.statefulSet(step)]
	if live == nil {
		return nil
	}
	seen, replicas := map[string]any{"resourceVersion": live.ResourceVersion}, map[string]any{"replicas": step.Replicas}
	if err := r.patch(ctx, live.DeepCopy(), seen, replicas); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.tell(s, step, step.String())
	return nil
}

// removePool deletes the StatefulSet of a pool that has no nodes any more.
func (r *Reconciler) removePool(ctx context.Context, s *scope, step plan.Step) error {
	uid := types.UID(step.SetUID)
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: s.base.Namespace, Name: s.statefulSet(step)}}
	if err := r.Delete(ctx, set, client.Preconditions{UID: &uid}); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.tell(s, step, step.String())
	return nil
}

// orphanPool deletes the StatefulSet of a pool as it was seen, and leaves its pods to the next one.
func (r *Reconciler) orphanPool(ctx context.Context, s *scope, step plan.Step) error {
	live := s.seen.Live.StatefulSets[s.statefulSet(step)]
	if live == nil || string(live.UID) != step.SetUID {
		return nil
	}
	if err := r.ownPods(ctx, s, step.Pool); err != nil {
		if apierrors.IsConflict(err) {
			s.lookAgain(whenBehind)
			return nil
		}
		return fmt.Errorf("own the pods of StatefulSet %s/%s: %w", live.Namespace, live.Name, err)
	}
	as := client.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion}
	err := r.Delete(ctx, live.DeepCopy(), as, client.PropagationPolicy(metav1.DeletePropagationOrphan))
	if err = apply.IgnoreGone(err); err != nil {
		return fmt.Errorf("make StatefulSet %s/%s anew: %w", live.Namespace, live.Name, err)
	}
	r.tell(s, step, step.String())
	s.lookAgain(whenBehind)
	return nil
}

// ownPods makes the KafkaCluster an owner of the pods of a pool: if it is deleted while they have no StatefulSet, they
// go with it.
func (r *Reconciler) ownPods(ctx context.Context, s *scope, pool string) error {
	if err := r.mustLive(ctx, s); err != nil {
		return err
	}
	owner := render.Owner(s.decision.Model)
	for i := range s.seen.Live.Pods {
		pod := &s.seen.Live.Pods[i]
		owned := slices.ContainsFunc(pod.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == owner.UID })
		if pod.Labels[v1alpha1.LabelPool] != pool || owned {
			continue
		}
		owners := append(slices.Clone(pod.OwnerReferences), owner)
		err := r.patch(ctx, pod.DeepCopy(), map[string]any{
			"ownerReferences": owners, "resourceVersion": pod.ResourceVersion,
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}
