package v1alpha1

// GrantRole is what an application does with what a grant names.
//
// +kubebuilder:validation:Enum=Producer;TransactionalProducer;Consumer;ShareConsumer;Streams;Owner
type GrantRole string

// Roles. What each of them comes to in ACLs is a table in internal/users, and in docs/users.md.
const (
	RoleProducer              GrantRole = "Producer"
	RoleTransactionalProducer GrantRole = "TransactionalProducer"
	RoleConsumer              GrantRole = "Consumer"
	RoleShareConsumer         GrantRole = "ShareConsumer"
	RoleStreams               GrantRole = "Streams"
	RoleOwner                 GrantRole = "Owner"
)

// ACLPolicy says whose the ACLs of a principal are.
//
// +kubebuilder:validation:Enum=Exact;Merge
type ACLPolicy string

// Whose the ACLs of a principal are.
const (
	ACLPolicyExact ACLPolicy = "Exact"
	ACLPolicyMerge ACLPolicy = "Merge"
)

// Grant lets a user do what a role does. The operator makes ACLs of it, which stand in status.acls.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.topic) && has(self.topicPrefix) || has(self.group) && has(self.groupPrefix) || has(self.transactionalId) && has(self.transactionalIdPrefix))",message="a grant takes a name or a prefix, one of the two; add another grant for the other"
// +kubebuilder:validation:XValidation:rule="(has(self.topic) || has(self.topicPrefix)) == (self.role != 'Streams')",message="topic: every role but Streams needs topic or topicPrefix; what a Streams application reads and writes elsewhere takes grants with role Consumer, for the same group, and Producer"
// +kubebuilder:validation:XValidation:rule="(has(self.group) || has(self.groupPrefix)) == (self.role in ['Consumer', 'ShareConsumer', 'Streams'])",message="group: Consumer, ShareConsumer and Streams (its application.id) need group or groupPrefix, and others have none; who consumes too takes another grant with role Consumer"
// +kubebuilder:validation:XValidation:rule="(has(self.transactionalId) || has(self.transactionalIdPrefix)) == (self.role == 'TransactionalProducer')",message="transactionalId: TransactionalProducer needs transactionalId or transactionalIdPrefix, and others have none; remove it, or use role TransactionalProducer"
// +kubebuilder:validation:XValidation:rule="self.role != 'Streams' || (has(self.group) ? self.group : has(self.groupPrefix) ? self.groupPrefix : 'a').matches('^[a-zA-Z0-9._-]+$')",message="group: internal topics begin with the application.id of Streams; use letters, digits, dots, underscores and dashes"
type Grant struct {
	// Producer: write to topics. TransactionalProducer: the same, in transactions. Consumer: read topics in a consumer
	// group. ShareConsumer: read topics in a share group. Streams: run a Kafka Streams application, whose application.id
	// is the group. Owner: everything with topics, also create, alter and delete them.
	// +required
	Role GrantRole `json:"role"`
	// Name of a topic; * means all. Default: none. 1 to 249 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self == '*' || self.matches('^[a-zA-Z0-9._-]+$')",message="topic: use letters, digits, dots, underscores and dashes; topicPrefix takes the beginning of names"
	Topic string `json:"topic,omitempty"`
	// Beginning of topics' names. Default: none. 1 to 249 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9._-]+$')",message="topicPrefix: use letters, digits, dots, underscores and dashes, without an asterisk"
	TopicPrefix string `json:"topicPrefix,omitempty"`
	// Id of a group, or the application.id of Streams; * means all groups. Default: none. 1 to 249 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	Group string `json:"group,omitempty"`
	// Beginning of groups' ids. Default: none. 1 to 249 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self != '*'",message="groupPrefix: for all groups use group"
	GroupPrefix string `json:"groupPrefix,omitempty"`
	// A transactional id; * means all. Default: none. 1 to 249 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	TransactionalID string `json:"transactionalId,omitempty"`
	// Beginning of transactional ids. Default: none. 1 to 249 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self != '*'",message="transactionalIdPrefix: for all ids use transactionalId"
	TransactionalIDPrefix string `json:"transactionalIdPrefix,omitempty"`
}
