package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ClusterRef names a KafkaCluster in the same namespace.
type ClusterRef struct {
	// Name of the KafkaCluster, in this object's namespace, at most 32 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name"`
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
// +kubebuilder:validation:XValidation:rule="has(self.spec.name) == has(oldSelf.spec.name) && (!has(self.spec.name) || self.spec.name == oldSelf.spec.name)",message="spec.name is immutable: Kafka cannot rename a topic; make a new KafkaTopic"
type KafkaTopic struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Desired state of the topic.
	// +required
	Spec KafkaTopicSpec `json:"spec"`
	// Observed state of the topic.
	// +optional
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

// KafkaTopicSpec is what the user asks for.
type KafkaTopicSpec struct {
	// The cluster that the topic lives in. Immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterRef is immutable: a topic cannot move; make a new KafkaTopic"
	ClusterRef ClusterRef `json:"clusterRef"`

	// Name of the topic in Kafka, 1 to 249 letters, digits, dots, underscores and dashes. Default: metadata.name.
	// Immutable, also from set to unset.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9._-]+$`
	// +kubebuilder:validation:XValidation:rule="!(self in ['.', '..'])",message="name: . and .. are not names of topics; choose another"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('__')",message="name: names that begin with two underscores are Kafka's own internal topics; choose another"
	Name string `json:"name,omitempty"`

	// Number of partitions, 1 to 100000; it can only grow. Default: the broker's num.partitions when the topic is
	// created, and never enforced afterwards.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Partitions *int32 `json:"partitions,omitempty"`

	// Copies of each partition, 1 to 100, at most as many as there are brokers. Default: the broker's
	// default.replication.factor when the topic is created, and never enforced afterwards.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	ReplicationFactor *int32 `json:"replicationFactor,omitempty"`

	// Topic configuration, such as retention.ms, at most 64 keys. A key that is taken away goes back to the broker's
	// default; keys that others set are left alone. Default: none.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) >= 1 && size(k) <= 200)",message="config: a key has 1 to 200 characters"
	Config map[string]ConfigValue `json:"config,omitempty"`

	// What becomes of the topic and its records when this object is deleted. Default: Delete for a topic that this
	// object created, Retain for one that was there before.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// DeletionPolicy says what becomes of a topic when its object is deleted.
//
// +kubebuilder:validation:Enum=Delete;Retain
type DeletionPolicy string

// What becomes of a topic when its object is deleted.
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

// KafkaTopicStatus is what was seen of the topic.
type KafkaTopicStatus struct {
	// Generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Ready, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Name of the topic in Kafka.
	// +optional
	Name string `json:"name,omitempty"`
	// UUID of the topic; deletion acts on this topic and no other.
	// +optional
	TopicID string `json:"topicId,omitempty"`
	// Kafka cluster (status.clusterId of the KafkaCluster) in which the UUID was seen.
	// +optional
	ClusterID string `json:"clusterId,omitempty"`
	// Actual number of partitions.
	// +optional
	Partitions int32 `json:"partitions,omitempty"`
	// Actual replication factor (the smallest, where partitions differ).
	// +optional
	ReplicationFactor int32 `json:"replicationFactor,omitempty"`
	// Created: this object made the topic. Adopted: it was there before.
	// +optional
	Origin Origin `json:"origin,omitempty"`
	// What becomes of the topic when this object is deleted.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
	// Configuration keys that this object has set, and will remove when they leave the spec.
	// +optional
	// +listType=set
	ConfigKeys []string `json:"configKeys,omitempty"`
}
