package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/batch"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/topics"
)

const (
	retryFirst = time.Second
	retryLimit = time.Minute
)

// report writes what has come true: each object at most once, and not at all when it says so already.
func (p *topicPass) report(ctx context.Context) ([]string, error) {
	batch.Each(writers, p.claims, func(c *topics.Claim) {
		if !p.off[c.Name] {
			p.errs.add(c.Name, p.settle(ctx, c))
		}
	})
	return p.errs.result()
}

// bar tells those whom the cluster does not admit, and lets go of those among them that are being deleted: nothing of
// theirs is in Kafka.
func (p *topicPass) bar(ctx context.Context) {
	batch.Each(writers, p.claims, func(c *topics.Claim) {
		barred := slices.Clone(c.Barred)
		if c.Frozen {
			barred = append(barred, c.Holder)
		}
		for _, t := range barred {
			if t.DeletionTimestamp != nil {
				p.errs.add(c.Name, p.release(ctx, []*v1alpha1.KafkaTopic{t}))
				continue
			}
			s := topics.StalledStatus(t, reasonNotAdmitted, notAdmitted(p.cluster.key, t.Namespace), p.Clock.Now())
			p.errs.add(c.Name, p.writeStatus(ctx, t, s))
		}
	})
}

func (p *topicPass) settle(ctx context.Context, c *topics.Claim) error {
	if err := p.unsettled[c.Name]; err != nil {
		p.queue.Retry(p.cluster.key, c.Name, retryFirst, retryLimit)
	} else if !p.lookAgain(c.Name) {
		p.queue.Settled(p.cluster.key, c.Name)
	}
	if err := p.settleObservers(ctx, c); err != nil {
		return err
	}
	if c.Holder == nil {
		return p.settleLeaving(ctx, c)
	}
	for _, loser := range c.Losers {
		if err := p.writeStatus(ctx, loser, topics.ConflictStatus(loser, c.Holder, p.Clock.Now())); err != nil {
			return err
		}
	}
	if c.Frozen {
		return p.release(ctx, c.Leaving) // they have handed it over
	}
	out := p.outcomes[c.Name]
	if p.live[c.Name].Denied != nil { // what was seen before stays in the status
		return p.writeStatus(ctx, c.Holder, topics.WaitStatus(c.Holder, out.Faults[0].Reason, out.Faults[0].Message, p.Clock.Now()))
	}
	if out.Found {
		out.Health = p.health(p.cluster.key, c.Holder, out.Topic, out.Record.Moving != nil)
	}
	if err := p.unsettled[c.Name]; err != nil {
		return p.writeStatus(ctx, c.Holder, topics.RetryStatus(c.Holder, out, p.cluster.id(), err.Error(), p.Clock.Now()))
	}
	if !p.believes(p.cluster.key, c.Holder, out) {
		return nil
	}
	if err := p.writeStatus(ctx, c.Holder, topics.StatusOf(c.Holder, out, p.cluster.id(), p.Clock.Now())); err != nil {
		return err
	}
	// The holder has the topic on record now: whoever had it before may go, and the topic stays.
	return p.release(ctx, c.Leaving)
}

// lookAgain asks for another flush of a topic, at growing intervals, where one of its faults may pass by itself.
func (p *topicPass) lookAgain(name string) bool {
	again := false
	for _, f := range p.outcomes[name].Faults {
		if f.After > 0 {
			p.queue.Retry(p.cluster.key, name, f.After, f.AtMost)
			again = true
		}
	}
	return again
}

// settleObservers reports the topic to those who only watch it. One that has held it before lets go first.
func (p *topicPass) settleObservers(ctx context.Context, c *topics.Claim) error {
	topic, exists := p.live[c.Name]
	if out := p.outcomes[c.Name]; c.Holder != nil && out.Found && out.Topic.ID != "" {
		topic, exists = out.Topic, true
	}
	for _, t := range c.Observers {
		if err := p.letGo(ctx, t); err != nil {
			return err
		}
		if topic.Denied != nil {
			denied, _ := topics.Explain(topic.Denied, topics.MayDescribe, topics.Desired{Name: c.Name}, 0)
			if err := p.writeStatus(ctx, t, topics.WaitStatus(t, denied.Reason, denied.Message, p.Clock.Now())); err != nil {
				return err
			}
			continue
		}
		health := p.health(p.cluster.key, t, topic, false)
		if err := p.writeStatus(ctx, t, topics.ObservedStatus(t, topic, exists, health, p.cluster.id(), p.Clock.Now())); err != nil {
			return err
		}
	}
	return nil
}

// settleLeaving lets go of objects whose topic has been dealt with, or says why it has not been.
func (p *topicPass) settleLeaving(ctx context.Context, c *topics.Claim) error {
	out, now := p.outcomes[c.Name], p.Clock.Now()
	var errs []error
	switch err := p.unsettled[c.Name]; {
	case err != nil:
		for _, t := range held(c.Leaving) {
			errs = append(errs, p.writeStatus(ctx, t, topics.WaitStatus(t, topics.ReasonDeleting, err.Error(), now)))
		}
	case len(out.Faults) > 0:
		for _, t := range held(c.Leaving) {
			errs = append(errs, p.writeStatus(ctx, t, topics.StalledStatus(t, out.Faults[0].Reason, out.Faults[0].Message, now)))
		}
		p.queue.Retry(p.cluster.key, c.Name, retryFirst, retryLimit)
	default:
		errs = append(errs, p.release(ctx, c.Leaving))
	}
	return errors.Join(errs...)
}

// abandon lets go of everything whose cluster is gone or going, and tells the others.
func (p *topicPass) abandon(ctx context.Context) ([]string, error) {
	why := p.cluster.goneText()
	batch.Each(writers, p.claims, func(c *topics.Claim) {
		for _, t := range held(c.Leaving) {
			p.Events.Eventf(t, nil, corev1.EventTypeNormal, "Released", "Delete", "%s: topic %q is left to the fate of its cluster", why, c.Name)
		}
		p.errs.add(c.Name, p.release(ctx, c.Leaving))
		for _, t := range c.Living() {
			s := topics.StalledStatus(t, reasonClusterNotFound, "spec.clusterRef.name: "+why+"; create it, or delete this KafkaTopic", p.Clock.Now())
			if p.cluster.object != nil {
				s = topics.WaitStatus(t, reasonClusterNotAvailable, why, p.Clock.Now())
			}
			p.errs.add(c.Name, p.writeStatus(ctx, t, s))
		}
	})
	return p.errs.result()
}

// wait says what is waited for on every object that is not in force. One that is Ready stays so: nothing was asked of it
// that is not done.
func (p *topicPass) wait(ctx context.Context, reason, message string) ([]string, error) {
	batch.Each(writers, p.claims, func(c *topics.Claim) {
		for _, t := range append(held(c.Leaving), c.Living()...) {
			if t.DeletionTimestamp == nil && status.IsReady(t.Status.Conditions, t.Generation) || c.Frozen && t == c.Holder {
				continue
			}
			if orphaned, left := p.admission.orphaned(t, p.Clock.Now()); orphaned {
				p.errs.add(c.Name, p.leaveBehind(ctx, t))
				continue
			} else if left > 0 {
				p.queue.MarkAfter(p.cluster.key, left, c.Name)
			}
			p.errs.add(c.Name, p.writeStatus(ctx, t, topics.WaitStatus(t, reason, message, p.Clock.Now())))
		}
	})
	return p.errs.result()
}

// leaveBehind lets go of an object whose namespace goes while its cluster, in another one, does not answer, and tells those
// who own the cluster what is left there.
func (p *topicPass) leaveBehind(ctx context.Context, t *v1alpha1.KafkaTopic) error {
	if t.Status.TopicID != "" {
		p.Events.Eventf(p.cluster.object, t, corev1.EventTypeWarning, "TopicLeftBehind", "Delete", "Namespace %s goes and Kafka has not answered for %s: topic %q (UUID %s) is left",
			t.Namespace, orphanAfter, topics.Name(t), t.Status.TopicID)
	}
	return p.release(ctx, []*v1alpha1.KafkaTopic{t})
}

func (p *topicPass) writeStatus(ctx context.Context, t *v1alpha1.KafkaTopic, s v1alpha1.KafkaTopicStatus) error {
	if sameStatus(t.Status, s) {
		return nil
	}
	if err := ignoreGone(p.writer.PatchStatus(ctx, t, t.Status, s)); err != nil {
		return fmt.Errorf("write the status of KafkaTopic %s/%s: %w", t.Namespace, t.Name, err)
	}
	return nil
}

func (p *topicPass) release(ctx context.Context, leaving []*v1alpha1.KafkaTopic) error {
	var errs []error
	for _, t := range held(leaving) {
		base := t.DeepCopy()
		controllerutil.RemoveFinalizer(t, v1alpha1.Finalizer)
		if err := p.writer.Release(ctx, t, base); err != nil {
			errs = append(errs, fmt.Errorf("release KafkaTopic %s/%s: %w", t.Namespace, t.Name, err))
		}
	}
	return errors.Join(errs...)
}

// held are those that our finalizer still keeps.
func held(leaving []*v1alpha1.KafkaTopic) []*v1alpha1.KafkaTopic {
	var kept []*v1alpha1.KafkaTopic
	for _, t := range leaving {
		if controllerutil.ContainsFinalizer(t, v1alpha1.Finalizer) {
			kept = append(kept, t)
		}
	}
	return kept
}

func stalledFor(conds []metav1.Condition, reason string) bool {
	c := meta.FindStatusCondition(conds, v1alpha1.ConditionStalled)
	return c != nil && c.Status == metav1.ConditionTrue && c.Reason == reason
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
