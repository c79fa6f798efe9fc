package resolve

import (
	"fmt"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

func resolveWalls(spec *v1alpha1.KafkaClusterSpec, operator model.Operator) model.Walls {
	return model.Walls{
		Ingress:  spec.NetworkPolicy != nil && spec.NetworkPolicy.Type == v1alpha1.NetworkPolicyIngress,
		Operator: operator,
	}
}

// validateWalls refuses a NetworkPolicy that would shut the operator out, and peers that Kubernetes would refuse or
// that nothing enforces.
func validateWalls(spec *v1alpha1.KafkaClusterSpec, operator model.Operator) verdict.List {
	var faults verdict.List
	if policy := spec.NetworkPolicy; policy != nil {
		switch {
		case policy.Type != v1alpha1.NetworkPolicyNone && policy.Type != v1alpha1.NetworkPolicyIngress:
			faults.Refuse(model.NetworkPolicyField+".type", "use None or Ingress")
		case policy.Type == v1alpha1.NetworkPolicyIngress && !operator.IsKnown():
			faults.Refuse(model.NetworkPolicyField+".type", "the operator was not told which pods are its own, and would shut "+
				"itself out; start it with POD_NAMESPACE and --operator-labels, as the chart does, or use None")
		}
	}
	for _, l := range spec.Listeners {
		if len(l.NetworkPolicyPeers) > 0 && spec.NetworkPolicy == nil {
			faults.Refuse(model.ListenerField(l.Name, "networkPolicyPeers"), "nothing keeps anybody else out; set "+
				"spec.networkPolicy.type to Ingress, or remove the peers")
		}
		for i, peer := range l.NetworkPolicyPeers {
			field := model.ListenerField(l.Name, fmt.Sprintf("networkPolicyPeers[%d]", i))
			faults = append(faults, validatePeer(field, peer)...)
		}
	}
	return faults
}

func validatePeer(field string, peer v1alpha1.NetworkPolicyPeer) verdict.List {
	var faults verdict.List
	selects := peer.PodSelector != nil || peer.NamespaceSelector != nil
	switch {
	case selects && peer.IPBlock != nil:
		faults.Refuse(field, "a peer is a network or pods, and this one is both; make two peers of it")
	case !selects && peer.IPBlock == nil:
		faults.Refuse(field, "it says nothing; add a podSelector, a namespaceSelector or an ipBlock, or remove it")
	}
	for name, selector := range map[string]*v1alpha1.PeerSelector{
		"podSelector": peer.PodSelector, "namespaceSelector": peer.NamespaceSelector,
	} {
		if _, err := metav1.LabelSelectorAsSelector(selector.Kubernetes()); err != nil {
			faults.Refuse(field+"."+name, "%s; correct it", err)
		}
	}
	if peer.IPBlock != nil {
		faults = append(faults, validateBlock(field+".ipBlock", peer.IPBlock)...)
	}
	return faults
}

func validateBlock(field string, block *v1alpha1.IPBlock) verdict.List {
	var faults verdict.List
	whole, ok := network(&faults, field+".cidr", block.CIDR)
	for _, text := range block.Except {
		except := field + ".except[" + text + "]"
		part, isNetwork := network(&faults, except, text)
		if ok && isNetwork && (part.Bits() <= whole.Bits() || !whole.Contains(part.Addr())) {
			faults.Refuse(except, "it is not a part of %s, and not smaller; choose one inside of it, or remove it", whole)
		}
	}
	return faults
}

// network reads a network as Kubernetes will read it; false = it is none.
func network(faults *verdict.List, field, text string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		faults.Refuse(field, "%q is no network; write one such as 203.0.113.0/24 or 2001:db8::/32", text)
	case prefix.Addr().Is4In6():
		faults.Refuse(field, "%s is IPv4 written as IPv6; write it as IPv4", text)
	case prefix != prefix.Masked():
		faults.Refuse(field, "it has bits beyond its length; did you mean %s?", prefix.Masked())
	default:
		return prefix, true
	}
	return prefix, false
}

// wallWarnings tell of peers that nobody can tell apart.
func wallWarnings(c *model.Cluster) []string {
	var warnings []string
	for _, l := range c.Listeners {
		if c.Walls.Ingress && len(l.Peers) > 0 && !exposure.Of(l.Exposure).KeepsSource(l) {
			field := model.ListenerField(l.Name, "networkPolicyPeers")
			warnings = append(warnings, field+": with externalTrafficPolicy Cluster "+
				"clients from outside come from the addresses of Kubernetes nodes, and a peer can only admit all of them or none; "+
				"set exposure.services.externalTrafficPolicy to Local")
		}
	}
	return warnings
}
