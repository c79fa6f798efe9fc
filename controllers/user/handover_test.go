package user

import (
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/render"
)

// waiting makes a KafkaUser of guests that waits for the user that another one holds.
func (w *world) waiting(mechanisms ...v1alpha1.Mechanism) {
	w.T.Helper()
	u := controllertest.FromGuests(newUser("app", 0, mechanisms...))
	u.UID = "uid-of-the-guest"
	w.Apply(u)
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Stalled/Conflict")
}

// pause annotates a KafkaUser.
func (w *world) pause(namespace, name string, on bool) {
	w.T.Helper()
	u := w.userIn(namespace, name)
	u.Annotations = map[string]string{}
	if on {
		u.Annotations[v1alpha1.AnnotationPause] = "true"
	}
	if err := w.Client.Update(w.T.Context(), u); err != nil {
		w.T.Fatal(err)
	}
}

func TestAPausedSuccessorKeepsNobodysCredentialAlive(t *testing.T) {
	w := newGuestWorld(t)
	w.Apply(newUser("app", time.Hour, plain, scram512))
	w.Settle("app")
	leaked := w.password()
	w.waiting(plain, scram512)
	w.pause(controllertest.Guests, "app", true)
	w.Settle("app")
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil || w.login("app", leaked) || len(w.Kafka.ACLSet)+len(w.Kafka.QuotasOf["app"]) != 0 {
		t.Errorf("its object is there (%t), its password opens (%t), or something is left: %v %v", w.user("app") != nil,
			w.login("app", leaked), w.Kafka.ACLSet, w.Kafka.QuotasOf)
	}
	w.mustSay(controllertest.Guests, "app", "Reconciling/Paused")
	w.WantSilence("app")
	w.pause(controllertest.Guests, "app", false)
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Ready")
}

func TestAPausedOwnersUserKeepsNoEvictedGuestIn(t *testing.T) {
	w := newGuestWorld(t, newUser("app", time.Hour, scram512))
	password := w.passwordIn(controllertest.Guests, "app")
	ours := newUser("app", 0, scram512)
	ours.UID = "uid-of-ours"
	ours.Annotations = map[string]string{v1alpha1.AnnotationPause: "true"}
	w.Apply(ours)
	w.ChangeCluster(superUser("app"))
	w.Settle("app")
	if w.login("app", password) {
		t.Error("the evicted guest logs in")
	}
	w.mustSay(controllertest.Guests, "app", "Stalled/SuperUserElsewhere")
	w.wantUser("app", "Reconciling/Paused")
	w.WantSilence("app")
}

func TestAHandoverThatHasBegunEndsAlsoWhereTheSuccessorIsPausedMeanwhile(t *testing.T) {
	w := newGuestWorld(t)
	w.Apply(newUser("app", time.Hour, plain))
	w.Settle("app")
	before := w.password()
	w.waiting(plain)
	file := "update " + render.PlainUsersSecret(controllertest.ClusterKey.Name)
	w.Failing[file] = overQuota("secrets", "file")
	w.Remove(w.user("app"))
	_ = w.Once("app")
	w.Clock.Move(2 * time.Second)
	_ = w.Once("app")
	if w.userIn(controllertest.Guests, "app").Status.Credentials == nil || w.user("app") == nil {
		t.Fatal("it has not begun, or has ended")
	}
	w.pause(controllertest.Guests, "app", true)
	delete(w.Failing, file)
	w.Settle("app")
	if w.user("app") != nil || w.login("app", before) ||
		!w.login("app", w.passwordIn(controllertest.Guests, "app")) {
		t.Error("it hangs, or who has gone logs in, or its successor does not")
	}
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Reconciling/Paused")
}

func TestADeletedUserDoesNotDependOnWhatASuccessorElsewhereLacks(t *testing.T) {
	w := newGuestWorld(t)
	w.Apply(newUser("app", time.Hour, scram512))
	w.Settle("app")
	leaked := w.password()
	w.waiting(scram512)
	w.Failing["create app-kafka"] = overQuota("secrets", "app-kafka")
	w.Remove(w.user("app"))
	for range 5 {
		_ = w.Once("app")
		w.Clock.Move(2 * time.Second)
	}
	if w.user("app") != nil || w.login("app", leaked) {
		t.Error("it hangs, or logs in")
	}
	w.mustSay(controllertest.Guests, "app", "Reconciling/Retrying", "exceeded quota")
	clear(w.Failing)
	w.LookAgain(time.Minute)
	w.mustSay(controllertest.Guests, "app", "Ready")
}
