package exposure

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

func TestTheBestAddressOfALoadBalancerComesFirst(t *testing.T) {
	const v4, v6 = corev1.IPv4Protocol, corev1.IPv6Protocol
	ingress := []corev1.LoadBalancerIngress{
		{IP: "2001:DB8::1"}, {IP: "192.0.2.9"}, {IP: "192.0.2.10"}, {Hostname: "B.elb.example.com."}, {},
		{Hostname: "a.elb.example.com", IP: "192.0.2.11"}, {IP: "192.0.2.9"},
	}
	fourFirst := []string{"a.elb.example.com", "b.elb.example.com", "192.0.2.10", "192.0.2.9", "2001:db8::1"}
	sixFirst := []string{"a.elb.example.com", "b.elb.example.com", "2001:db8::1", "192.0.2.10", "192.0.2.9"}
	for name, tt := range map[string]struct {
		families []corev1.IPFamily
		want     []string
	}{
		"nobody knows the families":              {nil, fourFirst},
		"the Service has IPv4 first":             {[]corev1.IPFamily{v4, v6}, fourFirst},
		"the Service has IPv6 first":             {[]corev1.IPFamily{v6, v4}, sixFirst},
		"the Service has IPv6, and more is told": {[]corev1.IPFamily{v6}, sixFirst},
	} {
		if got := Balance(ingress, tt.families); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// A node port is open in the families of its Service alone, and a Kubernetes node of two families has the address of
// another one first.
func TestANodePortIsAdvertisedInTheFirstFamilyOfItsService(t *testing.T) {
	const v4, v6 = corev1.IPv4Protocol, corev1.IPv6Protocol
	c := &model.Cluster{Pools: []model.Pool{{Name: "main", Broker: true}}, Nodes: []model.Node{{ID: 1, Pool: "main", PodName: "events-main-1"}}}
	given := Given{Ports: map[string]int32{"events-main-1-outside": 30001}}
	hosts := map[int32]model.HostIPs{1: {"10.0.0.7", "fd00::7"}}
	sixFirst := map[int32]model.HostIPs{1: {"fd00::7", "10.0.0.7"}}
	for name, tt := range map[string]struct {
		families  []corev1.IPFamily
		hosts     map[int32]model.HostIPs
		host      string
		bootstrap string
	}{
		"nothing is asked for":                    {nil, hosts, model.HostIPPlaceholder, "10.0.0.7:30000"},
		"nothing is asked for, and IPv6 is first": {nil, sixFirst, model.HostIPPlaceholder, "[fd00::7]:30000"},
		"IPv6 alone":       {[]corev1.IPFamily{v6}, hosts, model.HostIPv6Placeholder, "[fd00::7]:30000"},
		"IPv6 before IPv4": {[]corev1.IPFamily{v6, v4}, hosts, model.HostIPv6Placeholder, "[fd00::7]:30000"},
		"IPv4 before IPv6": {[]corev1.IPFamily{v4, v6}, hosts, model.HostIPv4Placeholder, "10.0.0.7:30000"},
		"IPv4 where the Kubernetes nodes have IPv6 first": {[]corev1.IPFamily{v4}, sixFirst, model.HostIPv4Placeholder, "10.0.0.7:30000"},
		"a family that the Kubernetes node has not":       {[]corev1.IPFamily{v6}, map[int32]model.HostIPs{1: {"10.0.0.7"}}, model.HostIPv6Placeholder, ""},
	} {
		l := model.Listener{Name: "outside", Port: 9094, Exposure: v1alpha1.ExposureNodePort, BootstrapPort: 30000, TLS: true,
			Services: v1alpha1.ExposureServices{IPFamilies: tt.families}}
		a := Advertise(c, &c.Nodes[0], l, given)
		if a.Host != tt.host || !a.HostIP || slices.Contains(CertificateNames(c, &c.Nodes[0], l, a), tt.host) {
			t.Errorf("%s: %+v", name, a)
		}
		if got := Bootstrap(c, l, tt.hosts); got != tt.bootstrap {
			t.Errorf("%s: clients begin at %q, want %q", name, got, tt.bootstrap)
		}
		now := Given{Advertised: map[int32]map[string]model.HostPort{1: {"OUTSIDE": {Host: tt.host, Port: 30001}}}}
		l.Exposure = v1alpha1.ExposureLoadBalancer
		if kept := Advertise(c, &c.Nodes[0], l, now); kept.Host != tt.host || !kept.HostIP {
			t.Errorf("%s: until its load balancer has an address, %+v", name, kept)
		}
	}
}

// TestTheLifeOfAnAddress: a load balancer is late, answers, answers more, changes its mind, and falls silent.
func TestTheLifeOfAnAddress(t *testing.T) {
	c := &model.Cluster{Namespace: "shop", Name: "events", Domain: "cluster.local"}
	n := &model.Node{ID: 1, PodName: "events-main-1"}
	const service = "events-main-1-outside"
	now := func(host string, port int32) map[int32]map[string]model.HostPort {
		return map[int32]map[string]model.HostPort{1: {"OUTSIDE": {Host: host, Port: port}}}
	}
	const late = "Service events-main-1-outside waits for an address of its load balancer"
	for name, tt := range map[string]struct {
		balanced   []string
		advertised map[int32]map[string]model.HostPort
		host       string
		port       int32
		hostIP     bool
		late       string
	}{
		"nothing is known":           {nil, nil, "", 0, false, late},
		"the first answer":           {[]string{"a", "b"}, nil, "a", 9094, false, ""},
		"a better one comes later":   {[]string{"a", "b"}, now("b", 9094), "b", 9094, false, ""},
		"it is another":              {[]string{"a", "b"}, now("c", 9094), "a", 9094, false, ""},
		"it falls silent":            {nil, now("c", 9094), "c", 9094, false, late},
		"it comes after a node port": {nil, now(model.HostIPPlaceholder, 30001), model.HostIPPlaceholder, 30001, true, late},
		"another listener ran":       {nil, map[int32]map[string]model.HostPort{1: {"CLIENTS": {Host: "x", Port: 1}}}, "", 0, false, late},
	} {
		l := model.Listener{Name: "outside", Port: 9094, Exposure: v1alpha1.ExposureLoadBalancer, Service: "events-outside"}
		given := Given{Balanced: map[string][]string{service: tt.balanced}, Advertised: tt.advertised}
		want := Address{Host: tt.host, Port: tt.port, Service: service, HostIP: tt.hostIP, Late: tt.late}
		if got := Advertise(c, n, l, given); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// A broker's certificate names the address at which clients begin. Until that is known nobody could begin there.
func TestWithTLSABrokerWaitsForTheAddressAtWhichClientsBegin(t *testing.T) {
	c := &model.Cluster{Namespace: "shop", Name: "events", Domain: "cluster.local"}
	n := &model.Node{ID: 1, PodName: "events-main-1"}
	given := Given{Balanced: map[string][]string{"events-main-1-outside": {"a"}}}
	const begin = "Service events-outside waits for an address of its load balancer"
	for name, tt := range map[string]struct {
		change func(l *model.Listener)
		late   string
	}{
		"it is not known":           {func(*model.Listener) {}, begin},
		"not even with a template":  {func(l *model.Listener) { l.Advertised.HostTemplate = "b{nodeId}.org" }, begin},
		"it is known":               {func(l *model.Listener) { l.Balanced = []string{"z"} }, ""},
		"clients begin elsewhere":   {func(l *model.Listener) { l.Hosts = []string{"kafka.org"} }, ""},
		"nobody checks certificate": {func(l *model.Listener) { l.TLS = false }, ""},
	} {
		l := model.Listener{Name: "outside", Port: 9094, Exposure: v1alpha1.ExposureLoadBalancer, Service: "events-outside", TLS: true}
		tt.change(&l)
		if got := Advertise(c, n, l, given); got.Late != tt.late || (got.Host == "") != (tt.late != "") {
			t.Errorf("%s: %+v, want it to wait for %q", name, got, tt.late)
		}
	}
}

func TestWithATemplateNobodyWaitsForTheLoadBalancer(t *testing.T) {
	c := &model.Cluster{Namespace: "shop", Name: "events", Domain: "cluster.local"}
	l := model.Listener{Name: "outside", Port: 9094, Exposure: v1alpha1.ExposureLoadBalancer, Service: "events-outside",
		Advertised: v1alpha1.Advertised{HostTemplate: "b{nodeId}.org"}}
	want := Address{Host: "b1.org", Port: 9094, Service: "events-main-1-outside"}
	if got := Advertise(c, &model.Node{ID: 1, PodName: "events-main-1"}, l, Given{}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Whoever comes to the Service of a listener over IPv6 is sent on to the name of a pod.
func TestNamesOfPodsHaveTheFamiliesThatAListenerAsksFor(t *testing.T) {
	const dual = corev1.IPFamilyPolicyPreferDualStack
	internal, nodePort := v1alpha1.ExposureInternal, v1alpha1.ExposureNodePort
	for name, tt := range map[string]struct {
		exposure v1alpha1.ExposureType
		services v1alpha1.ExposureServices
		want     corev1.IPFamilyPolicy
	}{
		"nothing is asked for":               {internal, v1alpha1.ExposureServices{}, ""},
		"one family is asked for":            {internal, v1alpha1.ExposureServices{IPFamilies: []corev1.IPFamily{"IPv6"}}, dual},
		"two are preferred":                  {"", v1alpha1.ExposureServices{IPFamilyPolicy: dual}, dual},
		"two are required":                   {internal, v1alpha1.ExposureServices{IPFamilyPolicy: corev1.IPFamilyPolicyRequireDualStack}, dual},
		"one is asked for, whichever":        {internal, v1alpha1.ExposureServices{IPFamilyPolicy: corev1.IPFamilyPolicySingleStack}, ""},
		"brokers advertise no names of pods": {nodePort, v1alpha1.ExposureServices{IPFamilyPolicy: dual}, ""},
	} {
		c := &model.Cluster{Listeners: []model.Listener{{Name: "other"}, {Name: "clients", Exposure: tt.exposure, Services: tt.services}}}
		got := OfPodNames(c)
		if (got == nil) != (tt.want == "") || got != nil && *got != tt.want {
			t.Errorf("%s: %v, want %q", name, got, tt.want)
		}
	}
}

func TestServicesHaveWhatIsAskedForThem(t *testing.T) {
	c := &model.Cluster{Namespace: "shop", Name: "events", Domain: "cluster.local"}
	no := false
	l := model.Listener{
		Name: "outside", Port: 9094, Exposure: v1alpha1.ExposureLoadBalancer, Hosts: []string{"kafka.org", "192.0.2.1", "k.org"},
		Advertised: v1alpha1.Advertised{HostTemplate: "b{nodeId}.org",
			Overrides: []v1alpha1.AdvertisedOverride{{NodeID: 2, Host: "192.0.2.2"}}},
		Services: v1alpha1.ExposureServices{
			Annotations: map[string]string{"a": "all", "b": "{cluster}", "c": `{"json": true}`}, Labels: map[string]string{"x": "all"},
			ExternalDNS: true, IPFamilies: []corev1.IPFamily{corev1.IPv6Protocol}, IPFamilyPolicy: corev1.IPFamilyPolicyPreferDualStack,
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, LoadBalancerClass: "example.com/internal",
			SourceRanges: []string{"203.0.113.0/24"}, AllocateNodePorts: &no,
		},
		OfBootstrap: v1alpha1.BootstrapExposure{Annotations: map[string]string{"a": "first"}},
		OfBrokers: v1alpha1.BrokersExposure{Annotations: map[string]string{"a": "of {nodeId}", externalDNS[0]: "mine.org"},
			Labels: map[string]string{"y": "{pod}"}},
	}
	shaped := func(n *model.Node) *corev1.Service {
		s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"own": "label"}},
			Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 9094}}}}
		Shape(s, c, l, n, 30000)
		return s
	}
	bootstrap := shaped(nil)
	if want := map[string]string{"a": "first", "b": "events", "c": `{"json": true}`,
		"external-dns.kubernetes.io/hostname":       "kafka.org,k.org",
		"external-dns.alpha.kubernetes.io/hostname": "kafka.org,k.org"}; !maps.Equal(bootstrap.Annotations, want) {
		t.Errorf("bootstrap: %v, want %v", bootstrap.Annotations, want)
	}
	broker := shaped(&model.Node{ID: 1, PodName: "events-main-1"})
	if want := map[string]string{"a": "of 1", "b": "events", "c": `{"json": true}`,
		"external-dns.kubernetes.io/hostname":       "mine.org", // what somebody writes has the last word
		"external-dns.alpha.kubernetes.io/hostname": "b1.org"}; !maps.Equal(broker.Annotations, want) {
		t.Errorf("broker: %v, want %v", broker.Annotations, want)
	}
	if want := map[string]string{"own": "label", "x": "all", "y": "events-main-1"}; !maps.Equal(broker.Labels, want) {
		t.Errorf("broker: labels %v, want %v", broker.Labels, want)
	}
	if got := shaped(&model.Node{ID: 2}).Annotations[externalDNS[1]]; got != "" {
		t.Errorf("an address needs no name, and external-dns is asked for %q", got)
	}
	s := broker.Spec
	if s.Type != corev1.ServiceTypeLoadBalancer || *s.LoadBalancerClass != "example.com/internal" ||
		s.LoadBalancerSourceRanges[0] != "203.0.113.0/24" || *s.AllocateLoadBalancerNodePorts || s.Ports[0].NodePort != 0 ||
		s.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal || s.IPFamilies[0] != corev1.IPv6Protocol ||
		*s.IPFamilyPolicy != corev1.IPFamilyPolicyPreferDualStack || s.LoadBalancerIP != "" {
		t.Errorf("%+v", s)
	}
}

func TestNothingIsAskedOfServicesByDefault(t *testing.T) {
	for _, row := range Rows {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 9094}}}}
		Shape(s, &model.Cluster{}, model.Listener{Exposure: row.Type}, nil, 0)
		want := corev1.ServiceSpec{Type: s.Spec.Type, Ports: []corev1.ServicePort{{Port: 9094}}}
		if row.Type == v1alpha1.ExposureNodePort {
			want.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}
		if s.Annotations != nil || !reflect.DeepEqual(s.Spec, want) {
			t.Errorf("%s: %+v", row.Type, s)
		}
	}
}

// Services that are to share an address have ports of their own, which brokers advertise, and lead to the listener.
func TestServicesThatShareAnAddressHavePortsOfTheirOwn(t *testing.T) {
	c := &model.Cluster{Namespace: "shop", Name: "events", Domain: "cluster.local"}
	template := intstr.FromString("9100+{nodeId}")
	l := model.Listener{Name: "outside", Port: 9094, Exposure: v1alpha1.ExposureLoadBalancer, Service: "events-outside",
		OfBrokers: v1alpha1.BrokersExposure{PortTemplate: &template}}
	n := &model.Node{ID: 2, PodName: "events-main-2"}
	given := Given{Balanced: map[string][]string{"events-main-2-outside": {"192.0.2.1"}}}
	if got := Advertise(c, n, l, given); got.Host != "192.0.2.1" || got.Port != 9102 {
		t.Errorf("it advertises %+v", got)
	}
	for _, tt := range []struct {
		node *model.Node
		want int32
	}{{n, 9102}, {nil, 9094}} {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 9094, TargetPort: intstr.FromString("outside")}}}}
		Shape(s, c, l, tt.node, 0)
		if p := s.Spec.Ports[0]; p.Port != tt.want || p.TargetPort.String() != "outside" {
			t.Errorf("the Service has %+v, want port %d to the pod's port by its name", p, tt.want)
		}
	}
}
