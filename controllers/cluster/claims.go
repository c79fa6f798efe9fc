package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
)

// createClaims makes the claims that are missing. A claim that exists may hold somebody's records: it is labelled, if
// the controller of StatefulSets was faster to make it, and annotated. For what else changes of it see changeClaims.
func (r *Reconciler) createClaims(ctx context.Context, s *scope) error {
	for i := range s.decision.Model.Nodes {
		for _, claim := range render.Claims(s.decision.Model, &s.decision.Model.Nodes[i]) {
			if live := s.seen.Live.Claims[claim.Name]; live != nil {
				if err := r.labelClaim(ctx, s, live, claim); err != nil {
					return err
				}
				continue
			}
			if s.taken(model.KindClaim, claim.Name) {
				continue
			}
			if err := r.Create(ctx, claim, client.FieldOwner(apply.FieldOwner)); err != nil {
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
	told := map[string]any{"labels": claim.Labels, "annotations": claim.Annotations}
	if err := apply.IgnoreGone(r.patch(ctx, live.DeepCopy(), told, nil)); err != nil {
		return fmt.Errorf("label PersistentVolumeClaim %s/%s: %w", live.Namespace, live.Name, err)
	}
	s.lookAgain(whenBehind)
	return nil
}

// changeClaims has disks grow, and writes down what becomes of claims. What Kubernetes refuses is the fault of the
// field that asks for it, and nothing else waits for it.
func (r *Reconciler) changeClaims(ctx context.Context, s *scope) error {
	var refused []decide.RefusedChange
	for _, change := range s.decision.ClaimChanges {
		err := r.changeClaim(ctx, s, change)
		if words, is := refusal(err); is && change.Field != "" {
			refused = append(refused, decide.RefusedChange{ClaimChange: change, Words: words})
			continue
		}
		if apierrors.IsConflict(err) {
			s.lookAgain(whenBehind)
			continue
		}
		if err = apply.IgnoreGone(err); err != nil {
			return fmt.Errorf("change PersistentVolumeClaim %s/%s: %w", change.Claim.Namespace, change.Claim.Name, err)
		}
		if change.Told != "" {
			r.event(s, corev1.EventTypeNormal, "ClaimChanged", change.Sentence())
		}
		s.lookAgain(whenBehind)
	}
	s.refused = append(s.refused, decide.RefusedChanges(refused)...)
	return nil
}

// changeClaim changes the very claim that was judged. Kubernetes deletes what only the dead own: so the KafkaCluster is
// seen to live, past the cache, before it becomes an owner, and the claim has to be as it was when it was judged. One
// that was orphaned on purpose meanwhile is another.
func (r *Reconciler) changeClaim(ctx context.Context, s *scope, change decide.ClaimChange) error {
	metadata, spec := map[string]any{}, map[string]any{}
	switch {
	case change.Size != nil:
		metadata["annotations"] = map[string]any{v1alpha1.AnnotationRequested: change.Size.String()}
		spec["resources"] = map[string]any{"requests": map[string]any{"storage": change.Size.String()}}
	case change.Attributes != "":
		spec["volumeAttributesClassName"] = change.Attributes
	case change.Keep:
		metadata["annotations"] = map[string]any{v1alpha1.AnnotationWhenScaled: nil}
	case change.Reowned:
		if change.Owned {
			if err := r.mustLive(ctx, s); err != nil {
				return err
			}
		}
		metadata["ownerReferences"] = change.Owners
		metadata["resourceVersion"] = change.Claim.ResourceVersion
	}
	if len(spec) == 0 {
		spec = nil
	}
	return r.patch(ctx, change.Claim.DeepCopy(), metadata, spec)
}

// mustLive fails with a conflict if the KafkaCluster of the pass is gone, or is being deleted.
func (r *Reconciler) mustLive(ctx context.Context, s *scope) error {
	fresh := &v1alpha1.KafkaCluster{}
	err := r.APIReader.Get(ctx, s.key(), fresh)
	if apierrors.IsNotFound(err) || err == nil && (fresh.UID != s.base.UID || fresh.DeletionTimestamp != nil) {
		return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("kafkaclusters").GroupResource(), s.base.Name,
			fmt.Errorf("it is being deleted"))
	}
	return err
}

// deleteUnwanted deletes the claims of a node that is gone, as they were judged: a claim that is to be kept after all
// is another.
func (r *Reconciler) deleteUnwanted(ctx context.Context, s *scope, step plan.Step) error {
	for _, judged := range step.Claims {
		live := s.seen.Live.Claims[judged.Name]
		if !judged.Unwanted || judged.Deleting || live == nil || string(live.UID) != judged.UID {
			continue
		}
		uid := types.UID(judged.UID)
		asJudged := client.Preconditions{UID: &uid, ResourceVersion: &live.ResourceVersion}
		err := r.Delete(ctx, live.DeepCopy(), asJudged)
		if apierrors.IsConflict(err) {
			s.lookAgain(whenBehind)
			return nil
		}
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete PersistentVolumeClaim %s: %w", judged.Name, err)
		}
	}
	r.tell(s, step, step.String())
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
