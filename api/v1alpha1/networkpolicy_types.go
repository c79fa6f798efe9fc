package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NetworkPolicyType says which way a cluster's NetworkPolicy closes.
//
// +kubebuilder:validation:Enum=None;Ingress
type NetworkPolicyType string

// Which way a cluster's NetworkPolicy closes.
const (
	NetworkPolicyNone    NetworkPolicyType = "None"
	NetworkPolicyIngress NetworkPolicyType = "Ingress"
)

// NetworkPolicy says whether the operator makes a NetworkPolicy for the pods of a cluster. It takes a network plugin
// that enforces policies.
type NetworkPolicy struct {
	// None: no NetworkPolicy; networkPolicyPeers of listeners have no effect. Ingress: one with the cluster's name, that
	// closes all ports of its pods but those that they need. Port 9093 is open to the cluster's own pods, 9091 to these
	// and to the operator, and the port of each listener to its networkPolicyPeers and to the operator. Nothing is
	// closed to connections that pods make themselves. Required, and no default.
	// +required
	Type NetworkPolicyType `json:"type"`
}

// NetworkPolicyPeer is who may connect to a listener: pods, or a network.
//
// +kubebuilder:validation:XValidation:rule="has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",message="a peer is either an ipBlock, or a podSelector, a namespaceSelector or both of them; make two peers of it"
type NetworkPolicyPeer struct {
	// Pods, by their labels. Without namespaceSelector those of the cluster's own namespace. An empty selector means all
	// of them. Default: all, if there is a namespaceSelector.
	// +optional
	PodSelector *PeerSelector `json:"podSelector,omitempty"`

	// Namespaces of the pods, by their labels. To select one by its name use the label kubernetes.io/metadata.name. An
	// empty selector means all. Default: the cluster's own.
	// +optional
	NamespaceSelector *PeerSelector `json:"namespaceSelector,omitempty"`

	// A network, for clients that are no pods. Default: none.
	// +optional
	IPBlock *IPBlock `json:"ipBlock,omitempty"`
}

// PeerSelector selects pods or namespaces by their labels. They have to meet all of it.
type PeerSelector struct {
	// Labels with these values. Default: none. At most 16.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`

	// Conditions on labels. Default: none. At most 16.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	MatchExpressions []LabelExpression `json:"matchExpressions,omitempty"`
}

// Kubernetes is the selector as Kubernetes has it; nil stays nil.
func (s *PeerSelector) Kubernetes() *metav1.LabelSelector {
	if s == nil {
		return nil
	}
	selector := &metav1.LabelSelector{MatchLabels: s.MatchLabels}
	for _, e := range s.MatchExpressions {
		selector.MatchExpressions = append(selector.MatchExpressions,
			metav1.LabelSelectorRequirement{Key: e.Key, Operator: e.Operator, Values: e.Values})
	}
	return selector
}

// IPBlock is a network, less some parts of it.
type IPBlock struct {
	// The network, such as 203.0.113.0/24 or 2001:db8::/32. At most 64 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	CIDR string `json:"cidr"`

	// Parts of it that are not meant. Default: none. At most 16 of at most 64 characters.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	Except []string `json:"except,omitempty"`
}
