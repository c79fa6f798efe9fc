package topics

import (
	"fmt"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/status"
)

// Reasons of Ready and Reconciling.
const (
	ReasonInForce     = "InForce"
	ReasonRetrying    = "Retrying"
	ReasonDeleting    = "Deleting"
	ReasonUnavailable = "ClusterNotAvailable"
	ReasonUnreachable = "ClusterUnreachable"
)

// StatusOf returns the status of a claim's holder for an outcome that has come true.
func StatusOf(t *v1alpha1.KafkaTopic, out Outcome, clusterID string, now time.Time) v1alpha1.KafkaTopicStatus {
	s := *t.Status.DeepCopy()
	record(&s, t, out, clusterID)
	if len(out.Faults) > 0 {
		status.Stalled(&s.Conditions, t.Generation, out.Faults[0].Reason, text(out.Faults), now)
		return s
	}
	message := fmt.Sprintf("%d partitions, %d replicas", out.Topic.Partitions, out.Topic.ReplicationFactor)
	status.Ready(&s.Conditions, t.Generation, ReasonInForce, message, now)
	return s
}

// RetryStatus returns the status of a holder whose change did not go through this time.
func RetryStatus(t *v1alpha1.KafkaTopic, out Outcome, clusterID, message string, now time.Time) v1alpha1.KafkaTopicStatus {
	s := *t.Status.DeepCopy()
	record(&s, t, out, clusterID)
	status.Reconciling(&s.Conditions, t.Generation, ReasonRetrying, message, now)
	return s
}

// WaitStatus returns the status of an object that waits for something else; what it records stays.
func WaitStatus(t *v1alpha1.KafkaTopic, reason, message string, now time.Time) v1alpha1.KafkaTopicStatus {
	s := *t.Status.DeepCopy()
	s.ObservedGeneration, s.Name = t.Generation, Name(t)
	status.Reconciling(&s.Conditions, t.Generation, reason, message, now)
	return s
}

// StalledStatus returns the status of an object that has to be changed by its user; what it records stays.
func StalledStatus(t *v1alpha1.KafkaTopic, reason, message string, now time.Time) v1alpha1.KafkaTopicStatus {
	s := *t.Status.DeepCopy()
	s.ObservedGeneration, s.Name = t.Generation, Name(t)
	status.Stalled(&s.Conditions, t.Generation, reason, message, now)
	return s
}

// ConflictStatus returns the status of an object whose topic another one holds. It records nothing of the topic, so that
// deleting it touches nothing.
func ConflictStatus(t, holder *v1alpha1.KafkaTopic, now time.Time) v1alpha1.KafkaTopicStatus {
	s := v1alpha1.KafkaTopicStatus{Conditions: t.DeepCopy().Status.Conditions, ObservedGeneration: t.Generation, Name: Name(t)}
	status.Stalled(&s.Conditions, t.Generation, ReasonConflict, fmt.Sprintf("spec.name: topic %q is held by KafkaTopic %q, which is older; "+
		"delete one of the two (the topic stays), or choose another spec.name", Name(t), holder.Name), now)
	return s
}

func record(s *v1alpha1.KafkaTopicStatus, t *v1alpha1.KafkaTopic, out Outcome, clusterID string) {
	s.ObservedGeneration, s.Name = t.Generation, Name(t)
	s.TopicID, s.ClusterID, s.Origin, s.ConfigKeys = string(out.Record.ID), "", out.Record.Origin, out.Record.ConfigKeys
	s.DeletionPolicy, s.Partitions, s.ReplicationFactor = "", 0, 0
	if out.Record.ID == "" {
		s.Origin, s.ConfigKeys = "", nil
		return
	}
	s.ClusterID = clusterID
	s.DeletionPolicy = EffectivePolicy(t, out.Record.Origin)
	if out.Found {
		s.Partitions, s.ReplicationFactor = out.Topic.Partitions, out.Topic.ReplicationFactor
	}
}
