package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/topics"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// What tells an own topic from another one of its name is an announcement: an annotation that is written before the
// topic is created. It is taken off as soon as Kafka has said that it created nothing. It stays only where no answer
// came.

// mutationQuota remembers until when Kafka takes no changes of a cluster, as it has said (controller_mutation_rate).
// The zero value is ready, and safe for concurrent use.
type mutationQuota struct{ until sync.Map }

func (q *mutationQuota) hold(cluster types.NamespacedName, until time.Time) {
	q.until.Store(cluster, until)
}

func (q *mutationQuota) left(cluster types.NamespacedName, now time.Time) time.Duration {
	until, held := q.until.Load(cluster)
	if !held {
		return 0
	}
	return max(until.(time.Time).Sub(now), 0)
}

// quotaTries is how many topics a flush tries to create of those for which the quota did not suffice the last time.
const quotaTries = 50

// ration postpones topics for which Kafka's quota on changes did not suffice: until the time that Kafka has named,
// and most of them again then, as each attempt costs two writes.
func (p *pass) ration(changes topics.Changes) topics.Changes {
	left, tries := p.controller.quota.left(p.cluster.Key, p.engine.Clock.Now()), 0
	for _, t := range slices.Clone(changes.Create) { // which postpone takes from
		i := p.byName[t.Name]
		if i.claim.Holder.Status.NotCreated != v1alpha1.NotCreatedOverQuota {
			continue
		}
		if tries++; left == 0 && tries <= quotaTries {
			continue
		}
		changes = p.postpone(i, changes)
		p.engine.Queue.MarkAfter(p.cluster.Key, max(left, batch.RetryFirst), t.Name)
	}
	return changes
}

// rehearse asks Kafka whether it would create now what it has refused before. What it refuses again is not announced:
// a topic that cannot be created costs no write at rest.
func (p *pass) rehearse(ctx context.Context, admin kafka.Admin, changes topics.Changes) (topics.Changes, error) {
	var again []kafka.NewTopic
	for _, t := range changes.Create {
		if c := p.byName[t.Name].claim; !c.Intended && c.Holder.Status.NotCreated == v1alpha1.NotCreatedRefused {
			again = append(again, t)
		}
	}
	if len(again) == 0 {
		return changes, nil
	}
	results, err := admin.ValidateTopics(ctx, again)
	if err != nil {
		return changes, err
	}
	for _, t := range again {
		if err := results[t.Name]; err != nil {
			i := p.byName[t.Name]
			changes.Drop(t.Name)
			i.outcome = p.notCreated(i, err)
		}
	}
	return changes, nil
}

// announce writes, before anything happens in Kafka, the finalizer and what is about to be created: one request per
// object, and none once they stand.
func (p *pass) announce(ctx context.Context, changes topics.Changes) topics.Changes {
	type announcement struct {
		*item
		intent string // empty = only the finalizer is missing
		err    error
	}
	intents := make(map[string]string, len(changes.Create))
	for _, t := range changes.Create {
		c := p.byName[t.Name].claim
		intents[t.Name] = topics.Intent(c.Holder, p.cluster.ID(), c.Known.ID)
	}
	var todo []*announcement
	for _, i := range p.items {
		if i.claim.Holder == nil || !i.outcome.Found || i.state == postponed {
			continue
		}
		intent := intents[i.claim.Name]
		if topics.Intends(i.claim.Holder, p.cluster.ID(), i.claim.Known.ID) {
			intent = ""
		}
		if intent != "" || !claim.HasFinalizer(i.claim.Holder) {
			todo = append(todo, &announcement{item: i, intent: intent})
		}
	}
	batch.Each(batch.Writers, todo, func(a *announcement) {
		if a.err = p.flush.Announce(ctx, a.claim.Holder, a.intent); a.err == nil {
			a.err = p.recordAhead(ctx, a.item, a.intent)
		}
	})
	for _, a := range todo {
		switch {
		case a.err != nil:
			changes = p.notAnnounced(a.item, a.err, changes)
		case a.intent != "":
			a.announced = true
			p.controller.refused.Forget(a.claim.Holder.UID)
		}
	}
	return changes
}

// notAnnounced leaves a topic as it is, because its object could not be written, and says why. It returns the changes
// that are left.
func (p *pass) notAnnounced(i *item, err error, changes topics.Changes) topics.Changes {
	if p.flush.Overtaken(i.claim.Name, err) {
		return p.postpone(i, changes)
	}
	changes.Drop(i.claim.Name)
	i.outcome = topics.Outcome{Record: i.desired.Known}
	if i.exists && i.live.ID == i.desired.Known.ID {
		i.outcome.Found, i.outcome.Topic = true, i.live
	}
	i.fail(err)
	return changes
}

// recordAhead writes the announcement of a guest into its status, too.
func (p *pass) recordAhead(ctx context.Context, i *item, intent string) error {
	if intent == "" || !topics.IsGuest(i.claim.Holder) {
		return nil
	}
	next := *i.claim.Holder.Status.DeepCopy()
	next.Creating = intent
	return p.flush.RecordAhead(ctx, i.claim.Holder, next)
}

func (p *pass) create(ctx context.Context, admin kafka.Admin, changes topics.Changes) error {
	if len(changes.Create) == 0 {
		return nil
	}
	results, err := admin.CreateTopics(ctx, changes.Create)
	if err != nil {
		return err
	}
	var refused []*v1alpha1.KafkaTopic
	for _, t := range changes.Create {
		i, result := p.byName[t.Name], results[t.Name]
		switch {
		case result.Err == nil && result.Topic.ID == "":
			i.outcome = topics.Outcome{Verdicts: []verdict.Verdict{*topics.NoUUID(t.Name)}}
		case result.Err == nil:
			i.outcome.Record.ID, i.outcome.Topic = result.Topic.ID, result.Topic
		case errors.Is(result.Err, kafka.ErrTopicExists) && (i.claim.Intended || !i.announced):
			// Announced earlier and created then; the broker that was asked did not know yet.
			i.fall(postponed)
			p.engine.Queue.Retry(p.cluster.Key, t.Name, batch.ConfirmAfter/2, batch.ConfirmAfter)
		default:
			if i.outcome = p.notCreated(i, result.Err); i.state != unsettled {
				refused = append(refused, i.claim.Holder)
			}
		}
	}
	// Also when the operator is about to end: it would not know afterwards what Kafka has said.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	p.withdraw(last, refused...)
	return nil
}

// withdrawTimeout is how long announcements may take to be taken off.
const withdrawTimeout = 10 * time.Second

// notCreated is what is known of a topic that Kafka has not created, or may not have.
func (p *pass) notCreated(i *item, err error) topics.Outcome {
	if errors.Is(err, kafka.ErrTopicExists) {
		// Somebody else was quicker between the reading and the creation, or Kafka is still deleting another of this
		// name.
		exists := topics.Exists(i.desired)
		exists.Doubtful, exists.After, exists.AtMost = false, batch.RetryFirst, batch.RetryLimit
		return topics.Outcome{Verdicts: []verdict.Verdict{*exists}}
	}
	if quota, ok := errors.AsType[*kafka.Throttled](err); ok {
		p.controller.quota.hold(p.cluster.Key, p.engine.Clock.Now().Add(quota.After))
	}
	out := topics.Outcome{Verdicts: i.explain("Create", err, p.cluster.Brokers())}
	if i.state == unsettled {
		out.Record = i.desired.Known // it may have been created after all, in place of that one
	}
	return out
}

// withdraw takes announcements off of which nothing has come. It does so at once, before anything else may go wrong:
// whatever bears the name from now on is somebody else's.
func (p *pass) withdraw(ctx context.Context, refused ...*v1alpha1.KafkaTopic) {
	for _, t := range refused {
		p.controller.refused.Put(t.UID, struct{}{})
	}
	batch.Each(batch.Writers, refused, func(t *v1alpha1.KafkaTopic) {
		delete(t.Annotations, v1alpha1.AnnotationCreating)
		dropped := client.IgnoreNotFound(p.engine.Writer.DropAnnotation(ctx, t, v1alpha1.AnnotationCreating))
		err := errors.Join(dropped, p.dropRecord(ctx, t))
		if err == nil {
			p.controller.refused.Forget(t.UID)
			return
		}
		p.flush.Errs.Add(topics.Name(t),
			fmt.Errorf("take the announcement off KafkaTopic %s/%s: %w", t.Namespace, t.Name, err))
	})
}

// dropRecord takes the announcement of a guest off its status.
func (p *pass) dropRecord(ctx context.Context, t *v1alpha1.KafkaTopic) error {
	if t.Status.Creating == "" {
		return nil
	}
	next := *t.Status.DeepCopy()
	next.Creating = ""
	written := t.DeepCopy()
	if err := p.engine.Writer.PatchStatus(ctx, written, t.Status, next); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("take the announcement off the status: %w", err)
	}
	t.Status = next
	return nil
}

// outdated tells whether the announcement on a holder must go with what is about to be said of it. One that means
// nothing now would mean something once the record is gone. One of a creation that never came about is wrong when the
// topic is not to be created any more.
func outdated(c topics.Claim, out topics.Outcome) bool {
	if _, announced := c.Holder.Annotations[v1alpha1.AnnotationCreating]; !announced {
		return false
	}
	return !c.Intended && out.Record.ID == "" || c.Intended && topics.LostForGood(out)
}

// letGo takes off what marks an object as the holder of its topic.
func (p *pass) letGo(ctx context.Context, t *v1alpha1.KafkaTopic) error {
	if _, announced := t.Annotations[v1alpha1.AnnotationCreating]; !announced && !claim.HasFinalizer(t) {
		return nil
	}
	base := t.DeepCopy()
	delete(t.Annotations, v1alpha1.AnnotationCreating)
	controllerutil.RemoveFinalizer(t, v1alpha1.Finalizer)
	if err := client.IgnoreNotFound(p.engine.Writer.PatchMetadata(ctx, t, base)); err != nil {
		return fmt.Errorf("take finalizer and announcement off KafkaTopic %s/%s: %w", t.Namespace, t.Name, err)
	}
	return nil
}
