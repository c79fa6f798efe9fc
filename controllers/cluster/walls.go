package cluster

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// applyWalls writes the NetworkPolicy of a cluster that is to have one, and removes that of one that is not. It comes
// before all else: a policy may be what keeps the operator, or the nodes, from each other. Kubernetes' no to it is the
// fault of the field that asks for it, and holds nothing else up.
func (r *Reconciler) applyWalls(ctx context.Context, s *scope) error {
	for _, policy := range s.decision.Walls.Surplus {
		uid := policy.UID
		err := r.Delete(ctx, policy, client.Preconditions{UID: &uid})
		if words, refused := refusal(err); refused {
			s.refused = append(s.refused, verdict.Stalled(verdict.ReasonInvalid, model.NetworkPolicyField, "Kubernetes refuses "+
				"to delete NetworkPolicy %s: %s; delete it, or let the operator", policy.Name, words))
		} else if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("remove NetworkPolicy %s/%s, which is no longer asked for: %w", policy.Namespace, policy.Name, err)
		}
	}
	policy := s.decision.Walls.Policy
	if policy == nil {
		return nil
	}
	_, err := r.apply(ctx, s, model.KindPolicy, policy, orNil(s.seen.Live.Policies[policy.Name]))
	if words, refused := refusal(err); refused {
		s.refused = append(s.refused, verdict.Stalled(verdict.ReasonInvalid, model.NetworkPolicyField, "Kubernetes refuses "+
			"NetworkPolicy %s: %s; change what stands in its way, or set the type to None", policy.Name, words))
		return nil
	}
	return err
}
