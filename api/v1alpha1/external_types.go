package v1alpha1

// External is a Kafka cluster that somebody else runs: any Kafka from 2.8 on. The operator manages its topics and
// users. It neither configures nor restarts its brokers, except for the throttle while it moves replicas.
//
// +kubebuilder:validation:XValidation:rule="!has(self.authentication) || self.authentication.mechanism != 'TLS' || has(self.tls)",message="authentication.mechanism: a client certificate needs a TLS connection; set external.tls, or choose another mechanism"
type External struct {
	// Addresses (host:port) of one listener of some brokers. One that answers is enough: the cluster names the others.
	// 1 to 32 addresses.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	BootstrapServers []BootstrapServer `json:"bootstrapServers"`

	// TLS of that listener. Default: none; nothing is encrypted.
	// +optional
	TLS *ExternalTLS `json:"tls,omitempty"`

	// How the operator logs in. Default: not at all; it is User:ANONYMOUS.
	// +optional
	Authentication *ExternalAuthentication `json:"authentication,omitempty"`
}

// BootstrapServer is host:port of a broker.
//
// +kubebuilder:validation:MaxLength=262
// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|\\\\[[0-9A-Fa-f:.]+\\\\]):([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$')",message="bootstrapServers: a host and a port from 1 to 65535, such as kafka.example.com:9092"
type BootstrapServer string

// ExternalTLS says which certificates of brokers the operator trusts.
type ExternalTLS struct {
	// Secret with the certificates of the authorities that sign the brokers' certificates. Default: none; the operator
	// trusts the authorities that its image trusts. The Secret has the label kafka.castellan.dev/use: external-cluster.
	// +optional
	CASecret *CASecret `json:"caSecret,omitempty"`
}

// CASecret names certificates (PEM) in a Secret.
type CASecret struct {
	// Name of the Secret, in the KafkaCluster's namespace. At most 253 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Key in the Secret. Default: ca.crt. At most 253 characters.
	// +optional
	// +kubebuilder:default="ca.crt"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// ExternalMechanism is how the operator logs in to an external cluster.
//
// +kubebuilder:validation:Enum=PLAIN;SCRAM-SHA-256;SCRAM-SHA-512;TLS
type ExternalMechanism string

// ExternalTLSCertificate is the one mechanism that is not SASL.
const ExternalTLSCertificate ExternalMechanism = "TLS"

// ExternalAuthentication says how the operator logs in.
type ExternalAuthentication struct {
	// How the operator logs in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, or TLS for a client certificate.
	// +required
	Mechanism ExternalMechanism `json:"mechanism"`

	// Name of the Secret, in the KafkaCluster's namespace, with the keys username and password, or for TLS tls.crt and
	// tls.key. It has the label kafka.castellan.dev/use: external-cluster, without which the operator does not read it.
	// The operator sees a change of it within half a minute. At most 253 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName"`
}

// ExternalStatus is what was seen of an external cluster.
type ExternalStatus struct {
	// What the cluster's version of Kafka cannot do, of what the operator needs; empty if it can do all of it.
	// +optional
	// +listType=map
	// +listMapKey=feature
	Lacking []LackingFeature `json:"lacking,omitempty"`
}

// LackingFeature is something that the cluster's version of Kafka cannot do.
type LackingFeature struct {
	// ScramCredentials: KafkaUsers are refused. FencedBrokers: replicas are not moved while a broker is down.
	Feature string `json:"feature"`
	// The Kafka that can, such as "Kafka 4.0".
	Needs string `json:"needs"`
}

// IsExternal tells whether somebody else runs the cluster.
func (c *KafkaCluster) IsExternal() bool { return c.Spec.External != nil }
