package topic

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/controllers/moving"
	"github.com/castellan-dev/castellan/internal/course"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// mover moves replicas under the limit that the KafkaCluster asks for, or that of the operator.
func (p *pass) mover() moving.Mover {
	if b := p.cluster.Object.Spec.Balancing; b != nil && b.BytesPerSecondPerBroker != nil {
		return moving.Mover{Rate: *b.BytesPerSecondPerBroker}
	}
	return p.controller.mover
}

// survey reads what moving replicas takes, and nothing where no topic of the flush asks for it.
func (p *pass) survey(ctx context.Context, admin kafka.Admin, live map[string]kafka.Topic) (moves.Survey, error) {
	needed, wanted := false, false
	for _, i := range p.items {
		needed, wanted = needed || i.desired.NeedsSurvey(live), wanted || i.desired.MayBeMoved(live)
	}
	if !needed && !wanted {
		return moves.Survey{}, nil
	}
	s, err := p.mover().Survey(ctx, admin)
	s.Now, s.HidesFenced = p.engine.Clock.Now(), external.Lacks(p.cluster.Object, kafka.FeatureFenced) != ""
	if kafka.Unreachable(err) && needed {
		return s, err
	} else if err != nil { // it is for those to tell that ask for it
		s.Unknown = notSurveyed(err)
		return s, nil
	}
	others, err := p.othersMoving(ctx)
	ledger := slices.Clone(others)
	s.Others = course.Ledger(p.cluster.Object.Status.Balancing)
	for _, i := range p.items {
		ledger = append(ledger, i.begun()...)
	}
	s.Grant(ledger)
	return s, err
}

// notSurveyed says why the operator cannot move replicas, of whichever topic.
func notSurveyed(err error) *verdict.Verdict {
	v, known := topics.Explain(err, "Describe", topics.Desired{}, 0)
	if !known {
		v = verdict.Retry(err, batch.RetryFirst, batch.RetryLimit)
	}
	return &v
}

// othersMoving returns what is on record for topics of the cluster that this flush does not look at. They are listed
// once: a cluster has one flush at a time.
func (p *pass) othersMoving(ctx context.Context) (moves.Ledger, error) {
	if p.others != nil {
		return *p.others, nil
	}
	all, err := p.engine.Of(ctx, p.cluster.Key)
	if err != nil {
		return nil, err
	}
	others := course.Ledger(p.cluster.Object.Status.Balancing)
	for _, t := range all {
		name := topics.Name(t)
		if p.byName[name] == nil && t.Status.Reassignment != nil && t.Status.ClusterID == p.cluster.ID() {
			others = append(others, moves.Entry{Topic: name, Record: *topics.MovingOf(t.Status.Reassignment)})
		}
	}
	p.others = &others
	return others, nil
}

// writeAhead records in the status what is about to be moved, before anything is. What is on record already, because
// the last attempt came to nothing, is not written again.
func (p *pass) writeAhead(ctx context.Context, changes topics.Changes) topics.Changes {
	type record struct {
		*item
		err error
	}
	var todo []*record
	for _, i := range p.items {
		begins := len(changes.Move[i.claim.Name]) > 0 && i.claim.Holder != nil && i.state != postponed
		if begins && !i.desired.Known.Moving.Covers(i.outcome.Record.Moving) {
			todo = append(todo, &record{item: i})
		}
	}
	batch.Each(batch.Writers, todo, func(r *record) {
		next := topics.StatusOf(r.claim.Holder, r.outcome, p.cluster.ID(), p.engine.Clock.Now())
		r.err = p.flush.WriteStatus(ctx, r.claim.Holder, next)
	})
	for _, r := range todo {
		if r.err != nil {
			r.outcome.Record.Moving = r.desired.Known.Moving
			changes = p.postpone(r.item, changes)
			p.flush.Errs.Add(r.claim.Name, r.err)
		}
	}
	return changes
}

// move begins and cancels reassignments under the throttle, and takes the throttle off when nothing is under way any
// more.
func (p *pass) move(ctx context.Context, admin kafka.Admin, changes topics.Changes) error {
	work := moving.Work{Throttle: changes.Throttle, Moves: changes.Move}
	switch err := p.limit(ctx, admin); {
	case kafka.Unreachable(err):
		return err
	case err != nil:
		work.Moves = p.unlimited(err, changes.Move)
	}
	refused, err := p.controller.mover.Carry(ctx, admin, work)
	for name, r := range refused {
		p.byName[name].notMoved(r.Attempted, r.Err, p.cluster.Brokers())
	}
	return err
}

// unlimited returns the moves that go on although the limit of the brokers could be neither set nor removed: nothing
// begins without it. It keeps on record what was to end.
func (p *pass) unlimited(err error, all map[string][]kafka.Move) map[string][]kafka.Move {
	_, denied := errors.AsType[*kafka.Denied](err)
	left := maps.Clone(all)
	for _, i := range p.items {
		switch leaves := i.desired.Gone || i.desired.Kept; {
		case len(all[i.claim.Name]) == 0 && i.desired.Known.Moving == nil && i.outcome.Record.Moving == nil:
			if i.desired.Begun.Moving != nil { // not the matter of whoever holds the topic now
				i.fall(stuck)
			}
		case !leaves:
			delete(left, i.claim.Name)
			i.notMoved("AlterConfigs", err, p.cluster.Brokers())
		case !denied: // else nobody would ever be let go
			i.fail(err)
		}
	}
	return left
}

// limit has the rate of the brokers hold while replicas copy by the operator's word, and no longer.
func (p *pass) limit(ctx context.Context, admin kafka.Admin) error {
	l, touched := moves.Limit{
		Rate: p.mover().Rate, Shifting: course.Shifts(p.cluster.Object.Status.Balancing),
	}, false
	for _, i := range p.items {
		before, after := cmp.Or(i.desired.Known.Moving, i.desired.Begun.Moving), i.outcome.Record.Moving
		if i.state == postponed { // what was planned is not done
			after = i.desired.Known.Moving
		}
		if before != nil {
			l.Known = append(l.Known, before.BytesPerSecond)
		}
		l.Copying = l.Copying || after != nil && after.BytesPerSecond > 0 && !i.desired.Gone && !i.desired.Kept
		touched = touched || before != nil || after != nil
	}
	if !touched {
		return nil
	}
	others, err := p.othersMoving(ctx)
	if err != nil {
		return err
	}
	for _, r := range others {
		l.Add(r.Record)
	}
	return p.mover().Limit(ctx, admin, l)
}
