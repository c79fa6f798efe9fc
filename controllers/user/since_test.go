package user

import (
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// kubectl describe answers since when a user may do what it may do.
func TestTheStatusSaysSinceWhenBrokersActByTheACLs(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Kafka.Behind[1] = true
	w.Apply(newUser("app", time.Hour, scram512))
	_ = w.Once("app")
	if s := w.user("app").Status; s.ACLsSince != nil || len(s.ACLs) == 0 {
		t.Fatalf("a broker does not act by %q, and it says since %v", s.ACLs, s.ACLsSince)
	}
	w.Kafka.Behind[1] = false
	w.LookAgain(time.Minute)
	first := w.user("app").Status.ACLsSince
	if first == nil || !first.Time.Equal(w.Clock.Now().Truncate(time.Second)) {
		t.Fatalf("it says since %v, and it is %v", first, w.Clock.Now())
	}
	w.Clock.Move(time.Hour)
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Quotas = nil })
	w.Settle("app")
	if s := w.user("app").Status; !s.ACLsSince.Equal(first) {
		t.Errorf("only the quotas are others, and it says since %v", s.ACLsSince)
	}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.ACLs[0].Operations = []v1alpha1.Operation{"Describe"} })
	w.Settle("app")
	if s := w.user("app").Status; !s.ACLsSince.After(first.Time) {
		t.Errorf("the ACLs are others, and it says since %v", s.ACLsSince)
	}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.ACLs = nil })
	w.Settle("app")
	if s := w.user("app").Status; s.ACLsSince != nil {
		t.Errorf("it may do nothing, and says since %v", s.ACLsSince)
	}
	w.WantSilence("app")
}
