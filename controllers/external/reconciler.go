// Package external looks at the clusters that somebody else runs, and says in their status what it has seen. It changes
// nothing in them.
package external

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/tenure"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/external"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Reconciler watches over the KafkaClusters that somebody else runs: it sees whether they answer, and says
// so. It changes nothing in them.
type Reconciler struct {
	client.Client
	Recorder    events.EventRecorder
	Connections *connect.Connections
	// Tenure says which clusters are this installation's; nil = all.
	Tenure *tenure.Keeper
	Now    func() time.Time
	// Woken names clusters that answer again.
	Woken <-chan event.GenericEvent
	// Alone tells that nobody looks after other clusters. Who made one is told so.
	Alone bool
}

// How soon to look again.
const (
	soonAgain = 100 * time.Millisecond // the cache has to catch up
	whenSeen  = 30 * time.Second       // the health check
)

// overviewTimeout bounds one look at an external cluster; one that is silent must not hold up the others.
const overviewTimeout = 15 * time.Second

// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters,verbs=list;watch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager watches the external ones among the KafkaClusters, or all of them.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	watched := connect.ExternalOnly(true)
	if r.Alone {
		watched = predicate.Funcs{}
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("externalcluster").
		WatchesRawSource(source.Channel(r.Woken, &handler.EnqueueRequestForObject{})).
		For(&v1alpha1.KafkaCluster{}, builder.WithPredicates(watched,
			predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: connect.ClustersAtOnce}).
		Complete(r)
}

// Reconcile looks at one external cluster and says what it has seen. A deleted one needs nothing from us.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	cluster := &v1alpha1.KafkaCluster{}
	err := r.Get(ctx, req.NamespacedName, cluster)
	if apierrors.IsNotFound(err) || err == nil && cluster.DeletionTimestamp != nil {
		r.Connections.Forget(req.NamespacedName)
		r.Tenure.Forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("read KafkaCluster %s: %w", req, err)
	}
	if !cluster.IsExternal() {
		if r.Alone && r.Tenure.Of(cluster) != claim.TenureOther {
			r.Recorder.Eventf(cluster, nil, corev1.EventTypeWarning, "NotLookedAfter", "Reconcile", "this operator looks after "+
				"external clusters alone (its flag --external-only); make the KafkaCluster with spec.external, or install the "+
				"operator without externalOnly")
		}
		return ctrl.Result{}, nil
	}
	cluster, err = r.Tenure.Enter(ctx, cluster)
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: soonAgain}, nil
	case err != nil:
		return ctrl.Result{}, client.IgnoreNotFound(err)
	case cluster == nil:
		r.Connections.Forget(req.NamespacedName)
		return ctrl.Result{RequeueAfter: tenure.Again}, nil
	}
	return r.observe(ctx, cluster)
}

// observe looks at one external cluster, and reports.
func (r *Reconciler) observe(ctx context.Context, cluster *v1alpha1.KafkaCluster) (ctrl.Result, error) {
	overview, err := r.look(ctx, cluster)
	if ctx.Err() != nil {
		return ctrl.Result{}, ctx.Err() // the operator ends: that says nothing of the cluster
	}
	var fault *verdict.Verdict
	again := whenSeen
	if err != nil {
		fault = external.Explain(err, cluster.Spec.External)
		again = cmp.Or(fault.After, whenSeen)
	}
	if err := r.report(ctx, cluster, overview, fault, err); err != nil {
		if apierrors.IsConflict(err) {
			return ctrl.Result{RequeueAfter: soonAgain}, nil // the cache is behind: look again
		}
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// look asks the cluster who it is; the Secrets are read each time, for nothing tells of their changes.
func (r *Reconciler) look(ctx context.Context, cluster *v1alpha1.KafkaCluster) (*kafka.Overview, error) {
	ctx, cancel := context.WithTimeout(ctx, overviewTimeout)
	defer cancel()
	if _, err := r.Connections.ReadAccess(ctx, cluster); err != nil {
		return nil, err
	}
	admin, err := r.Connections.Admin(ctx, cluster)
	if err != nil {
		return nil, err
	}
	overview, err := admin.Overview(ctx)
	if err != nil {
		return nil, err
	}
	if known := cluster.Status.ClusterID; known != "" && known != overview.ClusterID {
		return nil, &kafka.AnotherCluster{Want: known, Have: overview.ClusterID}
	}
	return overview, nil
}

// report writes what was seen: one patch, none when nothing has changed.
func (r *Reconciler) report(ctx context.Context, cluster *v1alpha1.KafkaCluster, o *kafka.Overview,
	f *verdict.Verdict, cause error) error {
	twin, err := r.twin(ctx, cluster, o)
	if err != nil {
		return err
	}
	next := external.StatusOf(cluster, o, f, twin, r.Now())
	if equality.Semantic.DeepEqual(cluster.Status, next) {
		return nil
	}
	base := cluster.DeepCopy()
	cluster.Status = next
	// With the version that was read: the id of a cluster is recorded once, and not over what another has recorded.
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := r.Status().Patch(ctx, cluster, patch); client.IgnoreNotFound(err) != nil {
		if apply.Refused(err) {
			r.Recorder.Eventf(base, nil, corev1.EventTypeWarning, "StatusRefused", "Reconcile",
				"The operator cannot write the status, which is as it was before: %s", err)
		}
		return fmt.Errorf("write the status of KafkaCluster %s/%s: %w", cluster.Namespace, cluster.Name, err)
	}
	before := meta.FindStatusCondition(base.Status.Conditions, v1alpha1.ConditionAvailable)
	after := meta.FindStatusCondition(next.Conditions, v1alpha1.ConditionAvailable)
	if before != nil && before.Status == after.Status && before.Reason == after.Reason {
		return nil
	}
	kind := corev1.EventTypeNormal
	if f != nil {
		kind = corev1.EventTypeWarning
		ctrl.LoggerFrom(ctx).Info("external cluster is not available", "reason", f.Reason, "cause", cause.Error())
	}
	r.Recorder.Eventf(cluster, nil, kind, after.Reason, "Reconcile", "%s", after.Message)
	return nil
}

// twin finds another KafkaCluster that stands for the same Kafka.
func (r *Reconciler) twin(ctx context.Context, cluster *v1alpha1.KafkaCluster, o *kafka.Overview) (string, error) {
	id := cluster.Status.ClusterID
	if o != nil {
		id = o.ClusterID
	}
	if id == "" {
		return "", nil
	}
	var list v1alpha1.KafkaClusterList
	if err := r.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return "", fmt.Errorf("list KafkaClusters: %w", err)
	}
	var twins []string
	for i := range list.Items {
		if other := &list.Items[i]; other.Status.ClusterID == id && other.UID != cluster.UID {
			twins = append(twins, client.ObjectKeyFromObject(other).String())
		}
	}
	if len(twins) == 0 {
		return "", nil
	}
	return slices.Min(twins), nil
}
