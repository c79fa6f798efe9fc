package v1alpha1

// ListenerCustom says how clients log in by a SASL mechanism that is none of the operator's, such as Kerberos, or PLAIN
// against a directory. Its classes have to be in Kafka's image or in a plug-in.
type ListenerCustom struct {
	// The mechanism's name in SASL, such as GSSAPI for Kerberos. PLAIN may be meant, where mechanisms does not name it.
	// 1 to 20 capitals, digits, - and _.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:Pattern=`^[A-Z0-9_-]+$`
	// +kubebuilder:validation:XValidation:rule="!(self in ['SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER', 'TLS'])",message="mechanism: the operator has this mechanism itself; name it in mechanisms, or choose another here"
	Mechanism string `json:"mechanism"`

	// Class in Kafka's image or a plug-in that answers for the mechanism in the broker
	// (sasl.server.callback.handler.class). Default: what Kafka has for the mechanism. At most 256 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*([.$][A-Za-z_][A-Za-z0-9_]*)*$`
	CallbackHandlerClass string `json:"callbackHandlerClass,omitempty"`

	// Secret with the label kafka.castellan.dev/use: plugin. Its entry jaas.conf holds one line of JAAS, in which {host}
	// and {nodeId} stand for those of the broker. Brokers have each entry as the file
	// /etc/castellan/login/<listener>.<entry>; krb5.conf is that of the Java virtual machine. At most 60 KiB.
	// +required
	Secret SecretName `json:"secret"`

	// What stands before the name of whoever comes so, so that nobody can be a user of another mechanism. With "" nothing
	// does: whoever names users there may then name any KafkaUser. Default: custom: and then User:custom:alice has the
	// ACLs of alice. At most 64 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._:/@-]*$`
	PrincipalPrefix *string `json:"principalPrefix,omitempty"`
}
