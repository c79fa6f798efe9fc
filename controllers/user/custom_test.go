package user

import (
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// aClassDecides has a class of a plug-in decide; minds tells whether it has Kafka's ACLs beside, as one that extends
// StandardAuthorizer does.
func (w *world) aClassDecides(minds bool) {
	w.T.Helper()
	w.Kafka.NoAuthorizer = !minds
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationCustom, Class: "com.example.Authorizer"}
	})
}

// ACLs that were set before are in force where the class minds them: what is taken from a user goes, and nothing comes.
func TestWhereAClassDecidesACLsOfBeforeAreTakenAwayAndNoneIsSet(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world)
		left   int
	}{
		"nothing":     {func(*world) {}, 2},
		"it goes":     {func(w *world) { w.Remove(w.user("app")) }, 0},
		"its ACLs go": {func(w *world) { w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.ACLs = nil }) }, 0},
		"another is asked": {func(w *world) {
			rule, _ := onTopic("more", "Allow")
			w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.ACLs = append(u.Spec.ACLs, rule) })
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.Apply(newUser("app", time.Hour, scram512))
			w.Settle("app")
			w.wantUser("app", "Ready")
			w.aClassDecides(true)
			c.change(w)
			w.wake()
			w.Settle("app")
			if w.aclsOf("app") != c.left || len(w.remain()) != 0 {
				t.Errorf("Kafka has %v; on record are %v", w.Kafka.ACLSet, w.remain())
			}
			w.WantSilence("app")
		})
	}
}

func TestWhereAClassDecidesAnEvictedUserLosesItsACLs(t *testing.T) {
	w := newGuestWorld(t, newUser("app", time.Hour, scram512))
	w.aClassDecides(true)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Evicted = []string{controllertest.Guests} })
	w.Settle("app")
	if len(w.Kafka.ACLSet) != 0 || len(w.remain()) != 0 {
		t.Errorf("Kafka has %v, on record are %v", w.Kafka.ACLSet, w.remain())
	}
}

// A class need not have ACLs: what the operator had set is on record as where there is no authorizer, and users go on.
func TestAClassWithoutACLsHoldsNobody(t *testing.T) {
	for name, refusal := range map[string]*kafka.Refusal{
		"it says so": nil, "it fails": {Code: "UNKNOWN_SERVER_ERROR", Message: "UnsupportedOperationException"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.Apply(newUser("app", time.Hour, scram512))
			w.Settle("app")
			w.aClassDecides(false)
			w.Kafka.RefuseACLs = refusal
			w.Apply(newUser("other", time.Hour, scram512))
			w.Settle("app", "other")
			if len(w.Kafka.Scram["other"]) == 0 {
				t.Fatal("a user is not made")
			}
			w.Remove(w.user("app"))
			w.Settle("app")
			if w.user("app") != nil || len(w.remain()) != 1 {
				t.Errorf("it is held, or on record are %v", w.remain())
			}
			w.Kafka.RefuseACLs = nil
			w.authorizer(true)
			w.wake()
			if w.aclsOf("app") != 0 || len(w.remain()) != 0 {
				t.Errorf("Kafka has %v, on record are %v", w.Kafka.ACLSet, w.remain())
			}
		})
	}
}
