package connect

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/pki"
)

func TestClientsAreToldTheCertificateAndNothingBesideIt(t *testing.T) {
	authority, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cluster := types.NamespacedName{Namespace: "shop", Name: "events"}
	other, err := pki.NewAuthority("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, entry := range map[string]string{"it is the next": pki.NextCertificate, "it was before": pki.FormerCertificate} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "events-ca"}, Data: map[string][]byte{
			pki.AuthorityCertificate: authority.CertPEM, pki.NextKey: other.KeyPEM, entry: other.CertPEM}}
		kube := fake.NewClientBuilder().WithObjects(secret).Build()
		got, err := TrustedBy(context.Background(), kube, cluster)
		if want := slices.Concat(authority.CertPEM, other.CertPEM); err != nil || !bytes.Equal(got, want) {
			t.Errorf("beside the one that signs, %s: %v, %d bytes, expected both", name, err, len(got))
		}
	}
	for name, c := range map[string]struct{ stored, want []byte }{
		"as the operator makes it": {authority.CertPEM, authority.CertPEM},
		"a key beside it":          {slices.Concat(authority.CertPEM, authority.KeyPEM), authority.CertPEM},
		"no Secret yet":            {nil, nil},
	} {
		kube := fake.NewClientBuilder()
		if c.stored != nil {
			kube.WithObjects(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "events-ca"},
				Data: map[string][]byte{pki.AuthorityCertificate: c.stored, pki.AuthorityKey: authority.KeyPEM}})
		}
		got, err := TrustedBy(context.Background(), kube.Build(), cluster)
		if err != nil || !bytes.Equal(got, c.want) || strings.Contains(string(got), "PRIVATE") {
			t.Errorf("%s: %v, %d bytes", name, err, len(got))
		}
	}
}

func TestTheAuthorityOfTheClientsIsReadOrNotThere(t *testing.T) {
	authority, err := pki.NewAuthority(pki.ClientsAuthorityName("shop", "events", time.Now()), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := pki.NewAuthority(pki.AuthorityName("shop", "events-clients"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	users := func(namespace, cluster string) pki.Authority {
		ca, err := pki.NewAuthority(pki.ClientsAuthorityName(namespace, cluster, time.Now()), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	whole := func(ca pki.Authority) map[string][]byte {
		return map[string][]byte{pki.AuthorityCertificate: ca.CertPEM, pki.AuthorityKey: ca.KeyPEM}
	}
	for name, c := range map[string]struct {
		data    map[string][]byte
		cluster string // in the label
		want    bool
	}{
		"as the operator makes it":             {whole(authority), "events", true},
		"without its key":                      {map[string][]byte{pki.AuthorityCertificate: authority.CertPEM}, "events", false},
		"no Secret yet":                        {nil, "events", false},
		"another cluster's":                    {whole(authority), "events-clients", false},
		"the nodes of another cluster's":       {whole(nodes), "events-clients", false},
		"these with the label of this cluster": {whole(nodes), "events", false},
		"the users' of a cluster beside it":    {whole(users("shop", "other")), "events", false},
		"the users' of a cluster elsewhere":    {whole(users("other", "events")), "events", false},
	} {
		kube := fake.NewClientBuilder()
		if c.data != nil {
			kube.WithObjects(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "events-clients-ca",
				Labels: map[string]string{v1alpha1.LabelCluster: c.cluster}}, Data: c.data})
		}
		got, found, err := ClientsAuthority(t.Context(), kube.Build(), types.NamespacedName{Namespace: "shop", Name: "events"})
		if err != nil || found != c.want || found && !bytes.Equal(got.CertPEM, authority.CertPEM) {
			t.Errorf("%s: %t, %v", name, found, err)
		}
	}
}
