package pki

import (
	"net"
	"strings"
	"testing"
	"time"
)

func TestNeedsRenewal(t *testing.T) {
	ca, sameName := mustAuthority(t, "events ca"), mustAuthority(t, "events ca")
	leaf := mustIssue(t, ca, nodeRequest(), now)
	other := mustIssue(t, ca, nodeRequest(), now)
	serverRequest := nodeRequest()
	serverRequest.Usages = Usages{Server: true}
	serverOnly := mustIssue(t, ca, serverRequest, now)
	issued := now.Add(-Backdating)
	lifetime := nodeRequest().ValidFor + Backdating
	same := func(*Request) {}
	for _, c := range []struct {
		sentence string
		existing Leaf
		change   func(*Request)
		ca       Authority
		at       time.Time
		lastPart int
		reason   string // the beginning of it; "" for no renewal
	}{
		{"a fresh certificate stays", leaf, same, ca, now, LastThird, ""},
		{"a missing certificate is made", Leaf{KeyPEM: leaf.KeyPEM}, same, ca, now, LastThird, "there is no certificate"},
		{"a missing key is made", Leaf{CertPEM: leaf.CertPEM}, same, ca, now, LastThird, "there is no private key"},
		{"nonsense for a certificate is replaced", Leaf{[]byte("x"), leaf.KeyPEM}, same, ca, now, LastThird, "the certificate cannot be parsed"},
		{"nonsense for a key is replaced", Leaf{leaf.CertPEM, []byte("x")}, same, ca, now, LastThird, "the key cannot be parsed"},
		{"half of a key is replaced", Leaf{leaf.CertPEM, leaf.KeyPEM[:80]}, same, ca, now, LastThird, "the key cannot be parsed"},
		{"the key of another certificate is replaced", Leaf{leaf.CertPEM, other.KeyPEM}, same, ca, now, LastThird, "the private key does not belong"},
		{"another authority of the same name renews", leaf, same, sameName, now, LastThird, "it was not signed by the authority"},
		{"another common name renews", leaf, func(r *Request) { r.CommonName = "other" }, ca, now, LastThird, "its subject is CN=kafka-node,O=castellan and should be CN=other,O=castellan"},
		{"no organization any more renews", leaf, func(r *Request) { r.Organization = "" }, ca, now, LastThird, "its subject is"},
		{"a usage that is missing renews", serverOnly, same, ca, now, LastThird, "it lacks the usage clientAuth"},
		{"a usage too many stays", leaf, func(r *Request) { r.Usages = Usages{Server: true} }, ca, now, LastThird, ""},
		{"a new DNS name renews", leaf, func(r *Request) { r.DNSNames = append(r.DNSNames, "kafka.example") }, ca, now, LastThird, "it does not name kafka.example"},
		{"a new address renews", leaf, func(r *Request) { r.IPs = append(r.IPs, net.IPv4(192, 0, 2, 8)) }, ca, now, LastThird, "it does not name 192.0.2.8"},
		{"names in another order stay", leaf, func(r *Request) { r.DNSNames[0], r.DNSNames[1] = r.DNSNames[1], r.DNSNames[0] }, ca, now, LastThird, ""},
		{"names too many stay", leaf, func(r *Request) { r.DNSNames, r.IPs = r.DNSNames[:1], nil }, ca, now, LastThird, ""},
		{"a longer validity asked for stays", leaf, func(r *Request) { r.ValidFor *= 2 }, ca, now, LastThird, ""},
		{"a clock that went back renews", leaf, same, ca, issued.Add(-time.Second), LastThird, "it is not valid before"},
		{"exactly a third left stays", leaf, same, ca, issued.Add(2 * lifetime / 3), LastThird, ""},
		{"less than a third left renews", leaf, same, ca, issued.Add(2*lifetime/3 + lifetime/30), LastThird, "it ends at 2031-06-02T05:06:07Z"},
		{"a tenth asked for and a third left stays", leaf, same, ca, issued.Add(2*lifetime/3 + time.Second), 10, ""},
		{"a tenth asked for and less left renews", leaf, same, ca, issued.Add(9*lifetime/10 + lifetime/100), 10, "it ends at"},
		{"no part given counts as a third", leaf, same, ca, issued.Add(2*lifetime/3 + lifetime/30), 0, "it ends at"},
		{"a certificate past its end renews", leaf, same, ca, now.Add(100 * day), LastThird, "it ends at"},
		{"an authority that cannot be read renews nothing", leaf, func(r *Request) { r.CommonName = "other" }, Authority{}, now, LastThird, ""},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			want := nodeRequest()
			c.change(&want)
			reason, renew := NeedsRenewal(c.existing, want, c.ca, c.at, c.lastPart)
			if renew != (c.reason != "") || !strings.HasPrefix(reason, c.reason) {
				t.Errorf("renew = %v because %q, want %q", renew, reason, c.reason)
			}
		})
	}
}

func TestWhatWasIssuedNeedsNoRenewalAtOnce(t *testing.T) {
	ca := mustAuthority(t, "events ca")
	for _, at := range []time.Time{now, now.AddDate(5, 0, 0), now.AddDate(AuthorityYears, 0, 0).Add(-time.Minute)} {
		leaf := mustIssue(t, ca, nodeRequest(), at)
		for _, later := range []time.Duration{0, 30 * time.Second} {
			if reason, renew := NeedsRenewal(leaf, nodeRequest(), ca, at.Add(later), LastThird); renew {
				t.Errorf("issued at %s, %s later: %s", at, later, reason)
			}
		}
	}
}

func TestAChainIsJudgedByItsFirstCertificate(t *testing.T) {
	ca := mustAuthority(t, "events ca")
	leaf := mustIssue(t, ca, nodeRequest(), now)
	leaf.CertPEM = append(leaf.CertPEM, ca.CertPEM...)
	if reason, renew := NeedsRenewal(leaf, nodeRequest(), ca, now, LastThird); renew {
		t.Error(reason)
	}
}

func TestAReasonHoldsNoKey(t *testing.T) {
	ca := mustAuthority(t, "events ca")
	leaf := mustIssue(t, ca, nodeRequest(), now)
	for _, existing := range []Leaf{{leaf.KeyPEM, leaf.KeyPEM}, {leaf.CertPEM, leaf.KeyPEM[:80]}, {leaf.CertPEM, ca.KeyPEM}} {
		reason, _ := NeedsRenewal(existing, nodeRequest(), ca, now, LastThird)
		if secret := string(existing.KeyPEM[30:60]); strings.Contains(reason, secret) {
			t.Errorf("the reason shows the key: %s", reason)
		}
	}
}

func TestTheMomentOfARenewalIsKnownBefore(t *testing.T) {
	ca := mustAuthority(t, "events ca")
	for range 20 {
		leaf := mustIssue(t, ca, UserRequest("app"), now)
		at := RenewsAt(leaf, ca)
		_, before := NeedsRenewal(leaf, UserRequest("app"), ca, at.Add(-time.Second), LastThird)
		_, then := NeedsRenewal(leaf, UserRequest("app"), ca, at, LastThird)
		if before || !then {
			t.Errorf("%s: a second before %t, then %t", at, before, then)
		}
		if !InForce(leaf, UserRequest("app"), ca, at) || InForce(leaf, UserRequest("else"), ca, at) ||
			InForce(leaf, UserRequest("app"), ca, now.Add(UserLife)) {
			t.Error("what nears its end is in force, and what has ended or fits another one is not")
		}
	}
	late := mustIssue(t, ca, UserRequest("app"), now.AddDate(AuthorityYears, 0, 0).Add(-time.Hour))
	if at := RenewsAt(late, ca); !at.IsZero() {
		t.Errorf("what ends with its authority is renewed at %s", at)
	}
	if at := RenewsAt(Leaf{}, ca); !at.IsZero() {
		t.Errorf("nothing is renewed at %s", at)
	}
}
