package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
)

func newExternalUserWorld(t *testing.T, cluster *v1alpha1.KafkaCluster) *userWorld {
	t.Helper()
	w := newUsersOf(t, cluster)
	w.access = external.Access{Username: "castellan", CA: []byte("the CA")}
	return w
}

func TestAUserOfAnExternalClusterHasAllThatAClientNeeds(t *testing.T) {
	w := newExternalUserWorld(t, readyExternal())
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.settle("app")
	w.wantUser("app", "Ready")
	if proven := w.user("app").Status.Credentials.ProvenOn; len(proven) != 3 {
		t.Errorf("proven on %v", proven)
	}
	s := w.secret("app-kafka")
	if s["bootstrap.servers"] != "kafka.example.com:9092" || s["security.protocol"] != "SASL_PLAINTEXT" || s["sasl.mechanism"] != "SCRAM-SHA-512" || s["password"] == "" {
		t.Errorf("%v", s)
	}
	if len(w.kafka.acls) != 2 || w.kafka.quotas["app"]["producer_byte_rate"] != 1000 {
		t.Errorf("%v %v", w.kafka.acls, w.kafka.quotas)
	}
	w.remove(w.user("app"))
	w.settle("app")
	if w.user("app") != nil || len(w.kafka.scram["app"]) != 0 || len(w.kafka.acls) != 0 {
		t.Errorf("it is not revoked: %v %v", w.kafka.scram, w.kafka.acls)
	}
}

func TestWhatCannotBeOnAnExternalClusterIsRefusedAndTouchesNothing(t *testing.T) {
	open := readyExternal()
	open.Spec.External.Authentication = nil
	for _, c := range []struct {
		name, user string
		cluster    *v1alpha1.KafkaCluster
		mechanism  v1alpha1.Mechanism
		want       string
		says       string
	}{
		{"PLAIN", "app", readyExternal(), v1alpha1.MechanismPlain, "Stalled/MechanismNotOffered", "use SCRAM-SHA-512"},
		{"no login at the listener", "app", open, v1alpha1.MechanismScram512, "Stalled/MechanismNotOffered", "name a listener with SASL"},
		{"too old", "app", readyExternal(kafka.FeatureScram), v1alpha1.MechanismScram512, "Stalled/KafkaTooOld", "Kafka 3.5"},
		{"the operator's own user", "castellan", readyExternal(), v1alpha1.MechanismScram512, "Stalled/OperatorsOwnUser", "lock itself out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newExternalUserWorld(t, c.cluster)
			w.kafka.scram["castellan"] = map[string]scramCredential{"SCRAM-SHA-512": {4096, "right"}}
			w.apply(newUser(c.user, time.Hour, c.mechanism))
			w.settle(c.user)
			w.wantUser(c.user, c.want)
			if text := message(w.user(c.user).Status.Conditions); !strings.Contains(text, c.says) || !strings.HasPrefix(text, "spec.") {
				t.Error(text)
			}
			if w.kafka.writes() != 0 || w.secret(c.user+"-kafka") != nil {
				t.Errorf("%d writes to Kafka, Secret %v", w.kafka.writes(), w.secret(c.user+"-kafka"))
			}
			w.remove(w.user(c.user))
			w.settle(c.user)
			if w.user(c.user) != nil || w.kafka.writes() != 0 {
				t.Error("it cannot be deleted, or that touches something")
			}
			if external.Lacks(c.cluster, kafka.FeatureScram) != "" && w.kafka.count("scram") != 0 {
				t.Error("Kafka was asked for credentials of which it knows nothing")
			}
		})
	}
}

func TestAUserWhomTheOperatorBecameIsLetGoWithItsCredentials(t *testing.T) {
	u := newUser("castellan", time.Hour, v1alpha1.MechanismScram512)
	u.Finalizers = []string{v1alpha1.Finalizer} // of a time when the operator logged in as another
	w := newExternalUserWorld(t, readyExternal())
	w.apply(u)
	w.kafka.scram["castellan"] = map[string]scramCredential{"SCRAM-SHA-512": {4096, "right"}}
	w.remove(w.user("castellan"))
	w.settle("castellan")
	if w.user("castellan") != nil || len(w.kafka.scram["castellan"]) != 1 {
		t.Errorf("it is held, or the operator has locked itself out: %v", w.kafka.scram)
	}
}
