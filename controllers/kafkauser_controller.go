package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/users"
)

// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkausers,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkausers/status,verbs=patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkausers/finalizers,verbs=update
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters,verbs=get;list;watch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;update
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// KafkaUserReconciler cares for the users of one cluster at a time, many in one flush.
type KafkaUserReconciler struct {
	// Client reads from the cache, which holds Secrets with our label only; it needs the field index userIndex.
	Client client.Client
	// APIReader asks the API server: for Secrets of others.
	APIReader  client.Reader
	Namespaces Namespaces
	Clusters   Clusters
	Prober     kafka.Prober
	Clock      Clock
	Events     events.EventRecorder
	// Drift is how often what others changed is looked for; zero = batch.DriftInterval.
	Drift time.Duration
	// Woken names clusters that answer again.
	Woken <-chan event.GenericEvent

	queue  batch.Queue
	writer batch.Writer
	engine batch.Engine

	mu sync.Mutex
	// verified remembers which entry of the users file was made from which password, for verifying costs milliseconds.
	verified map[userKey]verifiedEntry
}

type userKey struct {
	cluster types.NamespacedName
	name    string
}

type verifiedEntry struct {
	passwordHash string
	entry        plainauth.Entry
}

// Reconcile takes the dirty users of one cluster through one flush.
func (r *KafkaUserReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return r.engine.Reconcile(ctx, req)
}

func (r *KafkaUserReconciler) init() {
	r.queue.Now = r.Clock.Now
	r.writer.Client = r.Client
	r.engine = batch.Engine{Queue: &r.queue, Interval: r.Drift, All: r.all, Flush: r.flush}
	r.verified = map[userKey]verifiedEntry{}
}

func (r *KafkaUserReconciler) list(ctx context.Context, cluster types.NamespacedName) ([]v1alpha1.KafkaUser, error) {
	var list v1alpha1.KafkaUserList
	err := r.Client.List(ctx, &list, client.MatchingFields{clusterIndex: cluster.String()}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("list KafkaUsers of KafkaCluster %s: %w", cluster, err)
	}
	return list.Items, nil
}

func (r *KafkaUserReconciler) all(ctx context.Context, cluster types.NamespacedName) ([]string, error) {
	list, err := r.list(ctx, cluster)
	names := make([]string, len(list))
	for i := range list {
		names[i] = users.Name(&list[i])
	}
	return names, err
}

// flush brings the named users of a cluster to what their objects ask for.
func (r *KafkaUserReconciler) flush(ctx context.Context, key types.NamespacedName, names []string) ([]string, error) {
	cluster, err := getHostCluster(ctx, r.Client, r.Namespaces, key)
	if err != nil {
		return names, err
	}
	claims, admission, err := r.claims(ctx, cluster, names)
	if err != nil {
		return names, err
	}
	p := &userPass{KafkaUserReconciler: r, cluster: cluster, admission: admission, errs: &errorList{}}
	for _, c := range claims {
		p.items = append(p.items, &userItem{Claim: c})
	}
	if !cluster.gone() {
		p.bar(ctx)
	}
	switch {
	case cluster.gone():
		return p.abandon(ctx)
	case cluster.awaited() != "":
		return p.wait(ctx, reasonClusterNotAvailable, cluster.awaited())
	}
	kafkaCtx, cancel := context.WithTimeout(ctx, batch.FlushTimeout)
	defer cancel()
	if err := p.change(kafkaCtx); err != nil {
		if reason, message := unanswered(cluster, err); reason != "" {
			if _, err := p.wait(ctx, reason, message); err != nil {
				return names, err
			}
		}
		return names, fmt.Errorf("users of KafkaCluster %s: %w", key, err)
	}
	return p.report(ctx)
}

// claims sorts out who holds each name. A name of which the cache shows an object as it was before our own last write is
// put off until the cache has caught up.
func (r *KafkaUserReconciler) claims(ctx context.Context, cluster hostCluster, names []string) ([]users.Claim, admission, error) {
	objects, namespaces := map[string][]*v1alpha1.KafkaUser{}, map[string]bool{}
	for _, name := range names {
		var list v1alpha1.KafkaUserList
		err := r.Client.List(ctx, &list, client.MatchingFields{userIndex: cluster.key.String() + "/" + name})
		if err != nil {
			return nil, admission{}, fmt.Errorf("list KafkaUsers for user %q of KafkaCluster %s: %w", name, cluster.key, err)
		}
		stale := false
		for i := range list.Items {
			objects[name] = append(objects[name], &list.Items[i])
			namespaces[list.Items[i].Namespace] = true
			stale = stale || r.writer.Stale(&list.Items[i])
		}
		switch {
		case stale:
			delete(objects, name)
			r.queue.MarkAfter(cluster.key, cacheLag, name)
		case len(objects[name]) == 0:
			r.queue.Settled(cluster.key, name)
			r.mu.Lock()
			delete(r.verified, userKey{cluster.key, name})
			r.mu.Unlock()
		}
	}
	admission, err := r.Namespaces.admission(ctx, cluster, namespaces)
	if err != nil {
		return nil, admission, err
	}
	claims := make([]users.Claim, 0, len(objects))
	for _, name := range names {
		if len(objects[name]) > 0 {
			claims = append(claims, users.Sort(name, objects[name], cluster.id(), admission.admits))
		}
	}
	return claims, admission, nil
}
