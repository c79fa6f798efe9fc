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
)

// pass is one flush of topics.
type pass struct {
	controller *Reconciler
	engine     *engine
	flush      *flush
	cluster    batch.Host
	items      []*item
	byName     map[string]*item
	others     *moves.Ledger // see othersMoving; nil = not listed yet
	// refused are the objects on which an announcement still stands of which nothing came.
	refused []*v1alpha1.KafkaTopic
}

// take adds a topic to the flush.
func (p *pass) take(c topics.Claim) {
	i := &item{state: planned, claim: c, desired: topics.DesiredOf(c, c.Policy(p.cluster.ID()))}
	p.flush.Claims = append(p.flush.Claims, c.Claim)
	p.items, p.byName[c.Name] = append(p.items, i), i
}

func (p *pass) key(i *item) batch.Key { return batch.Key{Cluster: p.cluster.Key, Name: i.claim.Name} }

// Change reads what is live, plans, announces and carries out. Each stage hands on the changes that are left to the
// next. An error means that nothing is known about any topic.
func (p *pass) Change(ctx context.Context) error {
	p.withdraw(ctx, p.refused...)
	admin, err := p.engine.Clusters.Admin(ctx, p.cluster.Object)
	if err != nil {
		return err
	}
	live, err := p.read(ctx, admin)
	if err != nil {
		return err
	}
	survey, err := p.survey(ctx, admin, live)
	if err != nil {
		return err
	}
	affordable := p.ration(p.plan(live, survey))
	possible, err := p.rehearse(ctx, admin, affordable)
	if err != nil {
		return err
	}
	announced := p.announce(ctx, possible)
	recorded := p.writeAhead(ctx, announced)
	return p.carryOut(ctx, admin, recorded)
}

// read describes the topics of which the plan needs to know.
func (p *pass) read(ctx context.Context, admin kafka.Admin) (map[string]kafka.Topic, error) {
	var names []string
	for _, i := range p.items {
		if i.desired.NeedsLive() {
			names = append(names, i.claim.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	slices.Sort(names)
	live, err := admin.DescribeTopics(ctx, names)
	for _, i := range p.items {
		i.live, i.exists = live[i.claim.Name]
	}
	return live, err
}

// plan has internal/topics decide.
func (p *pass) plan(live map[string]kafka.Topic, survey moves.Survey) topics.Changes {
	desired := make([]topics.Desired, len(p.items))
	for n, i := range p.items {
		desired[n] = i.desired
	}
	changes, outcomes := topics.Plan(desired, live, survey)
	for _, i := range p.items {
		i.outcome = outcomes[i.claim.Name]
	}
	return changes
}

// postpone takes a topic out of the flush and returns the changes that are left.
func (p *pass) postpone(i *item, changes topics.Changes) topics.Changes {
	i.fall(postponed)
	changes.Drop(i.claim.Name)
	return changes
}

// carryOut sends the changes. Topics are created first and deleted last.
func (p *pass) carryOut(ctx context.Context, admin kafka.Admin, changes topics.Changes) error {
	type step = func(context.Context, kafka.Admin, topics.Changes) error
	for _, send := range []step{p.create, p.grow, p.alter, p.move, p.delete} {
		if err := send(ctx, admin, changes); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) grow(ctx context.Context, admin kafka.Admin, changes topics.Changes) error {
	if len(changes.Grow) == 0 {
		return nil
	}
	results, err := admin.CreatePartitions(ctx, changes.Grow)
	if err != nil {
		return err
	}
	for name := range changes.Grow {
		i := p.byName[name]
		if err := results[name]; err != nil {
			i.outcome.Topic.Partitions = i.live.Partitions
			i.refuse("Alter", err, p.cluster.Brokers())
		} else if len(i.desired.Racks) > 0 {
			p.engine.Queue.MarkAfter(p.cluster.Key, batch.ConfirmAfter, name) // Kafka has placed the new ones anywhere
		}
	}
	return nil
}

func (p *pass) alter(ctx context.Context, admin kafka.Admin, changes topics.Changes) error {
	if len(changes.Alter) == 0 {
		return nil
	}
	results, err := admin.AlterTopicConfigs(ctx, changes.Alter)
	if err != nil {
		return err
	}
	for name := range changes.Alter {
		if err := results[name]; err != nil {
			i := p.byName[name]
			i.outcome.Record.ConfigKeys, i.outcome.Topic.Config = i.desired.Known.ConfigKeys, i.live.Config
			i.refuse("AlterConfigs", err, p.cluster.Brokers())
		}
	}
	return nil
}

func (p *pass) delete(ctx context.Context, admin kafka.Admin, changes topics.Changes) error {
	if len(changes.Delete) == 0 {
		return nil
	}
	if err := p.homeStays(ctx); err != nil {
		for name := range changes.Delete {
			p.byName[name].fail(err)
		}
		return nil
	}
	results, err := admin.DeleteTopics(ctx, slices.Sorted(maps.Values(changes.Delete)))
	if err != nil {
		return err
	}
	for name, id := range changes.Delete {
		if err := results[id]; err != nil && !errors.Is(err, kafka.ErrUnknownTopicID) {
			p.byName[name].refuse("Delete", err, p.cluster.Brokers())
		}
	}
	return nil
}

var errNamespaceGoes = errors.New("the namespace of the KafkaCluster is being deleted")

// homeStays returns an error when the namespace of an external cluster is terminating, or may be. The cache may hear
// of that later than of the topics that go with it: nothing is deleted in somebody else's Kafka on their word.
func (p *pass) homeStays(ctx context.Context) error {
	if !p.cluster.Object.IsExternal() {
		return nil
	}
	goes, err := p.engine.Namespaces.Goes(ctx, p.cluster.Key.Namespace)
	if err != nil {
		return fmt.Errorf("get Namespace %s: %w", p.cluster.Key.Namespace, err)
	}
	if goes {
		return errNamespaceGoes
	}
	return nil
}
