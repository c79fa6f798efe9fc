package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// A founder of the quorum gets another disk, and before its node has formatted that the KafkaCluster is made again.
// Told to format it as a founder's, the node would found a second quorum under the same cluster id.
func TestCase08_AReplacedFounderJoinsTheQuorumOfItsPredecessor(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	apply(t, ns, sharedManifest)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 5*time.Minute, cluster)
	id, old := cluster.Status.ClusterID, claimUIDs(t, ns)
	const pod, claim = "events-main-1", "data-events-main-1"
	eventually(t, time.Minute, "every claim knows that the quorum was founded", func(ctx context.Context) error {
		var claims corev1.PersistentVolumeClaimList
		if err := kube.List(ctx, &claims, client.InNamespace(ns)); err != nil {
			return err
		}
		for _, c := range claims.Items {
			if c.Annotations[v1alpha1.AnnotationFounded] != "true" {
				return fmt.Errorf("claim %s does not: %v", c.Name, c.Annotations)
			}
		}
		return nil
	})

	uncordon := cordonAll(t) // so that nobody formats the second disk yet
	objects := []client.Object{
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: claim}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: pod}},
	}
	for _, object := range objects {
		if err := kube.Delete(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 2*time.Minute, "node 1 has a second claim", func(ctx context.Context) error {
		now := &corev1.PersistentVolumeClaim{}
		if err := kube.Get(ctx, client.ObjectKey{Namespace: ns, Name: claim}, now); err != nil {
			return err
		}
		switch {
		case string(now.UID) == old[claim]:
			return fmt.Errorf("it is still the first one, %s", now.UID)
		case now.Annotations[v1alpha1.AnnotationDirectoryID] != "":
			t.Errorf("the second claim is said to be a founder's: %v", now.Annotations)
		case now.Labels[v1alpha1.LabelClusterID] != id:
			return fmt.Errorf("nobody has said whose it is: %v", now.Labels)
		}
		return nil
	})
	uid := cluster.UID
	if err := kube.Delete(t.Context(), cluster.KafkaCluster, client.PropagationPolicy("Background")); err != nil {
		t.Fatal(err)
	}
	apply(t, ns, sharedManifest)
	again := clusterNamed(ns, sharedName)
	eventually(t, 3*time.Minute, "the second KafkaCluster has its pods", func(ctx context.Context) error {
		if err := refresh(ctx, again); err != nil {
			return err
		}
		pods, err := podsOf(ctx, ns, sharedName)
		if err != nil || again.UID == uid || again.Status.ClusterID == "" || len(pods) != 3 {
			return fmt.Errorf("KafkaCluster %s, %d pods (error %w)", again.UID, len(pods), err)
		}
		return nil
	})
	uncordon()
	waitReady(t, 5*time.Minute, again)
	if again.Status.ClusterID != id {
		t.Errorf("cluster id %s, expected %s", again.Status.ClusterID, id)
	}
	pods, err := podsOf(t.Context(), ns, sharedName)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods {
		if want := fmt.Sprintf("%s join %s", p.UID, id); p.Annotations[v1alpha1.AnnotationFormat] != want {
			t.Errorf("pod %s was told %q, expected %q", p.Name, p.Annotations[v1alpha1.AnnotationFormat], want)
		}
	}
	apply(t, ns, adminManifest)
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	cl := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside").client(t)
	eventually(t, 2*time.Minute, "there is one quorum, of three voters", func(ctx context.Context) error {
		first, err := quorumBy(ctx, cl, 0)
		if err != nil {
			return err
		}
		for broker := range int32(3) {
			q, err := quorumBy(ctx, cl, broker)
			if err != nil {
				return err
			}
			if !slices.Equal(q.voters, []int32{0, 1, 2}) || q.leader != first.leader || q.epoch != first.epoch {
				return fmt.Errorf("broker %d knows %+v, broker 0 knows %+v", broker, q, first)
			}
		}
		return nil
	})
}

// cordonAll keeps new pods from every Kubernetes node until the function that it returns is called, or the case ends.
func cordonAll(t *testing.T) (uncordon func()) {
	t.Helper()
	var nodes corev1.NodeList
	if err := kube.List(t.Context(), &nodes); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, node := range nodes.Items {
		if !node.Spec.Unschedulable {
			names = append(names, node.Name)
		}
	}
	uncordon = func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(time.Minute))
		defer cancel()
		if _, err := kubectl(ctx, append([]string{"uncordon"}, names...)...); err != nil {
			t.Errorf("open the Kubernetes nodes %v again: %v", names, err)
		}
	}
	t.Cleanup(uncordon)
	if _, err := kubectl(t.Context(), append([]string{"cordon"}, names...)...); err != nil {
		t.Fatal(err)
	}
	return uncordon
}
