package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// A listener is added, its clients move to it, and the one they came from is removed; then another is reached in another
// way. Clients are told of a listener once every broker has it, and no longer before the first loses it. Nothing that was
// acknowledged is lost, and the other listeners stay where they are.
func TestCase37_AListenerIsAddedUsedAndAnotherRemovedUnderLoad(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	d := startDisks(t, ns, sharedManifest)
	bystanders := func() []v1alpha1.ListenerStatus {
		t.Helper()
		return []v1alpha1.ListenerStatus{listenerStatus(t, d.cluster, "secure"), listenerStatus(t, d.cluster, "securenp")}
	}
	before := bystanders()

	change(t, d.cluster, func(c kafkaCluster) {
		c.Spec.Listeners = append(c.Spec.Listeners, v1alpha1.Listener{Name: "apps", Port: 9097,
			Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}}})
	})
	added := eventually(t, 5*time.Minute, "the listener is there", func(ctx context.Context) error {
		if isTold(t, d, "apps") != "" {
			for _, pod := range mustPods(t, ns) {
				if err := accepts(ctx, pod, 9097); err != nil {
					t.Errorf("clients are told of apps by %s, and %s has no such listener: %v", isTold(t, d, "apps"), pod.Name, err)
				}
			}
		}
		return isReady(ctx, d.cluster)
	})
	figureSeconds(t, "listener-added", added)
	if where := isTold(t, d, "apps"); where != "status and Secret" {
		t.Errorf("clients are told by %q", where)
	}
	apps := startFlow(t, loginOf(t, ns, adminUser).at(t, ns, sharedName, "apps"), sharedTopic, "moved")

	lived := lives(t, ns, sharedName)
	change(t, d.cluster, func(c kafkaCluster) { c.Spec.Listeners = c.Spec.Listeners[1:] }) // without inside
	removed := eventually(t, 5*time.Minute, "the listener is gone", func(ctx context.Context) error {
		disturbed := !reflect.DeepEqual(lives(t, ns, sharedName), lived)
		for _, pod := range mustPods(t, ns) {
			disturbed = disturbed || pod.DeletionTimestamp != nil
		}
		if where := isTold(t, d, "inside"); disturbed && where != "" {
			t.Errorf("a broker loses inside, and clients are still told of it by %s", where)
		}
		if !disturbed {
			return errors.New("nobody restarts")
		}
		return isReady(ctx, d.cluster)
	})
	figureSeconds(t, "listener-removed", removed)
	d.flow.stopServed(t)

	change(t, d.cluster, func(c kafkaCluster) { // outside
		c.Spec.Listeners[0].Exposure = v1alpha1.Exposure{Type: v1alpha1.ExposureLoadBalancer}
	})
	waitReady(t, 5*time.Minute, d.cluster)
	if err := tryToProduce(t, d.login.at(t, ns, sharedName, "outside"), sharedTopic); err != nil {
		t.Errorf("by the load balancers: %v", err)
	}
	apps.stopServed(t)
	if after := bystanders(); !reflect.DeepEqual(after, before) {
		t.Errorf("the other listeners were\n%+v, and are\n%+v", before, after)
	}
}

func listenerStatus(t *testing.T, cluster kafkaCluster, name string) v1alpha1.ListenerStatus {
	t.Helper()
	if err := refresh(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	for _, l := range cluster.Status.Listeners {
		if l.Name == name {
			return l
		}
	}
	return v1alpha1.ListenerStatus{}
}

// isTold says what tells clients where a listener is; empty = nothing.
func isTold(t *testing.T, d disks, name string) string {
	t.Helper()
	_, inSecret := secretOf(t, d.ns, adminUser).Data["bootstrap.servers."+name]
	switch inStatus := listenerStatus(t, d.cluster, name).BootstrapServers != ""; {
	case inSecret && inStatus:
		return "status and Secret"
	case inSecret:
		return "Secret"
	case inStatus:
		return "status"
	}
	return ""
}

func mustPods(t *testing.T, ns string) []corev1.Pod {
	t.Helper()
	pods, err := podsOf(t.Context(), ns, sharedName)
	if err != nil {
		t.Fatal(err)
	}
	return pods
}

func accepts(ctx context.Context, pod corev1.Pod, port int) error {
	dialer := &net.Dialer{Timeout: pace.Of(5 * time.Second)}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(pod.Status.PodIP, fmt.Sprint(port)))
	if err != nil {
		return err
	}
	return conn.Close()
}
