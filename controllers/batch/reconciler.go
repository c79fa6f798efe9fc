package batch

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
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

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/status"
)

// ClusterIndex finds the objects that name a KafkaCluster: "<namespace>/<cluster>".
const ClusterIndex = "castellan.cluster"

// CacheLag is how soon the cache is looked at again after it was found behind.
const CacheLag = 20 * time.Millisecond

// QueueOf is the queue that event handlers fill.
type QueueOf = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Clock tells the time.
type Clock interface{ Now() time.Time }

// Object is an object that stands for a name in a cluster: a KafkaTopic, a KafkaUser.
type Object interface {
	claim.Object
	client.Object
}

// Key is a name in a cluster.
type Key struct {
	Cluster types.NamespacedName
	Name    string
}

func (k Key) String() string { return k.Cluster.String() + "/" + k.Name }

// Kind has the accessors that the engine needs for objects of type T with a status of type S.
type Kind[T Object, S any] struct {
	Object T
	Name   string // "KafkaTopic"
	Noun   string // "topic": what the objects stand for in Kafka
	Index  string // finds the objects that stand for one name, by nameKey
	Key    func(T) Key
	List   func(ctx context.Context, r client.Reader, options ...client.ListOption) ([]T, error)

	Status     func(T) *S
	Conditions func(*S) *[]metav1.Condition
	Operator   func(*S) *string // the installation of the operator on record
	Observed   func(*S) int64   // the generation that the status describes
	Seen       func(T) S        // its status for the spec as it is now; what it records stays
	Policy     func(T) *v1alpha1.DeletionPolicy
	// MayStay tells whether what an object stands for may outlive it without a word of the object's own; nil = yes.
	MayStay func(Host, T) bool
	// Remains lists names of which Kafka has something that no object stands for any more; nil = there are none.
	Remains  func(*v1alpha1.KafkaCluster) []string
	Leftover func(T) string // what stays in Kafka when the object goes and nobody takes it away; empty = nothing
}

// IsReady tells whether an object is Ready for its spec as it is now.
func (k *Kind[T, S]) IsReady(o T) bool {
	return status.IsReady(*k.Conditions(k.Status(o)), o.GetGeneration())
}

// Indexes are the field indexes that a controller of the kind needs.
func (k *Kind[T, S]) Indexes() map[string]client.IndexerFunc {
	by := func(value func(Key) string) client.IndexerFunc {
		return func(o client.Object) []string {
			if t, ok := o.(T); ok {
				return []string{value(k.Key(t))}
			}
			return nil
		}
	}
	return map[string]client.IndexerFunc{
		ClusterIndex: by(func(key Key) string { return key.Cluster.String() }),
		k.Index:      by(Key.String),
	}
}

// OwnerIndex is the field index of Secrets by the UID of the KafkaUser, or whatever else, that controls them.
const OwnerIndex = "castellan.owner"

// OwnerOf gives the value of OwnerIndex.
func OwnerOf(o client.Object) []string {
	if owner := metav1.GetControllerOf(o); owner != nil {
		return []string{string(owner.UID)}
	}
	return nil
}

// Common is what the controllers of topics and of users are given alike.
type Common struct {
	// Client reads from the cache, which has the field indexes of the kind. Of Secrets it holds those with our label
	// only.
	Client     client.Client
	Namespaces Namespaces
	Clusters   Clusters
	Clock      Clock
	Events     events.EventRecorder
	// Drift is how often what others changed is looked for; zero = batch.DriftInterval.
	Drift time.Duration
	// Woken names clusters that answer again.
	Woken <-chan event.GenericEvent
	// Retention is the operator's own default of spec.deletionPolicy; empty = Delete.
	Retention v1alpha1.DeletionPolicy
	// Installation is this operator's, and Tenure says how a cluster stands to it; nil = all are its own.
	Installation claim.Installation
	Tenure       func(*v1alpha1.KafkaCluster) claim.Tenure
	// ExternalOnly leaves what lives in clusters of the operator's own as it is.
	ExternalOnly bool
}

// Worker is what the controller of one kind does beside the engine.
type Worker[T Object, S any] interface {
	// Open begins a flush of the names that were found.
	// peers are all objects of the cluster where it limits what other namespaces may have, else none.
	// An error means that nothing is known of any name.
	Open(ctx context.Context, cluster Host, admission Admission, found []Found[T], peers []T) (*Pass[T, S], Work, error)
	// Forget drops what the controller has in memory of a name that nobody stands for any more.
	Forget(key Key)
}

// Reconciler keeps which names of a kind want looking at, and finds who stands for them.
type Reconciler[T Object, S any] struct {
	Common
	Kind[T, S]
	Queue  Queue
	Writer Writer
	engine Engine
	worker Worker[T, S]
	Doubts Doubts // verdicts that rest on the answer of a single broker
	aside  Doubts // changes that another installation has not taken up
	// followers are objects for which something of their cluster is missing, which may be applied after them.
	followers followers
	// unsigned is when the API server was last seen to drop the record of the operator, because its CRD is older, in
	// nanoseconds since 1970; 0 = never.
	unsigned atomic.Int64
	kept     Doubts // why objects that are being deleted were not let go of
}

// Begin makes a reconciler ready to serve a worker.
func (r *Reconciler[T, S]) Begin(c Common, k Kind[T, S], worker Worker[T, S]) {
	r.Common, r.Kind, r.worker = c, k, worker
	r.Queue.Now, r.Writer.Client = c.Clock.Now, c.Client
	r.engine = Engine{Queue: &r.Queue, Interval: c.Drift, All: r.all, Flush: r.flush}
}

// Reconcile takes the dirty names of one cluster through one flush.
func (r *Reconciler[T, S]) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return r.engine.Reconcile(ctx, req)
}

// flush brings the named topics or users of a cluster to what their objects ask for. It returns all of them with the
// error for which nothing is known of any.
func (r *Reconciler[T, S]) flush(ctx context.Context, key types.NamespacedName, names []string) ([]string, error) {
	cluster, err := getHost(ctx, r.Client, r.Namespaces, key)
	if err != nil {
		return names, err
	}
	found, admission, err := r.find(ctx, cluster, names)
	if err != nil {
		return names, err
	}
	if cluster.Object != nil && r.Tenure != nil {
		cluster.tenure = r.Tenure(cluster.Object)
	}
	if err := r.settlePolicies(ctx, cluster, found); err != nil {
		return names, err
	}
	cluster.nobodys = r.ExternalOnly && cluster.Object != nil && !cluster.Object.IsExternal()
	cluster.namespaceGoes = admission.terminating[key.Namespace]
	var peers []T
	if access := cluster.Access(); access != nil && access.Limits != nil {
		if peers, err = r.Of(ctx, key); err != nil {
			return names, err
		}
	}
	p, work, err := r.worker.Open(ctx, cluster, admission, found, peers)
	if err != nil {
		return names, err
	}
	if err := p.run(ctx, work); err != nil {
		return names, err
	}
	return nil, nil
}

// Controller begins a controller that is told of the kind's objects and of the namespaces that they live in.
func (r *Reconciler[T, S]) Controller(mgr ctrl.Manager, name string) (*builder.Builder, error) {
	for index, value := range r.Indexes() {
		if err := mgr.GetFieldIndexer().IndexField(context.Background(), r.Object, index, value); err != nil {
			return nil, fmt.Errorf("index %ss by %s: %w", r.Name, index, err)
		}
	}
	b := ctrl.NewControllerManagedBy(mgr).Named(name).WithOptions(batchOptions()).Watches(r.Object, r.objectEvents())
	if len(r.Namespaces.Only) == 0 {
		b = b.WatchesMetadata(&corev1.Namespace{}, namespaceEvents(r.markNamespace))
	}
	return b, nil
}

func batchOptions() controller.Options {
	const first, limit = 200 * time.Millisecond, 30 * time.Second
	return controller.Options{
		MaxConcurrentReconciles: connect.ClustersAtOnce,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](first, limit),
	}
}

// objectEvents marks the name of an object whenever its user has changed it; our own writes mark nothing.
func (r *Reconciler[T, S]) objectEvents() handler.EventHandler {
	mark := func(o client.Object, q QueueOf) {
		if t, ok := o.(T); ok {
			r.Mark(q, t)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q QueueOf) { mark(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q QueueOf) {
			if userChanged(e.ObjectOld, e.ObjectNew) || lost(e.ObjectOld, e.ObjectNew) && !r.Writer.Wrote(e.ObjectNew) {
				mark(e.ObjectNew, q)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q QueueOf) {
			r.Writer.Forget(e.Object.GetUID())
			mark(e.Object, q)
		},
	}
}

func userChanged(before, after client.Object) bool {
	return before.GetUID() != after.GetUID() ||
		before.GetGeneration() != after.GetGeneration() ||
		before.GetDeletionTimestamp().IsZero() != after.GetDeletionTimestamp().IsZero() ||
		asked(before, after)
}

// asked tells that an annotation has changed by which people ask for something, or would if it were not misspelt:
// Kubernetes counts no generation for it.
func asked(before, after client.Object) bool {
	old, is := before.GetAnnotations(), after.GetAnnotations()
	differs := func(a, b map[string]string) bool {
		for key := range a {
			if claim.Asks(key) && a[key] != b[key] {
				return true
			}
		}
		return false
	}
	return differs(old, is) || differs(is, old)
}

// lost tells that our finalizer, or the annotation that says what is about to be created, has been taken off: kubectl
// replace leaves of an object what its manifest holds.
func lost(before, after client.Object) bool {
	announced := func(o client.Object) string { return o.GetAnnotations()[v1alpha1.AnnotationCreating] }
	return claim.HasFinalizer(before) && !claim.HasFinalizer(after) ||
		announced(before) != "" && announced(after) == ""
}

// Mark has the name of an object looked at.
func (r *Reconciler[T, S]) Mark(q QueueOf, o T) {
	key := r.Key(o)
	r.Queue.Mark(key.Cluster, key.Name)
	enqueue(q, key.Cluster)
}

// enqueue asks for a flush of a cluster after a moment in which more events may come; one that is asked for already is
// not put off.
func enqueue(q QueueOf, cluster types.NamespacedName) {
	q.AddAfter(reconcile.Request{NamespacedName: cluster}, Linger)
}

// MarkCluster marks those of a cluster's objects that are wanted.
func (r *Reconciler[T, S]) MarkCluster(
	ctx context.Context, cluster types.NamespacedName, q QueueOf, wanted func(T) bool,
) {
	objects, err := r.Of(ctx, cluster)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "look at what lives in a KafkaCluster", "cluster", cluster)
		return
	}
	var names []string
	for _, o := range objects {
		if wanted(o) {
			names = append(names, r.Key(o).Name)
		}
	}
	remains, err := r.remains(ctx, cluster)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "look at what remains in a KafkaCluster", "cluster", cluster)
	}
	if names = append(names, remains...); len(names) > 0 {
		r.Queue.Mark(cluster, names...)
		enqueue(q, cluster)
	}
}

// ClusterEvents marks the objects of a cluster: all when it comes or goes, the awaiting ones when it answers again, and
// when it changes those that changed returns the test for; nil = none.
func (r *Reconciler[T, S]) ClusterEvents(
	awaiting func(T) bool, changed func(before, after *v1alpha1.KafkaCluster) (wanted func(T) bool),
) handler.EventHandler {
	mark := func(ctx context.Context, o client.Object, q QueueOf, wanted func(T) bool) {
		r.MarkCluster(ctx, client.ObjectKeyFromObject(o), q, wanted)
	}
	return handler.Funcs{
		CreateFunc:  func(ctx context.Context, e event.CreateEvent, q QueueOf) { mark(ctx, e.Object, q, Every[T]) },
		DeleteFunc:  func(ctx context.Context, e event.DeleteEvent, q QueueOf) { mark(ctx, e.Object, q, Every[T]) },
		GenericFunc: func(ctx context.Context, e event.GenericEvent, q QueueOf) { mark(ctx, e.Object, q, awaiting) },
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q QueueOf) {
			before, ok1 := e.ObjectOld.(*v1alpha1.KafkaCluster)
			after, ok2 := e.ObjectNew.(*v1alpha1.KafkaCluster)
			if !ok1 || !ok2 {
				return
			}
			if wanted := changed(before, after); wanted != nil {
				mark(ctx, after, q, wanted)
			}
		},
	}
}

// Every is the test that every object passes.
func Every[T any](T) bool { return true }

// markNamespace marks the objects of a namespace that belong to clusters in other ones, or all of them.
func (r *Reconciler[T, S]) markNamespace(ctx context.Context, namespace string, all bool, q QueueOf) error {
	objects, err := r.List(ctx, r.Client, client.InNamespace(namespace), client.UnsafeDisableDeepCopy)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if all || r.Key(o).Cluster.Namespace != namespace {
			r.Mark(q, o)
		}
	}
	return nil
}

// Of lists the objects that name a cluster; they are the cache's own, and only to be read.
func (r *Reconciler[T, S]) Of(ctx context.Context, cluster types.NamespacedName) ([]T, error) {
	ofCluster := client.MatchingFields{ClusterIndex: cluster.String()}
	objects, err := r.List(ctx, r.Client, ofCluster, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("list %ss of KafkaCluster %s: %w", r.Name, cluster, err)
	}
	return objects, nil
}

// all lists every name that is claimed on a cluster.
func (r *Reconciler[T, S]) all(ctx context.Context, cluster types.NamespacedName) ([]string, error) {
	objects, err := r.Of(ctx, cluster)
	if err != nil {
		return nil, err
	}
	remains, err := r.remains(ctx, cluster)
	names := slices.Clone(remains) // they are the cache's
	for _, o := range objects {
		names = append(names, r.Key(o).Name)
	}
	return names, err
}

// remains lists the names of a cluster that are looked at although no object stands for them.
func (r *Reconciler[T, S]) remains(ctx context.Context, cluster types.NamespacedName) ([]string, error) {
	if r.Remains == nil {
		return nil, nil
	}
	host, err := getHost(ctx, r.Client, r.Namespaces, cluster)
	if err != nil || host.Object == nil {
		return nil, err
	}
	return r.Remains(host.Object), nil
}

// Found are the objects that stand for one name.
type Found[T Object] struct {
	Name    string
	Objects []T
}

// find finds who stands for each of the names, and which of their namespaces the cluster admits. A name of which the
// cache shows an object as it was before our own last write is put off until the cache has caught up.
func (r *Reconciler[T, S]) find(ctx context.Context, cluster Host, names []string) ([]Found[T], Admission, error) {
	var all []Found[T]
	namespaces := map[string]bool{cluster.Key.Namespace: true}
	var remains []string
	if r.Remains != nil && cluster.Object != nil {
		remains = r.Remains(cluster.Object)
	}
	for _, name := range names {
		key := Key{cluster.Key, name}
		objects, err := r.List(ctx, r.Client, client.MatchingFields{r.Index: key.String()})
		if err != nil {
			return nil, Admission{},
				fmt.Errorf("list %ss for %s %q of KafkaCluster %s: %w", r.Name, r.Noun, name, cluster.Key, err)
		}
		stale := false
		for _, o := range objects {
			namespaces[o.GetNamespace()] = true
			stale = stale || r.Writer.Stale(o)
		}
		switch {
		case stale:
			r.Queue.Retry(cluster.Key, name, CacheLag, time.Second)
		case len(objects) == 0 && !slices.Contains(remains, name):
			r.Queue.Settled(cluster.Key, name)
			r.Doubts.Forget(key)
			r.kept.Forget(key)
			r.aside.Forget(key)
			r.worker.Forget(key)
		default:
			all = append(all, Found[T]{name, objects})
		}
	}
	admission, err := r.Namespaces.admission(ctx, cluster, namespaces)
	return all, admission, err
}

// Stands tells whether something has been seen for long enough, and has the name looked at again when not.
func (r *Reconciler[T, S]) Stands(seen *Doubts, key Key, what string, long time.Duration) bool {
	if seen.age(key, what, r.Clock.Now()) >= long {
		return true
	}
	r.Queue.MarkAfter(key.Cluster, long, key.Name)
	return false
}

// Pointers leads to the items of a list.
func Pointers[T any](items []T) []*T {
	all := make([]*T, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}
