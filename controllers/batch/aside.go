package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/internal/claim"
)

// signed is a status with this installation on record, where the cluster is its own.
func (p *Pass[T, S]) signed(s S) S {
	r := p.reconciler
	if r.Installation.Name != "" && p.Cluster.Object != nil && p.Cluster.tenure == claim.TenureOurs &&
		!p.Cluster.nobodys && r.Clock.Now().UnixNano()-r.unsigned.Load() >= int64(claim.OlderCRDs) {
		*r.Operator(&s) = r.Installation.Name
	}
	return s
}

// noticeUnsigned sees from an object that was written that the API server drops the record: it is not written again
// and again then.
func (p *Pass[T, S]) noticeUnsigned(o T) {
	var empty S
	wanted, kept := p.signed(empty), p.operatorOf(o)
	if *p.reconciler.Operator(&wanted) != "" && kept == "" {
		p.reconciler.unsigned.Store(p.reconciler.Clock.Now().UnixNano())
	}
}

// standAside leaves alone what another installation of the operator looks after.
func (p *Pass[T, S]) standAside(ctx context.Context, operator string) {
	Each(Writers, p.Claims, func(c claim.Claim[T]) {
		p.Errs.Add(c.Name, p.tellAside(ctx, c.Name, everyone(c), func(T) string { return operator }))
	})
}

// everyone lists the objects of a name that have not been let go of.
func everyone[T Object](c claim.Claim[T]) []T {
	all := slices.Concat(c.Living(), c.Held(), evicted(c))
	for _, b := range c.Barred {
		all = append(all, b.Object)
	}
	return all
}

// others parts objects of a name whose cluster this installation does not see into those that are left to it, and those
// that another one looks after by their own record: that one may see the cluster.
func (p *Pass[T, S]) others(objects []T) (own, others []T) {
	for _, o := range objects {
		if p.reconciler.Installation.Of(p.operatorOf(o)) == claim.TenureOther {
			others = append(others, o)
			continue
		}
		own = append(own, o)
	}
	return own, others
}

func (p *Pass[T, S]) operatorOf(o T) string { return *p.reconciler.Operator(p.reconciler.Status(o)) }

// tellAside tells objects of another installation that a change of theirs waits for it, once that has been so for a
// while. Else nothing is written: a status is written by who looks after its object, and two would write for ever.
func (p *Pass[T, S]) tellAside(ctx context.Context, name string, objects []T, operator func(T) string) error {
	r, changes := p.reconciler, ""
	var waiting []T
	for _, o := range objects {
		if claim.Unobserved(o, r.Observed(r.Status(o))) {
			waiting = append(waiting, o)
			changes += fmt.Sprintf("%s/%d ", o.GetUID(), o.GetGeneration())
		}
	}
	key := Key{p.Cluster.Key, name}
	if len(waiting) == 0 {
		r.aside.Forget(key)
		return nil
	}
	if !r.Stands(&r.aside, key, changes, claim.AsideAfter) {
		return nil
	}
	var errs []error
	for _, o := range waiting {
		errs = append(errs, p.WriteVerdict(ctx, o, r.Installation.Other(r.Name, o.GetName(), operator(o))))
	}
	return errors.Join(errs...)
}
