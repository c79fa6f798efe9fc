package external

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/pool"
	"github.com/castellan-dev/castellan/internal/pki"
)

// foreignKafka is a cluster that somebody else runs, as it looks through a connection.
type foreignKafka struct {
	mu       sync.Mutex
	id       string
	password string
	down     error
	dialled  []pool.Options
	closed   int
	asked    int
}

type outsideConn struct {
	kafka.Admin
	at      *foreignKafka
	options pool.Options
}

func (c *outsideConn) Close() {
	c.at.mu.Lock()
	defer c.at.mu.Unlock()
	c.at.closed++
}

func (c *outsideConn) Overview(context.Context) (*kafka.Overview, error) {
	c.at.mu.Lock()
	defer c.at.mu.Unlock()
	c.at.asked++
	switch {
	case c.at.down != nil:
		return nil, c.at.down
	case c.options.Password != c.at.password:
		return nil, &kafka.Unanswered{Cause: kafka.CauseLogin, Kind: kafka.ErrAuthenticationFailed,
			Err: errors.New("no")}
	case c.options.ClusterID != "" && c.options.ClusterID != c.at.id:
		return nil, &kafka.AnotherCluster{Want: c.options.ClusterID, Have: c.at.id}
	}
	return &kafka.Overview{ClusterID: c.at.id, Brokers: []kafka.Broker{{ID: 1, Host: "b1", Port: 9092}}}, nil
}

// outsideWorld is a world with an external cluster and its reconciler.
type outsideWorld struct {
	*controllertest.World
	at         *foreignKafka
	reconciler *Reconciler
	woken      int
}

// permitted is the metadata of a Secret that the operator may read.
func permitted(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: controllertest.ClusterKey.Namespace, Name: name,
		Labels: map[string]string{"kafka.castellan.dev/use": "external-cluster"}}
}

func loginSecret(password string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: permitted("login"),
		Data: map[string][]byte{"username": []byte("castellan"), "password": []byte(password)}}
}

func newOutsideWorld(t *testing.T, objects ...client.Object) *outsideWorld {
	t.Helper()
	w := &outsideWorld{World: controllertest.NewCore(t, controllertest.Indexed{},
		append(objects, controllertest.ExternalCluster())...), at: &foreignKafka{id: "first", password: "right"}}
	p := pool.New(pool.Config{Now: w.Clock.Now, Factory: func(o pool.Options) (pool.Conn, error) {
		w.at.mu.Lock()
		defer w.at.mu.Unlock()
		w.at.dialled = append(w.at.dialled, o)
		return &outsideConn{at: w.at, options: o}, nil
	}})
	// The cache holds no Secret of others.
	cached := interceptor.NewClient(w.Client,
		interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object,
			opts ...client.GetOption) error {
			if _, secret := o.(*corev1.Secret); secret {
				t.Errorf("Secret %s is read from the cache", key)
			}
			return c.Get(ctx, key, o, opts...)
		}})
	w.reconciler = &Reconciler{
		Client: interceptor.NewClient(cached, w.Counters()), Recorder: events.NewFakeRecorder(100), Now: w.Clock.Now,
		Connections: &connect.Connections{Client: cached, APIReader: w.Client, Pool: p, Now: w.Clock.Now,
			Wake: func(pool.Key) { w.woken++ }},
	}
	return w
}

// look lets the reconciler look once, when its time has come.
func (w *outsideWorld) look() *v1alpha1.KafkaCluster {
	w.T.Helper()
	result, err := w.reconciler.Reconcile(context.Background(),
		reconcile.Request{NamespacedName: controllertest.ClusterKey})
	if err != nil {
		w.T.Fatal(err)
	}
	w.Clock.Move(result.RequeueAfter)
	c := &v1alpha1.KafkaCluster{}
	if err := w.Client.Get(context.Background(), controllertest.ClusterKey, c); client.IgnoreNotFound(err) != nil {
		w.T.Fatal(err)
	}
	return c
}

func (w *outsideWorld) want(c *v1alpha1.KafkaCluster, state, reason string, available bool) {
	w.T.Helper()
	if got := stateOf(c); got != state+"/"+reason {
		w.T.Fatalf("the cluster is %s (%s), want %s/%s", got, controllertest.Message(c.Status.Conditions), state,
			reason)
	}
	if meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionAvailable) != available {
		w.T.Fatalf("Available is not %t: %+v", available, c.Status.Conditions)
	}
}

func stateOf(c *v1alpha1.KafkaCluster) string {
	if s := controllertest.State(c.Status.Conditions); s != "Ready" {
		return s
	}
	return "Ready/" + meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady).Reason
}

func (w *outsideWorld) setPassword(password string) {
	w.T.Helper()
	if err := w.Client.Update(context.Background(), loginSecret(password)); err != nil {
		w.T.Fatal(err)
	}
}

func TestAnExternalClusterIsLookedAtAndAtRestCostsNoWrite(t *testing.T) {
	w := newOutsideWorld(t, loginSecret("right"))
	c := w.look()
	w.want(c, "Ready", external.ReasonAsSpecified, true)
	if c.Status.ClusterID != "first" || c.Status.Brokers != "1/1" || c.Status.ObservedGeneration != 1 {
		t.Errorf("%+v", c.Status)
	}
	w.look() // from now on bound to the id
	w.Reset()
	dialled := len(w.at.dialled)
	for range 5 {
		w.look()
	}
	if w.APIWrites() != 0 || len(w.at.dialled) != dialled {
		t.Errorf("at rest: writes %v, %d connections more", w.Requests, len(w.at.dialled)-dialled)
	}
	if last := w.at.dialled[dialled-1]; last.ClusterID != "first" || last.Mechanism != "SCRAM-SHA-512" ||
		last.Username != "castellan" {
		t.Errorf("dialled with %+v", last)
	}
	if text := fmt.Sprintf("%v %+v %#v", w.at.dialled, w.at.dialled, w.at.dialled); strings.Contains(text, "right") {
		t.Errorf("the options print the password: %s", text)
	}
}

func TestTwoNamesForOneKafkaAreWorthASecondThought(t *testing.T) {
	w := newOutsideWorld(t, loginSecret("right"))
	own := controllertest.ReadyCluster(3)
	own.Name, own.UID, own.Status.ClusterID = "own", "own-uid", "another"
	w.Apply(own)
	if c := w.look(); meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionWarning) != nil {
		t.Errorf("%+v", c.Status.Conditions)
	}
	own.Status.ClusterID = "first"
	if err := w.Client.Status().Update(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	c := w.look()
	w.want(c, "Ready", external.ReasonAsSpecified, true)
	if warning := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionWarning); warning == nil ||
		!strings.Contains(warning.Message, controllertest.ClusterKey.Namespace+"/own") {
		t.Errorf("%+v", c.Status.Conditions)
	}
	w.Reset()
	if w.look(); w.APIWrites() != 0 {
		t.Errorf("told again: %v", w.Requests)
	}
}

func TestAWrongPasswordIsToldAndHealedByTheSecret(t *testing.T) {
	w := newOutsideWorld(t)
	w.want(w.look(), "Stalled", external.ReasonSecret, false)
	w.Apply(loginSecret("wrong"))
	w.want(w.look(), "Stalled", external.ReasonLogin, false)
	w.setPassword("right")
	w.want(w.look(), "Ready", external.ReasonAsSpecified, true)
	w.at.mu.Lock()
	w.at.password = "rotated"
	w.at.mu.Unlock()
	w.setPassword("rotated")
	w.want(w.look(), "Ready", external.ReasonAsSpecified, true)
	if w.at.closed != len(w.at.dialled)-1 {
		t.Errorf("%d connections, of which %d are closed", len(w.at.dialled), w.at.closed)
	}
}

func TestAnotherAuthorityIsCarriedToTheUsersAtOnce(t *testing.T) {
	trust := func() *corev1.Secret {
		authority, err := pki.NewAuthority("test", controllertest.TestStart)
		if err != nil {
			t.Fatal(err)
		}
		return &corev1.Secret{ObjectMeta: permitted("trust"), Data: map[string][]byte{"ca.crt": authority.CertPEM}}
	}
	w := newOutsideWorld(t, loginSecret("right"), trust())
	update := func(o client.Object) {
		if err := w.Client.Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	c := w.look()
	c.Spec.External.TLS = &v1alpha1.ExternalTLS{CASecret: &v1alpha1.CASecret{Name: "trust"}}
	c.Generation++
	update(c)
	w.want(w.look(), "Ready", external.ReasonAsSpecified, true)
	w.woken = 0
	w.setPassword("rotated")
	w.look()
	if w.woken != 0 {
		t.Errorf("woken %d times, and what the users are told is the same", w.woken)
	}
	update(trust())
	w.look()
	w.look()
	if w.woken != 1 {
		t.Errorf("the authority is another one, and users were woken %d times", w.woken)
	}
}

func TestASecretThatIsNotLabelledForItIsNotUsed(t *testing.T) {
	for name, labels := range map[string]map[string]string{
		"no label":          nil,
		"another use":       {"kafka.castellan.dev/use": "backup"},
		"its user's Secret": {"app.kubernetes.io/managed-by": "castellan", "kafka.castellan.dev/user": "app"},
	} {
		t.Run(name, func(t *testing.T) {
			said := map[string]bool{}
			for _, data := range []map[string][]byte{
				nil, {"username": []byte("a")}, {"username": []byte("castellan"), "password": []byte("right")},
				{"username": []byte("a"), "password": []byte("a line\n")},
			} {
				secret := loginSecret("")
				secret.Labels, secret.Data = labels, data
				w := newOutsideWorld(t, secret)
				c := w.look()
				w.want(c, "Stalled", external.ReasonSecret, false)
				said[controllertest.Message(c.Status.Conditions)] = true
				if len(w.at.dialled) != 0 {
					t.Errorf("brokers were spoken to with %v", data)
				}
			}
			if len(said) != 1 {
				t.Errorf("what is said tells of what the Secret holds: %v", said)
			}
			for m := range said {
				if !strings.Contains(m, "spec.external.authentication.secretName") ||
					!strings.Contains(m, "kubectl -n shop label secret login kafka.castellan.dev/use=external-cluster") {
					t.Error(m)
				}
			}
		})
	}
	w := newOutsideWorld(t, loginSecret("right"))
	w.want(w.look(), "Ready", external.ReasonAsSpecified, true)
	var secret corev1.Secret
	if err := w.Client.Get(t.Context(), controllertest.ObjectKey(controllertest.ClusterKey.Namespace, "login"),
		&secret); err != nil {
		t.Fatal(err)
	}
	secret.Labels = nil
	if err := w.Client.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	w.want(w.look(), "Stalled", external.ReasonSecret, false)
}

func TestAnExternalClusterThatIsAwayIsToldOnceAndComesBack(t *testing.T) {
	w := newOutsideWorld(t, loginSecret("right"))
	w.look()
	w.at.down = &kafka.Unanswered{Cause: kafka.CauseRefused, Kind: kafka.ErrUnreachable,
		Err: errors.New("connection refused")}
	w.want(w.look(), "Reconciling", external.ReasonUnreachable, false)
	w.Reset()
	for range 10 {
		w.look() // some of them are answered by the pool, in other words
	}
	if w.APIWrites() != 0 {
		t.Errorf("the same is told again: %v", w.Requests)
	}
	w.at.down = nil
	for range 10 {
		if c := w.look(); stateOf(c) == "Ready/"+external.ReasonAsSpecified {
			return
		}
	}
	t.Error("it is not seen that the cluster is back")
}

func TestAnotherClusterBehindTheAddressesIsHeldOffAndHealsWhenTheFirstIsBack(t *testing.T) {
	w := newOutsideWorld(t, loginSecret("right"))
	w.look()
	w.at.id = "second"
	c := w.look()
	w.want(c, "Stalled", external.ReasonOther, false)
	if c.Status.ClusterID != "first" || !strings.Contains(controllertest.Message(c.Status.Conditions),
		"spec.external.bootstrapServers") {
		t.Errorf("%+v", c.Status)
	}
	w.at.id = "first"
	w.want(w.look(), "Ready", external.ReasonAsSpecified, true)
}

func TestADeletedExternalClusterIsForgotten(t *testing.T) {
	w := newOutsideWorld(t, loginSecret("right"))
	w.look()
	w.Remove(controllertest.ExternalCluster())
	w.look()
	if w.at.closed != len(w.at.dialled) || len(w.reconciler.Connections.Accesses) != 0 {
		t.Errorf("%d connections, %d closed", len(w.at.dialled), w.at.closed)
	}
}

func TestWhoLooksAfterExternalClustersAloneTellsTheOthers(t *testing.T) {
	w := newOutsideWorld(t)
	own := w.look()
	own.Spec.External = nil
	own.Status = v1alpha1.KafkaClusterStatus{}
	if err := w.Client.Update(context.Background(), own); err != nil {
		t.Fatal(err)
	}
	told := w.reconciler.Recorder.(*events.FakeRecorder).Events
	for len(told) > 0 {
		<-told
	}
	w.look()
	if len(told) > 0 {
		t.Errorf("told although somebody else looks after it: %s", <-told)
	}
	w.reconciler.Alone = true
	w.look()
	if len(told) != 1 {
		t.Fatalf("%d events", len(told))
	}
	if said := <-told; !strings.Contains(said, "NotLookedAfter") || !strings.Contains(said, "without externalOnly") {
		t.Errorf("%s", said)
	}
	if w.at.asked > 0 {
		t.Error("Kafka was asked")
	}
}
