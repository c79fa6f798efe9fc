package provided

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// ClientAuthorities are what the Secrets of users' own authorities give for a listener.
type ClientAuthorities struct {
	// Anchors sign certificates of clients, as PEM, by Secret. A Secret that cannot be used has no entry: whom brokers
	// trust by it stays as it is.
	Anchors map[string][]byte
	Faults  []verdict.Verdict
	// Warnings tell of certificates that have ended, and are left out.
	Warnings []string
}

// ClientAnchors reads the authorities of users' own that sign certificates of a listener's clients.
func ClientAnchors(l model.Listener, secrets Secrets, now time.Time) ClientAuthorities {
	given := ClientAuthorities{Anchors: map[string][]byte{}}
	for _, name := range l.ClientAuthorities {
		field := model.ListenerField(l.Name, "authentication.clientAuthorities["+name+"]")
		data, fault := secrets.entries(Ref{name, v1alpha1.UseClientAuthority}, field, ReasonSecret, pki.TLSAuthority)
		if fault == nil {
			fault = unfitForClients(name, field, data)
		}
		if fault != nil {
			fault.Cause += "; brokers go on to trust what it held"
			given.Faults = append(given.Faults, *fault)
			continue
		}
		living, ended := pki.Living(data[pki.TLSAuthority], now)
		given.Anchors[name] = living
		for _, c := range ended {
			given.Warnings = append(given.Warnings, fmt.Sprintf("%s: brokers do not trust %s in Secret %q, which has ended at "+
				"%s; put its successor there", field, c.Subject, name, c.NotAfter.UTC().Format(time.RFC3339)))
		}
		for _, c := range endingSoon(living, now) {
			given.Warnings = append(given.Warnings, fmt.Sprintf("%s: %s in Secret %q ends at %s, and lets nobody in from then "+
				"on; put its successor beside it, and have clients certified by that", field, c.Subject, name,
				c.NotAfter.UTC().Format(time.RFC3339)))
		}
	}
	return given
}

// endingSoon are the authorities whose end people are told of. One of the same name and key that ends later takes the
// place of the former for all that this one has signed.
func endingSoon(anchors []byte, now time.Time) []*x509.Certificate {
	all, err := pki.ParseCertificates(anchors)
	if err != nil {
		return nil // none is left
	}
	return slices.DeleteFunc(slices.Clone(all), func(c *x509.Certificate) bool {
		return !endsSoon(c, now) || slices.ContainsFunc(all, func(other *x509.Certificate) bool {
			return !endsSoon(other, now) && bytes.Equal(other.RawSubject, c.RawSubject) &&
				bytes.Equal(other.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo)
		})
	})
}

// unfitForClients tells why brokers would trust a Secret's certificates in vain, or more than is meant: a leaf as an
// anchor is no authority. nil = they may trust them.
func unfitForClients(name, field string, data map[string][]byte) *verdict.Verdict {
	all, err := pki.ParseCertificates(data[pki.TLSAuthority])
	if err != nil {
		return refused(field, "Secret %q: %s: %v", name, pki.TLSAuthority, err)
	}
	if i := slices.IndexFunc(all, func(c *x509.Certificate) bool { return !c.BasicConstraintsValid || !c.IsCA }); i >= 0 {
		return refused(field, "Secret %q: %s: %s is no certificate of an authority; put that of whoever signed it there",
			name, pki.TLSAuthority, all[i].Subject)
	}
	return nil
}
