package controllers

import (
	"context"
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func (w *userWorld) userIn(namespace, name string) *v1alpha1.KafkaUser {
	u := &v1alpha1.KafkaUser{}
	if err := w.client.Get(context.Background(), objectKey(namespace, name), u); err != nil {
		return nil
	}
	return u
}

func TestWithdrawnConsentFreezesAUserWhoIsRevokedWhenDeleted(t *testing.T) {
	w := newUserWorld(t, 3)
	w.changeCluster(admit)
	w.apply(guestNamespace(), fromGuests(newUser("app", 0, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512)))
	w.settle("app")
	if got := state(w.userIn(guests, "app").Status.Conditions); got != "Ready" {
		t.Fatalf("%s: %s", got, message(w.userIn(guests, "app").Status.Conditions))
	}
	w.changeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	u := w.userIn(guests, "app")
	u.Spec.ACLs = nil
	u.Generation++
	if err := w.client.Update(context.Background(), u); err != nil {
		t.Fatal(err)
	}
	w.apply(newUser("beside", 0, v1alpha1.MechanismPlain)) // so that the file of PLAIN users is written
	w.settle("app", "beside")
	if got := state(w.userIn(guests, "app").Status.Conditions); got != "Stalled/NotAdmitted" {
		t.Errorf("%s: %s", got, message(w.userIn(guests, "app").Status.Conditions))
	}
	if len(w.kafka.scram["app"]) != 1 || len(w.kafka.acls) != 4 || !strings.Contains(w.secret("events-plain-users")["users"], "app") {
		t.Errorf("scram %v, ACLs %v, PLAIN %q", w.kafka.scram, w.kafka.acls, w.secret("events-plain-users"))
	}
	w.remove(w.userIn(guests, "app"))
	w.settle("app")
	if w.userIn(guests, "app") != nil || len(w.kafka.scram["app"]) != 0 {
		t.Errorf("a deleted user can still log in: %v", w.kafka.scram)
	}
}

func TestASuperUserIsAskedForInTheClustersOwnNamespaceAlone(t *testing.T) {
	w := newUserWorld(t, 3)
	w.changeCluster(func(c *v1alpha1.KafkaCluster) {
		admit(c)
		c.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple, SuperUsers: []string{"root"}}
	})
	w.apply(guestNamespace(), fromGuests(newUser("root", 0, v1alpha1.MechanismScram512)))
	w.settle("root")
	u := w.userIn(guests, "root")
	if got := state(u.Status.Conditions); got != "Stalled/SuperUserElsewhere" || !strings.Contains(message(u.Status.Conditions), "spec.name") {
		t.Errorf("%s: %s", got, message(u.Status.Conditions))
	}
	if len(w.kafka.scram) != 0 {
		t.Errorf("credentials %v", w.kafka.scram)
	}
	w.remove(u)
	ours := newUser("root", 0, v1alpha1.MechanismScram512)
	ours.UID = "uid-of-ours"
	w.apply(ours)
	w.settle("root")
	w.wantUser("root", "Ready")
}
