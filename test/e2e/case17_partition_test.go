package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestCase17_ANodesNetworkIsCutInTheMiddleOfARollAndTheRollWaits(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("only nodes of the local cluster can be cut off")
	}
	v := fleet.sail(t)
	v.rec.mark(t, "queued.max.requests is changed")
	change(t, v.cluster, func(c kafkaCluster) { setMain(c, "queued.max.requests", "630") })
	node, rolling := waitRollAwayFromOperator(t, v)
	heal := healer(t, node)
	if _, err := localcluster(t.Context(), "node", "partition", node); err != nil {
		t.Fatal(err)
	}
	v.rec.mark(t, "Kubernetes node %s, where %s restarts, is cut off", node, rolling)
	mark := auditMark(t)
	cut := brokersOn(v, node)
	eventually(t, 40*time.Second, "status says for whom the roll waits", func(ctx context.Context) error {
		if err := refresh(ctx, v.cluster); err != nil {
			return err
		}
		text := planOf(v.cluster)
		for _, name := range cut {
			if strings.Contains(text, "events-"+name) || strings.Contains(text, fmt.Sprintf("broker %d", brokerID(name))) {
				return nil
			}
		}
		return fmt.Errorf("it names none of %v: %s", cut, text)
	})
	// Kubernetes itself deletes the pods of a lost node after half a minute: the audit log tells who did what. What was
	// under way when the network went may still be on its way to the log.
	always(t, 15*time.Second, "the roll stands still", func(context.Context) error {
		writes, _ := auditSince(t, mark, operatorUser(t))
		for _, e := range writes {
			on := strings.TrimPrefix(e.ObjectRef.Name, "events-")
			if e.Verb == "delete" && e.ObjectRef.Resource == "pods" && e.ObjectRef.Namespace == v.ns &&
				!slices.Contains(cut, on) {
				return fmt.Errorf("the operator deleted pod %s", e.ObjectRef.Name)
			}
		}
		return nil
	})
	v.flow.progress(t, deliveryTimeout)
	heal()
	v.rec.mark(t, "node %s is back", node)
	record := v.arrive(t, 5*time.Minute, "Six brokers in three zones: a node is cut off in the middle of a roll")
	mustStayInOneRack(t, record)
	for name, n := range record.Restarts() {
		// Kubernetes may have given up on the node: what it deleted then is not ours.
		if n != 1 && !slices.Contains(cut, name) || n == 0 {
			t.Errorf("%s was restarted %d times, expected once", name, n)
		}
	}
}

// waitRollAwayFromOperator waits until brokers restart on a Kubernetes node that does not run the operator, and returns
// that node and one of the brokers. A rack that is down anyway can be cut off without a partition losing its minimum.
func waitRollAwayFromOperator(t *testing.T, v *voyage) (node, broker string) {
	t.Helper()
	taken := map[string]bool{}
	eventually(t, 4*time.Minute, "brokers restart on a node without the operator", func(ctx context.Context) error {
		pods, err := operatorPods(ctx)
		if err != nil {
			return err
		}
		clear(taken)
		for _, pod := range pods {
			taken[pod.Spec.NodeName] = true
		}
		v.rec.mu.Lock()
		defer v.rec.mu.Unlock()
		for name, pod := range v.rec.pods {
			if pod != nil && pod.DeletionTimestamp != nil && !taken[pod.Spec.NodeName] {
				node, broker = pod.Spec.NodeName, name
				return nil
			}
		}
		return fmt.Errorf("restarts so far: %v; the operator is on %v", v.rec.record.Restarts(), taken)
	})
	return node, broker
}

// brokersOn are the recorded brokers of one Kubernetes node, by the zone that both are in.
func brokersOn(v *voyage, node string) []string {
	v.rec.mu.Lock()
	defer v.rec.mu.Unlock()
	zone := ""
	for name, pod := range v.rec.pods {
		if pod != nil && pod.Spec.NodeName == node {
			zone = v.rec.record.Rack(name)
		}
	}
	var names []string
	for name := range v.rec.pods {
		if v.rec.record.Rack(name) == zone {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// healer returns what heals the network of a node; at the end of the case it is done at the latest.
func healer(t *testing.T, node string) func() {
	healed := false
	heal := func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(time.Minute))
		defer cancel()
		if _, err := localcluster(ctx, "node", "heal", node); err != nil && !healed {
			t.Errorf("heal node %s: %v", node, err)
		}
		healed = true
	}
	t.Cleanup(func() {
		if !healed {
			heal()
		}
	})
	return heal
}

// nodeOf is the Kubernetes node on which a broker runs now.
func nodeOf(pod *corev1.Pod) string {
	if pod == nil {
		return ""
	}
	return pod.Spec.NodeName
}
