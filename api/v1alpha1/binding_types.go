package v1alpha1

// UserBinding says what the connection Secret of a user is called and holds.
type UserBinding struct {
	// Name of the Secret. A Secret that is there and is not this object's is refused. When the name changes, the password
	// moves along, and the former Secret is emptied. Default: metadata.name with -kafka behind it. 1 to 253 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('-(ca|internal|listeners(-[0-9]+)?|plain-users(-[0-9]+)?|token-keys|logins|plugin-files)$')",message="name: Secrets of KafkaClusters end so; choose another ending than -ca, -internal, -listeners, -plain-users, -token-keys, -logins and -plugin-files"
	Name string `json:"name,omitempty"`

	// Labels and annotations of the Secret, beside those of the operator and of others.
	// +optional
	Metadata *BindingMetadata `json:"metadata,omitempty"`

	// Files for clients beside the fixed keys. Each format that is named here has files for every listener, too. Default:
	// client.properties, for every listener too, librdkafka.json and, without a certificate, librdkafka.config.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	Formats []BindingFormat `json:"formats,omitempty"`

	// Where clients mount the Secret, for formats that name files of it. Default: /binding. At most 256 characters.
	// +optional
	// +kubebuilder:default="/binding"
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(/[A-Za-z0-9._-]+)+$`
	MountPath string `json:"mountPath,omitempty"`
}

// BindingMetadata are labels and annotations of a connection Secret. Those of the operator cannot be set.
type BindingMetadata struct {
	// Labels. Default: none. At most 32.
	// +optional
	Labels Metadata `json:"labels,omitempty"`
	// Annotations. Default: none. At most 32.
	// +optional
	Annotations Metadata `json:"annotations,omitempty"`
}

// BindingFormat names files for one kind of clients.
//
// +kubebuilder:validation:Enum=client.properties;librdkafka.config;librdkafka.json;kafka-python.json;spring.properties;p12;env
type BindingFormat string

// The formats.
const (
	FormatClientProperties BindingFormat = "client.properties"
	FormatLibrdkafka       BindingFormat = "librdkafka.config"
	FormatLibrdkafkaJSON   BindingFormat = "librdkafka.json"
	FormatKafkaPython      BindingFormat = "kafka-python.json"
	FormatSpring           BindingFormat = "spring.properties"
	FormatPKCS12           BindingFormat = "p12"
	FormatEnv              BindingFormat = "env"
)
