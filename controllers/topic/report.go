package topic

import (
	"context"
	"errors"

	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Report writes what has come true: each object at most once, and not at all when it says so already.
func (p *topicPass) Report(ctx context.Context) ([]string, error) {
	batch.Each(batch.Writers, p.topics, func(c *topics.Claim) {
		if !p.off[c.Name] {
			p.Errs.Add(c.Name, p.settle(ctx, c))
		}
	})
	return p.Errs.Result()
}

func (p *topicPass) settle(ctx context.Context, c *topics.Claim) error {
	if err := p.unsettled[c.Name]; err != nil {
		p.Queue.Retry(p.Cluster.Key, c.Name, batch.RetryFirst, batch.RetryLimit)
	} else if !p.lookAgain(c.Name) {
		p.Queue.Settled(p.Cluster.Key, c.Name)
	}
	if err := p.settleObservers(ctx, c); err != nil {
		return err
	}
	if c.Holder == nil {
		return p.settleLeaving(ctx, c)
	}
	for _, loser := range c.Losers {
		if err := p.WriteStatus(ctx, loser, topics.ConflictStatus(loser, c.Holder, p.Clock.Now())); err != nil {
			return err
		}
	}
	out := p.outcomes[c.Name]
	if c.Frozen {
		if s := topics.SeenStatus(c.Holder); s.Reassignment != nil && len(out.Verdicts) == 0 && p.unsettled[c.Name] == nil {
			s.Reassignment = nil // the throttle is off, and what moves arrives without the operator
			if err := p.WriteStatus(ctx, c.Holder, s); err != nil {
				return err
			}
		}
		return p.Release(ctx, c.Leaving...) // they have handed it over
	}
	if p.live[c.Name].Denied != nil { // what was seen before stays in the status
		return p.WriteVerdict(ctx, c.Holder, out.Verdicts[0])
	}
	if out.Found {
		out.Health = p.health(p.Cluster.Key, c.Holder, out.Topic, out.Record.Moving != nil)
	}
	if err := p.unsettled[c.Name]; err != nil {
		return p.WriteStatus(ctx, c.Holder, topics.RetryStatus(c.Holder, out, p.Cluster.Id(), err.Error(), p.Clock.Now()))
	}
	next := topics.StatusOf(c.Holder, out, p.Cluster.Id(), p.Clock.Now())
	if !p.Says(c.Holder, next) && !p.believes(p.Cluster.Key, c.Name, out) {
		return nil
	}
	if outdated(c, out) {
		p.withdraw(ctx, c.Holder)
	}
	if err := p.WriteStatus(ctx, c.Holder, next); err != nil {
		return err
	}
	// The holder has the topic on record now: whoever had it before may go, and the topic stays.
	return p.Release(ctx, c.Leaving...)
}

// lookAgain asks for another flush of a topic, at growing intervals, where one of its verdicts says when.
func (p *topicPass) lookAgain(name string) bool {
	again := false
	for _, v := range p.outcomes[name].Verdicts {
		if v.After > 0 {
			p.Queue.Retry(p.Cluster.Key, name, v.After, v.AtMost)
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
			if err := p.WriteVerdict(ctx, t, denied); err != nil {
				return err
			}
			continue
		}
		health := p.health(p.Cluster.Key, t, topic, false)
		s := topics.ObservedStatus(t, topic, exists, health, p.Cluster.Id(), p.Clock.Now())
		if p.unsettled[c.Name] != nil || p.stuck[c.Name] {
			s.Reassignment = t.Status.Reassignment // by which its throttle is known
		}
		if err := p.WriteStatus(ctx, t, s); err != nil {
			return err
		}
	}
	return nil
}

// settleLeaving lets go of objects whose topic has been dealt with, or says why it has not been.
func (p *topicPass) settleLeaving(ctx context.Context, c *topics.Claim) error {
	verdicts := p.outcomes[c.Name].Verdicts
	if err := p.unsettled[c.Name]; err != nil {
		verdicts = []verdict.Verdict{{State: verdict.StateRetry, Reason: topics.ReasonDeleting, Cause: err.Error()}}
	}
	if len(verdicts) == 0 {
		return p.Release(ctx, c.Leaving...)
	}
	first := verdicts[0]
	if first.After == 0 && p.unsettled[c.Name] == nil {
		p.Queue.Retry(p.Cluster.Key, c.Name, batch.RetryFirst, batch.RetryLimit) // nothing else would bring it up again soon
	}
	var errs []error
	for _, t := range c.Held() {
		say := func() error { return p.WriteVerdict(ctx, t, first) }
		if first.Reason == topics.ReasonQuota { // it goes on, as fast as Kafka lets it
			errs = append(errs, say())
			continue
		}
		errs = append(errs, p.Keep(ctx, c.Name, t, first.Reason, say))
	}
	return errors.Join(errs...)
}

// free: what is to be retained stays as it is, unless a throttle has to be taken off it, and of what has never been created
// there is nothing.
func (p *topicPass) Releasable(name string) bool {
	d := p.desired[name]
	nothing := d.Known.ID == "" && !d.Intended && p.Cluster.Id() != ""
	return d.Known.Moving == nil && d.Begun.Moving == nil && (d.Kept || d.Gone && nothing)
}
