package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

var now = time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC)

func nodeRequest() Request {
	return Request{
		CommonName:   "kafka-node",
		Organization: "castellan",
		DNSNames:     []string{"events-main-0.events.prod.svc", "events-main-0.events.prod.svc.cluster.local"},
		IPs:          []net.IP{net.ParseIP("192.0.2.7"), net.ParseIP("2001:db8::7")},
		Usages:       Usages{Server: true, Client: true},
		ValidFor:     90 * day,
	}
}

func mustAuthority(t *testing.T, name string) Authority {
	t.Helper()
	ca, err := NewAuthority(name, now)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func mustIssue(t *testing.T, ca Authority, want Request, at time.Time) Leaf {
	t.Helper()
	leaf, err := Issue(ca, want, at)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func certificateOf(t *testing.T, leaf Leaf) *x509.Certificate {
	t.Helper()
	cert, err := leaf.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestAnIssuedCertificateSaysWhatWasAskedFor(t *testing.T) {
	ca, want := mustAuthority(t, "events ca"), nodeRequest()
	cert := certificateOf(t, mustIssue(t, ca, want, now))
	if got := cert.Subject.String(); got != "CN=kafka-node,O=castellan" {
		t.Errorf("subject %s", got)
	}
	if !slices.Equal(cert.DNSNames, want.DNSNames) {
		t.Errorf("DNS names %v", cert.DNSNames)
	}
	if !slices.EqualFunc(cert.IPAddresses, want.IPs, net.IP.Equal) {
		t.Errorf("addresses %v", cert.IPAddresses)
	}
	if !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}) {
		t.Errorf("usages %v", cert.ExtKeyUsage)
	}
	if cert.IsCA {
		t.Error("a leaf may sign others")
	}
	if !cert.NotBefore.Equal(now.Add(-Backdating)) || !cert.NotAfter.Equal(now.Add(want.ValidFor)) {
		t.Errorf("valid from %s to %s", cert.NotBefore, cert.NotAfter)
	}
}

func TestACertificateNeverOutlivesItsAuthority(t *testing.T) {
	ca := mustAuthority(t, "events ca")
	end := now.AddDate(AuthorityYears, 0, 0)
	cert := certificateOf(t, mustIssue(t, ca, nodeRequest(), end.Add(-day)))
	if !cert.NotAfter.Equal(end) {
		t.Errorf("ends at %s, the authority at %s", cert.NotAfter, end)
	}
}

func TestTwoCertificatesOfOneRequestDifferInKeyAndSerial(t *testing.T) {
	ca := mustAuthority(t, "events ca")
	a, b := mustIssue(t, ca, nodeRequest(), now), mustIssue(t, ca, nodeRequest(), now)
	if bytes.Equal(a.KeyPEM, b.KeyPEM) || certificateOf(t, a).SerialNumber.Cmp(certificateOf(t, b).SerialNumber) == 0 {
		t.Error("key or serial number given twice")
	}
}

func TestIssueRefuses(t *testing.T) {
	ca := mustAuthority(t, "events ca")
	for _, c := range []struct {
		sentence string
		change   func(*Request)
		ca       Authority
		at       time.Time
	}{
		{"an empty common name", func(r *Request) { r.CommonName = " " }, ca, now},
		{"a common name of 65 characters", func(r *Request) { r.CommonName = strings.Repeat("ü", 65) }, ca, now},
		{"a common name that is not UTF-8", func(r *Request) { r.CommonName = "a\xff" }, ca, now},
		{"a line break in the common name", func(r *Request) { r.CommonName = "a\nb" }, ca, now},
		{"a NUL in the organization", func(r *Request) { r.Organization = "a\x00" }, ca, now},
		{"no usage", func(r *Request) { r.Usages = Usages{} }, ca, now},
		{"a server without a name", func(r *Request) { r.DNSNames, r.IPs = nil, nil }, ca, now},
		{"an empty DNS name", func(r *Request) { r.DNSNames = []string{""} }, ca, now},
		{"a DNS name outside ASCII", func(r *Request) { r.DNSNames = []string{"bücher.example"} }, ca, now},
		{"an address of three bytes", func(r *Request) { r.IPs = []net.IP{{1, 2, 3}} }, ca, now},
		{"no validity", func(r *Request) { r.ValidFor = 0 }, ca, now},
		{"an authority past its end", func(*Request) {}, ca, now.AddDate(AuthorityYears, 0, 0)},
		{"an authority of the future", func(*Request) {}, ca, now.Add(-day)},
		{"no authority", func(*Request) {}, Authority{}, now},
		{"an authority without its key", func(*Request) {}, Authority{CertPEM: ca.CertPEM}, now},
		{"another authority's key", func(*Request) {}, Authority{ca.CertPEM, mustAuthority(t, "b").KeyPEM}, now},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			want := nodeRequest()
			c.change(&want)
			if leaf, err := Issue(c.ca, want, c.at); err == nil {
				t.Errorf("issued %v", leaf)
			}
		})
	}
}

func TestAClientNeedsNoName(t *testing.T) {
	ca := mustAuthority(t, "events ca")
	cert := certificateOf(
		t,
		mustIssue(t, ca, Request{CommonName: "anna", Usages: Usages{Client: true}, ValidFor: day}, now),
	)
	anchors := x509.NewCertPool()
	anchors.AddCert(parsed(t, ca.CertPEM))
	_, err := cert.Verify(x509.VerifyOptions{
		Roots:       anchors,
		CurrentTime: now,
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		t.Error(err)
	}
}

func parsed(t *testing.T, certPEM []byte) *x509.Certificate {
	t.Helper()
	return certificateOf(t, Leaf{CertPEM: certPEM})
}

func TestParseAuthority(t *testing.T) {
	ca, other := mustAuthority(t, "a"), mustAuthority(t, "b")
	leaf := mustIssue(t, ca, nodeRequest(), now)
	for _, c := range []struct {
		sentence      string
		cert, key     []byte
		wantsAccepted bool
	}{
		{"what NewAuthority made is accepted", ca.CertPEM, ca.KeyPEM, true},
		{"another one's key is refused", ca.CertPEM, other.KeyPEM, false},
		{"a leaf is refused", leaf.CertPEM, leaf.KeyPEM, false},
		{"two certificates are refused", slices.Concat(ca.CertPEM, other.CertPEM), ca.KeyPEM, false},
		{"a missing certificate is refused", nil, ca.KeyPEM, false},
		{"a missing key is refused", ca.CertPEM, nil, false},
		{"nonsense is refused", []byte("nonsense"), ca.KeyPEM, false},
		{"a key in the certificate's place is refused", ca.KeyPEM, ca.KeyPEM, false},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			got, err := ParseAuthority(c.cert, c.key)
			if (err == nil) != c.wantsAccepted {
				t.Fatalf("error %v", err)
			}
			if err == nil && (!bytes.Equal(got.CertPEM, c.cert) || !bytes.Equal(got.KeyPEM, c.key)) {
				t.Error("what was parsed is not what was given")
			}
		})
	}
}

func TestABundleIsTheKeyAndThenTheChain(t *testing.T) {
	ca := mustAuthority(t, "events ca")
	leaf := mustIssue(t, ca, nodeRequest(), now)
	leaf.CertPEM = append(leaf.CertPEM, ca.CertPEM...)
	unended := Leaf{CertPEM: leaf.CertPEM, KeyPEM: bytes.TrimSpace(leaf.KeyPEM)}
	for _, bundle := range [][]byte{leaf.Bundle(), unended.Bundle()} {
		var kinds []string
		for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
			kinds = append(kinds, block.Type)
		}
		if !slices.Equal(kinds, []string{"PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"}) {
			t.Errorf("blocks %v", kinds)
		}
		if !bytes.HasSuffix(bundle, leaf.CertPEM) {
			t.Error("the chain is not in its own order")
		}
	}
}

func TestNothingPrintsAKey(t *testing.T) {
	ca := mustAuthority(t, "events ca")
	leaf := mustIssue(t, ca, nodeRequest(), now)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, ca); !strings.HasPrefix(got, "authority CN=events ca, serial ") {
			t.Errorf("%s of an authority prints %s", format, got)
		}
		if got := fmt.Sprintf(format, leaf); !strings.HasPrefix(got, "leaf CN=kafka-node,O=castellan, serial ") {
			t.Errorf("%s of a leaf prints %s", format, got)
		}
	}
}

func TestPrincipalIsWhatJavaPrints(t *testing.T) {
	for _, c := range []struct{ commonName, organization, want string }{
		{"kafka-node", "castellan", `User:CN=kafka-node,O=castellan`},
		{"anna", "", `User:CN=anna`},
		{"a,b", "o+p", `User:CN=a\,b,O=o\+p`},
		{"a=b;c<d>e", "x", `User:CN=a\=b\;c\<d\>e,O=x`},
		{`q"u\o`, "x", `User:CN=q\"u\\o,O=x`},
		{" lead and trail ", "  x ", `User:CN=\ lead and trail\ ,O=\ \ x\ `},
		{"#hash", "#org", `User:CN=\#hash,O=\#org`},
		{"a#b", "x", `User:CN=a\#b,O=x`},
		{"O=x,CN=y", "z", `User:CN=O\=x\,CN\=y,O=z`},
		{"jürgen-日本-🦊", "Grüße", `User:CN=jürgen-日本-🦊,O=Grüße`},
		{"a  b", "x", `User:CN=a  b,O=x`},
		{"mail@x*&", "x_y", `User:CN=mail@x*&,O=x_y`},
		{"a/b:c'd(e)?", "x", `User:CN=a/b:c'd(e)?,O=x`},
		{"\u00a0nbsp\u00a0", "x", "User:CN=\u00a0nbsp\u00a0,O=x"},
		{"e\u0301", "x", "User:CN=e\u0301,O=x"},
	} {
		t.Run(c.commonName, func(t *testing.T) {
			if got := (Request{CommonName: c.commonName, Organization: c.organization}).Principal(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestParseBundleTakesApartWhatBundlePutTogether(t *testing.T) {
	ca, err := NewAuthority("ca", time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	issued, err := Issue(
		ca,
		Request{CommonName: "node", DNSNames: []string{"node"}, Usages: Usages{Server: true}, ValidFor: time.Hour},
		time.Unix(1_800_000_000, 0),
	)
	if err != nil {
		t.Fatal(err)
	}
	parsed := ParseBundle(issued.Bundle())
	if string(parsed.CertPEM) != string(issued.CertPEM) || string(parsed.KeyPEM) != string(issued.KeyPEM) {
		t.Error("a bundle was not taken apart into the same key and chain")
	}
	if broken := ParseBundle([]byte("nothing of the kind")); len(broken.CertPEM)+len(broken.KeyPEM) != 0 {
		t.Error("what is no bundle gave a leaf")
	}
}
