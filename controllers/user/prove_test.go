package user

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/plainauth"
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
