package cluster

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
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

// One request begins one replacement, and only while every node works with what there is.
func TestTheKeyOfAnAuthorityIsReplacedRoundByRound(t *testing.T) {
	b := aBroker(t)
	cluster := &v1alpha1.KafkaCluster{}
	b.get("events", cluster)
	cluster.Annotations = map[string]string{v1alpha1.AnnotationReplaceAuthority: "2026-03"}
	if err := b.api.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	secret := func() map[string][]byte {
		ca := &corev1.Secret{}
		b.get("events-ca", ca)
		return ca.Data
	}
	before := secret()
	b.passes(10 * time.Second)
	first := secret()
	if string(first[pki.AuthorityRound]) != "1 2026-03" || len(first[pki.NextKey]) == 0 ||
		!bytes.Equal(first[pki.AuthorityKey], before[pki.AuthorityKey]) {
		t.Fatalf("the first round is recorded as %q", first[pki.AuthorityRound])
	}
	internal := &corev1.Secret{}
	b.get("events-main-internal", internal)
	if anchors, err := pki.ParseCertificates(internal.Data[pki.AuthorityCertificate]); err != nil || len(anchors) != 2 {
		t.Errorf("the nodes are told to trust %d: %v", len(anchors), err)
	}
	b.passes(time.Minute)
	if again := secret(); string(again[pki.AuthorityRound]) != "1 2026-03" {
		t.Fatalf("no node has restarted, and the round is %q", again[pki.AuthorityRound])
	}
	if said := b.said(); !strings.Contains(said, "Waiting") && !strings.Contains(said, "Held") {
		t.Errorf("it says %q", said)
	}
}
