package api

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/render"
)

// behindOne is a cluster whose brokers are behind one Service.
func behindOne(name string, ids ...int32) *model.Cluster {
	template := intstr.FromString("9100+{nodeId}")
	c := &model.Cluster{Namespace: metav1.NamespaceDefault, Name: name, Pools: []model.Pool{{Name: "main", Broker: true}},
		Listeners: []model.Listener{{Name: "external", Port: 9094, Exposure: v1alpha1.ExposureLoadBalancer, OneService: true,
			Service: name + "-external", Families: []corev1.IPFamily{corev1.IPv4Protocol},
			OfBrokers: v1alpha1.BrokersExposure{ServicePolicy: v1alpha1.ServiceShared, PortTemplate: &template}}}}
	for _, id := range ids {
		c.Nodes = append(c.Nodes, model.Node{ID: id, Pool: "main", PodName: fmt.Sprintf("%s-main-%d", name, id)})
	}
	return c
}

func oneServiceOf(c *model.Cluster) *corev1.Service {
	for _, object := range render.Quiet(c) {
		if object.GetName() == c.Listeners[0].Service {
			return object.(*corev1.Service)
		}
	}
	return nil
}

// TestPortsOfBrokersComeAndGo: a real API server merges the ports of a Service by their numbers. Whoever stays keeps the
// node port, by which a load balancer leads there, and what has converged is written no more.
func TestPortsOfBrokersComeAndGo(t *testing.T) {
	t.Parallel()
	const name = "grows-and-shrinks"
	kept := map[string]int32{}
	for _, ids := range [][]int32{{0, 1, 2}, {0, 1, 2, 1000}, {0, 1, 2, 3, 1000}, {0, 2, 1000}, {2}, {1, 2, 3}} {
		live, err := applied(t, func(int32) *corev1.Service { return oneServiceOf(behindOne(name, ids...)) })
		if err != nil {
			t.Fatalf("brokers %v: %v", ids, err)
		}
		want := []string{"external:9094"}
		for _, id := range ids {
			want = append(want, fmt.Sprintf("%s:%d", exposure.BrokerPort(id), 9100+id))
		}
		var got []string
		for _, p := range live.Spec.Ports {
			got = append(got, fmt.Sprintf("%s:%d", p.Name, p.Port))
			if before := kept[p.Name]; before != 0 && before != p.NodePort && (p.Name == "external" || p.Name == "broker-2") {
				t.Errorf("brokers %v: %s had node port %d, and has %d", ids, p.Name, before, p.NodePort)
			}
			kept[p.Name] = p.NodePort
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("brokers %v: ports %v, want %v", ids, got, want)
		}
	}
}

// TestBrokersMoveBehindOneServiceAndBack: the bootstrap Service of each type takes the ports of brokers, and loses them.
func TestBrokersMoveBehindOneServiceAndBack(t *testing.T) {
	t.Parallel()
	for _, row := range exposure.Rows {
		name := "once-" + string(rune('a'+slices.IndexFunc(exposure.Rows, func(r exposure.Row) bool { return r.Type == row.Type })))
		for _, shared := range []bool{false, true, false} {
			c := behindOne(name, 0, 1)
			if !shared {
				c.Listeners[0].Exposure, c.Listeners[0].OneService = row.Type, false
			}
			live, err := applied(t, func(port int32) *corev1.Service {
				c.Listeners[0].BootstrapPort = port
				return oneServiceOf(c)
			})
			if want := map[bool]int{true: 3, false: 1}[shared]; err != nil || len(live.Spec.Ports) != want {
				t.Errorf("%s, behind one Service %t: ports %+v, error %v", row.Type, shared, live.Spec.Ports, err)
			}
		}
	}
}

// TestEndpointSlicesAreTaken: what is rendered is a valid EndpointSlice, is written no more once it is there, follows the
// pod, and has nobody in it whom somebody else wrote there.
func TestEndpointSlicesAreTaken(t *testing.T) {
	t.Parallel()
	c := behindOne("sliced", 0)
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: "sliced-main-0", UID: "u"}}
	pod.Spec.Containers = []corev1.Container{{Name: render.ContainerName,
		Ports: []corev1.ContainerPort{{Name: "external", ContainerPort: 9094}}}}
	applier, live := &apply.Applier{Client: kube}, &discoveryv1.EndpointSlice{}
	converge := func(pods ...corev1.Pod) []discoveryv1.Endpoint {
		t.Helper()
		for range 3 {
			slice := render.Slices(c, pods)[0]
			var known client.Object
			if err := kube.Get(t.Context(), client.ObjectKeyFromObject(slice), live); err == nil {
				known = live
			}
			written, err := applier.Apply(t.Context(), slice, known)
			if err != nil {
				t.Fatal(err)
			}
			if !written {
				return live.Endpoints
			}
		}
		t.Fatal("it is written again and again")
		return nil
	}
	if got := converge(); len(got) != 0 || *live.Ports[0].Name != "broker-0" {
		t.Errorf("without a pod: %+v", live)
	}
	for _, address := range []string{"10.0.0.7", "10.0.0.8"} {
		pod.Status.PodIPs = []corev1.PodIP{{IP: address}}
		if got := converge(pod); len(got) != 1 || got[0].Addresses[0] != address {
			t.Errorf("at %s: %+v", address, got)
		}
	}
	live.Endpoints = append(live.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.0.0.66"}})
	if err := kube.Update(t.Context(), live, client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	if got := converge(pod); len(got) != 1 || got[0].Addresses[0] != "10.0.0.8" {
		t.Errorf("with somebody else's endpoint: %+v", got)
	}
	if got := converge(); len(got) != 0 {
		t.Errorf("when the pod is gone: %+v", got)
	}
}
