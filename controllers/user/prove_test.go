package user

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/users"
)

// many makes so many users of a mechanism that are not Ready yet.
func (w *world) many(count int, m v1alpha1.Mechanism) (names []string) {
	for n := range count {
		name := fmt.Sprintf("many-%d", n)
		w.Apply(newUser(name, time.Hour, m))
		names = append(names, name)
	}
	return names
}

// delete deletes a user, and sets the clock to when that happens.
func (w *world) delete(name string) {
	w.T.Helper()
	w.Remove(w.user(name))
	w.Clock.Move(w.user(name).DeletionTimestamp.Sub(w.Clock.Now()))
}

func TestProofCostsWhatBrokersAndMechanismsCostAndNotUsers(t *testing.T) {
	w := newUserWorld(t, 3).sealing()
	names := w.many(60, scram512)
	w.Reset()
	w.Settle(names...)
	w.wantAll("Ready", names...)
	// Each broker is asked twice for what it has loaded: it has to show another image.
	if w.Logins != 3 || w.Kafka.Count("metadata-end") != 1 || w.Kafka.Count("loaded") != 6 {
		t.Errorf("60 users on 3 brokers: %d logins, %v", w.Logins, w.Kafka.Requests)
	}
	// The finalizer and that the object takes the principal, the Secret, and what came of it.
	if w.APIWrites() != 3*60 {
		t.Errorf("60 users: %v", w.Requests)
	}
	w.WantSilence(names...)
	if w.Logins != 0 || w.Kafka.Count("metadata-end", "loaded") != 0 {
		t.Errorf("at rest: %d logins, %v", w.Logins, w.Kafka.Requests)
	}
	for _, name := range names {
		w.Remove(w.user(name))
	}
	w.Reset()
	w.Settle(names...)
	for _, name := range names {
		if w.user(name) != nil {
			t.Fatalf("%s is still there", name)
		}
	}
	if w.Logins != 3 || w.Kafka.Count("metadata-end") != 1 || w.Kafka.Writes() != 3 {
		t.Errorf("60 deletions on 3 brokers: %d logins, %v", w.Logins, w.Kafka.Requests)
	}
	if w.APIWrites() != 60 { // the finalizers
		t.Errorf("60 deletions: %v", w.Requests)
	}
}

func TestNobodyIsReadyOrGoneBeforeEveryBrokerHasLoadedIt(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Kafka.Behind[1] = true
	w.Apply(newUser("app", time.Hour, scram512))
	look := func(want, says string) {
		t.Helper()
		for range 3 {
			_ = w.Once("app")
			w.Clock.Move(time.Minute)
			w.wantUser("app", want)
			if m := controllertest.Message(w.user("app").Status.Conditions); !strings.Contains(m, says) {
				t.Errorf("it says %q, want %q", m, says)
			}
		}
	}
	look("Reconciling/ProvingLogin", "SCRAM-SHA-512 on broker 1: it has not loaded what was written")
	w.Kafka.Behind[1] = false
	w.Settle("app")
	w.wantUser("app", "Ready")

	// What it may do is part of that, and nothing is written while it is waited for.
	w.Kafka.Behind[1] = true
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.ACLs = nil })
	look("Reconciling/ProvingLogin", "what it may do is in force on every broker: broker 1: it has not loaded")
	w.Kafka.Behind[1] = false
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.WantSilence("app")

	w.Kafka.Behind[1] = true
	w.delete("app")
	w.Clock.Move(time.Hour) // however long: it answers
	look("Reconciling/Revoking", "SCRAM-SHA-512 on broker 1: it has not loaded")
	w.Kafka.Behind[1] = false
	w.Settle("app")
	if w.user("app") != nil {
		t.Error("still there")
	}
}

// contrary are brokers that do otherwise than the metadata log says.
type contrary struct {
	*world
	letsIn, refuses map[string]bool // "broker user"
}

func (c *contrary) TryLogin(ctx context.Context, l kafka.Login) error {
	err := c.world.TryLogin(ctx, l)
	var node int32
	_, _ = fmt.Sscanf(l.Address, "events-main-%d.", &node)
	switch key := fmt.Sprintf("%d %s", node, l.Username); {
	case c.letsIn[key]:
		return nil
	case c.refuses[key]:
		return kafka.ErrAuthenticationFailed
	}
	return err
}

func TestABrokerThatDoesOtherwiseThanTheLogSaysIsAskedOfEachUser(t *testing.T) {
	w := newUserWorld(t, 2)
	c := &contrary{world: w, refuses: map[string]bool{}, letsIn: map[string]bool{}}
	w.users.prober = c
	names := w.many(5, scram512)
	for _, name := range names[1:] {
		c.refuses["1 "+name] = true
	}
	c.refuses["1 "+names[0]] = true
	_ = w.Once(names...)
	w.wantAll("Reconciling/ProvingLogin", names...)
	delete(c.refuses, "1 "+names[4])
	w.Clock.Move(time.Minute)
	c.refuses["1 "+names[0]] = true // who speaks for all is refused
	_ = w.Once(names...)
	w.wantUser(names[4], "Ready")
	w.wantAll("Reconciling/ProvingLogin", names[:4]...)
	clear(c.refuses)
	w.Settle(names...)
	w.wantAll("Ready", names...)

	for _, name := range names {
		c.letsIn["1 "+name] = true
		w.delete(name)
	}
	w.Clock.Move(time.Hour) // a broker that answers is not let off
	_ = w.Once(names...)
	w.wantAll("Reconciling/Revoking", names...)
	const says = "SCRAM-SHA-512 on broker 1: still let in"
	if m := controllertest.Message(w.user(names[2]).Status.Conditions); !strings.Contains(m, says) {
		t.Errorf("it says %q", m)
	}
	clear(c.letsIn)
	w.Settle(names...)
	for _, name := range names {
		if w.user(name) != nil {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestAWrongDeletionOfManyIsSeenAlsoWherePasswordsAreLost(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, scram512))
	w.Settle("app")
	w.Kafka.Behind[0] = true
	w.writeSecret("app-kafka", func(s *corev1.Secret) { s.Data = nil })
	w.Remove(w.user("app"))
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/Revoking") // nobody can log in any more to see it, and the log still tells
	w.Kafka.Behind[0] = false
	w.Settle("app")
	if w.user("app") != nil {
		t.Error("still there")
	}
}

func TestABrokerThatCannotBeAskedDelaysNobodyElseAndHoldsADeletionForTenMinutes(t *testing.T) {
	for _, m := range []v1alpha1.Mechanism{scram512, plain} {
		t.Run(string(m), func(t *testing.T) {
			w := newUserWorld(t, 2)
			w.Apply(newUser("app", time.Hour, m))
			w.Settle("app")
			w.told()
			w.Kafka.Silent[1] = true
			w.delete("app")
			w.Reset()
			_ = w.Once("app")
			w.wantUser("app", "Reconciling/Revoking")
			asked := w.Kafka.Count("loaded") + w.Logins
			names := w.many(3, m)
			for _, name := range names { // each in a flush of its own, in the same moment
				_ = w.Once(name)
				w.wantUser(name, "Reconciling/ProvingLogin")
			}
			if now := w.Kafka.Count("loaded") + w.Logins; now > asked+3*4 {
				t.Errorf("the silent broker is asked for each: %d, and then %d", asked, now)
			}
			for range 9 {
				w.Clock.Move(time.Minute)
				_ = w.Once("app")
				w.wantUser("app", "Reconciling/Revoking")
			}
			w.Clock.Move(time.Minute + time.Second)
			_ = w.Once("app")
			if w.user("app") != nil {
				t.Error("a silent broker holds a deletion for ever")
			}
			if told := w.told(); !strings.Contains(told, "RevokedUnseen") || !strings.Contains(told, "broker 1: no answer") {
				t.Errorf("told: %q", told)
			}
			w.wantAll("Reconciling/ProvingLogin", names...)
			w.Kafka.Silent[1] = false
			w.Clock.Move(time.Minute)
			w.Settle(names...)
			w.wantAll("Ready", names...)
		})
	}
}

func TestAClusterWhoseQuorumTellsNothingIsProvenByLogins(t *testing.T) {
	w := newUserWorld(t, 2)
	names := w.many(4, scram512)
	w.Kafka.Forbidden["metadata-end"] = true
	w.Reset()
	_ = w.Once(names...)
	w.wantAll("Reconciling/ProvingLogin", names...)
	if w.Logins != 8 {
		t.Errorf("%d logins", w.Logins)
	}
	for _, name := range names {
		if proven := w.user(name).Status.Credentials.ProvenOn; len(proven) != 2 {
			t.Errorf("%s is proven on %v", name, proven)
		}
	}
	w.Kafka.Forbidden["metadata-end"] = false
	w.Settle(names...)
	w.wantAll("Ready", names...)
}

func TestPlainUsersAreProvenByTheMarkerOfTheFile(t *testing.T) {
	w := newUserWorld(t, 2)
	names := w.many(12, plain)
	w.Reset()
	w.Settle(names...)
	w.wantAll("Ready", names...)
	if w.Logins != 4 { // on each broker that of the marker, and one
		t.Errorf("%d logins for 12 users on 2 brokers", w.Logins)
	}
	w.WantSilence(names...)

	// A broker whose kubelet has not refreshed the file has none of the new ones.
	w.mountAll(2)
	w.Apply(newUser("late", 0, plain))
	_ = w.Once("late")
	w.wantUser("late", "Reconciling/ProvingLogin")
	const says = "PLAIN on broker 0: it has not read the file of PLAIN users as it is now"
	if m := controllertest.Message(w.user("late").Status.Conditions); !strings.Contains(m, says) {
		t.Errorf("it says %q", m)
	}
	w.Mounts = nil
	w.Settle("late")
	w.wantUser("late", "Ready")

	w.mountAll(2)
	for _, name := range names {
		w.delete(name)
	}
	w.Clock.Move(time.Hour) // both brokers answer
	_ = w.Once(names...)
	w.wantAll("Reconciling/Revoking", names...)
	w.Mounts = nil
	w.Reset()
	w.Settle(names...)
	for _, name := range names {
		if w.user(name) != nil {
			t.Fatalf("%s is still there", name)
		}
	}
	if w.Logins != 4 {
		t.Errorf("%d logins for 12 deletions on 2 brokers", w.Logins)
	}
}

func TestWhoDoesNotKnowTheMarkerTriesEachUser(t *testing.T) {
	w := newUserWorld(t, 1)
	names := w.many(5, plain)
	w.Settle(names...)
	w.Mounts = map[int32]map[string][]byte{0: nil}
	w.Apply(newUser("x", 0, plain), newUser("y", 0, plain))
	_ = w.Once("x", "y")
	w.wantAll("Reconciling/ProvingLogin", "x", "y")
	w.restart() // between the file and the proof
	w.Mounts = nil
	w.Reset()
	w.Settle("x", "y")
	w.wantAll("Ready", "x", "y")
	if w.Logins != 2 || w.Requests["update Secret"] != 0 {
		t.Errorf("%d logins, %v", w.Logins, w.Requests)
	}
	w.WantSilence(append(names, "x", "y")...)
}

func TestAMarkerThatSomebodyHasReplacedIsNotBelieved(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, plain))
	w.Settle("app")
	file := plainauth.Unmarked([]byte(w.secret("events-plain-users")["users"]))
	w.writeSecret("events-plain-users", func(s *corev1.Secret) { s.Data["users"] = file })
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { controllertest.AddBrokers(c, 2) })
	w.Settle("app")
	w.wantUser("app", "Ready") // by a login of its own
	w.WantSilence("app")
}

// atRest fails unless nothing is written, and nobody logs in.
func (w *world) atRest(names ...string) {
	w.T.Helper()
	w.WantSilence(names...)
	if w.Logins != 0 {
		w.T.Errorf("%d logins at rest", w.Logins)
	}
}

// gone settles users and fails unless they are gone.
func (w *world) gone(names ...string) {
	w.T.Helper()
	w.Settle(names...)
	for _, name := range names {
		if u := w.user(name); u != nil {
			w.T.Fatalf("%s is still there: %s", name, controllertest.Message(u.Status.Conditions))
		}
	}
}

// marks are the lines of markers in a list of certificates.
func (w *world) marks(part int) (lines []plainauth.UserCertificate) {
	w.T.Helper()
	all, err := plainauth.ParseCertificateList(w.Files()[plainauth.PartName(render.CertificatesEntry, part)])
	if err != nil {
		w.T.Error(err)
	}
	return slices.DeleteFunc(all, func(c plainauth.UserCertificate) bool { return !plainauth.IsMarker(c.Name) })
}

func TestUsersWithCertificatesAreProvenByTheMarkerOfTheList(t *testing.T) {
	for name, listeners := range map[string][]v1alpha1.Listener{
		"beside passwords": {inside, mutual}, "where nobody has a password": {mutual},
	} {
		t.Run(name, func(t *testing.T) {
			w := newUsersOf(t, controllertest.ReadyCluster(3, listeners...))
			w.Apply(w.AuthorityIn("events-ca"), w.AuthorityIn("events-clients-ca"))
			names := w.many(60, byTLS)
			w.Reset()
			w.Settle(names...)
			w.wantAll("Ready", names...)
			if w.Logins != 6 { // on each broker that of the marker, and one
				t.Errorf("%d logins for 60 users on 3 brokers", w.Logins)
			}
			if w.APIWrites() != 3*60+1 { // and the file
				t.Errorf("60 users: %v", w.Requests)
			}
			first := w.marks(0)
			if len(first) != 1 || first[0].End.Sub(controllertest.TestStart) < 89*day {
				t.Fatalf("the list is marked by %v", first)
			}
			for entry, file := range w.Files() {
				if strings.Contains(string(file), "PRIVATE") {
					t.Errorf("%s holds a key", entry)
				}
			}
			w.atRest(names...)

			for _, name := range names {
				w.Remove(w.user(name))
			}
			w.Reset()
			w.gone(names...)
			if w.Logins != 6 {
				t.Errorf("%d logins for 60 deletions on 3 brokers", w.Logins)
			}
			if w.APIWrites() != 60+1 { // the finalizers, and the file
				t.Errorf("60 deletions: %v", w.Requests)
			}
			if second := w.marks(0); len(second) != 1 || second[0] == first[0] {
				t.Errorf("another state of the list is marked by %v", second)
			}
			w.atRest(names...)
		})
	}
}

func TestABrokerThatHasNotReadTheListHoldsReadyAndHoldsTheDeletion(t *testing.T) {
	w := newCertificateWorld(t, 2)
	names := w.many(5, byTLS)
	w.Settle(names...)
	w.Mounts = map[int32]map[string][]byte{0: w.Files()}
	w.Apply(newUser("late", 0, byTLS))
	look := func(state string, names ...string) {
		t.Helper()
		for range 3 {
			_ = w.Once(names...)
			w.Clock.Move(time.Minute)
			w.wantAll(state, names...)
		}
		if m := controllertest.Message(w.user(names[0]).Status.Conditions); !strings.Contains(m, notReadList) ||
			strings.Contains(m, "broker 1") {
			t.Errorf("it says %q", m)
		}
	}
	look("Reconciling/ProvingLogin", "late")
	w.restartBroker(0, plainauth.MaxParts) // which reads it as it is now
	w.Settle("late")
	w.wantUser("late", "Ready")

	w.Mounts = map[int32]map[string][]byte{0: w.Files()}
	for _, name := range names {
		w.delete(name)
	}
	w.writeSecret(names[0]+"-kafka", func(s *corev1.Secret) { s.Data = nil }) // nobody has its certificate any more
	w.Clock.Move(time.Hour)                                                   // both brokers answer
	look("Reconciling/Revoking", names...)
	w.Mounts = nil
	w.gone(names...)
	w.Settle("late")
	w.atRest("late")
}

func TestABrokerInANewProcessIsAskedAgainWhatItHasRead(t *testing.T) {
	w := newCertificateWorld(t, 2)
	names := w.many(4, byTLS)
	w.Settle(names...)
	old := w.Files()
	w.writeSecret(names[0]+"-kafka", func(s *corev1.Secret) { s.Data = nil }) // nobody can show its certificate any more
	w.Kafka.Silent[1] = true
	w.delete(names[0])
	look := func(says, not string) {
		t.Helper()
		_ = w.Once(names[0])
		w.wantUser(names[0], "Reconciling/Revoking")
		m := controllertest.Message(w.user(names[0]).Status.Conditions)
		if !strings.Contains(m, says) || strings.Contains(m, not) {
			t.Errorf("it says %q", m)
		}
	}
	look("TLS on broker 1: no answer", "broker 0") // which has read the list
	w.restartBroker(0, plainauth.MaxParts)
	w.Mounts, w.Kafka.Silent[1] = map[int32]map[string][]byte{0: old}, false // and comes back with a former one
	w.Clock.Move(time.Minute)
	look(notReadList, "broker 1")
	w.Mounts = nil
	w.Clock.Move(time.Minute)
	w.gone(names[0])
}

func TestWhoDoesNotKnowTheMarkerOfTheListTriesEachUserAndMarksItAnewForADeletion(t *testing.T) {
	w := newCertificateWorld(t, 1)
	names := w.many(5, byTLS)
	w.Settle(names...)
	w.mountAll(1)
	w.Apply(newUser("x", 0, byTLS), newUser("y", 0, byTLS))
	_ = w.Once("x", "y")
	w.wantAll("Reconciling/ProvingLogin", "x", "y")
	w.restart() // between the list and the proof
	w.Mounts = nil
	w.Reset()
	w.Settle("x", "y")
	w.wantAll("Ready", "x", "y")
	if w.Logins != 2 || w.Requests["update Secret"] != 0 {
		t.Errorf("%d logins, %v", w.Logins, w.Requests)
	}
	w.atRest(append(names, "x", "y")...)

	w.mountAll(1)
	for _, name := range names {
		w.Remove(w.user(name))
	}
	_ = w.Once(names...)
	w.wantAll("Reconciling/Revoking", names...)
	before := w.marks(0)
	w.restart() // between the list and the proof
	_ = w.Once(names...)
	w.wantAll("Reconciling/Revoking", names...)
	if now := w.marks(0); len(now) != 1 || now[0] == before[0] {
		t.Errorf("it was marked by %v and is by %v", before, now)
	}
	w.Mounts = nil
	w.Clock.Move(time.Minute)
	w.Reset()
	w.gone(names...)
	if w.Logins != 2 || w.Requests["update Secret"] != 0 {
		t.Errorf("%d logins, %v", w.Logins, w.Requests)
	}
	w.atRest("x", "y")
}

func TestABrokerThatDoesOtherwiseThanTheListSaysIsAskedOfEachUser(t *testing.T) {
	w := newCertificateWorld(t, 2)
	c := &contrary{world: w, refuses: map[string]bool{}, letsIn: map[string]bool{}}
	w.users.prober = c
	names := w.many(5, byTLS)
	for _, name := range names {
		c.refuses["1 "+name] = true
	}
	_ = w.Once(names...)
	w.wantAll("Reconciling/ProvingLogin", names...)
	delete(c.refuses, "1 "+names[4])
	for range 3 {
		w.Clock.Move(time.Minute)
		_ = w.Once(names...)
	}
	w.wantUser(names[4], "Ready")
	w.wantAll("Reconciling/ProvingLogin", names[:4]...)
	clear(c.refuses)
	w.Settle(names...)
	w.wantAll("Ready", names...)

	for _, name := range names {
		c.letsIn["1 "+name] = true
		w.delete(name)
	}
	w.Clock.Move(time.Hour) // a broker that answers is not let off
	_ = w.Once(names...)
	w.wantAll("Reconciling/Revoking", names...)
	const says = "TLS on broker 1: still let in"
	if m := controllertest.Message(w.user(names[2]).Status.Conditions); !strings.Contains(m, says) {
		t.Errorf("it says %q", m)
	}
	clear(c.letsIn)
	w.gone(names...)
}

// What has signed the marker may be trusted no more, or its time may be over, while somebody is still to be seen refused.
func TestAMarkerThatNoBrokerTakesAnyMoreIsMadeAnewForADeletionAndElseLeftAlone(t *testing.T) {
	for name, end := range map[string]func(*world){
		"its authority was replaced": func(w *world) {
			ca := w.AuthorityIn("events-clients-ca")
			w.Remove(ca)
			w.Apply(ca)
		},
		"it has ended": func(w *world) { w.Clock.Move(91 * day) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newCertificateWorld(t, 2)
			names := w.many(3, byTLS)
			w.Apply(newUser("other", time.Hour, scram512))
			w.Settle(append(names, "other")...)
			w.mountAll(2)
			for _, name := range names {
				w.delete(name)
			}
			_ = w.Once(names...)
			w.wantAll("Reconciling/Revoking", names...)
			before := w.marks(0)
			end(w)
			_ = w.Once(names...)
			w.wantAll("Reconciling/Revoking", names...)
			now := w.marks(0)
			if len(now) != 1 || now[0] == before[0] {
				t.Errorf("it was marked by %v and is by %v", before, now)
			}
			w.Mounts = nil
			w.Clock.Move(time.Minute)
			w.Reset()
			w.gone(names...)
			if w.Requests["update Secret"] != 0 {
				t.Errorf("it is written again: %v", w.Requests)
			}
			end(w) // and nobody is to be seen
			w.atRest("other")
		})
	}
}

func TestWithoutAnAuthorityOrAListenerAListIsNotMarkedAndEachUserIsTried(t *testing.T) {
	for name, c := range map[string]struct {
		ends   func(*world)
		logins int // for three deletions on two brokers
	}{
		"without an authority": {func(w *world) { w.Remove(w.AuthorityIn("events-clients-ca")) }, 6},
		"without a listener": {func(w *world) {
			w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Listeners = c.Spec.Listeners[:1] })
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCertificateWorld(t, 2)
			names := w.many(3, byTLS)
			w.Apply(newUser("stays", time.Hour, plain))
			w.Settle(append(names, "stays")...)
			c.ends(w)
			w.Clock.Move(time.Minute)
			for _, name := range names {
				w.Remove(w.user(name))
			}
			w.Reset()
			w.gone(names...)
			if marks := w.marks(0); len(marks) != 0 {
				t.Errorf("it is marked by %v", marks)
			}
			if w.Logins != c.logins || w.Requests["update Secret"] != 1 {
				t.Errorf("%d logins, %v", w.Logins, w.Requests)
			}
			w.atRest("stays")
		})
	}
}

func TestAnUpgradeMarksNoListThatNobodyWrites(t *testing.T) {
	w := newCertificateWorld(t, 1)
	names := w.many(3, byTLS)
	w.Settle(names...)
	// As an operator of before has left it, and as one leaves it to which somebody goes back.
	w.writeSecret("events-plain-users", func(s *corev1.Secret) {
		s.Data[render.CertificatesEntry] = plainauth.Unmarked(s.Data[render.CertificatesEntry])
	})
	w.atRest(names...)
	w.restart()
	w.atRest(names...)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { controllertest.AddBrokers(c, 2) })
	w.Reset()
	w.Settle(names...)
	w.wantAll("Ready", names...)
	if w.Logins != 3 || w.Requests["update Secret"] != 0 {
		t.Errorf("%d logins, %v", w.Logins, w.Requests)
	}
}

func TestAMarkerIsNoUserAndTakesNobodysRoom(t *testing.T) {
	w := newCertificateWorld(t, 1)
	names := w.many(3, byTLS)
	w.Settle(names...)
	p := &userPass{r: w.users}
	p.pass.Cluster.Key = controllertest.ClusterKey
	p.pass.Cluster.Object = &v1alpha1.KafkaCluster{}
	parts, err := p.readParts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := users.PlacesIn(heldBy(parts), users.Room, plainauth.MaxParts).Certified(); n != 3 || len(w.marks(0)) != 1 {
		t.Errorf("%d users have a certificate, and %d markers", n, len(w.marks(0)))
	}
	w.Apply(newUser("castellan-marker", time.Hour, byTLS))
	w.Settle("castellan-marker")
	w.wantUser("castellan-marker", "Stalled/PrincipalRefused")
	if w.secret("castellan-marker-kafka") != nil || len(w.marks(0)) != 1 {
		t.Error("somebody is called like the marker")
	}
}

func TestUsersBeyondTheFirstListAreProvenByTheMarkersOfThoseBeforeThem(t *testing.T) {
	w := newCertificateWorld(t, 2)
	for id := range int32(2) {
		w.restartBroker(id, plainauth.MaxParts)
	}
	w.room = 220 + 4*users.LinesOf("many-00")
	w.restart()
	names := w.many(12, byTLS)
	w.Settle(names...)
	w.wantAll("Ready", names...)
	if len(w.marks(0)) != 1 || len(w.marks(1)) != 1 || len(w.marks(2)) != 1 {
		t.Fatalf("marked by %v, %v and %v", w.marks(0), w.marks(1), w.marks(2))
	}
	w.atRest(names...)
	w.Reset()
	for _, name := range names {
		w.Remove(w.user(name))
	}
	w.gone(names...)
	if w.Logins != 2*(3+1) {
		t.Errorf("%d logins", w.Logins)
	}
	w.restartBroker(1, 1)
	names = w.many(12, byTLS)
	for range 5 {
		_ = w.Once(names...)
		w.Clock.Move(time.Minute)
	}
	held := 0
	const says = "TLS on broker 1: it has to restart to see more than 4 users with certificates"
	for _, name := range names {
		if strings.Contains(controllertest.Message(w.user(name).Status.Conditions), says) {
			w.wantUser(name, "Reconciling/ProvingLogin")
			held++
		}
	}
	if held != 8 {
		t.Errorf("%d of 12 users wait for the broker that reads one list", held)
	}
}

// kubelets bring a broker the files as they are after some attempts to log in there.
type kubelets struct {
	*world
	after int // attempts that come too early
	early int // those so far
}

func (k *kubelets) TryLogin(ctx context.Context, l kafka.Login) error {
	if k.early == k.after {
		k.Mounts = nil
	}
	err := k.world.TryLogin(ctx, l)
	if k.early++; err == nil {
		k.early = 0
	}
	return err
}

// The flush that has written a file waits for brokers to read it, so that users do not say first that a broker is
// behind. Another one does not: what has not come by then may take long.
func TestTheFlushThatWritesAFileWaitsForBrokersToReadIt(t *testing.T) {
	for name, m := range map[string]v1alpha1.Mechanism{"a file of passwords": plain, "a list of certificates": byTLS} {
		t.Run(name, func(t *testing.T) {
			w := newCertificateWorld(t, 1)
			w.Apply(newUser("other", time.Hour, m))
			w.Settle("other")
			names := w.many(5, m)
			w.Mounts = map[int32]map[string][]byte{0: w.Files()}
			w.users.prober = &kubelets{world: w, after: 2}
			w.users.readLimit = time.Minute
			w.Reset()
			if err := w.Once(names...); err != nil {
				t.Fatal(err)
			}
			w.wantAll("Ready", names...)
			// The two that come too early, the third, and one user.
			if w.Logins != 4 || w.Requests["status KafkaUser"] != len(names) {
				t.Errorf("%d logins, %v", w.Logins, w.Requests)
			}
			w.Mounts = map[int32]map[string][]byte{0: w.Files()}
			w.users.prober = w
			w.users.readLimit = 0 // too short
			w.Apply(newUser("late", time.Hour, m))
			_ = w.Once("late")
			w.users.readLimit = time.Hour
			w.Clock.Move(time.Minute)
			_ = w.Once("late") // which would wait that long
			w.wantUser("late", "Reconciling/"+users.ReasonProving)
		})
	}
}

// The last look is at the end of the wait: what a broker has read by then counts.
func TestTheWaitForBrokersToReadAFileEndsWithALook(t *testing.T) {
	w := newCertificateWorld(t, 1)
	w.Apply(newUser("other", time.Hour, plain))
	w.Settle("other")
	w.Apply(newUser("app", time.Hour, plain))
	w.Mounts = map[int32]map[string][]byte{0: w.Files()}
	w.users.prober = &kubelets{world: w, after: 1}
	w.users.readLimit, w.users.readPause = 300*time.Millisecond, time.Hour
	w.Reset()
	if err := w.Once("app"); err != nil {
		t.Fatal(err)
	}
	w.wantUser("app", "Ready")
	if w.Logins != 3 { // the first look, that at the end, and the user
		t.Errorf("%d logins", w.Logins)
	}
}

// The wait is for all brokers together: there may be many more of them than are asked at once.
func TestManyBrokersAreNotWaitedForOneAfterTheOther(t *testing.T) {
	const brokers = 3 * probers
	w := newCertificateWorld(t, brokers)
	w.Apply(newUser("other", time.Hour, plain))
	w.Settle("other")
	w.Apply(newUser("app", time.Hour, plain))
	w.mountAll(brokers)
	w.users.readLimit, w.users.readPause = 300*time.Millisecond, time.Hour // a first look, and one at the end
	w.Reset()
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/"+users.ReasonProving)
	if w.Logins < brokers+1 || w.Logins > brokers+probers {
		t.Errorf("%d looks at %d brokers", w.Logins, brokers)
	}
}
