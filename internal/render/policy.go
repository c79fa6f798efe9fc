package render

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// Policy prints the NetworkPolicy of a cluster: what is open at its pods, one rule a port. Ports are numbers, because
// not every network plugin knows names. A port at which pods still listen, although no listener has it any more, stays
// as it is in the live policy; without one it stays open to everybody, as it was. A port at which pods still run
// another listener, or the same in another way (unsettled), is not opened further before they have restarted.
func Policy(
	c *model.Cluster, live *networkingv1.NetworkPolicy, listening []int32, unsettled map[int32]bool,
) *networkingv1.NetworkPolicy {
	own, operator := ownPods(c), operatorPods(c.Walls.Operator)
	rules := []networkingv1.NetworkPolicyIngressRule{
		open(model.PortReplication, own, operator), open(model.PortController, own),
	}
	known := []int32{model.PortReplication, model.PortController}
	for _, l := range c.Listeners {
		var from []networkingv1.NetworkPolicyPeer
		if len(l.Peers) > 0 {
			from = append([]networkingv1.NetworkPolicyPeer{operator}, peers(l.Peers)...)
		}
		known = append(known, l.Port)
		if kept := rulesOf(live, l.Port); unsettled[l.Port] && restricted(kept) {
			rules = append(rules, kept...)
			continue
		}
		rules = append(rules, open(l.Port, from...))
	}
	for _, port := range slices.Sorted(slices.Values(listening)) {
		switch {
		case slices.Contains(known, port):
		case live == nil:
			rules = append(rules, open(port))
		default:
			rules = append(rules, rulesOf(live, port)...)
		}
		known = append(known, port)
	}
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: model.KindPolicy},
		ObjectMeta: objectMeta(c, c.Name, labels(c, nil)),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: model.Labels(c.Name)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     rules,
		},
	}
}

// open admits peers to a port; none = everybody.
func open(port int32, from ...networkingv1.NetworkPolicyPeer) networkingv1.NetworkPolicyIngressRule {
	protocol, number := corev1.ProtocolTCP, intstr.FromInt32(port)
	return networkingv1.NetworkPolicyIngressRule{
		Ports: []networkingv1.NetworkPolicyPort{{Protocol: &protocol, Port: &number}}, From: from,
	}
}

// ownPods are those of the cluster, in its namespace.
func ownPods(c *model.Cluster) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: model.Labels(c.Name)}}
}

// operatorPods are those of the operator. Kubernetes itself labels every namespace with its name.
func operatorPods(o model.Operator) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: o.Namespace}},
		PodSelector:       &metav1.LabelSelector{MatchLabels: o.Labels},
	}
}

func peers(asked []v1alpha1.NetworkPolicyPeer) []networkingv1.NetworkPolicyPeer {
	var all []networkingv1.NetworkPolicyPeer
	for _, p := range asked {
		peer := networkingv1.NetworkPolicyPeer{
			PodSelector: p.PodSelector.Kubernetes(), NamespaceSelector: p.NamespaceSelector.Kubernetes(),
		}
		if p.IPBlock != nil {
			peer.IPBlock = &networkingv1.IPBlock{CIDR: p.IPBlock.CIDR, Except: p.IPBlock.Except}
		}
		all = append(all, peer)
	}
	return all
}

// rulesOf are the rules of a policy that the operator made for a port; none = it is closed.
func rulesOf(policy *networkingv1.NetworkPolicy, port int32) []networkingv1.NetworkPolicyIngressRule {
	var rules []networkingv1.NetworkPolicyIngressRule
	if policy == nil {
		return nil
	}
	for _, rule := range policy.Spec.Ingress {
		if len(rule.Ports) == 1 && rule.Ports[0].Port != nil && *rule.Ports[0].Port == intstr.FromInt32(port) {
			rules = append(rules, open(port, rule.From...))
		}
	}
	return rules
}

// restricted tells that rules admit somebody, and not everybody.
func restricted(rules []networkingv1.NetworkPolicyIngressRule) bool {
	return len(rules) > 0 && !slices.ContainsFunc(rules, func(rule networkingv1.NetworkPolicyIngressRule) bool {
		return len(rule.From) == 0
	})
}
