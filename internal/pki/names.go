package pki

// The entries of the Secret that holds a cluster's certificate authority.
const (
	AuthorityCertificate = "ca.crt"
	AuthorityKey         = "ca.key"
)

// The names in the operator's own certificate; render puts the principal that follows from them into super.users.
const (
	OperatorName = "castellan-operator"
	Organization = "castellan"
)

// AuthoritySecret names the Secret that holds a cluster's certificate authority.
func AuthoritySecret(cluster string) string { return cluster + "-ca" }
