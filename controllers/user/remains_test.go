package user

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// authorizer turns the authorizer on or off; of an external cluster the spec does not tell.
func (w *world) authorizer(on bool) {
	w.T.Helper()
	w.Kafka.NoAuthorizer = !on
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		if c.IsExternal() {
			return
		}
		c.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationNone}
		if on {
			c.Spec.Authorization.Type = v1alpha1.AuthorizationSimple
		}
	})
}

// remain are the users whose ACLs are on record as remaining.
func (w *world) remain() []string {
	w.T.Helper()
	c := &v1alpha1.KafkaCluster{}
	if err := w.Client.Get(w.T.Context(), controllertest.ClusterKey, c); err != nil {
		w.T.Fatal(err)
	}
	return remaining(c)
}

// wake marks what an operator looks at when something about the cluster has changed.
func (w *world) wake() {
	w.T.Helper()
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer q.ShutDown()
	w.users.markAll(w.T.Context(), controllertest.ClusterKey, q)
	w.Settle()
}

func (w *world) aclsOf(user string) (n int) {
	for a := range w.Kafka.ACLSet {
		if a.Principal == "User:"+user {
			n++
		}
	}
	return n
}

func TestACLsOfAUserWhoWentWhileThereWasNoAuthorizerDoNotComeBack(t *testing.T) {
	for name, cluster := range map[string]*v1alpha1.KafkaCluster{
		"own": controllertest.ReadyCluster(1, inside, outside), "external": controllertest.ReadyExternal(),
	} {
		for _, successor := range []string{"nobody", "a user without ACLs", "a user with ACLs", "one made once they are back"} {
			t.Run(name+", after it "+successor, func(t *testing.T) {
				w := newUsersOf(t, cluster.DeepCopy())
				w.AccessTo.Username = "castellan"
				w.Apply(newUser("app", time.Hour, scram512), newUser("other", time.Hour, scram512))
				w.Settle("app", "other")
				w.wantUser("app", "Ready")
				w.authorizer(false)
				w.Settle("app", "other")
				w.Remove(w.user("app"))
				w.Settle("app")
				if w.user("app") != nil || len(w.Kafka.Scram["app"])+len(w.Kafka.QuotasOf["app"]) != 0 {
					t.Fatalf("it is held, or left are %v %v", w.Kafka.Scram, w.Kafka.QuotasOf)
				}
				if got := w.remain(); !slices.Equal(got, []string{"app"}) || w.aclsOf("app") != 2 {
					t.Fatalf("on record are %v, and Kafka keeps %v", got, w.Kafka.ACLSet)
				}
				w.WantSilence("app", "other")
				next := newUser("next", 0, scram512)
				next.Spec.Name, next.Spec.ACLs = "app", nil
				want := 0
				if successor == "a user with ACLs" {
					rule, _ := onTopic("t", "Allow")
					next.Spec.ACLs, want = []v1alpha1.ACLRule{rule}, 1
				}
				if strings.HasPrefix(successor, "a user") {
					w.Apply(next)
					w.Settle("app")
				}
				w.restart()
				w.authorizer(true)
				if strings.HasPrefix(successor, "one made") {
					w.Apply(next)
					w.Settle("app")
				}
				w.wake()
				if w.aclsOf("app") != want || w.aclsOf("other") != 2 || len(w.remain()) != 0 {
					t.Errorf("Kafka has %v; on record are %v", w.Kafka.ACLSet, w.remain())
				}
				if successor != "nobody" {
					w.wantUser("next", "Ready")
				}
				w.WantSilence("app", "other")
			})
		}
	}
}

func TestAUserIsNotLetGoOfBeforeItsACLsAreOnRecord(t *testing.T) {
	for name, failure := range map[string]error{
		"overtaken": apierrors.NewConflict(schema.GroupResource{Resource: "kafkaclusters"}, "events", fmt.Errorf("newer")),
		"refused":   apierrors.NewForbidden(schema.GroupResource{Resource: "kafkaclusters"}, "events", fmt.Errorf("no")),
	} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.Apply(newUser("app", time.Hour, scram512))
			w.Settle("app")
			w.authorizer(false)
			w.Remove(w.user("app"))
			w.Failing["status events"] = failure
			for range 3 {
				_ = w.Once("app")
				w.Clock.Move(time.Second)
			}
			if u := w.user("app"); u == nil || u.Status.Credentials == nil {
				t.Fatal("it is let go of, and nobody knows of its ACLs")
			}
			clear(w.Failing)
			w.Settle("app")
			if w.user("app") != nil || !slices.Equal(w.remain(), []string{"app"}) {
				t.Errorf("it is held, or on record are %v", w.remain())
			}
		})
	}
}

func TestWhereThereIsNoRoomForTheRecordAUserWaitsAndSaysWhatHelps(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, scram512))
	w.Settle("app")
	w.authorizer(false)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Status.RemainingACLs = &v1alpha1.RemainingACLs{ClusterID: c.Status.ClusterID}
		for n := range v1alpha1.MaxRemainingACLs {
			c.Status.RemainingACLs.Users = append(c.Status.RemainingACLs.Users, fmt.Sprintf("user-%d", n))
		}
	})
	password := w.secret("app-kafka")["password"]
	w.Remove(w.user("app"))
	w.Settle("app")
	w.wantUser("app", "Reconciling/AuthorizationDisabled")
	if m := controllertest.Message(w.user("app").Status.Conditions); !strings.Contains(m, "spec.authorization.type") {
		t.Errorf("it says %q", m)
	}
	if w.login("app", password) {
		t.Error("it can still log in")
	}
	w.WantSilence("app")
	w.authorizer(true)
	w.Settle("app")
	w.wake()
	if w.user("app") != nil || w.aclsOf("app") != 0 || len(w.remain()) != 0 {
		t.Errorf("left are %v, on record %v", w.Kafka.ACLSet, w.remain())
	}
}

func TestAUserWithoutACLsNeedsNoRecord(t *testing.T) {
	for name, authorizer := range map[string]bool{"in a cluster that has no authorizer": false, "in one that had": true} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.authorizer(authorizer)
			app := newUser("app", time.Hour, scram512)
			app.Spec.ACLs = nil
			w.Apply(app)
			w.Settle("app")
			w.wantUser("app", "Ready")
			w.WantSilence("app")
			w.authorizer(false)
			w.Remove(w.user("app"))
			w.Settle("app")
			if w.user("app") != nil || len(w.remain()) != 0 {
				t.Errorf("it is held, or on record are %v", w.remain())
			}
		})
	}
}

func TestThatAUserMayHaveACLsIsOnRecordBeforeTheFirst(t *testing.T) {
	w := newUserWorld(t, 1)
	app := newUser("app", time.Hour, scram512)
	app.Spec.ACLs = nil
	w.Apply(app)
	w.Settle("app")
	rule, _ := onTopic("t", "Allow")
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.ACLs = []v1alpha1.ACLRule{rule} })
	w.Kafka.Lose = "acl-create"
	if w.Once("app") == nil {
		t.Fatal("the answer was not lost")
	}
	w.restart()
	w.authorizer(false)
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil || !slices.Equal(w.remain(), []string{"app"}) {
		t.Errorf("it is held, or on record are %v", w.remain())
	}
}

func TestAnEvictedUserLeavesNoACLsBehindWhileThereIsNoAuthorizer(t *testing.T) {
	w := newGuestWorld(t, newUser("app", time.Hour, scram512))
	w.authorizer(false)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Evicted = []string{controllertest.Guests} })
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Stalled/Evicted")
	if !slices.Equal(w.remain(), []string{"app"}) {
		t.Fatalf("on record are %v", w.remain())
	}
	w.authorizer(true)
	w.wake()
	if len(w.Kafka.ACLSet) != 0 || len(w.remain()) != 0 {
		t.Errorf("Kafka has %v, on record are %v", w.Kafka.ACLSet, w.remain())
	}
}

func TestAFrozenUserDoesNotInheritACLs(t *testing.T) {
	w := newUserWorld(t, 1)
	w.ChangeCluster(controllertest.Admit)
	w.Apply(controllertest.GuestNamespace(), newUser("app", time.Hour, scram512))
	w.Settle("app")
	w.authorizer(false)
	w.Remove(w.user("app"))
	w.Settle("app")
	guest := controllertest.FromGuests(newUser("app", 0, scram512)) // it asks for what the former one had
	guest.UID = "uid-of-guest"
	w.Apply(guest)
	w.Settle("app")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	w.authorizer(true)
	w.wake()
	w.mustSay(controllertest.Guests, "app", "Stalled/NotAdmitted")
	if len(w.Kafka.ACLSet) != 0 || len(w.Kafka.Scram["app"]) != 1 || len(w.remain()) != 0 {
		t.Errorf("Kafka has %v %v, on record are %v", w.Kafka.ACLSet, w.Kafka.Scram, w.remain())
	}
}

func TestTheRecordOfAnotherIncarnationMeansNothing(t *testing.T) {
	w := newUserWorld(t, 1)
	theirs := kafka.ACL{Principal: "User:app", Host: "*", ResourceType: "Topic", ResourceName: "t", Pattern: "Literal",
		Operation: "Read", Permission: "Allow"}
	w.Kafka.ACLSet[theirs] = true
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Status.RemainingACLs = &v1alpha1.RemainingACLs{ClusterID: "before", Users: []string{"app"}}
	})
	w.wake()
	w.Settle("app")
	if !w.Kafka.ACLSet[theirs] {
		t.Error("somebody else's ACL was deleted")
	}
}
