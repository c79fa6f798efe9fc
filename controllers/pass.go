package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/batch"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/status"
)

// writers is how many objects of a flush are written at once.
const writers = 16

// pass is the part of a flush that has nothing to do with Kafka: who takes part, who waits for what, and what is written.
type pass[T claimant, S any] struct {
	register  *register[T, S]
	cluster   hostCluster
	admission admission
	claims    []claim.Claim[T]
	errs      *errorList
}

func newPass[T claimant, S any](r *register[T, S], c hostCluster, a admission) pass[T, S] {
	return pass[T, S]{register: r, cluster: c, admission: a, errs: &errorList{}}
}

// inKafka is the rest of it. An error of change means that nothing is known about any name; report names those that could
// not be written.
type inKafka interface {
	change(ctx context.Context) error
	report(ctx context.Context) (failed []string, err error)
	// free tells whether those who leave a name can be let go of without a word to Kafka.
	free(name string) bool
}

// run takes the names through the flush.
func (p *pass[T, S]) run(ctx context.Context, names []string, work inKafka) ([]string, error) {
	if p.cluster.gone() {
		return p.abandon(ctx)
	}
	p.bar(ctx)
	if awaited := p.cluster.awaited(); awaited != "" {
		return p.wait(ctx, work, reasonClusterNotAvailable, awaited)
	}
	kafkaCtx, cancel := context.WithTimeout(ctx, batch.FlushTimeout)
	defer cancel()
	if err := work.change(kafkaCtx); err != nil {
		if ctx.Err() == nil { // else the operator itself is about to end, and knows nothing
			reason, message := unanswered(p.cluster, err)
			if _, err := p.wait(ctx, work, reason, message); err != nil {
				return names, err
			}
		}
		return names, fmt.Errorf("%ss of KafkaCluster %s: %w", p.register.what, p.cluster.key, err)
	}
	return work.report(ctx)
}

// bar tells those whom the cluster does not admit, and lets go of those among them that are being deleted: nothing of
// theirs is in Kafka.
func (p *pass[T, S]) bar(ctx context.Context) {
	batch.Each(writers, p.claims, func(c claim.Claim[T]) {
		barred := slices.Clone(c.Barred)
		if c.Frozen {
			barred = append(barred, c.Holder)
		}
		for _, o := range barred {
			if o.GetDeletionTimestamp() != nil {
				p.errs.add(c.Name, p.release(ctx, o))
				continue
			}
			p.errs.add(c.Name, p.writeStalled(ctx, o, reasonNotAdmitted, notAdmitted(p.cluster.key, o.GetNamespace())))
		}
	})
}

// abandon lets go of everything whose cluster is gone or going, and tells the others.
func (p *pass[T, S]) abandon(ctx context.Context) ([]string, error) {
	why := p.cluster.goneText()
	batch.Each(writers, p.claims, func(c claim.Claim[T]) {
		for _, o := range c.Held() {
			p.register.Events.Eventf(o, nil, corev1.EventTypeNormal, "Released", "Delete", "%s: %s %q is left to the fate of its cluster", why, p.register.what, c.Name)
		}
		p.errs.add(c.Name, p.release(ctx, c.Held()...))
		for _, o := range c.Living() {
			if p.cluster.object != nil {
				p.errs.add(c.Name, p.writeWaiting(ctx, o, reasonClusterNotAvailable, why))
				continue
			}
			p.errs.add(c.Name, p.writeStalled(ctx, o, reasonClusterNotFound,
				fmt.Sprintf("spec.clusterRef.name: %s; create it, or delete this %s", why, p.register.kind)))
		}
	})
	return p.errs.result()
}

// wait says what is waited for on every object that is not in force. One that is Ready stays so: nothing was asked of it
// that is not done.
func (p *pass[T, S]) wait(ctx context.Context, work inKafka, reason, message string) ([]string, error) {
	batch.Each(writers, p.claims, func(c claim.Claim[T]) {
		for _, o := range c.Held() {
			if work.free(c.Name) {
				p.errs.add(c.Name, p.release(ctx, o))
				continue
			}
			said := fmt.Sprintf("being deleted: %s; deleting the KafkaCluster releases this %s, too", message, p.register.kind)
			p.errs.add(c.Name, p.keep(ctx, c.Name, o, reason, func() error { return p.writeWaiting(ctx, o, reason, said) }))
		}
		for _, o := range c.Living() {
			if !p.register.isReady(o) && !(c.Frozen && o == c.Holder) {
				p.errs.add(c.Name, p.writeWaiting(ctx, o, reason, message))
			}
		}
	})
	return p.errs.result()
}

// keep says why an object that is being deleted is not let go of yet. Where its namespace goes, and its cluster is in
// another one, that ends after a while all the same, once it has been said before, and those who own the cluster are told
// what is left there.
func (p *pass[T, S]) keep(ctx context.Context, name string, o T, reason string, say func() error) error {
	orphaned, left := p.admission.orphaned(o, p.register.Clock.Now())
	ready := meta.FindStatusCondition(*p.register.conditions(p.register.status(o)), v1alpha1.ConditionReady)
	if said := ready != nil && ready.Reason == reason; !orphaned || !said {
		if orphaned || left > 0 {
			p.register.queue.MarkAfter(p.cluster.key, max(left, confirmAfter), name)
		}
		return say()
	}
	if left := p.register.leftover(o); left != "" {
		p.register.Events.Eventf(p.cluster.object, o, corev1.EventTypeWarning, strings.TrimPrefix(p.register.kind, "Kafka")+"LeftBehind", "Delete",
			"Namespace %s goes, and for %s Kafka could not be brought to let go: %s is left", o.GetNamespace(), orphanAfter, left)
	}
	return p.release(ctx, o)
}

// writeWaiting tells an object what it waits for.
func (p *pass[T, S]) writeWaiting(ctx context.Context, o T, reason, message string) error {
	s := p.register.seen(o)
	status.Reconciling(p.register.conditions(&s), o.GetGeneration(), reason, message, p.register.Clock.Now())
	return p.writeStatus(ctx, o, s)
}

// writeStalled tells an object what its user has to change.
func (p *pass[T, S]) writeStalled(ctx context.Context, o T, reason, message string) error {
	s := p.register.seen(o)
	status.Stalled(p.register.conditions(&s), o.GetGeneration(), reason, message, p.register.Clock.Now())
	return p.writeStatus(ctx, o, s)
}

// writeStatus writes the status of an object unless it says so already.
func (p *pass[T, S]) writeStatus(ctx context.Context, o T, s S) error {
	before := p.register.status(o)
	if sameStatus(*before, s) {
		return nil
	}
	if err := ignoreGone(p.register.writer.PatchStatus(ctx, o, *before, s)); err != nil {
		return fmt.Errorf("write the status of %s %s/%s: %w", p.register.kind, o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

// overtaken tells whether a write failed because its object has changed meanwhile; the name is looked at again once the
// cache shows how.
func (p *pass[T, S]) overtaken(name string, err error) bool {
	if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return false
	}
	p.register.queue.Retry(p.cluster.key, name, cacheLag, confirmAfter)
	return true
}

// release takes the finalizer off those that are being deleted.
func (p *pass[T, S]) release(ctx context.Context, leaving ...T) error {
	var errs []error
	for _, o := range leaving {
		if !claim.HasFinalizer(o) {
			continue
		}
		before := o.DeepCopyObject().(T)
		controllerutil.RemoveFinalizer(o, v1alpha1.Finalizer)
		if err := p.register.writer.Release(ctx, o, before); err != nil {
			errs = append(errs, fmt.Errorf("release %s %s/%s: %w", p.register.kind, o.GetNamespace(), o.GetName(), err))
		}
	}
	return errors.Join(errs...)
}

// errorList collects what failed for which name, from many goroutines.
type errorList struct {
	mu    sync.Mutex
	names map[string]bool
	errs  []error
}

func (l *errorList) add(name string, err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.names == nil {
		l.names = map[string]bool{}
	}
	l.names[name] = true
	l.errs = append(l.errs, err)
}

// result names what failed, with the first of its errors.
func (l *errorList) result() ([]string, error) {
	if len(l.errs) == 0 {
		return nil, nil
	}
	return slices.Sorted(maps.Keys(l.names)), fmt.Errorf("%d failed, the first: %w", len(l.errs), l.errs[0])
}
