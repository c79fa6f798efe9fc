package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
)

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
