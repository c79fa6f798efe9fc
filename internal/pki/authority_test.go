package pki

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"
)

// Others have issued another key id with the new certificate of the same key, or have left the former certificate in
// the files of those who trust it. Here who trusts either trusts what either has signed.
func TestARenewedAuthorityIsTrustedForWhatTheFormerHasSignedAndTheOtherWayRound(t *testing.T) {
	former := mustAuthority(t, "shop/events")
	later := now.AddDate(7, 0, 0)
	renewed, err := RenewAuthority(former, later)
	if err != nil {
		t.Fatal(err)
	}
	request := nodeRequest()
	request.ValidFor = 5 * 365 * day
	old, young := mustIssue(t, former, request, now.AddDate(4, 0, 0)), mustIssue(t, renewed, request, later)
	for name, anchor := range map[string]Authority{"former": former, "renewed": renewed} {
		for what, leaf := range map[string]Leaf{"former": old, "renewed": young} {
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(anchor.CertPEM)
			cert := certificateOf(t, leaf)
			if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: later}); err != nil {
				t.Errorf("who trusts the %s authority and sees what the %s one has signed: %v", name, what, err)
			}
			anchorCert, _, _ := anchor.parse()
			if !bytes.Equal(cert.AuthorityKeyId, anchorCert.SubjectKeyId) {
				t.Errorf("the %s leaf names another key than the %s authority has", what, name)
			}
		}
	}
	if _, renew := NeedsRenewal(old, request, renewed, later.AddDate(0, 0, 1), LastThird); renew {
		t.Error("a certificate that still serves is replaced with the authority's")
	}
	if cert := certificateOf(t, young); cert.NotAfter.Before(later.AddDate(4, 11, 0)) {
		t.Errorf("what the renewed one signs ends at %s", cert.NotAfter)
	}
}

func TestAnAuthorityIsRenewedLongBeforeItsEndAndAlsoAfterIt(t *testing.T) {
	ca := mustAuthority(t, "shop/events")
	for _, c := range []struct {
		sentence string
		at       time.Time
		renew    bool
	}{
		{"new", now, false},
		{"in its sixth year", now.AddDate(6, 0, 0), false},
		{"with three years left", now.AddDate(7, 0, 0), true},
		{"on its last day", now.AddDate(10, 0, -1), true},
		{"a month after its end, when the operator comes back", now.AddDate(10, 1, 0), true},
		{"made by a clock that was ahead", now.AddDate(-1, 0, 0), true},
	} {
		reason, renew := AuthorityNeedsRenewal(ca, c.at)
		if renew != c.renew || renew != (reason != "") {
			t.Errorf("%s: renewed %t (%s), expected %t", c.sentence, renew, reason, c.renew)
		}
		if !renew {
			continue
		}
		renewed, err := RenewAuthority(ca, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if reason, again := AuthorityNeedsRenewal(renewed, c.at); again {
			t.Errorf("%s: renewed, and at once again: %s", c.sentence, reason)
		}
		mustIssue(t, renewed, nodeRequest(), c.at)
	}
	if _, renew := AuthorityNeedsRenewal(Authority{CertPEM: ca.CertPEM}, now.AddDate(11, 0, 0)); renew {
		t.Error("one without its key is renewed")
	}
}

// A thousand clusters that were made in one minute, and a thousand that an operator finds after a month.
func TestRenewalsOfManyClustersAreSpread(t *testing.T) {
	ca := mustAuthority(t, "shop/events")
	request := nodeRequest()
	request.ValidFor = 5 * 365 * day
	lifetime := request.ValidFor + Backdating
	days := map[int]int{}
	const clusters = 200
	for range clusters {
		leaf := mustIssue(t, ca, request, now)
		due := 0
		for ; due < 400; due++ {
			at := now.Add(2*lifetime/3 + time.Duration(due)*day)
			if _, renew := NeedsRenewal(leaf, request, ca, at, LastThird); renew {
				break
			}
		}
		days[due]++
	}
	for due, n := range days {
		if n > clusters/10 || due > 62 {
			t.Errorf("%d of %d are renewed on day %d of the last third", n, clusters, due)
		}
	}
}
