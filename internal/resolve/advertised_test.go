package resolve

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// exposed gives the first listener another exposure, written as YAML.
func exposed(text string) func(in *Inputs) {
	return func(in *Inputs) {
		var e v1alpha1.Exposure
		if err := yaml.UnmarshalStrict([]byte(text), &e); err != nil {
			panic(err) // the test's own YAML
		}
		in.Spec.Listeners[0].Exposure = e
	}
}

const advertisedField = "spec.listeners[clients].exposure.advertised."

var advertisedFaults = []badInput{
	{"a placeholder that is none", exposed(`advertised: {hostTemplate: "b-{nodeID}.org"}`), verdict.ReasonInvalid,
		advertisedField + "hostTemplate", "{nodeID} stands for nothing; use {nodeId}, {pod}"},
	{"a host name that is none", exposed(`advertised: {hostTemplate: "B_{nodeId}.org"}`), verdict.ReasonInvalid,
		advertisedField + "hostTemplate", `it makes "B_0.org" of node 0: it is neither an IP address nor a host name`},
	{"an address that is none", exposed(`advertised: {hostTemplate: "10.0.0.{nodeId}00"}`), verdict.ReasonInvalid,
		advertisedField + "hostTemplate", `it makes "10.0.0.000" of node 0: it is neither`},
	{"a host name that is too long", exposed(`advertised: {hostTemplate: "{pod}.` + strings.Repeat("a23456789.", 24) + `org"}`),
		verdict.ReasonInvalid, advertisedField + "hostTemplate", "a host name has at most 253 characters, and this one has 257"},
	{"a part of a host name that is too long", exposed(`advertised: {hostTemplate: "{pod}.` + strings.Repeat("a", 64) + `.org"}`),
		verdict.ReasonInvalid, advertisedField + "hostTemplate", "whose parts between the dots have 1 to 63"},
	{"an address that means all", exposed(`advertised: {overrides: [{nodeId: 0, host: "0.0.0.0"}]}`), verdict.ReasonInvalid,
		advertisedField + "overrides[0].host", "no client can connect to this address; write the host"},
	{"a port with the host", exposed(`advertised: {overrides: [{nodeId: 0, host: "a.org:443"}]}`), verdict.ReasonInvalid,
		advertisedField + "overrides[0].host", "it is neither an IP address nor a host name"},
	{"one host and port for all", exposed(`advertised: {hostTemplate: kafka.example.com, portTemplate: 443}`),
		verdict.ReasonInvalid, advertisedField + "hostTemplate",
		"it puts node 1 at listener clients at kafka.example.com:443, where node 0 at listener clients is already; give each"},
	{"an override at another's address", exposed(`advertised: {hostTemplate: "b{nodeId}.org", overrides: [{nodeId: 1, host: b0.org}]}`),
		verdict.ReasonInvalid, advertisedField + "overrides[1].host", "it puts node 1 at listener clients at b0.org:9092"},
	{"another listener's address", func(in *Inputs) {
		exposed(`advertised: {hostTemplate: "b{nodeId}.org", portTemplate: 443}`)(in)
		in.Spec.Listeners[1].Exposure = in.Spec.Listeners[0].Exposure
	}, verdict.ReasonInvalid, "spec.listeners[outside].exposure.advertised.hostTemplate",
		"it puts node 0 at listener outside at b0.org:443, where node 0 at listener clients is already"},
	{"ports beyond the last", exposed(`advertised: {hostTemplate: a.org, portTemplate: "64600+{nodeId}"}`), verdict.ReasonInvalid,
		advertisedField + "portTemplate", "it makes port 65600 of node 1000, and a port is 1 to 65535; begin at a lower number"},
	{"a port that is none", exposed(`advertised: {portTemplate: "{nodeId}+9000"}`), verdict.ReasonInvalid,
		advertisedField + "portTemplate", "write one such as 443 or 9000+{nodeId}"},
	{"two overrides of a node", exposed(`advertised: {overrides: [{nodeId: 1, port: 1}, {nodeId: 1, port: 2}]}`),
		verdict.ReasonInvalid, advertisedField + "overrides[1]", "node 1 has two overrides; keep one"},
	{"an override of nothing", exposed(`advertised: {overrides: [{nodeId: 1}]}`), verdict.ReasonInvalid,
		advertisedField + "overrides[1]", "neither a host nor a port; give it one, or remove it"},
	{"a bootstrap host that is a URL", exposed(`bootstrap: {hosts: ["https://kafka.org"]}`), verdict.ReasonInvalid,
		"spec.listeners[clients].exposure.bootstrap.hosts[https://kafka.org]", "write the host alone, without a port or a scheme"},
	{"a bootstrap host twice", exposed(`bootstrap: {hosts: [a.org, a.org]}`), verdict.ReasonInvalid,
		"spec.listeners[clients].exposure.bootstrap.hosts[a.org]", "it stands there twice; remove one"},
	{"a port of no host", exposed(`bootstrap: {port: 443}`), verdict.ReasonInvalid,
		"spec.listeners[clients].exposure.bootstrap.port", "add the hosts, or remove it"},
}

func TestHostsThatClientsCanBeSentTo(t *testing.T) {
	for _, host := range []string{"a", "a-1.b.example", "10.0.0.1", "fd00::1", "1a.b", strings.Repeat("a", 63) + ".org"} {
		if wrong := wrongHost(host); wrong != "" {
			t.Errorf("%s: %s", host, wrong)
		}
	}
	for _, host := range []string{"", ".", "a..b", "a.", "-a", "a-", "a_b", "A.org", "10.0.0.256", "a.1", "fe80::1%eth0", "::",
		"224.0.0.1", "*.org", "a b", strings.Repeat("a", 64)} {
		if wrong := wrongHost(host); wrong == "" {
			t.Errorf("%q is taken for a host", host)
		}
	}
}
