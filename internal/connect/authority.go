package connect

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/pki"
)

// Authority reads the certificate authority out of its Secret. The error may quote the Secret; show it to nobody.
func Authority(secret *corev1.Secret) (pki.Authority, error) {
	return pki.ParseAuthority(secret.Data[pki.AuthorityCertificate], secret.Data[pki.AuthorityKey])
}

// TrustedBy returns, as PEM, the certificates that clients of a cluster of our own have to trust. It returns
// certificates and nothing else that the Secret may hold. nil = there are none yet.
func TrustedBy(ctx context.Context, reader client.Reader, cluster types.NamespacedName) ([]byte, error) {
	secret, err := readAuthority(ctx, reader, cluster)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return anchors(secret), nil
}

// Seal returns the key with which the operator seals what it writes on objects that others may write, too. Nobody has
// it who may not read the Secret of the cluster's authority, from whose private key it is made. nil = there is none.
func Seal(ctx context.Context, reader client.Reader, cluster types.NamespacedName) ([]byte, error) {
	secret, err := readAuthority(ctx, reader, cluster)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	key := secret.Data[pki.AuthorityKey]
	if len(key) == 0 {
		return nil, nil
	}
	seal := hmac.New(sha256.New, key)
	seal.Write([]byte("castellan: announcements of objects"))
	return seal.Sum(nil), nil
}

// anchors are the certificates by which nodes are known: more than one while the authority is replaced.
func anchors(secret *corev1.Secret) []byte {
	return slices.Concat(pki.CertificatesOnly(secret.Data[pki.AuthorityCertificate]),
		pki.CertificatesOnly(secret.Data[pki.NextCertificate]), pki.CertificatesOnly(secret.Data[pki.FormerCertificate]))
}

func readAuthority(ctx context.Context, reader client.Reader, cluster types.NamespacedName) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	key := types.NamespacedName{Namespace: cluster.Namespace, Name: pki.AuthoritySecret(cluster.Name)}
	if err := reader.Get(ctx, key, secret); err != nil {
		return nil, fmt.Errorf("read the certificate authority of KafkaCluster %s from Secret %s: %w", cluster,
			key.Name, err)
	}
	return secret, nil
}

// ClientsAuthority reads the authority that signs certificates of users in a cluster of our own. false = there is none
// yet, or its Secret holds something else; what that is must be shown to nobody.
func ClientsAuthority(ctx context.Context, reader client.Reader, cluster types.NamespacedName) (pki.Authority, bool,
	error) {
	secret := &corev1.Secret{}
	key := types.NamespacedName{Namespace: cluster.Namespace, Name: pki.ClientsAuthoritySecret(cluster.Name)}
	if err := reader.Get(ctx, key, secret); err != nil {
		if err = client.IgnoreNotFound(err); err != nil {
			err = fmt.Errorf("read the authority of the clients of KafkaCluster %s from Secret %s: %w", cluster, key.Name, err)
		}
		return pki.Authority{}, false, err
	}
	if secret.Labels[v1alpha1.LabelCluster] != cluster.Name { // of the cluster <name>-clients it is the authority of nodes
		return pki.Authority{}, false, nil
	}
	authority, err := pki.ParseClientsAuthority(secret.Data[pki.AuthorityCertificate], secret.Data[pki.AuthorityKey],
		cluster.Namespace, cluster.Name)
	return authority, err == nil, nil
}
