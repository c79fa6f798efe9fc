package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxNameRunes is the upper bound of a common name and of an organization in RFC 5280, appendix A.1.
const maxNameRunes = 64

// Usages says which side of a TLS connection a certificate serves; a node of a cluster serves both.
type Usages struct {
	Server bool
	Client bool
}

// Request is what a certificate must say. The zero value of Organization leaves it out of the subject.
type Request struct {
	CommonName   string
	Organization string
	DNSNames     []string
	IPs          []net.IP
	Usages       Usages
	// ValidFor is counted from the time of issue; Backdating comes on top of it.
	ValidFor time.Duration
}

// Validate refuses a request that no certificate can fulfil or that no peer would accept.
func (r Request) Validate() error {
	if err := checkName("common name", r.CommonName); err != nil {
		return err
	}
	if r.Organization != "" {
		if err := checkName("organization", r.Organization); err != nil {
			return err
		}
	}
	switch {
	case !r.Usages.Server && !r.Usages.Client:
		return errors.New("neither server nor client usage asked for")
	case r.Usages.Server && len(r.DNSNames)+len(r.IPs) == 0:
		return errors.New("a server certificate without a DNS name or an address")
	case r.ValidFor <= 0:
		return errors.New("no validity asked for")
	}
	for _, name := range r.DNSNames {
		if name == "" {
			return errors.New("an empty DNS name")
		}
	}
	for _, ip := range r.IPs {
		if ip.To16() == nil {
			return errors.New("an address that is neither IPv4 nor IPv6")
		}
	}
	return nil
}

// BundleBytes is how many bytes a bundle of the request takes at most, issued by an authority of that common name. It
// takes no more than 64 less.
func (r Request) BundleBytes(authority string) int {
	const (
		keyDER     = 138 // of P-256, as PKCS#8
		longSerial = 17
		longSign   = 72
		rest       = 332 // what every certificate of ours holds beside names, and the lengths of all
	)
	der := rest + longSerial + longSign + len(authority) + len(r.CommonName) + len(r.Organization)
	for _, name := range r.DNSNames {
		if der += len(name) + 2; len(name) > 127 {
			der++
		}
	}
	for _, ip := range r.IPs {
		if der += net.IPv6len + 2; ip.To4() != nil {
			der -= net.IPv6len - net.IPv4len
		}
	}
	return pemBytes(blockPrivateKey, keyDER) + pemBytes(blockCertificate, der)
}

// pemBytes is the length of a PEM block: base64 in lines of 64 characters, between its first line and its last.
func pemBytes(block string, der int) int {
	encoded := (der + 2) / 3 * 4
	return encoded + (encoded+63)/64 + len("-----BEGIN -----\n") + len("-----END -----\n") + 2*len(block)
}

// checkName refuses what has no place in a subject. The bound of 64 characters is the standard's.
func checkName(what, name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("%s: empty", what)
	case !utf8.ValidString(name):
		return fmt.Errorf("%s: not UTF-8", what)
	case utf8.RuneCountInString(name) > maxNameRunes:
		return fmt.Errorf("%s: more than %d characters", what, maxNameRunes)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%s: a control character", what)
	}
	return nil
}

func (r Request) subject() pkix.Name {
	name := pkix.Name{CommonName: r.CommonName}
	if r.Organization != "" {
		name.Organization = []string{r.Organization}
	}
	return name
}

func (r Request) template(serial *big.Int, ca *x509.Certificate, now time.Time) *x509.Certificate {
	end := now.Add(r.ValidFor)
	if end.After(ca.NotAfter) {
		end = ca.NotAfter
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               r.subject(),
		DNSNames:              r.DNSNames,
		IPAddresses:           r.IPs,
		NotBefore:             now.Add(-Backdating),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           r.Usages.extended(),
		BasicConstraintsValid: true,
	}
}

func (u Usages) extended() []x509.ExtKeyUsage {
	var usages []x509.ExtKeyUsage
	if u.Server {
		usages = append(usages, x509.ExtKeyUsageServerAuth)
	}
	if u.Client {
		usages = append(usages, x509.ExtKeyUsageClientAuth)
	}
	return usages
}

// subjectOf prints a subject in a form that two certificates share exactly when their subjects mean the same.
func subjectOf(raw []byte) (string, error) {
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &sequence); err != nil || len(rest) > 0 {
		return "", errors.New("the subject cannot be decoded")
	}
	return sequence.String(), nil
}
