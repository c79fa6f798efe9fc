package plainauth

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// # The list of users' certificates
//
// It says whose each certificate is. This is the only description of its format; the Java class CertificateList reads
// it. Lines end with LF. Empty lines and lines that begin with '#' mean nothing. Every other line is one certificate:
//
//	<name>:<fingerprint>:<end>
//
//   - name: that of the user, 1 to 128 letters, digits and . _ @ + -.
//   - fingerprint: SHA-256 of the certificate's DER form, in 64 lower-case hexadecimal digits.
//   - end: when the certificate ends, in seconds since 1970, decimal, without sign or leading zero, 12 digits at most.
//
// A line that is not so, or that repeats a fingerprint, lets nobody in and harms no other line. A user may have several
// lines: of a certificate that was renewed the former one is good until its end.
//
// One line may be the marker, see Marked. To the class it is a line like others.

// # Other certificates
//
// One that is not in the list is its subject's, where an authority has signed it that the listener trusts. The class
// reads the trust store of the listener (ssl.truststore.location, PEM) as it changes, and verifies each certificate
// anew when it does. Beside it may stand a file of the same name and ".refused": the subjects that open nothing all the
// same, as in RFC 2253, a line each. Empty lines and lines that begin with '#' mean nothing. How a subject is written
// does not matter where Java reads it as a distinguished name; else it is compared letter by letter.

// PrincipalBuilderClass is the value of principal.builder.class: who a client is, by the listener at which it comes.
const PrincipalBuilderClass = "dev.castellan.kafka.ListenerPrincipalBuilder"

// The properties that the principal builder reads beside super.users. Those of listeners stand below
// listener.name.<listener>.
const (
	FederatedSuperUsers = "castellan.federated.super.users"
	TokenPrefix         = "castellan.token.principal.prefix"
	CustomMechanism     = "castellan.custom.mechanism"
	CustomPrefix        = "castellan.custom.principal.prefix"
	CertificatesFile    = "castellan.client.certificates"
)

const listHeader = "# Certificates of users of this cluster, written by Castellan; changes made here are overwritten.\n"

// UserCertificate is a line of the list. Its zero value is no certificate.
type UserCertificate struct {
	Name        string
	Fingerprint string
	End         time.Time // whole seconds
}

// CertificateOf is the line of a user's certificate.
func CertificateOf(name string, certificate *x509.Certificate) UserCertificate {
	sum := sha256.Sum256(certificate.Raw)
	return UserCertificate{Name: name, Fingerprint: hex.EncodeToString(sum[:]), End: certificate.NotAfter.UTC()}
}

func (c UserCertificate) line() string {
	return fmt.Sprintf("%s:%s:%d\n", c.Name, c.Fingerprint, c.End.Unix())
}

// CertificateList renders the list, sorted: equal sets give equal bytes.
func CertificateList(all []UserCertificate) []byte {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b UserCertificate) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.End.Compare(b.End), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	var file strings.Builder
	file.WriteString(listHeader)
	for _, c := range slices.Compact(sorted) {
		file.WriteString(c.line())
	}
	return []byte(file.String())
}

var (
	certificateName = regexp.MustCompile(`^[A-Za-z0-9._@+-]{1,128}$`)
	fingerprint     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	endSeconds      = regexp.MustCompile(`^[1-9][0-9]{0,11}$`)
)

// ParseCertificateList reads what CertificateList wrote. Faulty lines are left out as the broker leaves them out; the
// error then joins one LineError for each.
func ParseCertificateList(file []byte) ([]UserCertificate, error) {
	var all []UserCertificate
	var faults []error
	known := map[string]bool{}
	for i, line := range strings.Split(string(file), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, ":")
		if len(fields) != 3 || !certificateName.MatchString(fields[0]) || !fingerprint.MatchString(fields[1]) ||
			!endSeconds.MatchString(fields[2]) || known[fields[1]] {
			faults = append(faults, LineError{Line: i + 1, Reason: "not <name>:<fingerprint>:<end>, or a fingerprint again"})
			continue
		}
		end, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("list of certificates: %w", err)
		}
		known[fields[1]] = true
		all = append(all, UserCertificate{Name: fields[0], Fingerprint: fields[1], End: time.Unix(end, 0).UTC()})
	}
	return all, errors.Join(faults...)
}
