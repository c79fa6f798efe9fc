package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The entries of a Secret of type kubernetes.io/tls. The last one may be missing.
const (
	TLSCertificate = "tls.crt"
	TLSKey         = "tls.key"
	TLSAuthority   = "ca.crt"
)

// maxServed bounds what is taken of a Secret: each node of a pool gets a copy of it.
const maxServed = 16 << 10

// Served is a certificate of somebody else's making that a server presents, or an authority that signs such ones.
// Printing one shows no key.
type Served struct {
	Leaf
	// Certificate is the first of the chain.
	Certificate *x509.Certificate
	// Anchors are the certificates that clients have to trust, as PEM. None = a public authority has signed, which the
	// systems of clients trust already.
	Anchors []byte
	above   []*x509.Certificate // intermediates, without an anchor
	names   map[string]bool
}

// ParseServed reads a certificate for servers as cert-manager and others write it. The chain begins with the
// certificate and may end in its anchor, which is not presented. Errors are half sentences with a cure after the last
// semicolon, and quote nothing.
func ParseServed(data map[string][]byte, now time.Time) (*Served, error) {
	s, err := parseServed(data, now)
	if err != nil {
		return nil, err
	}
	cert := s.Certificate
	switch {
	case cert.IsCA:
		return nil, errors.New("tls.crt begins with the certificate of an authority; begin it with the server's own")
	case len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) > 0 && !slices.Contains(cert.ExtKeyUsage,
		x509.ExtKeyUsageServerAuth) && !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny):
		return nil, errors.New("the certificate is not for servers; have one issued with the usage \"server auth\"")
	case len(cert.DNSNames)+len(cert.IPAddresses) == 0:
		return nil, errors.New("the certificate has no subject alternative name, and clients look at nothing else; " +
			"have one issued with the names of the brokers")
	}
	s.names = map[string]bool{}
	for _, name := range cert.DNSNames {
		s.names[strings.ToLower(strings.TrimSuffix(name, "."))] = true
	}
	for _, ip := range cert.IPAddresses {
		if address, ok := netip.AddrFromSlice(ip); ok {
			s.names[address.Unmap().String()] = true
		}
	}
	return s, s.verify(now)
}

// ParseSigner reads an authority with its key: one that the chain above it permits to sign servers' certificates.
func ParseSigner(data map[string][]byte, now time.Time) (*Served, error) {
	s, err := parseServed(data, now)
	if err != nil {
		return nil, err
	}
	if cert := s.Certificate; !cert.BasicConstraintsValid || !cert.IsCA {
		return nil, errors.New("tls.crt is the certificate of a server, and not of an authority; put an authority's " +
			"there, or name this Secret in tls.certificateSecret of a listener")
	} else if cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, errors.New("the authority is not for signing; have one issued with the key usage \"cert sign\"")
	}
	if s.Anchors == nil {
		return nil, errors.New("nothing says whom clients have to trust; put the certificate of the root into ca.crt, or " +
			"at the end of tls.crt")
	}
	highest := slices.DeleteFunc(s.anchors(), func(cert *x509.Certificate) bool {
		return slices.ContainsFunc(s.above, cert.Equal)
	})
	for i, cert := range slices.Concat(s.above, highest) {
		below := min(i, len(s.above)) + 1 // of several anchors each stands above the whole chain
		if limit, limited := pathLength(cert); limited && limit < below && !cert.Equal(s.Certificate) {
			return nil, fmt.Errorf("%s permits %d authorities below it (path length), which are too few; use an authority "+
				"nearer to it, or one that permits more", cert.Subject, limit)
		}
	}
	return s, s.verify(now)
}

func pathLength(cert *x509.Certificate) (limit int, limited bool) {
	return cert.MaxPathLen, cert.BasicConstraintsValid && (cert.MaxPathLen > 0 || cert.MaxPathLenZero)
}

// temporary is who has signed what cert-manager writes while its issuer has not answered, with
// cert-manager.io/issue-temporary-certificate: an authority that nobody has ever seen.
const temporary = "cert-manager.local"

func parseServed(data map[string][]byte, now time.Time) (*Served, error) {
	if len(bytes.TrimSpace(data[TLSCertificate])) == 0 {
		return nil, errors.New("nobody has issued the certificate yet, tls.crt is empty; wait, or see why it takes long " +
			"(with cert-manager: kubectl describe certificate)")
	}
	chain, err := ParseCertificates(data[TLSCertificate])
	if err != nil {
		return nil, errors.New("tls.crt holds no chain of certificates in PEM form alone; put the certificate there, and " +
			"after it those between it and its authority")
	}
	key, keyPEM, err := convertKey(data[TLSKey])
	if err != nil {
		return nil, err
	}
	if !belongs(key, chain[0]) {
		return nil, errors.New("tls.key is not the key of the certificate that tls.crt begins with; write both together")
	}
	for i, cert := range chain {
		if now.Before(cert.NotBefore) {
			return nil, fmt.Errorf("%s is not valid before %s; wait, or have another one issued", cert.Subject,
				stamp(cert.NotBefore))
		}
		if !now.Before(cert.NotAfter) {
			return nil, fmt.Errorf("%s has ended at %s; renew it", cert.Subject, stamp(cert.NotAfter))
		}
		if i > 0 && !isSignedBy(chain[i-1], cert) {
			return nil, fmt.Errorf("certificate %d of tls.crt has not signed the one before it; put the certificate first, and "+
				"after each the one of its authority", i+1)
		}
	}
	if chain[0].Issuer.CommonName == temporary {
		return nil, errors.New("the certificate is a temporary one that cert-manager has made until its issuer answers, " +
			"and no client trusts it; wait, or see why it takes long: kubectl describe certificate")
	}
	s := &Served{Certificate: chain[0], above: chain[1:]}
	last := chain[len(chain)-1]
	switch {
	case len(bytes.TrimSpace(data[TLSAuthority])) > 0:
		given, err := ParseCertificates(data[TLSAuthority])
		if err != nil {
			return nil, errors.New("ca.crt holds something else than certificates in PEM form; put those of the authority " +
				"there, or take it out")
		}
		s.climb(given)
		if s.Anchors == nil {
			return nil, errors.New("no certificate in ca.crt has signed the last one in tls.crt; put those between them into " +
				"tls.crt, or the right authority into ca.crt")
		}
	case isSelfSigned(last):
		s.Anchors = encodeCertificate(last.Raw)
	}
	for _, cert := range slices.Concat(chain, s.above, s.anchors()) {
		if err := readByJava(cert); err != nil {
			return nil, err
		}
	}
	s.above = slices.DeleteFunc(slices.Clone(s.above), isSelfSigned)
	s.Leaf = Leaf{KeyPEM: keyPEM, CertPEM: encodeCertificate(chain[0].Raw)}
	for _, cert := range s.above {
		s.CertPEM = append(s.CertPEM, encodeCertificate(cert.Raw)...)
	}
	if len(s.CertPEM)+len(s.KeyPEM)+len(s.Anchors) > maxServed {
		return nil, fmt.Errorf("chain and key take more than %d bytes; take out of tls.crt and ca.crt what is not needed",
			maxServed)
	}
	return s, nil
}

// climb goes up from the last certificate of the chain to its anchors, which are self-signed where there are such ones:
// some clients end a chain nowhere else.
func (s *Served) climb(given []*x509.Certificate) {
	top := append([]*x509.Certificate{s.Certificate}, s.above...)[len(s.above)]
	for range given {
		var next *x509.Certificate
		for _, cert := range given {
			switch {
			case !cert.Equal(top) && !isSignedBy(top, cert):
			case isSelfSigned(cert):
				s.Anchors = append(s.Anchors, encodeCertificate(cert.Raw)...)
			case !cert.Equal(top):
				next = cert
			}
		}
		if s.Anchors != nil || next == nil {
			break
		}
		s.above, top = append(slices.Clone(s.above), next), next
	}
	if s.Anchors == nil && slices.ContainsFunc(given, top.Equal) {
		s.Anchors = encodeCertificate(top.Raw) // what tls.crt has of it is presented: clients may know who is above it
	}
}

// isSignedBy tells whether clients take one certificate for signed by another. They look for the name first: an
// authority that keeps its key and gets another name is another one.
func isSignedBy(cert, by *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, by.RawSubject) && cert.CheckSignatureFrom(by) == nil
}

// readByJava tells why neither a broker nor a client in Java reads a certificate that everybody else does; nil = they
// do.
func readByJava(cert *x509.Certificate) error {
	isEmpty := func(name []byte) bool { return bytes.Equal(name, []byte{0x30, 0}) }
	if isEmpty(cert.RawIssuer) {
		return errors.New("an authority without a name has signed, and Java reads no such certificate; give the authority " +
			"a subject (with cert-manager: commonName of its Certificate), and have what it has signed issued anew")
	}
	if isEmpty(cert.RawSubject) && !slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool {
		return e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) && e.Critical
	}) {
		return errors.New("a certificate has no subject and does not mark the alternative names as critical, and Java " +
			"reads no such one; have it issued with a subject (commonName)")
	}
	return nil
}

func isSelfSigned(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawSubject, cert.RawIssuer) &&
		cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil // it need be no authority
}

// verify looks at the chain as a client does, constraints of names included.
func (s *Served) verify(now time.Time) error {
	if s.Anchors == nil {
		return nil // clients have the anchor, and not we
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, cert := range s.anchors() {
		options.Roots.AddCert(cert)
	}
	for _, cert := range s.above {
		options.Intermediates.AddCert(cert)
	}
	if _, err := s.Certificate.Verify(options); err != nil {
		return fmt.Errorf("the chain does not hold (%w); have a certificate issued that it permits", err)
	}
	return nil
}

func (s *Served) anchors() []*x509.Certificate {
	anchors, err := ParseCertificates(s.Anchors)
	if err != nil {
		return nil
	}
	return anchors
}

// Covers tells whether the certificate of a server holds a DNS name or an address, as Java and Go see it: an asterisk
// stands for one whole label, the first.
func (s *Served) Covers(name string) bool {
	if address, err := netip.ParseAddr(name); err == nil {
		return s.names[address.Unmap().String()]
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	_, parent, _ := strings.Cut(name, ".")
	return s.names[name] || parent != "" && s.names["*."+parent]
}

// IsRSA tells that the key is for cipher suites of RSA.
func (s *Served) IsRSA() bool {
	_, is := s.Certificate.PublicKey.(*rsa.PublicKey)
	return is
}

// Signs is the authority that Issue takes. What it has issued is presented with Chained.
func (s *Served) Signs() Authority {
	return Authority{CertPEM: encodeCertificate(s.Certificate.Raw), KeyPEM: s.KeyPEM}
}

// Chained is a leaf of the authority with all certificates that stand between it and the anchors.
func (s *Served) Chained(leaf Leaf) Leaf {
	first, err := leaf.Certificate()
	if err != nil {
		return leaf
	}
	chain := encodeCertificate(first.Raw)
	if !isSelfSigned(s.Certificate) {
		chain = append(chain, s.CertPEM...)
	}
	return Leaf{KeyPEM: leaf.KeyPEM, CertPEM: chain}
}

// Permits tells why clients would not take what the authority signs for some names; nil = they do. It signs to see,
// where a certificate of the chain constrains names at all.
func (s *Served) Permits(names Request, now time.Time) error {
	constrained := slices.ContainsFunc(slices.Concat([]*x509.Certificate{s.Certificate}, s.above, s.anchors()),
		func(cert *x509.Certificate) bool {
			return len(cert.PermittedDNSDomains)+len(cert.ExcludedDNSDomains)+len(cert.PermittedIPRanges)+
				len(cert.ExcludedIPRanges) > 0
		})
	if !constrained {
		return nil
	}
	leaf, err := Issue(s.Signs(), names, now)
	if err != nil {
		return err
	}
	probe := *s
	if probe.Certificate, err = leaf.Certificate(); err != nil {
		return err
	}
	probe.above = append([]*x509.Certificate{s.Certificate}, s.above...)
	return probe.verify(now)
}

// String keeps the key out of logs.
func (s *Served) String() string { return "served " + s.Leaf.String() }

// GoString is String, so that %#v shows no key either.
func (s *Served) GoString() string { return s.String() }

// SignedBy tells whether a leaf, or the last of the chain that it comes with, was signed by one of the anchors.
func (l Leaf) SignedBy(anchors []byte) bool {
	chain, err := ParseCertificates(l.CertPEM)
	if err != nil {
		return false
	}
	known, err := ParseCertificates(anchors)
	if err != nil {
		return false
	}
	last := chain[len(chain)-1]
	return slices.ContainsFunc(known, func(anchor *x509.Certificate) bool {
		return anchor.Equal(last) || isSignedBy(last, anchor)
	})
}

// convertKey gives a private key in the one form that Kafka reads, whatever form it had.
func convertKey(file []byte) (crypto.Signer, []byte, error) {
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if !strings.HasSuffix(block.Type, blockPrivateKey) {
			continue // the parameters of a curve stand before its key
		}
		if block.Type == "ENCRYPTED "+blockPrivateKey || block.Headers["DEK-Info"] != "" {
			return nil, nil, errors.New("tls.key is encrypted; decrypt it: openssl pkey -in tls.key -out decrypted.key")
		}
		var key any
		var err error
		switch block.Type {
		case "RSA " + blockPrivateKey:
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC " + blockPrivateKey:
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default:
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		}
		if err != nil { // what it says may quote the key
			return nil, nil, errors.New("tls.key cannot be read; write it as openssl pkey does")
		}
		return readable(key)
	}
	return nil, nil, errors.New("tls.key holds no private key in PEM form; put it there")
}

// readable refuses the kinds of keys that Kafka does not read from PEM, or Java does not take for TLS.
func readable(key any) (crypto.Signer, []byte, error) {
	kind := fmt.Sprintf("%T", key)
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() >= 2048 {
			return encoded(k)
		}
		kind = fmt.Sprintf("RSA of %d bits", k.N.BitLen())
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P224() {
			return encoded(k)
		}
		kind = "EC on the curve P-224"
	default:
		kind = strings.ToUpper(strings.TrimPrefix(strings.TrimSuffix(kind, ".PrivateKey"), "*"))
	}
	return nil, nil, fmt.Errorf("tls.key is %s, a kind of key that Kafka does not take; use RSA of at least 2048 bits, "+
		"or EC on the curve P-256, P-384 or P-521", kind)
}

func encoded(key crypto.Signer) (crypto.Signer, []byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, errors.New("tls.key cannot be written anew; write it as openssl pkey does")
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: blockPrivateKey, Bytes: der}), nil
}
