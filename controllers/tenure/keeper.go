// Package tenure keeps several installations of the operator out of each other's way: one is on record in
// status.operator of a KafkaCluster before anything is done for it, and the others leave it alone, with its topics and
// users. What becomes of the cluster is decided elsewhere.
package tenure

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/status"
)

// Again is how soon to look again at a cluster of another installation: nothing tells when that is over.
const Again = 30 * time.Second

// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters,verbs=get
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Keeper knows which KafkaClusters are this installation's. Without one, as without a name, all of them are.
type Keeper struct {
	Client client.Client
	// APIReader reads past the cache, before an installation is put on record.
	APIReader client.Reader
	Recorder  events.EventRecorder
	claim.Installation
	Now func() time.Time
	// Wake has what lives in a cluster looked at again.
	Wake func(types.NamespacedName)

	mu     sync.Mutex
	others map[types.NamespacedName]sighting
	// unrecorded are clusters in whose status the field cannot be written, or is not kept.
	unrecorded map[types.UID]lack
	// refused is why clusters of an installation that is gone cannot be taken over, as far as that was told.
	refused map[types.UID]string
}

// lack is why nobody is on record, and when that was seen last.
type lack struct {
	why  string
	seen time.Time
}

// sighting is what was seen of a cluster of another installation.
type sighting struct {
	uid        types.UID
	operator   string
	generation int64
	since      time.Time // of this generation
}

// Of says how a cluster stands to this installation.
func (k *Keeper) Of(cluster *v1alpha1.KafkaCluster) claim.Tenure {
	if k == nil {
		return claim.TenureOurs
	}
	is := k.Installation.Of(cluster.Status.Operator)
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, without := k.unrecorded[cluster.UID]; without && is == claim.TenureVacant {
		return claim.TenureOurs
	}
	return is
}

// Enter puts this installation on record as the one that looks after a cluster, unless it is, and returns the cluster
// as it is then. nil = another installation looks after it, or did, and the record cannot be changed. A conflict as the
// error means that the cache is behind.
func (k *Keeper) Enter(ctx context.Context, cluster *v1alpha1.KafkaCluster) (*v1alpha1.KafkaCluster, error) {
	switch k.Of(cluster) {
	case claim.TenureOurs:
		if !k.triesAgain(cluster) {
			return cluster, nil
		}
	case claim.TenureOther:
		return nil, k.standAside(ctx, cluster)
	}
	key := client.ObjectKeyFromObject(cluster)
	fresh := &v1alpha1.KafkaCluster{}
	if err := k.APIReader.Get(ctx, key, fresh); err != nil {
		return nil, fmt.Errorf("read KafkaCluster %s past the cache: %w", key, err)
	}
	if fresh.UID != cluster.UID || k.Of(fresh) == claim.TenureOther {
		return nil, apierrors.NewConflict(
			schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "kafkaclusters"}, key.Name,
			fmt.Errorf("the cache is behind"))
	}
	return k.record(ctx, fresh)
}

// record writes that this installation looks after a cluster, provided that nobody has written since it was read.
func (k *Keeper) record(ctx context.Context, fresh *v1alpha1.KafkaCluster) (*v1alpha1.KafkaCluster, error) {
	key, before := client.ObjectKeyFromObject(fresh), fresh.Status.Operator
	if before == k.Name {
		return fresh, nil
	}
	base := fresh.DeepCopy()
	fresh.Status.Operator = k.Name
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	err := k.Client.Status().Patch(ctx, fresh, patch)
	switch {
	case apply.Refused(err) && before == "":
		k.doWithout(ctx, base, reasonRefused, fmt.Sprintf("Kubernetes does not let the operator write status.operator, and "+
			"nothing holds off a second operator: %s", err))
		return base, nil
	case apply.Refused(err):
		k.cannotSucceed(ctx, base, err)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("record in the status of KafkaCluster %s which operator looks after it: %w", key, err)
	case fresh.Status.Operator != k.Name:
		k.doWithout(ctx, fresh, "OlderCRDs", "the CRDs in this Kubernetes cluster are older than the operator, and keep no "+
			"status.operator: nothing holds off a second operator; apply the CRDs of the operator's version (docs/operators.md)")
		return fresh, nil
	}
	if before != "" {
		k.Recorder.Eventf(fresh, nil, corev1.EventTypeNormal, "OperatorSucceeded", "Reconcile",
			"the operator installed as %q looks after this cluster from now on, in place of %q", k.Name, before)
	}
	return fresh, nil
}

// reasonRefused is the event of a status that Kubernetes does not let the operator write.
const reasonRefused = "StatusRefused"

// cannotSucceed tells once that the record of another installation cannot be replaced. Nothing is done for the cluster
// then: that one may run, and is on record.
func (k *Keeper) cannotSucceed(ctx context.Context, cluster *v1alpha1.KafkaCluster, err error) {
	k.mu.Lock()
	if k.refused == nil {
		k.refused = map[types.UID]string{}
	}
	told := k.refused[cluster.UID] == err.Error()
	k.refused[cluster.UID] = err.Error()
	k.mu.Unlock()
	if told {
		return
	}
	k.Recorder.Eventf(cluster, nil, corev1.EventTypeWarning, reasonRefused, "Reconcile",
		"the operator installed as %q cannot take this cluster over from %q and leaves it alone: %s", k.Name,
		cluster.Status.Operator, err)
	ctrl.LoggerFrom(ctx).Error(err, "cannot take a KafkaCluster over", "cluster", client.ObjectKeyFromObject(cluster),
		"operator", cluster.Status.Operator, "this", k.Name)
}

// triesAgain tells that it is time to see whether the record can be kept by now.
func (k *Keeper) triesAgain(cluster *v1alpha1.KafkaCluster) bool {
	if k == nil || cluster.Status.Operator == k.Name {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	last, without := k.unrecorded[cluster.UID]
	return without && k.Now().Sub(last.seen) >= claim.OlderCRDs
}

// doWithout goes on where nobody is on record and the record cannot be written: care must not end for that.
func (k *Keeper) doWithout(ctx context.Context, cluster *v1alpha1.KafkaCluster, reason, why string) {
	k.mu.Lock()
	if k.unrecorded == nil {
		k.unrecorded = map[types.UID]lack{}
	}
	told := k.unrecorded[cluster.UID].why == reason
	k.unrecorded[cluster.UID] = lack{reason, k.Now()}
	k.mu.Unlock()
	if told {
		return
	}
	k.Recorder.Eventf(cluster, nil, corev1.EventTypeWarning, reason, "Reconcile", "%s", why)
	ctrl.LoggerFrom(ctx).Info(why, "cluster", client.ObjectKeyFromObject(cluster))
	k.Wake(client.ObjectKeyFromObject(cluster))
}

// standAside tells once that another installation looks after a cluster. In the status it says so only when that one
// has not taken up a change for a while: a status is written by who looks after its object, and two would write for
// ever.
func (k *Keeper) standAside(ctx context.Context, cluster *v1alpha1.KafkaCluster) error {
	key, why := client.ObjectKeyFromObject(cluster), k.Other("KafkaCluster", cluster.Name, cluster.Status.Operator)
	seen, first := k.see(key, cluster)
	if first {
		k.Recorder.Eventf(cluster, nil, corev1.EventTypeWarning, claim.ReasonOtherOperator, "Reconcile",
			"the operator installed as %q looks after this cluster; the one installed as %q leaves it alone, with its topics "+
				"and users", cluster.Status.Operator, k.Name)
		ctrl.LoggerFrom(ctx).Info("another installation of the operator looks after this KafkaCluster",
			"cluster", key, "operator", cluster.Status.Operator, "this", k.Name)
	}
	if !claim.Unobserved(cluster, cluster.Status.ObservedGeneration) || k.Now().Sub(seen.since) < claim.AsideAfter {
		return nil
	}
	next := cluster.DeepCopy()
	next.Status.ObservedGeneration = cluster.Generation
	status.Stalled(&next.Status.Conditions, cluster.Generation, why.Reason, why.Text(), k.Now())
	patch := client.MergeFromWithOptions(cluster, client.MergeFromWithOptimisticLock{})
	if err := k.Client.Status().Patch(ctx, next, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write the status of KafkaCluster %s: %w", key, err)
	}
	return nil
}

// see notes what is seen of a cluster of another installation; first = nothing was told of that one yet.
func (k *Keeper) see(key types.NamespacedName, cluster *v1alpha1.KafkaCluster) (s sighting, first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.others == nil {
		k.others = map[types.NamespacedName]sighting{}
	}
	before := k.others[key]
	s = sighting{cluster.UID, cluster.Status.Operator, cluster.Generation, k.Now()}
	first = before.uid != s.uid || before.operator != s.operator
	if !first && before.generation == s.generation {
		s.since = before.since
	}
	k.others[key] = s
	return s, first
}

// Forget drops what was seen of a cluster that is gone.
func (k *Keeper) Forget(key types.NamespacedName) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.others, key)
}
