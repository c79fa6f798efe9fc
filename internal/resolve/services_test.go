package resolve

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const exposureField = "spec.listeners[clients].exposure."

var servicesFaults = []badInput{
	{"another address of the Kubernetes node", exposed(`{type: NodePort, services: {nodeAddressType: ExternalIP}}`),
		verdict.ReasonInvalid, exposureField + "services.nodeAddressType", "use exposure.advertised.hostTemplate or overrides"},
	{"a node port for nothing", exposed(`{type: LoadBalancer, bootstrap: {nodePort: 30000}}`), verdict.ReasonInvalid,
		exposureField + "bootstrap.nodePort", "LoadBalancer has no use for it; remove it, or use the type NodePort"},
	{"Services that brokers do not have", exposed(`{brokers: {annotations: {a: b}}}`), verdict.ReasonInvalid,
		exposureField + "brokers", "with Internal no broker has a Service of its own; remove it, or use the type ClusterIP"},
	{"one node port for all", exposed(`{type: NodePort, brokers: {nodePortTemplate: 30000}}`), verdict.ReasonInvalid,
		exposureField + "brokers.nodePortTemplate", "add the node id, as in 30000+{nodeId}"},
	{"a node port twice", exposed(`{type: NodePort, bootstrap: {nodePort: 31001}, brokers: {nodePortTemplate: "31000+{nodeId}"}}`),
		verdict.ReasonInvalid, exposureField + "brokers.nodePortTemplate",
		"it gives node port 31001 to Service events-main-1-clients, and Service events-clients has it already; choose another"},
	{"node ports beyond the last", exposed(`{type: NodePort, brokers: {nodePortTemplate: "65000+{nodeId}"}}`), verdict.ReasonInvalid,
		exposureField + "brokers.nodePortTemplate", "it makes node port 66000 of Service events-extra-1000-clients"},
	{"a class for nothing", exposed(`{type: NodePort, services: {loadBalancerClass: a/b}}`), verdict.ReasonInvalid,
		exposureField + "services.loadBalancerClass", "or use the type LoadBalancer"},
	{"a policy for nothing", exposed(`{type: ClusterIP, services: {externalTrafficPolicy: Local}}`), verdict.ReasonInvalid,
		exposureField + "services.externalTrafficPolicy", "or use the type NodePort or LoadBalancer"},
	{"a network that is none", exposed(`{type: LoadBalancer, services: {sourceRanges: [203.0.113.7]}}`), verdict.ReasonInvalid,
		exposureField + "services.sourceRanges[203.0.113.7]", "write one such as 203.0.113.0/24"},
	{"a network that is an address", exposed(`{type: LoadBalancer, services: {sourceRanges: [203.0.113.7/24]}}`),
		verdict.ReasonInvalid, exposureField + "services.sourceRanges[203.0.113.7/24]", "did you mean 203.0.113.0/24?"},
	{"two families in one stack", exposed(`{type: LoadBalancer, services: {ipFamilies: [IPv4, IPv6]}}`), verdict.ReasonInvalid,
		exposureField + "services.ipFamilies", "set one, or remove a family"},
	{"no name for external-dns", exposed(`{type: LoadBalancer, services: {externalDNS: true}}`), verdict.ReasonInvalid,
		exposureField + "services.externalDNS", "add exposure.advertised.hostTemplate"},
	{"an annotation's key that is none", exposed(`{services: {annotations: {"a b": c}}}`), verdict.ReasonInvalid,
		exposureField + "services.annotations[a b]", "is no key"},
	{"an annotation of the operator's", exposed(`{services: {annotations: {kafka.castellan.dev/x: c}}}`), verdict.ReasonInvalid,
		exposureField + "services.annotations[kafka.castellan.dev/x]", "are the operator's own; choose another"},
	{"a label that selects", exposed(`{services: {labels: {app.kubernetes.io/name: c}}}`), verdict.ReasonInvalid,
		exposureField + "services.labels[app.kubernetes.io/name]", "are the operator's own; choose another"},
	{"a label's value that is none", exposed(`{services: {labels: {a: "b c"}}}`), verdict.ReasonInvalid,
		exposureField + "services.labels[a]", "can be no label's value"},
	{"a placeholder that is none", exposed(`{type: ClusterIP, brokers: {annotations: {a: "{rack}"}}}`), verdict.ReasonInvalid,
		exposureField + "brokers.annotations[a]", "{rack} stands for nothing; use {nodeId}"},
	{"a broker's placeholder where there is none", exposed(`{type: ClusterIP, services: {annotations: {a: "{nodeId}"}}}`),
		verdict.ReasonInvalid, exposureField + "services.annotations[a]", "move it to exposure.brokers.annotations"},
	{"one Service for brokers at node ports", exposed(`{type: NodePort, brokers: {servicePolicy: Shared}}`), verdict.ReasonInvalid,
		exposureField + "brokers.servicePolicy", "NodePort has no use for it; remove it, or use the type LoadBalancer"},
	{"one Service for brokers without ports", exposed(`{type: LoadBalancer, brokers: {servicePolicy: Shared}}`), verdict.ReasonInvalid,
		exposureField + "brokers.portTemplate", "write one such as 9100+{nodeId}"},
	{"one Service for brokers at one port", exposed(`{type: LoadBalancer, brokers: {servicePolicy: Shared, portTemplate: 9100}}`),
		verdict.ReasonInvalid, exposureField + "brokers.portTemplate", "add the node id, as in 9100+{nodeId}"},
	{"a broker of one Service at the port where clients begin",
		exposed(`{type: LoadBalancer, brokers: {servicePolicy: Shared, portTemplate: "9091+{nodeId}"}}`),
		verdict.ReasonInvalid, exposureField + "brokers.portTemplate", "at which the bootstrap Service is already"},
	{"local traffic to one Service", exposed(`{type: LoadBalancer, services: {externalTrafficPolicy: Local},
		brokers: {servicePolicy: Shared, portTemplate: "9100+{nodeId}"}}`), verdict.ReasonInvalid,
		exposureField + "services.externalTrafficPolicy", "set it to Cluster, or brokers.servicePolicy to PerBroker"},
	{"annotations of Services that are one", exposed(`{type: LoadBalancer,
		brokers: {servicePolicy: Shared, portTemplate: "9100+{nodeId}", annotations: {a: b}}}`), verdict.ReasonInvalid,
		exposureField + "brokers.annotations", "move them to exposure.bootstrap.annotations"},
	{"labels of Services that are one", exposed(`{type: LoadBalancer,
		brokers: {servicePolicy: Shared, portTemplate: "9100+{nodeId}", labels: {a: b}}}`), verdict.ReasonInvalid,
		exposureField + "brokers.labels", "move them to exposure.bootstrap.labels"},
	{"an EndpointSlice of somebody else's", func(in *Inputs) {
		exposed(`{type: LoadBalancer, brokers: {servicePolicy: Shared, portTemplate: "9100+{nodeId}"}}`)(in)
		in.EndpointSlices, in.Families = true, map[string][]corev1.IPFamily{"events-clients": {corev1.IPv4Protocol}}
		in.Taken = map[string]string{"EndpointSlice/events-main-1-clients-ipv4": "Service web"}
	}, verdict.ReasonInvalid, "spec.listeners[clients].name", "EndpointSlice events-main-1-clients-ipv4 exists and is not this " +
		"KafkaCluster's but belongs to Service web; rename the listener, or remove it"},
	{"another class for load balancers that are there", func(in *Inputs) {
		exposed(`{type: LoadBalancer, services: {loadBalancerClass: example.com/a}}`)(in)
		in.Accepted = in.Spec.DeepCopy()
		in.Spec.Listeners[0].Exposure.Services.LoadBalancerClass = "example.com/b"
	}, verdict.ReasonInvalid, exposureField + "services.loadBalancerClass",
		`cannot change from "example.com/a" to "example.com/b"; set it back, add a listener`},
	{"another first family for Services that are there", func(in *Inputs) {
		exposed(`{type: NodePort, services: {ipFamilies: [IPv6, IPv4], ipFamilyPolicy: PreferDualStack}}`)(in)
		in.Families = map[string][]corev1.IPFamily{in.Cluster.Name + "-clients": {corev1.IPv4Protocol}}
	}, verdict.ReasonInvalid, exposureField + "services.ipFamilies",
		"have IPv4 first, and Kubernetes never changes that to IPv6; set it back, add a listener with IPv6"},
}

func TestWhatServicesMayHave(t *testing.T) {
	for _, text := range []string{
		`{type: LoadBalancer, services: {annotations: {cloud.google.com/neg: '{"ingress": true}', a.b/C_d: ""}}}`,
		`{type: LoadBalancer, services: {sourceRanges: [0.0.0.0/0, "2001:db8::/32"], loadBalancerClass: service.k8s.aws/nlb}}`,
		`{type: ClusterIP, brokers: {labels: {a: "{pod}"}}, services: {ipFamilies: [IPv6, IPv4], ipFamilyPolicy: RequireDualStack}}`,
		`{type: NodePort, bootstrap: {nodePort: 32000}, services: {nodeAddressType: InternalIP}}`,
		`{services: {annotations: {a: b}}, bootstrap: {labels: {a: b}}}`,
		`{type: LoadBalancer, brokers: {servicePolicy: Shared, portTemplate: "9100+{nodeId}"}, bootstrap: {annotations: {a: b}},
			services: {externalTrafficPolicy: Cluster, ipFamilies: [IPv6, IPv4], ipFamilyPolicy: PreferDualStack}}`,
		`{type: NodePort, brokers: {servicePolicy: PerBroker}}`,
	} {
		in := running(t, small)
		exposed(text)(&in)
		if _, faults := Resolve(in); len(faults) > 0 {
			t.Errorf("%s: %v", text, faults)
		}
	}
}

func TestASecondFamilyMayComeAndGo(t *testing.T) {
	for _, services := range []string{
		`{}`, `{ipFamilies: [IPv4]}`, `{ipFamilyPolicy: PreferDualStack}`,
		`{ipFamilies: [IPv4, IPv6], ipFamilyPolicy: RequireDualStack}`,
	} {
		in := running(t, small)
		exposed(`{type: LoadBalancer, services: ` + services + `}`)(&in)
		in.Families = map[string][]corev1.IPFamily{in.Cluster.Name + "-clients": {corev1.IPv4Protocol}}
		if _, faults := Resolve(in); len(faults) > 0 {
			t.Errorf("%s: %v", services, faults)
		}
	}
}

// A listener may become another one's successor in place; only what stays a load balancer keeps its class.
func TestAClassMayComeWithTheLoadBalancer(t *testing.T) {
	in := running(t, small)
	exposed(`{type: LoadBalancer, services: {loadBalancerClass: example.com/a}}`)(&in)
	if _, faults := Resolve(in); len(faults) > 0 {
		t.Error(faults)
	}
}

// Without TLS a client cannot tell a broker from a pod that was given the address which the broker's had.
func TestOneServiceWithoutTLSIsWarnedOf(t *testing.T) {
	for encryption, want := range map[v1alpha1.Encryption]bool{v1alpha1.EncryptionNone: true, v1alpha1.EncryptionTLS: false} {
		in := running(t, small)
		exposed(`{type: LoadBalancer, brokers: {servicePolicy: Shared, portTemplate: "9100+{nodeId}"}}`)(&in)
		in.Spec.Listeners[0].Encryption = encryption
		c, faults := Resolve(in)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		said := strings.Join(Warnings(c), "\n")
		if got := strings.Contains(said, "spec.listeners[clients].encryption: while no operator runs"); got != want {
			t.Errorf("encryption %s: it warns %t: %s", encryption, got, said)
		}
	}
}
