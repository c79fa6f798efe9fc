package user

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/render"
)

// These faults have been seen in other operators of Kafka.

// An object that is deleted may stay for long, because somebody else has a finalizer on it, and Kubernetes may delete
// its Secret meanwhile.
func TestAUserThatSomebodyElseHoldsWhileItIsDeletedIsNotMadeAgain(t *testing.T) {
	for name, secretGoes := range map[string]string{"the Secret is there": "", "its Secret goes first": "before",
		"its Secret goes afterwards": "after"} {
		t.Run(name, func(t *testing.T) {
			w := newCertificateWorld(t, 2)
			u := newUser("app", time.Hour, plain, scram512, byTLS)
			u.Finalizers = []string{metav1.FinalizerDeleteDependents}
			w.Apply(u)
			w.Settle("app")
			w.wantUser("app", "Ready")
			if secretGoes == "before" {
				w.withdraw("app-kafka")
			}
			w.Remove(w.user("app"))
			w.Settle("app")
			if secretGoes == "after" {
				w.withdraw("app-kafka")
			}
			for range 2 {
				w.Settle("app")
				if left := w.user("app"); left == nil || !slices.Equal(left.Finalizers, u.Finalizers) {
					t.Fatalf("%+v", left)
				}
				if len(w.Kafka.Scram["app"])+len(w.Kafka.ACLSet)+len(w.Kafka.QuotasOf["app"])+len(w.listed("app")) != 0 ||
					strings.Contains(string(w.Files()[render.UsersEntry]), "app:") {
					t.Errorf("Kafka has %v %v %v, the file %s", w.Kafka.Scram, w.Kafka.ACLSet, w.Kafka.QuotasOf,
						w.Files()[render.UsersEntry])
				}
				if there := w.secret("app-kafka") != nil; there != (secretGoes == "") {
					t.Errorf("that there is a Secret is %t", there)
				}
				w.WantSilence("app")
				w.restart()
			}
		})
	}
}

// A cluster that is deleted and made again under its name has another authority, and nothing in Kafka.
func TestAUserOfAClusterThatWasMadeAgainHasWhatOpensTheNewOne(t *testing.T) {
	w := newCertificateWorld(t, 2)
	w.Apply(newUser("app", time.Hour, plain, scram512, byTLS))
	w.Settle("app")
	w.wantUser("app", "Ready")
	before, password := w.held("app"), w.secret("app-kafka")["password"]
	for _, name := range []string{"events-clients-ca", "events-ca", "events-plain-users"} {
		w.withdraw(name)
	}
	w.Kafka.Scram, w.Kafka.ACLSet = map[string]map[string]controllertest.ScramCredential{}, map[kafka.ACL]bool{}
	w.Kafka.QuotasOf = map[string]map[string]float64{}
	w.Clock.Move(time.Hour)
	w.Apply(w.AuthorityIn("events-ca"), w.AuthorityIn("events-clients-ca"))
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Status.ClusterID = "incarnation-2" })
	w.Settle("app")
	w.wantUser("app", "Ready")
	if now := w.held("app"); string(now.CertPEM) == string(before.CertPEM) || !w.admits("app", now) || w.admits("app", before) {
		t.Error("the certificate is the one of the cluster before")
	}
	w.wantPassword("in the new one", password, plain, scram512)
	if c := w.user("app").Status.Credentials; c.ClusterID != "incarnation-2" || len(c.ProvenOn) != 2 ||
		len(w.Kafka.ACLSet) != 2 || len(w.Kafka.QuotasOf["app"]) != 1 {
		t.Errorf("%+v, Kafka has %v %v", c, w.Kafka.ACLSet, w.Kafka.QuotasOf)
	}
	w.WantSilence("app")
}

// A namespace may be deleted while its users are being made: Kubernetes refuses whatever is to be created in it.
func TestAUserWhoseNamespaceGoesBeforeItHasASecretIsReleased(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, plain, scram512))
	w.Failing["create app-kafka"] = errors.New("unable to create new content in namespace shop because it is being terminated")
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/Retrying")
	if len(w.user("app").Finalizers) != 1 {
		t.Fatal("it has not begun")
	}
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil || len(w.Kafka.Scram["app"]) != 0 {
		t.Errorf("the finalizer hangs: %+v", w.user("app"))
	}
}

// Kafka has ACLs on resources that no KafkaUser can name. Those of others are not the operator's, and with Exact all of
// a user's own are.
func TestACLsOnResourcesThatNoRuleNamesHoldNobodyUp(t *testing.T) {
	w := newUserWorld(t, 1)
	on := func(principal, resource, operation string) kafka.ACL {
		return kafka.ACL{Principal: principal, Host: "*", ResourceType: resource, ResourceName: "x", Pattern: "Literal",
			Operation: operation, Permission: "Allow"}
	}
	foreign := []kafka.ACL{on("User:else", "DelegationToken", "Describe"), on("User:else", "User", "CreateTokens"),
		on("User:else", "#9", "#99"), on("Group:app", "Topic", "Read")}
	own := []kafka.ACL{on("User:app", "DelegationToken", "Describe"), on("User:app", "#9", "#99")}
	w.Apply(newUser("app", time.Hour, scram512))
	w.Settle("app")
	for _, a := range slices.Concat(foreign, own) {
		w.Kafka.ACLSet[a] = true
	}
	w.Settle("app")
	w.wantUser("app", "Ready")
	if w.Kafka.ACLSet[own[0]] || !w.Kafka.ACLSet[own[1]] {
		t.Errorf("%v", w.Kafka.ACLSet)
	}
	w.WantSilence("app")
	w.Remove(w.user("app"))
	w.Settle("app")
	for _, a := range foreign {
		if !w.Kafka.ACLSet[a] {
			t.Errorf("%v is gone", a)
		}
	}
	if w.user("app") != nil {
		t.Error("it hangs")
	}
}
