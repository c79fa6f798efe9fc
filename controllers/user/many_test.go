package user

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// Each of the bad ones says what is wrong with it, and whoever shares a flush with it neither waits nor is asked about
// again.
func TestBadUsersHoldUpNobodyElse(t *testing.T) {
	const many = 60
	w := newUserWorld(t, 3)
	w.ChangeCluster(superUser("root"))
	bad := map[string]string{}
	spoil := func(want string, change func(*v1alpha1.KafkaUser)) {
		u := newUser(fmt.Sprintf("bad-%d", len(bad)), time.Hour, scram512)
		change(u)
		bad[u.Name] = want
		w.Apply(u)
	}
	spoil("Stalled/Refused", func(u *v1alpha1.KafkaUser) {
		w.Kafka.Refuse[u.Name] = &kafka.Refusal{Code: "UNACCEPTABLE_CREDENTIAL"}
	})
	spoil("Reconciling/MechanismNotOffered", func(u *v1alpha1.KafkaUser) {
		u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismScram256}
	})
	spoil("Stalled/PasswordSecret", func(u *v1alpha1.KafkaUser) {
		u.Spec.Authentication.PasswordSecret = &v1alpha1.PasswordSecret{Name: "nowhere"}
	})
	spoil("Stalled/SecretConflict", func(u *v1alpha1.KafkaUser) {
		w.Apply(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: u.Namespace, Name: u.Name + "-kafka"}})
	})
	spoil("Stalled/InvalidACL", func(u *v1alpha1.KafkaUser) { u.Spec.ACLs[0].Resource.Name = "no topic" })
	spoil("Stalled/PrincipalRefused", func(u *v1alpha1.KafkaUser) {
		u.Spec.Name = "root"
		u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismExternal}
	})
	spoil("Stalled/UserExists", func(u *v1alpha1.KafkaUser) {
		w.Kafka.Scram[u.Name] = map[string]controllertest.ScramCredential{"SCRAM-SHA-512": {Iterations: 4096}}
	})
	names := []string{"root"}
	for name := range bad {
		names = append(names, name)
	}
	for n := range many {
		name := fmt.Sprintf("good-%03d", n)
		w.Apply(newUser(name, time.Hour, scram512))
		names = append(names, name)
	}
	w.Reset()
	_ = w.Once(names...)
	ready := 0
	for n := range many {
		if controllertest.State(w.user(fmt.Sprintf("good-%03d", n)).Status.Conditions) == "Ready" {
			ready++
		}
	}
	if ready != many || w.Kafka.Count("scram-alter") > 2 || w.Kafka.Count("acl-create") > 2 {
		t.Errorf("%d of %d are Ready after one flush, of %v", ready, many, w.Kafka.Requests)
	}
	w.Clock.Move(2 * time.Second) // what may be over in a moment is looked at again
	_ = w.Once(names...)
	for name, want := range bad {
		u := w.user(name)
		if got := controllertest.State(u.Status.Conditions); got != want {
			t.Errorf("%s is %s (%s), want %s", name, got, controllertest.Message(u.Status.Conditions), want)
		}
		if m := controllertest.Message(u.Status.Conditions); strings.Contains(m, "good-") {
			t.Error(m)
		}
	}
	w.Reset()
	_ = w.Once(names...)
	// What is refused is tried again, and nothing else.
	delete(w.Requests, "create Secret")
	if w.APIWrites() != 0 || w.Kafka.Count("scram-alter", "acl-create") > 2 ||
		w.Kafka.Count("acl-delete", "quota-alter") != 0 || w.Logins != 0 {
		t.Errorf("looked at again: %v %v, %d logins", w.Requests, w.Kafka.Requests, w.Logins)
	}
}
