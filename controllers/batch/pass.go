package batch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// What failed is tried again after RetryFirst, at intervals that double up to RetryLimit.
const (
	RetryFirst = time.Second
	RetryLimit = time.Minute
)

// Writers is how many objects of a flush are written at once.
const Writers = 16

// Pass is the part of a flush that has nothing to do with Kafka: who takes part, who waits for what, and what is
// written.
type Pass[T Object, S any] struct {
	reconciler *Reconciler[T, S]
	Cluster    Host
	admission  Admission
	Claims     []claim.Claim[T]
	Errs       *errorList // of single names; they delay no other
	// ahead are the stored statuses of objects that say more in memory; see Ahead.
	ahead *ByUID[S]
}

// NewPass begins a flush over a cluster whose namespaces have been looked up.
func NewPass[T Object, S any](r *Reconciler[T, S], c Host, a Admission) Pass[T, S] {
	return Pass[T, S]{reconciler: r, Cluster: c, admission: a, Errs: &errorList{}, ahead: &ByUID[S]{}}
}

// Work is the rest of a flush. An error of Change means that nothing is known about any name.
type Work interface {
	Change(ctx context.Context) error
	Report(ctx context.Context)
	// Releasable tells whether the objects of a name that are being deleted can be let go of without a word to Kafka.
	Releasable(name string) bool
}

// run takes the names through the flush. An error means that nothing is known about any of them.
func (p *Pass[T, S]) run(ctx context.Context, work Work) error {
	defer p.planAgain(ctx)
	if p.Cluster.tenure == claim.TenureOther {
		p.standAside(ctx, p.Cluster.Object.Status.Operator)
		return nil
	}
	if p.Cluster.gone() {
		p.abandon(ctx)
		return nil
	}
	p.turnAway(ctx)
	if awaited := p.Cluster.awaited(); awaited != "" {
		p.wait(ctx, work, reasonClusterNotAvailable, awaited)
		return nil
	}
	kafkaCtx, cancel := context.WithTimeout(ctx, FlushTimeout)
	defer cancel()
	if err := work.Change(kafkaCtx); err != nil {
		if ctx.Err() == nil { // else the operator itself is about to end, and knows nothing
			reason, message := unanswered(p.Cluster, err)
			p.wait(ctx, work, reason, message)
		}
		return fmt.Errorf("%ss of KafkaCluster %s: %w", p.reconciler.Noun, p.Cluster.Key, err)
	}
	work.Report(ctx)
	return nil
}

// planAgain has each name of which something could not be written looked at again, at intervals of its own.
func (p *Pass[T, S]) planAgain(ctx context.Context) {
	for name := range p.Errs.failed {
		if !p.Errs.planned[name] {
			p.reconciler.Queue.Retry(p.Cluster.Key, name, RetryFirst, RetryLimit)
		}
	}
	for name := range p.Errs.settled {
		if !p.Errs.failed[name] {
			p.reconciler.Queue.Settled(p.Cluster.Key, name)
		}
	}
	if p.Errs.first != nil {
		ctrl.LoggerFrom(ctx).Error(p.Errs.first, "not everything could be written; the first of them",
			"cluster", p.Cluster.Key, p.reconciler.Noun+"s", len(p.Errs.failed))
	}
}

// Goes tells whether a namespace of the flush, other than the cluster's own, is being deleted.
func (p *Pass[T, S]) Goes(namespace string) bool {
	return namespace != p.Cluster.Key.Namespace && p.admission.terminating[namespace]
}

// Settled says that nothing of a name is to be looked at again soon, unless it cannot be written.
func (p *Pass[T, S]) Settled(name string) { p.Errs.settle(name) }

// Retry has a name looked at again, see Queue.Retry.
func (p *Pass[T, S]) Retry(name string, base, limit time.Duration) {
	p.Errs.plan(name)
	p.reconciler.Queue.Retry(p.Cluster.Key, name, base, limit)
}

// turnAway tells the objects that take no part why, and lets go of those among them that are being deleted: nothing of
// theirs is in Kafka.
func (p *Pass[T, S]) turnAway(ctx context.Context) {
	Each(Writers, p.Claims, func(c claim.Claim[T]) {
		barred := slices.Clone(c.Barred)
		if c.Frozen != nil {
			barred = append(barred, claim.Barred[T]{Object: c.Holder, Bar: *c.Frozen})
		}
		for _, b := range barred {
			if b.Object.GetDeletionTimestamp() != nil {
				p.Errs.Add(c.Name, p.Release(ctx, b.Object))
				continue
			}
			p.Errs.Add(c.Name, p.WriteVerdict(ctx, b.Object, p.Follow(b.Object, b.Bar.Verdict)))
		}
	})
}

// abandon lets go of everything whose cluster is gone or going, and tells the others.
func (p *Pass[T, S]) abandon(ctx context.Context) {
	why := p.Cluster.goneText()
	Each(Writers, p.Claims, func(c claim.Claim[T]) {
		held, others := p.others(c.Held())
		living, more := p.others(slices.Concat(c.Living(), evicted(c)))
		p.Errs.Add(c.Name, p.tellAside(ctx, c.Name, slices.Concat(others, more), p.operatorOf))
		for _, o := range held {
			p.reconciler.Events.Eventf(o, nil, corev1.EventTypeNormal, "Released", "Delete",
				"%s: %s %q is left to the fate of its cluster", why, p.reconciler.Noun, c.Name)
		}
		p.Errs.Add(c.Name, p.Release(ctx, held...))
		for _, o := range living {
			if p.Cluster.Object != nil {
				p.Errs.Add(c.Name, p.WriteWaiting(ctx, o, reasonClusterNotAvailable, why))
				continue
			}
			absent := verdict.Stalled(reasonClusterNotFound, "spec.clusterRef.name", "%s; %s",
				why, p.Cluster.found(p.reconciler.Name))
			absent.Follows = !p.Cluster.elsewhere
			p.Errs.Add(c.Name, p.WriteVerdict(ctx, o, p.Follow(o, absent)))
		}
	})
}

func evicted[T Object](c claim.Claim[T]) (all []T) {
	for _, o := range c.Evicted {
		all = append(all, o.Object)
	}
	return all
}

// wait says what is waited for on every object that is not in force. One that is Ready stays so: nothing was asked of
// it that is not done.
func (p *Pass[T, S]) wait(ctx context.Context, work Work, reason, message string) {
	Each(Writers, p.Claims, func(c claim.Claim[T]) {
		for _, o := range c.Held() {
			if work.Releasable(c.Name) {
				p.Errs.Add(c.Name, p.Release(ctx, o))
				continue
			}
			said := fmt.Sprintf("being deleted: %s; deleting the KafkaCluster releases this %s, too",
				message, p.reconciler.Name)
			say := func() error { return p.WriteWaiting(ctx, o, reason, said) }
			p.Errs.Add(c.Name, p.Keep(ctx, c.Name, o, reason, say))
		}
		for _, o := range c.Living() {
			if !p.reconciler.IsReady(o) && !(c.Frozen != nil && o == c.Holder) {
				p.Errs.Add(c.Name, p.WriteWaiting(ctx, o, reason, message))
			}
		}
		for _, o := range c.Evicted {
			said := fmt.Sprintf("%s, and it could not be carried out yet: %s", o.Bar.Cause, message)
			p.Errs.Add(c.Name, p.WriteWaiting(ctx, o.Object, reason, said))
		}
	})
}

// Keep says why an object that is being deleted is not let go of yet. Where its namespace goes, and its cluster is in
// another one, that ends after a while all the same, once it has been said before, and those who own the cluster are
// told what is left there.
func (p *Pass[T, S]) Keep(ctx context.Context, name string, o T, reason string, say func() error) error {
	orphaned, left := p.admission.orphaned(o, p.reconciler.Clock.Now())
	said := p.reconciler.kept.age(Key{p.Cluster.Key, name}, reason, p.reconciler.Clock.Now()) > 0
	if !orphaned || !said {
		if orphaned || left > 0 {
			p.reconciler.Queue.MarkAfter(p.Cluster.Key, max(left, ConfirmAfter), name)
		}
		return say()
	}
	if left := p.reconciler.Leftover(o); left != "" {
		event := strings.TrimPrefix(p.reconciler.Name, "Kafka") + "LeftBehind"
		p.reconciler.Events.Eventf(p.Cluster.Object, o, corev1.EventTypeWarning, event, "Delete",
			"Namespace %s goes, and for %s Kafka could not be brought to let go: %s is left",
			o.GetNamespace(), orphanAfter, left)
	}
	return p.Release(ctx, o)
}

// WriteWaiting tells an object what it waits for.
func (p *Pass[T, S]) WriteWaiting(ctx context.Context, o T, reason, message string) error {
	s := p.reconciler.Seen(o)
	status.Reconciling(p.reconciler.Conditions(&s), o.GetGeneration(), reason, message, p.reconciler.Clock.Now())
	return p.WriteStatus(ctx, o, s)
}

// WriteStalled tells an object what its user has to change.
func (p *Pass[T, S]) WriteStalled(ctx context.Context, o T, reason, message string) error {
	s := p.reconciler.Seen(o)
	status.Stalled(p.reconciler.Conditions(&s), o.GetGeneration(), reason, message, p.reconciler.Clock.Now())
	return p.WriteStatus(ctx, o, s)
}

// WriteVerdict tells an object why it is not as asked for, and who ends that.
func (p *Pass[T, S]) WriteVerdict(ctx context.Context, o T, v verdict.Verdict) error {
	if v.Passes() {
		return p.WriteWaiting(ctx, o, v.Reason, v.Text())
	}
	return p.WriteStalled(ctx, o, v.Reason, v.Text())
}

// Says tells whether the status of an object is this one already.
func (p *Pass[T, S]) Says(o T, s S) bool { return sameStatus(p.stored(o), p.signed(s)) }

// WriteStatus writes the status of an object unless it says so already. Where Kubernetes refuses that, an event is all
// that can tell of it.
func (p *Pass[T, S]) WriteStatus(ctx context.Context, o T, s S) error {
	if p.Says(o, s) {
		return nil
	}
	defer p.keepPolicy(o)()
	write := p.reconciler.Writer.PatchStatus
	if p.Cluster.Object == nil { // another installation may see the cluster, and have said something since
		write = p.reconciler.Writer.ClaimStatus
	}
	err := write(ctx, o, p.stored(o), p.signed(s))
	switch {
	case err == nil:
		p.ahead.Forget(o.GetUID())
		p.noticeUnsigned(o)
		return nil
	case apierrors.IsConflict(err): // nothing is on record: no next step
		p.Overtaken(p.reconciler.Key(o).Name, err)
	case apply.IgnoreGone(err) == nil:
		return nil
	case apply.Refused(err):
		p.reconciler.Events.Eventf(o, nil, corev1.EventTypeWarning, "StatusRefused", "Update",
			"The operator cannot write the status, which is as it was before: %s", err)
	}
	return fmt.Errorf("write the status of %s %s/%s: %w", p.reconciler.Name, o.GetNamespace(), o.GetName(), err)
}

// Announce writes on an object, before anything happens in Kafka, our finalizer and what is about to be put there; an
// empty intent leaves what stands there.
func (p *Pass[T, S]) Announce(ctx context.Context, o T, intent string) error {
	defer p.keepPolicy(o)()
	defer p.keepAhead(o)()
	base := o.DeepCopyObject().(T)
	controllerutil.AddFinalizer(o, v1alpha1.Finalizer)
	if intent != "" {
		annotations := maps.Clone(o.GetAnnotations())
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[v1alpha1.AnnotationCreating] = intent
		o.SetAnnotations(annotations)
	}
	if err := p.reconciler.Writer.PatchMetadata(ctx, o, base); err != nil {
		return fmt.Errorf("add the finalizer to %s %s/%s: %w", p.reconciler.Name, o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

// RecordAhead writes into the status of an object, before anything happens in Kafka, what is about to be put there:
// proof of it that only the operator can write.
func (p *Pass[T, S]) RecordAhead(ctx context.Context, o T, s S) error {
	defer p.keepPolicy(o)()
	if err := p.reconciler.Writer.PatchStatus(ctx, o, p.stored(o), p.signed(s)); err != nil {
		return fmt.Errorf("write ahead into the status of %s %s/%s: %w",
			p.reconciler.Name, o.GetNamespace(), o.GetName(), err)
	}
	p.ahead.Forget(o.GetUID())
	return nil
}

// LookAgain has a name looked at again, at growing intervals, where a verdict on it says when.
func (p *Pass[T, S]) LookAgain(name string, verdicts []verdict.Verdict) {
	settled := true
	for _, v := range verdicts {
		if v.After > 0 {
			p.Retry(name, v.After, v.AtMost)
			settled = false
		}
	}
	if settled {
		p.Settled(name)
	}
}

// KeepLeaving says why the objects of a name that are being deleted are not let go of yet. bounded: not for ever, see
// Keep.
func (p *Pass[T, S]) KeepLeaving(ctx context.Context, c claim.Claim[T], v verdict.Verdict, bounded bool) error {
	var errs []error
	for _, o := range c.Held() {
		say := func() error { return p.WriteVerdict(ctx, o, v) }
		if !bounded {
			errs = append(errs, say())
			continue
		}
		errs = append(errs, p.Keep(ctx, c.Name, o, v.Reason, say))
	}
	return errors.Join(errs...)
}

// Overtaken tells whether a write failed because its object has changed meanwhile; the name is looked at again once the
// cache shows how.
func (p *Pass[T, S]) Overtaken(name string, err error) bool {
	if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return false
	}
	p.reconciler.Queue.Retry(p.Cluster.Key, name, CacheLag, ConfirmAfter)
	return true
}

// Release takes the finalizer off those that are being deleted.
func (p *Pass[T, S]) Release(ctx context.Context, leaving ...T) error {
	var errs []error
	for _, o := range leaving {
		if !claim.HasFinalizer(o) {
			continue
		}
		before := o.DeepCopyObject().(T)
		controllerutil.RemoveFinalizer(o, v1alpha1.Finalizer)
		if err := p.reconciler.Writer.Release(ctx, o, before); err != nil {
			errs = append(errs, fmt.Errorf("release %s %s/%s: %w", p.reconciler.Name, o.GetNamespace(), o.GetName(), err))
		}
	}
	return errors.Join(errs...)
}

// errorList collects what became of the names, from many goroutines.
type errorList struct {
	mu                       sync.Mutex
	failed, settled, planned map[string]bool
	first                    error
}

// Add says that something of a name could not be written.
func (l *errorList) Add(name string, err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = err
	}
	mark(&l.failed, name)
}

func (l *errorList) settle(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mark(&l.settled, name)
}

func (l *errorList) plan(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mark(&l.planned, name)
}

func mark(set *map[string]bool, name string) {
	if *set == nil {
		*set = map[string]bool{}
	}
	(*set)[name] = true
}
