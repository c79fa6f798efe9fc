package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// KafkaCluster is one Apache Kafka cluster in KRaft mode: pools of brokers and controllers, the listeners that clients
// connect to, and the configuration that all of them share. With spec.external it stands for a cluster that somebody
// else runs.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:resource:shortName=kc,categories=kafka
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Brokers",type=string,JSONPath=`.status.brokers`,description="ready / desired"
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Doing",type=string,JSONPath=`.status.plan.summary`,description="what is under way and what it waits for; empty at rest"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 32 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name: at most 32 characters, a lower-case DNS label that starts with a letter; the names of pods and Services are made from it"
type KafkaCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Desired state of the cluster.
	// +required
	Spec KafkaClusterSpec `json:"spec"`
	// Observed state of the cluster.
	// +optional
	// +kubebuilder:default={observedGeneration:-1}
	// +structType=atomic
	Status KafkaClusterStatus `json:"status,omitempty"`
}

// KafkaClusterList is a list of KafkaClusters.
//
// +kubebuilder:object:root=true
type KafkaClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KafkaCluster `json:"items"`
}

// KafkaClusterSpec is what the user asks for.
//
// +kubebuilder:validation:XValidation:rule="has(self.external) == has(oldSelf.external)",message="spec.external cannot be added to a KafkaCluster or removed from it, because that would be another Kafka cluster; make a new KafkaCluster"
// +kubebuilder:validation:XValidation:rule="has(self.pools) || has(self.external)",message="spec.pools: Required value: name the pools of the cluster, or in spec.external the addresses of one that somebody else runs"
// +kubebuilder:validation:XValidation:rule="has(self.version) || has(self.external)",message="spec.version: Required value: name the version of Kafka, or in spec.external the addresses of a cluster that somebody else runs"
// +kubebuilder:validation:XValidation:rule="!has(self.external) || !has(self.pools)",message="spec.external: a cluster that somebody else runs has no pools here; remove spec.pools or spec.external"
// +kubebuilder:validation:XValidation:rule="!has(self.pools) || self.pools.filter(p, !has(p.replicas)).size() <= 1",message="spec.pools: several pools have no replicas, and spec.replicas is for one alone; say how many nodes each of the others has"
// +kubebuilder:validation:XValidation:rule="!has(self.pools) || has(self.replicas) || self.pools.all(p, has(p.replicas))",message="spec.pools[].replicas: Required value: say how many nodes each pool has; one pool may leave that to spec.replicas"
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.pools) || self.pools.exists(p, !has(p.replicas))",message="spec.replicas: every pool has replicas of its own, so that it is for none; take replicas out of the pool that it is for, or remove spec.replicas"
// +kubebuilder:validation:XValidation:rule="!has(self.external) || !has(self.replicas) && !has(self.version) && !has(self.metadataVersion) && !has(self.listeners) && !has(self.listenerAuthority) && !has(self.trustWindowSeconds) && !has(self.authorization) && !has(self.config) && !has(self.unmanagedConfig) && !has(self.plugins) && !has(self.tieredStorage)",message="spec.external: the brokers are somebody else's; remove replicas, version, metadataVersion, listeners, listenerAuthority, trustWindowSeconds, authorization, config, unmanagedConfig, plugins and tieredStorage"
// +kubebuilder:validation:XValidation:rule="!has(self.external) || !has(self.rolling) || !has(self.rolling.maxUnavailable) && (!has(self.rolling.unavailable) || self.rolling.unavailable == 'Proceed')",message="spec.external: the brokers are somebody else's and are not restarted; remove rolling"
// +kubebuilder:validation:XValidation:rule="!has(self.external) || !has(self.balancing)",message="spec.external: the brokers are somebody else's, and so is where their replicas are; remove balancing"
// +kubebuilder:validation:XValidation:rule="!has(self.external) || !has(self.networkPolicy)",message="spec.external: the brokers are somebody else's and have no pods here; remove networkPolicy"
// +kubebuilder:validation:XValidation:rule="!has(self.pools) || self.pools.exists(p, !has(p.roles) || 'Controller' in p.roles)",message="spec.pools: no pool has the role Controller; add it to a pool's roles, a cluster needs 1, 3 or 5 controllers"
// +kubebuilder:validation:XValidation:rule="!has(self.pools) || self.pools.exists(p, !has(p.roles) || 'Broker' in p.roles)",message="spec.pools: no pool has the role Broker; add it to a pool's roles"
// +kubebuilder:validation:XValidation:rule="!has(self.listeners) || self.listeners.all(l, self.listeners.exists_one(m, m.port == l.port))",message="spec.listeners: two listeners have the same port; give each a port of its own"
type KafkaClusterSpec struct {
	// Version of Apache Kafka that the nodes run, such as 4.3.1. It changes only when you change it. Required, and no
	// default, except with external. At most 16 characters.
	// +optional
	// +kubebuilder:validation:Pattern=`^[0-9]+\.[0-9]+\.[0-9]+$`
	// +kubebuilder:validation:MaxLength=16
	Version string `json:"version,omitempty"`

	// The metadata.version of Kafka, which says what records Kafka may write: a release (4.3), a level (4.3-IV0), or
	// Auto for the latest that spec.version knows. The operator sets it once every node runs spec.version. After that
	// Kafka may refuse to go back to an older version. Default: it stays what it is; a new cluster gets the latest that
	// its version knows. At most 16 characters.
	// +optional
	// +kubebuilder:validation:Pattern=`^(Auto|[0-9]+\.[0-9]+(-IV[0-9]+)?)$`
	// +kubebuilder:validation:MaxLength=16
	MetadataVersion string `json:"metadataVersion,omitempty"`

	// Pools: groups of nodes that are alike, one StatefulSet each. A pool cannot be renamed. Required, and no default,
	// except with external. 1 to 20 pools.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	Pools []Pool `json:"pools,omitempty"`

	// Number of nodes of the one pool that says none of its own: what kubectl scale and a HorizontalPodAutoscaler set.
	// Default: none; every pool says its own. 0 to 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Replicas *int32 `json:"replicas,omitempty"`

	// How the operator reaches a cluster that somebody else runs. It manages topics and users there, and no brokers.
	// Use it in place of version, pools and all other fields that configure brokers. It cannot be added or removed
	// later. Default: the operator runs the cluster itself.
	// +optional
	External *External `json:"external,omitempty"`

	// Listeners that clients connect to. Default: one named clients, on port 9092, inside the Kubernetes cluster, with
	// TLS and SCRAM-SHA-512. 1 to 16 listeners.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Listeners []Listener `json:"listeners,omitempty"`

	// Secret with an authority of your own that signs the certificates of listeners: tls.crt with the chain above it,
	// tls.key, and ca.crt unless the chain ends in the root. It has the label kafka.castellan.dev/use:
	// listener-authority. The nodes among themselves trust the cluster's own authority alone. Default: that one signs.
	// +optional
	ListenerAuthority *SecretName `json:"listenerAuthority,omitempty"`

	// For how many seconds another authority for a listener waits until every Secret of a KafkaUser holds it. Then
	// brokers show what it has signed, and the condition Warning names who lacks it. Default: 86400. 0 to 2592000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2592000
	TrustWindowSeconds *int32 `json:"trustWindowSeconds,omitempty"`

	// Who may do what in Kafka. Default: Simple if any listener authenticates, else None, as it was when the cluster
	// was created; recorded in status.defaults.
	// +optional
	Authorization *Authorization `json:"authorization,omitempty"`

	// Configuration of brokers and controllers in all pools, with the keys of server.properties. The operator sets keys
	// that Kafka can change at run time without a restart. It refuses keys that follow from other fields. Default:
	// none. At most 256 keys.
	// +optional
	Config Config `json:"config,omitempty"`

	// Run-time keys that somebody else sets. The operator neither changes nor removes them. Default: none. At most 64
	// keys of at most 200 characters.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=200
	UnmanagedConfig []string `json:"unmanagedConfig,omitempty"`

	// Images with jars of your own for all nodes, such as metrics reporters, policies and tiered storage. A change
	// restarts every node. Default: none. At most 8.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Plugins []Plugin `json:"plugins,omitempty"`

	// Where segments of topics with remote.storage.enable go. A change restarts every node. It cannot be removed while a
	// topic has that. Default: nowhere; topics cannot have it.
	// +optional
	TieredStorage *TieredStorage `json:"tieredStorage,omitempty"`

	// How brokers learn their rack, the failure domain.
	// +optional
	// +kubebuilder:default={}
	Rack Rack `json:"rack,omitempty"`

	// How the operator restarts nodes.
	// +optional
	// +kubebuilder:default={}
	Rolling Rolling `json:"rolling,omitempty"`

	// When and how the operator moves replicas to where there is room. Default: mode OnScale.
	// +optional
	Balancing *Balancing `json:"balancing,omitempty"`

	// Which other namespaces may have topics and users in this cluster. Default: none, only the cluster's own.
	// +optional
	Access *Access `json:"access,omitempty"`

	// Limits of what each user may take from each broker, for users without quotas of their own of that kind (Kafka's
	// default user). What others have set by Kafka's tools and does not stand here stays. Default: none.
	// +optional
	DefaultQuotas *Quotas `json:"defaultQuotas,omitempty"`

	// Who may connect to the pods at all. It takes a network plugin that enforces NetworkPolicies. Default: everybody;
	// the operator makes no NetworkPolicy.
	// +optional
	NetworkPolicy *NetworkPolicy `json:"networkPolicy,omitempty"`
}

// Config is Kafka configuration: keys and values as in server.properties.
//
// +kubebuilder:validation:MaxProperties=256
// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) >= 1 && size(k) <= 200 && k.matches('^[a-zA-Z0-9._-]+$'))",message="config: a key has 1 to 200 letters, digits, dots, underscores and dashes"
// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['listeners', 'advertised.listeners', 'listener.security.protocol.map', 'inter.broker.listener.name', 'security.inter.broker.protocol', 'controller.listener.names', 'early.start.listeners', 'connections.max.reauth.ms']) && !k.startsWith('listener.name.') && !k.startsWith('sasl.') && !k.startsWith('ssl.'))",message="config: listeners, advertised.listeners, sasl.*, ssl.* and what belongs to them are owned by the operator; use spec.listeners, or remove the key where no field there takes its place"
// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['node.id', 'broker.id', 'process.roles', 'cluster.id']) && !k.startsWith('controller.quorum.bootstrap') && !k.startsWith('controller.quorum.voters') && !k.startsWith('controller.quorum.auto'))",message="config: node.id, process.roles and the quorum's members are owned by the operator; use spec.pools"
// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['host.name', 'port', 'advertised.host.name', 'advertised.port', 'broker.id.generation.enable', 'control.plane.listener.name']) && !k.startsWith('zookeeper.'))",message="config: Kafka 4 has dropped zookeeper.*, host.name, port, advertised.host.name, advertised.port, broker.id.generation.enable and control.plane.listener.name; remove them"
// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['log.dir', 'log.dirs', 'metadata.log.dir']))",message="config: log.dirs and metadata.log.dir are owned by the operator; use spec.pools[].storage.volumes"
// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['super.users', 'authorizer.class.name', 'allow.everyone.if.no.acl.found', 'principal.builder.class']) && !k.startsWith('castellan.'))",message="config: super.users, castellan.* and the authorizer are owned by the operator; use spec.authorization"
// +kubebuilder:validation:XValidation:rule="self.all(k, k != 'broker.rack')",message="config: broker.rack is owned by the operator; use spec.rack"
type Config map[string]ConfigValue

// ConfigValue is one line of at most 8192 characters.
//
// +kubebuilder:validation:MaxLength=8192
// +kubebuilder:validation:Pattern=`^[^\r\n]*$`
type ConfigValue = string

// AuthorizationType says who decides what a principal may do.
//
// +kubebuilder:validation:Enum=Simple;None;Custom
type AuthorizationType string

// Who decides what a principal may do.
const (
	AuthorizationSimple AuthorizationType = "Simple"
	AuthorizationNone   AuthorizationType = "None"
	AuthorizationCustom AuthorizationType = "Custom"
)

// Authorization says who may do what.
//
// +kubebuilder:validation:XValidation:rule="has(self.class) == (self.type == 'Custom')",message="class: it is that of type Custom, and stands with it alone; add the missing one of the two, or remove the other"
type Authorization struct {
	// Simple: Kafka's own ACLs decide (StandardAuthorizer). KafkaUsers have them. What no ACL allows is refused. None:
	// everybody may do everything. Custom: a class of a plug-in decides, and the operator sets no ACLs.
	// +required
	Type AuthorizationType `json:"type"`

	// Class of a plug-in that decides, with type Custom: an Authorizer of Kafka's. It has to let those do everything that
	// super.users names, the nodes and the operator among them. Default: none, and type Custom needs one. At most 256
	// characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*([.$][A-Za-z_][A-Za-z0-9_]*)*$`
	Class string `json:"class,omitempty"`

	// Names of users who may do everything, whatever the ACLs say. Default: none. At most 32.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9._@+-]{1,128}$`
	// +kubebuilder:validation:XValidation:rule="!('castellan-marker' in self)",message="the operator logs in as castellan-marker to see what brokers have read, and needs no rights for that; remove it"
	SuperUsers []string `json:"superUsers,omitempty"`

	// Names of principals who may do everything, and who come by a token, a certificate of clientAuthorities, or a
	// custom mechanism: as in oidc:3f2a or CN=ops,O=Example. Whoever comes so and stands in superUsers alone is
	// refused. Default: none. At most 32.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	FederatedSuperUsers []string `json:"federatedSuperUsers,omitempty"`
}

// Rack says how brokers learn their failure domain.
type Rack struct {
	// Label of the Kubernetes nodes whose value is the rack. Each broker gets the value of its node as broker.rack. The
	// scheduler prefers to spread the nodes of a pool over its values. Default: topology.kubernetes.io/zone, the only
	// value that this version accepts.
	// +optional
	// +kubebuilder:default="topology.kubernetes.io/zone"
	// +kubebuilder:validation:Enum="topology.kubernetes.io/zone"
	TopologyKey string `json:"topologyKey,omitempty"`
}

// UnavailablePolicy says what a restart does about partitions that cannot survive one.
//
// +kubebuilder:validation:Enum=Proceed;Wait
type UnavailablePolicy string

// What a restart does about partitions that cannot survive one.
const (
	UnavailableProceed UnavailablePolicy = "Proceed"
	UnavailableWait    UnavailablePolicy = "Wait"
)

// Rolling says how restarts are carried out.
type Rolling struct {
	// What a restart does about partitions that can spare no replica, because their replication factor is at most
	// min.insync.replicas, and about a quorum of one or two voters. Proceed: it interrupts them and says so in an
	// event. Wait: it does not happen, and the cluster is Stalled. Evictions by Kubernetes follow the same rule.
	// Default: Proceed.
	// +optional
	// +kubebuilder:default=Proceed
	Unavailable UnavailablePolicy `json:"unavailable,omitempty"`

	// The most nodes that restart at the same time. Nodes of different racks never do, and every partition that can
	// spare a replica keeps min.insync.replicas. Default: as many as the rack has, or one where brokers have no rack. 1
	// to 100, fewer than the brokers of the cluster, and not more than those of the largest rack.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxUnavailable *int32 `json:"maxUnavailable,omitempty"`
}
