package e2e

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Two administrators, each with a node, who know nothing of each other: kubectl cordons, evicts, and asks again while
// the PodDisruptionBudget says no; the machine is seen to, and comes back. The disks are bound to their zones, so
// nobody can run elsewhere meanwhile.
func TestCase18_TwoNodesAreDrainedAtOnceAndNoPartitionFallsBelowItsMinimum(t *testing.T) {
	long(t)
	v := fleet.sail(t)
	nodes := nodesOfFleet(t, v)
	if len(nodes) < 3 {
		t.Fatalf("brokers on nodes %v, expected three nodes", nodes)
	}
	drained := nodes[:2]
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(time.Minute))
		defer cancel()
		for _, node := range drained {
			if _, err := kubectl(ctx, "uncordon", node); err != nil {
				t.Errorf("put node %s back: %v", node, err)
			}
		}
	})
	v.rec.mark(t, "nodes %v are drained", drained)
	begin := time.Now()
	failures := make([]error, len(drained))
	var done sync.WaitGroup
	for i, node := range drained {
		done.Go(func() {
			_, err := kubectl(
				t.Context(),
				"drain",
				node,
				"--pod-selector",
				fleetLabel,
				"--ignore-daemonsets",
				"--delete-emptydir-data",
				"--timeout="+pace.Of(4*time.Minute).String(),
			)
			v.rec.mark(t, "the drain of node %s ends", node)
			_, back := kubectl(t.Context(), "uncordon", node)
			failures[i] = errors.Join(err, back)
		})
	}
	done.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatalf("drain: %v", err)
	}
	figureSeconds(t, "drain-of-two-nodes", time.Since(begin))
	record := v.arrive(t, 4*time.Minute, "Six brokers in three zones: two nodes are drained at once")
	mustStayInOneRack(t, record)
	for name, n := range record.Restarts() {
		want := 0
		for _, node := range drained {
			if v.first[name] == node {
				want = 1
			}
		}
		if n != want {
			t.Errorf("%s, on node %s, was restarted %d times, expected %d", name, v.first[name], n, want)
		}
	}
}

// nodesOfFleet are the Kubernetes nodes on which the brokers run, by name.
func nodesOfFleet(t *testing.T, v *voyage) []string {
	t.Helper()
	var nodes corev1.NodeList
	if err := kube.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	v.first = map[string]string{}
	v.rec.mu.Lock()
	defer v.rec.mu.Unlock()
	var names []string
	for _, node := range nodes.Items {
		used := false
		for name, pod := range v.rec.pods {
			if nodeOf(pod) == node.Name {
				v.first[name], used = node.Name, true
			}
		}
		if used {
			names = append(names, node.Name)
		}
	}
	return names
}
