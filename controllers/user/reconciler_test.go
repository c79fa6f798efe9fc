package user

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/users"
)

var (
	inside = v1alpha1.Listener{Name: "clients", Port: 9092, Encryption: v1alpha1.EncryptionNone,
		Authentication: &v1alpha1.ListenerAuthentication{
			Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain, v1alpha1.MechanismScram512}}}
	outside = v1alpha1.Listener{Name: "external", Port: 9094, Encryption: v1alpha1.EncryptionNone,
		Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort},
		Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain,
			v1alpha1.MechanismScram512}}}
)

func newUser(name string, age time.Duration, mechanisms ...v1alpha1.Mechanism) *v1alpha1.KafkaUser {
	return &v1alpha1.KafkaUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace, Name: name,
			UID: types.UID("uid-" + name), Generation: 1,
			CreationTimestamp: metav1.NewTime(controllertest.TestStart.Add(-age))},
		Spec: v1alpha1.KafkaUserSpec{ClusterRef: v1alpha1.ClusterRef{Name: controllertest.ClusterKey.Name},
			Authentication: v1alpha1.UserAuthentication{Mechanisms: mechanisms},
			ACLs: []v1alpha1.ACLRule{{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: "t"},
				Operations: []v1alpha1.Operation{"Read", "Write"}}},
			Quotas: &v1alpha1.Quotas{ProducerByteRate: controllertest.PtrTo(int64(1000))}},
	}
}

// world is a world with the controller of users.
type world struct {
	*controllertest.World
	users *Reconciler
	room  int // of one of the Secrets with the files of users, in bytes; 0 = as much as there is
}

// newUsersOf makes the world of the users of a cluster.
func newUsersOf(t *testing.T, cluster *v1alpha1.KafkaCluster) *world {
	t.Helper()
	w := &world{World: controllertest.NewCore(t,
		controllertest.Indexed{Object: &v1alpha1.KafkaUser{}, Indexes: kafkaUsers.Indexes()}, cluster)}
	w.restart()
	return w
}

// restart forgets everything that an operator keeps in memory.
func (w *world) restart() {
	w.users = New(w.Shared, w.Client, w)
	w.users.loadLimit, w.users.loadPause, w.users.readLimit = 50*time.Millisecond, 0, 0
	w.users.partRoom = cmp.Or(w.room, w.users.partRoom)
	w.Queue, w.Run = &w.users.Queue, w.users
}

func newUserWorld(t *testing.T, brokers int32) *world {
	t.Helper()
	w := newUsersOf(t, controllertest.ReadyCluster(brokers, inside, outside))
	for id := range brokers {
		w.Apply(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace,
			Name: fmt.Sprintf("events-main-%d", id),
			Labels: map[string]string{v1alpha1.LabelCluster: controllertest.ClusterKey.Name,
				v1alpha1.LabelBroker: "true"}}, Spec: corev1.PodSpec{Volumes: usersVolume(plainauth.MaxParts)}})
	}
	return w
}

func (w *world) user(name string) *v1alpha1.KafkaUser {
	u := &v1alpha1.KafkaUser{}
	if err := w.Client.Get(context.Background(),
		controllertest.ObjectKey(controllertest.ClusterKey.Namespace, name), u); err != nil {
		return nil
	}
	return u
}

func (w *world) changeUser(name string, change func(*v1alpha1.KafkaUser)) {
	w.T.Helper()
	u := w.user(name)
	change(u)
	u.Generation++
	if err := w.Client.Update(context.Background(), u); err != nil {
		w.T.Fatal(err)
	}
}

func (w *world) wantUser(name, want string) {
	w.T.Helper()
	u := w.user(name)
	if u == nil {
		w.T.Fatalf("KafkaUser %s is gone, want %s", name, want)
	}
	if got := controllertest.State(u.Status.Conditions); got != want {
		w.T.Fatalf("KafkaUser %s is %s (%s), want %s", name, got, controllertest.Message(u.Status.Conditions), want)
	}
}

func (w *world) secret(name string) map[string]string {
	var s corev1.Secret
	if err := w.Client.Get(context.Background(),
		controllertest.ObjectKey(controllertest.ClusterKey.Namespace, name), &s); err != nil {
		return nil
	}
	data := map[string]string{}
	for key, value := range s.Data {
		data[key] = string(value)
	}
	return data
}

func (w *world) mountAll(brokers int32) {
	w.Mounts = map[int32]map[string][]byte{}
	for id := range brokers {
		w.Mounts[id] = w.Files()
	}
}

func TestAUserIsReadyOnceEveryBrokerLetsItInAndThenCostsNothing(t *testing.T) {
	w := newUserWorld(t, 3)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
	w.mountAll(3) // the kubelets have not refreshed yet
	if err := w.Once("app"); err != nil {
		t.Fatal(err)
	}
	w.wantUser("app", "Reconciling/ProvingLogin")
	var pod corev1.Pod
	if err := w.Client.Get(context.Background(),
		controllertest.ObjectKey(controllertest.ClusterKey.Namespace, "events-main-2"), &pod); err != nil ||
		pod.Annotations[v1alpha1.AnnotationTouched] == "" {
		t.Errorf("the pod is not touched: %v %v", err, pod.Annotations)
	}
	if proven := w.user("app").Status.Credentials.ProvenOn; len(proven) != 0 {
		t.Errorf("proven on %v, where PLAIN was refused", proven)
	}
	w.Clock.Move(time.Second)
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/ProvingLogin")
	w.mountAll(3)
	w.Settle()
	w.wantUser("app", "Ready")
	u := w.user("app")
	if got := fmt.Sprint(u.Status.Credentials.ProvenOn); got != "[0 1 2]" {
		t.Errorf("proven on %s", got)
	}
	if len(w.Kafka.ACLSet) != 2 || w.Kafka.QuotasOf["app"]["producer_byte_rate"] != 1000 {
		t.Errorf("%v %v", w.Kafka.ACLSet, w.Kafka.QuotasOf)
	}
	s := w.secret("app-kafka")
	if w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password != s["password"] || len(s["password"]) != 32 {
		t.Error("the Secret and Kafka hold different passwords")
	}
	if s["bootstrap.servers"] != "events-clients.shop.svc:9092" ||
		s["bootstrap.servers.external"] != "events-external.shop.svc:9094" || s["sasl.mechanism"] != "SCRAM-SHA-512" {
		t.Errorf("bootstrap %s, outside %s, by %s", s["bootstrap.servers"], s["bootstrap.servers.external"],
			s["sasl.mechanism"])
	}
	for _, c := range u.Status.Conditions {
		if strings.Contains(c.Message, s["password"]) {
			t.Error("a message tells the password")
		}
	}

	w.Reset()
	w.Settle("app")
	if w.APIWrites() != 0 || w.Kafka.Writes() != 0 || w.Logins != 0 {
		t.Errorf("converged: %v, %v, %d logins", w.Requests, w.Kafka.Requests, w.Logins)
	}

	w.Reset()
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Quotas.ProducerByteRate = controllertest.PtrTo(int64(7)) })
	w.Settle("app")
	if w.APIWrites() != 1 || w.Kafka.Writes() != 1 || w.Logins != 0 {
		t.Errorf("a quota changed: %v, %v, %d logins", w.Requests, w.Kafka.Requests, w.Logins)
	}
}

func TestANewBrokerIsProvenWhenItAppears(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) { controllertest.AddBrokers(c, 2) })
	w.Reset()
	w.Settle("app")
	if got := fmt.Sprint(w.user("app").Status.Credentials.ProvenOn); got != "[0 1]" || w.Logins != 1 ||
		w.Kafka.Writes() != 0 {
		t.Errorf("proven on %s, %d logins, %v", got, w.Logins, w.Kafka.Requests)
	}
}

func TestADeletedUserIsRefusedBeforeItsObjectIsGone(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512),
		newUser("other", time.Hour, v1alpha1.MechanismPlain))
	w.Settle("app", "other")
	w.mountAll(2)
	w.Remove(w.user("app"))
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/Revoking")
	if len(w.Kafka.Scram["app"]) != 0 || len(w.Kafka.QuotasOf["app"]) != 0 || len(w.Kafka.ACLSet) != 2 {
		t.Errorf("left in Kafka: %v %v %v", w.Kafka.Scram, w.Kafka.QuotasOf, w.Kafka.ACLSet)
	}
	w.mountAll(2)
	w.Settle()
	if w.user("app") != nil {
		t.Error("still there although every broker refuses it")
	}
	w.Mounts = nil
	if err := w.TryLogin(context.Background(),
		kafka.Login{Address: "events-main-0.", Mechanism: "PLAIN", Username: "other",
			Password: w.secret("other-kafka")["password"]}); err != nil {
		t.Errorf("the other user has lost its line: %v", err)
	}
}

func TestALostSecretMeansANewPasswordOnEveryBroker(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
	w.Settle("app")
	old := w.secret("app-kafka")["password"]
	w.Remove(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace,
		Name: "app-kafka"}})
	w.Settle("app")
	w.wantUser("app", "Ready")
	if s := w.secret("app-kafka"); s["password"] == old ||
		w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password != s["password"] {
		t.Error("no new password")
	}
}

// writeSecret changes the connection Secret of a user.
func (w *world) writeSecret(name string, change func(*corev1.Secret)) {
	w.T.Helper()
	secret := &corev1.Secret{}
	if err := w.Client.Get(w.T.Context(), controllertest.ObjectKey(controllertest.ClusterKey.Namespace, name),
		secret); err != nil {
		w.T.Fatal(err)
	}
	change(secret)
	if err := w.Client.Update(w.T.Context(), secret); err != nil {
		w.T.Fatal(err)
	}
}

func TestWhatAStatusTellsOfAPasswordIsOfNoUseToWhoMayNotReadItsSecret(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	const own = "password12345678"
	w.writeSecret("app-kafka", func(s *corev1.Secret) { s.Data["password"] = []byte(own) })
	w.Settle("app")
	w.wantUser("app", "Ready")
	if w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password != own {
		t.Error("its own password is not in force")
	}
	if hash := w.user("app").Status.Credentials.PasswordHash; hash == "" || hash == users.PasswordHash("uid-app", own) {
		t.Errorf("the hash %q is made of what everybody may read", hash)
	}
	w.WantSilence("app")
	w.restart()
	w.WantSilence("app")
}

func TestAnUpgradeKeepsWhatOlderStatusesTellOfPasswords(t *testing.T) {
	for name, own := range map[string]string{"a password of the operator's": "", "its own": "password12345678"} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.Apply(newUser("app", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
			w.Settle("app")
			if own != "" {
				w.writeSecret("app-kafka", func(s *corev1.Secret) { s.Data["password"] = []byte(own) })
				w.Settle("app")
			}
			// As an older operator has left it.
			w.writeSecret("app-kafka", func(s *corev1.Secret) { s.Annotations = nil })
			old := users.PasswordHash("uid-app", w.secret("app-kafka")["password"])
			u := w.user("app")
			u.Status.Credentials.PasswordHash = old
			if err := w.Client.Status().Update(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			w.restart()
			w.Reset()
			w.Settle("app")
			w.wantUser("app", "Ready")
			if w.Kafka.Writes() != 0 || w.Logins != 0 {
				t.Errorf("an upgrade costs %v and %d logins", w.Kafka.Requests, w.Logins)
			}
			writes, replaced := w.APIWrites(), w.user("app").Status.Credentials.PasswordHash != old
			if own == "" && (writes != 0 || replaced) || own != "" && (writes != 2 || !replaced) {
				t.Errorf("replaced: %t, with %v", replaced, w.Requests)
			}
			w.WantSilence("app")

			w.writeSecret("app-kafka", func(s *corev1.Secret) { delete(s.Data, "sasl.mechanism") }) // which is mended
			w.Reset()
			w.Settle("app")
			if w.Kafka.Writes() != 0 || w.Logins != 0 || w.user("app").Status.Credentials.PasswordHash == old {
				t.Errorf("the Secret was written, which costs %v, %d logins", w.Kafka.Requests, w.Logins)
			}
			w.WantSilence("app")
		})
	}
}

func TestASecretOfSomebodyElseIsLeftAlone(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace,
		Name: "app-kafka"}, Data: map[string][]byte{"password": []byte("mine")}})
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	w.wantUser("app", "Stalled/SecretConflict")
	if w.secret("app-kafka")["password"] != "mine" || w.Kafka.Writes() != 0 {
		t.Error("touched")
	}
}

func TestAMechanismThatNoListenerOffersIsNamed(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram256))
	w.Settle("app")
	w.wantUser("app", "Stalled/MechanismNotOffered")
	if m := controllertest.Message(w.user("app").Status.Conditions); !strings.Contains(m, "SCRAM-SHA-256") ||
		!strings.Contains(m, "clients (PLAIN, SCRAM-SHA-512)") {
		t.Error(m)
	}
}

func TestACLsWithoutAnAuthorizerAreStalledAndTheUserLogsIn(t *testing.T) {
	w := newUserWorld(t, 1)
	w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationNone}
	})
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	w.wantUser("app", "Stalled/AuthorizationDisabled")
	if len(w.user("app").Status.Credentials.ProvenOn) != 1 || w.Kafka.Count("acls", "acl-create") != 0 {
		t.Errorf("%+v %v", w.user("app").Status.Credentials, w.Kafka.Requests)
	}
}

func TestTheOldestHoldsThePrincipalAndHandsItOver(t *testing.T) {
	w := newUserWorld(t, 1)
	old, young := newUser("old", time.Hour, v1alpha1.MechanismScram512),
		newUser("young", time.Minute, v1alpha1.MechanismScram512)
	old.Spec.Name, young.Spec.Name = "app", "app"
	young.Spec.ACLs = nil
	w.Apply(old, young)
	w.Settle("app")
	w.wantUser("old", "Ready")
	w.wantUser("young", "Stalled/Conflict")
	if w.secret("young-kafka") != nil {
		t.Error("a loser has a Secret")
	}
	first := w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password
	w.Remove(w.user("old"))
	w.Settle("app")
	if w.user("old") != nil {
		t.Error("the old holder is not released")
	}
	w.wantUser("young", "Ready")
	if now := w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password; now == first ||
		now != w.secret("young-kafka")["password"] {
		t.Error("the old password still opens the door")
	}
	if len(w.Kafka.ACLSet) != 0 {
		t.Errorf("ACLs of the old holder are left: %v", w.Kafka.ACLSet)
	}
}

func TestDeletingALosingUserTouchesNothing(t *testing.T) {
	w := newUserWorld(t, 1)
	old, young := newUser("old", time.Hour, v1alpha1.MechanismScram512),
		newUser("young", time.Minute, v1alpha1.MechanismScram512)
	old.Spec.Name, young.Spec.Name = "app", "app"
	w.Apply(old, young)
	w.Settle("app")
	w.Reset()
	w.Remove(w.user("young"))
	w.Settle("app")
	if w.Kafka.Writes() != 0 || w.APIWrites() != 0 || w.user("young") != nil {
		t.Errorf("%v %v", w.Kafka.Requests, w.Requests)
	}
	w.wantUser("old", "Ready")
}

// overQuota is what Kubernetes says of an object for which a namespace has no room.
func overQuota(resource, name string) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, name,
		errors.New("exceeded quota: tenant, requested: secrets=1, used: secrets=5, limited: secrets=5"))
}

func TestAUserWhoseSecretIsRefusedSaysSoAndDelaysNoOther(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("good", time.Hour, v1alpha1.MechanismScram512),
		newUser("bad", time.Hour, v1alpha1.MechanismScram512))
	w.Failing["create bad-kafka"] = overQuota("secrets", "bad-kafka")
	want := func() {
		t.Helper()
		w.wantUser("good", "Ready")
		w.wantUser("bad", "Reconciling/Retrying")
		m := controllertest.Message(w.user("bad").Status.Conditions)
		if !strings.Contains(m, "Secret shop/bad-kafka") || !strings.Contains(m, "exceeded quota: tenant") {
			t.Error(m)
		}
		if len(w.Kafka.Scram["bad"]) != 0 {
			t.Error("it is in Kafka without a Secret")
		}
	}
	if err := w.Once("good", "bad"); err != nil {
		t.Fatalf("the whole cluster is retried for one user: %v", err)
	}
	want()
	for _, interval := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		next, waits := w.Queue.Next(controllertest.ClusterKey)
		if !waits || next != time.Duration(interval)*time.Second {
			t.Fatalf("due after %s (%t), expected %ds", next, waits, interval)
		}
		w.Clock.Move(next)
		w.Reset()
		if err := w.Once(); err != nil {
			t.Fatal(err)
		}
		want()
		if w.APIWrites() != 1 { // the attempt; the status says it already
			t.Errorf("an attempt that is refused again costs %v", w.Requests)
		}
	}
	clear(w.Failing)
	w.LookAgain(time.Minute)
	w.wantUser("bad", "Ready")
}

func TestAUserInForceWhoseSecretCannotBeCorrectedStaysInForce(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
	w.Settle("app")
	before := w.user("app").Status
	w.Failing["update app-kafka"] = overQuota("secrets", "app-kafka")
	w.changeUser("app", func(u *v1alpha1.KafkaUser) {
		u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismPlain}
	})
	if err := w.Once("app"); err != nil {
		t.Fatal(err)
	}
	w.wantUser("app", "Reconciling/Retrying")
	after := w.user("app").Status
	if !reflect.DeepEqual(after.Credentials, before.Credentials) || !reflect.DeepEqual(after.Binding, before.Binding) ||
		w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password == "" {
		t.Errorf("what is on record has changed: %+v", after)
	}
	clear(w.Failing)
	w.LookAgain(time.Minute)
	w.wantUser("app", "Ready")
}

func TestAUserThatCannotBeMarkedSaysSoAndDelaysNoOther(t *testing.T) {
	for name, c := range map[string]struct {
		verb  string
		event bool // where the status itself is refused, it is all that can be said
		state string
	}{
		"its finalizer": {"patch bad", false, "Reconciling/Retrying"},
		"its status":    {"status bad", true, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newUserWorld(t, 1)
			w.Apply(newUser("good", time.Hour, v1alpha1.MechanismScram512),
				newUser("bad", time.Hour, v1alpha1.MechanismScram512))
			w.Failing[c.verb] = overQuota("kafkausers", "bad")
			for _, interval := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second} {
				if next, _ := w.Queue.Next(controllertest.ClusterKey); next != interval {
					t.Fatalf("due after %s, expected %s", next, interval)
				}
				w.Clock.Move(interval)
				if err := w.Once(map[bool][]string{true: {"good", "bad"}}[interval == 0]...); err != nil {
					t.Fatalf("the whole cluster is retried for one user: %v", err)
				}
				w.wantUser("good", "Ready")
				w.wantUser("bad", c.state)
			}
			if m := controllertest.Message(w.user("bad").Status.Conditions); !c.event &&
				!strings.Contains(m, "exceeded quota: tenant") {
				t.Error(m)
			}
			if told := wasTold(w, "StatusRefused", "exceeded quota: tenant"); told != c.event {
				t.Errorf("told by an event: %t", told)
			}
			if len(w.Kafka.Scram["bad"]) != 0 {
				t.Error("it is in Kafka without a record")
			}
			clear(w.Failing)
			w.LookAgain(time.Minute)
			w.wantUser("bad", "Ready")
		})
	}
}

// wasTold looks through the events so far.
func wasTold(w *world, reason, text string) bool {
	for {
		select {
		case e := <-w.Events.Events:
			if strings.Contains(e, reason) && strings.Contains(e, text) {
				return true
			}
		default:
			return false
		}
	}
}

func TestOneRefusedUserDelaysNoOther(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("good", time.Hour, v1alpha1.MechanismScram512),
		newUser("bad", time.Hour, v1alpha1.MechanismScram512))
	w.Kafka.Refuse["bad"] = &kafka.Refusal{Code: "UNACCEPTABLE_CREDENTIAL", Message: "no"}
	_ = w.Once("good", "bad")
	w.wantUser("good", "Ready")
	w.wantUser("bad", "Stalled/Refused")
}

func TestAUserOfAClusterThatIsGoneIsReleased(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	w.Remove(controllertest.ReadyCluster(1))
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil {
		t.Error("the finalizer hangs")
	}
}

func TestAnUnreachableClusterKeepsTheUserThatIsBeingDeleted(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	w.Remove(w.user("app"))
	w.Kafka.Down = kafka.ErrUnreachable
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/ClusterUnreachable")
	w.Kafka.Down = nil
	w.Settle()
	if w.user("app") != nil {
		t.Error("not released after all")
	}
}

func TestAForeignUsersCredentialsACLsAndQuotasAreLeftAlone(t *testing.T) {
	w := newUserWorld(t, 1)
	foreign := kafka.ACL{Principal: "User:else", Host: "*", ResourceType: "Topic", ResourceName: "t",
		Pattern: "Literal", Operation: "Read", Permission: "Allow"}
	w.Kafka.ACLSet[foreign] = true
	w.Kafka.QuotasOf["else"] = map[string]float64{"producer_byte_rate": 1}
	w.Kafka.Scram["else"] = map[string]controllertest.ScramCredential{"SCRAM-SHA-256": {Iterations: 4096,
		Password: "x"}}
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	w.Remove(w.user("app"))
	w.Settle("app")
	if len(w.Kafka.ACLSet) != 1 || len(w.Kafka.QuotasOf["else"]) != 1 || len(w.Kafka.Scram["else"]) != 1 {
		t.Errorf("%v %v %v", w.Kafka.ACLSet, w.Kafka.QuotasOf, w.Kafka.Scram)
	}
}

// others are credentials, ACLs and quotas that nobody of ours has made.
func (w *world) others(name string) {
	w.Kafka.ACLSet[kafka.ACL{Principal: "User:" + name, Host: "*", ResourceType: "Topic", ResourceName: "theirs",
		Pattern: "Literal", Operation: "Read", Permission: "Allow"}] = true
	w.Kafka.QuotasOf[name] = map[string]float64{"consumer_byte_rate": 1}
	w.Kafka.Scram[name] = map[string]controllertest.ScramCredential{"SCRAM-SHA-512": {Iterations: 8192,
		Password: "theirs"}}
}

func TestAUserThatSomebodyElseGivesUpIsTaken(t *testing.T) {
	w := newUserWorld(t, 1)
	w.others("app")
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	w.wantUser("app", "Stalled/UserExists")
	w.Reset()
	for range 4 {
		w.LookAgain(claim.TakenLookLimit)
	}
	if w.APIWrites() != 0 || w.Kafka.Writes() != 0 {
		t.Errorf("looking wrote: %v, %v", w.Requests, w.Kafka.Requests)
	}
	clear(w.Kafka.ACLSet)
	clear(w.Kafka.QuotasOf)
	clear(w.Kafka.Scram)
	w.LookAgain(claim.TakenLookLimit)
	w.wantUser("app", "Ready")
}

func TestAUserThatExistsIsAConflictUntilItIsToBeTakenOver(t *testing.T) {
	w := newUserWorld(t, 1)
	w.others("app")
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	if _ = w.Once("app"); w.user("app").Status.ObservedGeneration != 0 {
		t.Error("told before it was certain")
	}
	w.Settle("app")
	w.wantUser("app", "Stalled/UserExists")
	want := `spec.adoption: user "app" has SCRAM credentials, ACLs and quotas in Kafka already`
	if got := controllertest.Message(w.user("app").Status.Conditions); !strings.HasPrefix(got, want) {
		t.Errorf("it says %q", got)
	}
	if u := w.user("app"); w.Kafka.Writes() != 0 || len(u.Finalizers)+len(u.Annotations) != 0 ||
		w.secret("app-kafka") != nil {
		t.Errorf("something was done: %v, %v, %v", w.Kafka.Requests, u.Finalizers, u.Annotations)
	}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Adoption = v1alpha1.UserAdoptionAlways })
	w.Settle("app")
	w.wantUser("app", "Ready")
	if w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password != w.secret("app-kafka")["password"] ||
		len(w.Kafka.ACLSet) != 2 || w.Kafka.QuotasOf["app"]["producer_byte_rate"] != 1000 {
		t.Errorf("%v %v %v", w.Kafka.Scram, w.Kafka.ACLSet, w.Kafka.QuotasOf)
	}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Adoption = v1alpha1.UserAdoptionNever })
	w.Reset()
	w.Settle("app")
	w.wantUser("app", "Ready")
	if w.Kafka.Writes() != 0 {
		t.Errorf("it is ours by now, and was written again: %v", w.Kafka.Requests)
	}
}

func TestAConflictingUserThatIsDeletedTakesNothingWithIt(t *testing.T) {
	w := newUserWorld(t, 1)
	w.others("app")
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Settle("app")
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil || len(w.Kafka.ACLSet) != 1 || len(w.Kafka.QuotasOf["app"]) != 1 ||
		w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password != "theirs" {
		t.Errorf("%v %v %v", w.Kafka.ACLSet, w.Kafka.QuotasOf, w.Kafka.Scram)
	}
}

func TestAUserOfWhichTheAnswerWasLostIsKnownAgain(t *testing.T) {
	w := newUserWorld(t, 1)
	w.Apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.Kafka.Lose = "scram-alter"
	if err := w.Once("app"); err == nil || len(w.Kafka.Scram["app"]) != 1 || len(w.user("app").Status.Credentials.Mechanisms) != 0 {
		t.Fatalf("%v; Kafka has %v, the status %v", err, w.Kafka.Scram, w.user("app").Status.Credentials)
	}
	w.restart()
	w.Settle("app")
	w.wantUser("app", "Ready")
}

func TestTheAnnouncementOfAnotherObjectSaysNothing(t *testing.T) {
	w := newUserWorld(t, 1)
	w.others("app")
	copied := newUser("app", time.Hour, v1alpha1.MechanismScram512)
	copied.Annotations = map[string]string{v1alpha1.AnnotationCreating: "incarnation-1 uid-else"}
	copied.Finalizers = []string{v1alpha1.Finalizer}
	w.Apply(copied)
	w.Settle("app")
	w.wantUser("app", "Stalled/UserExists")
	w.Remove(w.user("app"))
	w.Settle("app")
	if w.user("app") != nil || w.Kafka.Scram["app"]["SCRAM-SHA-512"].Password != "theirs" {
		t.Errorf("%v, Kafka has %v", w.user("app"), w.Kafka.Scram)
	}
}

func TestADeletedUserIsNotTakenForRefusedWhereNoBrokerWasAsked(t *testing.T) {
	w := newUserWorld(t, 2)
	w.Apply(newUser("app", time.Hour, scram512))
	w.Settle("app")
	state := func(s v1alpha1.NodeState) {
		w.ChangeCluster(func(c *v1alpha1.KafkaCluster) {
			for n := range c.Status.Nodes {
				c.Status.Nodes[n].State = s
			}
		})
	}
	state(v1alpha1.NodeFenced)
	w.Remove(w.user("app"))
	_ = w.Once("app")
	w.wantUser("app", "Reconciling/Revoking")
	if len(w.Kafka.Scram["app"]) != 0 {
		t.Error("it waits with the removal too")
	}
	state(v1alpha1.NodeServing)
	w.Settle("app")
	if w.user("app") != nil {
		t.Error("it hangs")
	}
}

// unoffered has a user ask for a mechanism that no listener offers.
func (w *world) unoffered(object string) {
	w.changeUser(object, func(u *v1alpha1.KafkaUser) {
		u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismScram256}
	})
}

// supplant puts a Secret of somebody else in the place of a user's.
func (w *world) supplant(namespace, name string) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	w.Remove(secret.DeepCopy())
	w.Apply(secret)
}
