package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/topics"
)

// topicPass is all that one flush knows of its topics.
type topicPass struct {
	*KafkaTopicReconciler
	pass[*v1alpha1.KafkaTopic, v1alpha1.KafkaTopicStatus]
	topics   []*topics.Claim
	desired  map[string]topics.Desired
	live     map[string]kafka.Topic
	changes  topics.Changes
	outcomes map[string]topics.Outcome
	others   []reassigning // see othersMoving; nil = not listed yet
	// announced are the topics of which this very flush has written that it creates them.
	announced map[string]bool
	// put off: topics that are looked at again later, with nothing to report now.
	off map[string]bool
	// unsettled: what did not go through, to be tried again.
	unsettled map[string]error
}

func newTopicPass(r *KafkaTopicReconciler, cluster hostCluster, a admission) *topicPass {
	return &topicPass{
		KafkaTopicReconciler: r, pass: newPass(&r.register, cluster, a),
		desired: map[string]topics.Desired{}, outcomes: map[string]topics.Outcome{},
		announced: map[string]bool{}, off: map[string]bool{}, unsettled: map[string]error{},
	}
}

// take adds a topic to the flush.
func (p *topicPass) take(c topics.Claim) {
	p.claims = append(p.claims, c.Claim)
	p.topics = append(p.topics, &c)
	p.desired[c.Name] = topics.DesiredOf(c, c.Policy(p.cluster.id()))
}

// change reads what is live, plans, announces and carries out. An error means that nothing is known about any topic.
func (p *topicPass) change(ctx context.Context) error {
	admin, err := p.Clusters.Admin(ctx, p.cluster.object)
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

// rehearse asks Kafka whether it would create now what it has refused before: what it refuses again is not announced, and a
// topic that cannot be created costs no write at rest.
func (p *topicPass) rehearse(ctx context.Context, admin kafka.Admin) error {
	var again []kafka.NewTopic
	for _, c := range p.topics {
		if c.Holder == nil || c.Intended || !topics.RefusedBefore(c.Holder) {
			continue
		}
		if i := slices.IndexFunc(p.changes.Create, func(t kafka.NewTopic) bool { return t.Name == c.Name }); i >= 0 {
			again = append(again, p.changes.Create[i])
		}
	}
	if len(again) == 0 {
		return nil
	}
	results, err := admin.ValidateTopics(ctx, again)
	if err != nil {
		return err
	}
	for _, t := range again {
		if err := results[t.Name]; err != nil {
			p.changes.Drop(t.Name)
			p.outcomes[t.Name] = p.notCreated(t.Name, err)
		}
	}
	return nil
}

// announce writes, before anything happens in Kafka, the finalizer and what is about to be created: one request per
// object, and none once they stand.
func (p *topicPass) announce(ctx context.Context) {
	creates := map[string]bool{}
	for _, t := range p.changes.Create {
		creates[t.Name] = true
	}
	var todo []*topics.Claim
	for _, c := range p.topics {
		if c.Holder == nil || !p.outcomes[c.Name].Found {
			continue
		}
		intent := topics.Intent(c.Holder, p.cluster.id(), c.Known.ID)
		if !controllerutil.ContainsFinalizer(c.Holder, v1alpha1.Finalizer) ||
			creates[c.Name] && c.Holder.Annotations[v1alpha1.AnnotationCreating] != intent {
			todo = append(todo, c)
		}
	}
	failed := make(map[string]error, len(todo))
	var mu sync.Mutex
	batch.Each(writers, todo, func(c *topics.Claim) {
		base := c.Holder.DeepCopy()
		controllerutil.AddFinalizer(c.Holder, v1alpha1.Finalizer)
		if creates[c.Name] {
			metav1.SetMetaDataAnnotation(&c.Holder.ObjectMeta, v1alpha1.AnnotationCreating, topics.Intent(c.Holder, p.cluster.id(), c.Known.ID))
		}
		fresh := base.Annotations[v1alpha1.AnnotationCreating] != c.Holder.Annotations[v1alpha1.AnnotationCreating]
		err := p.writer.PatchMetadata(ctx, c.Holder, base)
		mu.Lock()
		defer mu.Unlock()
		failed[c.Name], p.announced[c.Name] = err, fresh && err == nil
	})
	for _, c := range todo {
		err := failed[c.Name]
		if err == nil {
			continue
		}
		p.changes.Drop(c.Name)
		p.off[c.Name] = true
		if !p.overtaken(c.Name, err) {
			p.errs.add(c.Name, fmt.Errorf("add the finalizer to KafkaTopic %s/%s: %w", c.Holder.Namespace, c.Holder.Name, err))
		}
	}
}

func (p *topicPass) create(ctx context.Context, admin kafka.Admin) error {
	if len(p.changes.Create) == 0 {
		return nil
	}
	results, err := admin.CreateTopics(ctx, p.changes.Create)
	if err != nil {
		return err
	}
	for _, t := range p.changes.Create {
		out, result := p.outcomes[t.Name], results[t.Name]
		switch {
		case result.Err == nil && result.Topic.ID == "":
			out = topics.Outcome{Faults: []topics.Fault{*topics.NoUUIDFault(t.Name)}}
		case result.Err == nil:
			out.Record.ID, out.Topic = result.Topic.ID, result.Topic
		case errors.Is(result.Err, kafka.ErrTopicExists) && !p.announced[t.Name]:
			// Announced earlier and created then; the broker that was asked did not know yet.
			p.off[t.Name] = true
			p.queue.Retry(p.cluster.key, t.Name, confirmAfter/2, confirmAfter)
		default:
			out = p.notCreated(t.Name, result.Err)
		}
		p.outcomes[t.Name] = out
	}
	return nil
}

// notCreated is what is known of a topic that Kafka has not created, or may not have.
func (p *topicPass) notCreated(name string, err error) topics.Outcome {
	if errors.Is(err, kafka.ErrTopicExists) {
		// Somebody else was quicker between the reading and the creation, or Kafka is still deleting another of this name.
		fault := topics.ExistsFault(name)
		fault.Doubtful, fault.After, fault.AtMost = false, retryFirst, retryLimit
		return topics.Outcome{Faults: []topics.Fault{*fault}}
	}
	out := topics.Outcome{Faults: p.fault(name, "Create", err)}
	if p.unsettled[name] != nil {
		out.Record = p.desired[name].Known // it may have been created after all, in place of that one
	}
	return out
}

// letGo takes off what marks an object as the holder of its topic.
func (p *topicPass) letGo(ctx context.Context, t *v1alpha1.KafkaTopic) error {
	if _, announced := t.Annotations[v1alpha1.AnnotationCreating]; !announced && !controllerutil.ContainsFinalizer(t, v1alpha1.Finalizer) {
		return nil
	}
	base := t.DeepCopy()
	delete(t.Annotations, v1alpha1.AnnotationCreating)
	controllerutil.RemoveFinalizer(t, v1alpha1.Finalizer)
	if err := client.IgnoreNotFound(p.writer.PatchMetadata(ctx, t, base)); err != nil {
		return fmt.Errorf("take finalizer and announcement off KafkaTopic %s/%s: %w", t.Namespace, t.Name, err)
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
			out.Faults = append(out.Faults, p.fault(name, "Alter", err)...)
			p.outcomes[name] = out
		} else if len(p.desired[name].Racks) > 0 {
			p.queue.MarkAfter(p.cluster.key, confirmAfter, name) // Kafka has placed the new ones anywhere
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
			out.Faults = append(out.Faults, p.fault(name, "AlterConfigs", err)...)
			p.outcomes[name] = out
		}
	}
	return nil
}

func (p *topicPass) delete(ctx context.Context, admin kafka.Admin) error {
	if len(p.changes.Delete) == 0 {
		return nil
	}
	results, err := admin.DeleteTopics(ctx, slices.Sorted(maps.Values(p.changes.Delete)))
	if err != nil {
		return err
	}
	for name, id := range p.changes.Delete {
		if err := results[id]; err != nil && !errors.Is(err, kafka.ErrUnknownTopicID) {
			out := p.outcomes[name]
			out.Faults = append(out.Faults, p.fault(name, "Delete", err)...)
			p.outcomes[name] = out
		}
	}
	return nil
}

// fault turns what Kafka says of one topic into a fault; what may be gone at the next attempt is none and leaves the topic
// unsettled.
func (p *topicPass) fault(name, attempted string, err error) []topics.Fault {
	if f, known := topics.Explain(err, attempted, p.desired[name], p.cluster.brokers()); known {
		return []topics.Fault{f}
	}
	p.unsettled[name] = err
	return nil
}
