package render

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// walled is a cluster with an open listener, and one with peers.
func walled(peers ...v1alpha1.NetworkPolicyPeer) *model.Cluster {
	return &model.Cluster{
		Namespace: "shop", Name: "events",
		Walls: model.Walls{Ingress: true, Operator: model.Operator{Namespace: "castellan-system", Labels: map[string]string{
			"app.kubernetes.io/name": "castellan", "app.kubernetes.io/instance": "castellan"}}},
		Listeners: []model.Listener{{Name: "clients", Port: 9092}, {Name: "partners", Port: 9094, Peers: peers}},
	}
}

func labelled(of ...string) *v1alpha1.PeerSelector {
	s := &v1alpha1.PeerSelector{}
	for i := 0; i < len(of); i += 2 {
		s.MatchLabels = map[string]string{of[i]: of[i+1]}
	}
	return s
}

func inNamespace(name string) *v1alpha1.PeerSelector {
	return labelled("kubernetes.io/metadata.name", name)
}

var (
	kafkaLabels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelCluster: "events"}
	otherKafka  = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelCluster: "events-two"}
	operator    = map[string]string{"app.kubernetes.io/name": "castellan", "app.kubernetes.io/instance": "castellan",
		"pod-template-hash": "5b4"}
	app    = map[string]string{"app": "web"}
	broker = place{namespace: "shop", labels: kafkaLabels, address: "10.0.0.9", node: "n1"}
)

// What was reported of policies that operators made: the operator locked out because a namespace has no label of that
// name; any operator let in that has the usual label; a pod of the host's network that no selector knows; probes.
func TestWhoReachesWhichPort(t *testing.T) {
	c := walled(
		v1alpha1.NetworkPolicyPeer{PodSelector: labelled("app", "web")},
		v1alpha1.NetworkPolicyPeer{NamespaceSelector: inNamespace("partner"), PodSelector: labelled("app", "web")},
		v1alpha1.NetworkPolicyPeer{NamespaceSelector: inNamespace("friends")},
		v1alpha1.NetworkPolicyPeer{IPBlock: &v1alpha1.IPBlock{CIDR: "203.0.113.0/24", Except: []string{"203.0.113.128/25"}}},
		v1alpha1.NetworkPolicyPeer{IPBlock: &v1alpha1.IPBlock{CIDR: "2001:db8::/32"}},
	)
	const replication, controller, clients, partners, sidecar = 9091, 9093, 9092, 9094, 9404
	for name, tt := range map[string]struct {
		from place
		open []int32
	}{
		"the cluster's own pods":                {broker, []int32{replication, clients, controller}},
		"the operator":                          {place{namespace: "castellan-system", labels: operator}, []int32{replication, clients, partners}},
		"another operator beside it":            {place{namespace: "castellan-system", labels: map[string]string{"app.kubernetes.io/name": "castellan"}}, []int32{clients}},
		"an operator of that name elsewhere":    {place{namespace: "shop", labels: operator}, []int32{clients}},
		"an operator on its node's network":     {place{namespace: "castellan-system", labels: operator, hostNetwork: true}, []int32{clients}},
		"another cluster's pods":                {place{namespace: "shop", labels: otherKafka}, []int32{clients}},
		"a cluster of that name elsewhere":      {place{namespace: "partner", labels: kafkaLabels}, []int32{clients}},
		"a peer of the own namespace":           {place{namespace: "shop", labels: app}, []int32{clients, partners}},
		"its namesake elsewhere":                {place{namespace: "elsewhere", labels: app}, []int32{clients}},
		"a peer of another namespace":           {place{namespace: "partner", labels: app}, []int32{clients, partners}},
		"another pod there":                     {place{namespace: "partner", labels: map[string]string{"app": "x"}}, []int32{clients}},
		"any pod of a namespace that is a peer": {place{namespace: "friends", labels: map[string]string{"app": "x"}}, []int32{clients, partners}},
		"an address that is a peer":             {place{address: "203.0.113.7"}, []int32{clients, partners}},
		"an address that is excepted":           {place{address: "203.0.113.200"}, []int32{clients}},
		"an address of IPv6":                    {place{address: "2001:db8::7"}, []int32{clients, partners}},
		"any other address":                     {place{address: "198.51.100.7"}, []int32{clients}},
		"a Kubernetes node that passes on":      {place{address: "192.0.2.2", node: "n2"}, []int32{clients}},
		"the kubelet of the pod's own node": {place{address: "192.0.2.1", node: "n1"},
			[]int32{replication, clients, controller, partners, sidecar}},
	} {
		var open []int32
		for _, port := range []int32{replication, clients, controller, partners, sidecar} {
			if admits([]*networkingv1.NetworkPolicy{Policy(c, nil, nil, nil)}, tt.from, broker, port) {
				open = append(open, port)
			}
		}
		if !slices.Equal(open, tt.open) {
			t.Errorf("%s: reaches %v, want %v", name, open, tt.open)
		}
	}
	for name, other := range map[string]place{
		"pods of another cluster":        {namespace: "shop", labels: otherKafka},
		"a cluster of the name, in else": {namespace: "elsewhere", labels: kafkaLabels},
		"an app":                         {namespace: "shop", labels: app},
	} {
		if !admits([]*networkingv1.NetworkPolicy{Policy(c, nil, nil, nil)}, place{address: "198.51.100.7"}, other, 8080) {
			t.Errorf("%s: closed by a policy that is none of theirs", name)
		}
	}
}

// Policies add up: whoever scrapes a sidecar writes one of their own, and need not change the operator's.
func TestAPolicyOfOnesOwnAddsToTheOperators(t *testing.T) {
	c := walled()
	scrape := &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{
		PodSelector: *ownPods(c).PodSelector, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{open(9404, peers([]v1alpha1.NetworkPolicyPeer{
			{NamespaceSelector: inNamespace("monitoring")}})...)},
	}}
	scrape.Namespace = "shop"
	prometheus := place{namespace: "monitoring", labels: app}
	both := []*networkingv1.NetworkPolicy{Policy(c, nil, nil, nil), scrape}
	if admits(both[:1], prometheus, broker, 9404) || !admits(both, prometheus, broker, 9404) ||
		admits(both, prometheus, broker, 9091) {
		t.Error("the two policies do not add up to what each of them opens")
	}
}

// A listener that was removed or moved to another port is open as it was as long as a pod listens there.
func TestAPortStaysAsItIsWhileAPodListensThere(t *testing.T) {
	web, stranger := place{namespace: "shop", labels: app}, place{namespace: "elsewhere"}
	before := walled(v1alpha1.NetworkPolicyPeer{PodSelector: labelled("app", "web")})
	policy := Policy(before, nil, []int32{9091, 9092, 9093, 9094}, nil)
	now := walled()
	now.Listeners = []model.Listener{{Name: "partners", Port: 9095}}
	for name, tt := range map[string]struct {
		live      *networkingv1.NetworkPolicy
		listening []int32
		from      place
		port      int32
		open      bool
	}{
		"a port with peers, for a peer":          {policy, []int32{9094, 9092}, web, 9094, true},
		"a port with peers, for another":         {policy, []int32{9094, 9092}, stranger, 9094, false},
		"an open port":                           {policy, []int32{9094, 9092}, stranger, 9092, true},
		"an open port at which nobody listens":   {policy, []int32{9094}, stranger, 9092, false},
		"the new port before anybody listens":    {policy, []int32{9094}, stranger, 9095, true},
		"a port that was closed":                 {policy, []int32{9099}, stranger, 9099, false},
		"the first policy":                       {nil, []int32{9092}, stranger, 9092, true},
		"the first policy, a port of no pod":     {nil, []int32{9092}, stranger, 9094, false},
		"the quorum's port, in the first policy": {nil, []int32{9093, 9091}, stranger, 9093, false},
	} {
		next := Policy(now, tt.live, tt.listening, nil)
		if admits([]*networkingv1.NetworkPolicy{next}, tt.from, broker, tt.port) != tt.open {
			t.Errorf("%s: open %t, want %t", name, !tt.open, tt.open)
		}
		if again := Policy(now, next, tt.listening, nil); !equality.Semantic.DeepEqual(again, next) {
			t.Errorf("%s: it is not at rest: %v and then %v", name, next.Spec.Ingress, again.Spec.Ingress)
		}
	}
}

// Random listeners and peers: what the policy opens is what the spec says, told a second time and in another way.
func TestRandomWalls(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	some := func() *v1alpha1.PeerSelector {
		s := &v1alpha1.PeerSelector{}
		switch r.IntN(4) {
		case 0:
			return nil
		case 1:
			s.MatchLabels = map[string]string{pick("app", "kubernetes.io/metadata.name"): pick("web", "shop", "partner")}
		case 2:
			s.MatchExpressions = []v1alpha1.LabelExpression{{Key: pick("app", "kubernetes.io/metadata.name"),
				Operator: "NotIn", Values: []string{pick("web", "shop")}}}
		}
		return s
	}
	sources := []place{broker}
	for _, namespace := range []string{"shop", "partner", "castellan-system"} {
		for _, labels := range []map[string]string{kafkaLabels, otherKafka, operator, app, {}} {
			sources = append(sources, place{namespace: namespace, labels: labels, address: pick("10.0.1.1", "10.0.2.2")})
		}
	}
	for _, address := range []string{"10.0.1.1", "10.0.2.2", "203.0.113.7", "2001:db8::1"} {
		sources = append(sources, place{address: address})
	}
	for run := range 300 {
		c := walled()
		c.Listeners = nil
		for i := range r.IntN(5) {
			l := model.Listener{Name: fmt.Sprintf("l%d", i), Port: int32(9100 + i)}
			for range r.IntN(4) {
				peer := v1alpha1.NetworkPolicyPeer{PodSelector: some(), NamespaceSelector: some()}
				if peer.PodSelector == nil && peer.NamespaceSelector == nil {
					peer.IPBlock = &v1alpha1.IPBlock{CIDR: pick("10.0.0.0/16", "0.0.0.0/0", "::/0")}
					if peer.IPBlock.CIDR == "10.0.0.0/16" && r.IntN(2) == 0 {
						peer.IPBlock.Except = []string{"10.0.1.0/24"}
					}
				}
				l.Peers = append(l.Peers, peer)
			}
			c.Listeners = append(c.Listeners, l)
		}
		policies := []*networkingv1.NetworkPolicy{Policy(c, nil, nil, nil)}
		for _, from := range sources {
			for port := int32(9090); port < 9106; port++ {
				if got, want := admits(policies, from, broker, port), mayReach(c, from, port); got != want {
					t.Fatalf("run %d: %+v reaches %d: %t, want %t; listeners %+v", run, from, port, got, want, c.Listeners)
				}
			}
		}
	}
}

// mayReach says from a spec who reaches a port.
func mayReach(c *model.Cluster, from place, port int32) bool {
	own := from.namespace == "shop" && from.labels[v1alpha1.LabelCluster] == "events"
	castellan := from.namespace == "castellan-system" && from.labels["app.kubernetes.io/instance"] == "castellan"
	switch port {
	case 9091:
		return own || castellan
	case 9093:
		return own
	}
	has := func(s *v1alpha1.PeerSelector, labels map[string]string) bool {
		for key, value := range s.MatchLabels {
			if labels[key] != value {
				return false
			}
		}
		for _, e := range s.MatchExpressions {
			if slices.Contains(e.Values, labels[e.Key]) {
				return false
			}
		}
		return true
	}
	for _, l := range c.Listeners {
		if l.Port != port {
			continue
		}
		for _, p := range l.Peers {
			if p.IPBlock != nil {
				if inBlock(p.IPBlock.CIDR, from.address) && !inAny(p.IPBlock.Except, from.address) {
					return true
				}
				continue
			}
			if from.namespace != "" && (p.PodSelector == nil || has(p.PodSelector, from.labels)) &&
				(p.NamespaceSelector == nil && from.namespace == "shop" ||
					p.NamespaceSelector != nil && has(p.NamespaceSelector, namespaceLabels(from.namespace))) {
				return true
			}
		}
		return len(l.Peers) == 0 || castellan
	}
	return false
}
