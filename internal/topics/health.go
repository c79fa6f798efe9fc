package topics

import (
	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// HealthOf returns how a topic does. Replicas that are still being copied are no sign of trouble.
func HealthOf(topic kafka.Topic, moving bool) v1alpha1.TopicHealth {
	switch {
	case topic.Offline > 0:
		return v1alpha1.HealthOffline
	case topic.UnderReplicated > 0 && !moving:
		return v1alpha1.HealthUnderReplicated
	default:
		return v1alpha1.HealthHealthy
	}
}

// tellHealth writes how a topic does where that is news. The counts stay as they were when it became so.
func tellHealth(s *v1alpha1.KafkaTopicStatus, topic kafka.Topic, health v1alpha1.TopicHealth) {
	if health == "" || s.Health == health {
		return
	}
	s.Health, s.UnderReplicated, s.Offline = health, 0, 0
	if health != v1alpha1.HealthHealthy {
		s.UnderReplicated, s.Offline = topic.UnderReplicated, topic.Offline
	}
}
