package provided

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// ClientAnchors are the authorities of the user's own that sign certificates of a listener's clients, as PEM. Where a
// Secret cannot be used a fault says why: whom brokers trust then stays as it is.
func ClientAnchors(l model.Listener, secrets Secrets, now time.Time) ([]byte, []verdict.Verdict) {
	var anchors []byte
	var faults []verdict.Verdict
	for _, name := range l.ClientAuthorities {
		field := model.ListenerField(l.Name, "authentication.clientAuthorities["+name+"]")
		data, fault := secrets.entries(Ref{name, v1alpha1.UseClientAuthority}, field, ReasonSecret, pki.TLSAuthority)
		if fault == nil {
			fault = unfitForClients(name, field, data, now)
		}
		if fault != nil {
			faults = append(faults, *fault)
			continue
		}
		anchors = pki.Union(anchors, pki.CertificatesOnly(data[pki.TLSAuthority]))
	}
	return anchors, faults
}

// unfitForClients tells why brokers would trust a Secret's certificates in vain, or more than is meant: a leaf as an
// anchor is no authority. nil = they may trust them.
func unfitForClients(name, field string, data map[string][]byte, now time.Time) *verdict.Verdict {
	all, err := pki.ParseCertificates(data[pki.TLSAuthority])
	if err != nil {
		return refused(field, "Secret %q: %s: %v", name, pki.TLSAuthority, err)
	}
	if i := slices.IndexFunc(all, func(c *x509.Certificate) bool { return !c.BasicConstraintsValid || !c.IsCA }); i >= 0 {
		return refused(field, "Secret %q: %s: %s is no certificate of an authority; put that of whoever signed it there",
			name, pki.TLSAuthority, all[i].Subject)
	}
	if i := slices.IndexFunc(all, func(c *x509.Certificate) bool { return !now.Before(c.NotAfter) }); i >= 0 {
		return refused(field, "Secret %q: %s: %s has ended at %s; put its successor there", name, pki.TLSAuthority,
			all[i].Subject, all[i].NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}
