package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// A good change is under way when a bad one comes on top of it. Only the broker on which it is tried may suffer; when
// it is taken back, the good change is carried to its end, and nobody restarts who neither needs.
func TestCase16_ABadValueInTheMiddleOfARollTouchesTheTrialBrokerAlone(t *testing.T) {
	long(t)
	v := fleet.sail(t)
	pods := watchPods(t, v.ns, sharedName)
	v.rec.mark(t, "queued.max.requests is changed")
	change(t, v.cluster, func(c kafkaCluster) { setMain(c, "queued.max.requests", "620") })
	v.waitRestarts(t, 1)
	v.rec.mark(t, "%s=%s is set too, with which Kafka does not start", poisonKey, poisonValue)
	change(t, v.cluster, func(c kafkaCluster) { setMain(c, poisonKey, poisonValue) })
	var failing v1alpha1.NodeStatus
	eventually(t, 3*time.Minute, "status names the node that fails, and Ready says so", func(ctx context.Context) error {
		ready := isReady(ctx, v.cluster)
		for _, n := range v.cluster.Status.Nodes {
			if n.State == v1alpha1.NodeFailing {
				failing = n
			}
		}
		if failing.Pod == "" {
			return fmt.Errorf("no node is Failing: %s", planOf(v.cluster))
		}
		if ready == nil || missingIn(ready.Error(), []string{failing.Pod, poisonKey}) != "" {
			return fmt.Errorf("node %s is Failing and Ready does not say so: %w", failing.Pod, ready)
		}
		return nil
	})
	touched := len(pods.restarted())
	always(t, 15*time.Second, "the roll goes no further", func(context.Context) error {
		for _, name := range pods.restarted()[touched:] {
			if name != failing.Pod {
				return fmt.Errorf("pod %s was restarted too:%s", name, pods)
			}
		}
		return nil
	})
	v.flow.progress(t, deliveryTimeout)
	v.rec.mark(t, "the bad value is taken back")
	begin := time.Now()
	change(t, v.cluster, func(c kafkaCluster) { delete(mainPool(c).Config, poisonKey) })
	eventually(t, time.Minute, "the node that failed starts", func(ctx context.Context) error {
		pod := &corev1.Pod{}
		if err := kube.Get(ctx, client.ObjectKey{Namespace: v.ns, Name: failing.Pod}, pod); err != nil {
			return err
		}
		if !podReady(pod) {
			return fmt.Errorf("pod %s is not ready: %w", pod.UID, isReady(ctx, v.cluster))
		}
		return nil
	})
	figureSeconds(t, "bad-value-in-mid-roll-healed", time.Since(begin))
	record := v.arrive(t, 5*time.Minute, "Six brokers in three zones: a bad value in the middle of a roll, and back")
	mustStayInOneRack(t, record)
	counts := map[string]int{}
	for _, name := range pods.restarted() {
		counts[name]++
	}
	for i, n := range fleetBrokers {
		pod := "events-" + n
		switch {
		case pod == failing.Pod && (counts[pod] < 2 || counts[pod] > 3):
			t.Errorf(
				"%s, which had the bad value, was replaced %d times, expected there and back, and once for the good change",
				pod,
				counts[pod],
			)
		case pod != failing.Pod && (counts[pod] != 1 || record.Restarts()[fleetBrokers[i]] != 1):
			t.Errorf("%s was replaced %d times, expected once, for the good change", pod, counts[pod])
		}
	}
	admin := v.login.admin(t)
	for id := range int32(6) {
		if value, err := brokerValue(t.Context(), admin, id, "queued.max.requests"); value != "620" {
			t.Errorf("broker %d has queued.max.requests=%s (error %v), expected 620", id, value, err)
		}
	}
}
