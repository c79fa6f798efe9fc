package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const exposuresManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi, ephemeral: true}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [SCRAM-SHA-512]}}
  - {name: lb, port: 9095, exposure: {type: LoadBalancer}, authentication: {mechanisms: [SCRAM-SHA-512]}}
  - name: router
    port: 9096
    exposure:
      type: ClusterIP
      advertised: {hostTemplate: "b{nodeId}.r.test", portTemplate: 443}
      bootstrap: {hosts: [r.test]}
    authentication: {mechanisms: [SCRAM-SHA-512]}
  authorization: {type: Simple, superUsers: [admin]}
`

// Clients outside reach a broker by a load balancer of its own, by its address and under its name, and through a router
// that knows it by a name of the owner's. A load balancer that does not come keeps nothing waiting, and one that moves is
// followed.
func TestCase30_ClientsReachBrokersByLoadBalancersAndThroughRouters(t *testing.T) {
	promise(t)
	if !isLocal() {
		t.Skip("the load balancers of another cluster are not ours to move")
	}
	ns := newNamespace(t)
	apply(t, ns, exposuresManifest)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	apply(t, ns, adminManifest+"\n---\n"+topicManifest(sharedTopic, ", partitions: 1, replicationFactor: 1"))
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	waitReady(t, time.Minute, topicNamed(ns, sharedTopic))
	l := loginOf(t, ns, adminUser)
	works := func(listener string, via func(string) string) {
		t.Helper()
		at := l.at(t, ns, sharedName, listener)
		at.via = via
		eventually(t, 30*time.Second, "records are sent by "+listener+", "+at.servers, func(context.Context) error {
			return tryToProduce(t, at, sharedTopic)
		})
	}
	works("lb", nil)
	works("router", func(address string) string { return routed(t, ns, address) })

	t.Run("a load balancer that does not come", func(t *testing.T) {
		before := lives(t, ns, sharedName)
		change(t, cluster, func(c kafkaCluster) {
			c.Spec.Listeners = append(c.Spec.Listeners, v1alpha1.Listener{Name: "late", Port: 9097,
				Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureLoadBalancer, Services: &v1alpha1.ExposureServices{
					Annotations: v1alpha1.Metadata{"localcluster/pending": "true"}}},
				Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismScram512}}})
		})
		eventually(t, 30*time.Second, "Ready names the Service that waits", func(ctx context.Context) error {
			if err := refresh(ctx, cluster); err != nil {
				return err
			}
			ready := meta.FindStatusCondition(cluster.conditions(), v1alpha1.ConditionReady)
			if ready == nil || ready.ObservedGeneration != cluster.Generation || ready.Reason != "AddressPending" ||
				missingIn(ready.Message, []string{"events-main-0-late", "load balancer"}) != "" {
				return fmt.Errorf("%s", told(cluster.conditions()))
			}
			return nil
		})
		mustLiveOn(t, ns, sharedName, before)
		works("lb", nil)
		change(t, cluster, func(c kafkaCluster) { c.Spec.Listeners[3].Exposure.Services = nil })
		waitReady(t, 2*time.Minute, cluster)
		works("late", nil)
	})
	t.Run("a load balancer that moves", func(t *testing.T) {
		const service = "events-main-0-lb"
		from := balancedAt(t, ns, service)
		to := from[:strings.LastIndex(from, ".")] + ".77"
		change(t, cluster, func(c kafkaCluster) {
			c.Spec.Listeners[1].Exposure.Brokers = &v1alpha1.BrokersExposure{
				Annotations: v1alpha1.Metadata{"localcluster/address": to}}
		})
		eventually(t, 2*time.Minute, "the broker advertises "+to, func(ctx context.Context) error {
			if err := isReady(ctx, cluster); err != nil {
				return err
			}
			for _, s := range cluster.Status.Listeners {
				if s.Name == "lb" && len(s.Addresses) == 1 && s.Addresses[0].Host == to {
					return nil
				}
			}
			return fmt.Errorf("%+v", cluster.Status.Listeners)
		})
		works("lb", nil)
	})
}

// routed is where a router sends what comes for a name: r.test to any broker, b0.r.test to broker 0.
func routed(t *testing.T, ns, address string) string {
	t.Helper()
	service, known := map[string]string{"r.test:443": "events-router", "b0.r.test:443": "events-main-0-router"}[address]
	if !known {
		t.Errorf("a client was sent to %s", address)
	}
	found := &corev1.Service{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: service}, found); err != nil {
		t.Error(err)
	}
	return net.JoinHostPort(found.Spec.ClusterIP, fmt.Sprint(found.Spec.Ports[0].Port))
}

// balancedAt is the address of a Service's load balancer.
func balancedAt(t *testing.T, ns, name string) string {
	t.Helper()
	service := &corev1.Service{}
	if err := kube.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, service); err != nil {
		t.Fatal(err)
	}
	if len(service.Status.LoadBalancer.Ingress) == 0 {
		t.Fatalf("Service %s has no load balancer", name)
	}
	return service.Status.LoadBalancer.Ingress[0].IP
}
