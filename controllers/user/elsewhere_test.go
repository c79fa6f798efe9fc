package user

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/users"
)

const distinguished = "CN=app,OU=Team A,O=Example"

func fromElsewhere() *v1alpha1.KafkaUser {
	u := newUser("app", time.Hour, v1alpha1.MechanismExternal)
	u.Spec.Name = distinguished
	return u
}

func TestAUserFromElsewhereHasACLsAndQuotasAndNoCredential(t *testing.T) {
	certificates := controllertest.ReadyExternal()
	certificates.Spec.External.Authentication.Mechanism = v1alpha1.ExternalTLSCertificate
	for name, cluster := range map[string]*v1alpha1.KafkaCluster{
		"own": controllertest.ReadyCluster(2, inside, outside), "external": controllertest.ReadyExternal(),
		"external, where nobody logs in by SASL": certificates,
	} {
		t.Run(name, func(t *testing.T) {
			w := newUsersOf(t, cluster.DeepCopy())
			w.AccessTo.Username = "castellan"
			w.Apply(fromElsewhere())
			w.Settle(distinguished)
			w.wantUser("app", "Ready")
			u := w.user("app")
			const says = "its credential is not the operator's"
			if got := controllertest.Message(u.Status.Conditions); !strings.Contains(got, says) {
				t.Error(got)
			}
			if c := u.Status.Credentials; c.PasswordHash != "" || len(c.ProvenOn) != 0 || len(c.Mechanisms) != 1 {
				t.Errorf("on record is %+v", c)
			}
			if w.aclsOf(distinguished) != 2 || len(w.Kafka.QuotasOf[distinguished]) != 1 || len(w.Kafka.Scram) != 0 {
				t.Errorf("Kafka has %v %v %v", w.Kafka.ACLSet, w.Kafka.QuotasOf, w.Kafka.Scram)
			}
			secret := w.secret("app-kafka")
			if secret["bootstrap.servers"] == "" || secret["security.protocol"] == "" {
				t.Errorf("%v", secret)
			}
			for key := range secret {
				if strings.Contains(key, "sasl") || key == "username" || key == users.PasswordKey {
					t.Errorf("its Secret has %s", key)
				}
			}
			w.WantSilence(distinguished)
			w.restart()
			w.WantSilence(distinguished)
			w.Remove(w.user("app"))
			w.Settle(distinguished)
			if w.user("app") != nil || w.aclsOf(distinguished) != 0 || len(w.Kafka.QuotasOf[distinguished]) != 0 {
				t.Errorf("it is held, or left are %v %v", w.Kafka.ACLSet, w.Kafka.QuotasOf)
			}
		})
	}
}

func TestAUserFromElsewhereNeedsNoScramOfKafka(t *testing.T) {
	w := newUsersOf(t, controllertest.ReadyExternal(kafka.FeatureScram))
	w.AccessTo.Username = "castellan"
	w.Kafka.Forbidden["scram"] = true // such a Kafka has no word for it
	other := newUser("other", time.Hour, v1alpha1.MechanismScram512)
	w.Apply(fromElsewhere(), other)
	w.Settle(distinguished, "other")
	w.wantUser("app", "Ready")
	w.wantUser("other", "Stalled/KafkaTooOld")
	w.Remove(w.user("app"))
	w.Settle(distinguished)
	if w.user("app") != nil || w.aclsOf(distinguished) != 0 {
		t.Error("it is held")
	}
}

func TestFromAPasswordToElsewhereAndBack(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
	w.Settle("app")
	w.mountAll(2)
	w.Settle("app")
	w.wantUser("app", "Ready")
	to := func(m ...v1alpha1.Mechanism) {
		w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Authentication.Mechanisms = m })
		w.Settle("app")
	}
	to(v1alpha1.MechanismExternal)
	w.wantUser("app", "Ready")
	file := w.secret(render.PlainUsersSecret(controllertest.ClusterKey.Name))[render.UsersEntry]
	if len(w.Kafka.Scram["app"]) != 0 || strings.Contains(file, "\napp:") {
		t.Errorf("a credential stays: %v %q", w.Kafka.Scram, file)
	}
	if secret := w.secret("app-kafka"); secret[users.PasswordKey] != "" || secret["bootstrap.servers"] == "" {
		t.Errorf("%v", secret)
	}
	if w.aclsOf("app") != 2 {
		t.Errorf("Kafka has %v", w.Kafka.ACLSet)
	}
	w.WantSilence("app")
	to(v1alpha1.MechanismScram512)
	w.wantUser("app", "Ready")
	c := w.user("app").Status.Credentials
	if w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password != w.secret("app-kafka")[users.PasswordKey] ||
		c.PasswordHash == "" || len(c.ProvenOn) != 2 || slices.ContainsFunc(c.Mechanisms,
		func(s v1alpha1.CredentialStatus) bool { return s.Mechanism == v1alpha1.MechanismExternal || s.Leaving }) {
		t.Errorf("%v %+v", w.Kafka.Scram, c)
	}
	w.WantSilence("app")
}

// Its former credential is nobody's any more, also while Kafka has it yet.
func TestASecretHoldsNoCredentialOnceThatComesFromElsewhere(t *testing.T) {
	for name, from := range map[string]v1alpha1.Mechanism{
		"a password": v1alpha1.MechanismScram512, "a password in the file": v1alpha1.MechanismPlain, "a certificate": byTLS,
	} {
		t.Run(name, func(t *testing.T) {
			w := newCertificateWorld(t, 1)
			w.Apply(newUser("app", time.Hour, from))
			w.Settle("app")
			w.changeUser("app", func(u *v1alpha1.KafkaUser) {
				u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismExternal}
			})
			_ = w.Once("app")
			secret := w.secret("app-kafka")
			for _, entry := range []string{users.PasswordKey, users.CertificateEntry, users.CertificateKeyEntry, "username"} {
				if secret[entry] != "" {
					t.Errorf("it holds %s", entry)
				}
			}
		})
	}
}

func TestAUserFromElsewhereIsNoSuperUser(t *testing.T) {
	for name, authorization := range map[string]v1alpha1.Authorization{
		"root":       {SuperUsers: []string{"root"}},
		"oidc:admin": {FederatedSuperUsers: []string{"oidc:admin"}},
	} {
		w := newUserWorld(t, 1)
		authorization.Type = v1alpha1.AuthorizationSimple
		w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Authorization = &authorization })
		u := fromElsewhere()
		u.Spec.Name = name
		w.Apply(u)
		w.Settle(name)
		w.wantUser("app", "Stalled/PrincipalRefused")
		if len(w.Kafka.ACLSet) != 0 || len(w.secret("app-kafka")) != 0 {
			t.Errorf("%s: %v", name, w.Kafka.ACLSet)
		}
		w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
			c.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple}
		})
		w.Settle(name)
		w.wantUser("app", "Ready")
	}
}

func TestAGuestIsNoSuperUserFromElsewhere(t *testing.T) {
	w := newUserWorld(t, 1)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		controllertest.Admit(c)
		c.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple,
			FederatedSuperUsers: []string{"CN=ops,O=Example"}}
	})
	u := fromElsewhere()
	u.Spec.Name = "CN=ops,O=Example"
	w.Apply(controllertest.GuestNamespace(), controllertest.FromGuests(u))
	w.Settle(u.Spec.Name)
	w.mustSay(controllertest.Guests, "app", "Stalled/SuperUserElsewhere", "spec.name")
	if len(w.Kafka.ACLSet)+len(w.Kafka.QuotasOf) != 0 {
		t.Errorf("%v %v", w.Kafka.ACLSet, w.Kafka.QuotasOf)
	}
}

func TestAUserFromElsewhereIsNotTheOperatorsOwn(t *testing.T) {
	cluster := controllertest.ReadyExternal()
	cluster.Spec.External.Authentication.Mechanism = v1alpha1.ExternalTLSCertificate
	w := newUsersOf(t, cluster)
	authority, err := pki.NewAuthority("ca", controllertest.TestStart)
	if err != nil {
		t.Fatal(err)
	}
	own, err := pki.Issue(authority, pki.Request{CommonName: "app", Organization: "Example",
		Usages: pki.Usages{Client: true}, ValidFor: time.Hour}, controllertest.TestStart)
	if err != nil {
		t.Fatal(err)
	}
	w.AccessTo.Certificate = own.CertPEM
	u := fromElsewhere()
	u.Spec.Name = "CN=app,O=Example"
	w.Apply(u)
	w.Settle(u.Spec.Name)
	w.wantUser("app", "Stalled/OperatorsOwnUser")
	if len(w.Kafka.ACLSet) != 0 {
		t.Errorf("%v", w.Kafka.ACLSet)
	}
}

func TestAForeignSecretIsLeftAloneByAUserFromElsewhere(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	var own corev1.Secret
	key := controllertest.ObjectKey(controllertest.ClusterKey.Namespace, "app-kafka")
	if err := w.Client.Get(t.Context(), key, &own); err != nil {
		t.Fatal(err)
	}
	own.Labels = nil
	if err := w.Client.Update(t.Context(), &own); err != nil {
		t.Fatal(err)
	}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) {
		u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismExternal}
	})
	w.Settle("app")
	w.wantUser("app", "Stalled/SecretConflict")
	if w.secret("app-kafka")[users.PasswordKey] == "" {
		t.Error("what is somebody else's was changed")
	}
}
