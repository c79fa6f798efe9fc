package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/internal/apply"
)

// remake takes away what Kubernetes cannot change in place: claims that never had a volume and, before the cluster has
// formed, StatefulSets that would make such claims again. Pods stay, and the next StatefulSet takes them over. It tells
// whether the next pass has to make what is missing before anything else; a cluster that has formed is cared for at
// once.
func (r *Reconciler) remake(ctx context.Context, s *scope) (bool, error) {
	gone := s.decision.Remade
	for _, set := range gone.Sets {
		err := r.removeAsSeen(ctx, s, set, "StatefulSet "+set.Name+" is made anew, because the volumes of its pool have "+
			"changed; its pods stay", client.PropagationPolicy(metav1.DeletePropagationOrphan))
		if err != nil {
			return true, fmt.Errorf("make StatefulSet %s/%s anew: %w", set.Namespace, set.Name, err)
		}
	}
	for _, claim := range gone.Claims {
		err := r.removeAsSeen(ctx, s, claim, "PersistentVolumeClaim "+claim.Name+", which never had a volume, is made anew "+
			"as the spec asks for it")
		if err != nil {
			return true, fmt.Errorf("make PersistentVolumeClaim %s/%s anew: %w", claim.Namespace, claim.Name, err)
		}
	}
	if len(gone.Sets)+len(gone.Claims) == 0 {
		return false, nil
	}
	s.lookAgain(whenBehind)
	return s.decision.Model == nil || !s.decision.Model.Bootstrapped, nil
}

// removeAsSeen deletes an object only as it was judged: a claim that has been given a volume meanwhile stays.
func (r *Reconciler) removeAsSeen(
	ctx context.Context,
	s *scope,
	object client.Object,
	told string,
	more ...client.DeleteOption,
) error {
	uid, version := object.GetUID(), object.GetResourceVersion()
	as := client.Preconditions{UID: &uid, ResourceVersion: &version}
	err := r.Delete(ctx, object, append(more, as)...)
	if err == nil {
		r.event(s, corev1.EventTypeNormal, "MadeAnew", told)
	}
	return apply.IgnoreGone(err)
}
