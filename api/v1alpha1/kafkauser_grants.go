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

// AddedACL is what one object has added to the ACLs of its principal: those of one resource, permission and host.
type AddedACL struct {
	// Type of the resource, in Kafka's words.
	Type string `json:"type"`
	// Name or prefix of the resource.
	Name string `json:"name"`
	// Literal or Prefixed.
	Pattern string `json:"pattern"`
	// Allow or Deny.
	Permission string `json:"permission"`
	// Address of the client, as brokers print it; * = any.
	Host string `json:"host"`
	// Operations, in Kafka's words.
	// +listType=atomic
	Operations []string `json:"operations"`
}

// Grant lets a user do what a role does. The operator makes ACLs of it, which stand in status.acls.
//
// +kubebuilder:validation:XValidation:rule="!has(self.topic) || !has(self.topicPrefix)",message="topic and topicPrefix: a grant takes one of the two; remove one, and add another grant for it"
// +kubebuilder:validation:XValidation:rule="!has(self.group) || !has(self.groupPrefix)",message="group and groupPrefix: a grant takes one of the two; remove one, and add another grant for it"
// +kubebuilder:validation:XValidation:rule="!has(self.transactionalId) || !has(self.transactionalIdPrefix)",message="transactionalId and transactionalIdPrefix: a grant takes one of the two; remove one, and add another grant for it"
// +kubebuilder:validation:XValidation:rule="self.role == 'Streams' || has(self.topic) || has(self.topicPrefix)",message="topic: this role is about topics; name one in topic, or every topic that begins so in topicPrefix"
// +kubebuilder:validation:XValidation:rule="self.role != 'Streams' || !has(self.topic) && !has(self.topicPrefix)",message="topic: Streams is about the internal topics of an application, which follow from group; remove it, and grant the topics that the application reads with role Consumer and the same group, and those that it writes with role Producer"
// +kubebuilder:validation:XValidation:rule="!(self.role in ['Consumer', 'ShareConsumer', 'Streams']) || has(self.group) || has(self.groupPrefix)",message="group: this role is about a group too; name it in group (for Streams the application.id), or every group that begins so in groupPrefix"
// +kubebuilder:validation:XValidation:rule="self.role in ['Consumer', 'ShareConsumer', 'Streams'] || !has(self.group) && !has(self.groupPrefix)",message="group: this role has none; remove it, and add a grant with role Consumer if the user consumes too"
// +kubebuilder:validation:XValidation:rule="self.role != 'TransactionalProducer' || has(self.transactionalId) || has(self.transactionalIdPrefix)",message="transactionalId: TransactionalProducer is about a transactional id too; name it in transactionalId, or every id that begins so in transactionalIdPrefix"
// +kubebuilder:validation:XValidation:rule="self.role == 'TransactionalProducer' || !has(self.transactionalId) && !has(self.transactionalIdPrefix)",message="transactionalId: this role has none; remove it, or use role TransactionalProducer"
// +kubebuilder:validation:XValidation:rule="self.role != 'Streams' || (has(self.group) ? self.group : has(self.groupPrefix) ? self.groupPrefix : 'a').matches('^[a-zA-Z0-9._-]+$')",message="group: the internal topics of a Streams application begin with its application.id; use letters, digits, dots, underscores and dashes"
type Grant struct {
	// What the user does. Producer: write to topics. TransactionalProducer: the same, in transactions. Consumer: read
	// topics in a consumer group. ShareConsumer: read topics in a share group. Streams: run a Kafka Streams application,
	// whose application.id is the group. Owner: everything with topics, also create, alter and delete them.
	// +required
	Role GrantRole `json:"role"`
	// Name of a topic; * means all. Every role but Streams needs this or topicPrefix. Default: none. 1 to 249 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self == '*' || self.matches('^[a-zA-Z0-9._-]+$')",message="topic: no topic can have this name; use letters, digits, dots, underscores and dashes, and topicPrefix for every name that begins so"
	Topic string `json:"topic,omitempty"`
	// Beginning of the names of topics. Every role but Streams needs this or topic. Default: none. 1 to 249 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-zA-Z0-9._-]+$')",message="topicPrefix: no topic can begin so; use letters, digits, dots, underscores and dashes, without an asterisk at the end"
	TopicPrefix string `json:"topicPrefix,omitempty"`
	// Id of a group (group.id); * means all. Consumer, ShareConsumer and Streams, which has its application.id here, need
	// this or groupPrefix. Default: none. 1 to 249 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	Group string `json:"group,omitempty"`
	// Beginning of the ids of groups. Consumer, ShareConsumer and Streams need this or group. Default: none. 1 to 249
	// characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self != '*'",message="groupPrefix: with * these are only groups that begin with an asterisk; for all of them use group"
	GroupPrefix string `json:"groupPrefix,omitempty"`
	// A transactional id (transactional.id); * means all. TransactionalProducer needs this or transactionalIdPrefix.
	// Default: none. 1 to 249 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	TransactionalID string `json:"transactionalId,omitempty"`
	// Beginning of transactional ids. TransactionalProducer needs this or transactionalId. Default: none. 1 to 249
	// characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=249
	// +kubebuilder:validation:XValidation:rule="self != '*'",message="transactionalIdPrefix: with * these are only ids that begin with an asterisk; for all of them use transactionalId"
	TransactionalIDPrefix string `json:"transactionalIdPrefix,omitempty"`
}
