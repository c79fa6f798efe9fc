// Package pki makes the certificate authority of a Kafka cluster and the certificates that it issues, and decides when
// one of them must be made anew.
//
// It is pure but for the randomness of new keys: the time is a parameter, and no client, clock or file may enter. Only
// the standard library is imported. Which certificates a cluster needs, where they are kept and when a broker may be
// disturbed to take a new one is not decided here.
//
// All keys are ECDSA P-256, written as PKCS#8 ("BEGIN PRIVATE KEY"), the form that Kafka reads.
package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

const (
	// AuthorityYears is how long a new authority lives.
	AuthorityYears = 10
	// Backdating is how long before "now" a certificate becomes valid, for machines whose clocks are behind ours.
	Backdating = 5 * time.Minute

	blockCertificate = "CERTIFICATE"
	blockPrivateKey  = "PRIVATE KEY"
)

// Authority is a certificate authority: one self-signed certificate and its key. It prints nothing of the key.
type Authority struct {
	CertPEM []byte
	KeyPEM  []byte
}

// NewAuthority makes an authority that lives AuthorityYears from now on. An authority that replaces another one should
// have another common name, so that people can tell the two apart while both are trusted; Kafka's truststore was seen
// to keep two of one name apart by their keys. Errors: a common name that is empty, longer than 64 characters, not
// UTF-8 or has control characters; no randomness.
func NewAuthority(commonName string, now time.Time) (Authority, error) {
	if err := checkName("common name", commonName); err != nil {
		return Authority{}, fmt.Errorf("new authority: %w", err)
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return Authority{}, fmt.Errorf("new authority %q: %w", commonName, err)
	}
	serial, err := newSerial()
	if err != nil {
		return Authority{}, fmt.Errorf("new authority %q: %w", commonName, err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-Backdating),
		NotAfter:              now.AddDate(AuthorityYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs leaves and nothing else
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Authority{}, fmt.Errorf("new authority %q: %w", commonName, err)
	}
	return Authority{CertPEM: encodeCertificate(der), KeyPEM: keyPEM}, nil
}

// RenewAuthority makes a new certificate for the key of an authority, which lives AuthorityYears from now on. It has
// the name and the key id of the former one, so that whoever trusts one of the two trusts what either has signed, as
// long as that one is valid. Errors: an authority that cannot be parsed; no randomness.
func RenewAuthority(ca Authority, now time.Time) (Authority, error) {
	former, key, err := ca.parse()
	if err != nil {
		return Authority{}, fmt.Errorf("renew authority: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return Authority{}, fmt.Errorf("renew authority %s: %w", former.Subject, err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		RawSubject:            former.RawSubject,
		SubjectKeyId:          former.SubjectKeyId,
		NotBefore:             now.Add(-Backdating),
		NotAfter:              now.AddDate(AuthorityYears, 0, 0),
		KeyUsage:              former.KeyUsage,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            former.MaxPathLen,
		MaxPathLenZero:        former.MaxPathLenZero,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Authority{}, fmt.Errorf("renew authority %s: %w", former.Subject, err)
	}
	return Authority{CertPEM: encodeCertificate(der), KeyPEM: bytes.Clone(ca.KeyPEM)}, nil
}

// ParseAuthority checks what was read back from a Secret: one certificate of an authority and the key that belongs to
// it.
// It does not look at the time; an authority that is past its end is refused by Issue.
func ParseAuthority(certPEM, keyPEM []byte) (Authority, error) {
	ca := Authority{CertPEM: bytes.Clone(certPEM), KeyPEM: bytes.Clone(keyPEM)}
	if _, _, err := ca.parse(); err != nil {
		return Authority{}, fmt.Errorf("parse authority: %w", err)
	}
	return ca, nil
}

// String keeps the key out of logs.
func (a Authority) String() string { return "authority " + describe(a.CertPEM) }

// GoString is String, so that %#v shows no key either.
func (a Authority) GoString() string { return a.String() }

func (a Authority) parse() (*x509.Certificate, crypto.Signer, error) {
	certs, err := ParseCertificates(a.CertPEM)
	if err != nil {
		return nil, nil, err
	}
	if len(certs) != 1 {
		return nil, nil, fmt.Errorf("%d certificates where one authority is meant", len(certs))
	}
	if !certs[0].BasicConstraintsValid || !certs[0].IsCA || certs[0].KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, nil, errors.New("the certificate is not one of an authority")
	}
	key, err := parseKey(a.KeyPEM)
	if err != nil {
		return nil, nil, err
	}
	if !belongs(key, certs[0]) {
		return nil, nil, errors.New("the key does not belong to the certificate")
	}
	return certs[0], key, nil
}

// Leaf is an issued certificate, or a chain that begins with one, and its key. It prints nothing of the key. What Issue
// makes is one certificate without the authority's: peers have that as their anchor or do not trust us.
type Leaf struct {
	CertPEM []byte
	KeyPEM  []byte
}

// Bundle returns the key and then the chain in one file, as ssl.keystore.location with ssl.keystore.type=PEM wants it
// (KIP-651). The loader of kafka-clients 4.3.1 was seen to take this order.
func (l Leaf) Bundle() []byte {
	return slices.Concat(endLine(l.KeyPEM), endLine(l.CertPEM))
}

// ParseBundle takes apart what Bundle put together. A file that is none gives an empty leaf, which NeedsRenewal
// replaces.
func ParseBundle(bundle []byte) Leaf {
	const end = "-----END PRIVATE KEY-----\n"
	at := bytes.Index(bundle, []byte(end))
	if at < 0 {
		return Leaf{}
	}
	return Leaf{KeyPEM: bundle[:at+len(end)], CertPEM: bundle[at+len(end):]}
}

// Certificate returns the first certificate: the one whose serial number a handshake shows once it is served.
func (l Leaf) Certificate() (*x509.Certificate, error) {
	certs, err := ParseCertificates(l.CertPEM)
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

// String keeps the key out of logs.
func (l Leaf) String() string { return "leaf " + describe(l.CertPEM) }

// GoString is String, so that %#v shows no key either.
func (l Leaf) GoString() string { return l.String() }

// Issue makes a new key and has the authority sign a certificate for it. It is valid from Backdating before now for
// want.ValidFor after now, but never longer than the authority itself. Errors: a request that Validate refuses, an
// authority that cannot be parsed or is not valid now, no randomness.
func Issue(ca Authority, want Request, now time.Time) (Leaf, error) {
	leaf, err := issue(ca, want, now)
	if err != nil {
		return Leaf{}, fmt.Errorf("issue a certificate for %q: %w", want.CommonName, err)
	}
	return leaf, nil
}

func issue(ca Authority, want Request, now time.Time) (Leaf, error) {
	if err := want.Validate(); err != nil {
		return Leaf{}, err
	}
	caCert, caKey, err := ca.parse()
	if err != nil {
		return Leaf{}, fmt.Errorf("authority: %w", err)
	}
	if now.Before(caCert.NotBefore) || !now.Before(caCert.NotAfter) {
		return Leaf{}, fmt.Errorf(
			"the authority is valid from %s to %s only",
			stamp(caCert.NotBefore),
			stamp(caCert.NotAfter),
		)
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return Leaf{}, err
	}
	serial, err := newSerial()
	if err != nil {
		return Leaf{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, want.template(serial, caCert, now), caCert, key.Public(), caKey)
	if err != nil {
		return Leaf{}, err
	}
	return Leaf{CertPEM: encodeCertificate(der), KeyPEM: keyPEM}, nil
}

// ParseCertificates returns all certificates of a PEM file in their order. No certificate at all, another kind of block
// (a key in a file of anchors is a leak that somebody should hear of) and anything undecodable are errors.
func ParseCertificates(certPEM []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(certPEM); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != blockCertificate {
			return nil, fmt.Errorf("a PEM block %q where certificates are meant", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("no PEM certificate")
	}
	return certs, nil
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: blockPrivateKey, Bytes: der}), nil
}

// newSerial is positive and has 127 random bits: RFC 5280 allows 20 bytes, and no two may ever be equal.
func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func parseKey(keyPEM []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(keyPEM)
	if block == nil || block.Type != blockPrivateKey {
		return nil, errors.New("no PKCS#8 private key in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key cannot be decoded") // the cause is not worth the risk of showing bytes
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key is of a kind that cannot sign")
	}
	return signer, nil
}

// PrivateKey reads the key of a certificate that was issued here: PKCS#8 as PEM. Errors show nothing of it.
func PrivateKey(keyPEM []byte) (crypto.Signer, error) { return parseKey(keyPEM) }

func belongs(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockCertificate, Bytes: der})
}

// endLine keeps two PEM texts apart when the first one does not end its last line.
func endLine(text []byte) []byte {
	if len(text) == 0 || text[len(text)-1] == '\n' {
		return text
	}
	return append(slices.Clip(text), '\n')
}

func describe(certPEM []byte) string {
	certs, err := ParseCertificates(certPEM)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return fmt.Sprintf("%s, serial %x, until %s", certs[0].Subject, certs[0].SerialNumber, stamp(certs[0].NotAfter))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
