package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const deletionLimit = time.Minute

// brokenManifest is a cluster whose node never starts.
func brokenManifest() string {
	return smallManifest(true, "  config: {"+poisonKey+": \""+poisonValue+"\"}\n")
}

// mustGo deletes the objects and fails unless all are gone within the limit.
func mustGo(t *testing.T, objects ...object) {
	t.Helper()
	for _, o := range objects {
		if err := kube.Delete(t.Context(), inner(o)); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	for _, o := range objects {
		eventually(
			t,
			deletionLimit-time.Since(begin),
			fmt.Sprintf("%s %s is gone", kindOf(o), o.GetName()),
			func(ctx context.Context) error {
				err := refresh(ctx, o)
				if err != nil && client.IgnoreNotFound(err) == nil {
					return nil
				}
				return fmt.Errorf("finalizers %v, conditions %s (error %w)", o.GetFinalizers(), told(o.conditions()), err)
			},
		)
	}
	figureSeconds(t, "deletion", time.Since(begin))
}

// waitPods waits until a cluster has pods, ready or not.
func waitPods(t *testing.T, ns string) {
	t.Helper()
	eventually(t, time.Minute, "the cluster has a pod", func(ctx context.Context) error {
		pods, err := podsOf(ctx, ns, sharedName)
		if err != nil || len(pods) == 0 {
			return fmt.Errorf("%d pods (error %w)", len(pods), err)
		}
		return nil
	})
}

func TestCase09_AClusterWhoseBrokersNeverStartedGoesWithItsTopicsAndUsers(t *testing.T) {
	promise(t)
	ns := newNamespace(t)
	apply(t, ns, brokenManifest()+"\n---\n"+adminManifest+"\n---\n"+topicManifest("orders", ""))
	waitPods(t, ns)
	mustGo(t, topicNamed(ns, "orders"), userNamed(ns, adminUser), clusterNamed(ns, sharedName))
}

func TestCase09_AClusterGoesBeforeItsTopicsAndUsers(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	apply(t, ns, brokenManifest()+"\n---\n"+adminManifest+"\n---\n"+topicManifest("orders", ""))
	waitPods(t, ns)
	mustGo(t, clusterNamed(ns, sharedName))
	mustGo(t, topicNamed(ns, "orders"), userNamed(ns, adminUser))
}

func TestCase09_ARunningClusterGoesWithoutItsCAAndWithItsOperatorKilledMidway(t *testing.T) {
	promise(t)
	ns := small(t, true, "")
	apply(t, ns, topicManifest("orders", ""))
	waitReady(t, time.Minute, topicNamed(ns, "orders"))
	ca := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: sharedName + "-ca"}}
	if err := kube.Delete(t.Context(), ca); err != nil {
		t.Fatalf("delete the Secret of the CA: %v", err)
	}
	pod := getPod(t, ns, "events-main-0")
	if err := kube.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	say(t, "the broker is killed and the Secret of the CA is gone")
	killed := make(chan error, 1)
	ctx := t.Context()
	go func() { killed <- killOperator(ctx) }()
	mustGo(t, clusterNamed(ns, sharedName))
	if err := <-killed; err != nil {
		t.Error(err)
	}
	mustGo(t, topicNamed(ns, "orders"), userNamed(ns, adminUser))
	waitOperator(t)
}

func TestCase09_ANamespaceDeletedWholeTerminates(t *testing.T) {
	promise(t)
	mustTerminateWhole(t, smallManifest(true, ""), true)
}

func TestCase09_ANamespaceWithABrokenClusterTerminates(t *testing.T) {
	long(t)
	mustTerminateWhole(t, brokenManifest(), false)
}

func TestCase09_ANamespaceWithThreeRunningBrokersTerminates(t *testing.T) {
	long(t)
	mustTerminateWhole(t, sharedManifest, true)
}

// mustTerminateWhole deletes a namespace with a cluster, a topic and a user in it.
func mustTerminateWhole(t *testing.T, manifest string, ready bool) {
	t.Helper()
	ns := newNamespace(t)
	apply(t, ns, manifest+"\n---\n"+adminManifest+"\n---\n"+topicManifest("orders", ""))
	waitPods(t, ns)
	if ready {
		waitReady(t, 3*time.Minute, clusterNamed(ns, sharedName))
		waitReady(t, time.Minute, topicNamed(ns, "orders"))
		waitReady(t, time.Minute, userNamed(ns, adminUser))
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(90*time.Second))
	defer cancel()
	if err := removeNamespace(ctx, ns); err != nil {
		t.Fatal(err)
	}
	figureSeconds(t, "namespace-deletion", time.Since(begin))
}
