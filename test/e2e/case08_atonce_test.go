package e2e

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What `kubectl delete` and `kubectl apply` in one breath do, and `kubectl replace --force`: the pods of the first are
// still ending when the second is there.
func TestCase08_AClusterMadeAgainAtOnceWaitsForItsPredecessor(t *testing.T) {
	promise(t)
	ns := small(t, false, "")
	cluster := clusterNamed(ns, sharedName)
	if err := refresh(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	id, claims, pods := cluster.Status.ClusterID, claimUIDs(t, ns), podUIDs(t, ns)

	uid := cluster.UID
	if err := kube.Delete(t.Context(), cluster.KafkaCluster, client.PropagationPolicy("Background")); err != nil {
		t.Fatal(err)
	}
	apply(t, ns, smallManifest(false, ""))
	again := clusterNamed(ns, sharedName)
	took := eventually(t, 4*time.Minute, "the second KafkaCluster is Ready", func(ctx context.Context) error {
		if err := isReady(ctx, again); err != nil {
			return err
		}
		if again.UID == uid {
			return fmt.Errorf("it is still the first one, %s", uid)
		}
		return nil
	})
	figureSeconds(t, "cluster-made-again-at-once-to-ready", took)
	if again.Status.ClusterID != id {
		t.Errorf("cluster id %s, expected the old one, %s", again.Status.ClusterID, id)
	}
	if now := claimUIDs(t, ns); !maps.Equal(now, claims) {
		t.Errorf("other claims are in use: %v became %v", claims, now)
	}
	for name, now := range podUIDs(t, ns) {
		if now == pods[name] {
			t.Errorf("pod %s is still the predecessor's", name)
		}
	}
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	// Kubernetes' nodes open the new Service's port a moment after its broker is ready.
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	eventually(t, 30*time.Second, "the user logs in to the second", func(context.Context) error { return tryToLogIn(t, l) })
}

// podUIDs tells which pods a cluster has, by name.
func podUIDs(t *testing.T, ns string) map[string]types.UID {
	t.Helper()
	pods, err := podsOf(t.Context(), ns, sharedName)
	if err != nil {
		t.Fatal(err)
	}
	uids := map[string]types.UID{}
	for _, pod := range pods {
		uids[pod.Name] = pod.UID
	}
	return uids
}
