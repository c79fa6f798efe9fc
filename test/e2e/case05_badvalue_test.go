package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// A value that is well formed and that Kafka refuses only when it starts: the wait for a fetch may not be longer than
// the time after which a replica counts as lagging.
const (
	poisonKey   = "replica.fetch.wait.max.ms"
	poisonValue = "60000"
)

func TestCase05_ABadValueStopsTheRollAtTheFirstNodeAndTakingItBackHeals(t *testing.T) {
	promise(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	waitInSync(t, admin)
	before := lives(t, ns, sharedName)
	f := startFlow(t, loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside"), sharedTopic, "poisoned")
	watched := watchPods(t, ns, sharedName)
	cluster := clusterNamed(ns, sharedName)
	t.Cleanup(func() {
		_ = tryChange(context.Background(), cluster, func(c kafkaCluster) { delete(c.Spec.Config, poisonKey) })
	})
	change(t, cluster, func(c kafkaCluster) { setConfig(c, poisonKey, poisonValue) })
	var failing v1alpha1.NodeStatus
	eventually(t, 3*time.Minute, "status names the node that fails, and Ready says so", func(ctx context.Context) error {
		ready := isReady(ctx, cluster)
		for _, n := range cluster.Status.Nodes {
			if n.State == v1alpha1.NodeFailing {
				failing = n
			}
		}
		if failing.Pod == "" {
			return fmt.Errorf("no node is Failing: %+v", cluster.Status.Nodes)
		}
		if ready == nil || missingIn(ready.Error(), []string{failing.Pod, poisonKey}) != "" {
			return fmt.Errorf("node %s is Failing and Ready does not say so: %w", failing.Pod, ready)
		}
		return nil
	})
	say(t, "%s: %s", failing.Pod, failing.Message)
	if !strings.Contains(failing.Message, poisonKey) {
		t.Errorf("the node's message does not name the key that Kafka complains of: %q", failing.Message)
	}
	always(t, 20*time.Second, "the roll goes no further", func(context.Context) error {
		for _, name := range watched.restarted() {
			if name != failing.Pod {
				return fmt.Errorf("pod %s was restarted too:%s", name, watched)
			}
		}
		return nil
	})
	f.progress(t, 30*time.Second)
	change(t, cluster, func(c kafkaCluster) { delete(c.Spec.Config, poisonKey) })
	took := waitReady(t, 3*time.Minute, cluster)
	figureSeconds(t, "bad-value-healed", took)
	waitInSync(t, admin)
	f.stop(t)
	delete(before, failing.Pod)
	mustLiveOn(t, ns, sharedName, before)
}
