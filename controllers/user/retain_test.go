package user

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
)

// retaining makes a user that stays when its object goes.
func retaining(name string, mechanisms ...v1alpha1.Mechanism) *v1alpha1.KafkaUser {
	u := newUser(name, time.Hour, mechanisms...)
	u.Spec.DeletionPolicy = v1alpha1.DeletionRetain
	return u
}

func TestALineThatStaysOutlivesWhateverIsWrittenBefore(t *testing.T) {
	for name, guest := range map[string]bool{"of the cluster's namespace": false, "of another one": true} {
		t.Run(name, func(t *testing.T) {
			w := newGuestWorld(t)
			w.ChangeCluster(permitGuests(v1alpha1.PermissionAdopt))
			app, namespace := retaining("app", plain), "shop"
			if guest {
				app, namespace = controllertest.FromGuests(app), controllertest.Guests
			}
			w.Apply(app, newUser("beside", time.Hour, plain), newUser("gone", time.Hour, plain))
			w.Settle("app", "beside", "gone")
			password := w.passwordIn(namespace, "app")
			w.Remove(w.userIn(namespace, "app"))
			w.Remove(w.user("gone"))
			w.changeUser("beside", func(u *v1alpha1.KafkaUser) {
				u.Annotations = map[string]string{v1alpha1.AnnotationRotatePassword: "x"}
			})
			_ = w.Once("beside") // its flush writes first
			if !w.login("app", password) {
				t.Error("another flush drops the line that is to stay")
			}
			w.Settle("app", "gone")
			if w.userIn(namespace, "app") != nil || w.user("gone") != nil || !w.login("app", password) {
				t.Error("an object hangs, or the line is gone")
			}
			w.Settle("beside")
			if !w.login("app", password) {
				t.Error("the line is gone in the end")
			}
		})
	}
}

func TestAUserThatStaysIsNotLetGoOfWithoutItsLine(t *testing.T) {
	for name, known := range map[string]bool{"its password is known": true, "nobody knows its password": false} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.Apply(retaining("app", plain, scram512), newUser("beside", time.Hour, plain))
			w.Settle("app", "beside")
			password := w.password()
			w.writeSecret("events-plain-users", func(s *corev1.Secret) { s.Data[render.UsersEntry] = nil })
			if !known {
				w.writeSecret("app-kafka", func(s *corev1.Secret) { s.Data = nil })
			}
			w.Remove(w.user("app"))
			for range 3 {
				_ = w.Once("app")
				w.Clock.Move(time.Second)
			}
			if known {
				if w.user("app") != nil {
					t.Error("it hangs")
				}
				w.wantPassword("afterwards", password, plain, scram512)
				return
			}
			w.wantUser("app", "Stalled/LineLost")
			w.mustSay("shop", "app", "spec.deletionPolicy", "Delete")
			w.WantSilence()
			w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.DeletionPolicy = v1alpha1.DeletionDelete })
			w.Settle("app")
			if w.user("app") != nil || len(w.Kafka.Scram["app"]) != 0 {
				t.Error("the cure does not work")
			}
		})
	}
}

// Its line was written, and the operator ended before it could say so.
func TestALineThatIsNotOnRecordStaysWithItsUserAllTheSame(t *testing.T) {
	for name, written := range map[string]bool{"it was written": true, "it was not": false} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.Apply(retaining("app", plain), newUser("beside", time.Hour, plain))
			w.Settle("beside")
			if written {
				w.Around = func(verb, name string, write func() error) error {
					if verb == "status" && w.secret("events-plain-users") != nil &&
						strings.Contains(w.secret("events-plain-users")["users"], "\napp:") {
						return errors.New("the operator has ended")
					}
					return write()
				}
			} else {
				w.Failing["update events-plain-users"] = errors.New("the operator has ended")
			}
			_ = w.Once("app")
			w.Around = nil
			if written != strings.Contains(w.secret("events-plain-users")["users"], "\napp:") ||
				w.user("app").Status.Credentials == nil {
				t.Fatalf("it is %+v", w.user("app").Status)
			}
			w.restart()
			w.Remove(w.user("app"))
			w.Kafka.Down = errors.New("connection refused")
			_ = w.Once("app")
			w.Kafka.Down = nil
			clear(w.Failing)
			w.Settle("app")
			file := w.secret("events-plain-users")["users"] // one that is missing may be made again
			stands, marked := strings.Contains(file, "\napp:"), plainauth.Retained([]byte(file))["app"]
			if w.user("app") != nil || stands != marked || written && !stands {
				t.Errorf("it hangs, or its line is without its mark:\n%s", file)
			}
		})
	}
}

func TestAUserThatStaysSaysWhyItIsStillThere(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(retaining("app", plain))
	w.Settle("app")
	w.Failing["update events-plain-users"] = errors.New("the disk is full")
	w.Remove(w.user("app"))
	_ = w.Once("app")
	w.mustSay("shop", "app", "Reconciling/Retrying", "the disk is full")
	clear(w.Failing)
	w.LookAgain(time.Minute)
	if w.user("app") != nil {
		t.Error("it hangs")
	}
}

func TestAUserThatStaysIsNotHandedOverToWhoWaitsForIt(t *testing.T) {
	for _, m := range []v1alpha1.Mechanism{plain, scram512} {
		for name, namespace := range map[string]string{"at home": "shop", "elsewhere": controllertest.Guests} {
			t.Run(name+" by "+string(m), func(t *testing.T) {
				w := newGuestWorld(t)
				app := retaining("app", m)
				app.Spec.ACLs, app.Spec.Quotas = nil, nil // so that nothing but the credential tells of it
				w.Apply(app)
				w.Settle("app")
				password := w.password()
				next := newUser("next", 0, m)
				next.Spec.Name = "app"
				if namespace != "shop" {
					controllertest.FromGuests(next)
				}
				w.Apply(next)
				w.Settle("app")
				w.mustSay(namespace, "next", "Stalled/Conflict")
				w.Remove(w.user("app"))
				w.Settle("app")
				if w.user("app") != nil {
					t.Fatal("it hangs")
				}
				w.mustSay(namespace, "next", "Stalled/UserExists")
				w.wantPassword("afterwards", password, m)
				next = w.userIn(namespace, "next")
				next.Spec.Adoption = v1alpha1.UserAdoptionAlways
				if err := w.Client.Update(t.Context(), next); err != nil {
					t.Fatal(err)
				}
				w.Settle("app")
				w.mustSay(namespace, "next", map[string]string{"shop": "Ready", controllertest.Guests: "UserExists"}[namespace])
			})
		}
	}
}

// Nobody would end the overlap of a user that no object stands for.
func TestAUserThatStaysDoesSoWithItsPresentPasswordAlone(t *testing.T) {
	w := newUserWorld(t, 1)
	app := overlapping(600, 0, plain)
	app.Spec.DeletionPolicy = v1alpha1.DeletionRetain
	w.Apply(app)
	w.Settle("app")
	first := w.password()
	w.rotate("one")
	w.Settle("app")
	second := w.password()
	if !w.login("app", first) || !w.login("app", second) {
		t.Fatal("there is no overlap")
	}
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil || w.login("app", first) || !w.login("app", second) {
		t.Error("it hangs, or logs in by the password before, or not at all")
	}
	w.Apply(newUser("beside", time.Hour, plain))
	w.Settle("beside")
	if w.login("app", first) || !w.login("app", second) {
		t.Error("the password before logs in again, or none does")
	}
}

// A deletion has taken away what Kafka has of a user, and a broker has not read the files since. What is to stay from then
// on is its line, made again from its Secret; ACLs and quotas are gone, and nobody says that they stay.
func TestAUserThatIsToStayWhileItGoesKeepsWhatIsLeftOfIt(t *testing.T) {
	w := newCertificateWorld(t, 2)
	w.Apply(newUser("app", time.Hour, plain))
	w.Settle("app")
	password := w.password()
	w.Mounts = map[int32]map[string][]byte{0: w.Files()}
	w.Remove(w.user("app"))
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/Revoking")
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.DeletionPolicy = v1alpha1.DeletionRetain })
	w.Settle("app")
	w.Mounts = nil
	if w.user("app") != nil || !w.login("app", password) {
		t.Errorf("it hangs, or does not log in")
	}
	if said := w.told(); !strings.Contains(said, "that it has there") {
		t.Errorf("said: %s", said)
	}
}
