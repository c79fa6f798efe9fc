package cluster

import (
	"maps"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/observe"
)

// expose gives the cluster another exposure of its only listener.
func (h *house) expose(e v1alpha1.Exposure) {
	h.Helper()
	cluster := &v1alpha1.KafkaCluster{}
	h.get("events", cluster)
	cluster.Spec.Listeners[0].Exposure = e
	cluster.Generation++
	if err := h.api.Update(h.Context(), cluster); err != nil {
		h.Fatal(err)
	}
}

// listener is what the status says of the only listener.
func (h *house) listener() v1alpha1.ListenerStatus {
	h.Helper()
	cluster := &v1alpha1.KafkaCluster{}
	h.get("events", cluster)
	return cluster.Status.Listeners[0]
}

// staged are the advertised listeners of node 0 in the revision that its StatefulSet names.
func (h *house) staged() string {
	h.Helper()
	set, revision := &appsv1.StatefulSet{}, &corev1.ConfigMap{}
	h.get("events-main", set)
	h.get(observe.RevisionName(set.Spec.Template.Spec.Volumes), revision)
	for line := range strings.Lines(revision.Data["0.server.properties"]) {
		if value, is := strings.CutPrefix(line, "advertised.listeners="); is {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// A cluster begins without its load balancers: nothing waits for them, the status says which one has no address, and
// what others write into the Services stays.
func TestAClusterBeginsWithoutItsLoadBalancers(t *testing.T) {
	h := newHouse(t)
	h.expose(v1alpha1.Exposure{Type: v1alpha1.ExposureLoadBalancer})
	h.reconcile()
	if got := h.staged(); !strings.Contains(got, "REPLICATION://") || strings.Contains(got, "CLIENTS://") {
		t.Errorf("the node starts with %s", got)
	}
	if got, want := h.listener().Message, "Service events-main-0-clients waits for an address of its load balancer; and 1 more"; got != want {
		t.Errorf("the status says %q, want %q", got, want)
	}
	for name, address := range map[string]string{"events-main-0-clients": "lb-0.example.com", "events-clients": "lb.example.com"} {
		service := &corev1.Service{}
		h.get(name, service)
		service.Annotations["cloud.example.com/id"], service.Finalizers = "42", []string{"service.kubernetes.io/load-balancer-cleanup"}
		service.Spec.HealthCheckNodePort, service.Spec.Ports[0].NodePort = 31234, 31235
		class := "service.k8s.aws/nlb" // a webhook writes it, and Kubernetes never changes it
		service.Spec.LoadBalancerClass = &class
		if err := h.api.Update(t.Context(), service); err != nil {
			t.Fatal(err)
		}
		service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: address}}
		if err := h.api.Status().Update(t.Context(), service); err != nil {
			t.Fatal(err)
		}
	}
	h.reconcile()
	got := h.listener()
	want := v1alpha1.NodeAddress{NodeID: 0, Host: "lb-0.example.com", Port: 9092}
	if got.Message != "broker 0 does not have it yet; clients are told of it then" || got.BootstrapServers != "" ||
		got.LoadBalancerAddresses[0] != "lb.example.com" || len(got.Addresses) != 1 || got.Addresses[0] != want {
		t.Errorf("the status says %+v", got)
	}
	service := &corev1.Service{}
	h.get("events-main-0-clients", service)
	if service.Annotations["cloud.example.com/id"] != "42" || len(service.Finalizers) != 1 ||
		service.Spec.LoadBalancerClass == nil || service.Spec.HealthCheckNodePort != 31234 || service.Spec.Ports[0].NodePort != 31235 {
		t.Errorf("what others have written is gone: %+v", service)
	}
	before := service.ResourceVersion
	h.reconcile()
	if h.get("events-main-0-clients", service); service.ResourceVersion != before {
		t.Error("the Service is written again and again")
	}
}

// A node port that somebody else has is the user's to change. No other one is taken, and nothing else waits.
func TestAFixedNodePortThatIsTakenIsToldInKubernetesWords(t *testing.T) {
	h := newHouse(t)
	h.refusePort = true
	h.expose(v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort, Bootstrap: &v1alpha1.BootstrapExposure{NodePort: 30123}})
	said := h.reconcile()
	const want = "Invalid: spec.listeners[clients].exposure: Kubernetes refuses Service events-clients: "
	if !strings.HasPrefix(said, want) || !strings.Contains(said, "provided port is already allocated") {
		t.Errorf("it says %q, want %q", said, want)
	}
	if h.exists("events-clients", &corev1.Service{}) {
		t.Error("the Service is there, with a port that nobody asked for")
	}
	if !h.exists("events-main", &appsv1.StatefulSet{}) || !strings.Contains(h.staged(), "CLIENTS://@HOST_IP@:30999") {
		t.Error("the brokers wait for the port at which clients begin")
	}
	h.expose(v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort, Bootstrap: &v1alpha1.BootstrapExposure{NodePort: 30124}})
	h.reconcile()
	if got := h.listener().NodePorts; !maps.Equal(got, map[string]int32{"events-clients": 30124, "events-main-0-clients": 30999}) {
		t.Errorf("node ports are %v", got)
	}
}

// A fixed port survives the Service, and one that is changed in the spec is followed.
func TestAFixedNodePortIsAskedForAgain(t *testing.T) {
	h := newHouse(t)
	e := v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort, Bootstrap: &v1alpha1.BootstrapExposure{NodePort: 31001}}
	h.expose(e)
	h.reconcile()
	service := &corev1.Service{}
	for _, port := range []int32{31001, 31002} {
		e.Bootstrap.NodePort = port
		h.expose(e)
		h.reconcile()
		if h.get("events-clients", service); service.Spec.Ports[0].NodePort != port {
			t.Errorf("it is at port %d, want %d", service.Spec.Ports[0].NodePort, port)
		}
		if err := h.api.Delete(t.Context(), service, client.Preconditions{}); err != nil {
			t.Fatal(err)
		}
		service = &corev1.Service{}
		h.reconcile()
		if h.get("events-clients", service); service.Spec.Ports[0].NodePort != port {
			t.Errorf("made again it is at port %d, want %d", service.Spec.Ports[0].NodePort, port)
		}
	}
}

// Whoever comes to a listener that is being removed is refused by the leaders that are without it: it leaves the status
// before any node is given files without it.
func TestAListenerThatGoesIsTakenFromTheStatusFirst(t *testing.T) {
	h := newHouse(t)
	cluster := &v1alpha1.KafkaCluster{}
	h.get("events", cluster)
	cluster.Spec.Listeners = append(cluster.Spec.Listeners, v1alpha1.Listener{Name: "old", Port: 9094})
	if err := h.api.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	h.reconcile()
	h.get("events", cluster)
	if len(cluster.Status.Listeners) != 2 || !strings.Contains(h.staged(), "OLD://") {
		t.Fatalf("it was never there: %+v, %s", cluster.Status.Listeners, h.staged())
	}
	cluster.Spec.Listeners, cluster.Generation = cluster.Spec.Listeners[:1], cluster.Generation+1
	if err := h.api.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	staged := 0
	h.applying = func(kind string) {
		if kind != "StatefulSet" {
			return
		}
		staged++
		now := &v1alpha1.KafkaCluster{}
		if h.get("events", now); len(now.Status.Listeners) != 1 {
			t.Errorf("files without the listener are staged, and the status has %+v", now.Status.Listeners)
		}
	}
	h.reconcile()
	if staged == 0 || strings.Contains(h.staged(), "OLD://") {
		t.Errorf("staged %d times, in the end %s", staged, h.staged())
	}
}
