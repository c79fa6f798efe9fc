package controllertest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
)

// AuthorityIn is a Secret with a certificate authority of the cluster's.
func (w *World) AuthorityIn(name string) *corev1.Secret {
	w.T.Helper()
	commonName := pki.AuthorityName(ClusterKey.Namespace, ClusterKey.Name)
	if name == pki.ClientsAuthoritySecret(ClusterKey.Name) {
		commonName = pki.ClientsAuthorityName(ClusterKey.Namespace, ClusterKey.Name, w.Clock.Now())
	}
	authority, err := pki.NewAuthority(commonName, w.Clock.Now())
	if err != nil {
		w.T.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: ClusterKey.Namespace, Name: name, Labels: model.Labels(ClusterKey.Name)},
		Data:       map[string][]byte{pki.AuthorityCertificate: authority.CertPEM, pki.AuthorityKey: authority.KeyPEM},
	}
}

func (w *World) entry(secret, entry string) []byte {
	var s corev1.Secret
	if err := w.Client.Get(context.Background(), ObjectKey(ClusterKey.Namespace, secret), &s); err != nil {
		return nil
	}
	return s.Data[entry]
}

// tryCertificate answers as a broker would: it trusts the authority of the clients, and lets in who stands in its list.
func (w *World) tryCertificate(node int32, unknown error, l kafka.Login) error {
	if unknown != nil {
		return errors.New("no such host")
	}
	pair, err := tls.X509KeyPair(l.Certificate, l.Key)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.entry(pki.ClientsAuthoritySecret(ClusterKey.Name), pki.AuthorityCertificate))
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: w.Clock.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return kafka.ErrAuthenticationFailed
	}
	shown := plainauth.CertificateOf(l.Username, pair.Leaf)
	var all []plainauth.UserCertificate
	for _, list := range w.filesOf(render.CertificatesEntry, node) {
		lines, _ := plainauth.ParseCertificateList(list)
		all = append(all, lines...)
	}
	for _, line := range all {
		if line == shown && line.End.After(w.Clock.Now()) {
			return nil
		}
	}
	return kafka.ErrAuthenticationFailed
}
