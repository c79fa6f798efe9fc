package e2e

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const mutualManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [PLAIN, SCRAM-SHA-512]}}
  - {name: mutual, port: 9095, exposure: {type: NodePort}, authentication: {mechanisms: [TLS]%s}}
  authorization: {type: Simple, superUsers: [admin]%s}
`

// Whoever shows the certificate of a KafkaUser is that user, the same as with its password, until the user is gone: an
// open connection ends, too.
func TestCase43_AUserShowsItsCertificateUntilItIsRevoked(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	apply(t, ns, fmt.Sprintf(mutualManifest, "", ""))
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	apply(t, ns, strings.Join([]string{adminManifest, topicManifest("orders", ", partitions: 1"),
		userManifest("app", "orders", v1alpha1.MechanismTLS, v1alpha1.MechanismScram512),
		userManifest("other", "orders", v1alpha1.MechanismTLS)}, "\n---\n"))
	for _, user := range []string{adminUser, "app", "other"} {
		waitReady(t, 2*time.Minute, userNamed(ns, user))
	}
	at := time.Now()
	app := byCertificate(t, ns, "app")
	if err := tryToProduce(t, app, "orders"); err != nil {
		t.Fatalf("with its certificate: %v", err)
	}
	password := loginOf(t, ns, "app").at(t, ns, sharedName, "outside").with(v1alpha1.MechanismScram512)
	password.password = string(secretOf(t, ns, "app").Data["password"])
	if err := tryToProduce(t, password, "orders"); err != nil {
		t.Errorf("with its password, as the same principal: %v", err)
	}
	if data := secretOf(t, ns, "other").Data; len(data["password"]) > 0 || len(data["user.key"]) == 0 {
		t.Errorf("a user who has a certificate alone: its Secret has a password, or no key")
	}
	nobody := app
	nobody.certificate = nil
	if err := tryToProduce(t, nobody, "orders"); err == nil {
		t.Error("somebody without a certificate was let in")
	}
	figureSeconds(t, "certificate-first-record", time.Since(at))

	other := byCertificate(t, ns, "other")
	open := other.client(t, kgo.RequestRetries(0), kgo.MaxConcurrentFetches(1))
	if err := open.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	leaver := userNamed(ns, "other")
	gone := time.Now()
	if err := kube.Delete(t.Context(), leaver.KafkaUser); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "a connection of the removed user that was open ends, and no other begins",
		func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, pace.Of(5*time.Second))
			defer cancel()
			if open.Ping(ctx) == nil {
				return errors.New("its client is still answered")
			}
			return nil
		})
	figureSeconds(t, "certificate-revoked", time.Since(gone))
	eventually(t, time.Minute, "KafkaUser other is gone", func(ctx context.Context) error {
		if apierrors.IsNotFound(refresh(ctx, leaver)) {
			return nil
		}
		return fmt.Errorf("it is still there: %s", told(leaver.conditions()))
	})
	if err := tryToProduce(t, other, "orders"); err == nil {
		t.Error("the removed user was let in again")
	}
	if err := tryToProduce(t, app, "orders"); err != nil {
		t.Errorf("the other user, who stays: %v", err)
	}
}

// An authority of the owner's signs for clients: each is its subject, none is a node or a super user by that. It is
// trusted, and no longer, without a restart.
func TestCase43_AnAuthorityOfTheOwnersSignsForClients(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	apply(t, ns, fmt.Sprintf(mutualManifest, "", ""))
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	apply(t, ns, strings.Join([]string{adminManifest, topicManifest("orders", ", partitions: 1"),
		userManifest("app", "orders", v1alpha1.MechanismTLS)}, "\n---\n"))
	for _, user := range []string{adminUser, "app"} {
		waitReady(t, 2*time.Minute, userNamed(ns, user))
	}
	before := lives(t, ns, sharedName)
	corp := newIssuer(t, "Example Corp", nil)
	trust := byCertificate(t, ns, "app")
	show := func(subject pkix.Name) login {
		certificate, key := corp.signsClient(t, subject)
		return trust.showing(t, certificate, key)
	}
	ops := show(pkix.Name{CommonName: "ops", OrganizationalUnit: []string{"Team A"}, Organization: []string{"Example"}})
	if err := tryToLogIn(t, ops); err == nil {
		t.Error("somebody whom an authority has signed that nobody trusts was let in")
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "corp",
		Labels: map[string]string{v1alpha1.LabelUse: v1alpha1.UseClientAuthority}}, Data: map[string][]byte{"ca.crt": corp.pem()}}
	if err := kube.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	named := time.Now()
	apply(t, ns, fmt.Sprintf(mutualManifest, ", clientAuthorities: [{name: corp}]", ""))
	eventually(t, time.Minute, "somebody whom it has signed is let in", func(context.Context) error { return tryToLogIn(t, ops) })
	figureSeconds(t, "client-authority-trusted", time.Since(named))
	if err := tryToProduce(t, ops, "orders"); !isNotAuthorized(err) {
		t.Errorf("without an ACL: %v", err)
	}
	admin := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside").admin(t)
	acl := kadm.NewACLs().Topics("orders").Operations(kadm.OpWrite, kadm.OpDescribe).
		Allow("User:CN=ops,OU=Team A,O=Example").AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral)
	if _, err := admin.CreateACLs(t.Context(), acl); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "its ACL is in force", func(context.Context) error { return tryToProduce(t, ops, "orders") })
	for what, subject := range map[string]pkix.Name{
		"a node's subject":         {CommonName: "kafka-node", Organization: []string{"castellan"}},
		"the operator's subject":   {CommonName: "castellan-operator", Organization: []string{"castellan"}},
		"the subject of a user's":  {CommonName: "app", Organization: []string{"castellan"}},
		"the name of a super user": {CommonName: "admin"},
	} {
		l := show(subject)
		err := tryToProduce(t, l, "orders")
		if err == nil || what != "the name of a super user" && isNotAuthorized(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	apply(t, ns, fmt.Sprintf(mutualManifest, "", ""))
	eventually(t, time.Minute, "it is trusted no longer", func(context.Context) error {
		if tryToLogIn(t, ops) == nil {
			return errors.New("somebody whom it has signed is let in")
		}
		return nil
	})
	if err := tryToProduce(t, trust, "orders"); err != nil {
		t.Errorf("a user's certificate: %v", err)
	}
	mustLiveOn(t, ns, sharedName, before)
}

// byCertificate is a user's client at the listener mutual.
func byCertificate(t *testing.T, ns, user string) login {
	t.Helper()
	data := secretOf(t, ns, user).Data
	l := login{ca: data["ca.crt"]}.at(t, ns, sharedName, "mutual")
	return l.showing(t, data["user.crt"], data["user.key"])
}

// signsClient makes a client's certificate and its key.
func (i *issuer) signsClient(t *testing.T, subject pkix.Name) (certificate, key []byte) {
	t.Helper()
	own := newECKey(t)
	template := &x509.Certificate{SerialNumber: newSerial(t), Subject: subject,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(12 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, own.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pkcs8(t, own)
}
