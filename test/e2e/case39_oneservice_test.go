package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const oneServiceManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: inside, port: 9092, authentication: {mechanisms: [SCRAM-SHA-512]}}
  - name: external
    port: 9094
    exposure: {type: LoadBalancer, brokers: {servicePolicy: Shared, portTemplate: "9100+{nodeId}"}}
    authentication: {mechanisms: [SCRAM-SHA-512]}
  authorization: {type: Simple, superUsers: [admin]}
`

// Clients outside reach every broker at the one address of one Service, each at a port of its own. A pod that comes back
// elsewhere is followed while the operator runs, and waits for it otherwise; who has not moved needs no operator.
func TestCase39_ClientsReachAllBrokersByOneService(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the operator of another cluster is not ours to stop")
	}
	installed := operator(t).Spec.Template.Spec.Containers[0].Image
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pace.Of(6*time.Minute))
		defer cancel()
		if err := errors.Join(scaleOperator(ctx, 1), installOperator(ctx, installed), pollOperator(ctx)); err != nil {
			t.Error(err)
		}
	})
	ns := newNamespace(t)
	apply(t, ns, oneServiceManifest)
	cluster := clusterNamed(ns, sharedName)
	eventually(t, 3*time.Minute, "Ready says what to set", func(ctx context.Context) error {
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		ready := meta.FindStatusCondition(cluster.conditions(), v1alpha1.ConditionReady)
		if ready == nil || ready.Reason != "AddressPending" || missingIn(ready.Message, []string{"endpointSlices.enabled"}) != "" {
			return fmt.Errorf("%s", told(cluster.conditions()))
		}
		return nil
	})
	if err := installOperator(t.Context(), installed, "endpointSlices.enabled=true"); err != nil {
		t.Fatal(err)
	}
	waitReady(t, 4*time.Minute, cluster)
	apply(t, ns, adminManifest+"\n---\n"+topicManifest(sharedTopic, ", partitions: 6, replicationFactor: 3"))
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	waitReady(t, time.Minute, topicNamed(ns, sharedTopic))
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "external")
	address := balancedAt(t, ns, "events-external")
	mustBeAtOneAddress(t, cluster, address, 9100, 9101, 9102)
	broker := oneBroker{t: t, ns: ns, address: address, login: l}
	for id := range 3 {
		broker.answers("main", id, time.Minute)
	}
	flow := startFlow(t, l, sharedTopic, "app")

	t.Run("a pod that comes back", func(t *testing.T) {
		removePod(t, ns, "events-main-1")
		waitReady(t, 3*time.Minute, cluster)
		broker.answers("main", 1, time.Minute)
		flow.progress(t, time.Minute)
	})
	t.Run("a pod that comes back while no operator runs", func(t *testing.T) {
		if err := scaleOperator(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "no operator runs", func(ctx context.Context) error {
			pods, err := operatorPods(ctx)
			if err == nil && len(pods) > 0 {
				err = fmt.Errorf("%d pods", len(pods))
			}
			return err
		})
		before, after := removePod(t, ns, "events-main-1"), &corev1.Pod{}
		eventually(t, 2*time.Minute, "the pod is back and ready", func(ctx context.Context) error {
			if err := kube.Get(ctx, client.ObjectKeyFromObject(before), after); err != nil {
				return err
			}
			if after.UID == before.UID || !podReady(after) {
				return fmt.Errorf("it is pod %s, ready %v", after.UID, podReady(after))
			}
			return nil
		})
		broker.answers("main", 0, time.Minute)
		broker.answers("main", 2, time.Minute)
		if err := tryToLogIn(t, l); err != nil {
			t.Errorf("nobody can begin at %s: %v", l.servers, err)
		}
		if after.Status.PodIP == before.Status.PodIP {
			say(t, "the pod has its old address, so that its slice is right")
		} else if err := broker.reach("main", 1); err == nil {
			t.Error("broker 1 is reached at an address that nobody has written")
		}
		if err := errors.Join(scaleOperator(t.Context(), 1), pollOperator(t.Context())); err != nil {
			t.Fatal(err)
		}
		broker.answers("main", 1, time.Minute)
		waitReady(t, 3*time.Minute, cluster)
		flow.progress(t, time.Minute)
	})
	t.Run("a broker that is added", func(t *testing.T) {
		lived := lives(t, ns, sharedName)
		change(t, cluster, func(c kafkaCluster) {
			c.Spec.Pools = append(c.Spec.Pools, v1alpha1.Pool{Name: "more", Replicas: new(int32(1)), Roles: []v1alpha1.Role{v1alpha1.RoleBroker},
				Storage: v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data", Size: resource.MustParse("1Gi")}}},
				JVM:     v1alpha1.JVM{Heap: new(resource.MustParse("256Mi"))}})
		})
		waitReady(t, 3*time.Minute, cluster)
		mustLiveOn(t, ns, sharedName, lived)
		mustBeAtOneAddress(t, cluster, address, 9100, 9101, 9102, 10100)
		broker.answers("more", 1000, time.Minute)
	})
	flow.stopKept(t)
	t.Run("a removed listener", func(t *testing.T) {
		change(t, cluster, func(c kafkaCluster) { c.Spec.Listeners = c.Spec.Listeners[:1] })
		waitReady(t, 4*time.Minute, cluster)
		eventually(t, time.Minute, "its slices are gone", func(ctx context.Context) error {
			var list discoveryv1.EndpointSliceList
			err := kube.List(ctx, &list, client.InNamespace(ns),
				client.MatchingLabels{discoveryv1.LabelManagedBy: v1alpha1.EndpointSliceManager})
			if err != nil || len(list.Items) > 0 {
				return fmt.Errorf("%d are there: %w", len(list.Items), err)
			}
			return nil
		})
	})
}

// removePod deletes a pod, and returns it as it was.
func removePod(t *testing.T, ns, name string) *corev1.Pod {
	t.Helper()
	pod := getPod(t, ns, name)
	if err := kube.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// mustBeAtOneAddress holds that clients are told one host for all brokers, and these ports.
func mustBeAtOneAddress(t *testing.T, cluster kafkaCluster, host string, ports ...int32) {
	t.Helper()
	if err := refresh(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	for _, l := range cluster.Status.Listeners {
		if l.Name != "external" {
			continue
		}
		var told []int32
		for _, a := range l.Addresses {
			if told = append(told, a.Port); a.Host != host {
				t.Errorf("broker %d is at %s, want %s", a.NodeID, a.Host, host)
			}
		}
		if !slices.Equal(told, ports) || l.BootstrapServers != net.JoinHostPort(host, "9094") {
			t.Errorf("clients begin at %s, and brokers are at ports %v, want %v", l.BootstrapServers, told, ports)
		}
	}
}

// oneBroker looks who answers at the port of a broker.
type oneBroker struct {
	t           *testing.T
	ns, address string
	login       login
}

// reach says why the port of a broker does not lead to the pod of that very broker, which its certificate names.
func (b oneBroker) reach(pool string, id int) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(b.login.ca)
	at := net.JoinHostPort(b.address, fmt.Sprint(9100+id))
	name := fmt.Sprintf("events-%s-%d.events-nodes.%s.svc.cluster.local", pool, id, b.ns)
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: pace.Of(5 * time.Second)}, "tcp", at,
		&tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12})
	if err != nil {
		return fmt.Errorf("%s does not lead to %s: %w", at, name, err)
	}
	return conn.Close()
}

func (b oneBroker) answers(pool string, id int, within time.Duration) {
	b.t.Helper()
	eventually(b.t, within, fmt.Sprintf("broker %d answers at its port", id), func(context.Context) error {
		return b.reach(pool, id)
	})
}
