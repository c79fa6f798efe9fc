package user

import (
	"context"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
)

func (w *world) userIn(namespace, name string) *v1alpha1.KafkaUser {
	u := &v1alpha1.KafkaUser{}
	if err := w.Client.Get(context.Background(), controllertest.ObjectKey(namespace, name), u); err != nil {
		return nil
	}
	return u
}

func TestWithdrawnConsentFreezesAUserWhoIsRevokedWhenDeleted(t *testing.T) {
	w := newUserWorld(t, 3)
	w.ChangeCluster(controllertest.Admit)
	w.Apply(controllertest.GuestNamespace(),
		controllertest.FromGuests(newUser("app", 0, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512)))
	w.Settle("app")
	if got := controllertest.State(w.userIn(controllertest.Guests, "app").Status.Conditions); got != "Ready" {
		t.Fatalf("%s: %s", got, controllertest.Message(w.userIn(controllertest.Guests, "app").Status.Conditions))
	}
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	u := w.userIn(controllertest.Guests, "app")
	u.Spec.ACLs = nil
	u.Generation++
	if err := w.Client.Update(context.Background(), u); err != nil {
		t.Fatal(err)
	}
	w.Apply(newUser("beside", 0, v1alpha1.MechanismPlain)) // so that the file of PLAIN users is written
	w.Settle("app", "beside")
	if got := controllertest.State(w.userIn(controllertest.Guests,
		"app").Status.Conditions); got != "Stalled/NotAdmitted" {
		t.Errorf("%s: %s", got, controllertest.Message(w.userIn(controllertest.Guests, "app").Status.Conditions))
	}
	if len(w.Kafka.Scram["app"]) != 1 || len(w.Kafka.ACLSet) != 4 ||
		!strings.Contains(w.secret("events-plain-users")["users"], "app") {
		t.Errorf("scram %v, ACLs %v, PLAIN %q", w.Kafka.Scram, w.Kafka.ACLSet, w.secret("events-plain-users"))
	}
	w.Remove(w.userIn(controllertest.Guests, "app"))
	w.Settle("app")
	if w.userIn(controllertest.Guests, "app") != nil || len(w.Kafka.Scram["app"]) != 0 {
		t.Errorf("a deleted user can still log in: %v", w.Kafka.Scram)
	}
}

func TestASuperUserIsAskedForInTheClustersOwnNamespaceAlone(t *testing.T) {
	w := newUserWorld(t, 3)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		controllertest.Admit(c)
		c.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple, SuperUsers: []string{"root"}}
	})
	w.Apply(controllertest.GuestNamespace(), controllertest.FromGuests(newUser("root", 0, v1alpha1.MechanismScram512)))
	w.Settle("root")
	u := w.userIn(controllertest.Guests, "root")
	if got := controllertest.State(u.Status.Conditions); got != "Stalled/SuperUserElsewhere" ||
		!strings.Contains(controllertest.Message(u.Status.Conditions), "spec.name") {
		t.Errorf("%s: %s", got, controllertest.Message(u.Status.Conditions))
	}
	if len(w.Kafka.Scram) != 0 {
		t.Errorf("credentials %v", w.Kafka.Scram)
	}
	w.Remove(u)
	ours := newUser("root", 0, v1alpha1.MechanismScram512)
	ours.UID = "uid-of-ours"
	w.Apply(ours)
	w.Settle("root")
	w.wantUser("root", "Ready")
}
