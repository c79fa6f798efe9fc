package v1alpha1

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ClusterRef names a KafkaCluster.
type ClusterRef struct {
	// Name of the KafkaCluster. At most 32 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name"`

	// Namespace of the KafkaCluster. A cluster in another namespace has to admit this object's namespace in its
	// spec.access. Default: this object's namespace. At most 63 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace,omitempty"`
}

// From returns the namespace and the name of the KafkaCluster that an object in the given namespace names.
func (r ClusterRef) From(namespace string) types.NamespacedName {
	return types.NamespacedName{Namespace: cmp.Or(r.Namespace, namespace), Name: r.Name}
}

// KafkaTopic is one topic of a KafkaCluster.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=kt,categories=kafka
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.spec.clusterRef.name`
// +kubebuilder:printcolumn:name="Topic",type=string,JSONPath=`.status.name`
// +kubebuilder:printcolumn:name="Partitions",type=integer,JSONPath=`.status.partitions`
// +kubebuilder:printcolumn:name="Replicas",type=integer,JSONPath=`.status.replicationFactor`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="has(self.spec.name) || size(self.metadata.name) <= 249",message="spec.name: metadata.name is longer than the 249 characters of a topic's name; give the topic a name of its own"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.name) || !(self.spec.name in ['__consumer_offsets', '__transaction_state', '__share_group_state', '__remote_log_metadata']) || !has(self.spec.deletionPolicy) || self.spec.deletionPolicy != 'Delete'",message="spec.deletionPolicy: Kafka's internal topics are never deleted; use Retain"
// +kubebuilder:validation:XValidation:rule="has(self.spec.name) == has(oldSelf.spec.name) && (!has(self.spec.name) || self.spec.name == oldSelf.spec.name)",message="spec.name is immutable: Kafka cannot rename a topic; make a new KafkaTopic"
type KafkaTopic struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Desired state of the topic.
	// +required
	Spec KafkaTopicSpec `json:"spec"`
	// Observed state of the topic.
	// +optional
	// +kubebuilder:default={observedGeneration:-1}
	// +structType=atomic
	Status KafkaTopicStatus `json:"status,omitempty"`
}

// KafkaTopicList is a list of KafkaTopics.
//
// +kubebuilder:object:root=true
type KafkaTopicList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KafkaTopic `json:"items"`
}

// TopicPlacement says where the replicas of a topic are.
type TopicPlacement struct {
	// Racks (broker.rack) that hold the replicas. Those of each partition are spread over them as evenly as their
	// brokers allow. Brokers in other racks hold none. 1 to 20 racks.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +listType=set
	Racks []string `json:"racks"`
}

// InternalTopics are Kafka's own topics, as the rules of KafkaTopic list them.
func InternalTopics() []string {
	return []string{"__consumer_offsets", "__transaction_state", "__share_group_state", "__remote_log_metadata"}
}

// KafkaTopicSpec is what the user asks for.
//
// +kubebuilder:validation:XValidation:rule="!has(self.placement) || has(self.partitions) && has(self.replicationFactor)",message="placement: it needs partitions and replicationFactor, because the brokers' defaults can change; set both"
type KafkaTopicSpec struct {
	// Cluster that has the topic. Immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterRef is immutable: a topic cannot move; make a new KafkaTopic"
	ClusterRef ClusterRef `json:"clusterRef"`

	// Name of the topic in Kafka. Immutable: it cannot be added or removed later either. Kafka's internal topics
	// (__consumer_offsets, __transaction_state, __share_group_state, __remote_log_metadata) can be observed, configured
	// and given other replicas; the operator never creates them, adds partitions or deletes them. Default:
	// metadata.name. 1 to 249 letters, digits, dots, underscores and dashes.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9._-]+$`
	// +kubebuilder:validation:XValidation:rule="!(self in ['.', '..'])",message="name: . and .. are not names of topics; choose another"
	// +kubebuilder:validation:XValidation:rule="self != '__cluster_metadata'",message="name: __cluster_metadata is the log of Kafka's controllers and no topic; choose another"
	Name string `json:"name,omitempty"`

	// Number of partitions. It can only grow. Default: the brokers' num.partitions when the topic is created, not
	// enforced afterwards. 1 to 100000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Partitions *int32 `json:"partitions,omitempty"`

	// Replicas of each partition. The operator moves replicas when it changes. Default: the brokers'
	// default.replication.factor when the topic is created, not enforced afterwards. 1 to 100, and not more than the
	// brokers of the cluster.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	ReplicationFactor *int32 `json:"replicationFactor,omitempty"`

	// Which racks hold the replicas. It needs partitions and replicationFactor. Default: any; new replicas are spread
	// over all racks.
	// +optional
	Placement *TopicPlacement `json:"placement,omitempty"`

	// Configuration of the topic, such as retention.ms. A key that is removed here goes back to the brokers' default.
	// configPolicy says what happens to keys that others set. Default: none. At most 64 keys.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) >= 1 && size(k) <= 200)",message="config: a key has 1 to 200 characters"
	// +kubebuilder:validation:XValidation:rule="!self.exists(k, k in ['leader.replication.throttled.replicas', 'follower.replication.throttled.replicas'])",message="config: leader.replication.throttled.replicas and follower.replication.throttled.replicas belong to whoever moves replicas; remove the key"
	Config map[string]ConfigValue `json:"config,omitempty"`

	// What happens to keys that others have set on the topic. Merge: they stay, and status.config has them. Exact: the
	// operator removes them. Default: Merge.
	// +optional
	// +kubebuilder:default=Merge
	ConfigPolicy ConfigPolicy `json:"configPolicy,omitempty"`

	// What the operator does with the topic. Full: it makes the topic as this object says. Observe: it reports the
	// topic and never creates, changes or deletes it, whatever the other fields say; any number of objects may observe
	// one topic. Default: Full.
	// +optional
	// +kubebuilder:default=Full
	Management Management `json:"management,omitempty"`

	// Whether this object takes over a topic that it did not create. Never: such a topic is a conflict. IfMatching: if
	// its partitions, replicas and configuration are as in this spec. Always: as it is; then the operator changes it to
	// this spec. After that the operator knows the topic by its UUID. Default: Never.
	// +optional
	// +kubebuilder:default=Never
	Adoption Adoption `json:"adoption,omitempty"`

	// Whether a topic that somebody else has deleted is created again, empty. Never: the object says so and waits.
	// Always: the operator creates it; if another topic has its name, adoption decides about that one. Default: Never.
	// +optional
	// +kubebuilder:default=Never
	Recreate Recreate `json:"recreate,omitempty"`

	// What happens to the topic and its records when this object is deleted: Delete or Retain. Default: Retain where the
	// annotation kafka.castellan.dev/deletion-policy of the namespace, or the operator, says so; else Delete for a topic
	// that this object created, Retain for one that was there before.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// ConfigPolicy says what happens to configuration that others have set.
//
// +kubebuilder:validation:Enum=Merge;Exact
type ConfigPolicy string

// What happens to configuration that others have set.
const (
	ConfigMerge ConfigPolicy = "Merge"
	ConfigExact ConfigPolicy = "Exact"
)

// Management says whether the operator manages a topic or only reports it.
//
// +kubebuilder:validation:Enum=Full;Observe
type Management string

// Whether the operator manages a topic or only reports it.
const (
	ManagementFull    Management = "Full"
	ManagementObserve Management = "Observe"
)

// Adoption says whether a topic that exists already is taken over.
//
// +kubebuilder:validation:Enum=Never;IfMatching;Always
type Adoption string

// Whether a topic that exists already is taken over.
const (
	AdoptionNever      Adoption = "Never"
	AdoptionIfMatching Adoption = "IfMatching"
	AdoptionAlways     Adoption = "Always"
)

// Recreate says whether a topic that somebody else has deleted is created again.
//
// +kubebuilder:validation:Enum=Never;Always
type Recreate string

// Whether a topic that somebody else has deleted is created again.
const (
	RecreateNever  Recreate = "Never"
	RecreateAlways Recreate = "Always"
)

// DeletionPolicy says what happens to a topic when its object is deleted.
//
// +kubebuilder:validation:Enum=Delete;Retain
type DeletionPolicy string

// What happens to a topic when its object is deleted.
const (
	DeletionDelete DeletionPolicy = "Delete"
	DeletionRetain DeletionPolicy = "Retain"
)

// Origin says who made a topic.
type Origin string

// Who made a topic.
const (
	OriginCreated Origin = "Created"
	OriginAdopted Origin = "Adopted"
)

// TopicHealth says how a topic does, as clients see it.
//
// +kubebuilder:validation:Enum=Healthy;UnderReplicated;Offline
type TopicHealth string

// How a topic does. Offline: some partition can be neither written nor read.
const (
	HealthHealthy         TopicHealth = "Healthy"
	HealthUnderReplicated TopicHealth = "UnderReplicated"
	HealthOffline         TopicHealth = "Offline"
)

// NotCreated says why there is no topic, as far as the operator has to remember it.
//
// +kubebuilder:validation:Enum=Lost;Refused;QuotaExceeded
type NotCreated string

// Why there is no topic.
const (
	NotCreatedLost      NotCreated = "Lost"
	NotCreatedRefused   NotCreated = "Refused"
	NotCreatedOverQuota NotCreated = "QuotaExceeded"
)

// KafkaTopicStatus is what was seen of the topic.
type KafkaTopicStatus struct {
	// Generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Installation of the operator that looks after this topic: that of its KafkaCluster, as "<namespace>/<release>".
	// +optional
	Operator string `json:"operator,omitempty"`
	// Ready, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Name of the topic in Kafka.
	// +optional
	Name string `json:"name,omitempty"`
	// UUID of the topic. Deleting this object deletes this topic and no other.
	// +optional
	TopicID string `json:"topicId,omitempty"`
	// Kafka cluster (status.clusterId of the KafkaCluster) in which the UUID was seen.
	// +optional
	ClusterID string `json:"clusterId,omitempty"`
	// Actual number of partitions.
	// +optional
	Partitions int32 `json:"partitions,omitempty"`
	// Actual replication factor; the smallest if partitions differ.
	// +optional
	ReplicationFactor int32 `json:"replicationFactor,omitempty"`
	// Who made the topic. Created: this object. Adopted: it was there before. Empty: it is only observed.
	// +optional
	Origin Origin `json:"origin,omitempty"`
	// What happens to the topic when this object is deleted.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
	// Configuration keys that this object has set. The operator removes those that leave the spec.
	// +optional
	// +listType=set
	ConfigKeys []string `json:"configKeys,omitempty"`
	// Actual values of the keys that are set on the topic itself. Others have set those that are not in configKeys.
	// +optional
	Config map[string]string `json:"config,omitempty"`
	// How the topic does: Healthy, UnderReplicated, or Offline if a partition can be neither written nor read. It and
	// the two counts change only after the topic has done better or worse for longer than a broker takes to restart.
	// +optional
	Health TopicHealth `json:"health,omitempty"`
	// Partitions with replicas that were not in sync when health changed.
	// +optional
	UnderReplicated int32 `json:"underReplicated,omitempty"`
	// Partitions without a leader when health changed.
	// +optional
	Offline int32 `json:"offline,omitempty"`
	// Why there is no topic. Lost: somebody else has deleted the topic in topicId, and this object has said so. Refused:
	// Kafka does not create the topic as the spec asks; the operator asks again without announcing it. QuotaExceeded: the
	// operator's quota on changes in Kafka is used up; the topic waits. Absent: none of these.
	// +optional
	NotCreated NotCreated `json:"notCreated,omitempty"`
	// Written before the topic is created by an object of another namespace than the cluster's, and absent once the topic
	// is there: "<cluster id> <UID of the object>", and " <UUID>" of the lost topic that it replaces.
	// +optional
	Creating string `json:"creating,omitempty"`
	// Replicas that the operator is moving; absent if there are none.
	// +optional
	Reassignment *ReassignmentStatus `json:"reassignment,omitempty"`
}

// ReassignmentStatus is the progress of replicas that the operator moves. It is written before anything is moved, so
// that an operator that takes over knows which reassignments and throttles are its own.
type ReassignmentStatus struct {
	// When it began.
	// +required
	StartedAt metav1.Time `json:"startedAt"`
	// Partitions that have been moved.
	// +optional
	Moved int32 `json:"moved,omitempty"`
	// Partitions that have not been moved yet.
	// +optional
	Left int32 `json:"left,omitempty"`
	// When it will end at this speed; absent until the first partitions have been moved.
	// +optional
	EstimatedCompletion *metav1.Time `json:"estimatedCompletion,omitempty"`
	// Throttle in bytes per second that each broker sends and receives; absent if the operator has not set it.
	// +optional
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"`
	// Partitions under way, with the replicas that they will have. At most 50.
	// +optional
	// +listType=map
	// +listMapKey=partition
	InFlight []PartitionReplicas `json:"inFlight,omitempty"`
}

// PartitionReplicas are the replicas of one partition.
type PartitionReplicas struct {
	// Number of the partition.
	// +required
	Partition int32 `json:"partition"`
	// Node ids, the preferred leader first.
	// +required
	// +listType=atomic
	Replicas []int32 `json:"replicas"`
}
