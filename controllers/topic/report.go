package topic

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Report writes what has come true: each object at most once, and not at all when it says so already.
func (p *pass) Report(ctx context.Context) {
	batch.Each(batch.Writers, p.items, func(i *item) {
		if i.state != postponed {
			p.flush.Errs.Add(i.claim.Name, p.settle(ctx, i))
		}
	})
}

func (p *pass) settle(ctx context.Context, i *item) error {
	p.flush.LookAgain(i.claim.Name, slices.Concat(i.again(), i.claim.BarredBy()))
	if err := errors.Join(p.settleObservers(ctx, i), p.settleEvicted(ctx, i)); err != nil {
		return err
	}
	if i.claim.Holder == nil {
		return p.settleLeaving(ctx, i)
	}
	for _, loser := range i.claim.Losers {
		conflict := topics.ConflictStatus(loser, i.claim.Holder, p.engine.Clock.Now())
		if err := p.flush.WriteStatus(ctx, loser, conflict); err != nil {
			return err
		}
	}
	written, err := p.settleHolder(ctx, i)
	if err != nil || !written {
		return err
	}
	// The holder has the topic on record now: whoever had it before may go, and the topic stays.
	return p.flush.Release(ctx, i.claim.Leaving...)
}

// settleHolder reports the topic to its holder. False = what is to be said is not certain yet, or not known.
func (p *pass) settleHolder(ctx context.Context, i *item) (bool, error) {
	holder, out, now := i.claim.Holder, i.outcome, p.engine.Clock.Now()
	switch {
	case i.claim.Frozen != nil:
		return true, p.settleFrozen(ctx, i)
	case i.live.Denied != nil: // what was seen before stays in the status
		return false, p.flush.WriteVerdict(ctx, holder, out.Verdicts[0])
	}
	if out.Found {
		out.Health = p.controller.healthOf(p.key(i), holder, topics.HealthOf(out.Topic, out.Record.Moving != nil))
	}
	if i.state == unsettled {
		retry := topics.RetryStatus(holder, out, p.cluster.ID(), i.failure.Error(), now)
		return false, p.flush.WriteStatus(ctx, holder, retry)
	}
	next := topics.StatusOf(holder, out, p.cluster.ID(), now)
	if !p.flush.Says(holder, next) && !p.controller.believes(p.key(i), out) {
		return false, nil
	}
	if outdated(i.claim, out) {
		p.withdraw(ctx, holder)
	}
	return true, p.flush.WriteStatus(ctx, holder, next)
}

// settleFrozen drops the record of moves from a holder that the cluster has ceased to admit, once the throttle is
// off. What moves arrives without the operator.
func (p *pass) settleFrozen(ctx context.Context, i *item) error {
	s := topics.SeenStatus(i.claim.Holder)
	if s.Reassignment == nil || len(i.outcome.Verdicts) > 0 || i.state == unsettled {
		return nil
	}
	s.Reassignment = nil
	return p.flush.WriteStatus(ctx, i.claim.Holder, s)
}

// settleEvicted takes the record off objects that may not have their topic any more, once no throttle of theirs is on
// it, and tells them and the cluster's owner.
func (p *pass) settleEvicted(ctx context.Context, i *item) error {
	if i.state == unsettled || i.state == stuck {
		return nil
	}
	for _, e := range i.claim.Evicted {
		t := e.Object
		if err := p.flush.WriteStatus(ctx, t, topics.EvictedStatus(t, e.Bar.Verdict, p.engine.Clock.Now())); err != nil {
			return err
		}
		p.engine.Events.Eventf(p.cluster.Object, t, corev1.EventTypeNormal, "TopicLetGo", "Evict",
			"KafkaTopic %s/%s has lost topic %q, which stays in Kafka and has no holder: %s",
			t.Namespace, t.Name, i.claim.Name, e.Bar.Cause)
	}
	return nil
}

// settleObservers reports the topic to those who only watch it. One that has held it before lets go first.
func (p *pass) settleObservers(ctx context.Context, i *item) error {
	topic, exists := i.live, i.exists
	if i.claim.Holder != nil && i.outcome.Found && i.outcome.Topic.ID != "" {
		topic, exists = i.outcome.Topic, true
	}
	for _, t := range i.claim.Observers {
		if err := p.letGo(ctx, t); err != nil {
			return err
		}
		if topic.Denied != nil {
			denied, _ := topics.Explain(topic.Denied, topics.MayDescribe, topics.Desired{Name: i.claim.Name}, 0)
			if err := p.flush.WriteVerdict(ctx, t, denied); err != nil {
				return err
			}
			continue
		}
		health := p.controller.healthOf(p.key(i), t, topics.HealthOf(topic, false))
		s := topics.ObservedStatus(t, topic, exists, health, p.cluster.ID(), p.engine.Clock.Now())
		if i.state == unsettled || i.state == stuck {
			s.Reassignment = t.Status.Reassignment // by which its throttle is known
		}
		if err := p.flush.WriteStatus(ctx, t, s); err != nil {
			return err
		}
	}
	return nil
}

// settleLeaving lets go of objects whose topic has been dealt with, or says why it has not been.
func (p *pass) settleLeaving(ctx context.Context, i *item) error {
	verdicts := i.outcome.Verdicts
	if i.state == unsettled {
		retry := verdict.Retry(i.failure, 0, 0) // the queue knows when
		retry.Reason = topics.ReasonDeleting
		verdicts = []verdict.Verdict{retry}
	}
	if len(verdicts) == 0 {
		return p.flush.Release(ctx, i.claim.Leaving...)
	}
	first := verdicts[0]
	if first.After == 0 && i.state != unsettled { // nothing else would bring it up again soon
		p.engine.Queue.Retry(p.cluster.Key, i.claim.Name, batch.RetryFirst, batch.RetryLimit)
	}
	bounded := first.Reason != topics.ReasonQuota // with a quota it goes on, as fast as Kafka lets it
	return p.flush.KeepLeaving(ctx, i.claim.Claim, first, bounded)
}

// Releasable: what is to be retained stays as it is, unless a throttle has to be taken off it. What has never been
// created is not there.
func (p *pass) Releasable(name string) bool {
	d := p.byName[name].desired
	neverCreated := d.Known.ID == "" && !d.Intended && p.cluster.ID() != ""
	return d.Known.Moving == nil && d.Begun.Moving == nil && (d.Kept || d.Gone && neverCreated)
}
