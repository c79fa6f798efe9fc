package decide

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
)

// Routes of a listener that is gone go with it; those of others, and what the cluster does not own, stay.
func TestRoutesOfARemovedListenerGo(t *testing.T) {
	cluster := &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "events", UID: "u"}}
	c := &model.Cluster{Namespace: "shop", Name: "events", Pools: []model.Pool{{Name: "main", Broker: true}},
		Nodes: []model.Node{{ID: 0, Pool: "main", PodName: "events-main-0"}},
		Listeners: []model.Listener{{Name: "out", Port: 9094, Service: "events-out", Exposure: v1alpha1.ExposureTCPRoute,
			Gateway: v1alpha1.GatewayReference{Name: "public", Namespace: "infra", Kind: v1alpha1.GatewayKindGateway}}}}
	live := &observe.Live{Gateways: observe.Gateways{Routes: map[string]*unstructured.Unstructured{}}}
	yes := true
	for name, owned := range map[string]bool{
		"TCPRoute events-out": true, "TCPRoute events-main-0-out": true, // needed
		"TCPRoute events-main-1-out": true, // of a broker that is gone
		"TLSRoute events-out":        true, // of another type of exposure
		"TCPRoute events-old":        true, "TCPRoute theirs": false,
	} {
		route := &unstructured.Unstructured{Object: map[string]any{}}
		route.SetName(name)
		if owned {
			route.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "KafkaCluster", Name: "events", UID: "u", Controller: &yes}})
		}
		live.Gateways.Routes[name] = route
	}
	got := map[string]bool{}
	for _, o := range surplusRoutes(cluster, c, live) {
		got[o.GetName()] = true
	}
	if len(got) != 3 || !got["TCPRoute events-main-1-out"] || !got["TLSRoute events-out"] || !got["TCPRoute events-old"] {
		t.Errorf("what goes is %v", got)
	}
}

// What is known of a listener's addresses is not carried over to another type of exposure.
func TestAddressesAreKeptForTheSameExposure(t *testing.T) {
	spec := func(kind v1alpha1.ExposureType) *v1alpha1.KafkaClusterSpec {
		return &v1alpha1.KafkaClusterSpec{Listeners: []v1alpha1.Listener{{Name: "out", Exposure: v1alpha1.Exposure{Type: kind,
			Gateway: &v1alpha1.GatewayReference{Name: "public"}}}}}
	}
	cluster := &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "events"}}
	cluster.Status.Listeners = []v1alpha1.ListenerStatus{{Name: "out", LoadBalancerAddresses: []string{"192.0.2.1"}}}
	for was, want := range map[v1alpha1.ExposureType]int{v1alpha1.ExposureTCPRoute: 1, v1alpha1.ExposureLoadBalancer: 0} {
		in := Inputs{Cluster: cluster, Accepted: spec(was), Live: &observe.Live{}}
		if got := balanced(in, spec(v1alpha1.ExposureTCPRoute))["events-out"]; len(got) != want {
			t.Errorf("it was of type %s, and is at %v", was, got)
		}
	}
}
