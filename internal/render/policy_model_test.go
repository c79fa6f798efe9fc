package render

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apilabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// place is where a connection comes from or goes to: a pod, or, without labels, an address that is no pod's.
type place struct {
	namespace string
	labels    map[string]string
	address   string
	// node is the Kubernetes node of a pod, or the one that an address is of; empty = none.
	node string
	// hostNetwork tells that the pod has its node's address, by which no selector knows it.
	hostNetwork bool
}

func (p place) isPod() bool { return p.namespace != "" && !p.hostNetwork }

// namespaces are as Kubernetes labels them, and no further.
func namespaceLabels(name string) map[string]string {
	return map[string]string{corev1.LabelMetadataName: name}
}

func selects(selector *metav1.LabelSelector, of map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(apilabels.Set(of))
}

// admits is what Kubernetes says of NetworkPolicies and connections: a pod that none selects is open; else one of the
// rules of one of them has to fit. What is on a pod's own node is always let in, as the kubelet's probes are.
func admits(policies []*networkingv1.NetworkPolicy, from, to place, port int32) bool {
	if !from.isPod() && from.node != "" && from.node == to.node {
		return true
	}
	closed := false
	for _, policy := range policies {
		if policy.Namespace != to.namespace || !selects(&policy.Spec.PodSelector, to.labels) {
			continue
		}
		closed = true
		for _, rule := range policy.Spec.Ingress {
			if hasPort(rule, port) && hasPeer(rule, policy.Namespace, from) {
				return true
			}
		}
	}
	return !closed
}

func hasPort(rule networkingv1.NetworkPolicyIngressRule, port int32) bool {
	for _, p := range rule.Ports {
		if p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP {
			continue
		}
		if p.Port == nil || p.Port.Type == intstr.Int &&
			(p.Port.IntVal == port || p.EndPort != nil && p.Port.IntVal <= port && port <= *p.EndPort) {
			return true
		}
	}
	return len(rule.Ports) == 0
}

func hasPeer(rule networkingv1.NetworkPolicyIngressRule, namespace string, from place) bool {
	for _, peer := range rule.From {
		if peer.IPBlock != nil {
			if inBlock(peer.IPBlock.CIDR, from.address) && !inAny(peer.IPBlock.Except, from.address) {
				return true
			}
			continue
		}
		there := peer.NamespaceSelector == nil && from.namespace == namespace ||
			peer.NamespaceSelector != nil && selects(peer.NamespaceSelector, namespaceLabels(from.namespace))
		if from.isPod() && there && (peer.PodSelector == nil || selects(peer.PodSelector, from.labels)) {
			return true
		}
	}
	return len(rule.From) == 0
}

func inAny(cidrs []string, address string) bool {
	for _, cidr := range cidrs {
		if inBlock(cidr, address) {
			return true
		}
	}
	return false
}

func inBlock(cidr, address string) bool {
	prefix, err := netip.ParsePrefix(cidr)
	at, wrong := netip.ParseAddr(address)
	return err == nil && wrong == nil && prefix.Contains(at)
}
