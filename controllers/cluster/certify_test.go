package cluster

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/pki"
)

// The operator was down when the authority ended: it is renewed with its key before anything is signed.
func TestAnAuthorityThatHasEndedIsRenewedBeforeItSignsAnything(t *testing.T) {
	h := newHouse(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	h.under.Settings.Now = func() time.Time { return now }
	h.under.Connections.Now = h.under.Settings.Now
	h.under.expiries.now = h.under.Settings.Now
	h.reconcile()
	before, after := &corev1.Secret{}, &corev1.Secret{}
	h.get("events-ca", before)
	now = now.AddDate(11, 0, 0)
	said := h.reconcile()
	h.get("events-ca", after)
	if bytes.Equal(before.Data[pki.AuthorityCertificate], after.Data[pki.AuthorityCertificate]) ||
		!bytes.Equal(before.Data[pki.AuthorityKey], after.Data[pki.AuthorityKey]) || strings.Contains(said, "Failing") {
		t.Fatalf("the authority was not renewed with its key: %s", said)
	}
	for name, entry := range map[string]string{"events-main-internal": "0.pem", "events-main-listeners": "0.clients.pem"} {
		secret := &corev1.Secret{}
		h.get(name, secret)
		leaf, err := pki.ParseBundle(secret.Data[entry]).Certificate()
		if err != nil || !leaf.NotAfter.After(now.AddDate(4, 0, 0)) ||
			!bytes.Equal(secret.Data[pki.AuthorityCertificate], after.Data[pki.AuthorityCertificate]) {
			t.Errorf("%s: %v, and its ca.crt is the renewed one: %t", name, err,
				bytes.Equal(secret.Data[pki.AuthorityCertificate], after.Data[pki.AuthorityCertificate]))
		}
	}
	version := after.ResourceVersion
	h.reconcile()
	if h.get("events-ca", after); after.ResourceVersion != version {
		t.Error("it is renewed again at once")
	}

	metrics := make(chan prometheus.Metric, 10)
	h.under.expiries.Collect(metrics)
	close(metrics)
	if n := len(metrics); n != 1 { // nothing runs that would have read another certificate
		t.Errorf("%d series, expected that of the authority", n)
	}
}
