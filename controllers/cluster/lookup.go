package cluster

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
)

// decide makes the decision. The cache shows what bears our labels; before anything is made under a name, it looks past
// the cache for what has it, and decides again: somebody else's object is a fault, and one of ours is labelled again.
func (r *Reconciler) decide(ctx context.Context, s *scope) error {
	s.decision = decide.Decide(s.seen)
	var found bool
	for _, name := range s.decision.Unseen {
		object, err := r.look(ctx, s, name)
		if err != nil {
			return err
		}
		if object == nil {
			continue
		}
		found = true
		owner, ours := observe.Whose(name.Kind, object, s.base)
		if !ours && !(name.Kind == model.KindClaim && s.seen.Live.Serves(name.Name)) {
			s.seen.Live.Taken[name.Key()] = owner
			continue
		}
		if err := r.label(ctx, s, name, object); err != nil {
			return err
		}
		s.seen.Live.Add(object)
	}
	if found {
		s.decision = decide.Decide(s.seen)
	}
	r.readForMoves(ctx, s)
	return nil
}

// readForMoves reads what a plan of moves wants to know, and decides again with that: first for whose moves are under
// way, and then for a plan.
func (r *Reconciler) readForMoves(ctx context.Context, s *scope) {
	sizes := func(ctx context.Context) (map[int32][]kafka.LoadDir, error) {
		admin, err := r.Connections.Admin(ctx, s.base)
		if err != nil {
			return nil, err
		}
		return admin.Loads(ctx)
	}
	for range 2 {
		wants := s.decision.Plan.Course.Wants()
		if !wants.Any() {
			return
		}
		r.Balancer.Read(ctx, s.key(), wants, sizes, &s.seen.Balancing)
		s.decision = decide.Decide(s.seen)
	}
}

// look reads an object past the cache; nil = there is none.
func (r *Reconciler) look(ctx context.Context, s *scope, name model.ObjectName) (client.Object, error) {
	kind, _ := observe.KindOf(name.Kind) // a test holds that every name is of a known kind
	object := kind.New()
	err := r.APIReader.Get(ctx, types.NamespacedName{Namespace: s.base.Namespace, Name: name.Name}, object)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look whether %s %s/%s is somebody else's: %w", name.Kind, s.base.Namespace, name.Name, err)
	}
	return object, nil
}

// label gives an object of ours that has lost them the labels by which the cache shows it.
func (r *Reconciler) label(ctx context.Context, s *scope, name model.ObjectName, object client.Object) error {
	labels := maps.Clone(object.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, model.Labels(s.base.Name))
	if maps.Equal(labels, object.GetLabels()) {
		return nil // the cache is behind
	}
	if err := r.patch(ctx, object, map[string]any{"labels": labels}, nil); err != nil {
		return fmt.Errorf("label %s %s/%s, which has lost its labels: %w", name.Kind, s.base.Namespace, name.Name, err)
	}
	r.event(s, corev1.EventTypeNormal, "LabelsRestored", name.Kind+" "+name.Name+" had lost the label "+
		v1alpha1.LabelManagedBy+" or "+v1alpha1.LabelCluster)
	s.lookAgain(whenBehind)
	return nil
}

// taken tells whether somebody else has an object that the cluster needs: the decision says so, and it is left alone.
func (s *scope) taken(kind, name string) bool {
	_, taken := s.seen.Live.Taken[model.ObjectName{Kind: kind, Name: name}.Key()]
	return taken
}
