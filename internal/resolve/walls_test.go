package resolve

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

var castellan = model.Operator{Namespace: "castellan-system", Labels: map[string]string{"app.kubernetes.io/name": "castellan"}}

// peered has one peer at the listener clients, behind walls of a type; empty = there are none.
func peered(kind v1alpha1.NetworkPolicyType, peer string) func(in *Inputs) {
	return func(in *Inputs) {
		in.Operator = castellan
		if kind != "" {
			in.Spec.NetworkPolicy = &v1alpha1.NetworkPolicy{Type: kind}
		}
		p := v1alpha1.NetworkPolicyPeer{}
		if err := yaml.UnmarshalStrict([]byte(peer), &p); err != nil {
			panic(err)
		}
		in.Spec.Listeners[0].NetworkPolicyPeers = []v1alpha1.NetworkPolicyPeer{p}
	}
}

func walled(in *Inputs) {
	in.Operator, in.Spec.NetworkPolicy = castellan, &v1alpha1.NetworkPolicy{Type: v1alpha1.NetworkPolicyIngress}
}

const peerField = "spec.listeners[clients].networkPolicyPeers[0]"

var wallFaults = []badInput{
	{"walls of an unheard-of type", func(in *Inputs) { walled(in); in.Spec.NetworkPolicy.Type = "Egress" },
		verdict.ReasonInvalid, "spec.networkPolicy.type", "use None or Ingress"},
	{"an operator that knows no namespace", func(in *Inputs) { walled(in); in.Operator.Namespace = "" },
		verdict.ReasonInvalid, "spec.networkPolicy.type", "start it with POD_NAMESPACE and --operator-labels"},
	{"an operator that knows no labels", func(in *Inputs) { walled(in); in.Operator.Labels = nil },
		verdict.ReasonInvalid, "spec.networkPolicy.type", "or use None"},
	{"peers without walls", peered("", "{podSelector: {}}"), verdict.ReasonInvalid,
		"spec.listeners[clients].networkPolicyPeers", "set spec.networkPolicy.type to Ingress, or remove the peers"},
	{"a peer that is pods and a network", peered("Ingress", "{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}"),
		verdict.ReasonInvalid, peerField, "make two peers of it"},
	{"a peer that is nobody", peered("Ingress", "{}"), verdict.ReasonInvalid, peerField, "or remove it"},
	{"a label's key that is none", peered("Ingress", `{podSelector: {matchLabels: {"a b": c}}}`), verdict.ReasonInvalid,
		peerField + ".podSelector", "correct it"},
	{"a condition that is none", peered("Ingress", "{namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}"),
		verdict.ReasonInvalid, peerField + ".namespaceSelector", "correct it"},
	{"a network that is an address", peered("Ingress", "{ipBlock: {cidr: 10.0.0.1}}"), verdict.ReasonInvalid,
		peerField + ".ipBlock.cidr", "write one such as 203.0.113.0/24"},
	{"a network with bits beyond its length", peered("None", "{ipBlock: {cidr: 10.0.0.1/8}}"), verdict.ReasonInvalid,
		peerField + ".ipBlock.cidr", "did you mean 10.0.0.0/8?"},
	{"IPv4 as IPv6", peered("Ingress", `{ipBlock: {cidr: "::ffff:10.0.0.0/104"}}`), verdict.ReasonInvalid,
		peerField + ".ipBlock.cidr", "write it as IPv4"},
	{"a part that is elsewhere", peered("Ingress", "{ipBlock: {cidr: 10.0.0.0/8, except: [192.0.2.0/24]}}"),
		verdict.ReasonInvalid, peerField + ".ipBlock.except[192.0.2.0/24]", "choose one inside of it, or remove it"},
	{"a part that is all of it", peered("Ingress", "{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}"),
		verdict.ReasonInvalid, peerField + ".ipBlock.except[10.0.0.0/8]", "choose one inside of it, or remove it"},
	{"a part of another family", peered("Ingress", `{ipBlock: {cidr: 0.0.0.0/0, except: ["2001:db8::/32"]}}`),
		verdict.ReasonInvalid, peerField + ".ipBlock.except[2001:db8::/32]", "choose one inside of it, or remove it"},
	{"a name that somebody has", func(in *Inputs) {
		walled(in)
		in.Taken = map[string]string{"NetworkPolicy/events": ""}
	}, verdict.ReasonInvalid, "spec.networkPolicy", "give it another name, or remove this field"},
}

func TestWallsAndPeersThatAreSound(t *testing.T) {
	for name, change := range map[string]func(in *Inputs){
		"walls alone":                 walled,
		"peers that wait for walls":   peered("None", "{podSelector: {}}"),
		"pods here":                   peered("Ingress", "{podSelector: {matchLabels: {app: web}}}"),
		"all pods everywhere":         peered("Ingress", "{namespaceSelector: {}, podSelector: {}}"),
		"a network less a part of it": peered("Ingress", "{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}"),
		"no walls, without knowing who it is": func(in *Inputs) {
			in.Spec.NetworkPolicy = &v1alpha1.NetworkPolicy{Type: v1alpha1.NetworkPolicyNone}
		},
		"a policy of somebody else's, without walls": func(in *Inputs) {
			in.Taken = map[string]string{"NetworkPolicy/events": ""}
		},
	} {
		in := running(t, small)
		change(&in)
		if _, faults := Resolve(in); len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

// Whose address brokers see is the exposure's; a peer judges by nothing else.
func TestPeersThatNobodyCanTellApartAreToldOf(t *testing.T) {
	for exposure, told := range map[string]bool{
		"{}": false, "{type: ClusterIP}": false, "{type: NodePort}": false, "{type: LoadBalancer}": true,
		"{type: NodePort, services: {externalTrafficPolicy: Cluster}}":   true,
		"{type: LoadBalancer, services: {externalTrafficPolicy: Local}}": false,
	} {
		for kind, walls := range map[v1alpha1.NetworkPolicyType]bool{"Ingress": true, "None": false} {
			in := running(t, small)
			exposed(exposure)(&in)
			peered(kind, "{podSelector: {}}")(&in)
			c, faults := Resolve(in)
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			said := strings.Join(Warnings(c), "\n")
			if strings.Contains(said, "spec.listeners[clients].networkPolicyPeers") != (told && walls) {
				t.Errorf("%s, %s: %s", exposure, kind, said)
			}
		}
	}
}
