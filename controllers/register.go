package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/castellan-dev/castellan/internal/batch"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/status"
)

// clusterIndex finds the objects that name a KafkaCluster: "<namespace>/<cluster>".
const clusterIndex = "castellan.cluster"

// cacheLag is how soon the cache is looked at again after it was found behind.
const cacheLag = 20 * time.Millisecond

type queueOf = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Clock tells the time.
type Clock interface{ Now() time.Time }

// claimant is an object that stands for a name in a cluster: a KafkaTopic, a KafkaUser.
type claimant interface {
	claim.Object
	client.Object
}

// nameKey is a name in a cluster.
type nameKey struct {
	cluster types.NamespacedName
	name    string
}

func (k nameKey) String() string { return k.cluster.String() + "/" + k.name }

// species is what claimants of type T, with a status of type S, are to a controller.
type species[T claimant, S any] struct {
	object T
	kind   string // "KafkaTopic"
	what   string // "topic"
	index  string // finds the objects that stand for one name, by nameKey
	key    func(T) nameKey
	list   func(ctx context.Context, r client.Reader, options ...client.ListOption) ([]T, error)

	status     func(T) *S
	conditions func(*S) *[]metav1.Condition
	seen       func(T) S      // its status for the spec as it is now; what it records stays
	leftover   func(T) string // what of it stays in Kafka when nobody takes it away; empty = nothing
}

func (s *species[T, S]) isReady(o T) bool {
	return status.IsReady(*s.conditions(s.status(o)), o.GetGeneration())
}

// indexes are the field indexes that a register needs.
func (s *species[T, S]) indexes() map[string]client.IndexerFunc {
	by := func(value func(nameKey) string) client.IndexerFunc {
		return func(o client.Object) []string {
			if t, ok := o.(T); ok {
				return []string{value(s.key(t))}
			}
			return nil
		}
	}
	return map[string]client.IndexerFunc{
		clusterIndex: by(func(k nameKey) string { return k.cluster.String() }),
		s.index:      by(nameKey.String),
	}
}

// common is what the controllers of topics and of users are given alike.
type common struct {
	// Client reads from the cache, which has the field indexes of the species; of Secrets it holds those with our label only.
	Client     client.Client
	Namespaces Namespaces
	Clusters   Clusters
	Clock      Clock
	Events     events.EventRecorder
	// Drift is how often what others changed is looked for; zero = batch.DriftInterval.
	Drift time.Duration
	// Woken names clusters that answer again.
	Woken <-chan event.GenericEvent
}

// register keeps which names of a species want looking at, and finds who stands for them.
type register[T claimant, S any] struct {
	common
	species[T, S]
	queue  batch.Queue
	writer batch.Writer
	engine batch.Engine
	doubts doubts // faults that one broker's answer tells of
	// open begins a flush of those that were found.
	open func(hostCluster, admission, []found[T]) (*pass[T, S], inKafka)
	// forget drops what else has been seen of a name that nobody stands for any more.
	forget func(nameKey)
}

// begin makes a register ready.
func (r *register[T, S]) begin(c common, s species[T, S]) {
	r.common, r.species = c, s
	r.queue.Now, r.writer.Client = c.Clock.Now, c.Client
	r.engine = batch.Engine{Queue: &r.queue, Interval: c.Drift, All: r.all, Flush: r.flush}
}

// Reconcile takes the dirty names of one cluster through one flush.
func (r *register[T, S]) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return r.engine.Reconcile(ctx, req)
}

// flush brings the named topics or users of a cluster to what their objects ask for, and names those that it could not write.
func (r *register[T, S]) flush(ctx context.Context, key types.NamespacedName, names []string) ([]string, error) {
	cluster, err := getHostCluster(ctx, r.Client, r.Namespaces, key)
	if err != nil {
		return names, err
	}
	found, admission, err := r.find(ctx, cluster, names)
	if err != nil {
		return names, err
	}
	cluster.homeless = admission.terminating[key.Namespace]
	p, work := r.open(cluster, admission, found)
	return p.run(ctx, names, work)
}

// controller begins a controller that is told of the species' objects and of the namespaces that they live in.
func (r *register[T, S]) controller(mgr ctrl.Manager, name string) (*builder.Builder, error) {
	for index, value := range r.indexes() {
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), r.object, index, value); err != nil {
			return nil, fmt.Errorf("index %ss by %s: %w", r.kind, index, err)
		}
	}
	b := ctrl.NewControllerManagedBy(mgr).Named(name).WithOptions(batchOptions()).Watches(r.object, r.objectEvents())
	if len(r.Namespaces.Only) == 0 {
		b = b.WatchesMetadata(&corev1.Namespace{}, namespaceEvents(r.markNamespace))
	}
	return b, nil
}

func batchOptions() controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: clustersAtOnce,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](200*time.Millisecond, 30*time.Second),
	}
}

// objectEvents marks the name of an object whenever its user has changed it; our own writes mark nothing.
func (r *register[T, S]) objectEvents() handler.EventHandler {
	mark := func(o client.Object, q queueOf) {
		if t, ok := o.(T); ok {
			r.mark(q, t)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queueOf) { mark(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queueOf) {
			if userChanged(e.ObjectOld, e.ObjectNew) {
				mark(e.ObjectNew, q)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queueOf) {
			r.writer.Forget(e.Object.GetUID())
			mark(e.Object, q)
		},
	}
}

func userChanged(before, after client.Object) bool {
	return before.GetUID() != after.GetUID() ||
		before.GetGeneration() != after.GetGeneration() ||
		before.GetDeletionTimestamp().IsZero() != after.GetDeletionTimestamp().IsZero()
}

// mark has the name of an object looked at.
func (r *register[T, S]) mark(q queueOf, o T) {
	key := r.key(o)
	r.queue.Mark(key.cluster, key.name)
	enqueue(q, key.cluster)
}

// enqueue asks for a flush of a cluster after a moment in which more events may come; one that is asked for already is
// not put off.
func enqueue(q queueOf, cluster types.NamespacedName) {
	q.AddAfter(reconcile.Request{NamespacedName: cluster}, batch.Linger)
}

// markCluster marks those of a cluster's objects that are wanted.
func (r *register[T, S]) markCluster(ctx context.Context, cluster types.NamespacedName, q queueOf, wanted func(T) bool) {
	objects, err := r.of(ctx, cluster)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "look at what lives in a KafkaCluster", "cluster", cluster)
		return
	}
	var names []string
	for _, o := range objects {
		if wanted(o) {
			names = append(names, r.key(o).name)
		}
	}
	if len(names) > 0 {
		r.queue.Mark(cluster, names...)
		enqueue(q, cluster)
	}
}

// markNamespace marks the objects of a namespace that belong to clusters in other ones.
func (r *register[T, S]) markNamespace(ctx context.Context, namespace string, q queueOf) error {
	objects, err := r.list(ctx, r.Client, client.InNamespace(namespace), client.UnsafeDisableDeepCopy)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if r.key(o).cluster.Namespace != namespace {
			r.mark(q, o)
		}
	}
	return nil
}

// of lists the objects that name a cluster; they are the cache's own, and only to be read.
func (r *register[T, S]) of(ctx context.Context, cluster types.NamespacedName) ([]T, error) {
	objects, err := r.list(ctx, r.Client, client.MatchingFields{clusterIndex: cluster.String()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("list %ss of KafkaCluster %s: %w", r.kind, cluster, err)
	}
	return objects, nil
}

// all lists every name that is claimed on a cluster.
func (r *register[T, S]) all(ctx context.Context, cluster types.NamespacedName) ([]string, error) {
	objects, err := r.of(ctx, cluster)
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = r.key(o).name
	}
	return names, err
}

// found are the objects that stand for one name.
type found[T claimant] struct {
	name    string
	objects []T
}

// find finds who stands for each of the names, and which of their namespaces the cluster admits. A name of which the cache
// shows an object as it was before our own last write is put off until the cache has caught up.
func (r *register[T, S]) find(ctx context.Context, cluster hostCluster, names []string) ([]found[T], admission, error) {
	var all []found[T]
	namespaces := map[string]bool{cluster.key.Namespace: true}
	for _, name := range names {
		key := nameKey{cluster.key, name}
		objects, err := r.list(ctx, r.Client, client.MatchingFields{r.index: key.String()})
		if err != nil {
			return nil, admission{}, fmt.Errorf("list %ss for %s %q of KafkaCluster %s: %w", r.kind, r.what, name, cluster.key, err)
		}
		stale := false
		for _, o := range objects {
			namespaces[o.GetNamespace()] = true
			stale = stale || r.writer.Stale(o)
		}
		switch {
		case stale:
			r.queue.Retry(cluster.key, name, cacheLag, time.Second)
		case len(objects) == 0:
			r.queue.Settled(cluster.key, name)
			r.doubts.forget(key)
			r.forget(key)
		default:
			all = append(all, found[T]{name, objects})
		}
	}
	admission, err := r.Namespaces.admission(ctx, cluster, namespaces)
	return all, admission, err
}

// stands tells whether something has been seen for long enough, and has the name looked at again when not.
func (r *register[T, S]) stands(seen *doubts, key nameKey, what string, long time.Duration) bool {
	if seen.age(key, what, r.Clock.Now()) >= long {
		return true
	}
	r.queue.MarkAfter(key.cluster, long, key.name)
	return false
}

// pointers leads to the items of a list.
func pointers[T any](items []T) []*T {
	all := make([]*T, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}
