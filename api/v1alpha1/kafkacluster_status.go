package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Condition types. Ready, Reconciling and Stalled follow kstatus; Available is the cluster's own.
const (
	// ConditionReady: this generation is fully in force.
	ConditionReady = "Ready"
	// ConditionReconciling: something is being done or waited for.
	ConditionReconciling = "Reconciling"
	// ConditionStalled: the spec cannot be carried out until it is changed; the message names the field.
	ConditionStalled = "Stalled"
	// ConditionAvailable: the quorum has a leader, every partition has min ISR and every listener an unfenced broker; of an
	// external cluster, that its brokers answer and let the operator in.
	ConditionAvailable = "Available"
	// ConditionWarning: in force, and yet worth a second thought.
	ConditionWarning = "Warning"
)

// KafkaClusterStatus is what was seen of the cluster.
type KafkaClusterStatus struct {
	// Generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Ready, Reconciling, Stalled, Available and Warning.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Kafka's own id of the cluster, given out once; of an external cluster, as it was first seen.
	// +optional
	ClusterID string `json:"clusterId,omitempty"`
	// Whether the first quorum has been seen with a leader; from then on no disk is formatted as an initial voter.
	// +optional
	Bootstrapped bool `json:"bootstrapped,omitempty"`
	// The controllers of the first quorum, recorded before any disk is formatted.
	// +optional
	// +listType=map
	// +listMapKey=nodeId
	InitialVoters []InitialVoter `json:"initialVoters,omitempty"`
	// Pools and the node ids that they were given.
	// +optional
	// +listType=map
	// +listMapKey=name
	Pools []PoolStatus `json:"pools,omitempty"`
	// Nodes, one entry each.
	// +optional
	// +listType=map
	// +listMapKey=id
	Nodes []NodeStatus `json:"nodes,omitempty"`
	// What clients type to connect.
	// +optional
	// +listType=map
	// +listMapKey=name
	Listeners []ListenerStatus `json:"listeners,omitempty"`
	// Defaults that depend on the cluster's first size, computed once.
	// +optional
	Defaults *Defaults `json:"defaults,omitempty"`
	// Version of Kafka that the nodes run; several while they differ.
	// +optional
	Version string `json:"version,omitempty"`
	// Finalized metadata.version, as a feature level.
	// +optional
	MetadataVersion int32 `json:"metadataVersion,omitempty"`
	// Finalized features (KIP-584) and their levels, metadata.version among them.
	// +optional
	Features map[string]int32 `json:"features,omitempty"`
	// What is done next and what is held back, in sentences.
	// +optional
	Plan PlanStatus `json:"plan,omitempty"`
	// Brokers that are ready and desired, such as 3/3; of an external cluster, those that serve and those it knows.
	// +optional
	Brokers string `json:"brokers,omitempty"`
	// What concerns external clusters only.
	// +optional
	External *ExternalStatus `json:"external,omitempty"`
}

// InitialVoter is a controller of the first quorum and the one disk that may be formatted as such.
type InitialVoter struct {
	// Node id.
	NodeID int32 `json:"nodeId"`
	// Directory id (KIP-853) that its metadata disk is formatted with.
	DirectoryID string `json:"directoryId"`
	// UID of the claim, or of the pod when the volume is ephemeral, that was told to format as an initial voter.
	// +optional
	DiskUID string `json:"diskUid,omitempty"`
}

// PoolStatus is a pool and its node ids.
type PoolStatus struct {
	// Name of the pool.
	Name string `json:"name"`
	// Node id of its first node.
	FirstNodeID int32 `json:"firstNodeId"`
}

// PlanStatus is what the operator is about to do. Its lists are cut; the counts are not.
type PlanStatus struct {
	// One line: what is under way and what it waits for, such as "rolling 2/6: broker 2 is starting". Empty at rest.
	// +optional
	Summary string `json:"summary,omitempty"`
	// Next steps with their reasons, at most 10.
	// +optional
	// +listType=atomic
	Next []string `json:"next,omitempty"`
	// What should be done and may not be yet, with the rule that holds it in brackets, at most 10.
	// +optional
	// +listType=atomic
	Held []string `json:"held,omitempty"`
	// Nodes that this version of the operator would render differently, which waits for their next restart.
	// +optional
	Pending int32 `json:"pending,omitempty"`
}

// NodeState is where a node stands.
type NodeState string

// Where a node stands.
const (
	NodeWaiting  NodeState = "Waiting"  // no pod, or a pod that cannot start yet
	NodeStarting NodeState = "Starting" // the pod runs and is not ready
	NodeServing  NodeState = "Serving"  // ready, and unfenced when it is a broker
	NodeFenced   NodeState = "Fenced"   // ready, and yet Kafka does not count on it
	NodeStopping NodeState = "Stopping"
	NodeLeaving  NodeState = "Leaving" // no longer asked for, and not gone yet
	NodeFailing  NodeState = "Failing" // crash loop, image that cannot be pulled, pod that cannot be scheduled
)

// NodeStatus is one node.
type NodeStatus struct {
	// Node id: the broker's or controller's node.id.
	ID int32 `json:"id"`
	// Pool that it belongs to; empty for a broker of an external cluster.
	// +optional
	Pool string `json:"pool,omitempty"`
	// Name of its pod; empty for a broker of an external cluster.
	// +optional
	Pod string `json:"pod,omitempty"`
	// What it does.
	// +listType=set
	Roles []Role `json:"roles"`
	// Waiting, Starting, Serving, Fenced, Stopping or Failing.
	State NodeState `json:"state"`
	// Failure domain that its pod was last seen in: the zone of its Kubernetes node.
	// +optional
	Rack string `json:"rack,omitempty"`
	// What it waits for and why, when it does.
	// +optional
	Message string `json:"message,omitempty"`
	// Since when a leaving broker has been seen to hold no partition.
	// +optional
	EmptySince *metav1.Time `json:"emptySince,omitempty"`
}

// ListenerStatus is what clients of a listener type.
type ListenerStatus struct {
	// Name of the listener.
	Name string `json:"name"`
	// For bootstrap.servers of a client.
	// +optional
	BootstrapServers string `json:"bootstrapServers,omitempty"`
	// For security.protocol of a client.
	// +optional
	SecurityProtocol string `json:"securityProtocol,omitempty"`
	// What each broker advertises.
	// +optional
	// +listType=map
	// +listMapKey=nodeId
	Addresses []NodeAddress `json:"addresses,omitempty"`
}

// NodeAddress is what a broker advertises.
type NodeAddress struct {
	// Node id.
	NodeID int32 `json:"nodeId"`
	// Host name or IP address.
	Host string `json:"host"`
	// Port.
	Port int32 `json:"port"`
}

// Defaults are values that depend on the cluster's first size.
type Defaults struct {
	// default.replication.factor and that of the internal topics: min(3, brokers).
	ReplicationFactor int32 `json:"replicationFactor"`
	// min.insync.replicas: 2 from three brokers on, else 1.
	MinInsyncReplicas int32 `json:"minInsyncReplicas"`
	// authorization.type when the spec says nothing.
	Authorization AuthorizationType `json:"authorization"`
}
