package cluster

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/pki"
)

// certified is a broker for whose listener its owner provides the certificate.
type certified struct {
	*broker
	corporate pki.Authority
}

var forListener = map[string]string{v1alpha1.LabelUse: v1alpha1.UseListenerCertificate}

// covering names all that clients of the listener are told.
var covering = []string{"*.events-nodes.shop.svc.cluster.local", "events-clients.shop.svc.cluster.local"}

func aCertified(t *testing.T) *certified {
	t.Helper()
	c := &certified{broker: aBroker(t)}
	var err error
	if c.corporate, err = pki.NewAuthority("corporate", c.now); err != nil {
		t.Fatal(err)
	}
	return c
}

// provide writes the Secret as cert-manager does: all three keys in place.
func (c *certified) provide(labels map[string]string, names ...string) *corev1.Secret {
	c.Helper()
	leaf, err := pki.Issue(c.corporate, pki.Request{CommonName: "kafka", DNSNames: names,
		Usages: pki.Usages{Server: true}, ValidFor: 90 * 24 * time.Hour}, c.now)
	if err != nil {
		c.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: named("web", labels), Type: corev1.SecretTypeTLS, Data: map[string][]byte{
		pki.TLSCertificate: leaf.CertPEM, pki.TLSKey: leaf.KeyPEM, pki.TLSAuthority: c.corporate.CertPEM}}
	c.write(secret)
	return secret
}

func (c *certified) write(secret *corev1.Secret) {
	c.Helper()
	if err := c.api.Update(c.Context(), secret); client.IgnoreNotFound(err) != nil {
		c.Fatal(err)
	} else if err != nil {
		if err := c.api.Create(c.Context(), secret); err != nil {
			c.Fatal(err)
		}
	}
}

// ask names the Secret in the spec, or takes it out.
func (c *certified) ask(name string) {
	c.Helper()
	cluster := &v1alpha1.KafkaCluster{}
	c.get("events", cluster)
	cluster.Spec.Listeners[0].TLS = nil
	if name != "" {
		cluster.Spec.Listeners[0].TLS = &v1alpha1.ListenerTLS{CertificateSecret: &v1alpha1.SecretName{Name: name}}
	}
	if err := c.api.Update(c.Context(), cluster); err != nil {
		c.Fatal(err)
	}
}

func (c *certified) status() v1alpha1.ListenerStatus {
	c.Helper()
	cluster := &v1alpha1.KafkaCluster{}
	c.get("events", cluster)
	return cluster.Status.Listeners[0]
}

func (c *certified) shows(secret *corev1.Secret) bool {
	first, err := pki.Leaf{CertPEM: secret.Data[pki.TLSCertificate]}.Certificate()
	return err == nil && c.read.Equal(first)
}

// revisions are the names of all that nodes run.
func (c *certified) revisions() []string {
	c.Helper()
	list := &corev1.ConfigMapList{}
	if err := c.api.List(c.Context(), list, client.InNamespace("shop")); err != nil {
		c.Fatal(err)
	}
	var names []string
	for _, m := range list.Items {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

func TestACertificateThatItsOwnerProvidesReachesARunningBrokerAndGoesAgain(t *testing.T) {
	c := aCertified(t)
	own, before := c.read, c.revisions()
	internal := &corev1.Secret{}
	c.get("events-main-internal", internal)
	first := c.provide(forListener, covering...)
	c.ask("web")
	c.passes(time.Minute)
	if !c.shows(first) || strings.TrimSpace(c.status().CACertificates) != strings.TrimSpace(string(c.corporate.CertPEM)) {
		t.Fatalf("it shows it: %t; it says %q, and clients trust %q", c.shows(first), c.said(), c.status().CACertificates)
	}
	c.now = c.now.Add(40 * 24 * time.Hour)
	second := c.provide(forListener, covering...)
	c.passes(2 * time.Second)
	if !c.shows(second) {
		t.Fatalf("it does not show the renewed one; it says %q", c.said())
	}
	c.passes(10 * time.Minute)
	asked, pool := c.asked(), &corev1.Secret{}
	c.get("events-main-listeners", pool)
	c.passes(10 * time.Minute)
	after := &corev1.Secret{}
	if c.get("events-main-listeners", after); after.ResourceVersion != pool.ResourceVersion || c.asked() != asked {
		t.Error("at rest it is written, or the broker is asked")
	}
	c.ask("")
	c.passes(time.Minute)
	if c.read.Equal(own) || c.read.Issuer.CommonName != own.Issuer.CommonName || c.status().CACertificates != "" {
		t.Errorf("it shows what %s has signed, and clients trust %q", c.read.Issuer, c.status().CACertificates)
	}
	if now := c.revisions(); !slices.Equal(now, before) {
		t.Errorf("nodes are to run other files: %v, before %v", now, before)
	}
	again := &corev1.Secret{}
	if c.get("events-main-internal", again); !bytes.Equal(again.Data[pki.AuthorityCertificate],
		internal.Data[pki.AuthorityCertificate]) || !bytes.Equal(again.Data["0.pem"], internal.Data["0.pem"]) {
		t.Error("the nodes among themselves trust or present something else")
	}
}

func TestASecretThatCannotBeUsedIsNamedAndTheFormerCertificateGoesOn(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c *certified)
		want   string
	}{
		"it names other brokers": {func(c *certified) { c.provide(forListener, "*.elsewhere.example.com") },
			"does not name events-clients.shop.svc.cluster.local"},
		"nobody has labelled it": {func(c *certified) { c.provide(nil, covering...) },
			"kubectl label secret web kafka.castellan.dev/use=listener-certificate"},
		"it is labelled for another use": {func(c *certified) {
			c.provide(map[string]string{v1alpha1.LabelUse: v1alpha1.UseExternalCluster}, covering...)
		}, "is not read"},
		"its key is another one": {func(c *certified) {
			secret := c.provide(forListener, covering...)
			other := c.provide(forListener, covering...)
			secret.Data[pki.TLSKey], secret.ResourceVersion = other.Data[pki.TLSKey], other.ResourceVersion
			c.write(secret)
		}, "tls.key is not the key of the certificate"},
		"it is gone": {func(c *certified) {
			if err := c.api.Delete(c.Context(), &corev1.Secret{ObjectMeta: named("web", nil)}); err != nil {
				c.Fatal(err)
			}
		}, `there is no Secret "web" in the namespace`},
	} {
		t.Run(name, func(t *testing.T) {
			c := aCertified(t)
			good := c.provide(forListener, covering...)
			c.ask("web")
			c.passes(time.Minute)
			if !c.shows(good) {
				t.Fatal(c.said())
			}
			test.change(c)
			said := c.passes(time.Minute)
			if !c.shows(good) || !strings.Contains(said, test.want) ||
				!strings.Contains(said, "spec.listeners[clients].tls.certificateSecret.name") {
				t.Errorf("it shows the former: %t; it says %q, expected %q", c.shows(good), said, test.want)
			}
			if strings.Contains(c.told()+said, "PRIVATE") {
				t.Error("a key is told")
			}
			renewed := c.provide(forListener, covering...)
			if c.passes(time.Minute); !c.shows(renewed) {
				t.Errorf("the right one is not shown: %s", c.said())
			}
		})
	}
}

// What is not there yet keeps no broker from starting, and needs no restart when it comes.
func TestUntilTheSecretIsThereTheClustersOwnAuthoritySigns(t *testing.T) {
	c := aCertified(t)
	own := c.read
	c.ask("web")
	if said := c.passes(time.Minute); !c.read.Equal(own) || !strings.Contains(said, `there is no Secret "web"`) {
		t.Fatalf("it shows what %s has signed, and says %q", c.read.Issuer, said)
	}
	secret := c.provide(forListener, covering...)
	if c.passes(time.Minute); !c.shows(secret) {
		t.Errorf("it does not show it: %s", c.said())
	}
}

func TestUsersTrustAnotherAuthorityBeforeABrokerShowsIt(t *testing.T) {
	c := aCertified(t)
	user := &v1alpha1.KafkaUser{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app", Labels: copied},
		Spec:   v1alpha1.KafkaUserSpec{ClusterRef: v1alpha1.ClusterRef{Name: "events"}},
		Status: v1alpha1.KafkaUserStatus{Binding: &v1alpha1.Binding{Name: "app-kafka"}}}
	theirs := &corev1.Secret{ObjectMeta: named("app-kafka", copied), Data: map[string][]byte{
		"bootstrap.servers.clients": []byte("x"), "ca.crt": []byte("")}}
	for _, o := range []client.Object{user, theirs} {
		if err := c.api.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	own, secret := c.read, c.provide(forListener, covering...)
	c.ask("web")
	said := c.passes(time.Minute)
	if !c.read.Equal(own) || !strings.Contains(said, `Secret "app-kafka" of KafkaUser shop/app holds`) {
		t.Fatalf("a client does not trust it, and it shows what %s has signed: %s", c.read.Issuer, said)
	}
	if n := strings.Count(c.status().CACertificates, "BEGIN CERTIFICATE"); n != 2 {
		t.Fatalf("users are told of %d authorities", n)
	}
	theirs.Data["ca.crt"] = []byte(c.status().CACertificates)
	c.write(theirs)
	if c.passes(time.Minute); !c.shows(secret) {
		t.Errorf("every client trusts it, and it is not shown: %s", c.said())
	}
}

// A guest's Secret that is never written delays another authority for the window, also when the operator starts anew.
func TestASecretThatIsNeverWrittenHoldsAnotherAuthorityForADayAtMost(t *testing.T) {
	for name, test := range map[string]struct {
		spoil  func(u *v1alpha1.KafkaUser)
		window *int32
		shows  [2]bool // after a minute, and after a day
		told   bool    // who is left
	}{
		"it is not written": {func(*v1alpha1.KafkaUser) {}, nil, [2]bool{false, true}, true},
		"its user is paused": {func(u *v1alpha1.KafkaUser) {
			u.Annotations = map[string]string{v1alpha1.AnnotationPause: "true"}
		}, nil, [2]bool{true, true}, false},
		"its user is paused by a word that is misspelt": {func(u *v1alpha1.KafkaUser) {
			u.Annotations = map[string]string{v1alpha1.AnnotationPause: "ture"}
		}, nil, [2]bool{true, true}, false},
		"its user is stalled": {func(u *v1alpha1.KafkaUser) {
			u.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue}}
		}, nil, [2]bool{true, true}, false},
		"its user goes": {func(u *v1alpha1.KafkaUser) { u.Finalizers = []string{"example.com/kept"} }, nil,
			[2]bool{true, true}, false},
		"its user is another cluster's": {func(u *v1alpha1.KafkaUser) { u.Spec.ClusterRef.Name = "another" }, nil,
			[2]bool{true, true}, false},
		"nobody is to be waited for": {func(*v1alpha1.KafkaUser) {}, new(int32), [2]bool{true, true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := aCertified(t)
			user := &v1alpha1.KafkaUser{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app", Labels: copied},
				Spec:   v1alpha1.KafkaUserSpec{ClusterRef: v1alpha1.ClusterRef{Name: "events"}},
				Status: v1alpha1.KafkaUserStatus{Binding: &v1alpha1.Binding{Name: "app-kafka"}}}
			test.spoil(user)
			theirs := &corev1.Secret{ObjectMeta: named("app-kafka", copied), Data: map[string][]byte{
				"bootstrap.servers.clients": []byte("x"), "ca.crt": []byte("")}}
			for _, o := range []client.Object{user, theirs} {
				if err := c.api.Create(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			if len(user.Finalizers) > 0 {
				if err := c.api.Delete(t.Context(), user); err != nil {
					t.Fatal(err)
				}
			}
			cluster := &v1alpha1.KafkaCluster{}
			c.get("events", cluster)
			cluster.Spec.TrustWindowSeconds = test.window
			if err := c.api.Update(t.Context(), cluster); err != nil {
				t.Fatal(err)
			}
			secret := c.provide(forListener, covering...)
			c.ask("web")
			if c.passes(time.Minute); c.shows(secret) != test.shows[0] {
				t.Fatalf("after a minute it is shown: %t; %s", !test.shows[0], c.said())
			}
			c.now = c.now.Add(24*time.Hour - 30*time.Second)
			c.under.proofs = proofs{} // another operator leads
			if c.passes(time.Minute); c.shows(secret) != test.shows[1] {
				t.Fatalf("after a day it is shown: %t; %s", !test.shows[1], c.said())
			}
			c.get("events", cluster)
			warning := meta.FindStatusCondition(cluster.Status.Conditions, v1alpha1.ConditionWarning)
			told := warning != nil && strings.Contains(warning.Message, `Secret "app-kafka" of KafkaUser shop/app`)
			if told != test.told {
				t.Errorf("who is left is told: %t", told)
			}
		})
	}
}

func TestAnAuthorityOfOnesOwnSignsForListenersAlone(t *testing.T) {
	c := aCertified(t)
	c.write(&corev1.Secret{ObjectMeta: named("corporate", map[string]string{v1alpha1.LabelUse: v1alpha1.UseListenerAuthority}),
		Data: map[string][]byte{pki.TLSCertificate: c.corporate.CertPEM, pki.TLSKey: c.corporate.KeyPEM}})
	cluster := &v1alpha1.KafkaCluster{}
	c.get("events", cluster)
	cluster.Spec.ListenerAuthority = &v1alpha1.SecretName{Name: "corporate"}
	if err := c.api.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	c.passes(time.Minute)
	if c.read.Issuer.CommonName != "corporate" || c.read.Subject.CommonName != "kafka-listener" ||
		len(c.read.Subject.Organization) > 0 || len(c.read.ExtKeyUsage) != 1 {
		t.Errorf("it shows %s by %s, for %v: %s", c.read.Subject, c.read.Issuer, c.read.ExtKeyUsage, c.said())
	}
	internal := &corev1.Secret{}
	c.get("events-main-internal", internal)
	if bytes.Contains(internal.Data[pki.AuthorityCertificate], bytes.TrimSpace(c.corporate.CertPEM)) {
		t.Error("the nodes among themselves trust it")
	}
	pool := &corev1.Secret{}
	c.get("events-main-listeners", pool)
	if bytes.Contains(pool.Data["0.clients.pem"], c.corporate.KeyPEM) {
		t.Error("its key is given to the brokers")
	}
}

// Who had left the intermediate authority out adds it, and the certificate itself is the same.
func TestAChainThatIsCompletedReachesARunningBroker(t *testing.T) {
	c := aCertified(t)
	block, _ := pem.Decode(c.corporate.KeyPEM)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	root, err := pki.ParseCertificates(c.corporate.CertPEM)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "middle"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: c.now.Add(-time.Hour),
		NotAfter: c.now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, root[0], key.(crypto.Signer).Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	middle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.corporate.CertPEM = middle
	secret := c.provide(forListener, covering...)
	delete(secret.Data, pki.TLSAuthority) // that of a public authority
	c.write(secret)
	c.ask("web")
	c.passes(time.Minute)
	if !c.shows(secret) || len(c.above) != 0 || !c.status().PublicAuthority {
		t.Fatalf("it shows %d more: %s", len(c.above), c.said())
	}
	secret.Data[pki.TLSCertificate] = append(secret.Data[pki.TLSCertificate], middle...)
	c.write(secret)
	if c.passes(time.Minute); !c.shows(secret) || len(c.above) != 1 {
		t.Errorf("it shows %d more: %s", len(c.above), c.said())
	}
}
