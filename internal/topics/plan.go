package topics

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// Desired is what one topic should be, and what is known of it.
type Desired struct {
	Name              string
	Partitions        int32 // 0 = as it is
	ReplicationFactor int32 // 0 = as it is
	Config            map[string]string
	// Adopt: a topic that exists already is to be taken over.
	Adopt bool
	// Known is what is on record; Intended tells that creating the topic was announced.
	Known    Record
	Intended bool
	// Gone: the topic is to be deleted, if it is the one on record or was announced.
	Gone bool
	// Kept: nobody holds the topic any more and it stays as it is.
	Kept bool
}

// DesiredOf returns what a claim asks for. policy is that of Claim.Policy and counts when nobody holds the topic.
func DesiredOf(c Claim, policy v1alpha1.DeletionPolicy) Desired {
	d := Desired{Name: c.Name, Known: c.Known, Intended: c.Intended}
	if c.Holder == nil {
		d.Gone = policy == v1alpha1.DeletionDelete
		d.Kept = !d.Gone
		return d
	}
	spec := c.Holder.Spec
	if spec.Partitions != nil {
		d.Partitions = *spec.Partitions
	}
	if spec.ReplicationFactor != nil {
		d.ReplicationFactor = *spec.ReplicationFactor
	}
	d.Config = spec.Config
	d.Adopt = c.Holder.Annotations[v1alpha1.AnnotationAdopt] == "true"
	return d
}

// NeedsLive tells whether the live topic must be read before planning: one that is kept, or deleted by its UUID, need not.
func (d Desired) NeedsLive() bool { return !d.Kept && (!d.Gone || d.Known.ID == "" && d.Intended) }

// Changes is all that is to be sent, at most one request per kind.
type Changes struct {
	Create []kafka.NewTopic
	Grow   map[string]int32
	Alter  map[string][]kafka.ConfigChange
	Delete map[string]kafka.TopicID // by name
}

// Drop takes everything about one topic out of the changes.
func (c *Changes) Drop(name string) {
	c.Create = slices.DeleteFunc(c.Create, func(t kafka.NewTopic) bool { return t.Name == name })
	delete(c.Grow, name)
	delete(c.Alter, name)
	delete(c.Delete, name)
}

// Empty tells whether nothing is to be changed.
func (c *Changes) Empty() bool { return len(c.Create)+len(c.Grow)+len(c.Alter)+len(c.Delete) == 0 }

// Outcome is what is known of one topic once the changes are carried out as planned.
type Outcome struct {
	Record Record      // for the status
	Topic  kafka.Topic // as it will be; only what is known
	// Found: a live topic was seen, or is being created.
	Found bool
	// Faults keep the topic from being as desired; those beside them are carried out all the same.
	Faults []Fault
}

// Fault is why a topic cannot be as desired until somebody changes something.
type Fault struct {
	Reason  string
	Message string // begins with the field, ends with the cure
	// Doubtful faults rest on an answer of a single broker, which may be a moment behind: they count when seen twice.
	Doubtful bool
}

// Reasons of Stalled.
const (
	ReasonShrink       = "PartitionsCannotShrink"
	ReasonUnsupported  = "NotYetSupported"
	ReasonExists       = "TopicExists"
	ReasonReplaced     = "TopicReplaced"
	ReasonLost         = "TopicLost"
	ReasonConflict     = "Conflict"
	ReasonConfig       = "InvalidConfig"
	ReasonReplication  = "InvalidReplicationFactor"
	ReasonPartitions   = "InvalidPartitions"
	ReasonName         = "InvalidName"
	ReasonPolicy       = "PolicyViolation"
	ReasonNotDeletable = "TopicDeletionDisabled"
	ReasonRefused      = "Refused"
)

// Plan compares what is desired with what is live and says what to change and what will be. Equal input gives no changes.
func Plan(desired []Desired, live map[string]kafka.Topic) (Changes, map[string]Outcome) {
	changes := Changes{Grow: map[string]int32{}, Alter: map[string][]kafka.ConfigChange{}, Delete: map[string]kafka.TopicID{}}
	outcomes := make(map[string]Outcome, len(desired))
	for _, d := range desired {
		topic, exists := live[d.Name]
		switch fault, ours := identify(d, topic, exists); {
		case d.Kept:
			outcomes[d.Name] = Outcome{Record: d.Known}
		case d.Gone:
			if id := doomed(d, topic); id != "" {
				changes.Delete[d.Name] = id
			}
			outcomes[d.Name] = Outcome{Record: d.Known}
		case fault != nil:
			outcomes[d.Name] = Outcome{Record: d.Known, Faults: []Fault{*fault}}
		case !exists:
			changes.Create = append(changes.Create, kafka.NewTopic{
				Name: d.Name, Partitions: d.Partitions, ReplicationFactor: d.ReplicationFactor, Config: d.Config,
			})
			outcomes[d.Name] = Outcome{Record: Record{Origin: v1alpha1.OriginCreated, ConfigKeys: keys(d.Config)}, Found: true}
		default:
			outcomes[d.Name] = changes.mend(d, topic, ours)
		}
	}
	return changes, outcomes
}

// doomed returns the UUID that is to be deleted; empty = there is nothing of ours.
func doomed(d Desired, topic kafka.Topic) kafka.TopicID {
	if d.Known.ID == "" && d.Intended {
		return topic.ID
	}
	return d.Known.ID
}

// identify decides whether the live topic is the one that the object stands for, and by which origin. Neither a fault nor
// a live topic means that it may be created.
func identify(d Desired, topic kafka.Topic, exists bool) (*Fault, v1alpha1.Origin) {
	switch {
	case d.Known.ID != "" && !exists:
		return &Fault{ReasonLost, fmt.Sprintf("topic %q (UUID %s) has been deleted in Kafka by somebody else, and its records with it; "+
			"delete this KafkaTopic and create it again for a new, empty topic", d.Name, d.Known.ID), true}, ""
	case d.Known.ID != "" && topic.ID != d.Known.ID:
		return &Fault{ReasonReplaced, fmt.Sprintf("topic %q has been deleted and created again by somebody else: its UUID is %s, this object's "+
			"is %s; the new topic is neither changed nor deleted. To take it over, delete this KafkaTopic and create it again with the annotation %s: \"true\"",
			d.Name, topic.ID, d.Known.ID, v1alpha1.AnnotationAdopt), true}, ""
	case d.Known.ID != "":
		return nil, d.Known.Origin
	case !exists:
		return nil, ""
	case d.Intended:
		return nil, v1alpha1.OriginCreated
	case d.Adopt:
		return nil, v1alpha1.OriginAdopted
	default:
		return ExistsFault(d.Name), ""
	}
}

// ExistsFault says that the topic is somebody else's.
func ExistsFault(name string) *Fault {
	return &Fault{ReasonExists, fmt.Sprintf("topic %q exists already and this object did not create it; to take it over as it is, annotate "+
		"this KafkaTopic with %s: \"true\", or choose another spec.name", name, v1alpha1.AnnotationAdopt), true}
}

// mend brings a live topic to what is desired, as far as that can be done.
func (c *Changes) mend(d Desired, topic kafka.Topic, origin v1alpha1.Origin) Outcome {
	out := Outcome{Record: Record{topic.ID, origin, keys(d.Config)}, Topic: topic, Found: true}
	switch {
	case d.Partitions > topic.Partitions:
		c.Grow[d.Name] = d.Partitions
		out.Topic.Partitions = d.Partitions
	case d.Partitions != 0 && d.Partitions < topic.Partitions:
		out.Faults = append(out.Faults, Fault{ReasonShrink, fmt.Sprintf("spec.partitions: topic %q has %d partitions and Kafka cannot take "+
			"any away; set spec.partitions to %d, or make a new topic", d.Name, topic.Partitions, topic.Partitions), false})
	}
	if d.ReplicationFactor != 0 && d.ReplicationFactor != topic.ReplicationFactor {
		out.Faults = append(out.Faults, Fault{ReasonUnsupported, fmt.Sprintf("spec.replicationFactor: topic %q has %d replicas, and changing "+
			"that is not supported yet; set spec.replicationFactor to %d", d.Name, topic.ReplicationFactor, topic.ReplicationFactor), false})
	}
	if alter := configChanges(d, topic.Config); len(alter) > 0 {
		c.Alter[d.Name] = alter
	}
	return out
}

// configChanges sets the keys of the spec and removes those that this object has set before and that have left the spec.
// All others are somebody else's.
func configChanges(d Desired, live map[string]string) []kafka.ConfigChange {
	var changes []kafka.ConfigChange
	for _, key := range keys(d.Config) {
		if have, set := live[key]; !set || !sameValue(d.Config[key], have) {
			value := d.Config[key]
			changes = append(changes, kafka.ConfigChange{Key: key, Value: &value})
		}
	}
	for _, key := range d.Known.ConfigKeys {
		_, wanted := d.Config[key]
		if _, set := live[key]; set && !wanted {
			changes = append(changes, kafka.ConfigChange{Key: key})
		}
	}
	return changes
}

func keys(config map[string]string) []string {
	return slices.Sorted(maps.Keys(config))
}

// text joins what keeps a topic from being as desired.
func text(faults []Fault) string {
	messages := make([]string, len(faults))
	for i, f := range faults {
		messages[i] = f.Message
	}
	return strings.Join(messages, "; ")
}
