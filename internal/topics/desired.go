package topics

import (
	"maps"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

// Desired is what one topic should be, and what is known of it.
type Desired struct {
	Name              string
	Partitions        int32            // 0 = as it is
	NoRoom            *verdict.Verdict // why partitions may not be added; nil = they may
	ReplicationFactor int32            // 0 = as it is
	Racks             []string         // that hold the replicas; none = any
	Config            map[string]string
	// Exact: keys that others have set are removed.
	Exact bool
	// Adoption says whether a topic that exists already is to be taken over.
	Adoption v1alpha1.Adoption
	// NoConsent is the namespace of an object that may adopt nothing, whatever it says; empty = it may.
	NoConsent string
	// Counted: a limit holds for how many partitions its namespace has, and those that the spec asks for are counted.
	Counted bool
	// Recreate: a topic that was lost is to be created again. LossTold: the status tells of the loss already.
	Recreate, LossTold bool
	// Known is what is on record; Intended tells that creating the topic, in place of that one, was announced.
	Known    Record
	Intended bool
	// Begun is what somebody had begun to move who holds the topic no more, or has been evicted: the throttle is to be
	// taken off.
	Begun Record
	// Observed: somebody wants to know of the live topic.
	Observed bool
	// Gone: the topic is to be deleted, if it is the one on record or was announced.
	Gone bool
	// Kept: nobody holds the topic any more, or the holder may do nothing: it stays as it is.
	Kept bool
}

// DesiredOf returns what a claim asks for. policy is that of Claim.Policy and counts when nobody holds the topic.
func DesiredOf(c Claim, policy v1alpha1.DeletionPolicy) Desired {
	d := Desired{Name: c.Name, Known: c.Known, Intended: c.Intended, Observed: len(c.Observers) > 0}
	d.Begun = begun(slices.Concat(c.Observers, c.Leaving))
	for _, e := range c.Evicted {
		if d.Begun.Moving == nil {
			d.Begun = RecordOf(e.Object, e.Object.Status.ClusterID)
		}
	}
	if c.Holder == nil {
		d.Gone = policy == v1alpha1.DeletionDelete && len(c.Leaving) > 0
		d.Kept = !d.Gone
		return d
	}
	if c.Frozen != nil {
		d.Kept = true
		return d
	}
	spec := c.Holder.Spec
	if spec.Partitions != nil {
		d.Partitions = *spec.Partitions
	}
	d.NoRoom = c.consent.Grows(c.Holder)
	d.Counted = c.consent.Counted != nil && c.consent.Counted(c.Holder)
	if spec.ReplicationFactor != nil {
		d.ReplicationFactor = *spec.ReplicationFactor
	}
	if spec.Placement != nil {
		d.Racks = spec.Placement.Racks
	}
	d.Config, d.Exact = spelt(spec.Config), spec.ConfigPolicy == v1alpha1.ConfigExact
	d.Adoption = spec.Adoption
	if !c.consent.Adopts(c.Holder) {
		d.Adoption, d.NoConsent = v1alpha1.AdoptionNever, c.Holder.Namespace
	}
	// Kafka creates its own topics again by itself; whether the new one is cared for is a matter of adoption.
	d.Recreate = spec.Recreate == v1alpha1.RecreateAlways || Internal(c.Name)
	status := c.Holder.Status
	told := status.NotCreated == v1alpha1.NotCreatedLost && kafka.TopicID(status.TopicID) == c.Known.ID
	d.LossTold = c.Known.ID != "" && (told || c.Intended) // what takes its place is announced after the loss was told
	return d
}

// begun returns what one that only observes had begun to move when it still held the topic.
func begun(objects []*v1alpha1.KafkaTopic) Record {
	for _, t := range objects {
		if observes(t) && t.Status.Reassignment != nil {
			return Record{ID: kafka.TopicID(t.Status.TopicID), Moving: MovingOf(t.Status.Reassignment)}
		}
	}
	return Record{}
}

// spelt returns a configuration as it is sent.
func spelt(config map[string]string) map[string]string {
	all := maps.Clone(config)
	for key, value := range all {
		all[key] = version.SpeltOnTopic(key, value)
	}
	return all
}

func isLoss(reason string) bool { return reason == ReasonLost || reason == ReasonReplaced }

// asksForReplicas tells whether the spec says how many replicas there shall be, or where.
func (d Desired) asksForReplicas() bool { return d.ReplicationFactor != 0 || len(d.Racks) > 0 }

func (d Desired) placement() moves.Placement {
	return moves.Placement{
		Factor: int(d.ReplicationFactor), Racks: d.Racks,
		Fields: moves.Fields{Factor: "spec.replicationFactor", Placement: "spec.placement", Racks: "spec.placement.racks"},
	}
}

// NeedsSurvey tells whether brokers and reassignments must be read before planning: where replicas are to be placed,
// are not as they shall be, or are on their way.
func (d Desired) NeedsSurvey(live map[string]kafka.Topic) bool {
	topic, exists := live[d.Name]
	if d.Kept || d.Gone {
		return false
	}
	return len(d.Racks) > 0 || exists && d.moves(topic)
}

// MayBeMoved tells whether reassignments are better read before planning: the replicas that somebody else's adds and
// takes away are among those of the topic, which can then be as many as asked for by chance; some of them are not in
// sync.
func (d Desired) MayBeMoved(live map[string]kafka.Topic) bool {
	return d.ReplicationFactor != 0 && !d.Kept && !d.Gone && live[d.Name].UnderReplicated > 0
}

// moves tells whether a live topic's replicas are, or have been, a matter of moving.
func (d Desired) moves(topic kafka.Topic) bool {
	if d.Known.Moving != nil || len(d.Racks) > 0 {
		return true
	}
	return d.ReplicationFactor != 0 && slices.ContainsFunc(topic.Replicas, func(replicas []int32) bool {
		return len(replicas) != int(d.ReplicationFactor)
	})
}

// NeedsLive tells whether the live topic must be read before planning: one that is kept, or deleted by its UUID, need
// not.
func (d Desired) NeedsLive() bool {
	return d.Observed || d.Known.Moving != nil || d.Begun.Moving != nil || !d.Kept && (!d.Gone || d.Intended)
}
