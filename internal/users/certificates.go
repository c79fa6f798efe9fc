package users

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// The keys of the certificate in a connection Secret.
const (
	CertificateEntry    = "user.crt"
	CertificateKeyEntry = "user.key"
)

// Certificate is that of a user, as its connection Secret keeps it. The Secret is the one place that says which
// certificates of the user are good: it is written at once, and whatever it does not vouch for goes out of the brokers'
// list. The zero value is none.
type Certificate struct {
	pki.Leaf
	// Former is the fingerprint of the one in whose place it has come by renewal. That one stays good until its end.
	Former string
	// Request is what the annotation on the KafkaUser said when it was issued.
	Request string
}

// CertificateIn reads what a connection Secret holds.
func CertificateIn(secret *corev1.Secret) Certificate {
	return Certificate{
		Leaf:    pki.Leaf{CertPEM: secret.Data[CertificateEntry], KeyPEM: secret.Data[CertificateKeyEntry]},
		Former:  secret.Annotations[v1alpha1.AnnotationFormerCertificate],
		Request: secret.Annotations[v1alpha1.AnnotationReissueCertificate],
	}
}

// Annotate writes to a connection Secret what stands beside the certificate there.
func (c Certificate) Annotate(secret *corev1.Secret) {
	for key, value := range map[string]string{
		v1alpha1.AnnotationFormerCertificate: c.Former, v1alpha1.AnnotationReissueCertificate: c.Request,
	} {
		if value == "" {
			delete(secret.Annotations, key)
			continue
		}
		if secret.Annotations == nil {
			secret.Annotations = map[string]string{}
		}
		secret.Annotations[key] = value
	}
}

const longestRequest = 64

// ReissueRequest is what a KafkaUser asks for by annotation, in 64 characters at most; empty = nothing.
func ReissueRequest(u *v1alpha1.KafkaUser) string {
	request := u.Annotations[v1alpha1.AnnotationReissueCertificate]
	if len(request) > longestRequest {
		sum := sha256.Sum256([]byte(request))
		return hex.EncodeToString(sum[:])
	}
	return request
}

// Next is the certificate that the user shall have now. why is half a sentence, and empty where it stays the same. A
// former one stays good only where a good one nears its end. Where it does not fit, where another one is asked for, or
// where it is older than what is on record, as from a backup, it is good no more.
func (c Certificate) Next(name, request string, recorded *v1alpha1.UserCertificate, ca pki.Authority, now time.Time) (
	next Certificate, why string, err error,
) {
	want := pki.UserRequest(name)
	why, renew := pki.NeedsRenewal(c.Leaf, want, ca, now, pki.LastThird)
	good := pki.InForce(c.Leaf, want, ca, now)
	switch {
	case good && request != "" && request != c.Request:
		why, good = "another one is asked for", false
	case good && c.olderThan(recorded):
		why, good = "it has been replaced before", false
	case good && !renew:
		return c, "", nil
	}
	next = Certificate{Request: request}
	if good {
		next.Former = c.line(name).Fingerprint
	}
	if next.Leaf, err = pki.Issue(ca, want, now); err != nil {
		return Certificate{}, "", err
	}
	return next, why, nil
}

func (c Certificate) olderThan(recorded *v1alpha1.UserCertificate) bool {
	return recorded != nil && c.line("").End.Before(recorded.NotAfter.Time)
}

// line is that of the certificate in the brokers' list; the zero value if it cannot be read.
func (c Certificate) line(name string) plainauth.UserCertificate {
	certificate, err := c.Certificate()
	if err != nil {
		return plainauth.UserCertificate{}
	}
	return plainauth.CertificateOf(name, certificate)
}

// Status tells the certificate apart from others; nil = there is none.
func (c Certificate) Status() *v1alpha1.UserCertificate {
	line := c.line("")
	if line.Fingerprint == "" {
		return nil
	}
	return &v1alpha1.UserCertificate{Fingerprint: line.Fingerprint, NotAfter: metav1.NewTime(line.End), Request: c.Request}
}

// RecordedCertificate is the one that an object has on record; nil = none.
func RecordedCertificate(c *v1alpha1.Credentials) *v1alpha1.UserCertificate {
	if c == nil {
		return nil
	}
	for _, s := range c.Mechanisms {
		if s.Certificate != nil {
			return s.Certificate
		}
	}
	return nil
}

// MadeWith returns what an object has on record as far as it was made from this password and this certificate; nil =
// nothing. Without a password there is none to compare. Brokers on which another certificate was proven are left out.
func MadeWith(u *v1alpha1.KafkaUser, clusterID, hash, password string, certificate *v1alpha1.UserCertificate,
) *v1alpha1.Credentials {
	c := Recorded(u, clusterID)
	if password != "" {
		c = MadeFrom(u, clusterID, hash, password)
	}
	recorded := RecordedCertificate(c)
	if recorded == nil || certificate != nil && recorded.Fingerprint == certificate.Fingerprint {
		return c
	}
	c = c.DeepCopy()
	c.ProvenOn = nil
	c.Mechanisms = slices.DeleteFunc(c.Mechanisms, func(s v1alpha1.CredentialStatus) bool { return s.Certificate != nil })
	return c
}

// Certify puts the certificate on record beside the mechanism that it is for.
func Certify(c *v1alpha1.Credentials, certificate *v1alpha1.UserCertificate) {
	if c == nil {
		return
	}
	for i := range c.Mechanisms {
		if c.Mechanisms[i].Mechanism == v1alpha1.MechanismTLS {
			c.Mechanisms[i].Certificate = certificate
		}
	}
}

// UnfitName refuses TLS to a user whose name does not fit a certificate, or would make it one of the cluster's own;
// nil = it may stand in one.
func UnfitName(name string) *verdict.Verdict {
	if pki.IsReserved(name) {
		fault := verdict.Stalled(ReasonPrincipal, "spec.name", "a certificate for %q would look like one of the operator or "+
			"of a node; make another KafkaUser with another name, or take TLS out of %s", name, mechanismsField)
		return &fault
	}
	if len(name) <= pki.MaxUserName { // names are ASCII
		return nil
	}
	fault := verdict.Stalled(ReasonName, "spec.name",
		"a certificate has room for a name of %d characters, and %q has %d; make another KafkaUser with a shorter name, "+
			"or take TLS out of %s", pki.MaxUserName, name, len(name), mechanismsField)
	return &fault
}

// Listed is what the list of certificates holds of each name, and what it may come to take: while certificates are
// renewed a user has two.
func Listed(list []byte) (names map[string]bool, bytes int) {
	all, _ := plainauth.ParseCertificateList(list)
	names = map[string]bool{}
	for _, c := range all {
		if !names[c.Name] {
			names[c.Name], bytes = true, bytes+LinesOf(c.Name)
		}
	}
	return names, bytes
}

// LinesOf is how many bytes the two lines take that a user may have.
func LinesOf(name string) int {
	return 2 * (len(name) + len(":") + hex.EncodedLen(sha256.Size) + len(":2147483647\n"))
}

// NoRoom refuses TLS to a user for whom the list of certificates has no room.
func NoRoom(host model.Host, users int) verdict.Verdict {
	return verdict.Stalled(ReasonNoRoom, mechanismsField,
		"the list of certificates that brokers of KafkaCluster %q read is full, with %d users; log in with SCRAM-SHA-512 in "+
			"place of TLS, or delete KafkaUsers with TLS that nobody needs", host.Name, users)
}

// CertificateList brings the brokers' list up to date. Only names in all may stand in it. Those in set get the line of
// their certificate, and keep that of the former one which it vouches for; the others keep theirs. What has ended is
// left out. It returns the new list, nil if there never was one and nobody needs it; the names that lack a line; and
// whether a certificate is good no more that was.
func CertificateList(current []byte, all map[string]bool, set map[string]Certificate, now time.Time) (
	list []byte, missing []string, revoked bool,
) {
	old, _ := plainauth.ParseCertificateList(current) // a faulty line lets nobody in, and is left out
	owners := map[string]string{}                     // of the fingerprints that are set: nobody else has them
	var lines []plainauth.UserCertificate
	has := map[string]bool{}
	for name, c := range set {
		if line := c.line(name); all[name] && line.Fingerprint != "" {
			lines, owners[line.Fingerprint], has[name] = append(lines, line), name, true
		}
	}
	for _, line := range old {
		c, isSet := set[line.Name]
		switch _, taken := owners[line.Fingerprint]; {
		case taken && owners[line.Fingerprint] == line.Name: // stands already
			continue
		case taken, !all[line.Name], isSet && c.Former != line.Fingerprint, !line.End.After(now):
			revoked = revoked || line.End.After(now)
			continue
		}
		lines, has[line.Name] = append(lines, line), true
	}
	for name := range all {
		if !has[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	if len(lines) == 0 && current == nil {
		return nil, missing, false
	}
	return plainauth.CertificateList(lines), missing, revoked
}
