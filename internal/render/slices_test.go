package render

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
)

const oneService = `
version: "4.3.1"
pools: [{name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}}]
listeners:
- name: outside
  port: 9094
  exposure: {type: LoadBalancer, brokers: {servicePolicy: Shared, portTemplate: "9100+{nodeId}"}}
  authentication: {mechanisms: [SCRAM-SHA-512]}
`

// behindOne is a cluster with one Service, whose addresses are of some families.
func behindOne(t *testing.T, families ...corev1.IPFamily) *model.Cluster {
	t.Helper()
	in := inputs(t, "demo", oneService)
	in.EndpointSlices, in.Families = true, map[string][]corev1.IPFamily{"demo-outside": families}
	return resolved(t, in)
}

// serving is the pod of a node, at some addresses.
func serving(id int, addresses ...string) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: fmt.Sprint("demo-main-", id), UID: types.UID(fmt.Sprint("pod-", id))}}
	pod.Spec.NodeName = "machine"
	pod.Spec.Containers = []corev1.Container{
		{Name: "sidecar", Ports: []corev1.ContainerPort{{Name: "outside", ContainerPort: 1}}},
		{Name: ContainerName, Ports: []corev1.ContainerPort{{Name: "outside", ContainerPort: 9094}}}}
	pod.Status.Phase = corev1.PodRunning
	for _, address := range addresses {
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: address})
	}
	return pod
}

// leadsTo prints the port that a slice leads from, and where it leads.
func leadsTo(s *discoveryv1.EndpointSlice) string {
	to := []string{}
	for _, e := range s.Endpoints {
		to = append(to, fmt.Sprintf("%s:%d", strings.Join(e.Addresses, ","), *s.Ports[0].Port))
	}
	return *s.Ports[0].Name + " " + strings.Join(to, " ")
}

func TestEachBrokerHasAnEndpointSliceOfItsOwn(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(pod *corev1.Pod)
		want   string
	}{
		"it serves":                            {func(*corev1.Pod) {}, "broker-1 10.0.0.1:9094"},
		"it is not ready":                      {func(p *corev1.Pod) { p.Status.Conditions = nil }, "broker-1 10.0.0.1:9094"},
		"it stops":                             {func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }, "broker-1 10.0.0.1:9094"},
		"it has the listener at the old port":  {func(p *corev1.Pod) { p.Spec.Containers[1].Ports[0].ContainerPort = 9000 }, "broker-1 10.0.0.1:9000"},
		"it was made without the listener":     {func(p *corev1.Pod) { p.Spec.Containers[1].Ports = nil }, "broker-1 "},
		"it has no address yet":                {func(p *corev1.Pod) { p.Status.PodIPs = nil }, "broker-1 "},
		"it has an address of another family":  {func(p *corev1.Pod) { p.Status.PodIPs[0].IP = "fd00::1" }, "broker-1 "},
		"it has ended, and others get its own": {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, "broker-1 "},
		"it has ended well":                    {func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, "broker-1 "},
		"it is gone":                           {func(p *corev1.Pod) { p.Name = "another" }, "broker-1 "},
	} {
		pods := []corev1.Pod{serving(0, "10.0.0.7"), serving(1, "10.0.0.1"), serving(2, "10.0.0.9")}
		tt.change(&pods[1])
		all := Slices(behindOne(t, corev1.IPv4Protocol), pods)
		if len(all) != 3 || all[1].Name != "demo-main-1-outside-ipv4" || leadsTo(all[1]) != tt.want {
			t.Errorf("%s: %d slices, %s leads %q, want %q", name, len(all), all[1].Name, leadsTo(all[1]), tt.want)
		}
		if leadsTo(all[0]) != "broker-0 10.0.0.7:9094" || leadsTo(all[2]) != "broker-2 10.0.0.9:9094" {
			t.Errorf("%s: others lead %q and %q", name, leadsTo(all[0]), leadsTo(all[2]))
		}
	}
}

// Whatever reads EndpointSlices finds all that Kubernetes would have written.
func TestAnEndpointSliceSaysWhoseItIs(t *testing.T) {
	s := Slices(behindOne(t, corev1.IPv4Protocol), []corev1.Pod{serving(0, "10.0.0.7")})[0]
	for key, want := range map[string]string{
		"kubernetes.io/service-name": "demo-outside", "endpointslice.kubernetes.io/managed-by": "kafka.castellan.dev",
		"app.kubernetes.io/managed-by": "castellan", "kafka.castellan.dev/cluster": "demo",
		"kafka.castellan.dev/listener": "outside", "kafka.castellan.dev/node-id": "0",
	} {
		if s.Labels[key] != want {
			t.Errorf("label %s is %q, want %q", key, s.Labels[key], want)
		}
	}
	e := s.Endpoints[0]
	if !*e.Conditions.Ready || e.TargetRef.UID != "pod-0" || *e.NodeName != "machine" || s.AddressType != discoveryv1.AddressTypeIPv4 ||
		*s.Ports[0].Protocol != corev1.ProtocolTCP {
		t.Errorf("%+v", s)
	}
}

func TestEndpointSlicesAreOfTheFamiliesOfTheService(t *testing.T) {
	const v4, v6 = corev1.IPv4Protocol, corev1.IPv6Protocol
	pods := []corev1.Pod{serving(0, "10.0.0.7", "FD00::7"), serving(1, "10.0.0.1"), serving(2)}
	for name, tt := range map[string]struct {
		families []corev1.IPFamily
		want     string
	}{
		"the Service is not there yet": {nil, ""},
		"one family": {[]corev1.IPFamily{v6},
			"IPv6 broker-0 fd00::7:9094; IPv6 broker-1 ; IPv6 broker-2 "},
		"both": {[]corev1.IPFamily{v4, v6}, "IPv4 broker-0 10.0.0.7:9094; IPv4 broker-1 10.0.0.1:9094; IPv4 broker-2 ; " +
			"IPv6 broker-0 fd00::7:9094; IPv6 broker-1 ; IPv6 broker-2 "},
	} {
		var got []string
		names := map[string]bool{}
		for _, s := range Slices(behindOne(t, tt.families...), pods) {
			got = append(got, string(s.AddressType)+" "+leadsTo(s))
			names[s.Name] = true
		}
		if strings.Join(got, "; ") != tt.want || len(names) != len(got) {
			t.Errorf("%s: %q, want %q; %d names", name, strings.Join(got, "; "), tt.want, len(names))
		}
	}
}

// Each port of the Service but the first is that of one slice, by name: kube-proxy joins the two so.
func TestServiceAndEndpointSlicesNameTheSamePorts(t *testing.T) {
	c := behindOne(t, corev1.IPv4Protocol)
	c.Parting = []model.Node{{ID: 3, Pool: "main", PodName: "demo-main-3"}}
	service := servicesOf(c)["demo-outside"]
	var asked, given []string
	for _, p := range service.Spec.Ports[1:] {
		asked = append(asked, p.Name)
	}
	for _, s := range Slices(c, nil) {
		given = append(given, *s.Ports[0].Name)
		if s.Labels["kubernetes.io/service-name"] != service.Name {
			t.Errorf("%s is of Service %s", s.Name, s.Labels["kubernetes.io/service-name"])
		}
	}
	if !slices.Equal(asked, given) || len(asked) != 4 || asked[3] != exposure.BrokerPort(3) {
		t.Errorf("the Service has %v, and slices lead from %v", asked, given)
	}
	if first := service.Spec.Ports[0]; first.Name != "outside" || first.TargetPort.StrVal != "outside" ||
		len(service.Spec.Selector) != 2 || service.Spec.PublishNotReadyAddresses {
		t.Errorf("clients no longer begin at any ready broker: %+v", service.Spec)
	}
	for name := range servicesOf(c) {
		if strings.HasPrefix(name, "demo-main-") {
			t.Errorf("a broker has Service %s of its own", name)
		}
	}
}

// An operator that may not write EndpointSlices looks for none and makes none.
func TestWithoutThePermissionThereAreNoEndpointSlices(t *testing.T) {
	in := inputs(t, "demo", oneService)
	in.Families = map[string][]corev1.IPFamily{"demo-outside": {corev1.IPv4Protocol}}
	c := resolved(t, in)
	if all := Slices(c, nil); len(all) > 0 {
		t.Errorf("it makes %d", len(all))
	}
	for _, o := range c.ObjectNames() {
		if o.Kind == model.KindSlice {
			t.Errorf("it looks for %s", o.Name)
		}
	}
}
