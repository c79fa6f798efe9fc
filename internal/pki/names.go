package pki

import (
	"crypto/sha256"
	"encoding/hex"
)

// AuthorityName is the common name of a cluster's authority: "namespace/name". One that would be longer than the 64
// characters of a common name ends in a digest of the whole in their stead.
func AuthorityName(namespace, cluster string) string {
	name := namespace + "/" + cluster
	if len(name) <= maxNameRunes { // both are ASCII
		return name
	}
	sum := sha256.Sum256([]byte(name))
	end := "-" + hex.EncodeToString(sum[:6])
	return name[:maxNameRunes-len(end)] + end
}

// The entries of the Secret that holds a cluster's certificate authority.
const (
	AuthorityCertificate = "ca.crt"
	AuthorityKey         = "ca.key"
	// While the authority is replaced: the one that is to sign next, and the certificate of the one that has signed.
	NextCertificate   = "next.crt"
	NextKey           = "next.key"
	FormerCertificate = "former.crt"
	// AuthorityRound counts the rounds of all replacements, and holds the last request: "<number> <request>".
	AuthorityRound = "round"
)

// The names in the operator's own certificate; render puts the principal that follows from them into super.users.
const (
	OperatorName = "castellan-operator"
	Organization = "castellan"
)

// AuthoritySecret names the Secret that holds a cluster's certificate authority.
func AuthoritySecret(cluster string) string { return cluster + "-ca" }
