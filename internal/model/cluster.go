// Package model is the vocabulary of one pass: what a cluster shall be (Cluster, made by internal/resolve) and what it
// is seen to be (Observation). It holds values and questions about them: no rules, no client, no clock, no logging.
// Downstream rooms read a Cluster and never the raw spec.
package model

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// Ports of the listeners that the cluster keeps for itself, both mTLS with the cluster's own CA.
const (
	PortReplication int32 = 9091 // brokers among themselves, and the operator
	PortController  int32 = 9093 // the metadata quorum
)

// Cluster is a KafkaCluster with every default filled in, every rule checked, and every version, address and node id
// known or named as waited for.
type Cluster struct {
	Namespace string
	Name      string
	UID       string
	Version   string // of Kafka, from the catalogue
	Image     string // with registry and tag
	Domain    string // DNS domain of the Kubernetes cluster, such as cluster.local

	ClusterID string // empty = not minted yet
	// AuthorityRound counts the rounds in which the key of the certificate authority was replaced, three for each time.
	// Every node restarts in each.
	AuthorityRound int
	Bootstrapped   bool // the first quorum has been seen
	InitialVoters  []v1alpha1.InitialVoter

	Pools     []Pool // in the order of the spec
	Nodes     []Node // of all pools, by id
	Listeners []Listener
	Walls     Walls
	// Plugins are images with jars of the user's own, and Tiered is the store behind one of them; nil = there is none.
	Plugins []Plugin
	Tiered  *Tiered

	Authorization v1alpha1.AuthorizationType
	Authorizer    string   // the class that decides, with AuthorizationCustom
	SuperUsers    []string // names, without "User:"
	// FederatedSuperUsers may do everything though they come by a token or a certificate of the owner's authorities.
	FederatedSuperUsers []string
	Defaults            v1alpha1.Defaults

	// DynamicConfig holds the run-time keys for all brokers; they live in Kafka, never in a file.
	DynamicConfig map[string]string
	// UnmanagedConfig names the run-time keys that others set.
	UnmanagedConfig map[string]bool
	RackKey         string
	Unavailable     v1alpha1.UnavailablePolicy
	MaxUnavailable  int32 // most nodes that restart together; 0 = all of one rack, or one without racks
	// Balancing says when and how replicas move.
	Balancing Balancing
	// MetadataVersion is the level of metadata.version that the user asks for; 0 = it stays what it is.
	MetadataVersion int16
	// Paused tells that the user wants nothing to be disturbed.
	Paused bool
	// EmptySince tells since when a leaving broker has been seen to hold no partition, by node id.
	EmptySince map[int32]time.Time
	// Cordoned names the brokers whose cordon is the operator's, by node id. Kafka keeps a cordon for an id that is gone.
	Cordoned map[int32]bool
	// ListenerAuthority is a Secret with an authority of the user's own that signs for listeners; empty = the cluster's.
	ListenerAuthority string
	// TrustWindow is for how long another authority for a listener waits until clients have been given it.
	TrustWindow time.Duration
	// HostAddresses are those of all Kubernetes nodes, which certificates name; none = only that on which a pod runs.
	HostAddresses []string
	// Parting are the brokers that exist and that the spec does not ask for, by id: clients reach them until they are
	// gone.
	Parting []Node
	// FormerPools are recorded pools that are no longer in the spec; their node ids are never given out again.
	FormerPools []v1alpha1.PoolStatus
}

// Pool is one group of like nodes, and one StatefulSet.
type Pool struct {
	Name        string
	StatefulSet string // <cluster>-<pool>
	FirstNodeID int32
	Replicas    int32
	Scaled      bool // by spec.replicas, and so by the scale subresource
	Controller  bool
	Broker      bool
	Volumes     []v1alpha1.Volume // the first holds the metadata log; those that leave are among them
	// Leaving names the volumes that the spec no longer has, and that hold something, as far as is known.
	Leaving []string
	// Retention is what becomes of its claims, defaults filled in.
	Retention v1alpha1.Retention
	// StaticConfig is spec.config overridden by the pool's, only keys that need a restart.
	StaticConfig map[string]string
	// DynamicConfig is the pool's own run-time keys, set broker by broker.
	DynamicConfig map[string]string
	HeapBytes     int64
	Resources     corev1.ResourceRequirements
	PodTemplate   *corev1.PodTemplateSpec // nil = none; strictly decoded and free of what the operator owns
	// PodTemplateText is PodTemplate as the user wrote it, as JSON with sorted keys; empty = none. Fingerprints are made
	// of it, because how the decoded value is encoded changes with the libraries of Kubernetes.
	PodTemplateText string
}

// Node is one broker, controller, or both. Its id is its ordinal and the number in its pod's name.
type Node struct {
	ID        int32
	Pool      string
	PodName   string // <cluster>-<pool>-<id>
	Host      string // <pod>.<cluster>-nodes.<namespace>.svc.<domain>
	Listeners []NodeListener
	// Awaited are listeners that the node does without until their addresses are known. Their Services are there.
	Awaited []NodeListener
	// Waiting says what has to be known before the node's files can be rendered; empty = nothing.
	Waiting string
	// RestartBefore asks for a restart of a pod that was made before then; zero = nobody asks.
	RestartBefore time.Time
}

// Listener is what clients of one listener see of the whole cluster.
type Listener struct {
	Name       string // as in the spec, lower case
	Port       int32
	Exposure   v1alpha1.ExposureType
	TLS        bool
	Mechanisms []v1alpha1.Mechanism // none = anonymous
	// Protocols and CipherSuites are what it takes with TLS; none = what Kafka takes.
	Protocols, CipherSuites []string
	// ClientAuthorities are Secrets with authorities of the user's own that sign certificates of clients.
	ClientAuthorities []string
	// RefusedSubjects are those of certificates that open nothing, whichever of ClientAuthorities has signed them.
	RefusedSubjects []string
	// CertificateSecret is a Secret with a certificate of the user's own; empty = there is none.
	CertificateSecret string
	// Trust is whom clients have to trust beside the cluster's own authority, or in its place.
	Trust Trust
	// TrustSince is since when clients are given another authority, while some lack it; zero = all have it.
	TrustSince time.Time
	// OAuth says whose tokens it takes, with every default filled in; nil = it takes none.
	OAuth *v1alpha1.ListenerOAuth
	// Custom says what Custom is, with every default filled in; nil = it is not offered. Login is what is known of its
	// files.
	Custom        *v1alpha1.ListenerCustom
	Login         Login
	ReauthSeconds int32  // after which clients have to log in again; 0 = as the operator has it
	Service       string // <cluster>-<listener>: bootstrap Service
	// BootstrapPort is what clients type: Port, or the NodePort given to the bootstrap Service (0 = not known yet).
	BootstrapPort int32
	// Advertised is what brokers advertise in place of what the type of exposure gives; the zero value = nothing else.
	Advertised v1alpha1.Advertised
	// Hosts are host names and addresses of the user's own at which clients begin, and HostsPort the port there; 0 =
	// BootstrapPort.
	Hosts     []string
	HostsPort int32
	// Balanced are the addresses of the load balancer before the bootstrap Service, or of the Gateway, best first; none =
	// not known yet, or there is none.
	Balanced []string
	// NodePort is the port that the bootstrap Service has to have; 0 = any.
	NodePort int32
	// Peers may connect, beside the operator; none = everybody may.
	Peers []v1alpha1.NetworkPolicyPeer
	// Services is what all Services of the listener have, OfBootstrap and OfBrokers what only some have.
	Services    v1alpha1.ExposureServices
	OfBootstrap v1alpha1.BootstrapExposure
	OfBrokers   v1alpha1.BrokersExposure
	// Gateway is what leads clients to the brokers, its namespace and kind filled in; the zero value = there is none.
	Gateway v1alpha1.GatewayReference
	// OneService tells that all brokers are behind the bootstrap Service, each at a port of its own, where EndpointSlices
	// of the operator's lead to it.
	OneService bool
	// Families are those of the bootstrap Service's addresses, where EndpointSlices are to be written for it; none = they
	// are not, or nothing is known of the Service yet.
	Families []corev1.IPFamily
}

// Login is what is known of the files of a custom mechanism, of which nothing is told but that they are others.
type Login struct {
	Revision string // made anew with each change of what brokers read but once; empty = there are no files yet
	Kerberos bool   // there is a krb5.conf among them
	ByNode   bool   // each node has a line of JAAS of its own
}

// SaslName is what Custom is called in SASL; empty = the listener does not offer it.
func (l Listener) SaslName() string {
	if l.Custom == nil {
		return ""
	}
	return l.Custom.Mechanism
}

// Trust is by whom clients know the brokers at a listener. The zero value is the cluster's own authority.
type Trust struct {
	Anchors string // certificates, as PEM
	Public  bool   // the authorities that the client's system trusts
}

// AnchorsOr are the certificates, as PEM, by which clients know the brokers; own are those of the cluster's own
// authority. nil = what the client's system trusts.
func (t Trust) AnchorsOr(own []byte) []byte {
	switch {
	case t.Public:
		return nil
	case t.Anchors != "":
		return []byte(t.Anchors)
	}
	return own
}

// AsksForCertificates tells whether clients say who they are by a certificate.
func (l Listener) AsksForCertificates() bool {
	return slices.Contains(l.Mechanisms, v1alpha1.MechanismTLS)
}

// ClientTrust is the entry of the listeners' Secrets with whoever signs certificates of the listener's clients.
func (l Listener) ClientTrust() string { return l.Name + ".clients.crt" }

// ClientRefused is the entry beside ClientTrust with the subjects that are refused, a line each. The class in the
// brokers knows it by its name. There is none where nobody is refused.
func (l Listener) ClientRefused() string { return l.ClientTrust() + ".refused" }

// ClientTrustSources is the entry beside ClientTrust that tells by which Secret of the owner's each is trusted. It is
// for the operator, a line a certificate: its SHA-256 and the name of the Secret.
func (l Listener) ClientTrustSources() string { return l.Name + ".clients.from" }

// ClientTrustChanged is the entry beside ClientTrust that tells when that was changed last, as in RFC 3339. It is for
// the operator: running brokers are to read it then. There is none where it is as it was first written.
func (l Listener) ClientTrustChanged() string { return l.Name + ".clients.changed" }

// AsksForCertificates tells whether any listener of the cluster does.
func (c *Cluster) AsksForCertificates() bool {
	return slices.ContainsFunc(c.Listeners, Listener.AsksForCertificates)
}

// KeysInSecret tells whether brokers read the keys of the issuer from the Secret that the operator writes.
func (l Listener) KeysInSecret() bool {
	return l.OAuth != nil && l.OAuth.JWKS.Fetch != v1alpha1.FetchedByBrokers
}

// TakesTokens tells whether any listener does.
func (c *Cluster) TakesTokens() bool {
	return slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.OAuth != nil })
}

// HasCustom tells whether any listener offers Custom.
func (c *Cluster) HasCustom() bool {
	return slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Custom != nil })
}

// SecurityProtocol is Kafka's word for encryption and authentication together.
func (l Listener) SecurityProtocol() string {
	switch sasl := len(l.Mechanisms) > 0 && !l.AsksForCertificates(); {
	case l.TLS && sasl:
		return "SASL_SSL"
	case l.TLS:
		return "SSL"
	case sasl:
		return "SASL_PLAINTEXT"
	default:
		return "PLAINTEXT"
	}
}

// NodeListener is one listener of one node: what it binds, what it advertises, and what its certificate must name.
// listeners, advertised.listeners, the protocol map, SANs, Services and status.listeners are printed from it.
type NodeListener struct {
	Name             string // Kafka's, upper case: CONTROLLER, REPLICATION, or a client listener's
	Port             int32
	SecurityProtocol string // SSL, PLAINTEXT, SASL_SSL, SASL_PLAINTEXT
	// AdvertisedHost may be a placeholder (IsHostIP), which the start script fills.
	AdvertisedHost string
	AdvertisedPort int32
	Service        string   // Service of this node alone, else empty
	NodePort       int32    // that Kubernetes gave to Service; 0 = none, or not known yet
	FixedPort      int32    // node port that Service has to have; 0 = any
	Late           string   // what the address waits for that may take long; empty = nothing
	SANs           []string // DNS names and addresses that the certificate must hold; none without TLS
	NeedsHostIP    bool     // the certificate must name the addresses of the Kubernetes node too
}

// HostPort is an address that a broker advertises.
type HostPort struct {
	Host string // may be a placeholder (IsHostIP)
	Port int32
}

// RackPlaceholder stands in a node's files for its zone. As with the other placeholders for placement facts
// (HostIPPlaceholder), it is part of the content hash, and its value is not.
const RackPlaceholder = "@RACK@"

// PoolOf returns the pool of a node; the node must be of this cluster.
func (c *Cluster) PoolOf(n *Node) *Pool { return c.Pool(n.Pool) }

// Node returns the node with an id, or nil.
func (c *Cluster) Node(id int32) *Node {
	for i := range c.Nodes {
		if c.Nodes[i].ID == id {
			return &c.Nodes[i]
		}
	}
	return nil
}

// IsBroker tells whether a node has the role Broker.
func (c *Cluster) IsBroker(n *Node) bool { return c.PoolOf(n).Broker }

// IsController tells whether a node has the role Controller.
func (c *Cluster) IsController(n *Node) bool { return c.PoolOf(n).Controller }

// IsInitialVoter tells whether a node is recorded as a controller of the first quorum.
func (c *Cluster) IsInitialVoter(id int32) bool {
	for _, v := range c.InitialVoters {
		if v.NodeID == id {
			return true
		}
	}
	return false
}
