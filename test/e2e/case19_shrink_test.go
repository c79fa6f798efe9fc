package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The last case of the fleet, which it takes apart.
func TestCase19_ABrokerLeavesOnlyOnceItHoldsNothing(t *testing.T) {
	long(t)
	v := fleet.sail(t)
	t.Cleanup(func() {
		if err := fleet.remove(context.Background()); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	cl := v.login.client(t)
	before := lives(t, v.ns, sharedName)
	v.rec.mark(t, "a seventh broker is added")
	change(t, v.cluster, func(c kafkaCluster) { mainPool(c).Replicas = 7 })
	waitReady(t, 2*time.Minute, v.cluster)
	mustBeRegistered(t, v, 0, 1, 2, 3, 4, 5, 6)

	v.rec.mark(t, "it is taken back, and holds nothing")
	begin := time.Now()
	change(t, v.cluster, func(c kafkaCluster) { mainPool(c).Replicas = 6 })
	mustLeave(t, v, 6)
	figureSeconds(t, "empty-broker-gone", time.Since(begin))

	v.rec.mark(t, "broker 5 shall go, and holds partitions")
	change(t, v.cluster, func(c kafkaCluster) { mainPool(c).Replicas = 5 })
	eventually(
		t,
		stallLimit,
		"Stalled names the field, the broker, what it holds and the cure",
		func(ctx context.Context) error {
			return isStalled(ctx, v.cluster, "", []string{"spec.pools[main].replicas", "broker 5", "it holds", "move them"})
		},
	)
	always(t, 10*time.Second, "it stays while it holds anything", func(ctx context.Context) error {
		ids, err := registered(ctx, cl)
		if err == nil && !slices.Contains(ids, 5) {
			return fmt.Errorf("registered are %v", ids)
		}
		return nil
	})
	mustLiveOn(t, v.ns, sharedName, before)
	moved, err := moveAway(t.Context(), v.login.admin(t), 5)
	if err != nil || moved == 0 {
		t.Fatalf("%d partitions are moved: %v", moved, err)
	}
	v.rec.mark(t, "its %d partitions are moved to others", moved)
	begin = time.Now()
	mustLeave(t, v, 5)
	figureSeconds(t, "emptied-broker-gone", time.Since(begin))
	v.arrive(t, time.Minute, "Brokers leave once they hold nothing")
	delete(before, "events-main-5")
	mustLiveOn(t, v.ns, sharedName, before)
}

func mustBeRegistered(t *testing.T, v *voyage, want ...int32) {
	t.Helper()
	cl := v.login.client(t)
	eventually(t, 30*time.Second, fmt.Sprintf("the registered brokers are %v", want), func(ctx context.Context) error {
		ids, err := registered(ctx, cl)
		if !slices.Equal(ids, want) {
			return fmt.Errorf("they are %v (error %w)", ids, err)
		}
		return nil
	})
}

// mustLeave waits until the highest broker is gone, for Kubernetes and for Kafka, and its disk is kept.
func mustLeave(t *testing.T, v *voyage, id int32) {
	t.Helper()
	waitReady(t, 3*time.Minute, v.cluster)
	var stay []int32
	for other := range id {
		stay = append(stay, other)
	}
	mustBeRegistered(t, v, stay...)
	pod, claim := &corev1.Pod{}, &corev1.PersistentVolumeClaim{}
	name := fmt.Sprintf("events-main-%d", id)
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: v.ns, Name: name}, pod); client.IgnoreNotFound(
		err,
	) != nil ||
		err == nil {
		t.Errorf("pod %s is still there (error %v)", name, err)
	}
	err := kube.Get(t.Context(), client.ObjectKey{Namespace: v.ns, Name: "data-" + name}, claim)
	if err == nil && claim.DeletionTimestamp != nil {
		err = errors.New("it is being deleted")
	}
	if err != nil {
		t.Errorf("the claim of broker %d is not kept: %v", id, err)
	}
}
