package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

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

// Access says which other namespaces may have topics and users in a cluster. When a namespace is not admitted any more,
// its topics and users stay in Kafka as they are: the operator neither changes nor deletes them, unless the namespace
// is evicted.
type Access struct {
	// Namespaces that are admitted, selected by their labels. To select one by its name use the label
	// kubernetes.io/metadata.name. An empty selector admits all.
	// +required
	Namespaces NamespaceSelector `json:"namespaces"`

	// Names of namespaces that lose what they have in this cluster, whether or not the selector admits them. The operator
	// takes the credentials, ACLs and quotas of their KafkaUsers away. It lets go of their KafkaTopics: the topics stay
	// with their records and without a holder. All names are free then. The cluster's own namespace is never evicted.
	// Default: none. At most 64 names of at most 63 characters.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Evicted []string `json:"evicted,omitempty"`

	// What topics, users and ACLs of other namespaces may be called. Default: anything that nobody has yet. With external,
	// KafkaUsers of other namespaces are refused without it: the operator cannot see which names are those of super users.
	// +optional
	Names *AccessNames `json:"names,omitempty"`

	// How much each other namespace may have. Default: no limit.
	// +optional
	Limits *AccessLimits `json:"limits,omitempty"`

	// What single namespaces may do beyond what every admitted one may. A grant for a namespace that is not admitted has
	// no effect. Default: nothing. At most 64.
	// +optional
	// +listType=map
	// +listMapKey=namespace
	// +kubebuilder:validation:MaxItems=64
	Grants []AccessGrant `json:"grants,omitempty"`
}

// AccessNames says what belongs to other namespaces.
type AccessNames struct {
	// Beginnings of names: of KafkaTopics, KafkaUsers, and the topics, groups and transactional ids in spec.acls and
	// spec.grants. In each, {namespace} stands for the namespace of the object. An ACL for all names (*) is refused. 1 to
	// 32 prefixes of at most 128 characters.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Prefixes []NamePrefix `json:"prefixes"`
}

// NamePrefix is the beginning of names.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:XValidation:rule="self.matches('^([{]namespace[}][._][A-Za-z0-9._-]*|[A-Za-z0-9._-]+)$')",message="prefixes: letters, digits, dots, underscores and dashes, and at the beginning {namespace} with a dot or an underscore after it, such as {namespace}. (else shop would also mean shop-two)"
type NamePrefix string

// AccessLimits bound what each namespace other than the cluster's may have. What a namespace has already, it keeps; of
// the rest the oldest objects come first.
type AccessLimits struct {
	// Number of KafkaTopics, without those that only observe. Default: no limit. At least 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Topics *int32 `json:"topics,omitempty"`
	// Number of partitions of all its topics together, without those that it only observes. With it a KafkaTopic needs
	// spec.partitions. Default: no limit. At least 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Partitions *int32 `json:"partitions,omitempty"`
	// Number of KafkaUsers. Default: no limit. At least 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Users *int32 `json:"users,omitempty"`
	// Number of KafkaUsers that log in by PLAIN. They share eight files of at most 1 MiB, which hold about 70,000
	// together. Default: no limit. At least 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	PlainUsers *int32 `json:"plainUsers,omitempty"`
}

// AccessGrant is what one namespace may do beyond what every admitted one may.
type AccessGrant struct {
	// Name of the namespace. 1 to 63 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace"`

	// Operations on the resource Cluster that its KafkaUsers may be allowed by their spec.acls. Alter lets a user write
	// ACLs and the passwords of others; AlterConfigs, ClusterAction and Create reach topics and brokers of everybody.
	// Default: IdempotentWrite alone. At most 8.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	ClusterOperations []ClusterOperation `json:"clusterOperations,omitempty"`

	// What else its objects may do. Adopt: take over topics and users that exist already, as their spec.adoption says.
	// InternalTopics: have KafkaTopics whose names begin with two underscores, Kafka's own among them; observing such a
	// topic needs no permission. Default: neither. At most 2.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	Permissions []AccessPermission `json:"permissions,omitempty"`
}

// AccessPermission is something that a namespace may do only where the cluster's owner says so.
//
// +kubebuilder:validation:Enum=Adopt;InternalTopics
type AccessPermission string

// What a namespace may do only where the cluster's owner says so.
const (
	PermissionAdopt          AccessPermission = "Adopt"
	PermissionInternalTopics AccessPermission = "InternalTopics"
)

// ClusterOperation is an operation that Kafka knows on the resource Cluster.
//
// +kubebuilder:validation:Enum=All;Create;Alter;Describe;ClusterAction;DescribeConfigs;AlterConfigs;IdempotentWrite
type ClusterOperation string

// NamespaceSelector selects namespaces by their labels. A namespace has to meet all of it.
type NamespaceSelector struct {
	// Labels that the namespace has with these values. Default: none. At most 16 labels of at most 317 characters.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && k.indexOf('/') <= 253 && k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="matchLabels: this is not the key of a label; use one such as team or example.com/team"
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`

	// Conditions on labels. Default: none. At most 16.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	MatchExpressions []LabelExpression `json:"matchExpressions,omitempty"`
}

// LabelValue is the value of a label, at most 63 characters.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
type LabelValue = string

// LabelExpression is a condition on one label.
//
// +kubebuilder:validation:XValidation:rule="self.key.indexOf('/') <= 253",message="key: the prefix before the / has at most 253 characters; shorten it"
// +kubebuilder:validation:XValidation:rule="self.operator in ['Exists', 'DoesNotExist'] ? !has(self.values) || self.values.size() == 0 : has(self.values) && self.values.size() > 0",message="values: In and NotIn need at least one value, Exists and DoesNotExist take none"
type LabelExpression struct {
	// Key of the label, 1 to 317 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	Key string `json:"key"`
	// How the label is compared: In, NotIn, Exists or DoesNotExist.
	// +required
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator metav1.LabelSelectorOperator `json:"operator"`
	// Values to compare with, for In and NotIn. Default: none. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Values []LabelValue `json:"values,omitempty"`
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

// Role is what a node of a pool does.
//
// +kubebuilder:validation:Enum=Controller;Broker
type Role string

// The two roles of KRaft.
const (
	RoleController Role = "Controller"
	RoleBroker     Role = "Broker"
)

// Pool is a group of nodes that are alike.
//
// +kubebuilder:validation:XValidation:rule="has(self.firstNodeId) == has(oldSelf.firstNodeId) && (!has(self.firstNodeId) || self.firstNodeId == oldSelf.firstNodeId)",message="firstNodeId is immutable: node ids are given out once; make a new pool instead"
type Pool struct {
	// Name of the pool, part of the names of its pods. At most 16 characters.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=16
	Name string `json:"name"`

	// Number of nodes, 0 to 100. Required, and no default, except for one pool that may leave it out: that one has
	// spec.replicas.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Replicas *int32 `json:"replicas,omitempty"`

	// What the nodes do: Controller, Broker or both. Default: both.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:default={Controller, Broker}
	Roles []Role `json:"roles,omitempty"`

	// Node id of the first node; the others count up from it. Immutable. Default: the next free thousand, recorded in
	// status.pools. 0 to 2000000000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2000000000
	FirstNodeID *int32 `json:"firstNodeId,omitempty"`

	// Disks of each node. In this version they cannot be changed once the pool exists.
	// +required
	Storage Storage `json:"storage"`

	// Configuration that overrides spec.config for this pool. Default: none. At most 256 keys.
	// +optional
	Config Config `json:"config,omitempty"`

	// Java virtual machine.
	// +optional
	JVM JVM `json:"jvm,omitempty"`

	// CPU and memory of each node: requests and limits, as of any container. Default: none.
	// +optional
	Resources Resources `json:"resources,omitempty"`

	// Pod template that the operator adds to its own: labels, annotations, affinity, tolerations, further containers
	// and volumes, and so on. It refuses names and fields that it owns. Default: none.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	PodTemplate *runtime.RawExtension `json:"podTemplate,omitempty"`
}

// Storage is the set of disks of one node.
type Storage struct {
	// Volumes, one log directory each; several are a JBOD. The first also holds the metadata log, and stays the first.
	// Others can be added, and taken out: those leave once they are empty. 1 to 16 volumes.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Volumes []Volume `json:"volumes"`

	// Retention says what becomes of the PersistentVolumeClaims of nodes that are gone, and of the records on them.
	// Default: they are retained. Refused in a pool that has ephemeral volumes alone.
	// +optional
	Retention *Retention `json:"retention,omitempty"`
}

// RetentionPolicy says what becomes of a claim that no node needs any more.
//
// +kubebuilder:validation:Enum=Retain;Delete
type RetentionPolicy string

// What becomes of a claim.
const (
	RetentionRetain RetentionPolicy = "Retain"
	RetentionDelete RetentionPolicy = "Delete"
)

// Retention says what becomes of the claims of a pool.
type Retention struct {
	// WhenScaled is about the claims of a node that leaves, because replicas was lowered or the pool was removed. Delete:
	// the operator deletes them once the node is gone, Kafka has forgotten it, and no partition names it. It deletes only
	// claims of nodes that the pool had while it said so. Default: Retain.
	// +optional
	WhenScaled RetentionPolicy `json:"whenScaled,omitempty"`

	// WhenDeleted is about the claims of all nodes of the pool when the KafkaCluster is deleted. Delete: Kubernetes
	// deletes them with it, and all records are lost; not so with kubectl delete --cascade=orphan. Default: Retain: a
	// KafkaCluster that is created again under the same name takes them back.
	// +optional
	WhenDeleted RetentionPolicy `json:"whenDeleted,omitempty"`
}

// Volume is one disk of a node.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.ephemeral) && self.ephemeral && has(self.storageClassName))",message="storageClassName: an ephemeral volume has no storage class; remove one of the two"
// +kubebuilder:validation:XValidation:rule="!(has(self.ephemeral) && self.ephemeral && has(self.volumeAttributesClassName))",message="volumeAttributesClassName: an ephemeral volume has no class of attributes; remove one of the two"
type Volume struct {
	// Name of the volume, part of the name of its PersistentVolumeClaim. At most 16 characters.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=16
	Name string `json:"name"`

	// Size in bytes, such as 100Gi. Above zero. It can be raised: the claims of all nodes grow without a restart, if
	// their storage class lets them. It can be lowered only to what no claim has outgrown yet. That of an ephemeral
	// volume cannot change.
	// +required
	Size resource.Quantity `json:"size"`

	// Storage class of the claim; "" = none, for volumes that you make yourself. Default: the default class of the
	// Kubernetes cluster. At most 253 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	StorageClassName *string `json:"storageClassName,omitempty"`

	// VolumeAttributesClass of the claim, such as one with more I/O operations per second. It can be changed at any time;
	// taken out, the claims keep the one that they have. Default: none. 1 to 253 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	VolumeAttributesClassName *string `json:"volumeAttributesClassName,omitempty"`

	// Whether the volume is an emptyDir, whose records are lost with the pod: for tests. Allowed in pools without
	// controllers, and in a cluster of a single node. Default: false.
	// +optional
	Ephemeral bool `json:"ephemeral,omitempty"`
}

// JVM sets the Java virtual machine of a node.
type JVM struct {
	// Heap in bytes, both minimum and maximum (-Xms and -Xmx). Default: 1Gi for brokers, 512Mi for dedicated
	// controllers. At least 128Mi, and at least 128Mi below the memory limit.
	// +optional
	Heap *resource.Quantity `json:"heap,omitempty"`
}

// ResourceList maps a resource, such as cpu or memory, to a quantity.
//
// +kubebuilder:validation:MaxProperties=16
type ResourceList map[string]resource.Quantity

// Resources are the requests and limits of a container.
type Resources struct {
	// What the scheduler reserves, such as cpu: 500m. Default: nothing. At most 16 resources.
	// +optional
	Requests ResourceList `json:"requests,omitempty"`
	// What the container may not exceed, such as memory: 4Gi. Default: no limit. At most 16 resources.
	// +optional
	Limits ResourceList `json:"limits,omitempty"`
}

// Mechanism is a way to log in. Each field that has some says which it takes.
type Mechanism string

// The ways to log in, by the names of their SASL mechanisms where they are such.
const (
	MechanismPlain    Mechanism = "PLAIN"
	MechanismScram256 Mechanism = "SCRAM-SHA-256"
	MechanismScram512 Mechanism = "SCRAM-SHA-512"
	// MechanismTLS: the client shows a certificate.
	MechanismTLS Mechanism = "TLS"
	// MechanismExternal: the credential is not the operator's, and no listener is asked for it.
	MechanismExternal Mechanism = "External"
	// MechanismOAuthBearer is of listeners alone: somebody else issues the tokens.
	MechanismOAuthBearer Mechanism = "OAUTHBEARER"
	// MechanismCustom is of listeners alone: what it is called in SASL, and who answers for it, authentication.custom
	// says.
	MechanismCustom Mechanism = "Custom"
)

// Listener is one address per broker that clients connect to.
//
// +kubebuilder:validation:XValidation:rule="!has(self.authentication) || !('TLS' in self.authentication.mechanisms) || self.encryption != 'None'",message="encryption: a client shows its certificate in TLS; set it to TLS, or choose another mechanism"
type Listener struct {
	// Name of the listener; in Kafka it is in capitals. At most 11 lower-case letters and digits.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9]{0,10}$`
	// +kubebuilder:validation:XValidation:rule="!(self in ['controller', 'controllers', 'handover', 'nodes', 'replication'])",message="name: controller, controllers, handover, nodes and replication name the cluster's own listeners and Services; choose another"
	// +kubebuilder:validation:MaxLength=11
	Name string `json:"name"`

	// Port on the broker's pod. 1024 to 65535, except 9091 and 9093, which the cluster itself uses.
	// +required
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:validation:XValidation:rule="!(self in [9091, 9093])",message="port: 9091 and 9093 are the cluster's own; choose another"
	Port int32 `json:"port"`

	// From where clients can reach the listener.
	// +optional
	// +kubebuilder:default={}
	Exposure Exposure `json:"exposure,omitempty"`

	// Whether the listener encrypts: TLS or None. Default: TLS.
	// +optional
	// +kubebuilder:default=TLS
	Encryption Encryption `json:"encryption,omitempty"`

	// How the listener encrypts, with encryption TLS. Default: as Kafka does.
	// +optional
	TLS *ListenerTLS `json:"tls,omitempty"`

	// How many clients the listener takes. Changed at run time. Default: as many as the brokers take.
	// +optional
	Limits *ListenerLimits `json:"limits,omitempty"`

	// How clients log in. Default: not at all; everybody is User:ANONYMOUS.
	// +optional
	Authentication *ListenerAuthentication `json:"authentication,omitempty"`

	// Who may connect, with spec.networkPolicy. The operator always may. Default: everybody. 1 to 16 peers.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	NetworkPolicyPeers []NetworkPolicyPeer `json:"networkPolicyPeers,omitempty"`
}

// Encryption says whether a listener encrypts.
//
// +kubebuilder:validation:Enum=TLS;None
type Encryption string

// Whether a listener encrypts.
const (
	EncryptionTLS  Encryption = "TLS"
	EncryptionNone Encryption = "None"
)

// ExposureType says from where a listener can be reached.
//
// +kubebuilder:validation:Enum=Internal;ClusterIP;NodePort;LoadBalancer;TLSRoute;TCPRoute
type ExposureType string

// From where a listener can be reached.
const (
	ExposureInternal     ExposureType = "Internal"
	ExposureClusterIP    ExposureType = "ClusterIP"
	ExposureNodePort     ExposureType = "NodePort"
	ExposureLoadBalancer ExposureType = "LoadBalancer"
	ExposureTLSRoute     ExposureType = "TLSRoute"
	ExposureTCPRoute     ExposureType = "TCPRoute"
)

// Exposure says how clients reach a listener.
type Exposure struct {
	// What each broker advertises. Internal: its pod's DNS name, for clients inside the Kubernetes cluster. ClusterIP:
	// the DNS name of a Service of its own, for routers of yours that lead to it. NodePort: the address of the
	// Kubernetes node on which it runs (status.hostIP of its pod, often private) and a port of it, for clients that reach
	// both. LoadBalancer: the address of a load balancer of its own. TLSRoute: a name of its own, by which a Gateway leads
	// clients to it (advertised.hostTemplate). TCPRoute: a port of its own at the one address of a Gateway. Default:
	// Internal.
	// +optional
	// +kubebuilder:default=Internal
	Type ExposureType `json:"type,omitempty"`

	// What brokers advertise in place of what the type gives. For routers, tunnels and address translation in front of
	// the listener. Default: what the type gives.
	// +optional
	Advertised *Advertised `json:"advertised,omitempty"`

	// Where clients begin. Default: at what the type gives.
	// +optional
	Bootstrap *BootstrapExposure `json:"bootstrap,omitempty"`

	// Gateway (gateway.networking.k8s.io) that leads clients to the brokers. With TLSRoute and TCPRoute alone, which need
	// it.
	// +optional
	Gateway *GatewayReference `json:"gateway,omitempty"`

	// What the Service of each broker has of its own. Internal has none.
	// +optional
	Brokers *BrokersExposure `json:"brokers,omitempty"`

	// What the Services of the listener have in common.
	// +optional
	Services *ExposureServices `json:"services,omitempty"`
}

// GatewayReference names a Gateway, or a ListenerSet that adds listeners to one.
type GatewayReference struct {
	// Name of the Gateway. At most 253 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Namespace of the Gateway. Default: that of the KafkaCluster. At most 63 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// Gateway or ListenerSet. Default: Gateway.
	// +optional
	// +kubebuilder:validation:Enum=Gateway;ListenerSet
	Kind GatewayKind `json:"kind,omitempty"`

	// Name of the Gateway's listener that passes TLS on. With TLSRoute alone. Default: all that take the names. At most
	// 253 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SectionName string `json:"sectionName,omitempty"`
}

// GatewayKind is the kind of what routes attach to.
type GatewayKind string

// What routes attach to.
const (
	GatewayKindGateway     GatewayKind = "Gateway"
	GatewayKindListenerSet GatewayKind = "ListenerSet"
)

// Metadata are annotations or labels of an object that the operator makes.
//
// +kubebuilder:validation:MaxProperties=32
type Metadata map[string]string

// BrokersExposure is what the Services of single brokers have. {nodeId}, {pod}, {cluster} and {namespace} in values
// stand for those of the broker.
type BrokersExposure struct {
	// Whether each broker has a Service of its own (PerBroker), or all are behind the bootstrap Service, each at a port
	// of its own (Shared). Shared is for LoadBalancer alone. It needs portTemplate and an operator that may write
	// EndpointSlices: endpointSlices.enabled of its chart. A broker whose pod gets another address is unreachable there
	// until a running operator has written it. Default: PerBroker.
	// +optional
	// +kubebuilder:validation:Enum=PerBroker;Shared
	ServicePolicy ServicePolicy `json:"servicePolicy,omitempty"`

	// Port of the Service of each broker with LoadBalancer: a number to which the node id is added, such as
	// "9000+{nodeId}", which clients are told. Services with ports of their own can share one address. With servicePolicy
	// Shared: the port of the broker at the bootstrap Service. Default: the port of the listener.
	// +optional
	PortTemplate *intstr.IntOrString `json:"portTemplate,omitempty"`

	// Node port of each broker with NodePort: a number to which the node id is added, such as "31000+{nodeId}". Default:
	// a port that Kubernetes chooses.
	// +optional
	NodePortTemplate *intstr.IntOrString `json:"nodePortTemplate,omitempty"`

	// Annotations. Default: none. At most 32.
	// +optional
	Annotations Metadata `json:"annotations,omitempty"`

	// Labels. Default: none. At most 32.
	// +optional
	Labels Metadata `json:"labels,omitempty"`
}

// ServicePolicy says which Services brokers are behind.
type ServicePolicy string

// Which Services brokers are behind.
const (
	ServicePerBroker ServicePolicy = "PerBroker"
	ServiceShared    ServicePolicy = "Shared"
)

// ExposureServices is what all Services of a listener have.
type ExposureServices struct {
	// Annotations of all Services of the listener, with {cluster} and {namespace} in values. Default: none. At most 32.
	// +optional
	Annotations Metadata `json:"annotations,omitempty"`

	// Labels of all Services of the listener. Default: none. At most 32.
	// +optional
	Labels Metadata `json:"labels,omitempty"`

	// Whether to ask external-dns for the names that are advertised (advertised.hostTemplate and overrides) and for
	// bootstrap.hosts, by annotations under its old and its new prefix. For NodePort and LoadBalancer. Default: false.
	// +optional
	ExternalDNS bool `json:"externalDNS,omitempty"`

	// Families of the Services' addresses, the first one first. Brokers advertise addresses of the first, which cannot
	// change while the listener is there. Default: that of the Kubernetes cluster.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=IPv4;IPv6
	IPFamilies []corev1.IPFamily `json:"ipFamilies,omitempty"`

	// Whether the Services have addresses of one family or of two. Default: SingleStack for new Services; those that are
	// there keep what they have.
	// +optional
	// +kubebuilder:validation:Enum=SingleStack;PreferDualStack;RequireDualStack
	IPFamilyPolicy corev1.IPFamilyPolicy `json:"ipFamilyPolicy,omitempty"`

	// Whether traffic stays on the Kubernetes node that it came to (Local: brokers see the client's address) or may be
	// passed on (Cluster). For NodePort and LoadBalancer. Default: Local with NodePort, Cluster with LoadBalancer.
	// +optional
	// +kubebuilder:validation:Enum=Local;Cluster
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`

	// Which address of the Kubernetes node brokers advertise with NodePort: InternalIP, the only one that this version
	// knows without reading nodes. Default: InternalIP.
	// +optional
	// +kubebuilder:validation:Enum=InternalIP;ExternalIP;Hostname
	NodeAddressType corev1.NodeAddressType `json:"nodeAddressType,omitempty"`

	// Who makes the load balancers. It cannot change while the listener is there. Default: the cluster's own. At most
	// 253 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`

	// Networks from which clients may come to a load balancer, as 203.0.113.0/24. Not every load balancer heeds them.
	// Default: all. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=64
	SourceRanges []string `json:"sourceRanges,omitempty"`

	// Whether a load balancer's Services have node ports, too. Default: true.
	// +optional
	AllocateNodePorts *bool `json:"allocateNodePorts,omitempty"`
}

// Advertised is what brokers tell clients to connect to.
type Advertised struct {
	// Host name or IP address of each broker. {nodeId}, {pod}, {cluster} and {namespace} stand for those of the broker,
	// as in broker-{nodeId}.kafka.example.com. With TLS the broker's certificate names it. Default: what the type gives.
	// At most 253 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	HostTemplate string `json:"hostTemplate,omitempty"`

	// Port of each broker: a number such as 443, or a number to which the node id is added, such as "9000+{nodeId}".
	// Default: what the type gives; 443 with TLSRoute, and "9000+{nodeId}" with TCPRoute.
	// +optional
	PortTemplate *intstr.IntOrString `json:"portTemplate,omitempty"`

	// Single brokers that advertise something else. Default: none. At most 256.
	// +optional
	// +listType=map
	// +listMapKey=nodeId
	// +kubebuilder:validation:MaxItems=256
	Overrides []AdvertisedOverride `json:"overrides,omitempty"`
}

// AdvertisedOverride is what one broker advertises.
type AdvertisedOverride struct {
	// Node id of the broker. At least 0.
	// +required
	// +kubebuilder:validation:Minimum=0
	NodeID int32 `json:"nodeId"`

	// Host name or IP address. Default: that of the template. At most 253 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`

	// Port. Default: that of the template. 1 to 65535.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}

// BootstrapExposure is where clients of a listener begin.
type BootstrapExposure struct {
	// Host names or IP addresses of your own that lead to any broker, such as kafka.example.com. They come first in
	// bootstrapServers, and with TLS every broker's certificate names them. Default: none. At most 8.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Hosts []string `json:"hosts,omitempty"`

	// Port of these hosts. Default: advertised.portTemplate where that is a number alone, else the port at which the
	// bootstrap Service is reached. With TCPRoute: the port of the Gateway at which clients begin, without hosts too;
	// default: the port of the listener. 1 to 65535.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// Node port of the bootstrap Service with NodePort. Default: one that Kubernetes chooses. 1 to 65535.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	NodePort int32 `json:"nodePort,omitempty"`

	// Annotations of the bootstrap Service. Default: none. At most 32.
	// +optional
	Annotations Metadata `json:"annotations,omitempty"`

	// Labels of the bootstrap Service. Default: none. At most 32.
	// +optional
	Labels Metadata `json:"labels,omitempty"`
}

// ListenerTLS says how a listener encrypts.
type ListenerTLS struct {
	// Versions of TLS that the listener takes: TLSv1.2, TLSv1.3 or both. Default: both.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=TLSv1.2;TLSv1.3
	Protocols []string `json:"protocols,omitempty"`

	// Cipher suites that the listener takes, at least one of each version that it takes. Default: those of the Java
	// virtual machine.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=6
	// +kubebuilder:validation:items:Enum=TLS_AES_128_GCM_SHA256;TLS_AES_256_GCM_SHA384;TLS_CHACHA20_POLY1305_SHA256;TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
	CipherSuites []string `json:"cipherSuites,omitempty"`

	// Secret with a certificate of your own for the listener, as cert-manager writes it: tls.crt with its chain, tls.key,
	// and ca.crt unless a public authority has signed. It has the label kafka.castellan.dev/use: listener-certificate.
	// Running brokers take a renewed one without a restart. Default: a certificate of listenerAuthority.
	// +optional
	CertificateSecret *SecretName `json:"certificateSecret,omitempty"`
}

// SecretName names a Secret in the namespace of the KafkaCluster.
type SecretName struct {
	// Name of the Secret. 1 to 253 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// ListenerLimits bounds the clients of a listener.
type ListenerLimits struct {
	// The most connections of the listener at each broker (max.connections). Default: no limit. At least 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Connections *int32 `json:"connections,omitempty"`

	// The most connections that are made at the listener of each broker in a second (max.connection.creation.rate).
	// Default: no limit. At least 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ConnectionsPerSecond *int32 `json:"connectionsPerSecond,omitempty"`
}

// ListenerAuthentication says how clients of a listener prove who they are.
//
// +kubebuilder:validation:XValidation:rule="size(self.mechanisms) == 1 || !('TLS' in self.mechanisms)",message="mechanisms: TLS, a certificate of the client, cannot share a listener with the others in Kafka; make a listener of its own for it"
// +kubebuilder:validation:XValidation:rule="!has(self.reauthenticateSeconds) || !('TLS' in self.mechanisms)",message="reauthenticateSeconds: clients with a certificate do not log in again in Kafka, and are cut off when their certificate is revoked or ends; remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.clientAuthorities) || 'TLS' in self.mechanisms",message="clientAuthorities: they sign certificates of clients, which only a listener with mechanisms [TLS] asks for"
// +kubebuilder:validation:XValidation:rule="has(self.oauth) == ('OAUTHBEARER' in self.mechanisms)",message="oauth: it says whose tokens OAUTHBEARER takes, and stands with that mechanism alone; add the missing one of the two, or remove the other"
// +kubebuilder:validation:XValidation:rule="has(self.custom) == ('Custom' in self.mechanisms)",message="custom: it says what Custom is, and stands with that mechanism alone; add the missing one of the two, or remove the other"
// +kubebuilder:validation:XValidation:rule="!has(self.custom) || self.custom.mechanism != 'PLAIN' || !('PLAIN' in self.mechanisms)",message="custom.mechanism: PLAIN stands in mechanisms, too; remove one of the two, or make a listener of its own"
type ListenerAuthentication struct {
	// Mechanisms that the listener offers: SASL mechanisms, or TLS alone, where each client shows a certificate. 1 to 5.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	// +kubebuilder:validation:items:Enum=PLAIN;SCRAM-SHA-256;SCRAM-SHA-512;OAUTHBEARER;TLS;Custom
	Mechanisms []Mechanism `json:"mechanisms"`

	// Whose tokens the listener takes, with OAUTHBEARER alone, which needs it.
	// +optional
	OAuth *ListenerOAuth `json:"oauth,omitempty"`

	// What Custom is, with that mechanism alone, which needs it.
	// +optional
	Custom *ListenerCustom `json:"custom,omitempty"`

	// After how many seconds a client has to log in again on a connection that is open (connections.max.reauth.ms): so
	// long a user who is removed goes on. Default: 300. 10 to 86400.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	ReauthenticateSeconds *int32 `json:"reauthenticateSeconds,omitempty"`

	// Secrets with certificate authorities of your own that sign certificates of clients, each in ca.crt, with the label
	// kafka.castellan.dev/use: client-authority. The principal of such a client is the subject of its certificate, as in
	// User:CN=app,O=Example. Default: only certificates of KafkaUsers are taken. At most 8.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	ClientAuthorities []SecretName `json:"clientAuthorities,omitempty"`

	// Subjects of certificates that an authority of clientAuthorities has signed, and that are refused all the same, as
	// in CN=app,O=Example. Open connections end, too. Default: none. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=3
	// +kubebuilder:validation:items:MaxLength=512
	RefusedSubjects []string `json:"refusedSubjects,omitempty"`
}

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
