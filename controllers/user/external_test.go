package user

import (
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func newExternalUserWorld(t *testing.T, cluster *v1alpha1.KafkaCluster) *world {
	t.Helper()
	w := newUsersOf(t, cluster)
	w.AccessTo = external.Access{Username: "castellan", CA: []byte("the CA")}
	return w
}

func TestAUserOfAnExternalClusterHasAllThatAClientNeeds(t *testing.T) {
	w := newExternalUserWorld(t, controllertest.ReadyExternal())
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	w.wantUser("app", "Ready")
	if proven := w.user("app").Status.Credentials.ProvenOn; len(proven) != 3 {
		t.Errorf("proven on %v", proven)
	}
	s := w.secret("app-kafka")
	if s["bootstrap.servers"] != "kafka.example.com:9092" || s["security.protocol"] != "SASL_PLAINTEXT" ||
		s["sasl.mechanism"] != "SCRAM-SHA-512" || s["password"] == "" {
		t.Errorf("%v", s)
	}
	if len(w.Kafka.ACLSet) != 2 || w.Kafka.QuotasOf["app"]["producer_byte_rate"] != 1000 {
		t.Errorf("%v %v", w.Kafka.ACLSet, w.Kafka.QuotasOf)
	}
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil || len(w.Kafka.Scram["app"]) != 0 || len(w.Kafka.ACLSet) != 0 {
		t.Errorf("it is not revoked: %v %v", w.Kafka.Scram, w.Kafka.ACLSet)
	}
}

func TestWhatCannotBeOnAnExternalClusterIsRefusedAndTouchesNothing(t *testing.T) {
	open := controllertest.ReadyExternal()
	open.Spec.External.Authentication = nil
	for _, c := range []struct {
		name, user string
		cluster    *v1alpha1.KafkaCluster
		mechanism  v1alpha1.Mechanism
		want       string
		says       string
	}{
		{"PLAIN", "app", controllertest.ReadyExternal(), v1alpha1.MechanismPlain, "Stalled/MechanismNotOffered",
			"use SCRAM-SHA-512"},
		{"no login at the listener", "app", open, v1alpha1.MechanismScram512, "Stalled/MechanismNotOffered",
			"name a listener with SASL"},
		{"too old", "app", controllertest.ReadyExternal(kafka.FeatureScram), v1alpha1.MechanismScram512,
			"Stalled/KafkaTooOld", "Kafka 3.5"},
		{"the operator's own user", "castellan", controllertest.ReadyExternal(), v1alpha1.MechanismScram512,
			"Stalled/OperatorsOwnUser", "lock itself out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newExternalUserWorld(t, c.cluster)
			w.Kafka.Scram["castellan"] = map[string]controllertest.ScramCredential{
				"SCRAM-SHA-512": {Iterations: 4096, Password: "right"},
			}
			w.Apply(newUser(c.user, time.Hour, c.mechanism))
			w.Settle(c.user)
			w.wantUser(c.user, c.want)
			if text := controllertest.Message(w.user(c.user).Status.Conditions); !strings.Contains(text, c.says) ||
				!strings.HasPrefix(text, "spec.") {
				t.Error(text)
			}
			if w.Kafka.Writes() != 0 || w.secret(c.user+"-kafka") != nil {
				t.Errorf("%d writes to Kafka, Secret %v", w.Kafka.Writes(), w.secret(c.user+"-kafka"))
			}
			w.Remove(w.user(c.user))
			w.Settle(c.user)
			if w.user(c.user) != nil || w.Kafka.Writes() != 0 {
				t.Error("it cannot be deleted, or that touches something")
			}
			if external.Lacks(c.cluster, kafka.FeatureScram) != "" && w.Kafka.Count("scram") != 0 {
				t.Error("Kafka was asked for credentials of which it knows nothing")
			}
		})
	}
}

func TestAUserWhomTheOperatorBecameIsLetGoWithItsCredentials(t *testing.T) {
	u := newUser("castellan", time.Hour, v1alpha1.MechanismScram512)
	u.Finalizers = []string{v1alpha1.Finalizer} // of a time when the operator logged in as another
	w := newExternalUserWorld(t, controllertest.ReadyExternal())
	w.Apply(u)
	w.Kafka.Scram["castellan"] = map[string]controllertest.ScramCredential{"SCRAM-SHA-512": {Iterations: 4096,
		Password: "right"}}
	w.Remove(w.user("castellan"))
	w.Settle("castellan")
	if w.user("castellan") != nil || len(w.Kafka.Scram["castellan"]) != 1 {
		t.Errorf("it is held, or the operator has locked itself out: %v", w.Kafka.Scram)
	}
}
