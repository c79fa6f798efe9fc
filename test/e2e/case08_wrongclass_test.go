package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// The storage class is wrong from the start, and corrected once somebody has seen why nothing starts. Meanwhile one
// founder becomes three.
func TestCase08_AClusterThatHasNotFormedTakesAnotherClass(t *testing.T) {
	promise(t)
	ns := newNamespace(t)
	apply(t, ns, strings.Replace(smallManifest(false, ""), "size: 1Gi", "size: 1Gi, storageClassName: no-such-class", 1))
	cluster := clusterNamed(ns, sharedName)
	eventually(t, time.Minute, "its pod waits for a volume", func(ctx context.Context) error {
		pod := &corev1.Pod{}
		if err := kube.Get(ctx, client.ObjectKey{Namespace: ns, Name: "events-main-0"}, pod); err != nil {
			return err
		}
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		told := pod.Annotations[v1alpha1.AnnotationFormat]
		if told != "" {
			t.Errorf("it was told how to format a disk that is not there: %s", told)
		}
		if len(cluster.Status.InitialVoters) != 1 {
			return fmt.Errorf("founders are %v", cluster.Status.InitialVoters)
		}
		return nil
	})
	id, first := cluster.Status.ClusterID, claimUIDs(t, ns)
	change(t, cluster, func(c kafkaCluster) {
		c.Spec.Pools[0].Storage.Volumes[0].StorageClassName = nil
		c.Spec.Pools[0].Replicas = new(int32(3))
	})
	waitReady(t, 5*time.Minute, cluster)
	if cluster.Status.ClusterID != id || len(cluster.Status.InitialVoters) != 3 {
		t.Errorf("cluster id %s, expected %s; founders %v", cluster.Status.ClusterID, id, cluster.Status.InitialVoters)
	}
	for name, uid := range claimUIDs(t, ns) {
		if first[name] == uid {
			t.Errorf("claim %s is still that of the wrong class", name)
		}
	}
}
