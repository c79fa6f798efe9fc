package resolve

import (
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const (
	byName = `type: TLSRoute, gateway: {name: public}, `
	byPort = `type: TCPRoute, gateway: {name: public}, `
	names  = `advertised: {hostTemplate: "b{nodeId}.org"}, `
	begin  = `bootstrap: {hosts: [k.org]}`
)

var gatewayFaults = []badInput{
	{"a TLSRoute without TLS", func(in *Inputs) {
		exposed("{" + byName + names + begin + "}")(in)
		in.Spec.Listeners[0].Encryption = v1alpha1.EncryptionNone
	}, verdict.ReasonInvalid, "spec.listeners[clients].encryption", "set it to TLS, or use the type TCPRoute"},
	{"a route of no Gateway", exposed("{type: TLSRoute, " + names + begin + "}"), verdict.ReasonInvalid,
		exposureField + "gateway", "none is named; name it"},
	{"a Gateway for nothing", exposed(`{type: ClusterIP, gateway: {name: public}}`), verdict.ReasonInvalid,
		exposureField + "gateway", "ClusterIP has no use for it; remove it, or use the type TLSRoute or TCPRoute"},
	{"a Gateway's name that is none", exposed(`{type: TCPRoute, gateway: {name: Public_1}}`), verdict.ReasonInvalid,
		exposureField + "gateway.name", "can be no Gateway's name"},
	{"a Gateway's namespace that is none", exposed(`{type: TCPRoute, gateway: {name: public, namespace: a.b}}`),
		verdict.ReasonInvalid, exposureField + "gateway.namespace", "can be no namespace"},
	{"a route of something else", exposed(`{type: TCPRoute, gateway: {name: public, kind: Service}}`), verdict.ReasonInvalid,
		exposureField + "gateway.kind", "use Gateway or ListenerSet"},
	{"brokers without names", exposed("{" + byName + begin + "}"), verdict.ReasonInvalid,
		exposureField + "advertised.hostTemplate", "write one such as broker-{nodeId}.kafka.example.com"},
	{"a broker's name that is an address", exposed("{" + byName + `advertised: {hostTemplate: "fd00::{nodeId}"}, ` + begin + "}"),
		verdict.ReasonInvalid, exposureField + "advertised.hostTemplate", "fd00:: is an IP address; write a host name"},
	{"one broker at an address", exposed("{" + byName +
		`advertised: {hostTemplate: "b{nodeId}.org", overrides: [{nodeId: 1, host: "fd00::1"}]}, ` + begin + "}"),
		verdict.ReasonInvalid, exposureField + "advertised.overrides[1].host", "fd00::1 is an IP address; write a host name"},
	{"no name to begin at", exposed("{" + byName + names + "}"), verdict.ReasonInvalid,
		exposureField + "bootstrap.hosts", "write one such as kafka.example.com"},
	{"an address to begin at", exposed("{" + byName + names + `bootstrap: {hosts: [192.0.2.1]}}`), verdict.ReasonInvalid,
		exposureField + "bootstrap.hosts", "192.0.2.1 is an IP address; write a host name"},
	{"two brokers of one name at two ports", exposed("{" + byName +
		`advertised: {hostTemplate: b.org, portTemplate: "9000+{nodeId}"}, ` + begin + "}"),
		verdict.ReasonInvalid, exposureField + "advertised.hostTemplate",
		"name b.org of Gateway shop/public leads to where node 0 at listener clients is reached, and node 1 at listener clients is " +
			"reached there too; give each a name of its own"},
	{"a broker of the name at which clients begin", exposed("{" + byName +
		`advertised: {hostTemplate: "b{nodeId}.org"}, bootstrap: {hosts: [b1.org]}}`),
		verdict.ReasonInvalid, exposureField + "advertised.hostTemplate", "name b1.org of Gateway shop/public"},
	{"one port for all brokers", exposed("{" + byPort + `advertised: {portTemplate: 9000}}`), verdict.ReasonInvalid,
		exposureField + "advertised.portTemplate", "as in 9000+{nodeId}"},
	{"a broker at the port at which clients begin", exposed("{" + byPort + `bootstrap: {port: 9001}}`), verdict.ReasonInvalid,
		exposureField + "advertised.portTemplate", "port 9001 of Gateway shop/public"},
	{"a listener of the Gateway's by name", exposed(`{type: TCPRoute, gateway: {name: public, sectionName: kafka}}`),
		verdict.ReasonInvalid, exposureField + "gateway.sectionName", "finds the Gateway's listener by its port; remove it"},
	{"a ListenerSet's address", exposed(`{type: TCPRoute, gateway: {name: public, kind: ListenerSet}}`), verdict.ReasonInvalid,
		exposureField + "advertised.hostTemplate", "write the host at which clients reach its Gateway"},
	{"a port of Services that share nothing", exposed(`{type: ClusterIP, brokers: {portTemplate: "9000+{nodeId}"}}`),
		verdict.ReasonInvalid, exposureField + "brokers.portTemplate", "or use the type LoadBalancer"},
	{"traffic that stays where no broker is", exposed(`{type: LoadBalancer, brokers: {portTemplate: "9100+{nodeId}"}, ` +
		`services: {externalTrafficPolicy: Local}}`), verdict.ReasonInvalid, exposureField + "services.externalTrafficPolicy",
		"set it to Cluster, or remove brokers.portTemplate"},
	{"one port for all Services", exposed(`{type: LoadBalancer, brokers: {portTemplate: 9000}}`), verdict.ReasonInvalid,
		exposureField + "brokers.portTemplate", "as in 9000+{nodeId}"},
	{"a broker's Service at the port of the first", exposed(`{type: LoadBalancer, brokers: {portTemplate: "9091+{nodeId}"}}`),
		verdict.ReasonInvalid, exposureField + "brokers.portTemplate", "it makes port 9092 of node 1, at which the bootstrap Service"},
	{"a broker's Service beyond the last port", exposed(`{type: LoadBalancer, brokers: {portTemplate: "65000+{nodeId}"}}`),
		verdict.ReasonInvalid, exposureField + "brokers.portTemplate", "it makes port 66000 of node 1000"},
}

// Two listeners may share a Gateway as long as it can tell their brokers apart.
func TestTwoListenersAtOneGateway(t *testing.T) {
	in := running(t, small)
	exposed("{" + byPort + "}")(&in)
	second := in.Spec.Listeners[0].DeepCopy()
	second.Name, second.Port = "second", 9292
	in.Spec.Listeners = append(in.Spec.Listeners, *second)
	_, faults := Resolve(in)
	if text := verdict.Texts(faults); len(faults) != 1 || !strings.Contains(text, "spec.listeners[second].exposure.advertised.portTemplate") ||
		!strings.Contains(text, "port 9000 of Gateway shop/public leads to where node 0 at listener clients is reached, and node 0 at "+
			"listener second is reached there too") {
		t.Errorf("both at the same ports: %s", text)
	}
	in.Spec.Listeners[2].Exposure.Gateway = &v1alpha1.GatewayReference{Name: "public", Namespace: "infra"}
	if _, faults := Resolve(in); len(faults) > 0 {
		t.Errorf("at two Gateways of one name: %s", verdict.Texts(faults))
	}
}
