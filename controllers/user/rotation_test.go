package user

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
)

// rotate asks for another password by annotation.
func (w *world) rotate(request string) {
	w.T.Helper()
	w.annotate(v1alpha1.AnnotationRotatePassword, request)
}

func (w *world) annotate(key, value string) {
	w.T.Helper()
	u := w.user("app")
	if u.Annotations == nil {
		u.Annotations = map[string]string{}
	}
	if u.Annotations[key] = value; value == "" {
		delete(u.Annotations, key)
	}
	if err := w.Client.Update(w.T.Context(), u); err != nil {
		w.T.Fatal(err)
	}
}

func (w *world) password() string { return w.secret("app-kafka")["password"] }

// overlapping is a user whose password before logs in for a while.
func overlapping(overlap, interval int32, mechanisms ...v1alpha1.Mechanism) *v1alpha1.KafkaUser {
	u := newUser("app", time.Hour, mechanisms...)
	u.Spec.Authentication.PasswordRotation = &v1alpha1.PasswordRotation{OverlapSeconds: &overlap}
	if interval > 0 {
		u.Spec.Authentication.PasswordRotation.IntervalSeconds = &interval
	}
	return u
}

func TestARotatedPasswordOfPlainLogsInBesideTheOneBeforeForAsLongAsAsked(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(overlapping(600, 0, plain, scram512))
	w.Settle("app")
	first := w.password()
	w.rotate("one")
	w.Settle("app")
	w.wantUser("app", "Ready")
	second := w.password()
	if first == second {
		t.Fatal("it has not been rotated")
	}
	w.wantPassword("in the overlap, the new one", second, plain, scram512)
	w.wantPassword("in the overlap, the one before", first, plain)
	status := w.user("app").Status.Rotation
	if status == nil || status.Request != "one" || status.PreviousUntil == nil || status.NextAt != nil {
		t.Fatalf("%+v", status)
	}
	w.restart()
	w.WantSilence("app")

	// Another one is not made before: clients that read the Secret once in a while would be out.
	w.rotate("two")
	w.Settle("app")
	w.wantUser("app", "Ready")
	if w.password() != second {
		t.Error("rotated while the one before still logs in")
	}
	if next := w.user("app").Status.Rotation.NextAt; next == nil || !next.Equal(status.PreviousUntil) {
		t.Errorf("next %v, want %v", next, status.PreviousUntil)
	}
	w.Clock.Move(status.PreviousUntil.Sub(w.Clock.Now()) + time.Second)
	w.Settle()
	third := w.password()
	if third == second {
		t.Fatal("it has not been rotated after the overlap")
	}
	w.wantPassword("the third", third, plain, scram512)
	w.wantPassword("the second", second, plain)
	w.wantPassword("the first", first)
	until := w.user("app").Status.Rotation.PreviousUntil
	w.Reset()
	w.Clock.Move(until.Sub(w.Clock.Now()) + time.Second)
	w.Settle() // by its own clock: nobody marks it
	w.wantPassword("after the overlap", third, plain, scram512)
	w.wantPassword("after the overlap", second)
	if w.Requests["patch Pod"] == 0 {
		t.Error("the kubelets are not told that a line has gone")
	}
	w.WantSilence("app")
}

func TestANewPasswordIsToldOnceItsSecretHasIt(t *testing.T) {
	for name, c := range map[string]struct {
		damaged bool
		want    string
	}{
		"rotated": {false, `Normal PasswordRotated Secret "app-kafka" has a new password`},
		"renewed": {true,
			`Normal PasswordRenewed Secret "app-kafka" held no usable password of this user: it has a new one`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.Apply(newUser("app", time.Hour, scram512))
			w.Settle("app")
			w.told()
			if w.rotate("one"); c.damaged {
				w.writeSecret("app-kafka", func(s *corev1.Secret) { delete(s.Data, "password") })
			}
			w.Failing["update app-kafka"] = errors.New("the webhook refuses it")
			for range 3 {
				_ = w.Once("app")
				w.Clock.Move(2 * time.Second)
			}
			if told := w.told(); strings.Contains(told, "Password") {
				t.Errorf("it has not, and is told: %s", told)
			}
			clear(w.Failing)
			w.Settle("app")
			if told := strings.TrimSpace(w.told()); told != c.want {
				t.Errorf("told %q", told)
			}
		})
	}
}

func TestARequestWithBlanksIsCarriedOutOnce(t *testing.T) {
	for _, request := range []string{"1772366400 ", " ", "\n"} {
		t.Run(fmt.Sprintf("%q", request), func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.Apply(newUser("app", time.Hour, scram512))
			w.Settle("app")
			first := w.password()
			w.rotate(request)
			w.Settle("app")
			second := w.password()
			w.Clock.Move(time.Hour)
			w.Settle("app")
			if second == first || w.password() != second {
				t.Error("no new password, or a third one")
			}
			w.wantUser("app", "Ready")
			w.WantSilence("app")
		})
	}
}

func TestWithoutOverlapOnlyTheNewPasswordLogsIn(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(overlapping(0, 0, plain, scram512))
	w.Settle("app")
	first := w.password()
	for _, request := range []string{"one", "two"} {
		w.rotate(request)
		w.Settle("app")
		w.wantUser("app", "Ready")
		w.wantPassword("the one before "+request, first)
		if first == w.password() {
			t.Error("not rotated")
		}
		first = w.password()
	}
	w.wantPassword("the last", first, plain, scram512)
}

func TestAPasswordIsReplacedOnceItIsAsOldAsAsked(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(overlapping(120, 7200, plain))
	w.Settle("app")
	first := w.password()
	next := w.user("app").Status.Rotation.NextAt
	if next == nil || next.Sub(controllertest.TestStart) < 108*time.Minute {
		t.Fatalf("%v", next)
	}
	w.restart()
	w.WantSilence("app")
	w.Clock.Move(next.Sub(w.Clock.Now()) - 2*time.Second)
	w.Queue.Mark(controllertest.ClusterKey, "app")
	_ = w.Once("app")
	if w.password() != first {
		t.Fatal("too early")
	}
	due, waits := w.Queue.Next(controllertest.ClusterKey)
	if !waits || due > 3*time.Second {
		t.Fatalf("due after %v (%t)", due, waits)
	}
	w.Clock.Move(due)
	w.Settle()
	if w.password() == first {
		t.Fatal("too late")
	}
	w.wantPassword("just replaced", first, plain)
}

func TestScramHasTheNewPasswordOnlyAfterTheSecretAndAnInterruptionMakesNoThirdOne(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, scram512))
	w.Settle("app")
	first := w.password()
	var shown string
	w.Kafka.Before["scram-alter"] = func() { shown = w.password() }
	w.rotate("one")
	w.Kafka.Lose = "scram-alter"
	_ = w.Once("app")
	second := w.password()
	if shown == first || shown != second {
		t.Fatalf("when Kafka is told, the Secret still shows the password before: %t", shown == first)
	}
	w.restart()
	w.Settle("app")
	w.wantUser("app", "Ready")
	if w.password() != second {
		t.Error("an operator that ended in between has made a third password")
	}
	w.wantPassword("the new one", second, scram512)
	w.wantPassword("the one before", first)

	// Kafka cannot be told at all: the one before logs in until it can.
	w.rotate("two")
	w.Kafka.Down = errors.New("unreachable")
	_ = w.Once("app")
	w.Kafka.Down = nil
	w.wantPassword("before Kafka is told", second, scram512)
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantPassword("afterwards", second)
	w.wantPassword("afterwards", w.password(), scram512)
}

func TestAnAnnotationThatCannotBeCarriedOutIsRefusedAndTheUserStaysInForce(t *testing.T) {
	w := newUserWorld(t, 2)
	w.provide("own", "own one", forPassword)
	w.Apply(provided("app", plain, scram512))
	w.Settle("app")
	w.rotate("one")
	w.Settle("app")
	w.wantUser("app", "Stalled/PasswordRotation")
	if got := controllertest.Message(w.user("app").Status.Conditions); !strings.Contains(got, `Secret "own"`) ||
		!strings.Contains(got, "metadata.annotations[kafka.castellan.dev/rotate-password]") {
		t.Error(got)
	}
	w.wantPassword("refused", "own one", plain, scram512)
	w.rotate("")
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Authentication.PasswordSecret = nil })
	w.rotate(strings.Repeat("x", 129))
	w.Settle("app")
	w.wantUser("app", "Stalled/PasswordRotation")
	w.wantPassword("refused", "own one", plain, scram512)
}

func TestAPasswordOfTheUsersOwnEndsAnOverlap(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, plain))
	w.Settle("app")
	first := w.password()
	w.rotate("one")
	w.Settle("app")
	second := w.password()
	w.wantPassword("in the overlap", first, plain)
	w.provide("own", "own one", forPassword)
	w.changeUser("app", func(u *v1alpha1.KafkaUser) {
		u.Spec.Authentication.PasswordSecret = &v1alpha1.PasswordSecret{Name: "own", Key: "password"}
	})
	w.rotate("")
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantPassword("its own", "own one", plain)
	w.wantPassword("its own", first)
	w.wantPassword("its own", second)
}

// A broker that was started before Castellan knew of second lines goes by the first line of a name.
func TestTheNewerPasswordStandsFirstInTheFile(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, plain))
	w.Settle("app")
	w.rotate("one")
	w.Settle("app")
	lines, _ := plainauth.ParseUsersFile([]byte(w.secret("events-plain-users")["users"]))
	if len(lines["app"]) != 2 || !lines["app"][0].Verify(w.password()) {
		t.Errorf("%d lines", len(lines["app"]))
	}
}

func TestAUserThatStaysKeepsEverythingAndIsTakenOverWithItsPasswordElsewhere(t *testing.T) {
	w := newUserWorld(t, 2)
	w.provide("own", "own one", forPassword)
	u := provided("app", plain, scram512)
	u.Spec.DeletionPolicy = v1alpha1.DeletionRetain
	w.Apply(u, newUser("beside", time.Hour, plain))
	w.Settle("app", "beside")
	acls := len(w.Kafka.ACLSet)
	w.Reset()
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil {
		t.Fatal("it is still there")
	}
	if w.Kafka.Writes() != 0 || len(w.Kafka.ACLSet) != acls || len(w.Kafka.QuotasOf["app"]) == 0 {
		t.Errorf("%v", w.Kafka.Requests)
	}
	w.changeUser("beside", func(u *v1alpha1.KafkaUser) {
		u.Annotations = map[string]string{v1alpha1.AnnotationRotatePassword: "x"}
	})
	w.Settle("beside") // the file is written anew
	w.wantPassword("after its object has gone", "own one", plain, scram512)

	// Nobody takes it without a word, not even with a mechanism that Kafka tells nothing of.
	stranger := newUser("stranger", time.Hour, plain)
	stranger.Spec.Name = "app"
	w.Apply(stranger)
	w.Settle("app")
	w.wantUser("stranger", "Stalled/UserExists")
	w.Remove(w.user("stranger"))
	w.Settle("app")
	w.wantPassword("after a stranger", "own one", plain, scram512)

	w.Reset()
	moved := provided("moved", plain, scram512)
	moved.Spec.Name, moved.Spec.Adoption = "app", v1alpha1.UserAdoptionAlways
	moved.Spec.DeletionPolicy = v1alpha1.DeletionDelete
	w.Apply(moved)
	file := w.secret("events-plain-users")["users"]
	w.Settle("app")
	w.wantUser("moved", "Ready")
	w.wantPassword("moved", "own one", plain, scram512)
	if w.Kafka.Count("scram-alter", "acl-delete", "acl-create", "quota-alter") != 0 {
		t.Errorf("it was changed: %v", w.Kafka.Requests)
	}
	if now := w.secret("events-plain-users")["users"]; len(plainauth.Retained([]byte(now))) != 0 ||
		!strings.Contains(file, lineOf(now, "app")) {
		t.Errorf("from\n%s\nto\n%s", file, now)
	}
	w.restart()
	w.WantSilence("app")
	w.Remove(w.user("moved"))
	w.Settle("app")
	w.wantPassword("after it has been deleted", "own one")
}

func lineOf(file, name string) string {
	lines := strings.Split(file, "\n")
	return lines[slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })]
}

func TestAUserThatStaysGoesWithoutAWordToKafka(t *testing.T) {
	w := newUserWorld(t, 2)
	u := newUser("app", time.Hour, scram512)
	u.Spec.DeletionPolicy = v1alpha1.DeletionRetain
	w.Apply(u)
	w.Settle("app")
	password := w.password()
	w.Kafka.Down = errors.New("unreachable")
	w.Remove(w.user("app"))
	_ = w.Once("app")
	if w.user("app") != nil {
		t.Fatal("it waits for Kafka")
	}
	w.Kafka.Down = nil
	w.wantPassword("afterwards", password, scram512)
}

func TestAUserOfAnotherNamespaceStaysOnlyWithTheOwnersWord(t *testing.T) {
	for _, granted := range []bool{false, true} {
		w := newGuestWorld(t)
		if granted {
			w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
				c.Spec.Access.Grants = []v1alpha1.AccessGrant{{Namespace: controllertest.Guests,
					Permissions: []v1alpha1.AccessPermission{v1alpha1.PermissionAdopt}}}
			})
		}
		u := newUser("app", time.Hour, scram512)
		u.Spec.DeletionPolicy = v1alpha1.DeletionRetain
		w.Apply(controllertest.FromGuests(u))
		w.Settle("app")
		_, there := w.Kafka.Scram["app"]["SCRAM-SHA-512"]
		if !there {
			t.Fatal("it is not in force")
		}
		w.Remove(u)
		w.Settle("app")
		if _, stays := w.Kafka.Scram["app"]["SCRAM-SHA-512"]; stays != granted {
			t.Errorf("granted %t: stays %t", granted, stays)
		}
	}
}

func TestAUserIsTakenOverWithThePasswordThatIsInForceAndWithAnotherOneNotInSilence(t *testing.T) {
	for name, c := range map[string]struct {
		theirs  string
		upserts int
	}{"the same": {"own one", 0}, "another one": {"theirs", 1}} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 2)
			w.Kafka.Scram["app"] = map[string]controllertest.ScramCredential{
				"SCRAM-SHA-512": {Iterations: 16384, Password: c.theirs}}
			w.provide("own", "own one", forPassword)
			u := provided("app", scram512)
			u.Spec.Adoption = v1alpha1.UserAdoptionAlways
			w.Apply(u)
			w.Kafka.Silent = map[int32]bool{0: true, 1: true}
			_ = w.Once("app")
			if w.Kafka.Count("scram-alter") != 0 {
				t.Error("replaced although no broker has said whether it is the same")
			}
			w.Kafka.Silent = map[int32]bool{}
			w.Settle("app")
			w.wantUser("app", "Ready")
			w.wantPassword("taken over", "own one", scram512)
			if got := w.Kafka.Upserts["app SCRAM-SHA-512"]; got != c.upserts {
				t.Errorf("set %d times, want %d", got, c.upserts)
			}
			told := false
			for len(w.Events.Events) > 0 {
				told = told || strings.Contains(<-w.Events.Events, "PasswordReplaced")
			}
			if told != (c.upserts > 0) {
				t.Errorf("told %t", told)
			}
			w.restart()
			w.WantSilence("app")
			// Somebody else sets it: it is set back, and stays so.
			w.Kafka.Scram["app"]["SCRAM-SHA-512"] = controllertest.ScramCredential{Iterations: 4096, Password: "x"}
			w.Settle("app")
			w.wantPassword("set back", "own one", scram512)
			w.WantSilence("app")
		})
	}
}

func TestNothingOfAPausedUserIsChangedUntilThePauseEnds(t *testing.T) {
	for _, value := range []string{"true", "ture"} {
		w := newUserWorld(t, 2)
		w.provide("own", "own one", forPassword)
		w.Apply(provided("app", plain, scram512))
		w.Settle("app")
		w.annotate(v1alpha1.AnnotationPause, value)
		w.Settle("app")
		w.wantUser("app", "Reconciling/Paused")
		w.WantSilence("app")
		w.provide("own", "own two", forPassword)
		w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Quotas, u.Spec.ACLs = nil, nil })
		w.Settle("app")
		w.wantPassword("paused", "own one", plain, scram512)
		if len(w.Kafka.ACLSet) == 0 || len(w.Kafka.QuotasOf["app"]) == 0 || w.password() != "own one" {
			t.Error("something has been changed in a pause")
		}
		w.annotate(v1alpha1.AnnotationPause, "")
		w.Settle("app")
		w.wantUser("app", "Ready")
		w.wantPassword("afterwards", "own two", plain, scram512)
		w.annotate(v1alpha1.AnnotationPause, value)
		w.Remove(w.user("app"))
		w.Settle("app")
		w.wantPassword("deleted in a pause", "own two")
	}
}

// The file is filled with users that stay, whose lines cost no hash.
func TestOverlapsDoNotKeepTheFileFromBeingWritten(t *testing.T) {
	w := newUserWorld(t, 1)
	w.room = 16 << 10
	w.restart()
	w.Apply(overlapping(600, 0, plain), newUser("leaked", time.Hour, plain))
	w.Settle("app", "leaked")
	first, leaked := w.password(), w.secret("leaked-kafka")["password"]
	w.fillParts()
	w.writeSecret("events-plain-users", func(s *corev1.Secret) {
		var marks, lines strings.Builder
		room := func() int { // "app" may stay, too
			return w.room - plainauth.RetainedSize("app") - len(plainauth.Unmarked(s.Data[render.UsersEntry])) - marks.Len() - lines.Len()
		}
		add := func(name string) {
			fmt.Fprintf(&marks, "#retained %s\n", name)
			fmt.Fprintf(&lines, "%s:4096:%s:%s\n", name, base64.StdEncoding.EncodeToString(make([]byte, 16)),
				base64.StdEncoding.EncodeToString(make([]byte, 32)))
		}
		for n := 0; room() > 300; n++ {
			add(fmt.Sprintf("u%07d", n))
		}
		add(strings.Repeat("z", (room()-120)/2)) // a few bytes are left
		s.Data[render.UsersEntry] = []byte(string(s.Data[render.UsersEntry]) + marks.String() + lines.String())
	})
	w.told()
	w.rotate("one")
	w.Settle("app")
	w.wantUser("app", "Ready")
	second := w.password()
	if first == second || !w.login("app", second) || w.login("app", first) {
		t.Error("the new password does not open, or the one before does")
	}
	if r := w.user("app").Status.Rotation; r == nil || r.PreviousUntil != nil {
		t.Errorf("it is told %+v", r)
	}
	if told := w.told(); strings.Count(told, "OverlapEnded") != 1 {
		t.Errorf("%q", told)
	}
	w.WantSilence("app")
	w.Apply(newUser("early", time.Hour, plain))
	_ = w.Once("early")
	w.wantUser("early", "Stalled/TooManyPlainUsers")
	w.Remove(w.user("leaked"))
	w.Settle("leaked")
	if w.user("leaked") != nil || w.login("leaked", leaked) {
		t.Error("it hangs, or logs in")
	}
	w.Settle("early")
	w.wantUser("early", "Ready")
	if size := len(plainauth.Unmarked([]byte(w.secret("events-plain-users")[render.UsersEntry]))); size > w.room {
		t.Errorf("the file has %d bytes", size)
	}
}
