package provided

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const brokerName = "b0.kafka.example.com"

func authority(t *testing.T, name string) pki.Authority {
	t.Helper()
	ca, err := pki.NewAuthority(name, now)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// issued is what a Secret of type kubernetes.io/tls holds of a server.
func issued(t *testing.T, by pki.Authority, names ...string) map[string][]byte {
	t.Helper()
	leaf, err := pki.Issue(by, Request(names), now)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{pki.TLSCertificate: leaf.CertPEM, pki.TLSKey: leaf.KeyPEM, pki.TLSAuthority: by.CertPEM}
}

func leafOf(data map[string][]byte) pki.Leaf {
	return pki.Leaf{CertPEM: data[pki.TLSCertificate], KeyPEM: data[pki.TLSKey]}
}

// stage is one listener, and the world around it.
type stage struct {
	*testing.T
	listener Listener
	secrets  Secrets
	lacking  string // who lacks the anchors that were asked for last
	later    time.Duration
	outcome  Outcome
}

var certificate = Ref{"web", v1alpha1.UseListenerCertificate}

func newStage(t *testing.T) *stage {
	t.Helper()
	own := authority(t, "own")
	s := &stage{T: t, secrets: Secrets{}}
	s.listener = Listener{
		Listener: model.Listener{Name: "clients", TLS: true, CertificateSecret: certificate.Name},
		Names:    []string{brokerName}, Copies: 3, Own: own.CertPEM, Shown: true,
		Entries: []pki.Leaf{leafOf(issued(t, own, brokerName))},
		Window:  24 * time.Hour,
		Lacking: func([]byte) []string {
			return strings.FieldsFunc(s.lacking, func(r rune) bool { return r == ',' })
		},
	}
	return s
}

// decide is one pass: what follows is on record when the next one begins, and what may be presented is.
func (s *stage) decide() Outcome {
	s.Helper()
	s.outcome = s.listener.Decide(s.secrets, now.Add(s.later))
	s.listener.Recorded, s.listener.Since = s.outcome.Trust, s.outcome.Since
	for i, entry := range s.listener.Entries {
		if s.outcome.Bundle != nil {
			entry = pki.ParseBundle(s.outcome.Bundle)
		}
		s.listener.Entries[i] = entry
	}
	return s.outcome
}

func (s *stage) anchors() int {
	return bytes.Count([]byte(s.outcome.Trust.Anchors), []byte("BEGIN CERTIFICATE"))
}

func TestClientsTrustAnotherAuthorityBeforeItsCertificateIsPresented(t *testing.T) {
	s := newStage(t)
	s.secrets[certificate] = issued(t, authority(t, "corporate"), "*.kafka.example.com")
	s.lacking = `Secret "app-kafka"`
	if o := s.decide(); o.Bundle != nil || s.anchors() != 2 || !strings.Contains(o.Waiting, "are told") {
		t.Fatalf("nothing is on record yet, and it presents %t, trusts %d: %s", o.Bundle != nil, s.anchors(), o.Waiting)
	}
	if o := s.decide(); o.Bundle != nil || !strings.Contains(o.Waiting, `once Secret "app-kafka" holds`) {
		t.Fatalf("a user has not been told, and it presents %t: %s", o.Bundle != nil, o.Waiting)
	}
	s.lacking = ""
	s.listener.Held = true
	if o := s.decide(); o.Bundle != nil || !strings.Contains(o.Waiting, v1alpha1.AnnotationHoldAuthority) {
		t.Fatalf("held, and it presents %t: %s", o.Bundle != nil, o.Waiting)
	}
	s.listener.Held = false
	if o := s.decide(); o.Bundle == nil || s.anchors() != 2 || o.Waiting != "" {
		t.Fatalf("everybody trusts it, and it presents %t, trusts %d: %s", o.Bundle != nil, s.anchors(), o.Waiting)
	}
	s.listener.Shown = false
	s.lacking = "a user who came late"
	if o := s.decide(); o.Bundle == nil || s.anchors() != 2 {
		t.Fatalf("not every broker shows it, and it presents %t, trusts %d", o.Bundle != nil, s.anchors())
	}
	s.listener.Shown = true
	if o := s.decide(); s.anchors() != 1 || !bytes.Equal([]byte(o.Trust.Anchors), s.secrets[certificate][pki.TLSAuthority]) {
		t.Fatalf("every broker shows it, and %d are trusted", s.anchors())
	}
}

// Whoever keeps a Secret from being written must not hold the certificate of everybody else for ever.
func TestNobodyIsWaitedForBeyondTheWindowAndWhoIsLeftIsTold(t *testing.T) {
	s := newStage(t)
	s.secrets[certificate] = issued(t, authority(t, "corporate"), brokerName)
	s.lacking = "a,b,c,d,e"
	s.decide()
	for _, at := range []time.Duration{time.Hour, 24*time.Hour - time.Second} {
		s.later = at
		kept := s.secrets[certificate]
		s.secrets[certificate] = nil // a mistake meanwhile begins no other day
		s.decide()
		s.secrets[certificate] = kept
		if o := s.decide(); o.Bundle != nil || o.Left != "" || !strings.Contains(o.Waiting,
			"once a, b, c and 2 more hold the certificate of it in ca.crt, and at 2026-03-02T12:00:00Z at the latest") {
			t.Fatalf("after %s it presents %t: %q, %q", at, o.Bundle != nil, o.Waiting, o.Left)
		}
	}
	s.later, s.listener.Held = 24*time.Hour, true
	if o := s.decide(); o.Bundle != nil || !strings.Contains(o.Waiting, v1alpha1.AnnotationHoldAuthority) {
		t.Fatalf("its owner holds it, and it presents %t: %q", o.Bundle != nil, o.Waiting)
	}
	s.listener.Held = false
	for range 3 { // also once every broker shows it
		if o := s.decide(); o.Bundle == nil || o.Waiting != "" ||
			!strings.Contains(o.Left, "given to clients since 2026-03-01T12:00:00Z") ||
			!strings.Contains(o.Left, "not in ca.crt of a, b, c and 2 more") {
			t.Fatalf("it presents %t: %q, %q", o.Bundle != nil, o.Waiting, o.Left)
		}
	}
	s.lacking = ""
	if o := s.decide(); o.Left != "" || !o.Since.IsZero() {
		t.Errorf("nobody lacks it any more: %q, %s", o.Left, o.Since)
	}
	s.lacking = "late"
	if o := s.decide(); o.Left != "" || !o.Since.IsZero() {
		t.Errorf("at rest it is looked for who lacks it: %q, %s", o.Left, o.Since)
	}
}

// Who was left the last time does not make the next authority come at once.
func TestEachAuthorityHasAWindowOfItsOwn(t *testing.T) {
	s := newStage(t)
	s.secrets[certificate] = issued(t, authority(t, "corporate"), brokerName)
	s.lacking = "a"
	s.decide()
	s.later = 48 * time.Hour
	for range 3 {
		s.decide()
	}
	s.secrets[certificate] = issued(t, authority(t, "another"), brokerName)
	shown := s.listener.Entries[0]
	for range 3 {
		if o := s.decide(); o.Bundle != nil || o.Waiting == "" || !o.Since.Equal(now.Add(s.later)) {
			t.Fatalf("it presents %t: %q, since %s", o.Bundle != nil, o.Waiting, o.Since)
		}
	}
	if !bytes.Equal(s.listener.Entries[0].CertPEM, shown.CertPEM) {
		t.Error("it shows another certificate")
	}
}

func TestARenewedCertificateOfTheSameAuthorityIsPresentedAtOnce(t *testing.T) {
	s, corporate := newStage(t), authority(t, "corporate")
	s.secrets[certificate] = issued(t, corporate, brokerName)
	for range 4 {
		s.decide()
	}
	s.secrets[certificate] = issued(t, corporate, brokerName)
	s.listener.Held, s.lacking = true, "somebody"
	if o := s.decide(); !bytes.Equal(o.Bundle, leafOf(s.secrets[certificate]).Bundle()) || s.anchors() != 1 || o.Waiting != "" {
		t.Errorf("it is not presented, or %d are trusted: %s", s.anchors(), o.Waiting)
	}
}

func TestAWrongCertificateIsRefusedWhileTheFormerGoesOn(t *testing.T) {
	corporate := authority(t, "corporate")
	good := issued(t, corporate, "*.kafka.example.com")
	foreignKey := issued(t, corporate, "*.kafka.example.com")
	foreignKey[pki.TLSKey] = issued(t, corporate, brokerName)[pki.TLSKey]
	for name, c := range map[string]struct {
		change func(s *stage)
		want   string
	}{
		"it is gone":       {func(s *stage) { delete(s.secrets, certificate) }, `there is no Secret "web" in the namespace of the KafkaCluster with the label kafka.castellan.dev/use=listener-certificate; `},
		"or not labelled":  {func(s *stage) { delete(s.secrets, certificate) }, "label it where it has been created without: kubectl label secret web kafka.castellan.dev/use=listener-certificate"},
		"not labelled":     {func(s *stage) { s.secrets[certificate] = nil }, "kubectl label secret web kafka.castellan.dev/use=listener-certificate"},
		"another's key":    {func(s *stage) { s.secrets[certificate] = foreignKey }, "tls.key is not the key"},
		"another's name":   {func(s *stage) { s.secrets[certificate] = issued(s.T, corporate, "*.example.com") }, "does not name " + brokerName},
		"a name is new":    {func(s *stage) { s.listener.Names = append(s.listener.Names, "a.b.kafka.example.com") }, "does not name a.b.kafka.example.com"},
		"too many brokers": {func(s *stage) { s.listener.Copies = 4000 }, "spread the brokers over more pools"},
	} {
		for first, before := range map[bool]string{true: "the cluster's own", false: "one that was provided"} {
			s := newStage(t)
			if !first {
				s.secrets[certificate] = good
				for range 4 {
					s.decide()
				}
			} else {
				s.secrets[certificate] = good
			}
			c.change(s)
			trust := s.listener.Recorded
			o := s.decide()
			if o.Fault == nil || o.Fault.Field != "spec.listeners[clients].tls.certificateSecret.name" ||
				!strings.Contains(o.Fault.Text(), c.want) || o.Fault.Cure == "" {
				t.Errorf("%s, before %s: %v", name, before, o.Fault)
				continue
			}
			if o.Bundle != nil || o.Trust != trust || o.Keeps(s.listener.Entries[0]) == first {
				t.Errorf("%s, before %s: it presents another %t, keeps it %t, trusts %d", name, before, o.Bundle != nil,
					o.Keeps(s.listener.Entries[0]), s.anchors())
			}
		}
	}
}

func TestAKeyOfRSAAndSuitesForECDoNotGoTogether(t *testing.T) {
	if !isOfECDSA("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256") || isOfECDSA("TLS_AES_128_GCM_SHA256") {
		t.Error("the suites are mistaken for each other")
	}
}

func TestWhatIsProvidedFromTheBeginningIsPresentedAtOnce(t *testing.T) {
	s := newStage(t)
	s.listener.Entries, s.lacking, s.listener.Held = nil, "everybody", true
	s.secrets[certificate] = issued(t, authority(t, "corporate"), brokerName)
	if o := s.decide(); o.Bundle == nil || s.anchors() != 1 || o.Waiting != "" {
		t.Errorf("it presents %t, trusts %d: %s", o.Bundle != nil, s.anchors(), o.Waiting)
	}
}

func TestNobodyIsWaitedForWhereWhatIsPresentedHasEnded(t *testing.T) {
	s := newStage(t)
	old, err := pki.NewAuthority("old", now.AddDate(-11, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := pki.Issue(old, Request([]string{brokerName}), now.AddDate(-10, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	s.listener.Entries, s.lacking = []pki.Leaf{leaf}, "everybody"
	s.secrets[certificate] = issued(t, authority(t, "corporate"), brokerName)
	if o := s.decide(); o.Bundle == nil || s.anchors() != 1 {
		t.Errorf("it presents %t, trusts %d: %s", o.Bundle != nil, s.anchors(), o.Waiting)
	}
}

func TestTheClustersOwnAuthorityComesBackTheSameWay(t *testing.T) {
	s := newStage(t)
	own := s.listener.Entries[0]
	s.secrets[certificate] = issued(t, authority(t, "corporate"), brokerName)
	for range 4 {
		s.decide()
	}
	s.listener.Listener.CertificateSecret = ""
	if s.listener.IsPlain() {
		t.Fatal("it counts as one for which nothing was provided")
	}
	s.lacking = "somebody"
	s.decide()
	if o := s.decide(); !o.Keeps(s.listener.Entries[0]) || s.anchors() != 2 {
		t.Fatalf("it keeps the former %t, trusts %d", o.Keeps(s.listener.Entries[0]), s.anchors())
	}
	s.lacking = ""
	if o := s.decide(); o.Keeps(s.listener.Entries[0]) || o.Bundle != nil || s.anchors() != 2 {
		t.Fatalf("it keeps the former %t, trusts %d", o.Keeps(s.listener.Entries[0]), s.anchors())
	}
	s.listener.Entries[0] = own
	if s.decide(); !s.listener.IsPlain() {
		t.Errorf("at the end %d are on record", s.anchors())
	}
}

func TestAPublicAuthorityNeedsNobodyToBeTold(t *testing.T) {
	s := newStage(t)
	root := authority(t, "public root")
	data := issued(t, root, brokerName)
	delete(data, pki.TLSAuthority)
	s.secrets[certificate] = data
	if o := s.decide(); o.Bundle == nil || !o.Trust.Public || o.Trust.Anchors != "" {
		t.Fatalf("it presents %t: %+v", o.Bundle != nil, o.Trust)
	}
	again := issued(t, root, brokerName)
	delete(again, pki.TLSAuthority)
	s.secrets[certificate] = again
	if o := s.decide(); o.Bundle == nil || o.Waiting != "" || !o.Trust.Public {
		t.Errorf("a renewed one waits: %s", o.Waiting)
	}
}

func TestAnAuthorityOfOnesOwnSignsOnceClientsTrustIt(t *testing.T) {
	s := newStage(t)
	s.listener.Listener.CertificateSecret, s.listener.Authority = "", "corporate"
	ref := Ref{"corporate", v1alpha1.UseListenerAuthority}
	corporate := authority(t, "corporate")
	s.secrets[ref] = map[string][]byte{pki.TLSCertificate: corporate.CertPEM, pki.TLSKey: corporate.KeyPEM}
	s.decide()
	if o := s.decide(); o.Signer == nil || s.anchors() != 2 {
		t.Fatalf("it signs %t, %d are trusted: %s", o.Signer != nil, s.anchors(), o.Waiting)
	}
	s.listener.Entries = []pki.Leaf{leafOf(issued(t, corporate, brokerName))}
	if s.decide(); s.anchors() != 1 {
		t.Fatalf("%d are trusted", s.anchors())
	}
	next := authority(t, "corporate") // of the same name, as when somebody makes it anew
	s.secrets[ref] = map[string][]byte{pki.TLSCertificate: next.CertPEM, pki.TLSKey: next.KeyPEM}
	s.lacking = "somebody"
	s.decide()
	if o := s.decide(); o.Signer != nil || !o.Keeps(s.listener.Entries[0]) || s.anchors() != 2 {
		t.Errorf("another key signs before everybody trusts it: %d", s.anchors())
	}
	s.secrets[ref] = issued(t, corporate, brokerName)
	if o := s.decide(); o.Fault == nil || o.Fault.Field != "spec.listenerAuthority.name" || s.anchors() != 2 {
		t.Errorf("a server's: %v, %d are trusted", o.Fault, s.anchors())
	}
}

// A broker that joins while the Secret is gone has nothing else than what the cluster's own authority signs.
func TestWhoIsGivenTheClustersOwnMeanwhileIsTrusted(t *testing.T) {
	s := newStage(t)
	own := s.listener.Entries[0]
	s.secrets[certificate] = issued(t, authority(t, "corporate"), brokerName)
	for range 4 {
		s.decide()
	}
	delete(s.secrets, certificate)
	s.listener.Entries = append(s.listener.Entries, own)
	if o := s.decide(); s.anchors() != 2 || o.Keeps(own) || !o.Keeps(s.listener.Entries[0]) {
		t.Errorf("%d are trusted", s.anchors())
	}
}

func TestPeopleAreToldOfACertificateThatNobodyRenews(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for days, c := range map[int]struct {
		left time.Duration
		told bool
	}{90: {13 * 24 * time.Hour, true}, 91: {15 * 24 * time.Hour, false}, 6: {2 * 24 * time.Hour, false}, 7: {24 * time.Hour, true}} {
		end := now.Add(c.left)
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: end,
			NotBefore: end.AddDate(0, 0, -days), DNSNames: []string{brokerName}}
		made, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		s := newStage(t)
		s.secrets[certificate] = map[string][]byte{
			pki.TLSCertificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}),
			pki.TLSKey:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		}
		o := s.decide()
		if o.Fault != nil || (o.Warning != "") != c.told {
			t.Errorf("%d days, of which %s are left: %v, %q", days, c.left, o.Fault, o.Warning)
		}
	}
}

func TestASecretCountsOnlyForTheUseThatItIsLabelledFor(t *testing.T) {
	ref := Ref{"web", v1alpha1.UseListenerCertificate}
	for use, want := range map[string]bool{
		"listener-certificate": true, "listener-authority": false, "external-cluster": false, "": false,
	} {
		got := ref.Data(map[string]string{v1alpha1.LabelUse: use}, nil)
		if (got != nil) != want {
			t.Errorf("%q: %v", use, got)
		}
	}
	spec := &v1alpha1.KafkaClusterSpec{ListenerAuthority: &v1alpha1.SecretName{Name: "ca"}, Listeners: []v1alpha1.Listener{
		{Name: "a", TLS: &v1alpha1.ListenerTLS{CertificateSecret: &v1alpha1.SecretName{Name: "web"}}},
		{Name: "b", TLS: &v1alpha1.ListenerTLS{CertificateSecret: &v1alpha1.SecretName{Name: "web"}}}, {Name: "c"},
	}}
	if refs := Refs(spec, nil, spec); fmt.Sprint(refs) != "[{ca listener-authority} {web listener-certificate}]" {
		t.Error(refs)
	}
}

// A Secret of cert-manager's until its issuer answers: a key alone, as old ones began it, and a temporary certificate.
// Nothing says that nobody trusts it but who has signed it; without ca.crt it would count as a public authority's.
func TestWhatIsNotIssuedYetIsWaitedForWhileTheFormerGoesOn(t *testing.T) {
	s, corporate := newStage(t), authority(t, "corporate")
	own := s.listener.Entries[0]
	keyAlone := issued(t, corporate, brokerName)
	keyAlone[pki.TLSCertificate], keyAlone[pki.TLSAuthority] = nil, nil
	meanwhile := issued(t, authority(t, "cert-manager.local"), brokerName)
	delete(meanwhile, pki.TLSAuthority)
	for _, c := range []struct {
		data map[string][]byte
		want string
	}{
		{nil, "cert-manager: kubectl describe certificate"}, {map[string][]byte{}, "nobody has issued the certificate yet"},
		{keyAlone, "nobody has issued the certificate yet"}, {meanwhile, "is a temporary one"},
	} {
		if s.secrets[certificate] = c.data; c.data == nil {
			delete(s.secrets, certificate)
		}
		o := s.decide()
		if o.Fault == nil || !strings.Contains(o.Fault.Text(), c.want) || o.Bundle != nil || o.Trust != (model.Trust{}) {
			t.Fatalf("%s: %v; it presents another %t and trusts %+v", c.want, o.Fault, o.Bundle != nil, o.Trust)
		}
	}
	if !bytes.Equal(s.listener.Entries[0].Bundle(), own.Bundle()) {
		t.Error("what the cluster's own authority has signed does not go on")
	}
	s.secrets[certificate] = issued(t, corporate, brokerName)
	s.decide()
	if o := s.decide(); o.Fault != nil || o.Bundle == nil {
		t.Errorf("issued at last: %v, presented %t", o.Fault, o.Bundle != nil)
	}
}

// With rotationPolicy Never cert-manager renews an authority with its key, and people give it another name by the way.
// No client that trusts the former takes what it then signs.
func TestAnAuthorityThatKeepsItsKeyAndGetsAnotherNameIsToldFirst(t *testing.T) {
	s, corporate := newStage(t), authority(t, "corporate")
	s.secrets[certificate] = issued(t, corporate, brokerName)
	for range 4 {
		s.decide()
	}
	before := s.listener.Entries[0]
	renamed := renamedAuthority(t, corporate, "corporate 2027")
	s.secrets[certificate] = issued(t, renamed, brokerName)
	s.lacking = `Secret "app-kafka"`
	for range 3 {
		if o := s.decide(); o.Bundle != nil || !o.Keeps(before) || s.anchors() != 2 {
			t.Fatalf("a user has not been told, and it presents %t, trusts %d: %s", o.Bundle != nil, s.anchors(), o.Waiting)
		}
	}
	s.lacking = ""
	if o := s.decide(); o.Bundle == nil {
		t.Errorf("everybody has been told, and it is not presented: %s", o.Waiting)
	}
}

// renamedAuthority has the key of another one.
func renamedAuthority(t *testing.T, ca pki.Authority, name string) pki.Authority {
	t.Helper()
	block, _ := pem.Decode(ca.KeyPEM)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signer := key.(*ecdsa.PrivateKey)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: now,
		NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return pki.Authority{KeyPEM: ca.KeyPEM, CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// kubectl create secret tls knows no ca.crt. Clients trust who has signed, and are not sent to their system's authorities.
func TestARenewedCertificateWithoutItsAuthorityChangesNobodysTrust(t *testing.T) {
	s := newStage(t)
	corporate := authority(t, "corporate")
	s.secrets[certificate] = issued(t, corporate, brokerName)
	for range 5 {
		s.decide()
	}
	before := s.outcome.Trust
	if before.Public || s.anchors() != 1 {
		t.Fatalf("clients trust %+v", before)
	}
	s.secrets[certificate] = issued(t, corporate, brokerName)
	delete(s.secrets[certificate], pki.TLSAuthority)
	for range 3 {
		if o := s.decide(); o.Trust != before || o.Bundle == nil {
			t.Fatalf("clients trust %+v, and a certificate is presented: %t", o.Trust, o.Bundle != nil)
		}
	}
}
