package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// KafkaUser is one principal of a KafkaCluster with its credentials, ACLs and quotas.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ku,categories=kafka
// +kubebuilder:printcolumn:name="Cluster",type=string,JSONPath=`.spec.clusterRef.name`
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.status.name`
// +kubebuilder:printcolumn:name="Secret",type=string,JSONPath=`.status.binding.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="has(self.spec.name) || size(self.metadata.name) <= 128",message="spec.name: metadata.name is longer than the 128 characters of a user's name; give the user a name of its own"
// +kubebuilder:validation:XValidation:rule="has(self.spec.name) == has(oldSelf.spec.name) && (!has(self.spec.name) || self.spec.name == oldSelf.spec.name)",message="spec.name is immutable: a principal cannot be renamed; make a new KafkaUser"
type KafkaUser struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Desired state of the user.
	// +required
	Spec KafkaUserSpec `json:"spec"`
	// Observed state of the user.
	// +optional
	Status KafkaUserStatus `json:"status,omitempty"`
}

// KafkaUserList is a list of KafkaUsers.
//
// +kubebuilder:object:root=true
type KafkaUserList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []KafkaUser `json:"items"`
}

// KafkaUserSpec is what the user asks for.
type KafkaUserSpec struct {
	// The cluster that the user belongs to. Immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterRef is immutable: a user cannot move; make a new KafkaUser"
	ClusterRef ClusterRef `json:"clusterRef"`

	// Name that the user logs in with, 1 to 128 letters, digits and . _ @ + -. Default: metadata.name. Immutable, also
	// from set to unset. The principal in ACLs is User:<name>.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._@+-]+$`
	// +kubebuilder:validation:XValidation:rule="self != 'ANONYMOUS'",message="name: ANONYMOUS is whoever does not log in; choose another"
	Name string `json:"name,omitempty"`

	// How the user proves who it is.
	// +required
	Authentication UserAuthentication `json:"authentication"`

	// What the user may do, at most 256 rules. All ACLs of the principal are owned by this object: others are removed.
	// Default: none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	ACLs []ACLRule `json:"acls,omitempty"`

	// How much of the brokers the user may take up. Default: no limit.
	// +optional
	Quotas *Quotas `json:"quotas,omitempty"`

	// Whether a user of this name that has SCRAM credentials, ACLs or quotas in Kafka which no KafkaUser has put there is
	// taken over. Never (the default): it is a conflict. Always: its password is replaced, and it keeps nothing that does
	// not stand here.
	// +optional
	// +kubebuilder:default=Never
	Adoption UserAdoption `json:"adoption,omitempty"`
}

// UserAdoption says whether a user that exists already is taken over.
//
// +kubebuilder:validation:Enum=Never;Always
type UserAdoption string

// Whether a user that exists already is taken over.
const (
	UserAdoptionNever  UserAdoption = "Never"
	UserAdoptionAlways UserAdoption = "Always"
)

// UserAuthentication says how a user logs in.
type UserAuthentication struct {
	// SASL mechanisms, 1 to 3; one password, made by the operator, serves all of them. Each must be offered by a listener
	// of the cluster.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	Mechanisms []Mechanism `json:"mechanisms"`
}

// ResourceType is what an ACL speaks of.
//
// +kubebuilder:validation:Enum=Topic;Group;Cluster;TransactionalId
type ResourceType string

// What an ACL speaks of.
const (
	ResourceTopic           ResourceType = "Topic"
	ResourceGroup           ResourceType = "Group"
	ResourceCluster         ResourceType = "Cluster"
	ResourceTransactionalID ResourceType = "TransactionalId"
)

// PatternType says how an ACL's name matches.
//
// +kubebuilder:validation:Enum=Literal;Prefixed
type PatternType string

// How an ACL's name matches.
const (
	PatternLiteral  PatternType = "Literal"
	PatternPrefixed PatternType = "Prefixed"
)

// Operation is what an ACL allows or denies.
//
// +kubebuilder:validation:Enum=All;Read;Write;Create;Delete;Alter;Describe;ClusterAction;DescribeConfigs;AlterConfigs;IdempotentWrite;TwoPhaseCommit
type Operation string

// ACLRule allows or denies operations on resources.
//
// +kubebuilder:validation:XValidation:rule="self.resource.type != 'Topic' || self.operations.all(o, o in ['All', 'Read', 'Write', 'Create', 'Delete', 'Alter', 'Describe', 'DescribeConfigs', 'AlterConfigs'])",message="operations: a Topic knows Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs and All"
// +kubebuilder:validation:XValidation:rule="self.resource.type != 'Group' || self.operations.all(o, o in ['All', 'Read', 'Delete', 'Describe', 'DescribeConfigs', 'AlterConfigs'])",message="operations: a Group knows Read, Delete, Describe, DescribeConfigs, AlterConfigs and All"
// +kubebuilder:validation:XValidation:rule="self.resource.type != 'Cluster' || self.operations.all(o, o in ['All', 'Create', 'Alter', 'Describe', 'ClusterAction', 'DescribeConfigs', 'AlterConfigs', 'IdempotentWrite'])",message="operations: the Cluster knows Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite and All"
// +kubebuilder:validation:XValidation:rule="self.resource.type != 'TransactionalId' || self.operations.all(o, o in ['All', 'Write', 'Describe', 'TwoPhaseCommit'])",message="operations: a TransactionalId knows Write, Describe, TwoPhaseCommit and All"
type ACLRule struct {
	// What the rule is about.
	// +required
	Resource ACLResource `json:"resource"`
	// Operations as in Kafka's documentation, 1 to 12; each resource type knows its own.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=12
	Operations []Operation `json:"operations"`
	// Allow (the default) or Deny; a Deny wins over any Allow.
	// +optional
	// +kubebuilder:default=Allow
	// +kubebuilder:validation:Enum=Allow;Deny
	Permission string `json:"permission,omitempty"`
	// IP address that the client connects from, at most 64 characters; * (the default) = any.
	// +optional
	// +kubebuilder:default="*"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '*' || isIP(self)",message="host: an IP address, or * for any; Kafka compares it with the client's address and knows neither names nor networks"
	Host string `json:"host,omitempty"`
}

// ACLResource names the resources of a rule.
//
// +kubebuilder:validation:XValidation:rule="self.type == 'Cluster' ? !has(self.name) && (!has(self.pattern) || self.pattern == 'Literal') : has(self.name)",message="resource: Topic, Group and TransactionalId need a name (* with pattern Literal means all of them); Cluster has neither name nor prefix"
type ACLResource struct {
	// Topic, Group, Cluster or TransactionalId.
	// +required
	Type ResourceType `json:"type"`
	// Name or prefix of the resource, 1 to 249 characters; * = all. Not for Cluster. Default: none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	Name string `json:"name,omitempty"`
	// Literal (the default): this very name. Prefixed: every name that begins with it.
	// +optional
	// +kubebuilder:default=Literal
	Pattern PatternType `json:"pattern,omitempty"`
}

// Quotas limit a user, per broker.
type Quotas struct {
	// Bytes per second that the user may produce to each broker, at least 1. Default: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ProducerByteRate *int64 `json:"producerByteRate,omitempty"`
	// Bytes per second that the user may consume from each broker, at least 1. Default: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ConsumerByteRate *int64 `json:"consumerByteRate,omitempty"`
	// Percent of one thread's time on each broker, 1 to 100000 (200 = two threads). Default: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	RequestPercentage *int32 `json:"requestPercentage,omitempty"`
	// Partitions per second that the user may create or delete (KIP-599), at least 1. Default: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ControllerMutationRate *int32 `json:"controllerMutationRate,omitempty"`
}

// KafkaUserStatus is what was seen of the user.
type KafkaUserStatus struct {
	// Generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Ready, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Name that the user logs in with.
	// +optional
	Name string `json:"name,omitempty"`
	// The Secret with everything that a client needs (Service Binding for Kubernetes).
	// +optional
	Binding *Binding `json:"binding,omitempty"`
	// Credentials that stand in Kafka, and the password that they were made from.
	// +optional
	Credentials *Credentials `json:"credentials,omitempty"`
}

// Binding names the connection Secret.
type Binding struct {
	// Name of the Secret in this namespace.
	Name string `json:"name"`
}

// Credentials tell which password stands in Kafka, without telling the password.
type Credentials struct {
	// Kafka cluster (status.clusterId of the KafkaCluster) that holds them.
	ClusterID string `json:"clusterId"`
	// Salted hash of the password.
	PasswordHash string `json:"passwordHash"`
	// Mechanisms, with iterations where they have them.
	// +optional
	// +listType=map
	// +listMapKey=mechanism
	Mechanisms []CredentialStatus `json:"mechanisms,omitempty"`
	// Nodes on which a login with every mechanism has been seen to work.
	// +optional
	// +listType=set
	ProvenOn []int32 `json:"provenOn,omitempty"`
}

// CredentialStatus is one credential.
type CredentialStatus struct {
	// SASL mechanism.
	Mechanism Mechanism `json:"mechanism"`
	// Iterations of the stored hash.
	// +optional
	Iterations int32 `json:"iterations,omitempty"`
}
