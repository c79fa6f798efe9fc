package topic

import (
	"cmp"
	"context"
	"errors"

	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/controllers/moving"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// survey reads what moving replicas takes, and nothing where no topic of the flush asks for it.
func (p *topicPass) survey(ctx context.Context, admin kafka.Admin) (moves.Survey, error) {
	needed, wanted := false, false
	for _, d := range p.desired {
		needed, wanted = needed || d.NeedsSurvey(p.live), wanted || d.MayBeMoved(p.live)
	}
	if !needed && !wanted {
		return moves.Survey{}, nil // where nothing is a matter of moving, nothing of it is asked
	}
	s, err := p.mover.Survey(ctx, admin)
	s.Now, s.HidesFenced = p.Clock.Now(), external.Lacks(p.Cluster.Object, kafka.FeatureFenced) != ""
	if batch.Unreachable(err) && needed {
		return s, err
	} else if err != nil { // it is for those to tell that ask for it
		s.Unknown = notSurveyed(err)
		return s, nil
	}
	ledger, err := p.othersMoving(ctx)
	for name, d := range p.desired {
		for _, r := range []*moves.Record{d.Known.Moving, d.Begun.Moving} {
			if r != nil {
				ledger = append(ledger, moves.Entry{Topic: name, Record: *r})
			}
		}
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

// othersMoving returns what is on record for topics of the cluster that this flush does not look at. They are listed once:
// a cluster has one flush at a time.
func (p *topicPass) othersMoving(ctx context.Context) (moves.Ledger, error) {
	if p.others != nil {
		return *p.others, nil
	}
	all, err := p.Of(ctx, p.Cluster.Key)
	if err != nil {
		return nil, err
	}
	var others moves.Ledger
	for _, t := range all {
		name := topics.Name(t)
		if _, here := p.desired[name]; !here && t.Status.Reassignment != nil && t.Status.ClusterID == p.Cluster.Id() {
			others = append(others, moves.Entry{Topic: name, Record: *topics.MovingOf(t.Status.Reassignment)})
		}
	}
	others = others[:len(others):len(others)] // whoever appends to it gets a copy
	p.others = &others
	return others, nil
}

// writeAhead records in the status what is about to be moved, before anything is. What is on record already, because the last
// attempt came to nothing, is not written again.
func (p *topicPass) writeAhead(ctx context.Context) {
	type write struct {
		*topics.Claim
		err error
	}
	var todo []*write
	for _, c := range p.topics {
		_, begins := p.changes.Move[c.Name]
		if begins && c.Holder != nil && !p.off[c.Name] && !p.desired[c.Name].Known.Moving.Covers(p.outcomes[c.Name].Record.Moving) {
			todo = append(todo, &write{Claim: c})
		}
	}
	batch.Each(batch.Writers, todo, func(w *write) {
		w.err = p.WriteStatus(ctx, w.Holder, topics.StatusOf(w.Holder, p.outcomes[w.Name], p.Cluster.Id(), p.Clock.Now()))
	})
	for _, w := range todo {
		if w.err != nil {
			out := p.outcomes[w.Name]
			out.Record.Moving = p.desired[w.Name].Known.Moving
			p.outcomes[w.Name] = out
			p.changes.Drop(w.Name)
			p.off[w.Name] = true
			p.Errs.Add(w.Name, w.err)
		}
	}
}

// move begins and cancels reassignments under the throttle, and takes the throttle off when nothing is under way any more.
func (p *topicPass) move(ctx context.Context, admin kafka.Admin) error {
	switch err := p.limit(ctx, admin); {
	case batch.Unreachable(err):
		return err
	case err != nil:
		p.unlimited(err)
	}
	refused, err := p.mover.Carry(ctx, admin, moving.Work{Throttle: p.changes.Throttle, Moves: p.changes.Move})
	for name, r := range refused {
		p.notMoved(name, r.Attempted, r.Err)
	}
	return err
}

// unlimited drops what was to begin without the limit of the brokers, which could be neither set nor removed, and keeps on
// record what was to end.
func (p *topicPass) unlimited(err error) {
	_, denied := errors.AsType[*kafka.Denied](err)
	for name, d := range p.desired {
		switch leaves := d.Gone || d.Kept; {
		case p.changes.Move[name] == nil && d.Known.Moving == nil && p.outcomes[name].Record.Moving == nil:
			p.stuck[name] = d.Begun.Moving != nil // not the matter of whoever holds the topic now
		case !leaves:
			delete(p.changes.Move, name)
			p.notMoved(name, "AlterConfigs", err)
		case !denied: // else nobody would ever be let go
			p.unsettled[name] = err
		}
	}
}

// notMoved keeps on record what may be under way.
func (p *topicPass) notMoved(name, attempted string, err error) {
	out := p.outcomes[name]
	p.stuck[name] = true
	if out.Record.Moving == nil {
		out.Record.Moving = p.desired[name].Known.Moving
	}
	out.Verdicts = append(p.explain(name, attempted, err), out.Verdicts...) // why before what
	p.outcomes[name] = out
}

// limit has the rate of the brokers hold while replicas copy by the operator's word, and no longer.
func (p *topicPass) limit(ctx context.Context, admin kafka.Admin) error {
	l, touched := moves.Limit{Rate: p.mover.Rate}, false
	for name, d := range p.desired {
		before, after := cmp.Or(d.Known.Moving, d.Begun.Moving), p.outcomes[name].Record.Moving
		if p.off[name] { // what was planned is not done
			after = d.Known.Moving
		}
		if before != nil {
			l.Known = append(l.Known, before.BytesPerSecond)
		}
		l.Copying = l.Copying || after != nil && after.BytesPerSecond > 0 && !d.Gone && !d.Kept
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
	return p.mover.Limit(ctx, admin, l)
}
