package topics

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Reasons of Ready and Reconciling.
const (
	ReasonInForce  = "InForce"
	ReasonObserved = "Observed"
	ReasonNotFound = "TopicNotFound"
	ReasonRetrying = verdict.ReasonRetrying
	ReasonDeleting = "Deleting"
)

// ReasonMinISR is a reason of Warning.
const ReasonMinISR = "MinISRAboveReplicationFactor"

// StatusOf returns the status of a claim's holder for an outcome that has come true.
func StatusOf(t *v1alpha1.KafkaTopic, out Outcome, clusterID string, now time.Time) v1alpha1.KafkaTopicStatus {
	s := SeenStatus(t)
	record(&s, t, out, clusterID)
	s.NotCreated = notCreated(out)
	if out.Found && out.Record.ID != "" {
		s.Creating = "" // it has come about
	}
	warn(&s, t, now)
	switch v := verdict.Gravest(out.Verdicts); {
	case v == nil:
		status.Ready(&s.Conditions, t.Generation, ReasonInForce, size(out.Topic), now)
	case v.Passes():
		status.Reconciling(&s.Conditions, t.Generation, v.Reason, verdict.Texts(out.Verdicts), now)
	default:
		status.Stalled(&s.Conditions, t.Generation, v.Reason, verdict.Texts(out.Verdicts), now)
	}
	return s
}

// notCreated is what the next look has to know of a topic that is not there.
func notCreated(out Outcome) v1alpha1.NotCreated {
	v := verdict.Gravest(out.Verdicts)
	switch {
	case out.Found || v == nil:
		return ""
	case isLoss(v.Reason):
		return v1alpha1.NotCreatedLost
	case v.Reason == ReasonQuota:
		return v1alpha1.NotCreatedOverQuota
	case slices.Contains(refusals, v.Reason):
		return v1alpha1.NotCreatedRefused
	}
	return ""
}

// refusals are the reasons of a verdict that Kafka will give again unless spec, brokers or permissions change.
var refusals = []string{
	ReasonExists, ReasonConfig, ReasonReplication, ReasonPartitions, ReasonName, ReasonPolicy, ReasonDenied, ReasonRefused,
}

const minISR = "min.insync.replicas"

// warn tells of configuration that Kafka accepts and that works only while all goes well: where a topic has fewer
// replicas than its min.insync.replicas, Kafka asks for all of them. Seen so on 3.9 and 4.3; 2.8 refuses every write.
// It tells of annotations, too, that nobody will ever act upon.
func warn(s *v1alpha1.KafkaTopicStatus, t *v1alpha1.KafkaTopic, now time.Time) {
	reason, message := claim.ReasonUnknownAnnotation, claim.UnknownAnnotations("KafkaTopic", t)
	if floor, err := strconv.Atoi(trimmed(s.Config[minISR])); err == nil && int32(floor) > s.ReplicationFactor {
		said := fmt.Sprintf("%s is %d and the topic has %s: every write with acks=all is refused as soon as one of them "+
			"is away (by Kafka of old at all times); lower the one or raise spec.replicationFactor",
			minISR, floor, verdict.Counted(int(s.ReplicationFactor), "replica"))
		if message != "" {
			said += "; " + message
		}
		reason, message = ReasonMinISR, said
	}
	claim.Warn(&s.Conditions, t, reason, message, now)
}

// ObservedStatus returns the status of an object that only reports its topic.
func ObservedStatus(
	t *v1alpha1.KafkaTopic, topic kafka.Topic, exists bool, health v1alpha1.TopicHealth, clusterID string, now time.Time,
) v1alpha1.KafkaTopicStatus {
	s := SeenStatus(t)
	s.Reassignment, s.NotCreated, s.Creating = nil, "", ""
	if !exists {
		status.Reconciling(&s.Conditions, t.Generation, ReasonNotFound,
			fmt.Sprintf("there is no topic %q; it is reported once it is there", Name(t)), now)
		return s
	}
	if s.TopicID != string(topic.ID) || s.ClusterID != clusterID {
		s.Origin, s.ConfigKeys = "", nil // what was recorded of the topic before says nothing of this one
	}
	s.TopicID, s.ClusterID, s.DeletionPolicy = string(topic.ID), clusterID, v1alpha1.DeletionRetain
	s.Partitions, s.ReplicationFactor = topic.Partitions, topic.ReplicationFactor
	s.Config = reported(topic.Config, s.Config)
	tellHealth(&s, topic, health)
	warn(&s, t, now)
	status.Ready(&s.Conditions, t.Generation, ReasonObserved, size(topic), now)
	return s
}

// size says how large a topic is.
func size(t kafka.Topic) string {
	return verdict.Counted(int(t.Partitions), "partition") + ", " + verdict.Counted(int(t.ReplicationFactor), "replica")
}

// RetryStatus returns the status of a holder whose change did not go through this time.
func RetryStatus(
	t *v1alpha1.KafkaTopic, out Outcome, clusterID, message string, now time.Time,
) v1alpha1.KafkaTopicStatus {
	s := SeenStatus(t)
	record(&s, t, out, clusterID)
	if out.Found {
		s.NotCreated = ""
	}
	status.Reconciling(&s.Conditions, t.Generation, ReasonRetrying, message, now)
	return s
}

// SeenStatus returns the status of an object for the spec as it is now. What it records stays, and what is to be said
// is still to be put in.
func SeenStatus(t *v1alpha1.KafkaTopic) v1alpha1.KafkaTopicStatus {
	s := *t.Status.DeepCopy()
	s.ObservedGeneration, s.Name = t.Generation, Name(t)
	return s
}

// ConflictStatus returns the status of an object whose topic another one holds. It records nothing of the topic, so
// that deleting it touches nothing.
func ConflictStatus(t, holder *v1alpha1.KafkaTopic, now time.Time) v1alpha1.KafkaTopicStatus {
	s := v1alpha1.KafkaTopicStatus{
		Conditions: t.DeepCopy().Status.Conditions, ObservedGeneration: t.Generation, Name: Name(t),
	}
	conflict := claim.Conflict("KafkaTopic", "topic", Name(t), " (the topic stays)", t, holder)
	status.Stalled(&s.Conditions, t.Generation, conflict.Reason, conflict.Text(), now)
	return s
}

// EvictedStatus returns the status of an object that has lost its topic, and says why. It records nothing of the topic,
// so that deleting the object touches nothing.
func EvictedStatus(t *v1alpha1.KafkaTopic, why verdict.Verdict, now time.Time) v1alpha1.KafkaTopicStatus {
	s := v1alpha1.KafkaTopicStatus{
		Conditions: t.DeepCopy().Status.Conditions, ObservedGeneration: t.Generation, Name: Name(t),
	}
	meta.RemoveStatusCondition(&s.Conditions, v1alpha1.ConditionWarning)
	status.Stalled(&s.Conditions, t.Generation, why.Reason, why.Text(), now)
	return s
}

func record(s *v1alpha1.KafkaTopicStatus, t *v1alpha1.KafkaTopic, out Outcome, clusterID string) {
	s.TopicID, s.ClusterID, s.Origin, s.ConfigKeys = string(out.Record.ID), "", out.Record.Origin, out.Record.ConfigKeys
	before := s.Config
	s.DeletionPolicy, s.Partitions, s.ReplicationFactor, s.Config = "", 0, 0, nil
	tellHealth(s, out.Topic, out.Health)
	s.Reassignment = reassignmentOf(out.Record.Moving)
	if out.Record.ID == "" {
		s.Origin, s.ConfigKeys = "", nil
		s.Health, s.UnderReplicated, s.Offline = "", 0, 0
		return
	}
	s.ClusterID = clusterID
	s.DeletionPolicy = EffectivePolicy(t, out.Record.Origin)
	if out.Found {
		s.Partitions, s.ReplicationFactor = out.Topic.Partitions, out.Topic.ReplicationFactor
		s.Config = reported(out.Topic.Config, before)
	}
}
