package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const scaledManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  replicas: 1
  pools:
  - {name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  - {name: more, roles: [Broker], storage: {volumes: [{name: data, size: 1Gi, ephemeral: true}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [SCRAM-SHA-512]}}
  authorization: {type: Simple, superUsers: [admin]}
`

// kubectl scale, and then an autoscaler, change the number of brokers of one pool. Nobody else restarts. The autoscaler
// needs no metrics to bring a pool to its least number.
func TestCase49_OnePoolIsScaledByKubectlAndByAnAutoscaler(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	apply(t, ns, scaledManifest+"\n---\n"+adminManifest)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 4*time.Minute, cluster)
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	mustBeScaled(t, cluster, "events-more-1000")
	before := lives(t, ns, sharedName)

	out, err := kubectl(t.Context(), "-n", ns, "scale", "kc/events", "--replicas=2")
	if err != nil {
		t.Fatalf("kubectl scale: %v: %s", err, out)
	}
	figureSeconds(t, "scale-1-to-2", waitReady(t, 3*time.Minute, cluster))
	mustBeScaled(t, cluster, "events-more-1000", "events-more-1001")
	mustHaveBrokers(t, l.admin(t), 0, 1000, 1001)
	mustLiveOn(t, ns, sharedName, before)

	before = lives(t, ns, sharedName)
	least := int32(3)
	scaler := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "brokers"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "KafkaCluster", Name: sharedName},
			MinReplicas: &least, MaxReplicas: 4,
		},
	}
	if err := kube.Create(t.Context(), scaler); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "the autoscaler asks for its least number", func(ctx context.Context) error {
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		if n := cluster.Spec.Replicas; n == nil || *n != least {
			_ = kube.Get(ctx, client.ObjectKeyFromObject(scaler), scaler)
			return fmt.Errorf("spec.replicas is not %d yet; the autoscaler says %+v", least, scaler.Status.Conditions)
		}
		return nil
	})
	waitReady(t, 3*time.Minute, cluster)
	mustBeScaled(t, cluster, "events-more-1000", "events-more-1001", "events-more-1002")
	mustHaveBrokers(t, l.admin(t), 0, 1000, 1001, 1002)
	mustLiveOn(t, ns, sharedName, before)
	if err := kube.Delete(t.Context(), scaler); err != nil {
		t.Fatal(err)
	}

	out, err = kubectl(t.Context(), "-n", ns, "scale", "kc/events", "--replicas=101")
	if err == nil || !strings.Contains(err.Error()+out, "spec.replicas") {
		t.Errorf("101 brokers: %v: %s", err, out)
	}
}

// mustBeScaled holds the status to what an autoscaler reads there: how many pods there are, and which.
func mustBeScaled(t *testing.T, cluster kafkaCluster, names ...string) {
	t.Helper()
	eventually(t, 30*time.Second, fmt.Sprintf("%d pods are scaled", len(names)), func(ctx context.Context) error {
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		selector, err := labels.Parse(cluster.Status.Selector)
		if err != nil {
			return err
		}
		if selector.Empty() {
			return fmt.Errorf("status.selector selects every pod")
		}
		var pods corev1.PodList
		if err := kube.List(ctx, &pods, client.InNamespace(cluster.Namespace),
			client.MatchingLabelsSelector{Selector: selector}); err != nil {
			return err
		}
		var selected []string
		for i := range pods.Items {
			selected = append(selected, pods.Items[i].Name)
		}
		if fmt.Sprint(selected) != fmt.Sprint(names) || int(cluster.Status.Replicas) != len(names) {
			return fmt.Errorf("status.replicas is %d, and %q selects %v, expected %v", cluster.Status.Replicas,
				cluster.Status.Selector, selected, names)
		}
		return nil
	})
}
