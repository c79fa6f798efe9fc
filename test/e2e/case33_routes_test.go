package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const routesManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  - {name: more, replicas: 1, roles: [Broker], storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: inside, port: 9092, authentication: {mechanisms: [SCRAM-SHA-512]}}
  - name: names
    port: 9094
    exposure:
      type: TLSRoute
      gateway: {name: public, namespace: %[1]s, sectionName: kafka}
      advertised: {hostTemplate: "b{nodeId}.g.test", portTemplate: 19443}
      bootstrap: {hosts: [g.test]}
    authentication: {mechanisms: [SCRAM-SHA-512]}
  - name: ports
    port: 9095
    encryption: None
    exposure:
      type: TCPRoute
      gateway: {name: public, namespace: %[1]s}
      advertised: {portTemplate: "19000+{nodeId}"}
      bootstrap: {port: 19095}
    authentication: {mechanisms: [SCRAM-SHA-512]}
  - name: shared
    port: 9096
    exposure:
      type: LoadBalancer
      brokers: {portTemplate: "9100+{nodeId}"}
      services: {annotations: {metallb.io/allow-shared-ip: events}}
    authentication: {mechanisms: [SCRAM-SHA-512]}
  authorization: {type: Simple, superUsers: [admin]}
`

const gatewayManifest = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public}
spec:
  gatewayClassName: test
  listeners:
  - {name: kafka, port: 19443, protocol: TLS, tls: {mode: Passthrough}, allowedRoutes: {namespaces: {from: %[1]s}}}
  - {name: begin, port: 19095, protocol: TCP, allowedRoutes: {namespaces: {from: All}}}
  - {name: b0, port: 19000, protocol: TCP, allowedRoutes: {namespaces: {from: All}}}
%[2]s`

const portOfBroker1000 = "  - {name: b1000, port: 20000, protocol: TCP, allowedRoutes: {namespaces: {from: All}}}\n"

// Clients outside reach brokers through a Gateway: by name, and by port at its one address; and by load balancers that
// share an address. What the Gateway lacks or refuses is told in its own words, and nothing else waits.
func TestCase33_ClientsReachBrokersThroughAGateway(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the Gateway API of another cluster is not ours to install")
	}
	installed := operator(t).Spec.Template.Spec.Containers[0].Image
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(6*time.Minute))
		defer cancel()
		if err := installOperator(ctx, installed); err != nil {
			t.Error(err)
		}
	})
	if err := installOperator(t.Context(), installed, "gatewayAPI.enabled=true"); err != nil {
		t.Fatal(err)
	}
	infra, ns := newNamespace(t), newNamespace(t)
	apply(t, ns, fmt.Sprintf(routesManifest, infra))
	cluster := clusterNamed(ns, sharedName)
	says := func(words ...string) {
		t.Helper()
		eventually(t, 2*time.Minute, fmt.Sprintf("Ready says %q", words), func(ctx context.Context) error {
			if err := refresh(ctx, cluster); err != nil {
				return err
			}
			ready := meta.FindStatusCondition(cluster.conditions(), v1alpha1.ConditionReady)
			if ready == nil || ready.ObservedGeneration != cluster.Generation || missingIn(ready.Message, words) != "" {
				return fmt.Errorf("%s", told(cluster.conditions()))
			}
			return nil
		})
	}
	says("listener names", "install the Gateway API")
	installGatewayAPI(t)
	says("listener names", "Gateway "+infra+"/public does not exist")
	apply(t, infra, fmt.Sprintf(gatewayManifest, "Same", ""))
	gateway := startGateway(t, client.ObjectKey{Namespace: infra, Name: "public"})
	says("Gateway "+infra+"/public rejects TLSRoute events-names: NotAllowedByListeners", "may not attach here")
	apply(t, infra, fmt.Sprintf(gatewayManifest, "All", ""))
	says("listener ports: Gateway " + infra + "/public has no listener with protocol TCP for port 20000: add it")
	before := lives(t, ns, sharedName)
	apply(t, infra, fmt.Sprintf(gatewayManifest, "All", portOfBroker1000))
	waitReady(t, 2*time.Minute, cluster)
	mustLiveOn(t, ns, sharedName, before)

	apply(t, ns, adminManifest+"\n---\n"+topicManifest(sharedTopic, ", partitions: 4, replicationFactor: 2"))
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	waitReady(t, time.Minute, topicNamed(ns, sharedTopic))
	l := loginOf(t, ns, adminUser)
	for _, listener := range []string{"names", "ports", "shared"} {
		at := l.at(t, ns, sharedName, listener)
		at.via = gateway.via("g.test", "b0.g.test", "b1000.g.test")
		say(t, "clients of %s begin at %s", listener, at.servers)
		startFlow(t, at, sharedTopic, "app-"+listener).stopKept(t)
	}
	mustShareAnAddress(t, cluster)
	t.Run("a removed listener", func(t *testing.T) {
		change(t, cluster, func(c kafkaCluster) {
			c.Spec.Listeners = append(c.Spec.Listeners[:1], c.Spec.Listeners[3:]...)
		})
		waitReady(t, 3*time.Minute, cluster)
		eventually(t, time.Minute, "its routes are gone", func(ctx context.Context) error {
			for _, kind := range []string{"TLSRoute", "TCPRoute"} {
				list := &unstructured.UnstructuredList{}
				list.SetGroupVersionKind(gatewayVersion.WithKind(kind + "List"))
				if err := kube.List(ctx, list, client.InNamespace(ns)); err != nil || len(list.Items) > 0 {
					return fmt.Errorf("%d of kind %s: %w", len(list.Items), kind, err)
				}
			}
			return nil
		})
	})
}

// mustShareAnAddress holds that all that clients of listener shared are told is at one address, at different ports.
func mustShareAnAddress(t *testing.T, cluster kafkaCluster) {
	t.Helper()
	if err := refresh(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	for _, l := range cluster.Status.Listeners {
		if l.Name != "shared" {
			continue
		}
		want := []v1alpha1.NodeAddress{{NodeID: 0, Host: l.LoadBalancerAddresses[0], Port: 9100},
			{NodeID: 1000, Host: l.LoadBalancerAddresses[0], Port: 10100}}
		if !slices.Equal(l.Addresses, want) {
			t.Errorf("brokers are at %+v, want %+v", l.Addresses, want)
		}
	}
}
