package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
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

// The names in the certificates of the operator and of nodes; render puts the principals that follow from them into
// super.users.
const (
	OperatorName = "castellan-operator"
	NodeName     = "kafka-node"
	Organization = "castellan"
)

// AuthoritySecret names the Secret that holds a cluster's certificate authority.
func AuthoritySecret(cluster string) string { return cluster + "-ca" }

// ClientsAuthoritySecret names the Secret that holds the authority by which users' certificates are signed. It is apart
// from the cluster's: whoever has a certificate of that is a node or the operator.
func ClientsAuthoritySecret(cluster string) string { return cluster + "-clients-ca" }

// ClientsAuthorityName is the common name of an authority for users' certificates. It tells one from its successor:
// both may be trusted for a while.
func ClientsAuthorityName(namespace, cluster string, now time.Time) string {
	return clientsPrefix(namespace, cluster) + now.UTC().Format("20060102T150405Z")
}

// SignsForClients tells whether a certificate is that of an authority for a cluster's users, by its name.
func SignsForClients(certificate *x509.Certificate, namespace, cluster string) bool {
	return strings.HasPrefix(certificate.Subject.CommonName, clientsPrefix(namespace, cluster))
}

// ParseClientsAuthority is ParseAuthority for what signs users' certificates. It takes no other authority than one that
// was made for the users of this cluster: what the authority of some cluster signs is a node of it, or the operator.
func ParseClientsAuthority(certPEM, keyPEM []byte, namespace, cluster string) (Authority, error) {
	ca, err := ParseAuthority(certPEM, keyPEM)
	if err != nil {
		return Authority{}, err
	}
	certificate, _, err := ca.parse()
	if err != nil || !SignsForClients(certificate, namespace, cluster) {
		return Authority{}, fmt.Errorf("the authority is not one for the users of cluster %s/%s", namespace, cluster)
	}
	return ca, nil
}

// clientsPrefix leaves room for the time in the 64 characters of a common name.
func clientsPrefix(namespace, cluster string) string {
	name := namespace + "/" + cluster
	if len(name) > 38 {
		sum := sha256.Sum256([]byte(name))
		name = name[:25] + "-" + hex.EncodeToString(sum[:6])
	}
	return name + " clients "
}

// UserLife is how long a user's certificate lives. 90 days.
const UserLife = 90 * 24 * time.Hour

// UserRequest asks for the certificate of a user. Whose it is, brokers know by their list of certificates and not by
// the subject, which is for people.
func UserRequest(name string) Request {
	return Request{CommonName: name, Organization: Organization, Usages: Usages{Client: true}, ValidFor: UserLife}
}

// IsReserved tells whether a user's certificate would have the subject of the operator's own, or of a node's.
func IsReserved(user string) bool { return user == OperatorName || user == NodeName }

// MaxUserName is the most characters that the name of a user with a certificate has: a subject takes no more.
const MaxUserName = maxNameRunes
