package exposure

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

func number(text string) *intstr.IntOrString {
	n := intstr.Parse(text)
	return &n
}

func TestTemplatesOfNumbers(t *testing.T) {
	for text, want := range map[string]int{"443": 443, "9000+{nodeId}": 9007, "0+{nodeId}": 7} {
		if template, err := ParseNumber(number(text)); err != nil || template.Of(7) != want {
			t.Errorf("%s makes %d of node 7, want %d: %v", text, template.Of(7), want, err)
		}
	}
	for _, text := range []string{"", "port", "{nodeId}", "9000{nodeId}", "9000+{pod}", "-1", "900000", "9000 + {nodeId}"} {
		if template, err := ParseNumber(number(text)); err == nil {
			t.Errorf("%q is taken for %+v", text, template)
		}
	}
	if template, err := ParseNumber(nil); err != nil || template.Of(7) != 0 {
		t.Errorf("no template makes %d: %v", template.Of(7), err)
	}
}

func TestOnlyWordsInBracesArePlaceholders(t *testing.T) {
	for template, want := range map[string]string{
		"b-{nodeId}.{pod}.{cluster}.{namespace}": "", `{"ingress": true}`: "", "{}": "", "plain": "",
		"b-{nodeID}": "{nodeID}", "b-{nodeId}-{rack}": "{rack}",
	} {
		if got := UnknownPlace(template); got != want {
			t.Errorf("%s: unknown is %q, want %q", template, got, want)
		}
	}
}

func TestOverridesAreAboveTemplatesAndTheseAboveWhatTheTypeGives(t *testing.T) {
	c := &model.Cluster{Namespace: "shop", Name: "events", Domain: "cluster.local"}
	node := func(id int32) *model.Node {
		return &model.Node{ID: id, PodName: "events-main-1", Host: "events-main-1.events-nodes.shop.svc.cluster.local"}
	}
	for name, tt := range map[string]struct {
		advertised v1alpha1.Advertised
		id         int32
		want       Address
	}{
		"nothing is said": {v1alpha1.Advertised{}, 1, Address{Host: node(1).Host, Port: 9092}},
		"a host":          {v1alpha1.Advertised{HostTemplate: "b{nodeId}.{namespace}.org"}, 1, Address{Host: "b1.shop.org", Port: 9092}},
		"a port":          {v1alpha1.Advertised{PortTemplate: number("443")}, 1, Address{Host: node(1).Host, Port: 443}},
		"host and port": {v1alpha1.Advertised{HostTemplate: "{pod}.{cluster}", PortTemplate: number("9000+{nodeId}")}, 1,
			Address{Host: "events-main-1.events", Port: 9001}},
		"one host is another": {v1alpha1.Advertised{HostTemplate: "b{nodeId}.org", PortTemplate: number("443"),
			Overrides: []v1alpha1.AdvertisedOverride{{NodeID: 2, Host: "x"}, {NodeID: 1, Host: "FD00::0001"}}}, 1,
			Address{Host: "fd00::1", Port: 443}},
		"one port is another": {v1alpha1.Advertised{HostTemplate: "b{nodeId}.org", PortTemplate: number("443"),
			Overrides: []v1alpha1.AdvertisedOverride{{NodeID: 1, Port: 8443}}}, 1, Address{Host: "b1.org", Port: 8443}},
		"another node's": {v1alpha1.Advertised{Overrides: []v1alpha1.AdvertisedOverride{{NodeID: 2, Host: "x", Port: 1}}}, 1,
			Address{Host: node(1).Host, Port: 9092}},
	} {
		l := model.Listener{Name: "clients", Port: 9092, Exposure: v1alpha1.ExposureInternal, Advertised: tt.advertised}
		if got := Advertise(c, node(tt.id), l, Given{}); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// Where a port is given, the one of the Service need not be known; and where clients neither are sent to the Kubernetes
// nodes nor begin there, no certificate has to name these.
func TestTemplatesBeforeANodePort(t *testing.T) {
	c := &model.Cluster{Namespace: "shop", Name: "events", Domain: "cluster.local"}
	n := &model.Node{ID: 1, PodName: "events-main-1"}
	l := model.Listener{Name: "outside", Port: 9094, Exposure: v1alpha1.ExposureNodePort,
		Advertised: v1alpha1.Advertised{HostTemplate: "nat.example.com", PortTemplate: number("9000+{nodeId}")}}
	want := Address{Host: "nat.example.com", Port: 9001, Service: "events-main-1-outside", HostIP: true}
	if got := Advertise(c, n, l, Given{}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	l.Hosts = []string{"kafka.example.com"}
	want.HostIP, want.NodePort = false, 30001
	if got := Advertise(c, n, l, Given{Ports: map[string]int32{"events-main-1-outside": 30001}}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestHostsOfOnesOwnComeFirst(t *testing.T) {
	c := &model.Cluster{Namespace: "shop", Name: "events", Domain: "cluster.local",
		Pools: []model.Pool{{Name: "main", Broker: true}}, Nodes: []model.Node{{ID: 0, Pool: "main"}}}
	at := map[int32]model.HostIPs{0: {"10.0.0.7"}}
	internal := model.Listener{Name: "clients", Service: "events-clients", Exposure: v1alpha1.ExposureInternal, Port: 9092,
		BootstrapPort: 9092, Hosts: []string{"kafka.example.com", "fd00::1"}, HostsPort: 443}
	if got, want := Bootstrap(c, internal, at),
		"kafka.example.com:443,[fd00::1]:443,events-clients.shop.svc.cluster.local:9092"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	internal.CertificateSecret = "web" // it need not name the Service
	if got, want := Bootstrap(c, internal, at), "kafka.example.com:443,[fd00::1]:443"; got != want {
		t.Errorf("with a certificate of the user's own: %s, want %s", got, want)
	}
	outside := model.Listener{Name: "outside", Exposure: v1alpha1.ExposureNodePort, BootstrapPort: 30000}
	if got, want := Bootstrap(c, outside, at), "10.0.0.7:30000"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	outside.Hosts = []string{"kafka.example.com"} // they take the place of nodes that no certificate need name
	if got, want := Bootstrap(c, outside, at), "kafka.example.com:30000"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	outside.BootstrapPort = 0
	if got := Bootstrap(c, outside, at); got != "" {
		t.Errorf("without a port: %s", got)
	}
}
