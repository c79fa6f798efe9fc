package batch

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
)

// Policies are the answers for whole namespaces that were looked up before: in the cache, and past it. The zero value
// has none.
type Policies struct {
	cached, live map[string]v1alpha1.DeletionPolicy
}

// settlePolicies lets the objects of a flush say what their namespaces and the operator say for them. The objects are
// copies, and a spec is never written.
func (r *Reconciler[T, S]) settlePolicies(ctx context.Context, cluster Host, found []Found[T]) error {
	var known Policies
	for _, f := range found {
		for _, o := range f.Objects {
			if *r.Policy(o) != "" || cluster.Object == nil {
				continue
			}
			policy, err := r.saidFor(ctx, &known, cluster, o)
			if err != nil {
				return err
			}
			*r.Policy(o) = policy
		}
	}
	return nil
}

// saidFor is defaultOf by the cache. What would be deleted for want of a word is looked up past it: somebody who
// annotates a namespace and prunes right after has annotated first.
func (r *Reconciler[T, S]) saidFor(
	ctx context.Context, known *Policies, cluster Host, o T,
) (v1alpha1.DeletionPolicy, error) {
	if known.cached == nil {
		known.cached, known.live = map[string]v1alpha1.DeletionPolicy{}, map[string]v1alpha1.DeletionPolicy{}
	}
	policy, err := r.defaultOf(ctx, r.Namespaces.Reader, known.cached, cluster, o)
	if err == nil && policy == "" && o.GetDeletionTimestamp() != nil {
		return r.defaultOf(ctx, r.Namespaces.Live, known.live, cluster, o)
	}
	return policy, err
}

// defaultOf is what becomes of what an object stands for when the object says nothing; known are the answers for whole
// namespaces that were looked up before.
func (r *Reconciler[T, S]) defaultOf(
	ctx context.Context, reader client.Reader, known map[string]v1alpha1.DeletionPolicy, cluster Host, o T,
) (v1alpha1.DeletionPolicy, error) {
	if r.MayStay != nil && !r.MayStay(cluster, o) {
		return "", nil
	}
	name := o.GetNamespace()
	if policy, is := known[name]; is {
		return policy, nil
	}
	namespace := namespaceOf(name)
	if err := reader.Get(ctx, types.NamespacedName{Name: name}, namespace); client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("get Namespace %s for its annotation %s: %w", name, v1alpha1.AnnotationDeletionPolicy, err)
	}
	known[name] = claim.DefaultPolicy(namespace.Annotations, !cluster.IsHome(o), r.Retention)
	return known[name], nil
}

// keepPolicy has an object say after a write what settlePolicies let it say: the answer of the API server does not.
func (p *Pass[T, S]) keepPolicy(o T) (restore func()) {
	policy := *p.reconciler.Policy(o)
	return func() { *p.reconciler.Policy(o) = policy }
}

// WithPolicy is an object of the cache, or a copy of it that says what its namespace or the operator says for it. known
// keeps what was looked up.
func (p *Pass[T, S]) WithPolicy(ctx context.Context, o T, known *Policies) (T, error) {
	r := p.reconciler
	if *r.Policy(o) != "" {
		return o, nil
	}
	policy, err := r.saidFor(ctx, known, p.Cluster, o)
	if err != nil || policy == "" {
		return o, err
	}
	copied := o.DeepCopyObject().(T)
	*r.Policy(copied) = policy
	return copied, nil
}
