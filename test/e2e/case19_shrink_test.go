package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
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
	change(t, v.cluster, func(c kafkaCluster) {
		c.Spec.Balancing = &v1alpha1.Balancing{Mode: v1alpha1.BalancingOff} // case 44 has it otherwise
		mainPool(c).Replicas = new(int32(7))
	})
	waitReady(t, 2*time.Minute, v.cluster)
	mustBeRegistered(t, v, 0, 1, 2, 3, 4, 5, 6)

	v.rec.mark(t, "it is taken back, and holds nothing")
	begin := time.Now()
	change(t, v.cluster, func(c kafkaCluster) { mainPool(c).Replicas = new(int32(6)) })
	mustLeave(t, v, 6)
	figureSeconds(t, "empty-broker-gone", time.Since(begin))

	v.rec.mark(t, "broker 5 shall go, and holds partitions")
	change(t, v.cluster, func(c kafkaCluster) { mainPool(c).Replicas = new(int32(5)) })
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
	mustGetNothingNew(t, v, 5)
	delete(before, "events-main-5")
	mustComeBack(t, v, 5)
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
	mustLiveOn(t, v.ns, sharedName, before)
}

// mustGetNothingNew holds that Kafka places nothing on a broker while it leaves, and everywhere once it is to stay.
func mustGetNothingNew(t *testing.T, v *voyage, id int32) {
	t.Helper()
	admin := v.login.admin(t)
	v.rec.mark(t, "users make topics while broker %d leaves", id)
	mustBeCordoned(t, v, admin, id, "*")
	const late = "made-while-it-leaves"
	createTopic(t, admin, late, 24)
	metadata, err := admin.Metadata(t.Context(), late)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range metadata.Topics[late].Partitions.Sorted() {
		if slices.Contains(p.Replicas, id) {
			t.Errorf("%s-%d is on brokers %v, and broker %d leaves", late, p.Partition, p.Replicas, id)
		}
	}
	deleteTopic(t, admin, late)

	v.rec.mark(t, "broker %d is to stay after all, and then to go", id)
	change(t, v.cluster, func(c kafkaCluster) { mainPool(c).Replicas = new(id + 1) })
	waitReady(t, time.Minute, v.cluster)
	mustBeCordoned(t, v, admin, id, "")
	change(t, v.cluster, func(c kafkaCluster) { mainPool(c).Replicas = new(id) })
	mustBeCordoned(t, v, admin, id, "*")
}

// mustBeCordoned waits until a broker has a cordon, or none, and the status remembers just that.
func mustBeCordoned(t *testing.T, v *voyage, admin *kadm.Client, id int32, dirs string) {
	t.Helper()
	what := fmt.Sprintf("cordoned.log.dirs of broker %d is %q, and the status remembers it", id, dirs)
	eventually(t, 30*time.Second, what, func(ctx context.Context) error {
		is, err := brokerValue(ctx, admin, id, "cordoned.log.dirs")
		if err != nil {
			return err
		}
		if err := refresh(ctx, v.cluster); err != nil {
			return err
		}
		if remembered := slices.Contains(v.cluster.Status.Cordoned, id); is != dirs || remembered != (dirs != "") {
			return fmt.Errorf("it is %q; the status remembers %v", is, v.cluster.Status.Cordoned)
		}
		return nil
	})
}

// mustComeBack ends the pod of a broker that leaves and holds partitions, by hand and past the operator: to Kafka it is
// then what a broker is that got a replica in its last moment.
func mustComeBack(t *testing.T, v *voyage, id int32) {
	t.Helper()
	v.rec.mark(t, "somebody takes broker %d away, which holds partitions", id)
	pod, set := &corev1.Pod{}, &appsv1.StatefulSet{}
	mustGet(t, v.ns, fmt.Sprintf("Pod/events-main-%d", id), pod)
	mustGet(t, v.ns, "StatefulSet/events-main", set)
	before := pod.UID
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, id))
	if err := kube.Patch(t.Context(), set, patch); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "it comes back by itself", func(ctx context.Context) error {
		if err := kube.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return err
		}
		if pod.UID == before || !podReady(pod) {
			return fmt.Errorf("pod %s has the UID %s, and is ready: %t", pod.Name, pod.UID, podReady(pod))
		}
		return nil
	})
	waitInSync(t, v.login.admin(t))
	eventually(t, stallLimit, "it is to be emptied again", func(ctx context.Context) error {
		return isStalled(ctx, v.cluster, "", []string{fmt.Sprintf("broker %d", id), "it holds", "move them"})
	})
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
