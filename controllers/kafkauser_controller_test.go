package controllers

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
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/render"
)

var (
	inside = v1alpha1.Listener{Name: "clients", Port: 9092, Encryption: v1alpha1.EncryptionNone, Authentication: &v1alpha1.ListenerAuthentication{
		Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain, v1alpha1.MechanismScram512}}}
	outside = v1alpha1.Listener{Name: "external", Port: 9094, Encryption: v1alpha1.EncryptionNone, Exposure: v1alpha1.Exposure{Type: v1alpha1.ExposureNodePort},
		Authentication: &v1alpha1.ListenerAuthentication{Mechanisms: []v1alpha1.Mechanism{v1alpha1.MechanismPlain, v1alpha1.MechanismScram512}}}
)

func newUser(name string, age time.Duration, mechanisms ...v1alpha1.Mechanism) *v1alpha1.KafkaUser {
	return &v1alpha1.KafkaUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: clusterKey.Namespace, Name: name, UID: types.UID("uid-" + name), Generation: 1,
			CreationTimestamp: metav1.NewTime(testStart.Add(-age))},
		Spec: v1alpha1.KafkaUserSpec{ClusterRef: v1alpha1.ClusterRef{Name: clusterKey.Name}, Authentication: v1alpha1.UserAuthentication{Mechanisms: mechanisms},
			ACLs: []v1alpha1.ACLRule{{Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceTopic, Name: "t"},
				Operations: []v1alpha1.Operation{"Read", "Write"}}},
			Quotas: &v1alpha1.Quotas{ProducerByteRate: ptrTo(int64(1000))}},
	}
}

// userWorld is a world with the controller of users.
type userWorld struct {
	*world
	users *KafkaUserReconciler
}

// newUsersOf makes the world of the users of a cluster.
func newUsersOf(t *testing.T, cluster *v1alpha1.KafkaCluster) *userWorld {
	t.Helper()
	w := &userWorld{world: newCore(t, indexed{&v1alpha1.KafkaUser{}, kafkaUsers.indexes()}, cluster)}
	w.restart()
	return w
}

// restart forgets everything that an operator keeps in memory.
func (w *userWorld) restart() {
	w.users = newKafkaUserReconciler(w.shared, w.client, w)
	w.queue, w.run = &w.users.queue, w.users
}

func newUserWorld(t *testing.T, brokers int32) *userWorld {
	t.Helper()
	w := newUsersOf(t, readyCluster(brokers, inside, outside))
	for id := range brokers {
		w.apply(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: clusterKey.Namespace, Name: fmt.Sprintf("events-main-%d", id),
			Labels: map[string]string{v1alpha1.LabelCluster: clusterKey.Name, v1alpha1.LabelBroker: "true"}}})
	}
	return w
}

func (w *userWorld) user(name string) *v1alpha1.KafkaUser {
	u := &v1alpha1.KafkaUser{}
	if err := w.client.Get(context.Background(), objectKey(clusterKey.Namespace, name), u); err != nil {
		return nil
	}
	return u
}

func (w *userWorld) changeUser(name string, change func(*v1alpha1.KafkaUser)) {
	w.t.Helper()
	u := w.user(name)
	change(u)
	u.Generation++
	if err := w.client.Update(context.Background(), u); err != nil {
		w.t.Fatal(err)
	}
}

func (w *userWorld) wantUser(name, want string) {
	w.t.Helper()
	u := w.user(name)
	if u == nil {
		w.t.Fatalf("KafkaUser %s is gone, want %s", name, want)
	}
	if got := state(u.Status.Conditions); got != want {
		w.t.Fatalf("KafkaUser %s is %s (%s), want %s", name, got, message(u.Status.Conditions), want)
	}
}

func (w *userWorld) secret(name string) map[string]string {
	var s corev1.Secret
	if err := w.client.Get(context.Background(), objectKey(clusterKey.Namespace, name), &s); err != nil {
		return nil
	}
	data := map[string]string{}
	for key, value := range s.Data {
		data[key] = string(value)
	}
	return data
}

func (w *userWorld) mountAll(brokers int32) {
	file := []byte(w.secret(render.PlainUsersSecret(clusterKey.Name))[render.UsersEntry])
	w.mounts = map[int32][]byte{}
	for id := range brokers {
		w.mounts[id] = file
	}
}

func TestAUserIsReadyOnceEveryBrokerLetsItInAndThenCostsNothing(t *testing.T) {
	w := newUserWorld(t, 3)
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
	w.mountAll(3) // the kubelets have not refreshed yet
	if err := w.once("app"); err != nil {
		t.Fatal(err)
	}
	w.wantUser("app", "Reconciling/ProvingLogin")
	var pod corev1.Pod
	if err := w.client.Get(context.Background(), objectKey(clusterKey.Namespace, "events-main-2"), &pod); err != nil || pod.Annotations[v1alpha1.AnnotationTouched] == "" {
		t.Errorf("the pod is not touched: %v %v", err, pod.Annotations)
	}
	if proven := w.user("app").Status.Credentials.ProvenOn; len(proven) != 0 {
		t.Errorf("proven on %v, where PLAIN was refused", proven)
	}
	w.clock.move(time.Second)
	_ = w.once("app")
	w.wantUser("app", "Reconciling/ProvingLogin")
	w.mountAll(3)
	w.settle()
	w.wantUser("app", "Ready")
	u := w.user("app")
	if got := fmt.Sprint(u.Status.Credentials.ProvenOn); got != "[0 1 2]" {
		t.Errorf("proven on %s", got)
	}
	if len(w.kafka.acls) != 2 || w.kafka.quotas["app"]["producer_byte_rate"] != 1000 {
		t.Errorf("%v %v", w.kafka.acls, w.kafka.quotas)
	}
	s := w.secret("app-kafka")
	if w.kafka.scram["app"]["SCRAM-SHA-512"].password != s["password"] || len(s["password"]) != 32 {
		t.Error("the Secret and Kafka hold different passwords")
	}
	if s["bootstrap.servers"] != "events-clients.shop.svc:9092" || s["bootstrap.servers.external"] != "events-external.shop.svc:9094" || s["sasl.mechanism"] != "SCRAM-SHA-512" {
		t.Errorf("bootstrap %s, outside %s, by %s", s["bootstrap.servers"], s["bootstrap.servers.external"], s["sasl.mechanism"])
	}
	for _, c := range u.Status.Conditions {
		if strings.Contains(c.Message, s["password"]) {
			t.Error("a message tells the password")
		}
	}

	w.reset()
	w.settle("app")
	if w.apiWrites() != 0 || w.kafka.writes() != 0 || w.logins != 0 {
		t.Errorf("converged: %v, %v, %d logins", w.requests, w.kafka.requests, w.logins)
	}

	w.reset()
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Quotas.ProducerByteRate = ptrTo(int64(7)) })
	w.settle("app")
	if w.apiWrites() != 1 || w.kafka.writes() != 1 || w.logins != 0 {
		t.Errorf("a quota changed: %v, %v, %d logins", w.requests, w.kafka.requests, w.logins)
	}
}

func TestANewBrokerIsProvenWhenItAppears(t *testing.T) {
	w := newUserWorld(t, 1)
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.settle("app")
	w.changeCluster(func(c *v1alpha1.KafkaCluster) { addBrokers(c, 2) })
	w.reset()
	w.settle("app")
	if got := fmt.Sprint(w.user("app").Status.Credentials.ProvenOn); got != "[0 1]" || w.logins != 1 || w.kafka.writes() != 0 {
		t.Errorf("proven on %s, %d logins, %v", got, w.logins, w.kafka.requests)
	}
}

func TestADeletedUserIsRefusedBeforeItsObjectIsGone(t *testing.T) {
	w := newUserWorld(t, 2)
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512), newUser("other", time.Hour, v1alpha1.MechanismPlain))
	w.settle("app", "other")
	w.mountAll(2)
	w.remove(w.user("app"))
	_ = w.once("app")
	w.wantUser("app", "Reconciling/Revoking")
	if len(w.kafka.scram["app"]) != 0 || len(w.kafka.quotas["app"]) != 0 || len(w.kafka.acls) != 2 {
		t.Errorf("left in Kafka: %v %v %v", w.kafka.scram, w.kafka.quotas, w.kafka.acls)
	}
	w.mountAll(2)
	w.settle()
	if w.user("app") != nil {
		t.Error("still there although every broker refuses it")
	}
	w.mounts = nil
	if err := w.TryLogin(context.Background(), kafka.Login{Address: "events-main-0.", Mechanism: "PLAIN", Username: "other", Password: w.secret("other-kafka")["password"]}); err != nil {
		t.Errorf("the other user has lost its line: %v", err)
	}
}

func TestALostSecretMeansANewPasswordOnEveryBroker(t *testing.T) {
	w := newUserWorld(t, 2)
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismPlain, v1alpha1.MechanismScram512))
	w.settle("app")
	old := w.secret("app-kafka")["password"]
	w.remove(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: clusterKey.Namespace, Name: "app-kafka"}})
	w.settle("app")
	w.wantUser("app", "Ready")
	if s := w.secret("app-kafka"); s["password"] == old || w.kafka.scram["app"]["SCRAM-SHA-512"].password != s["password"] {
		t.Error("no new password")
	}
}

func TestASecretOfSomebodyElseIsLeftAlone(t *testing.T) {
	w := newUserWorld(t, 1)
	w.apply(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: clusterKey.Namespace, Name: "app-kafka"}, Data: map[string][]byte{"password": []byte("mine")}})
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.settle("app")
	w.wantUser("app", "Stalled/SecretConflict")
	if w.secret("app-kafka")["password"] != "mine" || w.kafka.writes() != 0 {
		t.Error("touched")
	}
}

func TestAMechanismThatNoListenerOffersIsNamed(t *testing.T) {
	w := newUserWorld(t, 1)
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram256))
	w.settle("app")
	w.wantUser("app", "Stalled/MechanismNotOffered")
	if m := message(w.user("app").Status.Conditions); !strings.Contains(m, "SCRAM-SHA-256") || !strings.Contains(m, "clients (PLAIN, SCRAM-SHA-512)") {
		t.Error(m)
	}
}

func TestACLsWithoutAnAuthorizerAreStalledAndTheUserLogsIn(t *testing.T) {
	w := newUserWorld(t, 1)
	w.changeCluster(func(c *v1alpha1.KafkaCluster) {
		c.Spec.Authorization = &v1alpha1.Authorization{Type: v1alpha1.AuthorizationNone}
	})
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.settle("app")
	w.wantUser("app", "Stalled/AuthorizationDisabled")
	if len(w.user("app").Status.Credentials.ProvenOn) != 1 || w.kafka.count("acls", "acl-create") != 0 {
		t.Errorf("%+v %v", w.user("app").Status.Credentials, w.kafka.requests)
	}
}

func TestTheOldestHoldsThePrincipalAndHandsItOver(t *testing.T) {
	w := newUserWorld(t, 1)
	old, young := newUser("old", time.Hour, v1alpha1.MechanismScram512), newUser("young", time.Minute, v1alpha1.MechanismScram512)
	old.Spec.Name, young.Spec.Name = "app", "app"
	young.Spec.ACLs = nil
	w.apply(old, young)
	w.settle("app")
	w.wantUser("old", "Ready")
	w.wantUser("young", "Stalled/Conflict")
	if w.secret("young-kafka") != nil {
		t.Error("a loser has a Secret")
	}
	first := w.kafka.scram["app"]["SCRAM-SHA-512"].password
	w.remove(w.user("old"))
	w.settle("app")
	if w.user("old") != nil {
		t.Error("the old holder is not released")
	}
	w.wantUser("young", "Ready")
	if now := w.kafka.scram["app"]["SCRAM-SHA-512"].password; now == first || now != w.secret("young-kafka")["password"] {
		t.Error("the old password still opens the door")
	}
	if len(w.kafka.acls) != 0 {
		t.Errorf("ACLs of the old holder are left: %v", w.kafka.acls)
	}
}

func TestDeletingALosingUserTouchesNothing(t *testing.T) {
	w := newUserWorld(t, 1)
	old, young := newUser("old", time.Hour, v1alpha1.MechanismScram512), newUser("young", time.Minute, v1alpha1.MechanismScram512)
	old.Spec.Name, young.Spec.Name = "app", "app"
	w.apply(old, young)
	w.settle("app")
	w.reset()
	w.remove(w.user("young"))
	w.settle("app")
	if w.kafka.writes() != 0 || w.apiWrites() != 0 || w.user("young") != nil {
		t.Errorf("%v %v", w.kafka.requests, w.requests)
	}
	w.wantUser("old", "Ready")
}

func TestOneRefusedUserDelaysNoOther(t *testing.T) {
	w := newUserWorld(t, 1)
	w.apply(newUser("good", time.Hour, v1alpha1.MechanismScram512), newUser("bad", time.Hour, v1alpha1.MechanismScram512))
	w.kafka.refuse["bad"] = &kafka.Refusal{Code: "UNACCEPTABLE_CREDENTIAL", Message: "no"}
	_ = w.once("good", "bad")
	w.wantUser("good", "Ready")
	w.wantUser("bad", "Stalled/Refused")
}

func TestAUserOfAClusterThatIsGoneIsReleased(t *testing.T) {
	w := newUserWorld(t, 1)
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.settle("app")
	w.remove(readyCluster(1))
	w.remove(w.user("app"))
	w.settle("app")
	if w.user("app") != nil {
		t.Error("the finalizer hangs")
	}
}

func TestAnUnreachableClusterKeepsTheUserThatIsBeingDeleted(t *testing.T) {
	w := newUserWorld(t, 1)
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.settle("app")
	w.remove(w.user("app"))
	w.kafka.down = kafka.ErrUnreachable
	_ = w.once("app")
	w.wantUser("app", "Reconciling/ClusterUnreachable")
	w.kafka.down = nil
	w.settle()
	if w.user("app") != nil {
		t.Error("not released after all")
	}
}

func TestAForeignUsersCredentialsACLsAndQuotasAreLeftAlone(t *testing.T) {
	w := newUserWorld(t, 1)
	foreign := kafka.ACL{Principal: "User:else", Host: "*", ResourceType: "Topic", ResourceName: "t", Pattern: "Literal", Operation: "Read", Permission: "Allow"}
	w.kafka.acls[foreign] = true
	w.kafka.quotas["else"] = map[string]float64{"producer_byte_rate": 1}
	w.kafka.scram["else"] = map[string]scramCredential{"SCRAM-SHA-256": {4096, "x"}}
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.settle("app")
	w.remove(w.user("app"))
	w.settle("app")
	if len(w.kafka.acls) != 1 || len(w.kafka.quotas["else"]) != 1 || len(w.kafka.scram["else"]) != 1 {
		t.Errorf("%v %v %v", w.kafka.acls, w.kafka.quotas, w.kafka.scram)
	}
}

// others are credentials, ACLs and quotas that nobody of ours has made.
func (w *userWorld) others(name string) {
	w.kafka.acls[kafka.ACL{Principal: "User:" + name, Host: "*", ResourceType: "Topic", ResourceName: "theirs", Pattern: "Literal", Operation: "Read", Permission: "Allow"}] = true
	w.kafka.quotas[name] = map[string]float64{"consumer_byte_rate": 1}
	w.kafka.scram[name] = map[string]scramCredential{"SCRAM-SHA-512": {8192, "theirs"}}
}

func TestAUserThatSomebodyElseGivesUpIsTaken(t *testing.T) {
	w := newUserWorld(t, 1)
	w.others("app")
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.settle("app")
	w.wantUser("app", "Stalled/UserExists")
	w.reset()
	for range 4 {
		w.lookAgain(claim.TakenLookLimit)
	}
	if w.apiWrites() != 0 || w.kafka.writes() != 0 {
		t.Errorf("looking wrote: %v, %v", w.requests, w.kafka.requests)
	}
	clear(w.kafka.acls)
	clear(w.kafka.quotas)
	clear(w.kafka.scram)
	w.lookAgain(claim.TakenLookLimit)
	w.wantUser("app", "Ready")
}

func TestAUserThatExistsIsAConflictUntilItIsToBeTakenOver(t *testing.T) {
	w := newUserWorld(t, 1)
	w.others("app")
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	if _ = w.once("app"); w.user("app").Status.ObservedGeneration != 0 {
		t.Error("told before it was certain")
	}
	w.settle("app")
	w.wantUser("app", "Stalled/UserExists")
	want := `spec.adoption: user "app" has SCRAM credentials, ACLs, quotas in Kafka already`
	if got := message(w.user("app").Status.Conditions); !strings.HasPrefix(got, want) {
		t.Errorf("it says %q", got)
	}
	if u := w.user("app"); w.kafka.writes() != 0 || len(u.Finalizers)+len(u.Annotations) != 0 || w.secret("app-kafka") != nil {
		t.Errorf("something was done: %v, %v, %v", w.kafka.requests, u.Finalizers, u.Annotations)
	}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Adoption = v1alpha1.UserAdoptionAlways })
	w.settle("app")
	w.wantUser("app", "Ready")
	if w.kafka.scram["app"]["SCRAM-SHA-512"].password != w.secret("app-kafka")["password"] || len(w.kafka.acls) != 2 || w.kafka.quotas["app"]["producer_byte_rate"] != 1000 {
		t.Errorf("%v %v %v", w.kafka.scram, w.kafka.acls, w.kafka.quotas)
	}
	w.changeUser("app", func(u *v1alpha1.KafkaUser) { u.Spec.Adoption = v1alpha1.UserAdoptionNever })
	w.reset()
	w.settle("app")
	w.wantUser("app", "Ready")
	if w.kafka.writes() != 0 {
		t.Errorf("it is ours by now, and was written again: %v", w.kafka.requests)
	}
}

func TestAConflictingUserThatIsDeletedTakesNothingWithIt(t *testing.T) {
	w := newUserWorld(t, 1)
	w.others("app")
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.settle("app")
	w.remove(w.user("app"))
	w.settle("app")
	if w.user("app") != nil || len(w.kafka.acls) != 1 || len(w.kafka.quotas["app"]) != 1 || w.kafka.scram["app"]["SCRAM-SHA-512"].password != "theirs" {
		t.Errorf("%v %v %v", w.kafka.acls, w.kafka.quotas, w.kafka.scram)
	}
}

func TestAUserOfWhichTheAnswerWasLostIsKnownAgain(t *testing.T) {
	w := newUserWorld(t, 1)
	w.apply(newUser("app", time.Hour, v1alpha1.MechanismScram512))
	w.kafka.lose = "scram-alter"
	if err := w.once("app"); err == nil || len(w.kafka.scram["app"]) != 1 || w.user("app").Status.Credentials != nil {
		t.Fatalf("%v; Kafka has %v, the status %v", err, w.kafka.scram, w.user("app").Status.Credentials)
	}
	w.restart()
	w.settle("app")
	w.wantUser("app", "Ready")
}

func TestTheAnnouncementOfAnotherObjectSaysNothing(t *testing.T) {
	w := newUserWorld(t, 1)
	w.others("app")
	copied := newUser("app", time.Hour, v1alpha1.MechanismScram512)
	copied.Annotations = map[string]string{v1alpha1.AnnotationCreating: "incarnation-1 uid-else"}
	copied.Finalizers = []string{v1alpha1.Finalizer}
	w.apply(copied)
	w.settle("app")
	w.wantUser("app", "Stalled/UserExists")
	w.remove(w.user("app"))
	w.settle("app")
	if w.user("app") != nil || w.kafka.scram["app"]["SCRAM-SHA-512"].password != "theirs" {
		t.Errorf("%v, Kafka has %v", w.user("app"), w.kafka.scram)
	}
}
