package topics

import (
	"fmt"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// doomed returns the UUID that is to be deleted; empty = there is nothing of ours.
func doomed(d Desired, topic kafka.Topic) kafka.TopicID {
	if d.Intended && topic.ID != "" {
		return topic.ID
	}
	return d.Known.ID
}

// identify decides whether the live topic is the one that the object stands for, and by which origin. Where there is
// neither a verdict nor a live topic, the topic may be created.
func identify(d Desired, topic kafka.Topic, exists bool) (*verdict.Verdict, v1alpha1.Origin) {
	switch {
	case exists && topic.ID == "":
		return NoUUID(d.Name), ""
	case exists && topic.ID == d.Known.ID:
		return nil, d.Known.Origin
	case exists && d.Intended:
		return nil, v1alpha1.OriginCreated
	case d.Known.ID != "" && !(d.Recreate && d.LossTold):
		return loss(d, topic, exists), ""
	case !exists && Internal(d.Name):
		awaited := verdict.Waiting(ReasonInternal, "", 0, 0,
			"waiting for Kafka to create its topic %q, which it does when the topic is first needed", d.Name)
		return &awaited, ""
	case !exists:
		return nil, ""
	default:
		return notAdopted(d, topic), v1alpha1.OriginAdopted
	}
}

// NoUUID says why a topic without a UUID is neither changed nor deleted: it cannot be told from another one of its
// name.
func NoUUID(name string) *verdict.Verdict {
	v := verdict.Stalled(ReasonNoUUID, "spec.name", "topic %q has no UUID; it needs Kafka 2.8 with "+
		"inter.broker.protocol.version 2.8 or newer; raise that on the brokers", name)
	return &v
}

// LostForGood tells whether the topic on record is gone and nobody wants another one in its place.
func LostForGood(out Outcome) bool {
	return len(out.Verdicts) > 0 && isLoss(out.Verdicts[0].Reason) && !out.Verdicts[0].Passes()
}

// loss tells that the topic on record is not there. A loss that is to be made good is told first and acted upon when
// it has been told: what is created again was certainly gone.
func loss(d Desired, topic kafka.Topic, exists bool) *verdict.Verdict {
	v := verdict.Verdict{Reason: ReasonLost, Doubtful: true,
		Cause: fmt.Sprintf("topic %q (UUID %s) has been deleted in Kafka by somebody else, and its records with it",
			d.Name, d.Known.ID),
		Cure: "set spec.recreate to Always for a new, empty topic, or delete this KafkaTopic",
	}
	if exists {
		v.Reason = ReasonReplaced
		v.Cause = fmt.Sprintf("topic %q has been deleted and created again by somebody else: its UUID is %s, this object's "+
			"is %s; the new topic is neither changed nor deleted", d.Name, topic.ID, d.Known.ID)
		v.Cure = "to take it over, set spec.recreate and spec.adoption to Always"
		if d.NoConsent != "" {
			v.Cure = "delete this KafkaTopic, or " + askForAdoption
		}
	}
	if d.Recreate {
		v.State, v.After, v.AtMost = verdict.StateWaiting, recreateAfter, recreateAfter
		v.Cure = "as spec.recreate says, the name is taken up anew"
	}
	return &v
}

// notAdopted says why a topic that exists is not taken over; nil = it is.
func notAdopted(d Desired, topic kafka.Topic) *verdict.Verdict {
	switch d.Adoption {
	case v1alpha1.AdoptionAlways:
		if d.Counted && topic.Partitions > d.Partitions { // those beyond what is asked for would count nowhere
			v := verdict.Stalled(claim.ReasonLimit, "spec.partitions",
				"topic %q has %d partitions, all of which count against spec.access.limits.partitions of the KafkaCluster, and "+
					"this object asks for fewer; set spec.partitions to %d", d.Name, topic.Partitions, topic.Partitions)
			v.Doubtful, v.After, v.AtMost = true, claim.TakenLook, claim.TakenLookLimit
			return &v
		}
		return nil
	case v1alpha1.AdoptionIfMatching:
		differences := d.differences(topic)
		if len(differences) == 0 {
			return nil
		}
		return taken("topic %q exists already and is not what this object says: %s; make the two equal, or set "+
			"spec.adoption to Always", d.Name, strings.Join(differences, ", "))
	default:
		return Exists(d)
	}
}

const askForAdoption = "ask whoever owns the KafkaCluster for the permission Adopt, in its spec.access.grants"

// Exists says that the topic is somebody else's.
func Exists(d Desired) *verdict.Verdict {
	if d.NoConsent != "" {
		return taken("topic %q exists already and this object did not create it, and namespace %q may not take it over; "+
			"choose another spec.name, or %s", d.Name, d.NoConsent, askForAdoption)
	}
	return taken("topic %q exists already and this object did not create it; to take it over, set spec.adoption to "+
		"Always (or IfMatching), or choose another spec.name", d.Name)
}

// taken is the verdict on a name that somebody else's topic has, for as long as that topic is there.
func taken(format string, args ...any) *verdict.Verdict {
	v := verdict.Stalled(ReasonExists, "spec.adoption", format, args...)
	v.Doubtful, v.After, v.AtMost = true, claim.TakenLook, claim.TakenLookLimit
	return &v
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
