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
	// +kubebuilder:default={observedGeneration:-1}
	// +structType=atomic
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
//
// +kubebuilder:validation:XValidation:rule="!has(self.name) || 'External' in self.authentication.mechanisms || self.name.matches('^[A-Za-z0-9._@+-]{1,128}$')",message="name: use 1 to 128 letters, digits and . _ @ + -; only with authentication.mechanisms [External] may it be anything",fieldPath=".name"
type KafkaUserSpec struct {
	// Cluster that has the user. Immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clusterRef is immutable: a user cannot move; make a new KafkaUser"
	ClusterRef ClusterRef `json:"clusterRef"`

	// Name that the user logs in with. The principal in ACLs is User:<name>. Immutable: it cannot be added or removed
	// later either. Default: metadata.name. 1 to 128 letters, digits and . _ @ + -. With the mechanism External: 1 to 512
	// printable characters, such as the subject of a token, or a distinguished name as Kafka prints it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches(r'^[^\\p{C}]*$')",message="name: use printable characters only"
	// +kubebuilder:validation:XValidation:rule="self != 'ANONYMOUS'",message="name: ANONYMOUS is the name of clients that do not log in; choose another"
	Name string `json:"name,omitempty"`

	// How the user logs in.
	// +required
	Authentication UserAuthentication `json:"authentication"`

	// What the connection Secret is called and holds. Default: the name of this object with -kafka behind it, and files
	// for clients in Java and for those that build on librdkafka.
	// +optional
	Binding *UserBinding `json:"binding,omitempty"`

	// What the user may do, by roles. The operator makes ACLs of each, beside those of acls; status.acls lists all of
	// them. What two of them allow is allowed once. Default: none. At most 64.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Grants []Grant `json:"grants,omitempty"`

	// What the user may do, in Kafka's own words, beside grants. Default: none. At most 256 rules.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	ACLs []ACLRule `json:"acls,omitempty"`

	// Whose the ACLs of the principal are. Exact: all of them are this object's, and the operator removes those that are
	// neither in acls nor in grants. Merge: others may add some, which stay; the operator removes what it has added itself
	// once the spec does not ask for it any more, or the object is deleted. Default: Exact.
	// +optional
	// +kubebuilder:default=Exact
	ACLPolicy ACLPolicy `json:"aclPolicy,omitempty"`

	// Limits of what the user may take from each broker. Default: no limit.
	// +optional
	Quotas *Quotas `json:"quotas,omitempty"`

	// Whether this object takes over a user that has SCRAM credentials, ACLs or quotas in Kafka which no KafkaUser put
	// there. Never: such a user is a conflict. Always: the operator replaces its password by that of this object, and
	// removes ACLs and quotas that are not in this spec. Default: Never.
	// +optional
	// +kubebuilder:default=Never
	Adoption UserAdoption `json:"adoption,omitempty"`

	// What becomes of the user when this object is deleted. Delete: its credentials, ACLs and quotas are removed. Retain:
	// they stay in Kafka; from another namespace than the cluster's that needs the permission Adopt. Default: what the
	// annotation kafka.castellan.dev/deletion-policy of the namespace says, else the operator, else Delete.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
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
//
// +kubebuilder:validation:XValidation:rule="!has(self.passwordSecret) && !has(self.passwordRotation) || self.mechanisms.exists(m, !(m in ['TLS', 'External']))",message="mechanisms: TLS and External take no password; add PLAIN or a SCRAM mechanism, or remove passwordSecret and passwordRotation"
// +kubebuilder:validation:XValidation:rule="!has(self.passwordSecret) || !has(self.passwordRotation)",message="passwordRotation: the operator replaces no password of your own; change it in the Secret, or remove passwordSecret"
type UserAuthentication struct {
	// How the user logs in: SASL mechanisms, which have one password, and TLS, for which the operator makes a certificate.
	// A listener of the cluster must offer each. External, which stands alone: somebody else gives the user its
	// credential, such as a token or a certificate, and the operator cares for its ACLs and quotas only. 1 to 4.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:Enum=PLAIN;SCRAM-SHA-256;SCRAM-SHA-512;TLS;External
	// +kubebuilder:validation:XValidation:rule="!('External' in self) || size(self) == 1",message="mechanisms: External stands alone, because the operator makes no credential for such a user; remove it or the others"
	Mechanisms []Mechanism `json:"mechanisms"`

	// Secret in this namespace that holds the password: 1 to 256 printable characters. The operator carries out each
	// change of it within seconds. It refuses a password that cannot be used, and keeps the one before in force. A Secret
	// without the label kafka.castellan.dev/use: password is not read. Default: the operator makes the password.
	// +optional
	PasswordSecret *PasswordSecret `json:"passwordSecret,omitempty"`

	// When the operator replaces the password that it has made. Not beside passwordSecret. Default: on demand alone.
	// +optional
	PasswordRotation *PasswordRotation `json:"passwordRotation,omitempty"`
}

// ResourceType is the type of resource that an ACL is about.
//
// +kubebuilder:validation:Enum=Topic;Group;Cluster;TransactionalId
type ResourceType string

// Types of resources.
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
	// Resources that the rule is about.
	// +required
	Resource ACLResource `json:"resource"`
	// Operations, with the names of Kafka's documentation. Each resource type has its own. 1 to 12.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=12
	Operations []Operation `json:"operations"`
	// Whether the rule allows or denies: Allow or Deny. A Deny wins over any Allow. Default: Allow.
	// +optional
	// +kubebuilder:validation:Enum=Allow;Deny
	Permission string `json:"permission,omitempty"`
	// IP address that the client connects from, or * for any. Default: *. At most 64 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '*' || isIP(self)",message="host: an IP address, or * for any; Kafka compares it with the client's address and knows neither names nor networks"
	Host string `json:"host,omitempty"`
}

// ACLResource names the resources of a rule.
//
// +kubebuilder:validation:XValidation:rule="self.type == 'Cluster' ? !has(self.name) && (!has(self.pattern) || self.pattern == 'Literal') : has(self.name)",message="resource: Topic, Group and TransactionalId need a name (* with pattern Literal means all of them); Cluster has neither name nor prefix"
// +kubebuilder:validation:XValidation:rule="!has(self.name) || self.name != '*' || !has(self.pattern) || self.pattern != 'Prefixed'",message="resource: Prefixed with the name * are only names that begin with an asterisk; for all of them use Literal"
// +kubebuilder:validation:XValidation:rule="self.type != 'Topic' || !has(self.name) || self.name == '*' || self.name.matches('^[a-zA-Z0-9._-]+$')",message="resource: no topic can have this name; use letters, digits, dots, underscores and dashes, and pattern Prefixed for every name that begins so"
type ACLResource struct {
	// Type of the resource: Topic, Group, Cluster or TransactionalId.
	// +required
	Type ResourceType `json:"type"`
	// Name or prefix of the resource; with pattern Literal, * means all. Required, and no default, except for Cluster,
	// which has none. 1 to 249 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	Name string `json:"name,omitempty"`
	// How the name matches. Literal: this name. Prefixed: every name that begins with it. Default: Literal.
	// +optional
	Pattern PatternType `json:"pattern,omitempty"`
}

// Quotas limit a user, per broker.
type Quotas struct {
	// Bytes per second that the user may produce to each broker. Default: no limit. At least 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ProducerByteRate *int64 `json:"producerByteRate,omitempty"`
	// Bytes per second that the user may consume from each broker. Default: no limit. At least 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ConsumerByteRate *int64 `json:"consumerByteRate,omitempty"`
	// Share of the request threads of each broker, in percent of one thread: 200 is two threads. Default: no limit. 1
	// to 100000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	RequestPercentage *int32 `json:"requestPercentage,omitempty"`
	// Partitions per second that the user may create or delete (KIP-599). Default: no limit. At least 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ControllerMutationRate *int32 `json:"controllerMutationRate,omitempty"`
}

// KafkaUserStatus is what was seen of the user.
type KafkaUserStatus struct {
	// Generation of the spec that this status describes.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Installation of the operator that looks after this user: that of its KafkaCluster, as "<namespace>/<release>".
	// +optional
	Operator string `json:"operator,omitempty"`
	// Ready, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Name that the user logs in with.
	// +optional
	Name string `json:"name,omitempty"`
	// ACLs that the operator keeps in Kafka for this object, one line for each resource: what grants and acls come to. At
	// most 64 lines; the last says how many more there are.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	ACLs []string `json:"acls,omitempty"`
	// Since when every broker acts by what acls lists; in external clusters, since it has been set. Absent until then.
	// +optional
	ACLsSince *metav1.Time `json:"aclsSince,omitempty"`
	// The Secret with everything that a client needs (Service Binding for Kubernetes).
	// +optional
	Binding *Binding `json:"binding,omitempty"`
	// Credentials that Kafka has, and a hash of the password that they were made from. It is written before anything is
	// put into Kafka, without mechanisms then: it proves that this object has the user.
	// +optional
	Credentials *Credentials `json:"credentials,omitempty"`
	// What becomes of the user when this object is deleted.
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
	// When the operator has replaced the password, and will. Absent: it never has, and
	// spec.authentication.passwordRotation does not ask for it.
	// +optional
	Rotation *RotationStatus `json:"rotation,omitempty"`
}

// Binding names the connection Secret.
type Binding struct {
	// Name of the Secret in this namespace.
	Name string `json:"name"`
}

// Credentials say which password Kafka has, without the password itself.
type Credentials struct {
	// Kafka cluster (status.clusterId of the KafkaCluster) that holds them.
	ClusterID string `json:"clusterId"`
	// Hash of the password, with a salt that only its connection Secret holds; empty for a user without a password, and
	// while it is not known which credentials stand in Kafka.
	PasswordHash string `json:"passwordHash"`
	// Mechanisms of the credentials, with their iterations.
	// +optional
	// +listType=map
	// +listMapKey=mechanism
	Mechanisms []CredentialStatus `json:"mechanisms,omitempty"`
	// Node ids of brokers that have accepted a login with every mechanism.
	// +optional
	// +listType=set
	ProvenOn []int32 `json:"provenOn,omitempty"`
	// None: of the ACLs of the user that Kafka may have, none is this object's. Added: those in addedACLs are. Absent: all
	// of them may be. What is the object's is taken away with it.
	// +optional
	ACLs ACLRecord `json:"acls,omitempty"`
	// ACLs that this object has added, or is about to add, with aclPolicy Merge: permission, operations, type of the
	// resource, pattern, host, and name. At most 1024.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	AddedACLs []string `json:"addedACLs,omitempty"`
}

// ACLRecord says what is known of a user's ACLs.
//
// +kubebuilder:validation:Enum=None;Added
type ACLRecord string

const (
	// ACLsNone: no ACL in Kafka is the object's. It is taken off the record before the first is created.
	ACLsNone ACLRecord = "None"
	// ACLsAdded: those on record are the object's, and no others.
	ACLsAdded ACLRecord = "Added"
)

// CredentialStatus is one credential.
type CredentialStatus struct {
	// SASL mechanism, TLS or External.
	Mechanism Mechanism `json:"mechanism"`
	// Iterations of the stored hash; absent for PLAIN and TLS.
	// +optional
	Iterations int32 `json:"iterations,omitempty"`
	// Certificate of a user that logs in with TLS.
	// +optional
	Certificate *UserCertificate `json:"certificate,omitempty"`
	// Whether the spec does not ask for it any more. It is taken away once every broker has accepted a login with each of
	// the others.
	// +optional
	Leaving bool `json:"leaving,omitempty"`
}

// UserCertificate tells certificates of a user apart.
type UserCertificate struct {
	// SHA-256 of the certificate, as 64 hexadecimal digits.
	Fingerprint string `json:"fingerprint"`
	// When it ends. The operator renews it in the last third of its life.
	NotAfter metav1.Time `json:"notAfter"`
	// Value of the annotation kafka.castellan.dev/reissue-certificate for which it was issued, or a hash of a long one.
	// +optional
	Request string `json:"request,omitempty"`
}
