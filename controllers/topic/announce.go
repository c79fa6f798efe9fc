package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// What tells an own topic from another one of its name is an announcement: an annotation that is written before the topic is
// created, and taken off as soon as Kafka has said that it was not. Only where no answer came does it stay.

// void remembers, by UID, on which objects an announcement stands of which nothing came, until it is off: the API server may
// be away. The zero value is ready, and safe for concurrent use.
type void struct {
	mu  sync.Mutex
	ids map[types.UID]bool
}

func (v *void) has(id types.UID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ids[id]
}

func (v *void) add(id types.UID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ids == nil {
		v.ids = map[types.UID]bool{}
	}
	v.ids[id] = true
}

func (v *void) forget(id types.UID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.ids, id)
}

// quotas remembers until when Kafka takes no changes of a cluster, as it has said. The zero value is ready, and safe for
// concurrent use.
type quotas struct{ until sync.Map }

func (q *quotas) hold(cluster types.NamespacedName, until time.Time) { q.until.Store(cluster, until) }

func (q *quotas) left(cluster types.NamespacedName, now time.Time) time.Duration {
	until, held := q.until.Load(cluster)
	if !held {
		return 0
	}
	return max(until.(time.Time).Sub(now), 0)
}

// quotaTries is how many topics a flush tries to create of those for which the quota did not suffice the last time.
const quotaTries = 50

// ration puts off topics for which Kafka's quota on changes did not suffice: until the time that Kafka has named, and most
// of them again then, as each attempt costs two writes.
func (p *topicPass) ration() {
	left, tries := p.quotas.left(p.Cluster.Key, p.Clock.Now()), 0
	for _, t := range slices.Clone(p.changes.Create) {
		if p.byName[t.Name].Holder.Status.NotCreated != v1alpha1.NotCreatedOverQuota {
			continue
		}
		if tries++; left == 0 && tries <= quotaTries {
			continue
		}
		p.changes.Drop(t.Name)
		p.off[t.Name] = true
		p.Queue.MarkAfter(p.Cluster.Key, max(left, batch.RetryFirst), t.Name)
	}
}

// rehearse asks Kafka whether it would create now what it has refused before: what it refuses again is not announced, and a
// topic that cannot be created costs no write at rest.
func (p *topicPass) rehearse(ctx context.Context, admin kafka.Admin) error {
	var again []kafka.NewTopic
	for _, t := range p.changes.Create {
		if c := p.byName[t.Name]; !c.Intended && c.Holder.Status.NotCreated == v1alpha1.NotCreatedRefused {
			again = append(again, t)
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
		if c.Holder == nil || !p.outcomes[c.Name].Found || p.off[c.Name] {
			continue
		}
		intent := topics.Intent(c.Holder, p.Cluster.Id(), c.Known.ID)
		if !controllerutil.ContainsFinalizer(c.Holder, v1alpha1.Finalizer) ||
			creates[c.Name] && c.Holder.Annotations[v1alpha1.AnnotationCreating] != intent {
			todo = append(todo, c)
		}
	}
	failed := make(map[string]error, len(todo))
	var mu sync.Mutex
	batch.Each(batch.Writers, todo, func(c *topics.Claim) {
		base := c.Holder.DeepCopy()
		controllerutil.AddFinalizer(c.Holder, v1alpha1.Finalizer)
		if creates[c.Name] {
			metav1.SetMetaDataAnnotation(&c.Holder.ObjectMeta, v1alpha1.AnnotationCreating, topics.Intent(c.Holder, p.Cluster.Id(), c.Known.ID))
		}
		fresh := base.Annotations[v1alpha1.AnnotationCreating] != c.Holder.Annotations[v1alpha1.AnnotationCreating]
		err := p.Writer.PatchMetadata(ctx, c.Holder, base)
		if err == nil && fresh {
			p.void.forget(c.Holder.UID)
		}
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
		if !p.Overtaken(c.Name, err) {
			p.Errs.Add(c.Name, fmt.Errorf("add the finalizer to KafkaTopic %s/%s: %w", c.Holder.Namespace, c.Holder.Name, err))
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
	var void []*v1alpha1.KafkaTopic
	for _, t := range p.changes.Create {
		out, result, c := p.outcomes[t.Name], results[t.Name], p.byName[t.Name]
		switch {
		case result.Err == nil && result.Topic.ID == "":
			out = topics.Outcome{Verdicts: []verdict.Verdict{*topics.NoUUID(t.Name)}}
		case result.Err == nil:
			out.Record.ID, out.Topic = result.Topic.ID, result.Topic
		case errors.Is(result.Err, kafka.ErrTopicExists) && (c.Intended || !p.announced[t.Name]):
			// Announced earlier and created then; the broker that was asked did not know yet.
			p.off[t.Name] = true
			p.Queue.Retry(p.Cluster.Key, t.Name, batch.ConfirmAfter/2, batch.ConfirmAfter)
		default:
			if out = p.notCreated(t.Name, result.Err); p.unsettled[t.Name] == nil {
				void = append(void, c.Holder)
			}
		}
		p.outcomes[t.Name] = out
	}
	// Also when the operator is about to end: it would not know afterwards what Kafka has said.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	p.withdraw(last, void...)
	return nil
}

// withdrawTimeout is how long announcements may take to be taken off.
const withdrawTimeout = 10 * time.Second

// notCreated is what is known of a topic that Kafka has not created, or may not have.
func (p *topicPass) notCreated(name string, err error) topics.Outcome {
	if errors.Is(err, kafka.ErrTopicExists) {
		// Somebody else was quicker between the reading and the creation, or Kafka is still deleting another of this name.
		exists := topics.Exists(name)
		exists.Doubtful, exists.After, exists.AtMost = false, batch.RetryFirst, batch.RetryLimit
		return topics.Outcome{Verdicts: []verdict.Verdict{*exists}}
	}
	if quota, ok := errors.AsType[*kafka.Throttled](err); ok {
		p.quotas.hold(p.Cluster.Key, p.Clock.Now().Add(quota.After))
	}
	out := topics.Outcome{Verdicts: p.explain(name, "Create", err)}
	if p.unsettled[name] != nil {
		out.Record = p.desired[name].Known // it may have been created after all, in place of that one
	}
	return out
}

// withdraw takes announcements off of which nothing has come: at once, and before anything else that may go wrong, as whatever
// bears the name from now on is somebody else's.
func (p *topicPass) withdraw(ctx context.Context, void ...*v1alpha1.KafkaTopic) {
	for _, t := range void {
		p.void.add(t.UID)
	}
	batch.Each(batch.Writers, void, func(t *v1alpha1.KafkaTopic) {
		delete(t.Annotations, v1alpha1.AnnotationCreating)
		err := client.IgnoreNotFound(p.Writer.DropAnnotation(ctx, t, v1alpha1.AnnotationCreating))
		if err == nil {
			p.void.forget(t.UID)
			return
		}
		p.Errs.Add(topics.Name(t), fmt.Errorf("take the announcement off KafkaTopic %s/%s: %w", t.Namespace, t.Name, err))
	})
}

// outdated tells whether the announcement that stands on a holder must go with what is about to be said of it: one that means
// nothing now would mean something once the record is gone, and one of a creation that never came about, of a topic that is
// not to be created any more.
func outdated(c *topics.Claim, out topics.Outcome) bool {
	if _, announced := c.Holder.Annotations[v1alpha1.AnnotationCreating]; !announced {
		return false
	}
	return !c.Intended && out.Record.ID == "" || c.Intended && topics.LostForGood(out)
}

// letGo takes off what marks an object as the holder of its topic.
func (p *topicPass) letGo(ctx context.Context, t *v1alpha1.KafkaTopic) error {
	if _, announced := t.Annotations[v1alpha1.AnnotationCreating]; !announced && !controllerutil.ContainsFinalizer(t, v1alpha1.Finalizer) {
		return nil
	}
	base := t.DeepCopy()
	delete(t.Annotations, v1alpha1.AnnotationCreating)
	controllerutil.RemoveFinalizer(t, v1alpha1.Finalizer)
	if err := client.IgnoreNotFound(p.Writer.PatchMetadata(ctx, t, base)); err != nil {
		return fmt.Errorf("take finalizer and announcement off KafkaTopic %s/%s: %w", t.Namespace, t.Name, err)
	}
	return nil
}
