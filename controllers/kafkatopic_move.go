package controllers

import (
	"context"
	"slices"
	"strconv"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/batch"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/topics"
)

// The keys that bound the copying of throttled replicas (KIP-73), set for all brokers.
var throttleRates = []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate"}

// survey reads what moving replicas takes, and nothing where no topic of the flush asks for it.
func (p *topicPass) survey(ctx context.Context, admin kafka.Admin) (topics.Survey, error) {
	s := topics.Survey{Rate: p.rate, Now: p.Clock.Now(), HidesFenced: external.Lacks(p.cluster.object, kafka.FeatureFenced) != ""}
	needed := false
	for _, d := range p.desired {
		needed = needed || d.NeedsSurvey(p.live)
	}
	if !needed {
		return s, nil
	}
	var err error
	if s.Brokers, err = admin.Brokers(ctx); err != nil {
		return s, err
	}
	if s.Reassigning, err = admin.Reassignments(ctx); err != nil {
		return s, err
	}
	others, err := p.othersMoving(ctx)
	s.Free = topics.MaxMoving
	for _, r := range others {
		s.Free -= len(r.InFlight)
	}
	for _, d := range p.desired {
		if d.Known.Moving != nil {
			s.Free -= len(d.Known.Moving.InFlight)
		}
	}
	return s, err
}

// othersMoving returns what is under way for topics of the cluster that this flush does not look at. They are listed once:
// a cluster has one flush at a time.
func (p *topicPass) othersMoving(ctx context.Context) ([]v1alpha1.ReassignmentStatus, error) {
	if p.others != nil {
		return p.others, nil
	}
	all, err := p.of(ctx, p.cluster.key)
	if err != nil {
		return nil, err
	}
	moving := []v1alpha1.ReassignmentStatus{}
	for _, t := range all {
		if _, here := p.desired[topics.Name(t)]; !here && t.Status.Reassignment != nil && t.Status.ClusterID == p.cluster.id() {
			moving = append(moving, *t.Status.Reassignment)
		}
	}
	p.others = moving
	return moving, nil
}

// writeAhead records in the status what is about to be moved, before anything is.
func (p *topicPass) writeAhead(ctx context.Context) {
	type write struct {
		*topics.Claim
		err error
	}
	var todo []*write
	for _, c := range p.topics {
		if _, moves := p.changes.Move[c.Name]; moves && c.Holder != nil && !p.off[c.Name] {
			todo = append(todo, &write{Claim: c})
		}
	}
	batch.Each(writers, todo, func(w *write) {
		w.err = p.writeStatus(ctx, w.Holder, topics.StatusOf(w.Holder, p.outcomes[w.Name], p.cluster.id(), p.Clock.Now()))
	})
	for _, w := range todo {
		if w.err != nil {
			out := p.outcomes[w.Name]
			out.Record.Moving = p.desired[w.Name].Known.Moving
			p.outcomes[w.Name] = out
			p.changes.Drop(w.Name)
			p.off[w.Name] = true
			p.errs.add(w.Name, w.err)
		}
	}
}

// move begins and cancels reassignments under the throttle, and takes the throttle off when nothing is under way any more.
func (p *topicPass) move(ctx context.Context, admin kafka.Admin) error {
	if err := p.limit(ctx, admin); err != nil {
		return err
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
	if err != nil {
		return err
	}
	for name := range p.changes.Move {
		if results[name] != nil {
			p.notMoved(name, "Alter", results[name])
		}
	}
	return nil
}

// notMoved keeps on record what may be under way.
func (p *topicPass) notMoved(name, attempted string, err error) {
	out := p.outcomes[name]
	if out.Record.Moving == nil {
		out.Record.Moving = p.desired[name].Known.Moving
	}
	out.Faults = append(out.Faults, p.fault(name, attempted, err)...)
	p.outcomes[name] = out
}

// limit sets the rate for all brokers while replicas copy by the operator's word, and removes it afterwards. A rate that
// somebody else has set is theirs: it holds for the operator too, and stays.
func (p *topicPass) limit(ctx context.Context, admin kafka.Admin) error {
	copying, touched := false, false
	ours := []int64{p.rate}
	for name, d := range p.desired {
		before, after := d.Known.Moving, p.outcomes[name].Record.Moving
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
