package user

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
)

// Tools apply in any order, and give up at once on what is Stalled: what a change of the KafkaCluster brings is waited
// for before its lack counts as a mistake.
func TestAUserBeforeWhatItsClusterLacksIsNotStalledUntilThatIsOverdue(t *testing.T) {
	offers := func(mechanisms ...v1alpha1.Mechanism) func(*v1alpha1.KafkaCluster) {
		return func(c *v1alpha1.KafkaCluster) {
			for n := range c.Spec.Listeners {
				c.Spec.Listeners[n].Authentication = &v1alpha1.ListenerAuthentication{Mechanisms: mechanisms}
			}
			for n := range c.Status.Listeners {
				c.Status.Listeners[n].Mechanisms = mechanisms
			}
		}
	}
	fewer, more := offers(plain), offers(plain, scram512)
	for name, c := range map[string]struct {
		guest, edited  bool
		mechanism      v1alpha1.Mechanism
		lacks, follows func(*v1alpha1.KafkaCluster)
		reason         string
	}{
		"its listener":                 {lacks: fewer, follows: more, reason: "MechanismNotOffered"},
		"its listener, after a change": {edited: true, lacks: fewer, follows: more, reason: "MechanismNotOffered"},
		"the admission of its namespace": {guest: true, reason: "NotAdmitted",
			lacks: func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil }, follows: controllertest.Admit},
		"its authorizer": {reason: "AuthorizationDisabled",
			lacks: func(c *v1alpha1.KafkaCluster) {
				c.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationNone}
			},
			follows: func(c *v1alpha1.KafkaCluster) { c.Spec.Authorization.Type = v1alpha1.AuthorizationSimple }},
	} {
		for _, comes := range []bool{true, false} {
			t.Run(map[bool]string{true: name, false: name + " never comes"}[comes], func(t *testing.T) {
				w := newGuestWorld(t)
				w.ChangeCluster(c.lacks)
				w.Kafka.NoAuthorizer = c.reason == "AuthorizationDisabled"
				namespace := controllertest.ClusterKey.Namespace
				u := newUser("app", time.Hour, scram512)
				switch {
				case c.guest:
					u, namespace = controllertest.FromGuests(u), controllertest.Guests
					w.Apply(u)
				case c.edited:
					u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{plain}
					w.Apply(u)
					w.Settle("app")
					w.mustSay(namespace, "app", "Ready")
					w.changeUser("app", func(u *v1alpha1.KafkaUser) {
						u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{scram512}
					})
				default:
					w.Apply(u)
				}
				_ = w.Once("app")
				w.mustSay(namespace, "app", "Reconciling/"+c.reason)
				w.Clock.Move(10 * time.Second)
				_ = w.Once("app")
				w.mustSay(namespace, "app", "Reconciling/"+c.reason)
				if !comes {
					w.Settle("app")
					w.mustSay(namespace, "app", "Stalled/"+c.reason)
					w.WantSilence("app")
					w.restart()
					w.WantSilence("app")
					return
				}
				w.Kafka.NoAuthorizer = false
				w.ChangeCluster(c.follows)
				w.Settle("app")
				w.mustSay(namespace, "app", "Ready")
				w.WantSilence("app")
				w.Clock.Move(time.Hour)
				w.WantSilence("app")
			})
		}
	}
}

// A pipeline replaces the cluster: it deletes it, and applies it again.
// What is taken away from whoever had the user before says nothing of what its successor lacks.
func TestASuccessorWhoseMechanismNobodyOffersIsNotReadyWhileItsPredecessorGoes(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, plain))
	w.Settle("app")
	next := newUser("next", 0, v1alpha1.MechanismScram256)
	next.Spec.Name = "app"
	w.Apply(next)
	w.mountAll(2) // brokers know the line for some time
	w.Remove(w.user("app"))
	for range 3 {
		_ = w.Once("app")
		w.wantUser("next", "Reconciling/MechanismNotOffered")
		w.Clock.Move(time.Second)
	}
	w.wantUser("app", "Reconciling/Revoking")
}

func TestAUserWhoseClusterIsReplacedIsNotStalledMeanwhile(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, scram512))
	w.Settle("app")
	cluster := w.cluster()
	w.Remove(cluster)
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/ClusterNotFound")
	w.Clock.Move(time.Minute)
	_ = w.Once("app")
	w.wantUser("app", "Stalled/ClusterNotFound")
	w.WantSilence("app")
	if told := w.told(); strings.Contains(told, corev1.EventTypeWarning) {
		t.Errorf("told %s", told)
	}
}
