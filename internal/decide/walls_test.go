package decide

import (
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// walled is a running cluster that asks for walls, and its policy if it has one.
func walled(t *testing.T, built bool) Inputs {
	t.Helper()
	in := running(t)
	in.Operator = model.Operator{Namespace: "castellan-system", Labels: map[string]string{"app": "castellan"}}
	in.Cluster.Spec.NetworkPolicy = &v1alpha1.NetworkPolicy{Type: v1alpha1.NetworkPolicyIngress}
	in.Accepted = in.Cluster.Spec.DeepCopy()
	in.Live.Policies = map[string]*networkingv1.NetworkPolicy{}
	if built {
		policy := Decide(in).Walls.Policy
		policy.OwnerReferences = []metav1.OwnerReference{{Kind: model.KindCluster, Name: "events", UID: in.Cluster.UID,
			Controller: new(true)}}
		in.Live.Policies[policy.Name] = policy
	}
	return in
}

func TestOnlyWhoAsksForWallsGetsThem(t *testing.T) {
	d := Decide(running(t))
	if d.Walls.Policy != nil || len(d.Walls.Surplus) > 0 || d.Model == nil {
		t.Errorf("a spec without the field has %+v", d.Walls)
	}
	looksForIt := func(d Decision) bool {
		return slices.ContainsFunc(d.Unseen, func(o model.ObjectName) bool { return o.Key() == "NetworkPolicy/events" })
	}
	if looksForIt(d) {
		t.Error("it looks for a policy that it does not make")
	}
	before := d.Desired
	if d = Decide(walled(t, false)); d.Walls.Policy == nil || !looksForIt(d) {
		t.Errorf("walls %+v, looks for %v", d.Walls, d.Unseen)
	}
	if !d.Plan.Empty() || d.Desired.Templates["main"] != before.Templates["main"] {
		t.Errorf("walls disturb: %v", d.Plan.Steps)
	}
	if d = Decide(walled(t, true)); d.Walls.Policy == nil || len(d.Walls.Surplus) > 0 || looksForIt(d) {
		t.Errorf("with its policy: %+v, looks for %v", d.Walls, d.Unseen)
	}
}

// A policy may be what keeps nodes from each other. Whoever takes it away does not wait until nothing is under way.
func TestWallsGoAtOnceWhenTheyAreNoLongerAskedFor(t *testing.T) {
	for name, open := range map[string]func(in *Inputs){
		"the field is gone": func(in *Inputs) { in.Cluster.Spec.NetworkPolicy = nil },
		"the type is None": func(in *Inputs) {
			in.Cluster.Spec.NetworkPolicy = &v1alpha1.NetworkPolicy{Type: v1alpha1.NetworkPolicyNone}
		},
	} {
		in := walled(t, true)
		open(&in)
		in.Kafka, in.KafkaError = nil, "no broker answers"
		in.Live.Pods = in.Live.Pods[:1]
		d := Decide(in)
		if d.Plan.Empty() || len(d.Surplus) > 0 || len(d.Walls.Surplus) != 1 || d.Walls.Policy != nil {
			t.Errorf("%s: %+v, under way %v", name, d.Walls, d.Plan.Steps)
		}
		in.Live.Policies["events"].OwnerReferences[0].UID = "another"
		if d = Decide(in); len(d.Walls.Surplus) > 0 {
			t.Errorf("%s: what it does not own goes", name)
		}
	}
}

// An operator that was started by hand, without being told who it is, neither shuts itself out nor opens anything.
func TestAnOperatorThatDoesNotKnowWhoItIsLeavesWallsAsTheyAre(t *testing.T) {
	in := walled(t, true)
	in.Operator = model.Operator{}
	d := Decide(in)
	if len(d.Verdicts) != 1 || d.Verdicts[0].Field != "spec.networkPolicy.type" || d.Model == nil {
		t.Errorf("verdicts %v", d.Verdicts)
	}
	if d.Walls.Policy != nil || len(d.Walls.Surplus) > 0 {
		t.Errorf("%+v", d.Walls)
	}
}

func TestAPortThatLeftTheSpecIsOpenUntilNoPodServesThere(t *testing.T) {
	in := walled(t, true)
	const port = 9092
	in.Cluster.Spec.Listeners = []v1alpha1.Listener{{Name: "clients", Port: 9555}}
	is := func(d Decision, port int32) bool {
		for _, rule := range d.Walls.Policy.Spec.Ingress {
			if rule.Ports[0].Port.IntVal == port {
				return true
			}
		}
		return false
	}
	if d := Decide(in); !is(d, port) || !is(d, 9555) {
		t.Errorf("while pods serve at %d: %v", port, d.Walls.Policy.Spec.Ingress)
	}
	for i := range in.Live.Pods {
		in.Live.Pods[i].Spec.Containers[0].Ports = nil
	}
	if d := Decide(in); is(d, port) || !is(d, 9555) {
		t.Errorf("afterwards: %v", d.Walls.Policy.Spec.Ingress)
	}
}

// A listener is given TLS and opened to everybody in one edit. Until each pod runs it so, only those get to the port who
// got there before.
func TestAPortIsNotOpenedFurtherWhilePodsRunAnotherListenerThere(t *testing.T) {
	in := walled(t, false)
	clients := in.Cluster.Spec.EffectiveListeners()[0]
	clients.Encryption = v1alpha1.EncryptionNone
	clients.NetworkPolicyPeers = []v1alpha1.NetworkPolicyPeer{{IPBlock: &v1alpha1.IPBlock{CIDR: "192.0.2.0/24"}}}
	in.Cluster.Spec.Listeners = []v1alpha1.Listener{clients}
	in = runs(t, in)
	in.Live.Policies["events"] = Decide(in).Walls.Policy
	sources := func() int {
		for _, rule := range Decide(in).Walls.Policy.Spec.Ingress {
			if rule.Ports[0].Port.IntVal == clients.Port {
				return len(rule.From)
			}
		}
		return -1
	}
	if got := sources(); got != 2 {
		t.Fatalf("%d sources get to the port, want the operator and the peer", got)
	}
	in.Cluster.Spec.Listeners[0].Encryption, in.Cluster.Spec.Listeners[0].NetworkPolicyPeers = v1alpha1.EncryptionTLS, nil
	if got := sources(); got != 2 {
		t.Errorf("the port is open to %d sources (0 = everybody) while pods listen there without TLS", got)
	}
	in = runs(t, in)
	if got := sources(); got != 0 {
		t.Errorf("once every pod has TLS %d sources get there, want everybody", got)
	}
}
