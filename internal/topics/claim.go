// Package topics decides what is to be done about topics: who holds a name, what has to change in Kafka, and what the
// status says of it. It is pure: no client and no clock.
package topics

import (
	"cmp"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Name returns the name in Kafka of the topic that an object stands for.
func Name(t *v1alpha1.KafkaTopic) string { return cmp.Or(t.Spec.Name, t.Name) }

// Record is what an object's status tells about its topic in one incarnation of the cluster.
type Record struct {
	ID         kafka.TopicID // empty = nothing recorded
	Origin     v1alpha1.Origin
	ConfigKeys []string
	// Moving is the reassignment that the operator has begun; nil = none.
	Moving *moves.Record
}

// RecordOf returns what the status records for the given incarnation of the cluster; what it records for another one is
// void, for that topic went with its cluster. An object that observes holds nothing, whatever it held before.
func RecordOf(t *v1alpha1.KafkaTopic, clusterID string) Record {
	if t.Status.Origin == "" || t.Status.ClusterID != clusterID || observes(t) {
		return Record{}
	}
	return Record{
		ID: kafka.TopicID(t.Status.TopicID), Origin: t.Status.Origin, ConfigKeys: t.Status.ConfigKeys,
		Moving: MovingOf(t.Status.Reassignment),
	}
}

// Intent is the value of the annotation by which an object says, ahead, that it creates its topic in this incarnation
// of the cluster. It names the object's UID: copied to another object, it says nothing. after is the topic that was
// lost and is created again, empty for the first one: once the new topic is on record, the announcement is spent. One
// of which nothing has come must be taken off, or what bears the name later would be taken for what was announced.
func Intent(t *v1alpha1.KafkaTopic, clusterID string, after kafka.TopicID) string {
	return claim.Intent(t, clusterID, string(after))
}

// Intends tells whether an object has announced that it creates its topic, in place of after if that is not empty. An
// annotation can be written by whoever may write the object. Within the cluster's own namespace that gives nobody more
// than spec.adoption does; from another one it counts only where the operator has written the same into the status.
func Intends(t *v1alpha1.KafkaTopic, clusterID string, after kafka.TopicID) bool {
	intent := Intent(t, clusterID, after)
	return !observes(t) && t.Annotations[v1alpha1.AnnotationCreating] == intent &&
		(!IsGuest(t) || t.Status.Creating == intent)
}

// IsGuest tells whether an object is from another namespace than its cluster.
func IsGuest(t *v1alpha1.KafkaTopic) bool {
	return t.Spec.ClusterRef.From(t.Namespace).Namespace != t.Namespace
}

func observes(t *v1alpha1.KafkaTopic) bool { return t.Spec.Management == v1alpha1.ManagementObserve }

// Internal tells whether a topic is one of Kafka's own, which Kafka creates when it needs it and nobody may delete.
// Other names that begin with two underscores are those of tools, and ordinary.
func Internal(name string) bool { return slices.Contains(v1alpha1.InternalTopics(), name) }

// Claim is every KafkaTopic that stands for one topic of one cluster.
type Claim struct {
	claim.Claim[*v1alpha1.KafkaTopic]
	// Known is what the holder records, or else what a leaving object does: a topic is handed over, not deleted.
	Known Record
	// Intended: one of them has said that it creates the topic, in place of the one on record if there is one.
	Intended bool

	consent Consent
}

// Consent is what a cluster lets objects do.
type Consent struct {
	// Bars says why an object may take no part; nil = it may.
	Bars func(*v1alpha1.KafkaTopic) *claim.Bar
	// Adopts tells whether an object may take over a topic that it did not create.
	Adopts func(*v1alpha1.KafkaTopic) bool
	// Counted tells whether a limit holds for how many partitions the object's namespace has; nil = for none.
	Counted func(*v1alpha1.KafkaTopic) bool
	// Grows says why an object may add no partitions to its topic; nil = it may.
	Grows func(*v1alpha1.KafkaTopic) *verdict.Verdict
}

// Sort sorts out who holds a topic.
func Sort(name string, objects []*v1alpha1.KafkaTopic, clusterID string, consent Consent) Claim {
	c := Claim{consent: consent, Claim: claim.Sort(name, objects, claim.Rules[*v1alpha1.KafkaTopic]{
		Recorded: func(t *v1alpha1.KafkaTopic) bool { return RecordOf(t, clusterID).ID != "" },
		Begun:    func(t *v1alpha1.KafkaTopic) bool { return Intends(t, clusterID, "") },
		Observes: observes,
		Bars:     consent.Bars,
	})}
	claims := c.Leaving
	if c.Holder != nil { // its own record comes before anybody else's
		claims = append([]*v1alpha1.KafkaTopic{c.Holder}, claims...)
	}
	for _, t := range claims {
		if c.Known.ID == "" {
			c.Known = RecordOf(t, clusterID)
		}
	}
	for _, t := range claims {
		c.Intended = c.Intended || Intends(t, clusterID, c.Known.ID)
	}
	return c
}

// Policy says what becomes of a claim's topic when nobody holds it any more: Retain when any object that has the
// topic on record, or had said that it creates it, wants that, or may take no part any more, or has
// adopted it and may not do so any more.
func (c Claim) Policy(clusterID string) v1alpha1.DeletionPolicy {
	policy := v1alpha1.DeletionDelete
	for _, t := range c.Leaving {
		record := RecordOf(t, clusterID)
		if record.ID == "" && !Intends(t, clusterID, "") {
			continue
		}
		if EffectivePolicy(t, record.Origin) == v1alpha1.DeletionRetain || c.consent.Bars(t) != nil ||
			record.Origin == v1alpha1.OriginAdopted && !c.consent.Adopts(t) {
			policy = v1alpha1.DeletionRetain
		}
	}
	return policy
}

// EffectivePolicy returns the deletion policy of an object: what it says, else Delete for a topic that it created and
// Retain for one that was there before. What is Kafka's own, or only observed, is always retained.
func EffectivePolicy(t *v1alpha1.KafkaTopic, origin v1alpha1.Origin) v1alpha1.DeletionPolicy {
	switch {
	case Internal(Name(t)) || observes(t):
		return v1alpha1.DeletionRetain
	case t.Spec.DeletionPolicy != "":
		return t.Spec.DeletionPolicy
	case origin == v1alpha1.OriginAdopted:
		return v1alpha1.DeletionRetain
	default:
		return v1alpha1.DeletionDelete
	}
}
