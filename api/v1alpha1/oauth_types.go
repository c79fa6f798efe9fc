package v1alpha1

// ListenerOAuth says whose tokens a listener takes (OAUTHBEARER, RFC 7628). A token is a signed JWT. Its signature,
// issuer, audience and expiry have to be right, and it has to say when it was issued.
type ListenerOAuth struct {
	// Who issues the tokens: the claim iss, letter by letter, such as https://id.example.com/realms/shop. At most 512
	// characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[!-#%-~]+$`
	Issuer string `json:"issuer"`

	// For whom the tokens are meant: one value of the claim aud, such as kafka. It keeps tokens out that the issuer has
	// given to other applications. At most 256 characters, no comma.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[!-#%-+\--~]+$`
	Audience string `json:"audience"`

	// Where the issuer's public keys come from.
	// +required
	JWKS JWKS `json:"jwks"`

	// Claim whose value, a string, names the principal. Default: sub. At most 128 characters.
	// +optional
	// +kubebuilder:default=sub
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_.:/-]+$`
	PrincipalClaim string `json:"principalClaim,omitempty"`

	// Claim that holds the scopes of a token. Kafka reads them, and its ACLs do not know them. Default: scope. At most
	// 128 characters.
	// +optional
	// +kubebuilder:default=scope
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_.:/-]+$`
	ScopeClaim string `json:"scopeClaim,omitempty"`

	// By how many seconds the issuer's clock may differ from a broker's. Default: 30. 0 to 300.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=300
	ClockSkewSeconds *int32 `json:"clockSkewSeconds,omitempty"`

	// What stands before the claim in the name of the principal, so that no token can name a user who logs in by another
	// mechanism. With "" nothing does: whoever may name users at the issuer may then be any KafkaUser. Default: oidc: and
	// then User:oidc:alice has the ACLs of a token of alice. At most 64 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9._:/@-]*$`
	PrincipalPrefix *string `json:"principalPrefix,omitempty"`
}

// JWKS says where the public keys of an issuer come from (JWK Set, RFC 7517). Keys are RSA of at least 2048 bits, or EC
// on P-256, P-384 or P-521; all others are left out.
//
// +kubebuilder:validation:XValidation:rule="has(self.url) != has(self.secret)",message="jwks: name either url, from which the keys are fetched, or secret, which holds them"
// +kubebuilder:validation:XValidation:rule="has(self.url) || !has(self.caSecret) && !has(self.fetch)",message="jwks: caSecret and fetch say how url is fetched; remove them, or use url"
type JWKS struct {
	// Address of the keys, https alone, without a user, without a redirect. Its host has to prove who it is by a
	// certificate. Default: none; the keys are in secret. At most 1024 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^https://[A-Za-z0-9.:\[\]_-]+([/?][!"%&'()+\-./0-9:;=?@A-Z_a-z~]*)?$`
	URL string `json:"url,omitempty"`

	// Entry of a Secret with the certificates, as PEM, that the host of url is known by, and nobody else. The Secret has
	// the label kafka.castellan.dev/use: jwks. Default: the public authorities.
	// +optional
	CASecret *SecretEntry `json:"caSecret,omitempty"`

	// Entry of a Secret that holds the key set itself, for an issuer that neither operator nor brokers reach. The Secret
	// has the label kafka.castellan.dev/use: jwks.
	// +optional
	Secret *SecretEntry `json:"secret,omitempty"`

	// Who fetches from url. Operator: the operator does, every 60 seconds, and brokers read what it has fetched last;
	// brokers start and take tokens while the issuer is away, and new keys come only while the operator runs. Brokers:
	// every broker does by itself, and does not start while the issuer is away. Default: Operator.
	// +optional
	// +kubebuilder:validation:Enum=Operator;Brokers
	Fetch FetchedBy `json:"fetch,omitempty"`
}

// FetchedBy says who fetches something.
type FetchedBy string

// Who fetches the keys of an issuer.
const (
	FetchedByOperator FetchedBy = "Operator"
	FetchedByBrokers  FetchedBy = "Brokers"
)

// SecretEntry names an entry of a Secret in the namespace of the KafkaCluster.
type SecretEntry struct {
	// Name of the Secret. 1 to 253 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Key of the entry in the Secret's data. 1 to 253 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key"`
}
