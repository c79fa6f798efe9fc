package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
