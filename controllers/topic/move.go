package topic

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// The keys that bound the copying of throttled replicas (KIP-73), set for all brokers.
var throttleRates = []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate"}

// survey reads what moving replicas takes, and nothing where no topic of the flush asks for it.
func (p *topicPass) survey(ctx context.Context, admin kafka.Admin) (topics.Survey, error) {
	s := topics.Survey{Rate: p.rate, Now: p.Clock.Now(), HidesFenced: external.Lacks(p.Cluster.Object, kafka.FeatureFenced) != ""}
	needed, wanted := false, false
	for _, d := range p.desired {
		needed, wanted = needed || d.NeedsSurvey(p.live), wanted || d.MayBeMoved(p.live)
	}
	if !needed && !wanted {
		return s, nil
	}
	var err error
	if s.Brokers, err = admin.Brokers(ctx); err == nil {
		s.Reassigning, err = admin.Reassignments(ctx)
	}
	if batch.Unreachable(err) && needed {
		return s, err
	} else if err != nil { // it is for those to tell that ask for it
		s.Unknown = notSurveyed(err)
		return s, nil
	}
	others, err := p.othersMoving(ctx)
	for name, d := range p.desired {
		for _, r := range []topics.Record{d.Known, d.Begun} {
			if r.Moving != nil {
				others = append(others, reassigning{name, *r.Moving})
			}
		}
	}
	s.Free = topics.MaxMoving
	for _, r := range others {
		for _, partition := range r.InFlight {
			if _, under := s.Reassigning[r.topic][partition.Partition]; under { // and has not arrived
				s.Free--
			}
		}
	}
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

// reassigning is what is on record of one topic whose replicas move.
type reassigning struct {
	topic string
	v1alpha1.ReassignmentStatus
}

// othersMoving returns what is under way for topics of the cluster that this flush does not look at. They are listed once:
// a cluster has one flush at a time.
func (p *topicPass) othersMoving(ctx context.Context) ([]reassigning, error) {
	if p.others != nil {
		return p.others, nil
	}
	all, err := p.Of(ctx, p.Cluster.Key)
	if err != nil {
		return nil, err
	}
	moving := []reassigning{}
	for _, t := range all {
		name := topics.Name(t)
		if _, here := p.desired[name]; !here && t.Status.Reassignment != nil && t.Status.ClusterID == p.Cluster.Id() {
			moving = append(moving, reassigning{name, *t.Status.Reassignment})
		}
	}
	p.others = slices.Clip(moving) // whoever adds to them does so on his own
	return p.others, nil
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
		_, moves := p.changes.Move[c.Name]
		if moves && c.Holder != nil && !p.off[c.Name] && !topics.Covers(p.desired[c.Name].Known.Moving, p.outcomes[c.Name].Record.Moving) {
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
	if len(p.changes.Throttle) > 0 {
		results, err := admin.AlterTopicConfigs(ctx, p.changes.Throttle)
		if err != nil {
			return err
		}
		for name := range p.changes.Throttle {
			if results[name] != nil {
				delete(p.changes.Move, name) // nothing moves without its throttle
				p.notMoved(name, "AlterConfigs", results[name])
			}
		}
	}
	if len(p.changes.Move) == 0 {
		return nil
	}
	results, err := admin.Reassign(ctx, p.changes.Move)
	if batch.Unreachable(err) {
		return err
	}
	for name := range p.changes.Move {
		if err := cmp.Or(err, results[name]); err != nil {
			p.notMoved(name, "Alter", err)
		}
	}
	return nil
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

// limit sets the rate for all brokers while replicas copy by the operator's word, and removes it afterwards. A rate that
// somebody else has set is theirs: it holds for the operator too, and stays.
func (p *topicPass) limit(ctx context.Context, admin kafka.Admin) error {
	copying, touched := false, false
	ours := []int64{p.rate}
	for name, d := range p.desired {
		before, after := cmp.Or(d.Known.Moving, d.Begun.Moving), p.outcomes[name].Record.Moving
		if p.off[name] { // what was planned is not done
			after = d.Known.Moving
		}
		if before != nil {
			ours = append(ours, before.BytesPerSecond)
		}
		copying = copying || after != nil && after.BytesPerSecond > 0 && !d.Gone && !d.Kept
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
		ours = append(ours, r.BytesPerSecond)
		copying = copying || r.BytesPerSecond > 0
	}
	config, err := admin.BrokerConfig(ctx, kafka.AllBrokers)
	if err != nil {
		return err
	}
	var changes []kafka.ConfigChange
	for _, key := range throttleRates {
		have, set := config[key]
		rate, err := strconv.ParseInt(have, 10, 64)
		mine := err == nil && slices.Contains(ours, rate)
		switch want := strconv.FormatInt(p.rate, 10); {
		case set && !mine:
		case copying && have != want:
			changes = append(changes, kafka.ConfigChange{Key: key, Value: &want})
		case !copying && set:
			changes = append(changes, kafka.ConfigChange{Key: key})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return admin.AlterBrokerConfig(ctx, kafka.AllBrokers, changes)
}
