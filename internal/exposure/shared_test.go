package exposure

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// behindOne is a listener whose brokers are all behind its bootstrap Service.
func behindOne(c *model.Cluster) model.Listener {
	return model.Listener{Name: "outside", Port: 9094, Exposure: v1alpha1.ExposureLoadBalancer, OneService: true,
		Service: c.BootstrapService("outside"), OfBrokers: v1alpha1.BrokersExposure{PortTemplate: number("9100+{nodeId}")}}
}

func threeBrokers() *model.Cluster {
	c := &model.Cluster{Namespace: "shop", Name: "events", Domain: "cluster.local",
		Pools: []model.Pool{{Name: "main", Broker: true}, {Name: "control", Controller: true}}}
	for id := range int32(3) {
		c.Nodes = append(c.Nodes, model.Node{ID: id, Pool: "main", PodName: fmt.Sprintf("events-main-%d", id)})
	}
	c.Nodes = append(c.Nodes, model.Node{ID: 1000, Pool: "control", PodName: "events-control-1000"})
	return c
}

func TestBrokersBehindOneServiceAdvertiseItsAddressAndPortsOfTheirOwn(t *testing.T) {
	c := threeBrokers()
	known := Given{WritesSlices: true, Balanced: map[string][]string{"events-outside": {"lb.example.com"}}}
	now := map[int32]map[string]model.HostPort{1: {"OUTSIDE": {Host: "old", Port: 9}}}
	const silent = "Service events-outside waits for an address of its load balancer"
	for name, tt := range map[string]struct {
		given  Given
		change func(l *model.Listener)
		want   Address
	}{
		"its address is known": {known, nil, Address{Host: "lb.example.com", Port: 9101}},
		"its address is not":   {Given{WritesSlices: true}, nil, Address{Late: silent}},
		"it is told another host": {Given{WritesSlices: true}, func(l *model.Listener) {
			l.Advertised.HostTemplate = "kafka.example.com"
		}, Address{Host: "kafka.example.com", Port: 9101}},
		"it is told another port": {known, func(l *model.Listener) { l.Advertised.PortTemplate = number("19100+{nodeId}") },
			Address{Host: "lb.example.com", Port: 19101}},
		// Nothing would lead to the broker: who has started without the listener waits, who runs keeps what clients know.
		"nobody may write slices": {Given{Balanced: known.Balanced}, nil, Address{Late: withoutSlices}},
		"Kubernetes does not let it": {Given{Balanced: known.Balanced, SlicesDenied: "forbidden"}, nil,
			Address{Late: "the operator may not work with EndpointSlices, which alone lead to single brokers behind one Service " +
				"(forbidden): give its role the rules of config/endpoint-slices, as endpointSlices.enabled of its chart does"}},
		"nor with a host": {Given{Balanced: known.Balanced}, func(l *model.Listener) { l.Advertised.HostTemplate = "k.org" },
			Address{Late: withoutSlices}},
		"nor any more": {Given{Balanced: known.Balanced, Advertised: now}, nil,
			Address{Host: "old", Port: 9, Late: withoutSlices}},
	} {
		l := behindOne(c)
		if tt.change != nil {
			tt.change(&l)
		}
		if got := Advertise(c, &c.Nodes[1], l, tt.given); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// shapedOne is the one Service of a listener.
func shapedOne(c *model.Cluster, l model.Listener) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: l.Name, Port: l.Port}}}}
	Shape(s, c, l, nil, 0)
	return s
}

func portsOf(s *corev1.Service) string {
	var ports []string
	for _, p := range s.Spec.Ports {
		ports = append(ports, fmt.Sprintf("%s:%d", p.Name, p.Port))
	}
	return strings.Join(ports, " ")
}

// A broker that leaves serves until it holds nothing. Until it is gone it keeps its port.
func TestOneServiceHasAPortForEachBrokerThatClientsReach(t *testing.T) {
	c := threeBrokers()
	if got, want := portsOf(shapedOne(c, behindOne(c))), "outside:9094 broker-0:9100 broker-1:9101 broker-2:9102"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	c.Nodes, c.Parting = slices.Delete(c.Nodes, 2, 3), []model.Node{{ID: 2, Pool: "main"}, {ID: 7, Pool: "former"}}
	if got, want := portsOf(shapedOne(c, behindOne(c))),
		"outside:9094 broker-0:9100 broker-1:9101 broker-2:9102 broker-7:9107"; got != want {
		t.Errorf("while two leave: %s, want %s", got, want)
	}
	// Another template was accepted without the brokers that leave: Kubernetes would refuse the whole Service for them.
	l := behindOne(c)
	l.OfBrokers.PortTemplate = number("9087+{nodeId}")
	c.Parting = append(c.Parting, model.Node{ID: 65000, Pool: "former"})
	if got, want := portsOf(shapedOne(c, l)), "outside:9094 broker-0:9087 broker-1:9088 broker-2:9089"; got != want {
		t.Errorf("with a template that has no room: %s, want %s", got, want)
	}
	apart := behindOne(c)
	if apart.OneService = false; portsOf(shapedOne(c, apart)) != "outside:9094" {
		t.Errorf("brokers with Services of their own: %s", portsOf(shapedOne(c, apart)))
	}
}

// Kubernetes writes EndpointSlices for the same Service, which lead each port to every broker that has a container port
// of the name that is its target. None has that of a broker's port, and no listener can be given its name.
func TestKubernetesItselfLeadsToNoSingleBroker(t *testing.T) {
	c := threeBrokers()
	listeners := regexp.MustCompile(`^[a-z][a-z0-9]{0,10}$`)
	for _, p := range shapedOne(c, behindOne(c)).Spec.Ports[1:] {
		if listeners.MatchString(p.Name) || listeners.MatchString(p.TargetPort.StrVal) || p.TargetPort.StrVal == "" ||
			len(p.TargetPort.StrVal) > 15 || p.Protocol != corev1.ProtocolTCP {
			t.Errorf("port %+v could be one that a pod has", p)
		}
	}
}

// The names of all brokers lead to the one Service: external-dns is asked for them there.
func TestExternalDNSIsAskedForAllNamesAtTheOneService(t *testing.T) {
	c := threeBrokers()
	l := behindOne(c)
	l.Hosts, l.Services.ExternalDNS = []string{"kafka.org"}, true
	for template, want := range map[string]string{
		"b{nodeId}.org": "kafka.org,b0.org,b1.org,b2.org", "all.org": "kafka.org,all.org", "kafka.org": "kafka.org",
	} {
		l.Advertised.HostTemplate = template
		if got := shapedOne(c, l).Annotations[externalDNS[0]]; got != want {
			t.Errorf("%s: it is asked for %q, want %q", template, got, want)
		}
	}
}
