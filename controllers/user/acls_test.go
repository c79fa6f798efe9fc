package user

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// onTopic is a rule about one topic, and the ACL that it becomes.
func onTopic(name, permission string) (v1alpha1.ACLRule, kafka.ACL) {
	return v1alpha1.ACLRule{
			Resource:   v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: name},
			Operations: []v1alpha1.Operation{"Read"}, Permission: permission,
		}, kafka.ACL{
			Principal: "User:app", Host: "*", ResourceType: "Topic", ResourceName: name, Pattern: "Literal",
			Operation: "Read", Permission: permission,
		}
}

func TestNothingIsTakenFromAPrincipalWhereSomethingCouldNotBeAdded(t *testing.T) {
	oldAllow, haveAllow := onTopic("old", "Allow")
	newAllow, wantAllow := onTopic("new", "Allow")
	oldDeny, haveDeny := onTopic("old-secret", "Deny")
	newDeny, wantDeny := onTopic("new-secret", "Deny")
	for _, c := range []struct {
		name   string
		refuse []kafka.ACL
		want   []kafka.ACL
	}{
		{"all goes through", nil, []kafka.ACL{wantAllow, wantDeny}},
		{"an Allow is refused", []kafka.ACL{wantAllow}, []kafka.ACL{haveAllow, haveDeny, wantDeny}},
		{"a Deny is refused, and what it was to limit is not allowed",
			[]kafka.ACL{wantDeny}, []kafka.ACL{haveAllow, haveDeny}},
		{"an Allow stays, and with it the Deny that limits it",
			[]kafka.ACL{haveAllow}, []kafka.ACL{haveAllow, haveDeny, wantAllow, wantDeny}},
		{"a Deny stays", []kafka.ACL{haveDeny}, []kafka.ACL{haveDeny, wantAllow, wantDeny}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			for _, name := range []string{"app", "other"} {
				u := newUser(name, time.Hour, v1alpha1.MechanismScram512)
				u.Spec.ACLs = []v1alpha1.ACLRule{oldAllow, oldDeny}
				w.Apply(u)
			}
			w.Settle("app", "other")
			for _, name := range []string{"app", "other"} {
				w.changeUser(name, func(u *v1alpha1.KafkaUser) { u.Spec.ACLs = []v1alpha1.ACLRule{newAllow, newDeny} })
			}
			for _, a := range c.refuse {
				w.Kafka.RefuseACL[a] = &kafka.Refusal{Code: "INVALID_REQUEST", Message: "no"}
			}
			_ = w.Once("app", "other")
			want := map[kafka.ACL]bool{}
			for _, a := range c.want {
				want[a] = true
			}
			for _, a := range []kafka.ACL{wantAllow, wantDeny} {
				a.Principal = "User:other" // of whom nothing was refused
				want[a] = true
			}
			if !maps.Equal(w.Kafka.ACLSet, want) {
				t.Errorf("Kafka has %v, want %v", w.Kafka.ACLSet, want)
			}
			w.wantUser("other", "Ready")
			if len(c.refuse) > 0 {
				w.wantUser("app", "Stalled/Refused")
			}
			clear(w.Kafka.RefuseACL)
			w.Settle("app")
			w.wantUser("app", "Ready")
		})
	}
}

func TestARuleThatMatchesNothingIsToldAndTakesNothingAway(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	have := maps.Clone(w.Kafka.ACLSet)
	everything := v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: "*", Pattern: v1alpha1.PatternPrefixed}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) {
		u.Spec.ACLs = append(u.Spec.ACLs[:0],
			v1alpha1.ACLRule{Resource: everything, Operations: []v1alpha1.Operation{"Read"}})
	})
	w.Settle("app")
	w.wantUser("app", "Stalled/InvalidACL")
	if len(have) == 0 || !maps.Equal(w.Kafka.ACLSet, have) {
		t.Errorf("Kafka has %v, want %v", w.Kafka.ACLSet, have)
	}
}

func TestGrantsAreInForceAndToldAndCostNothingAtRest(t *testing.T) {
	w := newUserWorld(t, 1)
	u := newUser("app", time.Hour, v1alpha1.MechanismScram512)
	u.Spec.ACLs = nil
	u.Spec.Grants = []v1alpha1.Grant{{Role: v1alpha1.RoleConsumer, Topic: "t", Group: "g"}}
	w.Apply(u)
	w.Settle("app")
	w.wantUser("app", "Ready")
	read, _ := onTopic("t", "Allow")
	read.Operations = append(read.Operations, "Describe")
	if len(w.Kafka.ACLSet) != 4 {
		t.Errorf("Kafka has %v", w.Kafka.ACLSet)
	}
	if got := w.user("app").Status; !slices.Equal(got.ACLs,
		[]string{"Allow Describe, Read on Group g", "Allow Describe, Read on Topic t"}) || got.Credentials.ACLs != "" {
		t.Errorf("%q %+v", got.ACLs, got.Credentials)
	}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { // the same, by a rule and a grant
		u.Spec.ACLs = []v1alpha1.ACLRule{read}
	})
	w.Settle("app")
	if len(w.Kafka.ACLSet) != 4 {
		t.Errorf("what is asked for twice is there twice, or not at all: %v", w.Kafka.ACLSet)
	}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) {
		u.Spec.ACLs, u.Spec.Grants[0].Topic = nil, "a b"
	})
	w.Settle("app")
	w.wantUser("app", "Stalled/InvalidACL")
	if got := w.user("app").Status.ACLs; len(w.Kafka.ACLSet) != 4 || len(got) != 2 {
		t.Errorf("what it had stays, and is told: %v %q", w.Kafka.ACLSet, got)
	}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Grants = nil })
	w.Settle("app")
	w.wantUser("app", "Ready")
	if got := w.user("app").Status; len(w.Kafka.ACLSet) != 0 || got.ACLs != nil ||
		got.Credentials.ACLs != v1alpha1.ACLsNone {
		t.Errorf("%v %q %+v", w.Kafka.ACLSet, got.ACLs, got.Credentials)
	}
}

// Whoever gets no ACL has nothing to write ahead of it.
func TestAUserThatGetsNoACLIsSilentAtRest(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.KafkaUser){
		"it takes over whoever has its name": func(u *v1alpha1.KafkaUser) {
			u.Spec.ACLs, u.Spec.Adoption = nil, v1alpha1.UserAdoptionAlways
		},
		"its rules reach beyond its namespace": func(u *v1alpha1.KafkaUser) {
			u.Spec.ACLs = []v1alpha1.ACLRule{{Operations: []v1alpha1.Operation{"Alter"},
				Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceCluster}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 2)
			w.ChangeCluster(controllertest.Admit)
			u := newUser("app", time.Hour, v1alpha1.MechanismScram512)
			change(u)
			w.Apply(controllertest.GuestNamespace(), controllertest.FromGuests(u))
			w.Settle("app")
			if s := w.userIn(controllertest.Guests, "app").Status; s.Credentials == nil || s.Credentials.ACLs != v1alpha1.ACLsNone {
				t.Fatalf("%+v", s)
			}
			w.WantSilence("app")
		})
	}
}
