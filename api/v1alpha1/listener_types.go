package v1alpha1

// Mechanism is a way to log in. Each field that has some says which it takes.
type Mechanism string

// The ways to log in, by the names of their SASL mechanisms where they are such.
const (
	MechanismPlain    Mechanism = "PLAIN"
	MechanismScram256 Mechanism = "SCRAM-SHA-256"
	MechanismScram512 Mechanism = "SCRAM-SHA-512"
	// MechanismTLS: the client shows a certificate.
	MechanismTLS Mechanism = "TLS"
	// MechanismExternal: the credential is not the operator's, and no listener is asked for it.
	MechanismExternal Mechanism = "External"
	// MechanismOAuthBearer is of listeners alone: somebody else issues the tokens.
	MechanismOAuthBearer Mechanism = "OAUTHBEARER"
	// MechanismCustom is of listeners alone: what it is called in SASL, and who answers for it, authentication.custom
	// says.
	MechanismCustom Mechanism = "Custom"
)

// Listener is one address per broker that clients connect to.
//
// +kubebuilder:validation:XValidation:rule="!has(self.authentication) || !('TLS' in self.authentication.mechanisms) || self.encryption != 'None'",message="encryption: a client shows its certificate in TLS; set it to TLS, or choose another mechanism"
type Listener struct {
	// Name of the listener; in Kafka it is in capitals. At most 11 lower-case letters and digits.
	// +required
	// +kubebuilder:validation:Pattern=`^[a-z][a-z0-9]{0,10}$`
	// +kubebuilder:validation:XValidation:rule="!(self in ['controller', 'controllers', 'handover', 'nodes', 'replication'])",message="name: controller, controllers, handover, nodes and replication name the cluster's own listeners and Services; choose another"
	// +kubebuilder:validation:MaxLength=11
	Name string `json:"name"`

	// Port on the broker's pod. 1024 to 65535, except 9091 and 9093, which the cluster itself uses.
	// +required
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:validation:XValidation:rule="!(self in [9091, 9093])",message="port: 9091 and 9093 are the cluster's own; choose another"
	Port int32 `json:"port"`

	// From where clients can reach the listener.
	// +optional
	// +kubebuilder:default={}
	Exposure Exposure `json:"exposure,omitempty"`

	// Whether the listener encrypts: TLS or None. Default: TLS.
	// +optional
	// +kubebuilder:default=TLS
	Encryption Encryption `json:"encryption,omitempty"`

	// How the listener encrypts, with encryption TLS. Default: as Kafka does.
	// +optional
	TLS *ListenerTLS `json:"tls,omitempty"`

	// How many clients the listener takes. Changed at run time. Default: as many as the brokers take.
	// +optional
	Limits *ListenerLimits `json:"limits,omitempty"`

	// How clients log in. Default: not at all; everybody is User:ANONYMOUS.
	// +optional
	Authentication *ListenerAuthentication `json:"authentication,omitempty"`

	// Who may connect, with spec.networkPolicy. The operator always may. Default: everybody. 1 to 16 peers.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	NetworkPolicyPeers []NetworkPolicyPeer `json:"networkPolicyPeers,omitempty"`
}

// ListenerTLS says how a listener encrypts.
type ListenerTLS struct {
	// Versions of TLS that the listener takes: TLSv1.2, TLSv1.3 or both. Default: both.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=TLSv1.2;TLSv1.3
	Protocols []string `json:"protocols,omitempty"`

	// Cipher suites that the listener takes, at least one of each version that it takes. Default: those of the Java
	// virtual machine.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=6
	// +kubebuilder:validation:items:Enum=TLS_AES_128_GCM_SHA256;TLS_AES_256_GCM_SHA384;TLS_CHACHA20_POLY1305_SHA256;TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
	CipherSuites []string `json:"cipherSuites,omitempty"`

	// Secret with a certificate of your own for the listener, as cert-manager writes it: tls.crt with its chain, tls.key,
	// and ca.crt unless a public authority has signed. It has the label kafka.castellan.dev/use: listener-certificate.
	// Running brokers take a renewed one without a restart. Default: a certificate of listenerAuthority.
	// +optional
	CertificateSecret *SecretName `json:"certificateSecret,omitempty"`
}

// SecretName names a Secret in the namespace of the KafkaCluster.
type SecretName struct {
	// Name of the Secret. 1 to 253 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// ListenerLimits bounds the clients of a listener.
type ListenerLimits struct {
	// The most connections of the listener at each broker (max.connections). Default: no limit. At least 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Connections *int32 `json:"connections,omitempty"`

	// The most connections that are made at the listener of each broker in a second (max.connection.creation.rate).
	// Default: no limit. At least 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ConnectionsPerSecond *int32 `json:"connectionsPerSecond,omitempty"`
}

// ListenerAuthentication says how clients of a listener prove who they are.
//
// +kubebuilder:validation:XValidation:rule="size(self.mechanisms) == 1 || !('TLS' in self.mechanisms)",message="mechanisms: TLS, a certificate of the client, cannot share a listener with the others in Kafka; make a listener of its own for it"
// +kubebuilder:validation:XValidation:rule="!has(self.reauthenticateSeconds) || !('TLS' in self.mechanisms)",message="reauthenticateSeconds: clients with a certificate do not log in again in Kafka, and are cut off when their certificate is revoked or ends; remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.clientAuthorities) || 'TLS' in self.mechanisms",message="clientAuthorities: they sign certificates of clients, which only a listener with mechanisms [TLS] asks for"
// +kubebuilder:validation:XValidation:rule="has(self.oauth) == ('OAUTHBEARER' in self.mechanisms)",message="oauth: it says whose tokens OAUTHBEARER takes, and stands with that mechanism alone; add the missing one of the two, or remove the other"
// +kubebuilder:validation:XValidation:rule="has(self.custom) == ('Custom' in self.mechanisms)",message="custom: it says what Custom is, and stands with that mechanism alone; add the missing one of the two, or remove the other"
// +kubebuilder:validation:XValidation:rule="!has(self.custom) || self.custom.mechanism != 'PLAIN' || !('PLAIN' in self.mechanisms)",message="custom.mechanism: PLAIN stands in mechanisms, too; remove one of the two, or make a listener of its own"
type ListenerAuthentication struct {
	// Mechanisms that the listener offers: SASL mechanisms, or TLS alone, where each client shows a certificate. 1 to 5.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	// +kubebuilder:validation:items:Enum=PLAIN;SCRAM-SHA-256;SCRAM-SHA-512;OAUTHBEARER;TLS;Custom
	Mechanisms []Mechanism `json:"mechanisms"`

	// Whose tokens the listener takes, with OAUTHBEARER alone, which needs it.
	// +optional
	OAuth *ListenerOAuth `json:"oauth,omitempty"`

	// What Custom is, with that mechanism alone, which needs it.
	// +optional
	Custom *ListenerCustom `json:"custom,omitempty"`

	// After how many seconds a client has to log in again on a connection that is open (connections.max.reauth.ms): so
	// long a user who is removed goes on. Default: 300. 10 to 86400.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	ReauthenticateSeconds *int32 `json:"reauthenticateSeconds,omitempty"`

	// Secrets with certificate authorities of your own that sign certificates of clients, each in ca.crt, with the label
	// kafka.castellan.dev/use: client-authority. The principal of such a client is the subject of its certificate, as in
	// User:CN=app,O=Example. Default: only certificates of KafkaUsers are taken. At most 8.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	ClientAuthorities []SecretName `json:"clientAuthorities,omitempty"`

	// Subjects of certificates that an authority of clientAuthorities has signed, and that are refused all the same, as
	// in CN=app,O=Example. Open connections end, too. Default: none. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=3
	// +kubebuilder:validation:items:MaxLength=512
	RefusedSubjects []string `json:"refusedSubjects,omitempty"`
}
