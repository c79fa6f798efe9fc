// Package controllertest is a world for tests of controllers: a Kafka in memory that counts requests and can fail, an
// API server that counts writes, and a clock that stands still until it is moved. Only tests import it.
package controllertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/users"
)

// fakeClock stands still until it is moved.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *fakeClock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var (
	// ClusterKey names the cluster of the tests.
	ClusterKey = types.NamespacedName{Namespace: "shop", Name: "events"}
	// TestStart is the time at which the clock of a test begins.
	TestStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// World is one Kafka, one API server that counts, and one controller under test.
type World struct {
	T        *testing.T
	Kafka    *FakeKafka
	Client   client.WithWatch
	Clock    *fakeClock
	mu       sync.Mutex
	Requests map[string]int // "verb Kind"
	Failing  map[string]error
	Events   *events.FakeRecorder
	Shared   batch.Common
	Queue    *batch.Queue
	Ctx      context.Context // of once; nil = one that does not end
	Run      reconcile.Reconciler
	serial   int
	// Mounts are the files of users as each broker sees them, by entry; a broker that is not in it sees them as they are.
	Mounts map[int32]map[string][]byte
	// Parts is how many of the Secrets with those files a broker mounts; one that is not in it has all.
	Parts    map[int32]int
	Logins   int
	AccessTo external.Access
	// Around makes a write of the controller under test, or does not, and gives what it hears of it; nil = as it comes.
	Around   func(verb, name string, write func() error) error
	verified map[tried]bool
}

// tried is a password that was held against a line of the users file. Finding out takes milliseconds.
type tried struct {
	entry    plainauth.Entry
	password string
}

func (w *World) Admin(context.Context, *v1alpha1.KafkaCluster) (kafka.Admin, error) {
	return w.Kafka, nil
}

func (w *World) Access(context.Context, *v1alpha1.KafkaCluster) (external.Access, error) {
	return w.AccessTo, nil
}

// Indexed is a kind of objects with the field indexes that its controller needs.
type Indexed struct {
	Object  client.Object
	Indexes map[string]client.IndexerFunc
}

// NewCore makes a world; the test of a kind adds its controller.
func NewCore(t *testing.T, kind Indexed, objects ...client.Object) *World {
	t.Helper()
	w := &World{
		T:        t,
		Kafka:    newFakeKafka(),
		Clock:    &fakeClock{now: TestStart},
		Requests: map[string]int{},
		Failing:  map[string]error{},
		Events:   events.NewFakeRecorder(100),
		verified: map[tried]bool{},
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ClusterKey.Namespace}}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, home)...).
		WithStatusSubresource(&v1alpha1.KafkaTopic{}, &v1alpha1.KafkaUser{}, &v1alpha1.KafkaCluster{}).
		WithIndex(&corev1.Secret{}, batch.OwnerIndex, batch.OwnerOf)
	for name, value := range kind.Indexes {
		builder = builder.WithIndex(kind.Object, name, value)
	}
	w.Client = builder.Build()
	counted := interceptor.NewClient(w.Client, w.Counters())
	w.Shared = batch.Common{
		Client:     counted,
		Namespaces: batch.Namespaces{Reader: w.Client, Live: w.Client},
		Clusters:   w,
		Clock:      w.Clock,
		Events:     w.Events,
	}
	return w
}

func (w *World) Counters() interceptor.Funcs {
	around := func(verb string, o client.Object, write func() error) error {
		w.mu.Lock()
		kind := fmt.Sprintf("%T", o)
		w.Requests[verb+" "+kind[strings.LastIndex(kind, ".")+1:]]++
		err := w.Failing[verb+" "+o.GetName()]
		w.mu.Unlock()
		switch {
		case err != nil:
			return err
		case w.Around != nil:
			return w.Around(verb, o.GetName(), write)
		}
		return write()
	}
	return interceptor.Funcs{
		Get: func(
			ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
		) error {
			err := c.Get(ctx, key, o, opts...)
			if secret, is := o.(*corev1.Secret); is && err == nil &&
				secret.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
				*secret = corev1.Secret{} // the cache holds what bears our label
				return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
			} else if is {
				users.Shrink(secret)
			}
			return err
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			err := c.List(ctx, list, opts...)
			if secrets, is := list.(*corev1.SecretList); is {
				for n := range secrets.Items {
					users.Shrink(&secrets.Items[n])
				}
			}
			return err
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return around("create", o, func() error {
				w.mu.Lock()
				w.serial++
				o.SetUID(types.UID(fmt.Sprintf("made-%d", w.serial)))
				w.mu.Unlock()
				return c.Create(ctx, o, opts...)
			})
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return around("update", o, func() error { return c.Update(ctx, o, opts...) })
		},
		Patch: func(
			ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption,
		) error {
			return around("patch", o, func() error {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return c.Patch(ctx, o, p, opts...)
			})
		},
		SubResourcePatch: func(
			ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch,
			opts ...client.SubResourcePatchOption,
		) error {
			return around(sub, o, func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	}
}

func (w *World) APIWrites() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, count := range w.Requests {
		n += count
	}
	return n
}

func (w *World) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Requests = map[string]int{}
	w.Kafka.Requests, w.Kafka.Upserts = map[string]int{}, map[string]int{}
	w.Logins = 0
}

// Settle marks the names and reconciles until nothing is due within the next minute, moving the clock.
func (w *World) Settle(names ...string) {
	w.T.Helper()
	w.Queue.Mark(ClusterKey, names...)
	for range 200 {
		next, waits := w.Queue.Next(ClusterKey)
		if !waits || next > time.Minute {
			return
		}
		w.Clock.Move(next)
		if _, err := w.Run.Reconcile(context.Background(), reconcile.Request{NamespacedName: ClusterKey}); err != nil {
			w.T.Logf("reconcile: %v", err)
			w.Clock.Move(time.Second)
		}
	}
	w.T.Fatalf("%v do not come to rest", names)
}

// LookAgain goes to the moment at which something is due by itself, which must be soon, and settles.
func (w *World) LookAgain(soon time.Duration) {
	w.T.Helper()
	next, waits := w.Queue.Next(ClusterKey)
	if !waits || next > soon {
		w.T.Fatalf("due after %s (%t), expected within %s", next, waits, soon)
	}
	w.Clock.Move(next)
	w.Settle()
}

// WantSilence fails when looking at the names again writes anything: what has converged is silent.
func (w *World) WantSilence(names ...string) {
	w.T.Helper()
	w.Reset()
	w.Settle(names...)
	if w.APIWrites() != 0 || w.Kafka.Writes() != 0 {
		w.T.Errorf("converged: %v, %v", w.Requests, w.Kafka.Requests)
	}
}

// Once marks the names and reconciles once.
func (w *World) Once(names ...string) error {
	w.Queue.Mark(ClusterKey, names...)
	ctx := w.Ctx
	if ctx == nil {
		ctx = context.Background()
	}
	_, err := w.Run.Reconcile(ctx, reconcile.Request{NamespacedName: ClusterKey})
	return err
}

func (w *World) Apply(objects ...client.Object) {
	w.T.Helper()
	for _, o := range objects {
		if err := w.Client.Create(context.Background(), o); err != nil {
			w.T.Fatal(err)
		}
	}
}

func (w *World) Remove(o client.Object) {
	w.T.Helper()
	if err := w.Client.Delete(context.Background(), o); err != nil {
		w.T.Fatal(err)
	}
}

func (w *World) Topic(name string) *v1alpha1.KafkaTopic { return w.TopicIn(ClusterKey.Namespace, name) }

func (w *World) TopicIn(namespace, name string) *v1alpha1.KafkaTopic {
	t := &v1alpha1.KafkaTopic{}
	if err := w.Client.Get(context.Background(), ObjectKey(namespace, name), t); err != nil {
		return nil
	}
	return t
}

func (w *World) ChangeTopic(name string, change func(*v1alpha1.KafkaTopic)) {
	w.T.Helper()
	t := w.Topic(name)
	change(t)
	t.Generation++
	if err := w.Client.Update(context.Background(), t); err != nil {
		w.T.Fatal(err)
	}
}

func (w *World) ChangeCluster(change func(*v1alpha1.KafkaCluster)) {
	w.T.Helper()
	c := &v1alpha1.KafkaCluster{}
	if err := w.Client.Get(context.Background(), ClusterKey, c); err != nil {
		w.T.Fatal(err)
	}
	change(c)
	status := c.Status
	if err := w.Client.Update(context.Background(), c); err != nil {
		w.T.Fatal(err)
	}
	c.Status = status
	if err := w.Client.Status().Update(context.Background(), c); err != nil {
		w.T.Fatal(err)
	}
}

// State is the condition that stands for an object: Ready, or Stalled or Reconciling with the reason.
func State(conds []metav1.Condition) string {
	ready := meta.FindStatusCondition(conds, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return "none"
	case ready.Status == metav1.ConditionTrue:
		return "Ready"
	case meta.IsStatusConditionTrue(conds, v1alpha1.ConditionStalled):
		return "Stalled/" + ready.Reason
	default:
		return "Reconciling/" + ready.Reason
	}
}

// Message is that of the condition Ready.
func Message(conds []metav1.Condition) string {
	if c := meta.FindStatusCondition(conds, v1alpha1.ConditionReady); c != nil {
		return c.Message
	}
	return ""
}

// TryLogin answers as a broker would: from its SCRAM credentials, and from the users file as it is mounted there.
func (w *World) TryLogin(_ context.Context, l kafka.Login) error {
	w.mu.Lock()
	w.Logins++
	w.mu.Unlock()
	w.Kafka.mu.Lock()
	defer w.Kafka.mu.Unlock()
	if w.Kafka.Down != nil {
		return w.Kafka.Down
	}
	var node int32
	_, unknown := fmt.Sscanf(l.Address, "events-main-%d.", &node)
	if unknown == nil && w.Kafka.Silent[node] {
		return kafka.ErrUnreachable
	}
	if l.Mechanism == "TLS" {
		return w.tryCertificate(node, unknown, l)
	}
	if l.Mechanism != "PLAIN" {
		if c, ok := w.Kafka.Scram[l.Username][l.Mechanism]; ok && c.Password == l.Password &&
			(unknown != nil || !w.Kafka.lost[lostCredential{node, l.Username, l.Mechanism}]) {
			return nil
		}
		return kafka.ErrAuthenticationFailed
	}
	if unknown != nil {
		return errors.New("no such host")
	}
	for _, e := range w.linesOf(l.Username, node) {
		opens, known := w.verified[tried{e, l.Password}]
		if !known {
			opens = e.Verify(l.Password)
			w.verified[tried{e, l.Password}] = opens
		}
		if opens {
			return nil
		}
	}
	return kafka.ErrAuthenticationFailed
}

// ReadyCluster is a KafkaCluster that is Available, with brokers that serve.
func ReadyCluster(brokers int32, listeners ...v1alpha1.Listener) *v1alpha1.KafkaCluster {
	c := &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: ClusterKey.Namespace, Name: ClusterKey.Name, UID: "cluster-uid"},
		Spec:       v1alpha1.KafkaClusterSpec{Version: "4.3.1", Listeners: listeners},
	}
	c.Status.ClusterID = "incarnation-1"
	meta.SetStatusCondition(
		&c.Status.Conditions,
		metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue, Reason: "Available"},
	)
	AddBrokers(c, brokers)
	return c
}

// AddBrokers lets a cluster have so many brokers that serve, with the addresses of its listeners.
func AddBrokers(c *v1alpha1.KafkaCluster, brokers int32) {
	c.Status.Nodes, c.Status.Listeners = nil, nil
	for id := range brokers {
		c.Status.Nodes = append(c.Status.Nodes, v1alpha1.NodeStatus{
			ID: id, Pool: "main", Pod: fmt.Sprintf("events-main-%d", id),
			Roles: []v1alpha1.Role{v1alpha1.RoleBroker}, State: v1alpha1.NodeServing,
		})
	}
	for _, l := range c.Spec.Listeners {
		s := v1alpha1.ListenerStatus{Name: l.Name, BootstrapServers: fmt.Sprintf("events-%s.shop.svc:%d", l.Name, l.Port)}
		for id := range brokers {
			host := fmt.Sprintf("events-main-%d.events-nodes.shop.svc", id)
			if l.Exposure.Type == v1alpha1.ExposureNodePort {
				host = "192.0.2.1"
			}
			s.Addresses = append(s.Addresses, v1alpha1.NodeAddress{NodeID: id, Host: host, Port: l.Port})
		}
		c.Status.Listeners = append(c.Status.Listeners, s)
	}
}

// NewTopic is a KafkaTopic in the cluster's namespace.
func NewTopic(name, uid string, age time.Duration, change ...func(*v1alpha1.KafkaTopic)) *v1alpha1.KafkaTopic {
	t := &v1alpha1.KafkaTopic{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ClusterKey.Namespace, Name: name, UID: types.UID(uid), Generation: 1,
			CreationTimestamp: metav1.NewTime(TestStart.Add(-age)),
		},
		Spec: v1alpha1.KafkaTopicSpec{ClusterRef: v1alpha1.ClusterRef{Name: ClusterKey.Name}},
	}
	for _, c := range change {
		c(t)
	}
	return t
}

// ObjectKey names an object.
func ObjectKey(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

// PtrTo points to a value.
func PtrTo[T any](v T) *T { return &v }
