package user

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// What a successor asks for tells nothing of what else whoever was before logged in by.
func TestWhoHandsAUserOverStaysUntilEveryBrokerRefusesItByWhatTheSuccessorLacks(t *testing.T) {
	for name, c := range map[string]struct {
		from, to []v1alpha1.Mechanism
		restarts bool
		says     string
	}{
		"a password": {from: []v1alpha1.Mechanism{plain}, to: []v1alpha1.Mechanism{scram512},
			says: "PLAIN on broker 1: it has not read the file of PLAIN users as it is now"},
		"a password, of a file whose marker nobody knows any more": {from: []v1alpha1.Mechanism{plain, scram512},
			to: []v1alpha1.Mechanism{scram512}, restarts: true,
			says: "PLAIN on broker 1: it has not read the file of PLAIN users as it is now"},
		"a certificate": {from: []v1alpha1.Mechanism{byTLS}, to: []v1alpha1.Mechanism{plain},
			says: "TLS on broker 1: it has not read the list of certificates as it is now"},
		"a certificate, of a list whose marker nobody knows any more": {from: []v1alpha1.Mechanism{scram512, byTLS},
			to: []v1alpha1.Mechanism{scram512}, restarts: true,
			says: "TLS on broker 1: it has not read the list of certificates as it is now"},
		"a certificate, to one that logs in elsewhere": {from: []v1alpha1.Mechanism{scram512, byTLS},
			to:   []v1alpha1.Mechanism{v1alpha1.MechanismExternal},
			says: "TLS on broker 1: it has not read the list of certificates as it is now"},
		"a certificate, to one with another": {from: []v1alpha1.Mechanism{byTLS}, to: []v1alpha1.Mechanism{byTLS},
			says: "TLS on broker 1: it has not read the list of certificates as it is now"},
		"a password, to one that logs in elsewhere": {from: []v1alpha1.Mechanism{plain},
			to:   []v1alpha1.Mechanism{v1alpha1.MechanismExternal},
			says: "PLAIN on broker 1: it has not read the file of PLAIN users as it is now"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCertificateWorld(t, 2)
			w.Apply(newUser("app", time.Hour, c.from...))
			w.Settle("app")
			w.wantUser("app", "Ready")
			next := newUser("next", 0, c.to...)
			next.Spec.Name = "app"
			w.Apply(next)
			w.Settle("app")
			w.wantUser("next", "Stalled/Conflict")

			w.Mounts = map[int32]map[string][]byte{1: w.Files()}
			w.Remove(w.user("app"))
			_ = w.Once("app")
			if c.restarts {
				w.restart()
			}
			for range 3 {
				w.Clock.Move(time.Second)
				_ = w.Once("app")
			}
			u := w.user("app")
			if u == nil {
				t.Fatal("it is gone, and a broker has not read that")
			}
			if m := controllertest.Message(u.Status.Conditions); !strings.Contains(m, c.says) {
				t.Errorf("it says %q", m)
			}
			w.Mounts = nil
			w.LookAgain(time.Minute) // nobody else asks for that
			if w.user("app") != nil {
				t.Error("it is held, and every broker refuses it")
			}
			w.wantUser("next", "Ready")
			w.WantSilence("app")
		})
	}
}

// The operator ends after it has given a user what it asks for and before that is on record.
func TestWhoHasOnlyBegunIsGoneWhenEveryBrokerRefusesIt(t *testing.T) {
	w := newCertificateWorld(t, 2)
	w.Apply(newUser("other", time.Hour, plain))
	w.Settle("other")
	w.Around = func(verb, _ string, write func() error) error {
		if _, in := w.partOf("app"); verb == "status" && in > 0 {
			return errors.New("the operator has ended")
		}
		return write()
	}
	w.Apply(newUser("app", time.Hour, plain))
	_ = w.Once("app")
	leaked := w.password()
	if c := w.onRecord(w.user("app")); c == nil || len(c.Mechanisms) > 0 || !w.login("app", leaked) {
		t.Fatalf("on record is %+v, and it logs in: %t", c, w.login("app", leaked))
	}
	w.Around = nil
	w.restart()
	w.Mounts = map[int32]map[string][]byte{0: w.Files()}
	w.Remove(w.user("app"))
	for range 3 {
		_ = w.Once("app")
		w.Clock.Move(time.Second)
	}
	if w.user("app") == nil {
		t.Fatalf("it is gone, and a broker lets it in: %t", w.login("app", leaked))
	}
	w.Mounts = nil
	w.Settle("app")
	if w.user("app") != nil || w.login("app", leaked) {
		t.Error("it hangs, or logs in")
	}
}

// A successor that may not go on takes nothing more, and tells nothing of who handed its user over to it.
func TestWhoHandsAUserOverStaysWhereTheSuccessorMayNotGoOn(t *testing.T) {
	for name, change := range map[string]struct {
		freezes, frees func(c *v1alpha1.KafkaCluster)
	}{
		"and may again": {func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil }, controllertest.Admit},
		"and goes":      {func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newGuestWorld(t)
			w.Apply(newUser("app", time.Hour, plain))
			w.Settle("app")
			leaked := w.password()
			w.waiting(scram512)
			w.Mounts = map[int32]map[string][]byte{0: w.Files()}
			w.Remove(w.user("app"))
			for range 3 {
				_ = w.Once("app")
				w.Clock.Move(time.Second)
			}
			w.wantUser("app", "Reconciling/Revoking")
			w.ChangeCluster(change.freezes)
			w.Settle("app")
			if w.user("app") == nil {
				t.Fatalf("it is gone, and broker 0 lets it in (%t)", w.login("app", leaked))
			}
			w.mustSay(controllertest.ClusterKey.Namespace, "app", "Reconciling/Revoking", controllertest.Guests+"/app", "delete it")
			w.WantSilence("app")
			w.Mounts = nil
			if change.frees != nil {
				w.ChangeCluster(change.frees)
			} else {
				w.Remove(w.userIn(controllertest.Guests, "app"))
			}
			w.Settle("app")
			if w.user("app") != nil || w.login("app", leaked) {
				t.Error("it hangs, or logs in")
			}
			w.WantSilence("app")
		})
	}
}

// It has been evicted, and its successor may not go on: nothing is changed, and both say why.
func TestWhoIsEvictedIsToldThatItsSuccessorMayNotGoOn(t *testing.T) {
	w := newGuestWorld(t, newUser("app", time.Hour, plain))
	w.Mounts = map[int32]map[string][]byte{0: w.Files()}
	ours := newUser("app", 0, v1alpha1.MechanismExternal)
	ours.UID = "uid-of-ours"
	w.Apply(ours)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Evicted = []string{controllertest.Guests} })
	for range 3 {
		_ = w.Once("app")
		w.Clock.Move(time.Second)
	}
	if w.user("app").Status.Credentials == nil {
		t.Fatal("the handover has not begun")
	}
	w.ChangeCluster(superUser("app"))
	w.Settle("app")
	w.wantUser("app", "Stalled/PrincipalRefused")
	w.mustSay(controllertest.Guests, "app", "Reconciling/Revoking", "super user", "may not go on", "delete it")
	w.WantSilence("app")
	w.Mounts = nil
	w.Remove(w.user("app"))
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Stalled/SuperUserElsewhere")
	w.WantSilence("app")
}

func TestABrokerThatCannotBeAskedHoldsNobodyForeverWhoHandsAUserOver(t *testing.T) {
	w := newCertificateWorld(t, 2)
	u, next := newUser("app", time.Hour, plain), newUser("next", 0, v1alpha1.MechanismExternal)
	for _, u := range []*v1alpha1.KafkaUser{u, next} { // of what stands in the metadata log the holder itself waits
		u.Spec.ACLs, u.Spec.Grants, u.Spec.Quotas = nil, nil, nil
	}
	next.Spec.Name = "app"
	w.Apply(u)
	w.Settle("app")
	w.Apply(next)
	w.Settle("app")
	w.Kafka.Silent[1] = true
	w.delete("app")
	_ = w.Once("app")
	if w.user("app") == nil {
		t.Fatal("it is gone, and a broker was not asked")
	}
	w.Clock.Move(forgoAfter)
	w.told()
	_ = w.Once("app")
	if told := w.told(); w.user("app") != nil || strings.Count(told, "RevokedUnseen") != 1 {
		t.Errorf("it is there (%t), and told is %q", w.user("app") != nil, told)
	}
	w.wantUser("next", "Ready")
}

func TestOfSeveralWhoLoseAUserEachIsSeenRefusedByItsOwn(t *testing.T) {
	for name, age := range map[string]time.Duration{"an older one": time.Minute, "a younger one": 2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newCertificateWorld(t, 2)
			w.Apply(newUser("app", time.Hour, plain))
			w.Settle("app")
			next := newUser("next", age, scram512)
			next.Spec.Name = "app"
			w.Apply(next)
			w.Settle("app")
			w.Mounts = map[int32]map[string][]byte{1: w.Files()}
			w.Remove(w.user("app"))
			_ = w.Once("app")
			w.wantUser("next", "Ready")
			w.Remove(w.user("next"))
			for range 3 {
				w.Clock.Move(time.Second)
				_ = w.Once("app")
			}
			if w.user("app") == nil || w.user("next") == nil {
				t.Error("it is gone, and a broker has not read that")
			}
			w.Mounts = nil
			w.LookAgain(time.Minute)
			if w.user("app") != nil || w.user("next") != nil {
				t.Error("it is held, and every broker refuses both")
			}
		})
	}
}

// A listener goes from the status before the first broker restarts without it.
func TestADeletionWaitsForBrokersThatMayStillHaveAListenerWhichGoes(t *testing.T) {
	for name, m := range map[string]v1alpha1.Mechanism{
		"a password": plain, "a certificate": byTLS, "SCRAM": scram512, "a password, and it restarts for long": plain,
	} {
		t.Run(name, func(t *testing.T) {
			only := scram512
			if m == scram512 {
				only = plain
			}
			w := newCertificateWorld(t, 1)
			w.Apply(newUser("app", time.Hour, m))
			w.Settle("app")
			w.wantUser("app", "Ready")
			w.mountAll(1) // the broker has not read that the user goes
			rolls := func(status metav1.ConditionStatus) {
				w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
					c.Spec.Listeners = c.Spec.Listeners[:1]
					c.Spec.Listeners[0].Authentication = &v1alpha1.ListenerAuthentication{
						Mechanisms: []v1alpha1.Mechanism{only}}
					c.Status.Listeners = c.Status.Listeners[:1]
					meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady,
						Status: status, Reason: "Restarting"})
				})
			}
			rolls(metav1.ConditionFalse)
			w.delete("app")
			for range 3 {
				_ = w.Once("app")
				w.Clock.Move(time.Second)
			}
			if m == scram512 { // which stands in the metadata log, and the broker has loaded that it is gone
				if w.user("app") != nil {
					t.Error("it hangs")
				}
				return
			}
			w.mustSay("shop", "app", "Reconciling/Revoking", "may be still to restart")
			w.told()
			long := strings.Contains(name, "long")
			if long {
				w.Clock.Move(forgoAfter)
			} else {
				rolls(metav1.ConditionTrue)
			}
			w.Settle("app")
			if told := w.told(); w.user("app") != nil || strings.Contains(told, "RevokedUnseen") != long {
				t.Errorf("it hangs: %t; told %s", w.user("app") != nil, told)
			}
		})
	}
}

// It logs in, and what it asks for besides takes nothing of that away.
func TestASuccessorInForceStaysSoWhileItLacksSomethingAndItsPredecessorGoes(t *testing.T) {
	for name, lacks := range map[string]func(*world){
		"a listener": func(w *world) { w.unoffered("next") },
		"a Secret":   func(w *world) { w.supplant("shop", "next-kafka") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 2)
			w.Apply(newUser("app", time.Hour, plain, scram512))
			w.Settle("app")
			next := newUser("next", 0, scram512)
			next.Spec.Name = "app"
			w.Apply(next)
			before := w.password()
			w.mountAll(2) // brokers know the predecessor's line for some time
			w.Remove(w.user("app"))
			_ = w.Once("app")
			w.wantUser("next", "Ready")
			password := w.secret("next-kafka")["password"]
			lacks(w)
			for range 3 {
				_ = w.Once("app")
				w.Clock.Move(time.Second)
			}
			if !w.login("app", password) {
				t.Error("it is out")
			}
			w.mustSay("shop", "app", "Reconciling/Revoking", `KafkaUser "next", which may not go on`)
			w.mountAll(2)
			if slices.Contains(w.accepts("app", before), plain) {
				t.Error("its predecessor is in")
			}
			w.Remove(w.user("next"))
			w.Settle("app")
			if w.user("app") != nil || w.user("next") != nil || len(w.Kafka.Scram["app"]) != 0 {
				t.Errorf("somebody hangs, or logs in: %v", w.Kafka.Scram)
			}
		})
	}
}

// Nothing of the user can be made from a password that is not there, and who waits for that says for whom.
func TestWhoHandsAUserOverSaysThatItsSuccessorLacksAPassword(t *testing.T) {
	w := newCertificateWorld(t, 2)
	w.Apply(newUser("app", time.Hour, plain))
	w.Settle("app")
	next := newUser("next", 0, byTLS)
	next.Spec.Name = "app"
	w.Apply(next)
	w.mountAll(2) // brokers know the predecessor's line for some time
	w.Remove(w.user("app"))
	_ = w.Once("app")
	w.changeUser("next", func(u *v1alpha1.KafkaUser) { u.Spec.Authentication = provided("next", scram512).Spec.Authentication })
	w.Settle("app")
	w.mustSay("shop", "app", "Reconciling/Revoking", `KafkaUser "next", which may not go on`)
	w.wantUser("next", "Stalled/PasswordSecret")
	w.WantSilence("app")
	w.provide("own", "hush-hush", forPassword)
	w.mountAll(2)
	w.Settle("app")
	w.wantUser("next", "Ready")
	if w.user("app") != nil {
		t.Error("it hangs")
	}
}
