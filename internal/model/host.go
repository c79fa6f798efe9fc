package model

import "github.com/castellan-dev/castellan/api/v1alpha1"

// Host is what users need to know of the cluster that they live in. internal/resolve makes it of a cluster of the
// operator's own, and internal/external of somebody else's.
type Host struct {
	Namespace string
	Name      string
	External  bool
	// Listeners in the order of the spec. Of an external cluster only the one is known that the operator uses; it has no
	// mechanism when the operator does not log in by SASL.
	Listeners []HostListener
	// Authorizes tells whether the cluster minds ACLs. Of an external one the brokers say it themselves.
	Authorizes bool
	// Authorizer is the class of a plug-in that decides in place of ACLs; empty = there is none.
	Authorizer string
	SuperUsers []string // names, without "User:", of whatever kind
	// Access is what other namespaces may have; nil = nothing.
	Access *v1alpha1.Access
	Nodes  []int32 // ids of the nodes that are on record
	// Operator is the user that the operator itself logs in as; empty = it is no user.
	Operator string
	// NeedsForScram says which Kafka has the requests that users' credentials need; empty = this one has them.
	NeedsForScram string
}

// MindsACLs tells whether something in the cluster may mind ACLs. A class of a plug-in need not, and those of before
// Kafka keeps for it.
func (h Host) MindsACLs() bool { return h.Authorizes || h.Authorizer != "" }

// HostListener is one listener as users see it.
type HostListener struct {
	Name       string
	TLS        bool
	Inside     bool                 // pods of the same Kubernetes cluster are who it is for
	Mechanisms []v1alpha1.Mechanism // none = nobody logs in
	SaslName   string               // what Custom is called in SASL; empty = it is not offered
	Bootstrap  string               // bootstrap.servers; empty = not known yet
	Late       bool                 // Bootstrap is not known, and may not be for long
	// Addresses of the brokers that are known, by node id.
	Addresses map[int32]BrokerAddress
	Trust     Trust
}

// BrokerAddress is where the operator dials one broker, and the name that the broker's certificate must hold.
type BrokerAddress struct {
	Dial       string // host:port
	ServerName string
}
