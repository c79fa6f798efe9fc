package user

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
)

var forPassword = map[string]string{v1alpha1.LabelUse: v1alpha1.UsePassword}

// provide writes the Secret with a password of the user's own; labels may be nil.
func (w *world) provide(name, password string, labels map[string]string) {
	w.T.Helper()
	w.withdraw(name)
	w.Apply(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace, Name: name,
		Labels: labels, UID: types.UID(name + password)}, Data: map[string][]byte{"password": []byte(password)}})
}

func (w *world) withdraw(name string) {
	w.T.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace, Name: name}}
	if err := w.Client.Delete(w.T.Context(), secret); client.IgnoreNotFound(err) != nil {
		w.T.Fatal(err)
	}
}

// accepts tells by which of the mechanisms broker 0 lets a user in with a password.
func (w *world) accepts(user, password string) (open []v1alpha1.Mechanism) {
	for _, m := range []v1alpha1.Mechanism{plain, scram512} {
		if w.TryLogin(w.T.Context(), kafka.Login{Address: "events-main-0.", Mechanism: string(m), Username: user,
			Password: password}) == nil {
			open = append(open, m)
		}
	}
	return open
}

func (w *world) wantPassword(when, password string, mechanisms ...v1alpha1.Mechanism) {
	w.T.Helper()
	if got := w.accepts("app", password); !slices.Equal(got, mechanisms) {
		w.T.Errorf("%s: %q logs in by %v, want %v", when, password, got, mechanisms)
	}
}

// provided is a user whose password stands in Secret own.
func provided(name string, mechanisms ...v1alpha1.Mechanism) *v1alpha1.KafkaUser {
	u := newUser(name, time.Hour, mechanisms...)
	u.Spec.Authentication.PasswordSecret = &v1alpha1.PasswordSecret{Name: "own", Key: "password"}
	return u
}

func TestAPasswordOfTheUsersOwnIsInForceAndSoIsItsChange(t *testing.T) {
	w := newUserWorld(t, 2)
	w.provide("own", `first "one"`, forPassword)
	w.Apply(provided("app", plain, scram512))
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantPassword("at first", `first "one"`, plain, scram512)
	if got := w.secret("app-kafka"); got["password"] != `first "one"` ||
		!strings.Contains(got["sasl.jaas.config"], `password="first \"one\"";`) {
		t.Errorf("%q", got)
	}
	w.WantSilence("app")

	w.provide("own", "second", forPassword)
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantPassword("after its change", "second", plain, scram512)
	w.wantPassword("after its change", `first "one"`)
	w.restart()
	w.WantSilence("app")

	// Whoever changes the connection Secret changes nothing.
	w.writeSecret("app-kafka", func(s *corev1.Secret) { s.Data["password"] = []byte("somebody's") })
	w.Settle("app")
	w.wantPassword("after somebody has written the connection Secret", "second", plain, scram512)
}

func TestAPasswordThatCannotBeUsedIsRefusedAndTheOneBeforeStaysInForce(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*world)
		want  string
	}{
		"gone": {func(w *world) { w.withdraw("own") }, `with the key "password" and that label, or label it where it has been ` +
			`created without: kubectl -n shop label secret own kafka.castellan.dev/use=password`},
		"unlabelled": {func(w *world) { w.provide("own", "hush-hush", nil) },
			"kubectl -n shop label secret own kafka.castellan.dev/use=password"},
		"labelled for another use": {func(w *world) {
			w.provide("own", "hush-hush", map[string]string{v1alpha1.LabelUse: v1alpha1.UseListenerAuthority})
		}, "kubectl -n shop label secret own kafka.castellan.dev/use=password"},
		"empty":               {func(w *world) { w.provide("own", "", forPassword) }, "it is empty"},
		"with a line's end":   {func(w *world) { w.provide("own", "hush-hush\n", forPassword) }, "line break"},
		"changed by SASLprep": {func(w *world) { w.provide("own", "hush\u00adhush", forPassword) }, "SASLprep"},
		"under another key": {func(w *world) {
			w.changeUser("app", func(u *v1alpha1.KafkaUser) {
				u.Spec.Authentication.PasswordSecret.Key = "pass"
			})
		}, `no key "pass"`},
		"of another type": {func(w *world) {
			w.withdraw("own")
			w.Apply(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "own", Labels: forPassword, UID: "tls"},
				Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": []byte("hush"), "tls.key": []byte("hush-hush")}})
		}, `no key "password"`},
		"elsewhere": {func(w *world) {
			w.withdraw("own")
			w.Apply(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.Guests, Name: "own", Labels: forPassword},
				Data: map[string][]byte{"password": []byte("hush-hush")}})
		}, `there is no Secret "own" in the namespace of the KafkaUser`},
		"of another name": {func(w *world) {
			w.changeUser("app", func(u *v1alpha1.KafkaUser) {
				u.Spec.Authentication.PasswordSecret.Name = "other"
			})
		}, `there is no Secret "other"`},
		"of the operator's own": {func(w *world) {
			w.changeUser("app", func(u *v1alpha1.KafkaUser) {
				u.Spec.Authentication.PasswordSecret.Name = "app-kafka"
			})
		}, `Secret "app-kafka" is the connection Secret`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 2)
			w.provide("own", "in-force", forPassword)
			w.Apply(provided("app", plain, scram512))
			w.Settle("app")
			w.wantUser("app", "Ready")
			c.spoil(w)
			w.Settle("app")
			w.wantUser("app", "Stalled/PasswordSecret")
			message := controllertest.Message(w.user("app").Status.Conditions)
			if !strings.Contains(message, c.want) || !strings.Contains(message, "spec.authentication.passwordSecret") ||
				strings.Contains(message, "hush") {
				t.Errorf("%q, want %q", message, c.want)
			}
			w.wantPassword("meanwhile", "in-force", plain, scram512)
			w.restart()
			w.WantSilence("app")
			w.wantPassword("after a restart", "in-force", plain, scram512)
			// A rule of it is carried out all the same.
			w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Quotas = nil })
			w.Settle("app")
			if len(w.Kafka.QuotasOf["app"]) != 0 {
				t.Errorf("quotas %v", w.Kafka.QuotasOf["app"])
			}
			w.changeUser("app", func(u *v1alpha1.KafkaUser) {
				u.Spec.Authentication.PasswordSecret = &v1alpha1.PasswordSecret{Name: "own", Key: "password"}
			})
			w.provide("own", "cured", forPassword)
			w.Settle("app")
			w.wantUser("app", "Ready")
			w.wantPassword("afterwards", "cured", plain, scram512)
			w.wantPassword("afterwards", "in-force")
		})
	}
}

func TestAUserWhosePasswordIsMissingTakesNothingAndLeavesWithNothing(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Kafka.Scram["app"] = map[string]controllertest.ScramCredential{
		"SCRAM-SHA-512": {Iterations: 4096, Password: "theirs"}}
	u := provided("app", scram512)
	u.Spec.Adoption = v1alpha1.UserAdoptionAlways
	w.Apply(u)
	w.Settle("app")
	w.wantUser("app", "Stalled/PasswordSecret")
	if got := w.user("app"); len(got.Finalizers) != 0 || got.Status.Credentials != nil || w.secret("app-kafka") != nil {
		t.Errorf("it has begun to take the user: %+v", got)
	}
	w.Remove(w.user("app"))
	w.Settle("app")
	w.wantPassword("after it has gone", "theirs", scram512)
	if w.Kafka.Writes() != 0 {
		t.Errorf("%v", w.Kafka.Requests)
	}
}

func TestALostConnectionSecretIsNotFilledWithAnotherPasswordThanTheUsersOwn(t *testing.T) {
	w := newUserWorld(t, 2)
	w.provide("own", "in-force", forPassword)
	w.Apply(provided("app", plain, scram512))
	w.Settle("app")
	w.withdraw("own")
	w.withdraw("app-kafka")
	w.Settle("app")
	w.wantUser("app", "Stalled/PasswordSecret")
	w.wantPassword("while nobody knows it", "in-force", plain, scram512)
	if w.secret("app-kafka") != nil {
		t.Error("there is a connection Secret, and nobody knows the password")
	}
	w.provide("own", "in-force", forPassword)
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantPassword("afterwards", "in-force", plain, scram512)

	for _, written := range []string{"somebody's", ""} {
		w.withdraw("own")
		w.writeSecret("app-kafka", func(s *corev1.Secret) { s.Data["password"] = []byte(written) })
		w.Settle("app")
		w.wantUser("app", "Stalled/PasswordSecret")
		w.wantPassword("after somebody has written into the connection Secret", "in-force", plain, scram512)
		w.provide("own", "in-force", forPassword)
		w.Settle("app")
		w.wantUser("app", "Ready")
	}
}

func TestAUserGoesFromAPasswordOfTheOperatorsToItsOwnAndBackWithoutLosingIt(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, plain, scram512))
	w.Settle("app")
	made := w.secret("app-kafka")["password"]
	w.provide("own", "own one", forPassword)
	w.changeUser("app", func(u *v1alpha1.KafkaUser) {
		u.Spec.Authentication.PasswordSecret = &v1alpha1.PasswordSecret{Name: "own", Key: "password"}
	})
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantPassword("its own", "own one", plain, scram512)
	w.wantPassword("its own", made)
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Authentication.PasswordSecret = nil })
	w.withdraw("own")
	w.Settle("app")
	w.wantUser("app", "Ready")
	w.wantPassword("the field taken out", "own one", plain, scram512)
	w.WantSilence("app")
}

func TestASecretThatCannotBeReadChangesNothing(t *testing.T) {
	w := newUserWorld(t, 2)
	w.provide("own", "in-force", forPassword)
	w.Apply(provided("app", plain, scram512))
	w.Settle("app")
	w.users.provided = failing{w.Client, errors.New("connection refused")}
	w.provide("own", "other", forPassword)
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/Retrying")
	w.wantPassword("meanwhile", "in-force", plain, scram512)
}

// failing is a reader that cannot read.
type failing struct {
	client.Reader
	err error
}

func (f failing) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return f.err
}

func TestAChangeOfASecretMarksThoseWhoNameItAndNobodyElse(t *testing.T) {
	w := newUserWorld(t, 1)
	elsewhere := provided("elsewhere", scram512)
	elsewhere.Namespace = "other"
	another := provided("another", scram512)
	another.Spec.Authentication.PasswordSecret.Name = "another"
	w.Apply(provided("app", scram512), provided("two", scram512), another, newUser("none", time.Hour, scram512), elsewhere)
	handler := w.users.providedEvents()
	secret := func(version string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "own", ResourceVersion: version}}
	}
	for name, send := range map[string]func(q workqueue.TypedRateLimitingInterface[ctrl.Request]){
		"labelled": func(q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			handler.Create(t.Context(), event.CreateEvent{Object: secret("1")}, q)
		},
		"changed": func(q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			handler.Update(t.Context(), event.UpdateEvent{ObjectOld: secret("1"), ObjectNew: secret("2")}, q)
		},
		"not labelled": func(q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			handler.Delete(t.Context(), event.DeleteEvent{Object: secret("2")}, q)
		},
	} {
		q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request]())
		send(q)
		if got := w.Queue.Take(controllertest.ClusterKey, 10); !slices.Equal(got, []string{"app", "two"}) {
			t.Errorf("%s: marked %v", name, got)
		}
		q.ShutDown()
	}
}
