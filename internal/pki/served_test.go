package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var servedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// made is a certificate with its key, as somebody else makes them.
type made struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (m made) pem() []byte { return encodeCertificate(m.cert.Raw) }

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (m made) pkcs8(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(m.key)
	if err != nil {
		t.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signed makes a certificate; by nobody = self-signed.
func signed(t *testing.T, by *made, change func(*x509.Certificate), key crypto.Signer) made {
	t.Helper()
	serial, err := newSerial()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprint(serial)},
		NotBefore: servedAt.Add(-time.Hour), NotAfter: servedAt.AddDate(0, 3, 0), BasicConstraintsValid: true}
	change(template)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made{cert, key}
}

func authorityWith(change func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
		if change != nil {
			change(c)
		}
	}
}

func serverFor(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.DNSNames, c.ExtKeyUsage = names, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
}

// pyramid is a root, an intermediate authority and a server's certificate.
func pyramid(t *testing.T) (root, middle, leaf made) {
	t.Helper()
	root = signed(t, nil, authorityWith(nil), ecKey(t, elliptic.P256()))
	middle = signed(t, &root, authorityWith(nil), ecKey(t, elliptic.P384()))
	leaf = signed(t, &middle, serverFor("*.kafka.example.com"), ecKey(t, elliptic.P256()))
	return root, middle, leaf
}

func TestWhatIsPresentedIsTheChainAndWhatIsTrustedTheAnchorAlone(t *testing.T) {
	root, middle, leaf := pyramid(t)
	chain := slices.Concat(leaf.pem(), middle.pem())
	for name, c := range map[string]struct {
		crt, ca, chain, anchors []byte
	}{
		"the root beside the chain":      {chain, root.pem(), chain, root.pem()},
		"the root at the end":            {slices.Concat(chain, root.pem()), nil, chain, root.pem()},
		"the root in both":               {slices.Concat(chain, root.pem()), root.pem(), chain, root.pem()},
		"a public authority":             {chain, nil, chain, nil},
		"an empty authority":             {chain, []byte("\n"), chain, nil},
		"the middle stands beside":       {leaf.pem(), slices.Concat(root.pem(), middle.pem()), chain, root.pem()},
		"nobody knows of a root":         {leaf.pem(), middle.pem(), chain, middle.pem()},
		"the middle in both, no root":    {chain, middle.pem(), chain, middle.pem()}, // as cert-manager's "ca" may give it
		"another root beside":            {chain, slices.Concat(signed(t, nil, authorityWith(nil), ecKey(t, elliptic.P256())).pem(), root.pem()), chain, root.pem()},
		"text before the certificates":   {append([]byte("Bag Attributes\n"), chain...), root.pem(), chain, root.pem()},
		"the root without a line's end ": {chain, bytes.TrimSpace(root.pem()), chain, root.pem()},
	} {
		s, err := ParseServed(map[string][]byte{TLSCertificate: c.crt, TLSKey: leaf.pkcs8(t), TLSAuthority: c.ca}, servedAt)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(s.CertPEM, c.chain) || !bytes.Equal(s.Anchors, c.anchors) {
			t.Errorf("%s: presents\n%s\nand trusts\n%s", name, s.CertPEM, s.Anchors)
		}
		if got := ParseBundle(s.Bundle()); !bytes.Equal(got.KeyPEM, s.KeyPEM) || !bytes.Equal(got.CertPEM, s.CertPEM) {
			t.Errorf("%s: the bundle is not read back", name)
		}
	}
	selfSigned := signed(t, nil, serverFor("broker.example.com"), ecKey(t, elliptic.P256()))
	s, err := ParseServed(map[string][]byte{TLSCertificate: selfSigned.pem(), TLSKey: selfSigned.pkcs8(t)}, servedAt)
	if err != nil || !bytes.Equal(s.Anchors, selfSigned.pem()) || !bytes.Equal(s.CertPEM, selfSigned.pem()) {
		t.Errorf("one that signs itself: %v", err)
	}
}

func TestNamesAreCoveredAsJavaAndGoSeeIt(t *testing.T) {
	root := signed(t, nil, authorityWith(nil), ecKey(t, elliptic.P256()))
	leaf := signed(t, &root, func(c *x509.Certificate) {
		serverFor("*.kafka.example.com", "Boot.Example.Com")(c)
		c.IPAddresses = append(c.IPAddresses, []byte{10, 0, 0, 7})
	}, ecKey(t, elliptic.P256()))
	s, err := ParseServed(map[string][]byte{TLSCertificate: leaf.pem(), TLSKey: leaf.pkcs8(t), TLSAuthority: root.pem()},
		servedAt)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"b0.kafka.example.com": true, "B0.Kafka.example.com": true, "a.b0.kafka.example.com": false,
		"kafka.example.com": false, "boot.example.com": true, "example.com": false, "10.0.0.7": true, "::ffff:10.0.0.7": true,
		"10.0.0.8": false, "": false, "com": false,
	} {
		if s.Covers(name) != want {
			t.Errorf("%q: %t", name, !want)
		}
		if goes := leaf.cert.VerifyHostname(name) == nil; name != "" && goes != want {
			t.Errorf("%q: Go says %t", name, goes)
		}
	}
}

func TestKeysOfAnyFormAreGivenInTheOneThatKafkaReads(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve := ecKey(t, elliptic.P256())
	sec1, err := x509.MarshalECPrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	parameters := block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7})
	for name, c := range map[string]struct {
		key  crypto.Signer
		file []byte
	}{
		"RSA as PKCS#1":            {rsaKey, block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))},
		"RSA as PKCS#8":            {rsaKey, made{key: rsaKey}.pkcs8(t)},
		"EC as SEC 1":              {curve, block("EC PRIVATE KEY", sec1)},
		"EC, the parameters first": {curve, append(parameters, block("EC PRIVATE KEY", sec1)...)},
		"EC as PKCS#8":             {curve, made{key: curve}.pkcs8(t)},
	} {
		leaf := signed(t, nil, serverFor("a.example.com"), c.key)
		s, err := ParseServed(map[string][]byte{TLSCertificate: leaf.pem(), TLSKey: c.file}, servedAt)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(s.KeyPEM, made{key: c.key}.pkcs8(t)) {
			t.Errorf("%s: it is not given as PKCS#8", name)
		}
	}
}

func TestWhatCannotBePresentedIsRefusedWithACureAndQuotesNothing(t *testing.T) {
	root, middle, leaf := pyramid(t)
	stranger := signed(t, nil, authorityWith(nil), ecKey(t, elliptic.P256()))
	chain := slices.Concat(leaf.pem(), middle.pem())
	key := leaf.pkcs8(t)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := signed(t, &middle, serverFor("a.example.com"), ecKey(t, elliptic.P224()))
	modern := signed(t, &middle, serverFor("a.example.com"), edwards)
	with := func(change func(*x509.Certificate)) (crt, key []byte) {
		m := signed(t, &middle, func(c *x509.Certificate) { serverFor("a.example.com")(c); change(c) },
			ecKey(t, elliptic.P256()))
		return slices.Concat(m.pem(), middle.pem()), m.pkcs8(t)
	}
	ended, endedKey := with(func(c *x509.Certificate) { c.NotAfter = servedAt })
	early, earlyKey := with(func(c *x509.Certificate) { c.NotBefore = servedAt.Add(time.Minute) })
	client, clientKey := with(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	nameless, namelessKey := with(func(c *x509.Certificate) { c.DNSNames = nil })
	anonymous, anonymousKey := with(func(c *x509.Certificate) {
		c.Subject = pkix.Name{}
		c.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 17}, // a.example.com, and not critical
			Value: append([]byte{0x30, 15, 0x82, 13}, "a.example.com"...)}}
	})
	nobody := signed(t, nil, authorityWith(func(c *x509.Certificate) { c.Subject = pkix.Name{} }), ecKey(t, elliptic.P256()))
	unsigned := signed(t, &nobody, serverFor("a.example.com"), ecKey(t, elliptic.P256()))
	meanwhile := signed(t, nil, authorityWith(func(c *x509.Certificate) { c.Subject.CommonName = "cert-manager.local" }),
		ecKey(t, elliptic.P521()))
	temporary := signed(t, &meanwhile, serverFor("a.example.com"), ecKey(t, elliptic.P256()))
	renamed := signed(t, nil, authorityWith(nil), middle.key) // the same key under another name
	for name, c := range map[string]struct {
		crt, key, ca []byte
		want         string
	}{
		"the key of another":          {chain, middle.pkcs8(t), root.pem(), "tls.key is not the key of the certificate"},
		"no key":                      {chain, nil, root.pem(), "tls.key holds no private key"},
		"text for a certificate":      {[]byte("x"), key, root.pem(), "tls.crt holds no chain"},
		"the key in the wrong place":  {key, key, nil, "tls.crt holds no chain"},
		"an encrypted key":            {chain, block("ENCRYPTED PRIVATE KEY", []byte("x")), nil, "is encrypted; decrypt it"},
		"an old encrypted key":        {chain, []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: A,B\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"), nil, "is encrypted; decrypt it"},
		"a key that is none":          {chain, block("PRIVATE KEY", []byte("secret")), nil, "tls.key cannot be read"},
		"a kind that Kafka lacks":     {modern.pem(), modern.pkcs8(t), nil, "tls.key is ED25519"},
		"a curve that Java lacks":     {weak.pem(), weak.pkcs8(t), nil, "tls.key is EC on the curve P-224"},
		"the order is wrong":          {slices.Concat(leaf.pem(), root.pem(), middle.pem()), key, nil, "certificate 2 of tls.crt has not signed"},
		"the authority comes first":   {slices.Concat(middle.pem(), leaf.pem()), middle.pkcs8(t), nil, "has not signed"},
		"a link is missing":           {leaf.pem(), key, root.pem(), "no certificate in ca.crt has signed the last one"},
		"the authority of another":    {chain, key, stranger.pem(), "no certificate in ca.crt has signed the last one"},
		"ca.crt holds no certificate": {chain, key, []byte("x"), "ca.crt holds something else"},
		"ended":                       {ended, endedKey, root.pem(), "has ended at 2026-03-01T12:00:00Z; renew it"},
		"not yet valid":               {early, earlyKey, root.pem(), "is not valid before 2026-03-01T12:01:00Z"},
		"an authority's own":          {slices.Concat(middle.pem(), root.pem()), middle.pkcs8(t), nil, "tls.crt begins with the certificate of an authority"},
		"for clients":                 {client, clientKey, root.pem(), "is not for servers"},
		"no name but the old one":     {nameless, namelessKey, root.pem(), "has no subject alternative name"},
		"a name without a mark":       {anonymous, anonymousKey, root.pem(), "does not mark the alternative names as critical"},
		"an authority without a name": {unsigned.pem(), unsigned.pkcs8(t), nobody.pem(), "an authority without a name has signed"},
		"one that signs itself, too":  {nobody.pem(), nobody.pkcs8(t), nobody.pem(), "an authority without a name has signed"},
		"until the issuer answers":    {temporary.pem(), temporary.pkcs8(t), nil, "a temporary one that cert-manager has made"},
		"not issued yet":              {[]byte{}, []byte{}, []byte{}, "nobody has issued the certificate yet"},
		"the key alone, not issued":   {nil, key, nil, "nobody has issued the certificate yet"},
		"another name of that key":    {slices.Concat(leaf.pem(), renamed.pem()), key, nil, "certificate 2 of tls.crt has not signed"},
		"another name, in ca.crt":     {leaf.pem(), key, renamed.pem(), "no certificate in ca.crt has signed the last one"},
		"too long":                    {slices.Concat(chain, root.pem()), key, bytes.Repeat(root.pem(), 60), "take more than 16384 bytes"},
	} {
		_, err := ParseServed(map[string][]byte{TLSCertificate: c.crt, TLSKey: c.key, TLSAuthority: c.ca}, servedAt)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "; ") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for line := range strings.Lines(string(c.key)) {
			if text := strings.TrimSpace(line); len(text) > 20 && strings.Contains(err.Error(), text) &&
				!strings.HasPrefix(text, "-----") {
				t.Errorf("%s: it quotes the key", name)
			}
		}
	}
}

func TestAnAuthorityOfOnesOwnSignsWhatItMaySign(t *testing.T) {
	root, middle, leaf := pyramid(t)
	parse := func(m made, ca []byte, above ...made) (*Served, error) {
		crt := m.pem()
		for _, a := range above {
			crt = append(crt, a.pem()...)
		}
		return ParseSigner(map[string][]byte{TLSCertificate: crt, TLSKey: m.pkcs8(t), TLSAuthority: ca}, servedAt)
	}
	strict := signed(t, nil, authorityWith(func(c *x509.Certificate) { c.MaxPathLenZero = true }), ecKey(t, elliptic.P256()))
	below := signed(t, &strict, authorityWith(nil), ecKey(t, elliptic.P256()))
	idle := signed(t, nil, authorityWith(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }),
		ecKey(t, elliptic.P256()))
	narrow := signed(t, nil, authorityWith(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.com"} }),
		ecKey(t, elliptic.P256()))
	for name, c := range map[string]struct {
		err  func() error
		want string
	}{
		"a server's":               {func() error { _, err := parse(leaf, root.pem(), middle); return err }, "and not of an authority"},
		"one above permits none":   {func() error { _, err := parse(below, nil, strict); return err }, "permits 0 authorities below it"},
		"it is not for signing":    {func() error { _, err := parse(idle, nil); return err }, "is not for signing"},
		"nobody knows of a root":   {func() error { _, err := parse(middle, nil); return err }, "nothing says whom clients have to trust"},
		"a name is not permitted":  {func() error { s, _ := parse(narrow, nil); return s.Permits(asked("a.shop.svc"), servedAt) }, "not permitted"},
		"path length 0 is enough":  {func() error { _, err := parse(strict, nil); return err }, ""},
		"a name that is permitted": {func() error { s, _ := parse(narrow, nil); return s.Permits(asked("a.example.com"), servedAt) }, ""},
	} {
		if err := c.err(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := parse(middle, root.pem())
	if err != nil {
		t.Fatal(err)
	}
	issued, err := Issue(s.Signs(), asked("b.example.com"), servedAt)
	if err != nil {
		t.Fatal(err)
	}
	whole := s.Chained(issued)
	chain, err := ParseCertificates(whole.CertPEM)
	if err != nil || len(chain) != 2 || !whole.SignedBy(s.Anchors) || whole.SignedBy(middle.pem()) == false {
		t.Errorf("%v: it presents %d certificates", err, len(chain))
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: servedAt,
		DNSName: "b.example.com"}
	options.Roots.AddCert(root.cert)
	options.Intermediates.AddCert(chain[1])
	if _, err := chain[0].Verify(options); err != nil {
		t.Errorf("who trusts the root alone: %v", err)
	}
	if again := s.Chained(whole); !bytes.Equal(again.CertPEM, whole.CertPEM) {
		t.Error("the chain grows")
	}
	if text := fmt.Sprintf("%v %#v", s, s); strings.Contains(text, "PRIVATE") {
		t.Error("it prints its key")
	}
}

// Who renews an authority with its key and gives it another name has made another authority, which no client knows.
func TestAnAuthorityOfAnotherNameHasNotSignedWhateverItsKey(t *testing.T) {
	root, middle, leaf := pyramid(t)
	renewed := signed(t, nil, authorityWith(func(c *x509.Certificate) { c.Subject = middle.cert.Subject }), middle.key)
	renamed := signed(t, nil, authorityWith(nil), middle.key)
	for name, c := range map[string]struct {
		anchor made
		want   bool
	}{
		"its own": {middle, true}, "of the same name and key": {renewed, true}, "of another name": {renamed, false},
		"above it": {root, false},
	} {
		if got := (Leaf{CertPEM: leaf.pem()}).SignedBy(c.anchor.pem()); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// An authority whose own is in tls.crt and in ca.crt, as where nobody knows of a root, stands there once.
func TestAnAuthorityBelowAnotherThatIsTrustedItselfMaySign(t *testing.T) {
	root := signed(t, nil, authorityWith(nil), ecKey(t, elliptic.P256()))
	limit := func(n int) func(*x509.Certificate) {
		return authorityWith(func(c *x509.Certificate) { c.MaxPathLen = n })
	}
	middle := signed(t, &root, limit(1), ecKey(t, elliptic.P256()))
	below := signed(t, &middle, authorityWith(nil), ecKey(t, elliptic.P256()))
	s, err := ParseSigner(map[string][]byte{TLSCertificate: slices.Concat(below.pem(), middle.pem()),
		TLSKey: below.pkcs8(t), TLSAuthority: middle.pem()}, servedAt)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := Issue(s.Signs(), asked("b.example.com"), servedAt)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := ParseCertificates(s.Chained(issued).CertPEM)
	if err != nil || len(chain) != 3 {
		t.Errorf("it presents %d certificates, and who trusts the root alone needs three: %v", len(chain), err)
	}
}

func asked(name string) Request {
	return Request{CommonName: "kafka-listener", DNSNames: []string{name}, Usages: Usages{Server: true}, ValidFor: time.Hour}
}

func TestFilesOfAnchorsAreJoinedWithoutRepetition(t *testing.T) {
	root, middle, _ := pyramid(t)
	both := slices.Concat(root.pem(), middle.pem())
	if got := Union(both, root.pem()); !bytes.Equal(got, both) {
		t.Errorf("%s", got)
	}
	if got := Union(bytes.TrimSpace(root.pem()), both); !bytes.Equal(got, both) {
		t.Errorf("without a line's end: %s", got)
	}
	if !Holds(both, middle.pem()) || Holds(middle.pem(), both) || !Holds(nil, nil) || Holds(nil, root.pem()) {
		t.Error("what is held is not seen")
	}
}
