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
	Errs       *errorList
}

// NewPass begins a flush over a cluster whose namespaces have been looked up.
func NewPass[T Object, S any](r *Reconciler[T, S], c Host, a Admission) Pass[T, S] {
	return Pass[T, S]{reconciler: r, Cluster: c, admission: a, Errs: &errorList{}}
}

// Work is the rest of a flush. An error of Change means that nothing is known about any name. Report returns the
// names that could not be written.
type Work interface {
	Change(ctx context.Context) error
	Report(ctx context.Context) (failed []string, err error)
	// Releasable tells whether the objects of a name that are being deleted can be let go of without a word to Kafka.
	Releasable(name string) bool
}

// run takes the names through the flush.
func (p *Pass[T, S]) run(ctx context.Context, names []string, work Work) ([]string, error) {
	if p.Cluster.gone() {
		return p.abandon(ctx)
	}
	p.turnAway(ctx)
	if awaited := p.Cluster.awaited(); awaited != "" {
		return p.wait(ctx, work, reasonClusterNotAvailable, awaited)
	}
	kafkaCtx, cancel := context.WithTimeout(ctx, FlushTimeout)
	defer cancel()
	if err := work.Change(kafkaCtx); err != nil {
		if ctx.Err() == nil { // else the operator itself is about to end, and knows nothing
			reason, message := unanswered(p.Cluster, err)
			if _, err := p.wait(ctx, work, reason, message); err != nil {
				return names, err
			}
		}
		return names, fmt.Errorf("%ss of KafkaCluster %s: %w", p.reconciler.Noun, p.Cluster.Key, err)
	}
	return work.Report(ctx)
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
			p.Errs.Add(c.Name, p.WriteVerdict(ctx, b.Object, b.Bar.Verdict))
		}
	})
}

// abandon lets go of everything whose cluster is gone or going, and tells the others.
func (p *Pass[T, S]) abandon(ctx context.Context) ([]string, error) {
	why := p.Cluster.goneText()
	Each(Writers, p.Claims, func(c claim.Claim[T]) {
		for _, o := range c.Held() {
			p.reconciler.Events.Eventf(o, nil, corev1.EventTypeNormal, "Released", "Delete",
				"%s: %s %q is left to the fate of its cluster", why, p.reconciler.Noun, c.Name)
		}
		p.Errs.Add(c.Name, p.Release(ctx, c.Held()...))
		for _, o := range slices.Concat(c.Living(), evicted(c)) {
			if p.Cluster.Object != nil {
				p.Errs.Add(c.Name, p.WriteWaiting(ctx, o, reasonClusterNotAvailable, why))
				continue
			}
			p.Errs.Add(c.Name, p.WriteStalled(ctx, o, reasonClusterNotFound,
				fmt.Sprintf("spec.clusterRef.name: %s; create it, or delete this %s", why, p.reconciler.Name)))
		}
	})
	return p.Errs.Result()
}

func evicted[T Object](c claim.Claim[T]) (all []T) {
	for _, o := range c.Evicted {
		all = append(all, o.Object)
	}
	return all
}

// wait says what is waited for on every object that is not in force. One that is Ready stays so: nothing was asked of
// it that is not done.
func (p *Pass[T, S]) wait(ctx context.Context, work Work, reason, message string) ([]string, error) {
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
	return p.Errs.Result()
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
func (p *Pass[T, S]) Says(o T, s S) bool { return sameStatus(*p.reconciler.Status(o), s) }

// WriteStatus writes the status of an object unless it says so already.
func (p *Pass[T, S]) WriteStatus(ctx context.Context, o T, s S) error {
	if p.Says(o, s) {
		return nil
	}
	if err := apply.IgnoreGone(p.reconciler.Writer.PatchStatus(ctx, o, *p.reconciler.Status(o), s)); err != nil {
		return fmt.Errorf("write the status of %s %s/%s: %w", p.reconciler.Name, o.GetNamespace(), o.GetName(), err)
	}
	return nil
}

// Announce writes on an object, before anything happens in Kafka, our finalizer and what is about to be put there; an
// empty intent leaves what stands there. False = it could not be written, and the name is looked at again.
func (p *Pass[T, S]) Announce(ctx context.Context, name string, o T, intent string) bool {
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
	err := p.reconciler.Writer.PatchMetadata(ctx, o, base)
	if err != nil && !p.Overtaken(name, err) {
		p.Errs.Add(name,
			fmt.Errorf("add the finalizer to %s %s/%s: %w", p.reconciler.Name, o.GetNamespace(), o.GetName(), err))
	}
	return err == nil
}

// RecordAhead writes into the status of an object, before anything happens in Kafka, what is about to be put there: the
// one proof of it that only the operator can write. False = it could not be written, and the name is looked at again.
func (p *Pass[T, S]) RecordAhead(ctx context.Context, name string, o T, s S) bool {
	err := p.reconciler.Writer.PatchStatus(ctx, o, *p.reconciler.Status(o), s)
	if err != nil && !p.Overtaken(name, err) {
		p.Errs.Add(name, fmt.Errorf("write ahead into the status of %s %s/%s: %w",
			p.reconciler.Name, o.GetNamespace(), o.GetName(), err))
	}
	return err == nil
}

// LookAgain has a name looked at again, at growing intervals, where a verdict on it says when.
func (p *Pass[T, S]) LookAgain(name string, verdicts []verdict.Verdict) {
	settled := true
	for _, v := range verdicts {
		if v.After > 0 {
			p.reconciler.Queue.Retry(p.Cluster.Key, name, v.After, v.AtMost)
			settled = false
		}
	}
	if settled {
		p.reconciler.Queue.Settled(p.Cluster.Key, name)
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

// errorList collects what failed for which name, from many goroutines.
type errorList struct {
	mu    sync.Mutex
	names map[string]bool
	errs  []error
}

func (l *errorList) Add(name string, err error) {
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

// Result names what failed, with the first of its errors.
func (l *errorList) Result() ([]string, error) {
	if len(l.errs) == 0 {
		return nil, nil
	}
	return slices.Sorted(maps.Keys(l.names)), fmt.Errorf("%d failed, the first: %w", len(l.errs), l.errs[0])
}
