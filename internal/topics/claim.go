// Package topics decides what is to be done about topics: who holds a name, what has to change in Kafka, and what the
// status says of it. It is pure: no client and no clock.
package topics

import (
	"cmp"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// Name returns the name in Kafka of the topic that an object stands for.
func Name(t *v1alpha1.KafkaTopic) string { return cmp.Or(t.Spec.Name, t.Name) }

// Record is what an object's status tells about its topic in one incarnation of the cluster.
type Record struct {
	ID         kafka.TopicID // empty = nothing recorded
	Origin     v1alpha1.Origin
	ConfigKeys []string
}

// RecordOf returns what the status records for the given incarnation of the cluster; what it records for another one is
// void, for that topic went with its cluster.
func RecordOf(t *v1alpha1.KafkaTopic, clusterID string) Record {
	if t.Status.TopicID == "" || t.Status.ClusterID != clusterID {
		return Record{}
	}
	return Record{ID: kafka.TopicID(t.Status.TopicID), Origin: t.Status.Origin, ConfigKeys: t.Status.ConfigKeys}
}

// Intent is the value of the annotation by which an object says, ahead, that it creates its topic in this incarnation of
// the cluster. It names the object's UID: copied to another object, it says nothing.
func Intent(t *v1alpha1.KafkaTopic, clusterID string) string { return clusterID + " " + string(t.UID) }

func intends(t *v1alpha1.KafkaTopic, clusterID string) bool {
	return t.Annotations[v1alpha1.AnnotationCreating] == Intent(t, clusterID)
}

// Claim is every KafkaTopic that stands for one topic of one cluster.
type Claim struct {
	Name string
	// Holder is the object that the topic follows; nil when all are being deleted.
	Holder *v1alpha1.KafkaTopic
	// Losers are the other objects that are not being deleted.
	Losers []*v1alpha1.KafkaTopic
	// Leaving are those being deleted. They decide about the topic only when there is no holder.
	Leaving []*v1alpha1.KafkaTopic
	// Known is what the holder records, or else what a leaving object does: a topic is handed over, not deleted.
	Known Record
	// Intended: one of them had said that it creates the topic.
	Intended bool
}

// Sort sorts out who holds a topic: whoever has it on record, then the oldest, then the lowest UID.
func Sort(name string, objects []*v1alpha1.KafkaTopic, clusterID string) Claim {
	c := Claim{Name: name}
	sorted := slices.Clone(objects)
	slices.SortStableFunc(sorted, func(a, b *v1alpha1.KafkaTopic) int {
		return cmp.Or(
			cmp.Compare(standing(b, clusterID), standing(a, clusterID)),
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(a.UID, b.UID),
		)
	})
	for _, t := range sorted {
		switch {
		case t.DeletionTimestamp != nil:
			c.Leaving = append(c.Leaving, t)
		case c.Holder == nil:
			c.Holder = t
			continue // its own record comes before anybody else's
		default:
			c.Losers = append(c.Losers, t)
		}
	}
	claims := c.Leaving
	if c.Holder != nil {
		claims = append([]*v1alpha1.KafkaTopic{c.Holder}, claims...)
	}
	for _, t := range claims {
		if c.Known.ID == "" {
			c.Known = RecordOf(t, clusterID)
		}
		c.Intended = c.Intended || intends(t, clusterID)
	}
	return c
}

func standing(t *v1alpha1.KafkaTopic, clusterID string) int {
	switch {
	case RecordOf(t, clusterID).ID != "":
		return 2
	case intends(t, clusterID):
		return 1
	default:
		return 0
	}
}

// Policy says what becomes of a claim's topic when nobody holds it any more: Retain when any object that has the topic on
// record, or had said that it creates it, wants that.
func (c Claim) Policy(clusterID string) v1alpha1.DeletionPolicy {
	policy := v1alpha1.DeletionDelete
	for _, t := range c.Leaving {
		record := RecordOf(t, clusterID)
		if record.ID == "" && !intends(t, clusterID) {
			continue
		}
		if EffectivePolicy(t, record.Origin) == v1alpha1.DeletionRetain {
			policy = v1alpha1.DeletionRetain
		}
	}
	return policy
}

// EffectivePolicy returns the deletion policy of an object: what it says, else Delete for a topic that it created and
// Retain for one that was there before.
func EffectivePolicy(t *v1alpha1.KafkaTopic, origin v1alpha1.Origin) v1alpha1.DeletionPolicy {
	switch {
	case t.Spec.DeletionPolicy != "":
		return t.Spec.DeletionPolicy
	case origin == v1alpha1.OriginAdopted:
		return v1alpha1.DeletionRetain
	default:
		return v1alpha1.DeletionDelete
	}
}

// Living are the objects that are not being deleted, the holder first.
func (c Claim) Living() []*v1alpha1.KafkaTopic {
	if c.Holder == nil {
		return nil
	}
	return append([]*v1alpha1.KafkaTopic{c.Holder}, c.Losers...)
}
