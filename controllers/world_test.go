package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/batch"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
)

// fakeClock stands still until it is moved.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *fakeClock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var (
	clusterKey = types.NamespacedName{Namespace: "shop", Name: "events"}
	testStart  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// world is one Kafka, one API server that counts, and one controller under test.
type world struct {
	t        *testing.T
	kafka    *fakeKafka
	client   client.WithWatch
	clock    *fakeClock
	mu       sync.Mutex
	requests map[string]int // "verb Kind"
	failing  map[string]error
	events   *events.FakeRecorder
	shared   common
	queue    *batch.Queue
	ctx      context.Context // of once; nil = one that does not end
	run      reconcile.Reconciler
	serial   int
	mounts   map[int32][]byte // the users file as each broker sees it; nil map = always fresh
	logins   int
	access   external.Access
}

func (w *world) Admin(context.Context, *v1alpha1.KafkaCluster) (kafka.Admin, error) {
	return w.kafka, nil
}

func (w *world) Access(context.Context, *v1alpha1.KafkaCluster) (external.Access, error) {
	return w.access, nil
}

// indexed is a kind of objects with the field indexes that its controller needs.
type indexed struct {
	object  client.Object
	indexes map[string]client.IndexerFunc
}

// newCore makes a world; the test of a kind adds its controller.
func newCore(t *testing.T, kind indexed, objects ...client.Object) *world {
	t.Helper()
	w := &world{t: t, kafka: newFakeKafka(), clock: &fakeClock{now: testStart}, requests: map[string]int{}, failing: map[string]error{}, events: events.NewFakeRecorder(100)}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: clusterKey.Namespace}}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, home)...).
		WithStatusSubresource(&v1alpha1.KafkaTopic{}, &v1alpha1.KafkaUser{}, &v1alpha1.KafkaCluster{})
	for name, value := range kind.indexes {
		builder = builder.WithIndex(kind.object, name, value)
	}
	w.client = builder.Build()
	counted := interceptor.NewClient(w.client, w.counters())
	w.shared = common{Client: counted, Namespaces: Namespaces{Reader: w.client, Live: w.client}, Clusters: w, Clock: w.clock, Events: w.events}
	return w
}

func (w *world) counters() interceptor.Funcs {
	note := func(verb string, o client.Object) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		kind := fmt.Sprintf("%T", o)
		w.requests[verb+" "+kind[strings.LastIndex(kind, ".")+1:]]++
		return w.failing[verb+" "+o.GetName()]
	}
	return interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if err := note("create", o); err != nil {
				return err
			}
			w.mu.Lock()
			w.serial++
			o.SetUID(types.UID(fmt.Sprintf("made-%d", w.serial)))
			w.mu.Unlock()
			return c.Create(ctx, o, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			if err := note("update", o); err != nil {
				return err
			}
			return c.Update(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := errors.Join(ctx.Err(), note("patch", o)); err != nil {
				return err
			}
			return c.Patch(ctx, o, p, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if err := note(sub, o); err != nil {
				return err
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	}
}

func (w *world) apiWrites() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, count := range w.requests {
		n += count
	}
	return n
}

func (w *world) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = map[string]int{}
	w.kafka.requests = map[string]int{}
	w.logins = 0
}

// settle marks the names and reconciles until nothing is due within the next minute, moving the clock.
func (w *world) settle(names ...string) {
	w.t.Helper()
	w.queue.Mark(clusterKey, names...)
	for range 200 {
		next, waits := w.queue.Next(clusterKey)
		if !waits || next > time.Minute {
			return
		}
		w.clock.move(next)
		if _, err := w.run.Reconcile(context.Background(), reconcile.Request{NamespacedName: clusterKey}); err != nil {
			w.t.Logf("reconcile: %v", err)
			w.clock.move(time.Second)
		}
	}
	w.t.Fatalf("%v do not come to rest", names)
}

// lookAgain goes to the moment at which something is due by itself, which must be soon, and settles.
func (w *world) lookAgain(soon time.Duration) {
	w.t.Helper()
	next, waits := w.queue.Next(clusterKey)
	if !waits || next > soon {
		w.t.Fatalf("due after %s (%t), expected within %s", next, waits, soon)
	}
	w.clock.move(next)
	w.settle()
}

// wantSilence fails when looking at the names again writes anything: what has converged is silent.
func (w *world) wantSilence(names ...string) {
	w.t.Helper()
	w.reset()
	w.settle(names...)
	if w.apiWrites() != 0 || w.kafka.writes() != 0 {
		w.t.Errorf("converged: %v, %v", w.requests, w.kafka.requests)
	}
}

// once marks the names and reconciles once.
func (w *world) once(names ...string) error {
	w.queue.Mark(clusterKey, names...)
	ctx := w.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	_, err := w.run.Reconcile(ctx, reconcile.Request{NamespacedName: clusterKey})
	return err
}

func (w *world) apply(objects ...client.Object) {
	w.t.Helper()
	for _, o := range objects {
		if err := w.client.Create(context.Background(), o); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) remove(o client.Object) {
	w.t.Helper()
	if err := w.client.Delete(context.Background(), o); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) topic(name string) *v1alpha1.KafkaTopic { return w.topicIn(clusterKey.Namespace, name) }

func (w *world) topicIn(namespace, name string) *v1alpha1.KafkaTopic {
	t := &v1alpha1.KafkaTopic{}
	if err := w.client.Get(context.Background(), objectKey(namespace, name), t); err != nil {
		return nil
	}
	return t
}

func (w *world) changeTopic(name string, change func(*v1alpha1.KafkaTopic)) {
	w.t.Helper()
	t := w.topic(name)
	change(t)
	t.Generation++
	if err := w.client.Update(context.Background(), t); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) changeCluster(change func(*v1alpha1.KafkaCluster)) {
	w.t.Helper()
	c := &v1alpha1.KafkaCluster{}
	if err := w.client.Get(context.Background(), clusterKey, c); err != nil {
		w.t.Fatal(err)
	}
	change(c)
	status := c.Status
	if err := w.client.Update(context.Background(), c); err != nil {
		w.t.Fatal(err)
	}
	c.Status = status
	if err := w.client.Status().Update(context.Background(), c); err != nil {
		w.t.Fatal(err)
	}
}

func state(conds []metav1.Condition) string {
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

func message(conds []metav1.Condition) string {
	if c := meta.FindStatusCondition(conds, v1alpha1.ConditionReady); c != nil {
		return c.Message
	}
	return ""
}

// TryLogin answers as a broker would: from its SCRAM credentials, and from the users file as it is mounted there.
func (w *world) TryLogin(_ context.Context, l kafka.Login) error {
	w.mu.Lock()
	w.logins++
	w.mu.Unlock()
	w.kafka.mu.Lock()
	defer w.kafka.mu.Unlock()
	if w.kafka.down != nil {
		return w.kafka.down
	}
	if l.Mechanism != "PLAIN" {
		if c, ok := w.kafka.scram[l.Username][l.Mechanism]; ok && c.password == l.Password {
			return nil
		}
		return kafka.ErrAuthenticationFailed
	}
	var node int32
	if _, err := fmt.Sscanf(l.Address, "events-main-%d.", &node); err != nil {
		return errors.New("no such host")
	}
	file, mounted := w.mounts[node]
	if !mounted {
		var s corev1.Secret
		if err := w.client.Get(context.Background(), objectKey(clusterKey.Namespace, render.PlainUsersSecret(clusterKey.Name)), &s); err == nil {
			file = s.Data[render.UsersEntry]
		}
	}
	entries, _ := plainauth.ParseUsersFile(file)
	if e, ok := entries[l.Username]; ok && e.Verify(l.Password) {
		return nil
	}
	return kafka.ErrAuthenticationFailed
}

func readyCluster(brokers int32, listeners ...v1alpha1.Listener) *v1alpha1.KafkaCluster {
	c := &v1alpha1.KafkaCluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: clusterKey.Namespace, Name: clusterKey.Name, UID: "cluster-uid"},
		Spec:       v1alpha1.KafkaClusterSpec{Version: "4.3.1", Listeners: listeners},
	}
	c.Status.ClusterID = "incarnation-1"
	meta.SetStatusCondition(&c.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAvailable, Status: metav1.ConditionTrue, Reason: "Available"})
	addBrokers(c, brokers)
	return c
}

// addBrokers lets a cluster have so many brokers that serve, with the addresses of its listeners.
func addBrokers(c *v1alpha1.KafkaCluster, brokers int32) {
	c.Status.Nodes, c.Status.Listeners = nil, nil
	for id := range brokers {
		c.Status.Nodes = append(c.Status.Nodes, v1alpha1.NodeStatus{
			ID: id, Pool: "main", Pod: fmt.Sprintf("events-main-%d", id), Roles: []v1alpha1.Role{v1alpha1.RoleBroker}, State: v1alpha1.NodeServing,
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

func newTopic(name, uid string, age time.Duration, change ...func(*v1alpha1.KafkaTopic)) *v1alpha1.KafkaTopic {
	t := &v1alpha1.KafkaTopic{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: clusterKey.Namespace, Name: name, UID: types.UID(uid), Generation: 1,
			CreationTimestamp: metav1.NewTime(testStart.Add(-age)),
		},
		Spec: v1alpha1.KafkaTopicSpec{ClusterRef: v1alpha1.ClusterRef{Name: clusterKey.Name}},
	}
	for _, c := range change {
		c(t)
	}
	return t
}

func objectKey(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

func ptrTo[T any](v T) *T { return &v }
