package user

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

const (
	plain    = v1alpha1.MechanismPlain
	scram256 = v1alpha1.MechanismScram256
	scram512 = v1alpha1.MechanismScram512
)

// opens tells whether broker 0 lets a user in by a mechanism, with the password of its Secret.
func (w *world) opens(user string, m v1alpha1.Mechanism) bool {
	return w.TryLogin(w.T.Context(), kafka.Login{Address: "events-main-0.", Mechanism: string(m), Username: user,
		Password: w.secret(user + "-kafka")["password"]}) == nil
}

func (w *world) wantWays(when string, open []v1alpha1.Mechanism, shut ...v1alpha1.Mechanism) {
	w.T.Helper()
	for _, m := range open {
		if !w.opens("app", m) {
			w.T.Errorf("%s: it cannot log in by %s; on record is %+v", when, m, w.user("app").Status.Credentials)
		}
	}
	for _, m := range shut {
		if w.opens("app", m) {
			w.T.Errorf("%s: it still logs in by %s", when, m)
		}
	}
}

func TestNoWayInIsTakenAwayWhereAnotherCouldNotBeAdded(t *testing.T) {
	refuse := func(w *world) (cure func()) {
		w.Kafka.Refuse["app"] = &kafka.Refusal{Code: "UNACCEPTABLE_CREDENTIAL", Message: "no"}
		return func() { delete(w.Kafka.Refuse, "app") }
	}
	noFile := func(w *world) (cure func()) {
		w.Failing["create events-plain-users"] = errors.New("exceeded quota")
		w.Failing["update events-plain-users"] = errors.New("exceeded quota")
		return func() { clear(w.Failing) }
	}
	for name, c := range map[string]struct {
		from, to []v1alpha1.Mechanism
		spoil    func(*world) func()
		want     string
	}{
		"PLAIN to SCRAM, refused":             {[]v1alpha1.Mechanism{plain}, []v1alpha1.Mechanism{scram512}, refuse, "Stalled/Refused"},
		"SCRAM to PLAIN, without a file":      {[]v1alpha1.Mechanism{scram512}, []v1alpha1.Mechanism{plain}, noFile, "Reconciling/Retrying"},
		"one SCRAM to another, refused":       {[]v1alpha1.Mechanism{scram256}, []v1alpha1.Mechanism{scram512}, refuse, "Stalled/Refused"},
		"PLAIN and SCRAM to another, refused": {[]v1alpha1.Mechanism{plain, scram256}, []v1alpha1.Mechanism{plain, scram512}, refuse, "Stalled/Refused"},
	} {
		for _, rotated := range []bool{false, true} {
			if rotated {
				name += ", with another password"
			}
			t.Run(name, func(t *testing.T) {
				w := newUserWorld(t, 2)
				w.ChangeCluster(func(k *v1alpha1.KafkaCluster) {
					k.Spec.Listeners[0].Authentication = &v1alpha1.ListenerAuthentication{
						Mechanisms: []v1alpha1.Mechanism{plain, scram256, scram512}}
				})
				w.Apply(newUser("app", time.Hour, c.from...))
				w.Settle("app")
				w.wantUser("app", "Ready")
				cure := c.spoil(w)
				w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Authentication.Mechanisms = c.to })
				if rotated {
					w.writeSecret("app-kafka", func(s *corev1.Secret) { s.Data["password"] = []byte("another-password-16") })
				}
				_ = w.Once("app")
				w.wantUser("app", c.want)
				still := c.from
				if rotated { // a password that Kafka does not take is in force nowhere but in the file
					still = nil
					if c.from[0] == plain || c.to[0] == plain && len(c.to) == 1 {
						still = c.from[:1]
					}
				}
				w.wantWays("not added", still)
				if c.want == "Stalled/Refused" {
					w.restart()
					w.Apply(newUser("other", time.Hour, plain)) // for whom the file is written
					w.Settle("other", "app")
					w.wantWays("after others", still)
					w.WantSilence("other")
				}
				cure()
				w.Settle("app")
				w.wantUser("app", "Ready")
				var gone []v1alpha1.Mechanism
				for _, m := range c.from {
					if m != plain || len(c.to) == 1 {
						gone = append(gone, m)
					}
				}
				w.wantWays("cured", c.to, gone...)
				w.WantSilence("app")
			})
		}
	}
}

func TestAWayInGoesOnceEveryBrokerWasSeenToAcceptTheOther(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, scram512), newUser("other", time.Hour, plain))
	w.Settle("app", "other")
	w.mountAll(2) // and the kubelets do not refresh
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{plain} })
	for range 5 {
		_ = w.Once("app")
		w.Clock.Move(time.Minute)
		w.wantUser("app", "Reconciling/ProvingLogin")
		w.wantWays("no broker has the file", []v1alpha1.Mechanism{scram512})
	}
	if c := w.user("app").Status.Credentials; len(c.Mechanisms) != 2 {
		t.Errorf("on record is %+v", c)
	}
	w.mountAll(2)
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantWays("every broker has it", []v1alpha1.Mechanism{plain}, scram512)
	w.WantSilence("app")
}

func TestALineThatCouldNotBeTakenAwayIsTakenAwayLater(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, plain))
	w.Settle("app")
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{scram512} })
	w.Failing["update events-plain-users"] = errors.New("exceeded quota")
	for range 5 {
		_ = w.Once("app")
		w.Clock.Move(time.Minute)
	}
	w.wantUser("app", "Reconciling/Retrying")
	clear(w.Failing)
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantWays("the file can be written again", []v1alpha1.Mechanism{scram512}, plain)
	w.WantSilence("app")
}

func TestWhoLosesAUserDoesNotKeepAWayInUntilItsSuccessorIsIn(t *testing.T) {
	for _, m := range []v1alpha1.Mechanism{plain, scram256} {
		t.Run(string(m), func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.ChangeCluster(func(k *v1alpha1.KafkaCluster) {
				k.Spec.Listeners[0].Authentication = &v1alpha1.ListenerAuthentication{
					Mechanisms: []v1alpha1.Mechanism{plain, scram256, scram512}}
			})
			w.Apply(newUser("app", time.Hour, m))
			w.Settle("app")
			old := w.secret("app-kafka")["password"]
			next := newUser("next", 0, scram512)
			next.Spec.Name = "app"
			w.Apply(next)
			w.Remove(w.user("app"))
			w.Kafka.Refuse["app"] = &kafka.Refusal{Code: "UNACCEPTABLE_CREDENTIAL", Message: "no"}
			w.Settle("app")
			if w.login("app", old) {
				t.Error("who was deleted logs in")
			}
		})
	}
}
