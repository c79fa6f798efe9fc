package cluster

import (
	"context"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// snapshotPatience bounds the reading of one snapshot.
const snapshotPatience = 10 * time.Second

// observe puts together what Kubernetes and Kafka show.
func (r *Reconciler) observe(ctx context.Context, s *scope) error {
	met, err := r.expectations.met(ctx, r.APIReader, s.key(), s.live.Pods)
	if err != nil {
		return err
	}
	s.observation.CacheCurrent = s.observation.CacheCurrent && met
	if !anyBrokerReady(s) {
		s.observation.KafkaError = "no broker is ready"
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	admin, err := r.Connections.Admin(ctx, s.cluster)
	if err == nil {
		s.observation.Kafka, err = admin.Snapshot(ctx)
	}
	if err != nil {
		s.observation.Kafka, s.observation.KafkaError = nil, err.Error()
	}
	return r.noteBootstrapped(ctx, s)
}

// noteBootstrapped records that the first quorum has been seen: from then on no disk is ever formatted as an initial
// voter's.
func (r *Reconciler) noteBootstrapped(ctx context.Context, s *scope) error {
	seen := s.observation.Kafka
	if s.cluster.Status.Bootstrapped || seen == nil || seen.ClusterID != s.cluster.Status.ClusterID || seen.Quorum.LeaderID < 0 {
		return nil
	}
	s.model.Bootstrapped = true
	return r.record(ctx, s, func(status *v1alpha1.KafkaClusterStatus) { status.Bootstrapped = true })
}

func anyBrokerReady(s *scope) bool {
	for _, seen := range s.observation.Nodes {
		if seen.Pod != nil && seen.Pod.Broker && seen.Pod.Ready {
			return true
		}
	}
	return false
}

func underReplicated(p kafka.Partition) bool { return len(p.ISR) < len(p.Replicas) }
