package e2e

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// controllerPool is a pool of dedicated controllers.
func controllerPool(replicas int32) v1alpha1.Pool {
	heap := resource.MustParse("256Mi")
	return v1alpha1.Pool{
		Name: "ctl", Replicas: &replicas, Roles: []v1alpha1.Role{v1alpha1.RoleController},
		Storage: v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data", Size: resource.MustParse("1Gi")}}},
		JVM:     v1alpha1.JVM{Heap: &heap},
	}
}

// It leaves the shared cluster as it found it.
func TestCase21_FromCombinedNodesToDedicatedControllersAndBack(t *testing.T) {
	long(t)
	v := common.sail(t)
	quorum := watchQuorum(t, v.login)
	v.rec.mark(t, "a pool of controllers is added, and the role Controller taken from the others")
	begin := time.Now()
	change(t, v.cluster, func(c kafkaCluster) {
		mainPool(c).Roles = []v1alpha1.Role{v1alpha1.RoleBroker}
		c.Spec.Pools = append(c.Spec.Pools, controllerPool(3))
	})
	waitReady(t, 6*time.Minute, v.cluster)
	figureSeconds(t, "combined-to-dedicated", time.Since(begin))
	first := firstNodeID(t, v.cluster, "ctl")
	quorum.waitVoters(t, 10*time.Second, first, first+1, first+2)
	for _, n := range v.cluster.Status.Nodes {
		if n.Pool == "main" && slices.Contains(n.Roles, v1alpha1.RoleController) {
			t.Errorf("node %d still has the role Controller", n.ID)
		}
	}
	before := v.rec.record.Restarts()

	v.rec.mark(t, "and back")
	begin = time.Now()
	change(t, v.cluster, func(c kafkaCluster) {
		mainPool(c).Roles = []v1alpha1.Role{v1alpha1.RoleController, v1alpha1.RoleBroker}
		c.Spec.Pools = c.Spec.Pools[:1]
	})
	waitReady(t, 6*time.Minute, v.cluster)
	figureSeconds(t, "dedicated-to-combined", time.Since(begin))
	quorum.waitVoters(t, 10*time.Second, 0, 1, 2)
	pods, err := podsOf(t.Context(), v.ns, sharedName)
	if err != nil || len(pods) != 3 {
		t.Errorf("%d pods (error %v), expected those of the three nodes alone", len(pods), err)
	}
	record := v.arrive(t, time.Minute, "Three nodes: controllers of their own, and back")
	mustStayInOneRack(t, record)
	quorum.mustHaveHeld(t)
	// Roles are read at the start: each way costs each broker one restart, and no more.
	for _, name := range []string{"main-0", "main-1", "main-2"} {
		if before[name] != 1 || record.Restarts()[name] != 2 {
			t.Errorf(
				"%s was restarted %d times on the way there and %d on the way back, expected once each",
				name,
				before[name],
				record.Restarts()[name]-before[name],
			)
		}
	}
}

func firstNodeID(t *testing.T, c kafkaCluster, pool string) int32 {
	t.Helper()
	for _, p := range c.Status.Pools {
		if p.Name == pool {
			return p.FirstNodeID
		}
	}
	t.Fatalf("status.pools has no %s: %v", pool, c.Status.Pools)
	return 0
}
