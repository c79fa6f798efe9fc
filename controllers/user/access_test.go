package user

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
)

func (w *world) userIn(namespace, name string) *v1alpha1.KafkaUser {
	u := &v1alpha1.KafkaUser{}
	if err := w.Client.Get(context.Background(), controllertest.ObjectKey(namespace, name), u); err != nil {
		return nil
	}
	return u
}

func TestWithdrawnConsentFreezesAUserWhoIsRevokedWhenDeleted(t *testing.T) {
	w := newUserWorld(t, 3)
	w.ChangeCluster(controllertest.Admit)
	w.Apply(controllertest.GuestNamespace(),
		controllertest.FromGuests(newUser("app", 0, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512)))
	w.Settle("app")
	if got := controllertest.State(w.userIn(controllertest.Guests, "app").Status.Conditions); got != "Ready" {
		t.Fatalf("%s: %s", got, controllertest.Message(w.userIn(controllertest.Guests, "app").Status.Conditions))
	}
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	u := w.userIn(controllertest.Guests, "app")
	u.Spec.ACLs = nil
	u.Generation++
	if err := w.Client.Update(context.Background(), u); err != nil {
		t.Fatal(err)
	}
	w.Apply(newUser("beside", 0, v1alpha1.MechanismPlain)) // so that the file of PLAIN users is written
	w.Settle("app", "beside")
	if got := controllertest.State(w.userIn(controllertest.Guests,
		"app").Status.Conditions); got != "Stalled/NotAdmitted" {
		t.Errorf("%s: %s", got, controllertest.Message(w.userIn(controllertest.Guests, "app").Status.Conditions))
	}
	if len(w.Kafka.Scram["app"]) != 1 || len(w.Kafka.ACLSet) != 4 ||
		!strings.Contains(w.secret("events-plain-users")["users"], "app") {
		t.Errorf("scram %v, ACLs %v, PLAIN %q", w.Kafka.Scram, w.Kafka.ACLSet, w.secret("events-plain-users"))
	}
	w.Remove(w.userIn(controllertest.Guests, "app"))
	w.Settle("app")
	if w.userIn(controllertest.Guests, "app") != nil || len(w.Kafka.Scram["app"]) != 0 {
		t.Errorf("a deleted user can still log in: %v", w.Kafka.Scram)
	}
}

func TestASuperUserIsAskedForInTheClustersOwnNamespaceAlone(t *testing.T) {
	w := newUserWorld(t, 3)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		controllertest.Admit(c)
		c.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple, SuperUsers: []string{"root"}}
	})
	w.Apply(controllertest.GuestNamespace(), controllertest.FromGuests(newUser("root", 0, v1alpha1.MechanismScram512)))
	w.Settle("root")
	u := w.userIn(controllertest.Guests, "root")
	if got := controllertest.State(u.Status.Conditions); got != "Stalled/SuperUserElsewhere" ||
		!strings.Contains(controllertest.Message(u.Status.Conditions), "spec.name") {
		t.Errorf("%s: %s", got, controllertest.Message(u.Status.Conditions))
	}
	if len(w.Kafka.Scram) != 0 {
		t.Errorf("credentials %v", w.Kafka.Scram)
	}
	w.Remove(u)
	ours := newUser("root", 0, v1alpha1.MechanismScram512)
	ours.UID = "uid-of-ours"
	w.Apply(ours)
	w.Settle("root")
	w.wantUser("root", "Ready")
}

// stateIn is what a KafkaUser of a namespace says, with its message.
func (w *world) stateIn(namespace, name string) string {
	conditions := w.userIn(namespace, name).Status.Conditions
	return controllertest.State(conditions) + " " + controllertest.Message(conditions)
}

func (w *world) mustSay(namespace, name string, parts ...string) {
	w.T.Helper()
	said := w.stateIn(namespace, name)
	for _, part := range parts {
		if !strings.Contains(said, part) {
			w.T.Errorf("KafkaUser %s/%s is %q, expected %q in it", namespace, name, said, part)
		}
	}
}

// told returns the events so far, a line each.
func (w *world) told() string {
	var all []string
	for {
		select {
		case e := <-w.Events.Events:
			all = append(all, e)
		default:
			return strings.Join(all, "\n")
		}
	}
}

func newGuestWorld(t *testing.T, guests ...*v1alpha1.KafkaUser) *world {
	t.Helper()
	w := newUserWorld(t, 3)
	w.ChangeCluster(controllertest.Admit)
	w.Apply(controllertest.GuestNamespace())
	for _, u := range guests {
		u.UID = types.UID("guest-" + u.Name)
		w.Apply(controllertest.FromGuests(u))
		w.Settle(u.Name)
		w.mustSay(controllertest.Guests, u.Name, "Ready")
	}
	w.told()
	return w
}

func superUser(names ...string) func(*v1alpha1.KafkaCluster) {
	return func(c *v1alpha1.KafkaCluster) {
		c.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple, SuperUsers: names}
	}
}

// login tells whether a password opens the door by either mechanism.
func (w *world) login(name, password string) bool {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		l := kafka.Login{Address: "events-main-0.", Mechanism: mechanism, Username: name, Password: password}
		if w.TryLogin(context.Background(), l) == nil {
			return true
		}
	}
	return false
}

func (w *world) passwordIn(namespace, name string) string {
	var s corev1.Secret
	if err := w.Client.Get(context.Background(), controllertest.ObjectKey(namespace, name+"-kafka"), &s); err != nil {
		w.T.Fatal(err)
	}
	return string(s.Data["password"])
}

func TestAGuestWhoseNameBecomesASuperUsersIsRevoked(t *testing.T) {
	w := newGuestWorld(t, newUser("root", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
	password := w.passwordIn(controllertest.Guests, "root")
	w.ChangeCluster(superUser("root"))
	w.Settle("root")
	if w.login("root", password) || len(w.Kafka.Scram["root"])+len(w.Kafka.ACLSet)+len(w.Kafka.QuotasOf["root"]) != 0 {
		t.Errorf("it can log in, or has something: %v %v %v", w.Kafka.Scram, w.Kafka.ACLSet, w.Kafka.QuotasOf)
	}
	w.mustSay(controllertest.Guests, "root", "Stalled/SuperUserElsewhere", "spec.name", "choose another name")
	if s := w.userIn(controllertest.Guests, "root").Status; s.Credentials != nil || s.Binding != nil {
		t.Errorf("it has on record %+v, %+v", s.Credentials, s.Binding)
	}
	if told := w.told(); !strings.Contains(told, "UserRevoked") || !strings.Contains(told, "guests/root") {
		t.Errorf("the owner is told %q", told)
	}
	w.WantSilence("root")
	w.Remove(w.userIn(controllertest.Guests, "root"))
	w.Settle("root")
	if w.userIn(controllertest.Guests, "root") != nil {
		t.Error("the finalizer hangs")
	}
}

func TestTheOwnersSuperUserTakesTheNameFromAGuest(t *testing.T) {
	for name, mechanisms := range map[string][]v1alpha1.Mechanism{
		"by the same mechanisms": {v1alpha1.MechanismPlain, v1alpha1.MechanismScram512},
		"by another mechanism":   {v1alpha1.MechanismScram512},
	} {
		t.Run(name, func(t *testing.T) {
			w := newGuestWorld(t, newUser("root", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
			password := w.passwordIn(controllertest.Guests, "root")
			ours := newUser("root", 0, mechanisms...)
			ours.UID, ours.Spec.ACLs, ours.Spec.Quotas = "uid-of-ours", nil, nil
			w.Apply(ours)
			w.Settle("root")
			w.wantUser("root", "Stalled/Conflict")
			w.ChangeCluster(superUser("root"))
			w.Settle("root")
			w.wantUser("root", "Ready")
			w.mustSay(controllertest.Guests, "root", "Stalled/SuperUserElsewhere")
			if w.login("root", password) || !w.login("root", w.secret("root-kafka")["password"]) {
				t.Error("the guest's password opens the door, or the owner's does not")
			}
			if len(w.Kafka.ACLSet)+len(w.Kafka.QuotasOf["root"]) != 0 {
				t.Errorf("left of the guest: %v %v", w.Kafka.ACLSet, w.Kafka.QuotasOf)
			}
			w.WantSilence("root")
			w.Remove(w.userIn(controllertest.Guests, "root"))
			w.Settle("root")
			w.wantUser("root", "Ready")
			if w.userIn(controllertest.Guests, "root") != nil || !w.login("root", w.secret("root-kafka")["password"]) {
				t.Error("the guest's object hangs, or took the owner's login with it")
			}
		})
	}
}

func TestARevocationThatKafkaDoesNotCarryOutIsToldAndTriedAgain(t *testing.T) {
	w := newGuestWorld(t, newUser("root", time.Hour, v1alpha1.MechanismScram512))
	w.ChangeCluster(superUser("root"))
	w.Kafka.Down = kafka.ErrUnreachable
	_ = w.Once("root")
	w.mustSay(controllertest.Guests, "root", "Reconciling/ClusterUnreachable", "super user")
	if w.userIn(controllertest.Guests, "root").Status.Credentials == nil {
		t.Error("the record is gone before the credentials are")
	}
	w.Kafka.Down = nil
	w.restart()
	w.Settle("root")
	w.mustSay(controllertest.Guests, "root", "Stalled/SuperUserElsewhere")
	if len(w.Kafka.Scram["root"]) != 0 {
		t.Errorf("Kafka has %v", w.Kafka.Scram)
	}
}

func TestAGuestIsRevokedAlsoWhileTheOwnersUserLacksSomething(t *testing.T) {
	w := newGuestWorld(t, newUser("root", time.Hour, v1alpha1.MechanismScram512))
	password := w.passwordIn(controllertest.Guests, "root")
	ours := newUser("root", 0, v1alpha1.MechanismScram512)
	ours.UID = "uid-of-ours"
	w.Apply(ours)
	w.ChangeCluster(superUser("root"))
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		for i := range c.Status.Listeners {
			c.Status.Listeners[i].BootstrapServers = "" // which the Secret of ours needs
		}
	})
	_ = w.Once("root")
	w.Clock.Move(time.Second)
	_ = w.Once("root")
	if w.login("root", password) {
		t.Error("the guest can still log in")
	}
	w.wantUser("root", "Reconciling/ListenerNotReady")
}

func TestWhatAUserWritesOnItsObjectIsNoProofOfWhatTheOperatorDid(t *testing.T) {
	for _, deleted := range []bool{true, false} {
		for name, cluster := range map[string]*v1alpha1.KafkaCluster{
			"in an own cluster":       controllertest.ReadyCluster(3, inside, outside),
			"in an external cluster":  controllertest.ReadyExternal(),
			"in the cluster's own ns": controllertest.ReadyCluster(3, inside, outside),
		} {
			t.Run(fmt.Sprintf("%s, deleted %t", name, deleted), func(t *testing.T) {
				controllertest.Admit(cluster)
				cluster.Spec.Access.Names = &v1alpha1.AccessNames{Prefixes: []v1alpha1.NamePrefix{"root"}}
				w := newUsersOf(t, cluster)
				w.AccessTo.Username = "castellan"
				w.others("root")
				forged := newUser("root", time.Hour, v1alpha1.MechanismScram512)
				if name != "in the cluster's own ns" {
					controllertest.FromGuests(forged)
				}
				forged.Annotations = map[string]string{v1alpha1.AnnotationCreating: "incarnation-1 uid-root"}
				forged.Finalizers = []string{v1alpha1.Finalizer}
				w.Apply(controllertest.GuestNamespace(), forged)
				if deleted {
					w.Remove(w.userIn(forged.Namespace, "root"))
				}
				w.Settle("root")
				if w.Kafka.Writes() != 0 || w.Kafka.Scram["root"]["SCRAM-SHA-512"].Password != "theirs" {
					t.Errorf("somebody else's user was changed: %v", w.Kafka.Requests)
				}
				if got := w.userIn(forged.Namespace, "root"); deleted != (got == nil) {
					t.Errorf("the object: %+v", got)
				} else if !deleted {
					w.mustSay(forged.Namespace, "root", "Stalled/UserExists")
				}
			})
		}
	}
}

// By the status that is written ahead, or by an announcement, which the status says that is written because an answer of
// Kafka was lost.
func TestAUserIsOnRecordBeforeAnythingOfItIsInKafka(t *testing.T) {
	worlds := map[string]func(*testing.T) *world{
		"recorded":  func(t *testing.T) *world { return newUserWorld(t, 1) },
		"announced": func(t *testing.T) *world { return newUserWorld(t, 1).sealing() },
	}
	for name, begin := range worlds {
		for _, kind := range []string{"scram-alter", "acl-create", "quota-alter"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				w := begin(t)
				w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
				w.Kafka.Lose = kind
				if w.Once("app") == nil {
					t.Fatal("the answer was not lost")
				}
				s := w.user("app").Status
				if c := s.Credentials; len(s.Conditions) == 0 || c == nil || c.ClusterID != "incarnation-1" ||
					len(c.Mechanisms) != 0 {
					t.Fatalf("on record is %+v, and it says %+v", c, s.Conditions)
				}
				w.restart()
				w.Remove(w.user("app"))
				w.Settle("app")
				if w.user("app") != nil || len(w.Kafka.Scram["app"])+len(w.Kafka.ACLSet)+len(w.Kafka.QuotasOf["app"]) != 0 {
					t.Errorf("left: %v %v %v", w.Kafka.Scram, w.Kafka.ACLSet, w.Kafka.QuotasOf)
				}
			})
		}
	}
}

func TestAUserWhoseCredentialsKafkaRefusesStaysOnRecord(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Kafka.Refuse["app"] = &kafka.Refusal{Code: "UNACCEPTABLE_CREDENTIAL", Message: "no"}
	w.Settle("app")
	w.wantUser("app", "Stalled/Refused")
	delete(w.Kafka.Refuse, "app")
	w.Kafka.QuotasOf["app"] = map[string]float64{"producer_byte_rate": 1000} // which did not depend on the credentials
	w.restart()
	w.Settle("app")
	w.wantUser("app", "Ready")
}

func TestAGuestGetsWhatReachesBeyondItOnlyByItsOwnersWord(t *testing.T) {
	app := newUser("app", time.Hour, v1alpha1.MechanismScram512)
	w := newGuestWorld(t, app)
	u := w.userIn(controllertest.Guests, "app")
	u.Spec.ACLs = append(u.Spec.ACLs, v1alpha1.ACLRule{
		Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceCluster}, Operations: []v1alpha1.Operation{"Alter"}})
	u.Generation++
	if err := w.Client.Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Stalled/BeyondAccess", "spec.acls[1].operations: Alter")
	alter := kafka.ACL{Principal: "User:app", Host: "*", ResourceType: "Cluster", ResourceName: "kafka-cluster",
		Pattern: "Literal", Operation: "Alter", Permission: "Allow"}
	if w.Kafka.ACLSet[alter] || len(w.Kafka.ACLSet) != 2 {
		t.Errorf("Kafka has %v", w.Kafka.ACLSet)
	}
	grant := func(c *v1alpha1.KafkaCluster) {
		c.Spec.Access.Grants = []v1alpha1.AccessGrant{{Namespace: controllertest.Guests,
			ClusterOperations: []v1alpha1.ClusterOperation{"Alter"}}}
	}
	w.ChangeCluster(grant)
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Ready")
	if !w.Kafka.ACLSet[alter] {
		t.Errorf("Kafka has %v", w.Kafka.ACLSet)
	}
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Grants = nil })
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Stalled/BeyondAccess")
	if w.Kafka.ACLSet[alter] {
		t.Error("it keeps what its owner has taken back")
	}
}

func TestUsersAreLookedAtWhenTheirClusterGrantsSomethingElse(t *testing.T) {
	before := controllertest.ReadyCluster(1)
	controllertest.Admit(before)
	after := before.DeepCopy()
	if !sameForUsers(before, after) {
		t.Error("an equal cluster is another one")
	}
	after.Spec.Access.Grants = []v1alpha1.AccessGrant{{Namespace: "guests"}}
	if sameForUsers(before, after) {
		t.Error("another grant makes no difference")
	}
	after = before.DeepCopy()
	superUser("root")(after)
	before.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationSimple}
	if sameForUsers(before, after) {
		t.Error("another super user makes no difference")
	}
}

func TestAGuestTakesAUserOverOnlyByItsOwnersWord(t *testing.T) {
	w := newGuestWorld(t)
	w.others("app")
	app := controllertest.FromGuests(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	app.Spec.Adoption = v1alpha1.UserAdoptionAlways
	w.Apply(app)
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Stalled/UserExists", `namespace "guests" may not take it over`,
		"spec.access.grants")
	if w.Kafka.Writes() != 0 {
		t.Errorf("Kafka was told %v", w.Kafka.Requests)
	}
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Access.Grants = []v1alpha1.AccessGrant{{Namespace: controllertest.Guests,
			Permissions: []v1alpha1.AccessPermission{v1alpha1.PermissionAdopt}}}
	})
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Ready")
}

func TestAGuestThatIsNotAdmittedAnyMoreIsRevokedAsASuperUserAllTheSame(t *testing.T) {
	w := newGuestWorld(t, newUser("root", time.Hour, v1alpha1.MechanismScram512))
	password := w.passwordIn(controllertest.Guests, "root")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	w.Settle("root")
	w.ChangeCluster(superUser("root"))
	w.Settle("root")
	if w.login("root", password) {
		t.Error("it can still log in")
	}
}

func TestAnEvictedUserIsRevokedAndItsNameIsFree(t *testing.T) {
	w := newGuestWorld(t, newUser("app", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
	password := w.passwordIn(controllertest.Guests, "app")
	for name, change := range map[string]func(*v1alpha1.KafkaCluster){
		"while it is admitted":  func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Evicted = []string{controllertest.Guests} },
		"when it is not at all": func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Namespaces.MatchLabels["team"] = "nobody" },
	} {
		w.ChangeCluster(change)
		w.Settle("app")
		if name == "while it is admitted" && w.login("app", password) {
			t.Error("it can still log in")
		}
	}
	w.mustSay(controllertest.Guests, "app", "Stalled/Evicted", "spec.access.evicted")
	if w.login("app", password) || len(w.Kafka.Scram["app"])+len(w.Kafka.ACLSet)+len(w.Kafka.QuotasOf["app"]) != 0 {
		t.Errorf("left of it: %v %v %v", w.Kafka.Scram, w.Kafka.ACLSet, w.Kafka.QuotasOf)
	}
	if told := w.told(); !strings.Contains(told, "UserRevoked") {
		t.Errorf("the owner is told %q", told)
	}
	ours := newUser("ours", 0, v1alpha1.MechanismScram512)
	ours.Spec.Name = "app"
	w.Apply(ours)
	w.Settle("app")
	w.wantUser("ours", "Ready")
	w.Remove(w.userIn(controllertest.Guests, "app"))
	w.Settle("app")
	if w.userIn(controllertest.Guests, "app") != nil || !w.login("app", w.secret("ours-kafka")["password"]) {
		t.Error("its object hangs, or took the login of its successor with it")
	}
}

func TestAnEvictedNamespaceThatIsAdmittedAgainBeginsAnew(t *testing.T) {
	w := newGuestWorld(t, newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Evicted = []string{controllertest.Guests} })
	w.Settle("app")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Evicted = nil })
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Ready")
	if !w.login("app", w.passwordIn(controllertest.Guests, "app")) {
		t.Error("it cannot log in")
	}
}

func TestWhomTheClusterDoesNotAdmitHasNoEffectOnTheFileOfPlainUsers(t *testing.T) {
	w := newGuestWorld(t, newUser("frozen", time.Hour, v1alpha1.MechanismPlain))
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	w.Settle("frozen")
	frozen := w.userIn(controllertest.Guests, "frozen")
	frozen.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismScram512}
	frozen.Generation++
	if err := w.Client.Update(t.Context(), frozen); err != nil {
		t.Fatal(err)
	}
	ghost, err := plainauth.Hash("ghost", "passwordpassword", make([]byte, plainauth.MinSaltBytes), plainauth.DefaultIterations)
	if err != nil {
		t.Fatal(err)
	}
	var file corev1.Secret
	key := controllertest.ObjectKey(controllertest.ClusterKey.Namespace, render.PlainUsersSecret("events"))
	if err := w.Client.Get(t.Context(), key, &file); err != nil {
		t.Fatal(err)
	}
	entries, _ := plainauth.ParseUsersFile(file.Data[render.UsersEntry])
	file.Data[render.UsersEntry] = plainauth.UsersFile(append(entries["frozen"], ghost))
	if err := w.Client.Update(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	w.Apply(controllertest.FromGuests(newUser("ghost", time.Hour, v1alpha1.MechanismPlain)))
	w.Apply(newUser("beside", time.Hour, v1alpha1.MechanismPlain)) // so that the file is written
	w.Settle("frozen", "ghost", "beside")
	lines, _ := plainauth.ParseUsersFile(plainauth.Unmarked([]byte(w.secret("events-plain-users")["users"])))
	if _, stays := lines["frozen"]; !stays || len(lines) != 2 {
		t.Errorf("lines %v, expected those of frozen and beside", lines)
	}
}

func TestKafkaIsNotAskedAboutUsersThatAreAllBarred(t *testing.T) {
	w := newGuestWorld(t)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access = nil })
	w.Apply(controllertest.FromGuests(newUser("app", time.Hour, v1alpha1.MechanismScram512)))
	w.Reset()
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Stalled/NotAdmitted")
	if w.Kafka.Count() != 0 {
		t.Errorf("Kafka was asked %v", w.Kafka.Requests)
	}
}

func TestAGuestOfAnExternalClusterNeedsANameThatItsOwnerLetsItHave(t *testing.T) {
	cluster := controllertest.ReadyExternal()
	controllertest.Admit(cluster)
	w := newExternalUserWorld(t, cluster)
	w.Apply(controllertest.GuestNamespace(), controllertest.FromGuests(newUser("root", 0, v1alpha1.MechanismScram512)))
	w.Settle("root")
	w.mustSay(controllertest.Guests, "root", "Stalled/BeyondAccess", "spec.access.names", "super user")
	if w.Kafka.Count() != 0 {
		t.Errorf("Kafka was asked %v", w.Kafka.Requests)
	}
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Access.Names = &v1alpha1.AccessNames{Prefixes: []v1alpha1.NamePrefix{"ro", "t"}}
	})
	w.Settle("root")
	w.mustSay(controllertest.Guests, "root", "Ready")
}

func TestANamespaceHasNoMoreUsersThanItMay(t *testing.T) {
	one := int32(1)
	for name, limits := range map[string]*v1alpha1.AccessLimits{
		"users": {Users: &one}, "plainUsers": {PlainUsers: &one},
	} {
		t.Run(name, func(t *testing.T) {
			w := newGuestWorld(t, newUser("first", 0, v1alpha1.MechanismPlain))
			w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Limits = limits })
			second := newUser("second", time.Hour, v1alpha1.MechanismPlain)
			w.Apply(controllertest.FromGuests(second), newUser("ours", 0, v1alpha1.MechanismPlain))
			w.Settle("first", "second", "ours")
			w.mustSay(controllertest.Guests, "first", "Ready")
			w.mustSay(controllertest.Guests, "second", "Stalled/LimitReached", "spec.access.limits."+name)
			w.wantUser("ours", "Ready")
			w.Remove(w.userIn(controllertest.Guests, "first"))
			w.Settle("first")
			w.LookAgain(time.Hour)
			w.mustSay(controllertest.Guests, "second", "Ready")
		})
	}
}

func TestAUserThatMayHaveALineCountsAgainstTheLimit(t *testing.T) {
	w := newGuestWorld(t)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Access.Limits = &v1alpha1.AccessLimits{PlainUsers: controllertest.PtrTo(int32(1))}
	})
	w.Apply(controllertest.FromGuests(newUser("young", 0, v1alpha1.MechanismPlain)))
	w.Kafka.Lose = "acl-create"
	if w.Once("young") == nil {
		t.Fatal("the answer was not lost")
	}
	w.Apply(controllertest.FromGuests(newUser("old", time.Hour, v1alpha1.MechanismPlain)))
	_ = w.Once("old")
	w.mustSay(controllertest.Guests, "old", "Stalled/LimitReached", "spec.access.limits.plainUsers")
	w.Settle("young", "old")
	w.mustSay(controllertest.Guests, "young", "Ready")
}

func TestNothingOfTheClusterIsLeftInTheSecretOfAnEvictedUser(t *testing.T) {
	w := newGuestWorld(t, newUser("app", time.Hour, v1alpha1.MechanismScram512))
	old := w.passwordIn(controllertest.Guests, "app")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Evicted = []string{controllertest.Guests} })
	w.Failing["update app-kafka"] = fmt.Errorf("exceeded quota")
	for range 3 {
		_ = w.Once("app")
		w.Clock.Move(time.Second)
	}
	if w.userIn(controllertest.Guests, "app").Status.Credentials == nil {
		t.Error("its record is gone before its Secret is empty")
	}
	clear(w.Failing)
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Stalled/Evicted")
	var secret corev1.Secret
	if err := w.Client.Get(t.Context(), controllertest.ObjectKey(controllertest.Guests, "app-kafka"), &secret); err != nil {
		t.Fatal(err)
	}
	if len(secret.Data) != 0 {
		t.Errorf("it holds %d entries", len(secret.Data))
	}
	w.WantSilence("app")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Evicted = nil })
	w.Settle("app")
	w.mustSay(controllertest.Guests, "app", "Ready")
	if w.login("app", old) || !w.login("app", w.passwordIn(controllertest.Guests, "app")) {
		t.Error("its former password is in force again, or its new one is not")
	}
}

func TestUsersAreLookedAtWhenSomethingElseDecides(t *testing.T) {
	cluster := func(kind v1alpha1.AuthorizationType, class string) *v1alpha1.KafkaCluster {
		c := &v1alpha1.KafkaCluster{}
		c.Status.Authorization = &v1alpha1.AuthorizationStatus{Type: kind, Class: class}
		return c
	}
	all := []*v1alpha1.KafkaCluster{cluster("None", ""), cluster("Simple", ""), cluster("Custom", "a.B"), cluster("Custom", "a.C")}
	for i, before := range all {
		for j, after := range all {
			if sameForUsers(before, after) != (i == j) {
				t.Errorf("from %+v to %+v", before.Status.Authorization, after.Status.Authorization)
			}
		}
	}
}

// What a guest lacks is often its own doing: it must not keep in force what its owner takes back.
func TestAGuestLosesWhatItsOwnerTakesBackWhateverElseItLacks(t *testing.T) {
	edited := func(change func(*world, *v1alpha1.KafkaUser)) func(*world) {
		return func(w *world) {
			u := w.userIn(controllertest.Guests, "app")
			change(w, u)
			u.Generation++
			if err := w.Client.Update(w.T.Context(), u); err != nil {
				w.T.Fatal(err)
			}
		}
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.Guests, Name: "app-kafka"}}
	notOffered := func(u *v1alpha1.KafkaUser) {
		u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismScram256}
	}
	paused := func(u *v1alpha1.KafkaUser) { u.Annotations = map[string]string{v1alpha1.AnnotationPause: "true"} }
	for name, lacks := range map[string]func(*world){
		"nothing":      func(*world) {},
		"it is paused": edited(func(_ *world, u *v1alpha1.KafkaUser) { paused(u) }),
		"no listener":  edited(func(_ *world, u *v1alpha1.KafkaUser) { notOffered(u) }),
		"a Secret":     func(w *world) { w.supplant(controllertest.Guests, "app-kafka") },
		"room for a Secret": func(w *world) {
			w.Remove(secret.DeepCopy())
			w.Failing["create app-kafka"] = overQuota("secrets", "app-kafka")
		},
		"it is paused, and its spec asks for it no more": edited(func(_ *world, u *v1alpha1.KafkaUser) {
			paused(u)
			u.Spec.ACLs = u.Spec.ACLs[:1]
		}),
		"no listener, and its spec asks for it no more": edited(func(_ *world, u *v1alpha1.KafkaUser) {
			notOffered(u)
			u.Spec.ACLs = u.Spec.ACLs[:1]
		}),
		"a host, and its spec asks for it no more": edited(func(_ *world, u *v1alpha1.KafkaUser) {
			u.Spec.ACLs = u.Spec.ACLs[:1]
			u.Spec.ACLs[0].Host = "fe80::1"
		}),
		"no listener, and others may add ACLs": edited(func(w *world, u *v1alpha1.KafkaUser) {
			u.Spec.ACLPolicy = v1alpha1.ACLPolicyMerge
			if err := w.Client.Update(w.T.Context(), u); err != nil {
				w.T.Fatal(err)
			}
			w.Settle("app")
			*u = *w.userIn(controllertest.Guests, "app")
			notOffered(u)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			u := newUser("app", time.Hour, scram512)
			u.Spec.ACLs = append(u.Spec.ACLs, v1alpha1.ACLRule{Operations: []v1alpha1.Operation{"Alter"},
				Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceCluster}})
			w := newUserWorld(t, 1)
			w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
				controllertest.Admit(c)
				c.Spec.Access.Grants = []v1alpha1.AccessGrant{{Namespace: controllertest.Guests,
					ClusterOperations: []v1alpha1.ClusterOperation{"Alter"}}}
			})
			w.Apply(controllertest.GuestNamespace(), controllertest.FromGuests(u))
			w.Settle("app")
			w.mustSay(controllertest.Guests, "app", "Ready")
			if len(w.Kafka.ACLSet) != 3 {
				t.Fatal(w.Kafka.ACLSet)
			}
			lacks(w)
			for range 3 {
				_ = w.Once("app")
				w.Clock.Move(2 * time.Second)
			}
			w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { c.Spec.Access.Grants = nil })
			for range 3 {
				_ = w.Once("app")
				w.Clock.Move(2 * time.Second)
			}
			if len(w.Kafka.ACLSet) != 2 || len(w.Kafka.Scram["app"]) != 1 {
				t.Errorf("%v, %v", w.Kafka.ACLSet, w.Kafka.Scram)
			}
			if acls := w.userIn(controllertest.Guests, "app").Status.ACLs; fmt.Sprint(acls) != "[Allow Read, Write on Topic t]" {
				t.Errorf("it says that it has %v", acls)
			}
			w.Reset()
			_ = w.Once("app")
			if w.Kafka.Writes() != 0 || w.Requests["status KafkaUser"] != 0 {
				t.Errorf("converged: %v %v", w.Requests, w.Kafka.Requests)
			}
		})
	}
}
