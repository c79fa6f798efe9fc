package topic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// topicPass is all that one flush knows of its topics.
type topicPass struct {
	*Reconciler
	batch.Pass[*v1alpha1.KafkaTopic, v1alpha1.KafkaTopicStatus]
	topics   []*topics.Claim
	desired  map[string]topics.Desired
	live     map[string]kafka.Topic
	changes  topics.Changes
	outcomes map[string]topics.Outcome
	others   *moves.Ledger // see othersMoving; nil = not listed yet
	byName   map[string]*topics.Claim
	voided   []*v1alpha1.KafkaTopic // on which an announcement still stands that says nothing
	// announced are the topics of which this very flush has written that it creates them.
	announced map[string]bool
	// put off: topics that are looked at again later, with nothing to report now.
	off map[string]bool
	// stuck: of what is to move, or to be throttled no more, something was refused.
	stuck map[string]bool
	// unsettled: what did not go through, to be tried again.
	unsettled map[string]error
}

func newTopicPass(r *Reconciler, cluster batch.Host, a batch.Admission) *topicPass {
	return &topicPass{
		Reconciler: r, Pass: batch.NewPass(&r.Reconciler, cluster, a),
		byName: map[string]*topics.Claim{}, desired: map[string]topics.Desired{}, outcomes: map[string]topics.Outcome{},
		announced: map[string]bool{}, off: map[string]bool{}, stuck: map[string]bool{}, unsettled: map[string]error{},
	}
}

// take adds a topic to the flush.
func (p *topicPass) take(c topics.Claim) {
	p.Claims = append(p.Claims, c.Claim)
	p.topics, p.byName[c.Name] = append(p.topics, &c), &c
	p.desired[c.Name] = topics.DesiredOf(c, c.Policy(p.Cluster.Id()))
}

// Change reads what is live, plans, announces and carries out. An error means that nothing is known about any topic.
func (p *topicPass) Change(ctx context.Context) error {
	p.withdraw(ctx, p.voided...)
	admin, err := p.Clusters.Admin(ctx, p.Cluster.Object)
	if err != nil {
		return err
	}
	var names []string
	for name, d := range p.desired {
		if d.NeedsLive() {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		if p.live, err = admin.DescribeTopics(ctx, names); err != nil {
			return err
		}
	}
	desired := make([]topics.Desired, 0, len(p.topics))
	for _, c := range p.topics {
		desired = append(desired, p.desired[c.Name])
	}
	survey, err := p.survey(ctx, admin)
	if err != nil {
		return err
	}
	p.changes, p.outcomes = topics.Plan(desired, p.live, survey)
	p.ration()
	if err := p.rehearse(ctx, admin); err != nil {
		return err
	}
	p.announce(ctx)
	p.writeAhead(ctx)
	for _, step := range []func(context.Context, kafka.Admin) error{p.create, p.grow, p.alter, p.move, p.delete} {
		if err := step(ctx, admin); err != nil {
			return err
		}
	}
	return nil
}

func (p *topicPass) grow(ctx context.Context, admin kafka.Admin) error {
	if len(p.changes.Grow) == 0 {
		return nil
	}
	results, err := admin.CreatePartitions(ctx, p.changes.Grow)
	if err != nil {
		return err
	}
	for name := range p.changes.Grow {
		if err := results[name]; err != nil {
			out := p.outcomes[name]
			out.Topic.Partitions = p.live[name].Partitions
			out.Verdicts = append(out.Verdicts, p.explain(name, "Alter", err)...)
			p.outcomes[name] = out
		} else if len(p.desired[name].Racks) > 0 {
			p.Queue.MarkAfter(p.Cluster.Key, batch.ConfirmAfter, name) // Kafka has placed the new ones anywhere
		}
	}
	return nil
}

func (p *topicPass) alter(ctx context.Context, admin kafka.Admin) error {
	if len(p.changes.Alter) == 0 {
		return nil
	}
	results, err := admin.AlterTopicConfigs(ctx, p.changes.Alter)
	if err != nil {
		return err
	}
	for name := range p.changes.Alter {
		if err := results[name]; err != nil {
			out := p.outcomes[name]
			out.Record.ConfigKeys, out.Topic.Config = p.desired[name].Known.ConfigKeys, p.live[name].Config
			out.Verdicts = append(out.Verdicts, p.explain(name, "AlterConfigs", err)...)
			p.outcomes[name] = out
		}
	}
	return nil
}

func (p *topicPass) delete(ctx context.Context, admin kafka.Admin) error {
	if len(p.changes.Delete) == 0 || p.homeGoes(ctx) {
		return nil
	}
	results, err := admin.DeleteTopics(ctx, slices.Sorted(maps.Values(p.changes.Delete)))
	if err != nil {
		return err
	}
	for name, id := range p.changes.Delete {
		if err := results[id]; err != nil && !errors.Is(err, kafka.ErrUnknownTopicID) {
			out := p.outcomes[name]
			out.Verdicts = append(out.Verdicts, p.explain(name, "Delete", err)...)
			p.outcomes[name] = out
		}
	}
	return nil
}

// homeGoes tells whether the namespace of an external cluster goes, of which the cache may hear later than of the topics that
// go with it; they are then looked at again.
func (p *topicPass) homeGoes(ctx context.Context) bool {
	if !p.Cluster.Object.IsExternal() {
		return false
	}
	goes, err := p.Namespaces.Goes(ctx, p.Cluster.Key.Namespace)
	if err != nil {
		err = fmt.Errorf("get Namespace %s: %w", p.Cluster.Key.Namespace, err)
	} else if goes {
		err = errNamespaceGoes
	}
	if err == nil {
		return false
	}
	for name := range p.changes.Delete {
		p.unsettled[name] = err
	}
	return true
}

var errNamespaceGoes = errors.New("the namespace of the KafkaCluster is being deleted")

// explain turns what Kafka says of one topic into a verdict; what may be gone at the next attempt is none and leaves the
// topic unsettled.
func (p *topicPass) explain(name, attempted string, err error) []verdict.Verdict {
	if v, known := topics.Explain(err, attempted, p.desired[name], p.Cluster.Brokers()); known {
		return []verdict.Verdict{v}
	}
	p.unsettled[name] = err
	return nil
}
