package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/twmb/franz-go/pkg/kadm"
)

// mustHaveBrokers fails unless exactly these node ids are registered and unfenced.
func mustHaveBrokers(t *testing.T, admin *kadm.Client, ids ...int32) {
	t.Helper()
	brokers, err := admin.ListBrokers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(brokers.NodeIDs()); got != fmt.Sprint(ids) {
		t.Errorf("brokers %s, expected %v", got, ids)
	}
}

func TestCase02_ABrokerPodIsDeletedAndNoAcknowledgedRecordIsLost(t *testing.T) {
	long(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	waitInSync(t, admin)
	before := lives(t, ns, sharedName)
	f := startFlow(t, loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside"), sharedTopic, "deleted")
	pod := getPod(t, ns, "events-main-1")
	if err := kube.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	say(t, "pod %s of broker 1 is deleted", pod.Name)
	f.progress(t, 30*time.Second)
	took := eventually(t, 2*time.Minute, "another pod of the same name is ready", func(ctx context.Context) error {
		now := &corev1.Pod{}
		if err := kube.Get(ctx, client.ObjectKeyFromObject(pod), now); err != nil {
			return err
		}
		if now.UID == pod.UID || !podReady(now) {
			return fmt.Errorf("it is pod %s, ready %v", now.UID, podReady(now))
		}
		return nil
	})
	figureSeconds(t, "pod-deleted-to-ready", took)
	waitInSync(t, admin)
	waitReady(t, time.Minute, clusterNamed(ns, sharedName))
	f.stop(t)
	mustHaveBrokers(t, admin, 0, 1, 2)
	delete(before, pod.Name)
	mustLiveOn(t, ns, sharedName, before)
}

func TestCase02_AKubernetesNodeIsPoweredOffAndNoAcknowledgedRecordIsLost(t *testing.T) {
	promise(t)
	if !isLocal() {
		t.Skip("only nodes of the local cluster can be powered off")
	}
	ns := shared(t)
	admin := sharedAdmin(t)
	waitInSync(t, admin)
	pod := podAwayFromOperator(t, ns)
	node := pod.Spec.NodeName
	f := startFlow(t, loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside"), sharedTopic, "poweroff")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(2*time.Minute))
		defer cancel()
		if _, err := localcluster(ctx, "node", "start", node); err != nil {
			t.Errorf("power node %s on again: %v", node, err)
		}
	})
	if _, err := localcluster(t.Context(), "node", "stop", node); err != nil {
		t.Fatal(err)
	}
	say(t, "Kubernetes node %s, with pod %s, is powered off", node, pod.Name)
	f.progress(t, time.Minute)
	eventually(t, 2*time.Minute, "the cluster's status shows the loss", func(ctx context.Context) error {
		c := clusterNamed(ns, sharedName)
		if err := refresh(ctx, c); err != nil {
			return err
		}
		if c.Status.Brokers != "2/3" {
			return fmt.Errorf("status.brokers is %s", c.Status.Brokers)
		}
		return nil
	})
	if _, err := localcluster(t.Context(), "node", "start", node); err != nil {
		t.Fatal(err)
	}
	say(t, "Kubernetes node %s is powered on", node)
	took := waitReady(t, 4*time.Minute, clusterNamed(ns, sharedName))
	figureSeconds(t, "node-on-to-ready", took)
	waitInSync(t, admin)
	f.progress(t, 30*time.Second)
	f.stop(t)
	mustHaveBrokers(t, admin, 0, 1, 2)
}

// podAwayFromOperator picks a broker whose Kubernetes node does not run the operator: that one has a case of its own.
func podAwayFromOperator(t *testing.T, ns string) corev1.Pod {
	t.Helper()
	running, err := operatorPods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]bool{}
	for _, pod := range running {
		taken[pod.Spec.NodeName] = true
	}
	pods, err := podsOf(t.Context(), ns, sharedName)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		if !taken[pod.Spec.NodeName] {
			return pod
		}
	}
	t.Fatal("every broker shares its Kubernetes node with the operator")
	return corev1.Pod{}
}
