package user

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// newRestartWorld has three brokers whose processes run since known times, and users of every mechanism that are Ready.
func newRestartWorld(t *testing.T) (w *world, names []string) {
	t.Helper()
	w = newUserWorld(t, 3)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Listeners[0].Authentication = &v1alpha1.ListenerAuthentication{
			Mechanisms: []v1alpha1.Mechanism{plain, scram256, scram512}}
		for i := range c.Status.Nodes {
			c.Status.Nodes[i].StartedAt = &metav1.Time{Time: controllertest.TestStart.Add(-time.Hour)}
		}
	})
	w.Apply(newUser("a512", time.Hour, scram512), newUser("b512", time.Hour, scram512, plain),
		newUser("c256", time.Hour, scram256), newUser("d256", time.Hour, scram256), newUser("plain", time.Hour, plain),
		newUser("every", time.Hour, scram256, scram512))
	names = []string{"a512", "b512", "c256", "d256", "every", "plain"}
	w.Settle(names...)
	w.Settle(names...) // the processes have been seen to hold what the users were given in them
	w.wantAll("Ready", names...)
	return w, names
}

func (w *world) wantAll(want string, names ...string) {
	w.T.Helper()
	for _, name := range names {
		w.wantUser(name, want)
	}
}

// again lets a broker run in a new process.
func (w *world) again(broker int32) {
	w.T.Helper()
	w.Clock.Move(time.Minute)
	now := w.Clock.Now()
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Status.Nodes[broker].StartedAt = &metav1.Time{Time: now} })
}

// passwords are those that Kafka has, by user and mechanism.
func (w *world) passwords() map[string]string {
	all := map[string]string{}
	for user, credentials := range w.Kafka.Scram {
		for mechanism, c := range credentials {
			all[user+" "+mechanism] = c.Password
		}
	}
	return all
}

// lets tells whether a broker lets a user in by a mechanism, with the password of its Secret.
func (w *world) lets(user string, broker int32, m v1alpha1.Mechanism) bool {
	return w.TryLogin(w.T.Context(), kafka.Login{Address: fmt.Sprintf("events-main-%d.", broker), Mechanism: string(m),
		Username: user, Password: w.secret(user + "-kafka")["password"]}) == nil
}

// wantSetOnce fails unless the users' credentials of a mechanism were set once, and nothing else.
func (w *world) wantSetOnce(m v1alpha1.Mechanism, names ...string) {
	w.T.Helper()
	want := map[string]int{}
	for _, name := range names {
		want[name+" "+string(m)] = 1
	}
	if !maps.Equal(w.Kafka.Upserts, want) {
		w.T.Errorf("set again: %v, want %v", w.Kafka.Upserts, want)
	}
}

func TestARestartWithoutALossCostsOneLoginOfEachScramMechanismAndNoWrite(t *testing.T) {
	w, names := newRestartWorld(t)
	for name, step := range map[string]struct {
		happens func()
		logins  int
	}{
		"nothing":               {func() {}, 0},
		"a broker is restarted": {func() { w.again(1) }, 2},
		"two are":               {func() { w.again(0); w.again(2) }, 4},
		"the operator is":       {w.restart, 6},
	} {
		step.happens()
		w.Reset()
		w.Settle(names...)
		if w.Logins != step.logins || w.Kafka.Writes() != 0 || w.APIWrites() != 0 {
			t.Errorf("%s: %d logins, want %d; %v, %v", name, w.Logins, step.logins, w.Kafka.Requests, w.Requests)
		}
		w.wantAll("Ready", names...)
		w.Reset()
		w.Settle(names...)
		if w.Logins != 0 {
			t.Errorf("%s, and then nothing more: %d logins", name, w.Logins)
		}
	}
}

func TestABrokerThatHasLostAMechanismGetsItsUsersBackWithTheSamePasswords(t *testing.T) {
	const all = "a512 b512 c256 d256 every plain"
	for name, c := range map[string]struct {
		flushes string
		answers int32  // the broker that is asked for the credentials that there are
		sooner  string // who is set before the loss is seen, because that broker does not know it
	}{
		"all are looked at":                     {all, 0, ""},
		"one is looked at":                      {"b512", 0, ""},
		"others are looked at":                  {"c256 a512", 0, ""},
		"all are looked at, and it answers":     {all, 1, ""},
		"the oldest is looked at, it answers":   {"a512", 1, ""},
		"the youngest is looked at, it answers": {"b512", 1, "b512"},
	} {
		t.Run(name, func(t *testing.T) {
			w, names := newRestartWorld(t)
			w.Kafka.Answers = c.answers
			before := w.passwords()
			file := w.secret("events-plain-users")
			w.again(1)
			w.Kafka.LoseUsers(1, "SCRAM-SHA-512")
			w.Reset()
			w.Settle(strings.Fields(c.flushes)...)
			w.wantAll("Ready", names...)
			for _, user := range []string{"a512", "b512", "every"} {
				if !w.lets(user, 1, scram512) {
					t.Errorf("%s cannot log in on broker 1", user)
				}
				if proven := w.user(user).Status.Credentials.ProvenOn; !slices.Equal(proven, []int32{0, 1, 2}) {
					t.Errorf("%s is proven on %v", user, proven)
				}
			}
			if fmt.Sprint(w.passwords()) != fmt.Sprint(before) ||
				fmt.Sprint(w.secret("events-plain-users")) != fmt.Sprint(file) {
				t.Error("a password has changed")
			}
			if c.sooner != "" {
				w.Kafka.Upserts[c.sooner+" SCRAM-SHA-512"]--
			}
			w.wantSetOnce(scram512, "a512", "b512", "every")
			if n := w.Kafka.Writes() - w.Kafka.Count("scram-alter"); n != 0 {
				t.Errorf("written besides: %v", w.Kafka.Requests)
			}
			const want = `Warning CredentialsLost Broker 1 has lost the SCRAM-SHA-512 credentials of its users`
			if told := w.told(); strings.Count(told, "CredentialsLost") != 1 || !strings.Contains(told, want) {
				t.Errorf("told: %q", told)
			}
			w.WantSilence(names...)
			if w.Logins != 0 {
				t.Errorf("%d logins at rest", w.Logins)
			}
		})
	}
}

func TestWhatIsSetAgainIsSeenToWorkInTheSameFlush(t *testing.T) {
	w, names := newRestartWorld(t)
	w.Kafka.Answers = 1 // which makes the loss certain at once
	w.again(1)
	w.Kafka.LoseUsers(1, "SCRAM-SHA-512")
	w.Reset()
	if err := w.Once(names...); err != nil {
		t.Fatal(err)
	}
	w.wantSetOnce(scram512, "a512", "b512", "every")
	if w.APIWrites() != 0 {
		t.Errorf("a status that is true again was written: %v", w.Requests)
	}
	w.wantAll("Ready", names...)
}

func TestWhatCouldNotBeSetAgainIsTriedUntilItIsSet(t *testing.T) {
	w, names := newRestartWorld(t)
	w.again(1)
	w.Kafka.LoseUsers(1, "SCRAM-SHA-512")
	w.Kafka.Forbidden["scram-alter"] = true
	w.Queue.Mark(controllertest.ClusterKey, names...)
	for range 5 {
		_ = w.Once()
		w.Clock.Move(time.Minute)
	}
	w.Kafka.Forbidden["scram-alter"] = false
	w.Reset()
	w.Settle()
	w.wantSetOnce(scram512, "a512", "b512", "every")
	w.wantAll("Ready", names...)
	if told := w.told(); strings.Count(told, "CredentialsLost") != 1 {
		t.Errorf("told: %q", told)
	}
}

// grow adds a broker to the three.
func (w *world) grow() {
	w.T.Helper()
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		controllertest.AddBrokers(c, 4)
		for i := range c.Status.Nodes {
			c.Status.Nodes[i].StartedAt = &metav1.Time{Time: controllertest.TestStart.Add(-time.Hour)}
		}
	})
	w.Kafka.BrokerCount = 4
}

func TestANewBrokerIsAskedOnceForEachScramMechanism(t *testing.T) {
	w, names := newRestartWorld(t)
	w.grow()
	w.Reset()
	w.Settle(names...)
	w.wantAll("Ready", names...)
	if w.Logins != 4 || w.Kafka.Writes() != 0 { // one of each SCRAM mechanism, and of PLAIN both
		t.Errorf("%d logins, want 4; %v", w.Logins, w.Kafka.Requests)
	}
}

func TestANewBrokerThatHasLostItsUsersGetsThemBack(t *testing.T) {
	w, names := newRestartWorld(t)
	w.grow()
	w.Kafka.LoseUsers(3, "SCRAM-SHA-256")
	w.Reset()
	w.Settle(names...)
	w.wantAll("Ready", names...)
	w.wantSetOnce(scram256, "c256", "d256", "every")
}

func TestABrokerThatDoesNotAnswerHasLostNothing(t *testing.T) {
	w, names := newRestartWorld(t)
	w.again(1)
	w.Kafka.LoseUsers(1, "SCRAM-SHA-512")
	w.Kafka.Silent[1] = true
	w.Reset()
	w.Queue.Mark(controllertest.ClusterKey, names...)
	for range 10 {
		_ = w.Once()
		w.Clock.Move(time.Minute)
	}
	if w.Kafka.Writes() != 0 || w.APIWrites() != 0 {
		t.Errorf("written: %v, %v", w.Kafka.Requests, w.Requests)
	}
	if w.Logins < 10 || w.Logins > 20 {
		t.Errorf("%d logins in 10 looks", w.Logins)
	}
	w.wantAll("Ready", names...)
	w.Kafka.Silent[1] = false
	w.LookAgain(time.Minute)
	if !w.lets("a512", 1, scram512) || !w.lets("b512", 1, scram512) {
		t.Error("it answers again, and its users are not set again")
	}
}

func TestARefusalThatIsOverInAMomentIsNoLoss(t *testing.T) {
	w, names := newRestartWorld(t)
	w.again(1)
	w.Kafka.LoseUsers(1, "SCRAM-SHA-512")
	w.Reset()
	_ = w.Once(names...)
	w.Kafka.Regain(1) // it had not read everything yet
	w.Settle(names...)
	if w.Kafka.Writes() != 0 || w.APIWrites() != 0 {
		t.Errorf("written: %v, %v", w.Kafka.Requests, w.Requests)
	}
	w.wantAll("Ready", names...)
}

func TestAUserThatSomebodyHasDeletedInKafkaIsNoLossOfABroker(t *testing.T) {
	w, names := newRestartWorld(t)
	w.again(0)
	w.again(1)
	delete(w.Kafka.Scram, "a512")
	w.Reset()
	w.Settle(names...)
	w.wantAll("Ready", names...)
	w.wantSetOnce(scram512, "a512")
	if told := w.told(); strings.Contains(told, "CredentialsLost") {
		t.Errorf("told: %q", told)
	}
	w.Reset()
	w.Settle(names...)
	if w.Logins != 0 {
		t.Errorf("%d logins at rest", w.Logins)
	}
}

func TestAPasswordThatSomebodyHasSetInKafkaIsNoLossOfABroker(t *testing.T) {
	w, names := newRestartWorld(t)
	w.again(1)
	w.Kafka.Scram["a512"]["SCRAM-SHA-512"] = controllertest.ScramCredential{Iterations: 4096, Password: "theirs"}
	w.Reset()
	w.Settle(names...)
	w.wantSetOnce(scram512, "a512")
	if told := w.told(); strings.Contains(told, "CredentialsLost") {
		t.Errorf("told: %q", told)
	}
}

func TestWhatABrokerRefusesAlsoAfterwardsIsToldAndNotSetInALoop(t *testing.T) {
	w, names := newRestartWorld(t)
	w.again(1)
	w.Kafka.LoseUsers(1, "SCRAM-SHA-512")
	w.Kafka.Stubborn[1] = true
	w.Reset()
	w.Queue.Mark(controllertest.ClusterKey, names...)
	for range 20 {
		_ = w.Once()
		w.Clock.Move(time.Minute)
	}
	w.wantSetOnce(scram512, "a512", "b512", "every")
	w.wantAll("Reconciling/ProvingLogin", "a512", "b512", "every")
	w.wantAll("Ready", "c256", "d256", "plain")
	const says = "SCRAM-SHA-512 on broker 1: refused, also since it was set again"
	if m := controllertest.Message(w.user("b512").Status.Conditions); !strings.Contains(m, says) {
		t.Errorf("it says %q", m)
	}
	if proven := w.user("a512").Status.Credentials.ProvenOn; !slices.Equal(proven, []int32{0, 2}) {
		t.Errorf("proven on %v", proven)
	}
	if told := w.told(); strings.Count(told, "CredentialsLost") != 1 {
		t.Errorf("told: %q", told)
	}
	if next, waits := w.Queue.Next(controllertest.ClusterKey); !waits || next > proveLimit {
		t.Errorf("looked at again after %s (%t)", next, waits)
	}
	w.Kafka.Stubborn[1] = false
	w.again(1) // a new process has another try
	w.Settle(names...)
	w.wantAll("Ready", names...)
}

func TestAUserThatWasSetAfterwardsDoesNotSpeakForTheOthers(t *testing.T) {
	w, names := newRestartWorld(t)
	w.again(1)
	w.Kafka.LoseUsers(1, "SCRAM-SHA-512")
	w.Apply(newUser("0new", 0, scram512))
	w.Settle("0new")
	w.restart()
	w.Reset()
	w.Settle(append(names, "0new")...)
	if !w.lets("a512", 1, scram512) || !w.lets("b512", 1, scram512) {
		t.Error("the broker was believed for the sake of a user that it got later")
	}
}

func TestWhatAnExternalBrokerHasLostIsNotSeen(t *testing.T) {
	w := newExternalUserWorld(t, controllertest.ReadyExternal())
	w.Apply(newUser("app", time.Hour, scram512))
	w.Settle("app")
	w.restart()
	w.Reset()
	w.Settle("app")
	if w.Logins != 0 || w.Kafka.Writes() != 0 {
		t.Errorf("%d logins, %v", w.Logins, w.Kafka.Requests)
	}
}

func TestUsersAreLookedAtWhenABrokerRunsInANewProcess(t *testing.T) {
	before := controllertest.ReadyCluster(2)
	since := metav1.NewTime(controllertest.TestStart)
	before.Status.Nodes[1].StartedAt = &since
	with := func(name string, m v1alpha1.Mechanism, proven ...int32) *v1alpha1.KafkaUser {
		u := newUser(name, time.Hour, m)
		u.Status.Credentials = &v1alpha1.Credentials{ClusterID: before.Status.ClusterID, ProvenOn: proven,
			Mechanisms: []v1alpha1.CredentialStatus{{Mechanism: m}}}
		return u
	}
	// One of those who are proven is looked at for all of the mechanism.
	all := []*v1alpha1.KafkaUser{with("a", scram512, 0, 1), with("b", scram512, 0, 1), with("unproven", scram512, 0),
		with("plain", plain, 0, 1), with("outside", v1alpha1.MechanismExternal), newUser("nowhere", time.Hour, plain)}
	for name, c := range map[string]struct {
		change func(*v1alpha1.NodeStatus)
		wanted string
	}{
		"the same process": {func(n *v1alpha1.NodeStatus) { n.StartedAt = since.DeepCopy() }, ""},
		"another process": {func(n *v1alpha1.NodeStatus) {
			n.StartedAt = &metav1.Time{Time: since.Add(time.Second)}
		}, "a unproven nowhere"},
		"it serves no more": {func(n *v1alpha1.NodeStatus) {
			n.State, n.StartedAt = v1alpha1.NodeStarting, &metav1.Time{Time: since.Add(time.Second)}
		}, ""},
	} {
		after := before.DeepCopy()
		c.change(&after.Status.Nodes[1])
		if !sameForUsers(before, after) {
			t.Errorf("%s: it concerns all users", name)
		}
		var wanted []string
		if touched := touchedBy(before, after); touched != nil {
			for _, u := range all {
				if touched(u) {
					wanted = append(wanted, u.Name)
				}
			}
		}
		if got := strings.Join(wanted, " "); got != c.wanted {
			t.Errorf("%s: looked at are %q, want %q", name, got, c.wanted)
		}
	}
}
