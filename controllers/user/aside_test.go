package user

import (
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
)

// install starts the controller of another installation of the operator.
func (w *world) install(self string) {
	w.Shared.Installation = claim.Installation{Name: self}
	w.Shared.Tenure = func(c *v1alpha1.KafkaCluster) claim.Tenure { return w.Shared.Installation.Of(c.Status.Operator) }
	w.restart()
}

// A user of another operator's cluster is neither made nor taken away, and its credentials are not looked at.
func TestUsersOfAnotherOperatorsClusterAreLeftAlone(t *testing.T) {
	w := newUserWorld(t, 1)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Status.Operator = "a/castellan" })
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.install("b/castellan")
	if err := w.Once("app"); err != nil {
		t.Fatal(err)
	}
	if w.APIWrites() != 0 || len(w.Kafka.Requests) != 0 || w.Logins != 0 {
		t.Fatalf("%v, %v, %d logins", w.Requests, w.Kafka.Requests, w.Logins)
	}
	w.install("a/castellan")
	w.Settle("app")
	w.wantUser("app", "Ready")
	if got := w.user("app").Status.Operator; got != "a/castellan" {
		t.Errorf("status.operator is %q", got)
	}
	w.WantSilence("app")

	w.Remove(w.user("app"))
	w.install("b/castellan")
	w.Reset()
	w.Settle("app")
	if w.user("app") == nil || len(w.Kafka.Requests) != 0 {
		t.Fatal("another operator has let the user go, or taken it away")
	}
	w.install("a/castellan")
	w.Settle("app")
	if w.user("app") != nil || len(w.Kafka.Scram["app"]) != 0 {
		t.Error("its own operator leaves it")
	}
}
