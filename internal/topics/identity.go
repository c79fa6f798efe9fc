package topics

import (
	"fmt"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// doomed returns the UUID that is to be deleted; empty = there is nothing of ours.
func doomed(d Desired, topic kafka.Topic) kafka.TopicID {
	if d.Intended && topic.ID != "" {
		return topic.ID
	}
	return d.Known.ID
}

// identify decides whether the live topic is the one that the object stands for, and by which origin. Neither a fault nor
// a live topic means that it may be created.
func identify(d Desired, topic kafka.Topic, exists bool) (*Fault, v1alpha1.Origin) {
	switch {
	case exists && topic.ID == "":
		return NoUUIDFault(d.Name), ""
	case exists && topic.ID == d.Known.ID:
		return nil, d.Known.Origin
	case exists && d.Intended:
		return nil, v1alpha1.OriginCreated
	case d.Known.ID != "" && !(d.Recreate && d.LossTold):
		return lossFault(d, topic, exists), ""
	case !exists && Internal(d.Name):
		return &Fault{Reason: ReasonInternal, Passing: true, Message: fmt.Sprintf("waiting for Kafka to create its topic %q, "+
			"which it does when the topic is first needed", d.Name)}, ""
	case !exists:
		return nil, ""
	default:
		return adoptionFault(d, topic), v1alpha1.OriginAdopted
	}
}

// NoUUIDFault says why a topic without a UUID is neither changed nor deleted: it cannot be told from another one of its name.
func NoUUIDFault(name string) *Fault {
	return &Fault{Reason: ReasonNoUUID, Message: fmt.Sprintf("spec.name: topic %q has no UUID; it needs Kafka 2.8 with inter.broker.protocol.version "+
		"2.8 or newer; raise that on the brokers", name)}
}

// LostForGood tells whether the topic on record is gone and nobody wants another one in its place.
func LostForGood(out Outcome) bool {
	return len(out.Faults) > 0 && isLoss(out.Faults[0].Reason) && !out.Faults[0].Passing
}

// lossFault tells that the topic on record is not there. A loss that is to be made good is told first and acted upon when
// it has been told: what is created again was certainly gone.
func lossFault(d Desired, topic kafka.Topic, exists bool) *Fault {
	f := &Fault{Reason: ReasonLost, Doubtful: true, Passing: d.Recreate}
	what := fmt.Sprintf("topic %q (UUID %s) has been deleted in Kafka by somebody else, and its records with it", d.Name, d.Known.ID)
	cure := "; set spec.recreate to Always for a new, empty topic, or delete this KafkaTopic"
	if exists {
		f.Reason = ReasonReplaced
		what = fmt.Sprintf("topic %q has been deleted and created again by somebody else: its UUID is %s, this object's is %s; the new "+
			"topic is neither changed nor deleted", d.Name, topic.ID, d.Known.ID)
		cure = "; to take it over, set spec.recreate and spec.adoption to Always"
	}
	if d.Recreate {
		f.After, f.AtMost, cure = recreateAfter, recreateAfter, "; as spec.recreate says, the name is taken up anew"
	}
	f.Message = what + cure
	return f
}

// adoptionFault says why a topic that exists is not taken over; nil = it is.
func adoptionFault(d Desired, topic kafka.Topic) *Fault {
	switch d.Adoption {
	case v1alpha1.AdoptionAlways:
		return nil
	case v1alpha1.AdoptionIfMatching:
		differences := d.differences(topic)
		if len(differences) == 0 {
			return nil
		}
		return &Fault{Reason: ReasonExists, Doubtful: true, After: claim.TakenLook, AtMost: claim.TakenLookLimit, Message: fmt.Sprintf(
			"spec.adoption: topic %q exists already and is not what this object says: %s; make the two equal, or set spec.adoption to Always",
			d.Name, strings.Join(differences, ", "))}
	default:
		return ExistsFault(d.Name)
	}
}

// ExistsFault says that the topic is somebody else's.
func ExistsFault(name string) *Fault {
	return &Fault{Reason: ReasonExists, Doubtful: true, After: claim.TakenLook, AtMost: claim.TakenLookLimit, Message: fmt.Sprintf(
		"spec.adoption: topic %q exists already and this object did not create it; to take it over, set spec.adoption to Always (or "+
			"IfMatching), or choose another spec.name", name)}
}

// differences lists in what a live topic is not as desired.
func (d Desired) differences(topic kafka.Topic) []string {
	var all []string
	if d.Partitions != 0 && d.Partitions != topic.Partitions {
		all = append(all, fmt.Sprintf("it has %d partitions, not %d", topic.Partitions, d.Partitions))
	}
	if d.ReplicationFactor != 0 && d.ReplicationFactor != topic.ReplicationFactor {
		all = append(all, fmt.Sprintf("it has %d replicas, not %d", topic.ReplicationFactor, d.ReplicationFactor))
	}
	for _, change := range configChanges(d, nil, topic.Config) {
		have, set := topic.Config[change.Key]
		switch {
		case change.Value == nil:
			all = append(all, fmt.Sprintf("%s is set to %q", change.Key, have))
		case set:
			all = append(all, fmt.Sprintf("%s is %q, not %q", change.Key, have, *change.Value))
		default:
			all = append(all, fmt.Sprintf("%s is not set", change.Key))
		}
	}
	return all
}
