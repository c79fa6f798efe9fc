package e2e

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const ownListener, ownPort = "secure", "9095"

var forListener = map[string]string{v1alpha1.LabelUse: v1alpha1.UseListenerCertificate}

// A listener presents a certificate that its owner provides: a wildcard with an RSA key and an intermediate authority.
// Clients trust the owner's root alone, the certificate is renewed under them, wrong ones are refused, and at the end
// the cluster's own authority signs again. No broker restarts.
func TestCase35_AListenerPresentsACertificateOfItsOwnersAndTakesARenewedOneUnderLoad(t *testing.T) {
	long(t)
	ns := shared(t)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, time.Minute, cluster)
	before := lives(t, ns, sharedName)
	root := newIssuer(t, "corporate root", nil)
	middle := newIssuer(t, "corporate listeners", root)
	names := namesOf(t, cluster, ownListener)

	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	oldForm := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)})
	provide(t, ns, forListener, root, middle.signs(t, rsaKey, oldForm, names))
	t.Cleanup(func() {
		_ = kube.Delete(context.Background(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"}})
	})
	certified(t, cluster, "web")
	figureSeconds(t, "own-certificate-in-force", mustShow(t, ns, middle.last))
	eventually(t, time.Minute, "clients are told of the owner's root alone", func(ctx context.Context) error {
		at := statusOf(ctx, cluster, ownListener).CACertificates
		if strings.TrimSpace(at) != strings.TrimSpace(string(root.pem())) {
			return fmt.Errorf("status.listeners has %d certificates", strings.Count(at, "BEGIN CERTIFICATE"))
		}
		return nil
	})
	waitReady(t, time.Minute, cluster)
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, ownListener)
	if !bytes.Contains(l.ca, bytes.TrimSpace(root.pem())) {
		t.Error("ca.crt of the user does not have the owner's root")
	}
	l.ca = root.pem()
	f := startFlow(t, l, sharedTopic, "own-certificates")

	ecKey := newECKey(t)
	provide(t, ns, forListener, root, middle.signs(t, ecKey, pkcs8(t, ecKey), names))
	good := middle.last
	figureSeconds(t, "own-certificate-renewed", mustShow(t, ns, good))
	f.progress(t, 30*time.Second)
	if err := tryToProduce(t, l, sharedTopic); err != nil {
		t.Errorf("who trusts the root alone, with the renewed certificate: %v", err)
	}

	for _, wrong := range []struct {
		what   string
		labels map[string]string
		data   map[string][]byte
		says   string
	}{
		{"a name is not covered", forListener, middle.signs(t, ecKey, pkcs8(t, ecKey), []string{"*.elsewhere.example.com"}),
			"the certificate does not name"},
		{"the key does not fit", forListener, middle.signs(t, ecKey, pkcs8(t, newECKey(t)), names),
			"tls.key is not the key of the certificate"},
		{"nobody has labelled it", map[string]string{v1alpha1.LabelUse: "web"}, middle.signs(t, ecKey, pkcs8(t, ecKey), names),
			"kubectl label secret web"},
	} {
		provide(t, ns, wrong.labels, root, wrong.data)
		eventually(t, 30*time.Second, wrong.what+": it is refused", func(ctx context.Context) error {
			return isStalled(ctx, cluster, "CertificateSecret", []string{
				"spec.listeners[secure].tls.certificateSecret.name", wrong.says})
		})
		mustShow(t, ns, good)
	}
	f.progress(t, 30*time.Second)
	f.stopServed(t)
	provide(t, ns, forListener, root, middle.signs(t, ecKey, pkcs8(t, ecKey), names))
	mustShow(t, ns, middle.last)
	waitReady(t, time.Minute, cluster)

	certified(t, cluster, "")
	eventually(t, time.Minute, "the cluster's own authority signs again", func(ctx context.Context) error {
		if at := statusOf(ctx, cluster, ownListener).CACertificates; at != "" {
			return fmt.Errorf("clients are told of %d authorities", strings.Count(at, "BEGIN CERTIFICATE"))
		}
		return isReady(ctx, cluster)
	})
	again := loginOf(t, ns, adminUser).at(t, ns, sharedName, ownListener)
	eventually(t, 30*time.Second, "clients with the Secret of their user connect", func(context.Context) error {
		return tryToProduce(t, again, sharedTopic)
	})
	if err := tryToProduce(t, l, sharedTopic); err == nil {
		t.Error("who trusts the owner's root alone is still served")
	}
	mustLiveOn(t, ns, sharedName, before)
}

// An authority of the owner's signs the certificates of all listeners with TLS, and neither a node among its peers nor a
// client of a listener notices more than that.
func TestCase35_AnAuthorityOfTheOwnersSignsForListeners(t *testing.T) {
	long(t)
	ns := shared(t)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, time.Minute, cluster)
	before := lives(t, ns, sharedName)
	root := newIssuer(t, "corporate root", nil)
	both := loginOf(t, ns, adminUser).at(t, ns, sharedName, "securenp") // as its Secret has it before brokers change
	both.ca = append(slices.Clone(both.ca), root.pem()...)
	f := startFlow(t, both, sharedTopic, "own-authority")
	middle := newIssuer(t, "corporate kafka", root)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "corporate",
		Labels: map[string]string{v1alpha1.LabelUse: v1alpha1.UseListenerAuthority}}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": middle.pem(), "tls.key": pkcs8(t, middle.key), "ca.crt": root.pem()}}
	if err := kube.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kube.Delete(context.Background(), secret) })
	change(t, cluster, func(c kafkaCluster) { c.Spec.ListenerAuthority = &v1alpha1.SecretName{Name: "corporate"} })
	eventually(t, time.Minute, "clients are told of the owner's root alone", func(ctx context.Context) error {
		for _, name := range []string{"secure", "securenp"} {
			at := statusOf(ctx, cluster, name).CACertificates
			if strings.TrimSpace(at) != strings.TrimSpace(string(root.pem())) {
				return fmt.Errorf("listener %s: %d certificates", name, strings.Count(at, "BEGIN CERTIFICATE"))
			}
		}
		return isReady(ctx, cluster)
	})
	f.stopServed(t)
	for _, name := range []string{"secure", "securenp"} {
		l := loginOf(t, ns, adminUser).at(t, ns, sharedName, name)
		l.ca = root.pem()
		if err := tryToProduce(t, l, sharedTopic); err != nil {
			t.Errorf("who trusts the root alone, at listener %s: %v", name, err)
		}
	}
	change(t, cluster, func(c kafkaCluster) { c.Spec.ListenerAuthority = nil })
	eventually(t, time.Minute, "the cluster's own authority signs again", func(ctx context.Context) error {
		if at := statusOf(ctx, cluster, "securenp").CACertificates; at != "" {
			return errors.New("clients are told of the owner's")
		}
		return isReady(ctx, cluster)
	})
	mustLiveOn(t, ns, sharedName, before)
}

// issuer is an authority that somebody has outside the cluster.
type issuer struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	above *issuer
	last  string // serial number of what it has signed last
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pkcs8(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func newIssuer(t *testing.T, name string, above *issuer) *issuer {
	t.Helper()
	i := &issuer{key: newECKey(t), above: above}
	template := &x509.Certificate{SerialNumber: newSerial(t), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	parent, signer := template, i.key
	if above != nil {
		parent, signer = above.cert, above.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, i.key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if i.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return i
}

func newSerial(t *testing.T) *big.Int {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	return serial
}

func (i *issuer) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

// signs makes a server's certificate, and what a Secret holds of it: the chain without the root.
func (i *issuer) signs(t *testing.T, key crypto.Signer, keyFile []byte, names []string) map[string][]byte {
	t.Helper()
	return map[string][]byte{"tls.crt": i.chain(t, key.Public(), names), "tls.key": keyFile}
}

// chain makes a server's certificate and returns it with the issuer's own.
func (i *issuer) chain(t *testing.T, key crypto.PublicKey, names []string) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: newSerial(t), Subject: pkix.Name{CommonName: "kafka"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(12 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, key, i.key)
	if err != nil {
		t.Fatal(err)
	}
	i.last = template.SerialNumber.String()
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), i.pem()...)
}

// provide writes the Secret as cert-manager does: all keys in place.
func provide(t *testing.T, ns string, labels map[string]string, root *issuer, data map[string][]byte) {
	t.Helper()
	data["ca.crt"] = root.pem()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web", Labels: labels},
		Type: corev1.SecretTypeTLS, Data: data}
	err := kube.Create(t.Context(), secret.DeepCopy())
	if err == nil {
		return
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}, "data": data})
	if err == nil {
		err = kube.Patch(t.Context(), secret, client.RawPatch("application/merge-patch+json", patch))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// certified has a listener present the certificate in a Secret; empty = what the cluster's own authority signs.
func certified(t *testing.T, cluster kafkaCluster, secret string) {
	t.Helper()
	change(t, cluster, func(c kafkaCluster) {
		for i := range c.Spec.Listeners {
			if l := &c.Spec.Listeners[i]; l.Name == ownListener {
				l.TLS = nil
				if secret != "" {
					l.TLS = &v1alpha1.ListenerTLS{CertificateSecret: &v1alpha1.SecretName{Name: secret}}
				}
			}
		}
	})
}

// namesOf are a wildcard for what brokers advertise, and the name at which clients begin.
func namesOf(t *testing.T, cluster kafkaCluster, listener string) []string {
	t.Helper()
	at := statusOf(t.Context(), cluster, listener)
	host, _, err := net.SplitHostPort(at.BootstrapServers)
	if err != nil || len(at.Addresses) == 0 {
		t.Fatalf("%+v: %v", at, err)
	}
	_, parent, _ := strings.Cut(at.Addresses[0].Host, ".")
	return []string{"*." + parent, host}
}

func statusOf(ctx context.Context, cluster kafkaCluster, listener string) v1alpha1.ListenerStatus {
	if err := refresh(ctx, cluster); err == nil {
		for _, s := range cluster.Status.Listeners {
			if s.Name == listener {
				return s
			}
		}
	}
	return v1alpha1.ListenerStatus{}
}

// mustShow waits until every broker shows the certificate with a serial number.
func mustShow(t *testing.T, ns, serial string) time.Duration {
	t.Helper()
	return eventually(t, 30*time.Second, "every broker shows the certificate with serial "+serial,
		func(context.Context) error {
			for id := range 3 {
				pod := getPod(t, ns, fmt.Sprintf("events-main-%d", id))
				if now := shown(t, net.JoinHostPort(pod.Status.PodIP, ownPort)); now != serial {
					return fmt.Errorf("broker %d shows the one with serial %s", id, now)
				}
			}
			return nil
		})
}
