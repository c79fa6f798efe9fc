package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Condition types. Ready, Reconciling and Stalled follow kstatus; Available is the cluster's own.
const (
	// ConditionReady: this generation is fully in force.
	ConditionReady = "Ready"
	// ConditionReconciling: the operator does something or waits for something.
	ConditionReconciling = "Reconciling"
	// ConditionStalled: the spec cannot be carried out until it is changed; the message names the field.
	ConditionStalled = "Stalled"
	// ConditionAvailable: the quorum has a leader, every partition its min.insync.replicas and every listener an
	// unfenced broker. Of an external cluster: its brokers answer and let the operator in.
	ConditionAvailable = "Available"
	// ConditionWarning: the spec is in force and deserves a second thought; the message says why.
	ConditionWarning = "Warning"
)

// KafkaClusterStatus is what was seen of the cluster.
type KafkaClusterStatus struct {
	// Generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Installation of the operator that looks after this cluster, with its topics and users: "<namespace>/<release>". It
	// is written before anything is done for the cluster. Every other installation leaves the cluster alone.
	// +optional
	Operator string `json:"operator,omitempty"`
	// Ready, Reconciling, Stalled, Available and Warning.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Kafka's id of the cluster, given once. Of an external cluster: the id that was seen first.
	// +optional
	ClusterID string `json:"clusterId,omitempty"`
	// Whether the first quorum has had a leader. After that no disk is formatted as an initial voter.
	// +optional
	Bootstrapped bool `json:"bootstrapped,omitempty"`
	// Controllers of the first quorum, recorded before any disk is formatted.
	// +optional
	// +listType=map
	// +listMapKey=nodeId
	InitialVoters []InitialVoter `json:"initialVoters,omitempty"`
	// Pools and their node ids. Pools that were removed stay, so that no other pool gets their ids.
	// +optional
	// +listType=map
	// +listMapKey=name
	Pools []PoolStatus `json:"pools,omitempty"`
	// Nodes of the pool that has spec.replicas, as its StatefulSet has them now: nodes that are to leave count until they
	// are gone. Absent where no pool has it.
	// +optional
	Replicas int32 `json:"replicas,omitempty"`
	// Which pods are those of that pool, as a label selector. Absent where no pool has spec.replicas.
	// +optional
	Selector string `json:"selector,omitempty"`
	// Nodes, one entry each. Nodes that are to leave are listed until they are gone.
	// +optional
	// +listType=map
	// +listMapKey=id
	Nodes []NodeStatus `json:"nodes,omitempty"`
	// Brokers that the operator has cordoned because they leave (cordoned.log.dirs), by node id. Kafka keeps a cordon for
	// an id that is gone; it is taken off once the spec asks for the id again.
	// +optional
	// +listType=set
	Cordoned []int32 `json:"cordoned,omitempty"`
	// Addresses that clients connect to, by listener.
	// +optional
	// +listType=map
	// +listMapKey=name
	Listeners []ListenerStatus `json:"listeners,omitempty"`
	// Defaults that depend on the number of brokers, computed once when the cluster was created.
	// +optional
	Defaults *Defaults `json:"defaults,omitempty"`
	// Who decides what a principal may do, as the spec says that was accepted last. KafkaUsers follow it.
	// +optional
	Authorization *AuthorizationStatus `json:"authorization,omitempty"`
	// Whether a broker has been ready with tiered storage, so that topics may have segments there.
	// +optional
	TieredStorageUsed bool `json:"tieredStorageUsed,omitempty"`
	// Version of Kafka that the nodes run; several, separated by commas, while they differ.
	// +optional
	Version string `json:"version,omitempty"`
	// The metadata.version that Kafka has finalized, as a feature level.
	// +optional
	MetadataVersion int32 `json:"metadataVersion,omitempty"`
	// Features that Kafka has finalized (KIP-584) and their levels, metadata.version among them.
	// +optional
	Features map[string]int32 `json:"features,omitempty"`
	// What the operator does next and what is held back, in sentences.
	// +optional
	Plan PlanStatus `json:"plan,omitempty"`
	// How far the moving of replicas by spec.balancing is, and what it waits for.
	// +optional
	Balancing *BalancingStatus `json:"balancing,omitempty"`
	// PartitionsBelowMinISR have fewer in-sync replicas than min.insync.replicas, as far as Kafka was seen last. The
	// cluster is not Available then; topics and users can be changed all the same, which may be what they lack.
	// +optional
	PartitionsBelowMinISR int32 `json:"partitionsBelowMinISR,omitempty"`
	// Brokers in the state Serving and brokers of the spec, such as 3/3. Of an external cluster: brokers that are not
	// fenced and brokers that it knows.
	// +optional
	Brokers string `json:"brokers,omitempty"`
	// What is known of an external cluster only.
	// +optional
	External *ExternalStatus `json:"external,omitempty"`
	// ACLs of users that were deleted or evicted while the brokers had no authorizer: Kafka then neither tells nor
	// deletes them. They are deleted once an authorizer answers.
	// +optional
	RemainingACLs *RemainingACLs `json:"remainingACLs,omitempty"`
	// Default quotas that the operator has set, or is about to set.
	// +optional
	DefaultQuotas *DefaultQuotasStatus `json:"defaultQuotas,omitempty"`
}

// AuthorizationStatus says who decides what a principal may do.
type AuthorizationStatus struct {
	// Type: Simple, None or Custom.
	Type AuthorizationType `json:"type"`
	// Class of a plug-in that decides. Absent where the type is another than Custom.
	// +optional
	Class string `json:"class,omitempty"`
}

// DefaultQuotasStatus says which of Kafka's default quotas are the operator's. It removes those, and no others.
type DefaultQuotasStatus struct {
	// Kafka's id of the cluster that has the quotas. In another one they mean nothing.
	ClusterID string `json:"clusterId"`
	// Names of the quotas, as Kafka has them, such as producer_byte_rate. At most 16.
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Keys []string `json:"keys"`
}

// MaxRemainingACLs is how many users RemainingACLs names at most. A KafkaUser for whom there is no room waits.
const MaxRemainingACLs = 1000

// RemainingACLs name the users whose ACLs are still to be deleted.
type RemainingACLs struct {
	// Kafka's id of the cluster that has the ACLs. In another one they mean nothing.
	ClusterID string `json:"clusterId"`
	// Names of the users. At most 1000.
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	Users []string `json:"users"`
}

// InitialVoter is a controller of the first quorum and the one disk that may be formatted as its voter.
type InitialVoter struct {
	// Node id.
	NodeID int32 `json:"nodeId"`
	// Directory id (KIP-853) that its metadata disk is formatted with.
	DirectoryID string `json:"directoryId"`
	// UID of the claim that was told to format as an initial voter; of the pod if the volume is ephemeral.
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

// PlanStatus is what the operator is about to do. A list that would be longer than 10 lines ends in a line such as "and
// 4 more".
type PlanStatus struct {
	// One line: what is under way and what it waits for, such as "rolling 2/6: broker 2 is starting". Empty at rest.
	// +optional
	Summary string `json:"summary,omitempty"`
	// The next steps with their reasons. At most 10 lines.
	// +optional
	// +listType=atomic
	Next []string `json:"next,omitempty"`
	// What the operator wants to do and may not do yet, with the rule that holds it back in brackets. At most 10 lines.
	// +optional
	// +listType=atomic
	Held []string `json:"held,omitempty"`
	// Number of nodes that this version of the operator would render differently. That waits for their next restart.
	// +optional
	Pending int32 `json:"pending,omitempty"`
}

// NodeState says how a node does.
type NodeState string

// How a node does.
const (
	NodeWaiting  NodeState = "Waiting"  // it waits for something else, such as its pod
	NodeStarting NodeState = "Starting" // its pod is there and not ready
	NodeServing  NodeState = "Serving"  // its pod is ready; a broker is also unfenced
	NodeFenced   NodeState = "Fenced"   // its pod is ready, and Kafka sends no clients to the broker
	NodeStopping NodeState = "Stopping" // its pod is ending
	NodeLeaving  NodeState = "Leaving"  // the spec no longer has it, and its pod is still ready
	NodeFailing  NodeState = "Failing"  // crash loop, image that cannot be pulled, unschedulable pod, lost volume
)

// NodeStatus is one node.
type NodeStatus struct {
	// Node id: the broker's or controller's node.id.
	ID int32 `json:"id"`
	// Pool of the node; empty for a broker of an external cluster.
	// +optional
	Pool string `json:"pool,omitempty"`
	// Name of its pod; empty for a broker of an external cluster.
	// +optional
	Pod string `json:"pod,omitempty"`
	// Roles of the node: Controller, Broker or both.
	// +listType=set
	Roles []Role `json:"roles"`
	// How the node does. Waiting: it waits for something else, such as its pod; the message says for what. Starting:
	// its pod is not ready. Serving: its pod is ready and, if it is a broker, unfenced. Fenced: its pod is ready, and
	// Kafka sends no clients to the broker. Stopping: its pod is ending. Leaving: the spec no longer has it, and its
	// pod is still ready. Failing: its pod cannot start, or its volume is lost.
	State NodeState `json:"state"`
	// Time since when its present process of Kafka runs; absent while none does, and for a broker of an external cluster.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// Rack that its pod was last seen in: the zone of its Kubernetes node.
	// +optional
	Rack string `json:"rack,omitempty"`
	// What the node waits for, and why; empty if it does not.
	// +optional
	Message string `json:"message,omitempty"`
	// Volumes of the pool whose log directory has failed on this broker, as it says itself; it serves with its others. The
	// message says how they are replaced.
	// +optional
	// +listType=atomic
	FailedLogDirs []string `json:"failedLogDirs,omitempty"`
	// Number of replicas of this broker that are offline because a log directory of it has failed.
	// +optional
	OfflineReplicas int32 `json:"offlineReplicas,omitempty"`
	// Disks of the node, in the order of the pool's volumes; ephemeral ones are not among them.
	// +optional
	// +listType=atomic
	Disks []DiskStatus `json:"disks,omitempty"`
	// Time since when a leaving broker has held no partition.
	// +optional
	EmptySince *metav1.Time `json:"emptySince,omitempty"`
}

// DiskStatus is a disk of a node, and its claim.
type DiskStatus struct {
	// Name of the volume in the pool.
	Volume string `json:"volume"`
	// Size in bytes that the claim asks for.
	// +optional
	Requested *resource.Quantity `json:"requested,omitempty"`
	// Size in bytes that Kubernetes has given to it.
	// +optional
	Capacity *resource.Quantity `json:"capacity,omitempty"`
	// Percentage of the file system that is in use, as the broker sees it, rounded down; absent while it has not said. It
	// is looked at once a minute and told anew when it has changed by 5, or passed 80 or 90 percent.
	// +optional
	UsedPercent *int32 `json:"usedPercent,omitempty"`
	// What the growth of the disk, or its class of attributes, waits for, with Kubernetes' own words where there are any;
	// empty if for nothing.
	// +optional
	Message string `json:"message,omitempty"`
}

// ListenerStatus is what clients of a listener connect to.
type ListenerStatus struct {
	// Name of the listener.
	Name string `json:"name"`
	// Way in which clients reach the listener.
	// +optional
	Type ExposureType `json:"type,omitempty"`
	// Port that brokers bind.
	// +optional
	Port int32 `json:"port,omitempty"`
	// Mechanisms by which clients log in; none if they do not.
	// +optional
	// +listType=set
	Mechanisms []Mechanism `json:"mechanisms,omitempty"`
	// What Custom among the mechanisms is called in SASL: sasl.mechanism of a client.
	// +optional
	CustomMechanism string `json:"customMechanism,omitempty"`
	// Value for bootstrap.servers of a client. A new listener has none until every broker has the listener: one that did
	// not would answer for the partitions that it leads with LISTENER_NOT_FOUND.
	// +optional
	BootstrapServers string `json:"bootstrapServers,omitempty"`
	// Node ids of brokers that do not serve the listener yet. Clients are not told of it meanwhile.
	// +optional
	// +listType=set
	LackedBy []int32 `json:"lackedBy,omitempty"`
	// Value for security.protocol of a client.
	// +optional
	SecurityProtocol string `json:"securityProtocol,omitempty"`
	// Address that each broker advertises.
	// +optional
	// +listType=map
	// +listMapKey=nodeId
	Addresses []NodeAddress `json:"addresses,omitempty"`
	// Whether the operator reaches every broker at the address that it advertises. True: each was reached when it was
	// tried last, at most an hour ago. False: some way fails; unreachable says which. Unknown: some broker is not up, was
	// not tried yet, or shows a certificate of a public authority. It is seen from inside the Kubernetes cluster and
	// proves nothing of the way from outside: traffic to a load balancer does not leave the cluster, and a name that is
	// known outside alone fails here. Nothing depends on it.
	// +optional
	// +kubebuilder:validation:Enum="True";"False";Unknown
	ReachableFromInside metav1.ConditionStatus `json:"reachableFromInside,omitempty"`
	// What fails on the way to a broker from inside, and what to do: a line a broker, at most 10.
	// +optional
	// +listType=atomic
	Unreachable []string `json:"unreachable,omitempty"`
	// What the listener waits for, such as the address of a load balancer, a Gateway's acceptance, or a broker that does
	// not have it yet; empty if for nothing.
	// +optional
	Message string `json:"message,omitempty"`
	// Addresses of the load balancer before the bootstrap Service, or of the Gateway, as last known: bootstrapServers
	// keeps them while it has none.
	// +optional
	// +listType=set
	LoadBalancerAddresses []string `json:"loadBalancerAddresses,omitempty"`
	// Ports that Kubernetes gave out, by Service. A Service that is made again asks for the one that it had: clients
	// know it.
	// +optional
	NodePorts map[string]int32 `json:"nodePorts,omitempty"`
	// Certificates in PEM form that clients of the listener have to trust: those of authorities of your own, and beside
	// them former ones while brokers still show what those have signed. Empty = ca.crt of the Secret <cluster>-ca, or
	// publicAuthority.
	// +optional
	CACertificates string `json:"caCertificates,omitempty"`
	// Since when clients are given another authority, while some Secret of a KafkaUser lacks it.
	// +optional
	TrustSince *metav1.Time `json:"trustSince,omitempty"`
	// Whether clients trust the listener by the authorities that their system trusts.
	// +optional
	PublicAuthority bool `json:"publicAuthority,omitempty"`
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

// Defaults are values that depend on the spec that the cluster was created with.
type Defaults struct {
	// default.replication.factor, and the replication factor of internal topics: the number of brokers, at most 3.
	ReplicationFactor int32 `json:"replicationFactor"`
	// min.insync.replicas: 2 with three or more brokers, else 1.
	MinInsyncReplicas int32 `json:"minInsyncReplicas"`
	// authorization.type where the spec has none.
	Authorization AuthorizationType `json:"authorization"`
}
