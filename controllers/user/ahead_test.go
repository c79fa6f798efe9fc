package user

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/users"
)

// sealing gives the cluster its authority, whose key seals announcements.
func (w *world) sealing() *world {
	w.T.Helper()
	w.Apply(w.AuthorityIn(pki.AuthoritySecret(controllertest.ClusterKey.Name)))
	return w
}

// onRecord is what an object has in its status, or has announced.
func (w *world) onRecord(u *v1alpha1.KafkaUser) *v1alpha1.Credentials {
	w.T.Helper()
	seal, err := connect.Seal(w.T.Context(), w.Client, controllertest.ClusterKey)
	if err != nil {
		w.T.Fatal(err)
	}
	if users.Announced(u, "incarnation-1", seal) {
		return users.Taken("incarnation-1")
	}
	return u.Status.Credentials
}

// endsBeforeTheStatus has the operator end before any status of an object is written.
func (w *world) endsBeforeTheStatus(name string) {
	w.Around = func(verb, of string, write func() error) error {
		if verb == "status" && of == name {
			return errors.New("the operator has ended")
		}
		return write()
	}
}

// crashed is a world in which the operator has ended after it had put a user into Kafka and before any status was
// written, and in which another one begins.
func crashed(t *testing.T, m v1alpha1.Mechanism) *world {
	t.Helper()
	w := newUserWorld(t, 1).sealing()
	w.endsBeforeTheStatus("app")
	w.Apply(newUser("app", time.Hour, m))
	_ = w.Once("app")
	w.Around = nil
	w.restart()
	return w
}

func TestAnAnnouncedUserIsKnownAgain(t *testing.T) {
	w := crashed(t, scram512)
	if u := w.user("app"); len(w.Kafka.Scram["app"]) != 1 || u.Status.Credentials != nil || w.onRecord(u) == nil {
		t.Fatalf("Kafka has %v; it is %+v", w.Kafka.Scram, u)
	}
	w.Settle("app")
	w.wantUser("app", "Ready")
	if c := w.user("app").Status.Credentials; c == nil || c.ClusterID != "incarnation-1" || len(c.ProvenOn) != 1 {
		t.Errorf("on record is %+v", c)
	}
	w.WantSilence("app")
}

// What an announced user has in Kafka is taken away with it, also where Kafka cannot be asked at first: the status that
// says so keeps what was announced.
func TestAnAnnouncedUserThatIsDeletedLeavesNothing(t *testing.T) {
	for name, answers := range map[string]bool{"Kafka answers": true, "Kafka does not answer at first": false} {
		t.Run(name, func(t *testing.T) {
			w := crashed(t, scram512)
			if !answers {
				w.Kafka.Down = errors.New("connection refused")
				_ = w.Once("app")
				w.Kafka.Down = nil
				if u := w.user("app"); u.Status.Credentials == nil || len(u.Status.Conditions) == 0 {
					t.Fatalf("it is %+v", u.Status)
				}
			}
			w.Remove(w.user("app"))
			w.Settle("app")
			if w.user("app") != nil || len(w.Kafka.Scram["app"])+len(w.Kafka.ACLSet)+len(w.Kafka.QuotasOf["app"]) != 0 {
				t.Errorf("left: %v %v %v", w.Kafka.Scram, w.Kafka.ACLSet, w.Kafka.QuotasOf)
			}
		})
	}
}

// kubectl replace takes the finalizer off, and may leave the annotation.
func TestAnAnnouncedUserThatHasLostItsFinalizerStaysOnRecord(t *testing.T) {
	w := crashed(t, scram512)
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Finalizers = nil })
	w.Kafka.Lose = "scram-alter"
	if w.Once("app") == nil {
		t.Fatal("the answer was not lost")
	}
	if u := w.user("app"); len(u.Finalizers) != 1 || u.Status.Credentials == nil {
		t.Errorf("it is %+v", u)
	}
}

// A line of an announced user stays in the file of PLAIN users while others change it.
func TestTheLineOfAnAnnouncedUserStaysWhileOthersChangeTheFile(t *testing.T) {
	w := crashed(t, plain)
	w.Apply(newUser("other", time.Hour, plain))
	_ = w.Once("other")
	if file := w.secret("events-plain-users")["users"]; !strings.Contains(file, "\napp:") ||
		!strings.Contains(file, "\nother:") {
		t.Errorf("the file is\n%s", file)
	}
}

func TestOnlyTheOperatorCanAnnounce(t *testing.T) {
	w := newUserWorld(t, 1).sealing()
	seal, err := connect.Seal(t.Context(), w.Client, controllertest.ClusterKey)
	if err != nil || len(seal) == 0 {
		t.Fatal(seal, err)
	}
	announced := func(clusterID string, key []byte) *v1alpha1.KafkaUser {
		u := newUser("app", time.Hour, scram512)
		u.Annotations = map[string]string{v1alpha1.AnnotationCreating: users.Announcement(u, clusterID, key)}
		if u.Annotations[v1alpha1.AnnotationCreating] == "" {
			t.Fatal("nothing was announced")
		}
		return u
	}
	if u := announced("incarnation-1", seal); !users.Announced(u, "incarnation-1", seal) ||
		users.Announced(u, "incarnation-1", nil) {
		t.Error("the operator's own does not count, or does so without a key")
	}
	for name, u := range map[string]*v1alpha1.KafkaUser{
		"with another key":           announced("incarnation-1", []byte("guessed")),
		"in another incarnation":     announced("incarnation-0", seal),
		"by another object":          announced("incarnation-1", seal),
		"from another namespace":     announced("incarnation-1", seal),
		"before the status was made": announced("incarnation-1", seal),
	} {
		switch name {
		case "by another object":
			u.UID = "uid-of-a-copy"
		case "from another namespace":
			controllertest.FromGuests(u)
		case "before the status was made":
			u.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady}}
		}
		if users.Announced(u, "incarnation-1", seal) {
			t.Errorf("what was announced %s counts", name)
		}
	}
}

// The operator ends between a write to the metadata log and the status: the one after it has written nothing, and waits
// for brokers all the same.
func TestWhatAProcessBeforeHasWrittenIsSeenToBeInForce(t *testing.T) {
	for name, m := range map[string]v1alpha1.Mechanism{"with a password": plain, "of elsewhere": v1alpha1.MechanismExternal} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 2).sealing()
			w.Kafka.Behind[1] = true
			w.endsBeforeTheStatus("app")
			w.Apply(newUser("app", time.Hour, m))
			_ = w.Once("app")
			w.Around = nil
			w.restart()
			w.Reset()
			_ = w.Once("app")
			if w.Kafka.Writes() != 0 {
				t.Fatalf("it was written again: %v", w.Kafka.Requests)
			}
			w.wantUser("app", "Reconciling/"+users.ReasonProving)
			w.Kafka.Behind[1] = false
			w.LookAgain(time.Minute)
			w.wantUser("app", "Ready")

			w.Kafka.Behind[1] = true
			w.Remove(w.user("app"))
			_ = w.Once("app")
			w.restart()
			_ = w.Once("app")
			if m == v1alpha1.MechanismExternal && w.user("app") == nil { // it is known by its ACLs alone
				t.Error("it is gone, and a broker has not read that")
			}
			w.Kafka.Behind[1] = false
			w.Settle("app")
			if w.user("app") != nil {
				t.Error("it is still there")
			}
		})
	}
}

// While the API server takes no status, the process that has put a user into Kafka knows it, whatever becomes of what
// was announced.
func TestWhatThisProcessHasAnnouncedCountsUntilThereIsAStatus(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"the annotation is taken off": func(w *world) {
			w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Annotations = nil })
		},
		"the object is replaced": func(w *world) {
			w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Annotations, u.Finalizers = nil, nil })
		},
		"the authority is replaced": func(w *world) {
			w.Remove(w.AuthorityIn(pki.AuthoritySecret(controllertest.ClusterKey.Name)))
			w.sealing()
		},
		"the authority is gone": func(w *world) {
			w.Remove(w.AuthorityIn(pki.AuthoritySecret(controllertest.ClusterKey.Name)))
		},
	} {
		for _, m := range []v1alpha1.Mechanism{plain, scram512} {
			t.Run(name+", "+string(m), func(t *testing.T) {
				w := newUserWorld(t, 1).sealing()
				w.endsBeforeTheStatus("app") // or the API server refuses it
				w.Apply(newUser("app", time.Hour, m))
				_ = w.Once("app")
				spoil(w)
				for range 3 {
					_ = w.Once("app")
					w.Clock.Move(time.Minute)
				}
				if u := w.user("app"); len(u.Finalizers) != 1 || w.Requests["patch KafkaUser"] > 2 {
					t.Errorf("it is %+v; %v", u, w.Requests)
				}
				w.Apply(newUser("other", time.Hour, m))
				_ = w.Once("other")
				if file := w.secret("events-plain-users")["users"]; m == plain && !strings.Contains(file, "\napp:") {
					t.Errorf("the file is\n%s", file)
				}
				w.Around = nil
				w.Settle("app")
				w.wantUser("app", "Ready")
				w.WantSilence("app")
				w.Remove(w.user("app"))
				w.gone("app")
			})
			t.Run(name+" and the object deleted, "+string(m), func(t *testing.T) {
				w := newUserWorld(t, 1).sealing()
				w.endsBeforeTheStatus("app")
				w.Apply(newUser("app", time.Hour, m))
				_ = w.Once("app")
				spoil(w)
				_ = w.Once("app")
				w.Remove(w.user("app"))
				w.Around = nil
				w.gone("app")
				w.Settle("app") // as its last event has it
				file := w.secret("events-plain-users")["users"]
				if len(w.Kafka.Scram["app"])+len(w.Kafka.ACLSet)+len(w.Kafka.QuotasOf["app"]) != 0 ||
					strings.Contains(file, "\napp:") {
					t.Errorf("left: %v %v %v %s", w.Kafka.Scram, w.Kafka.ACLSet, w.Kafka.QuotasOf, file)
				}
				if n := w.users.announced.Len(); n > 0 {
					t.Errorf("%d are remembered", n)
				}
			})
		}
	}
}

// kubectl replace leaves of an object what its manifest holds, also where nothing of its user is written otherwise.
func TestTheFinalizerComesBackWhateverAUserLacks(t *testing.T) {
	for name, lacks := range map[string]func(*world){
		"it is paused":                  func(w *world) { w.annotate(v1alpha1.AnnotationPause, "true") },
		"no listener":                   func(w *world) { w.unoffered("app") },
		"Kafka is away":                 func(w *world) { w.Kafka.Down = errors.New("connection refused") },
		"its Secret is somebody else's": func(w *world) { w.supplant("shop", "app-kafka") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.Apply(newUser("app", time.Hour, scram512))
			w.Settle("app")
			lacks(w)
			_ = w.Once("app")
			u := w.user("app")
			u.Finalizers = nil
			if err := w.Client.Update(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			w.Clock.Move(2 * time.Second)
			_ = w.Once("app")
			w.Remove(w.user("app"))
			w.Kafka.Down = nil
			w.Settle("app")
			if w.user("app") != nil || len(w.Kafka.Scram["app"]) != 0 || len(w.Kafka.ACLSet) != 0 {
				t.Errorf("it hangs, or logs in although it was deleted: %v %v", w.Kafka.Scram, w.Kafka.ACLSet)
			}
		})
	}
}
