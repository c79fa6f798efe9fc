// Package cluster cares for the clusters that the operator runs. A pass loads what it looks at, lets internal/decide
// say what follows, records what must not be forgotten, acts, and reports. It decides nothing itself: what disturbs a
// pod is a step of the plan, and reaches the API server through perform alone.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/balancing"
	"github.com/castellan-dev/castellan/controllers/tenure"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/observe"
)

// Reconciler keeps the brokers and controllers of every KafkaCluster.
type Reconciler struct {
	client.Client
	// APIReader reads past the cache, before what must happen once in a life.
	APIReader client.Reader
	// Provided reads Secrets of others that they have labelled for listeners.
	Provided    client.Reader
	Recorder    events.EventRecorder
	Connections *connect.Connections
	// Tenure says which clusters are this installation's; nil = all.
	Tenure   *tenure.Keeper
	Settings Settings
	// Shown looks what a listener at host:port shows; connect.See.
	Shown func(ctx context.Context, address string) (connect.Sight, error)
	// Balancer reads what moving replicas takes, and moves them.
	Balancer *balancing.Balancer
	Reach    Reach
	Keys     Keys
	// Woken names clusters of whose ways something new is known.
	Woken <-chan event.GenericEvent

	applier      apply.Applier
	expectations expectations
	patience     patience
	proofs       proofs
	expiries     expiries
	gateways     gatewayLooks
	usage        usage
}

// Settings are those of the operator that the care of a cluster depends on.
type Settings struct {
	// ImageRepository is where Kafka's image comes from, such as apache/kafka.
	ImageRepository string
	// Registries are those from which plug-ins may come; none = any.
	Registries []string
	// Domain is the DNS domain of the Kubernetes cluster, such as cluster.local.
	Domain string
	// OperatorNamespace and OperatorLabels are those of the operator's pods, which NetworkPolicies have to admit; empty =
	// it was not told.
	OperatorNamespace string
	OperatorLabels    map[string]string
	// Namespaces that the operator works in; none = all.
	Namespaces []string
	// ReadNodes: the operator may read Kubernetes nodes.
	ReadNodes bool
	// GatewayAPI tells whether the operator may read Gateways, and make routes.
	GatewayAPI bool
	// EndpointSlices tells whether the operator may write them.
	EndpointSlices bool
	// Denied is what of the above the operator was told, and Kubernetes does not let it do.
	Denied Denied
	// Now is the clock.
	Now func() time.Time
}

// kinds are those of the objects that the operator may see.
func (s Settings) kinds() []observe.Kind {
	return slices.DeleteFunc(slices.Clone(observe.Kinds), func(k observe.Kind) bool {
		return k.Optional && !s.EndpointSlices
	})
}

// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters,verbs=get;list;watch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters/status,verbs=update;patch
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkaclusters/finalizers,verbs=update
// +kubebuilder:rbac:groups=kafka.castellan.dev,resources=kafkausers,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups="",resources=configmaps;services,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps,resources=statefulsets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=list;watch
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=events,verbs=list
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile brings one KafkaCluster a step nearer to its spec and says what it waits for.
//
// A deleted KafkaCluster needs nothing from us: it carries no finalizer, and Kubernetes removes what it owns.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	cluster := &v1alpha1.KafkaCluster{}
	err := r.Get(ctx, req.NamespacedName, cluster)
	if apierrors.IsNotFound(err) || err == nil && cluster.DeletionTimestamp != nil {
		r.forget(req)
		r.Tenure.Forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("read KafkaCluster %s: %w", req, err)
	}
	if cluster.IsExternal() {
		return ctrl.Result{}, nil // a labelled object of its users has led here
	}
	cluster, err = r.Tenure.Enter(ctx, cluster)
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: whenBehind}, nil
	case err != nil:
		return ctrl.Result{}, client.IgnoreNotFound(err)
	case cluster == nil:
		r.forget(req)
		return ctrl.Result{RequeueAfter: tenure.Again}, nil
	}
	return r.pass(ctx, cluster)
}

// forget drops what is kept in memory of a cluster that is gone, or another installation's.
func (r *Reconciler) forget(req ctrl.Request) {
	r.Connections.Forget(req.NamespacedName)
	r.expectations.forget(req.NamespacedName)
	r.patience.forget(req.NamespacedName)
	r.Balancer.Forget(req.NamespacedName)
	r.proofs.forget(req.NamespacedName)
	r.expiries.keep(req.NamespacedName, nil)
	r.Reach.Forget(req.String())
	r.Keys.Forget(req.String())
	r.gateways.forget(req.NamespacedName)
	r.usage.forget(req.NamespacedName)
}

// pass is one pass over a cluster.
func (r *Reconciler) pass(ctx context.Context, cluster *v1alpha1.KafkaCluster) (ctrl.Result, error) {
	seen, err := r.load(ctx, cluster)
	if err == nil {
		r.readRefusals(ctx, &seen)
	}
	s := newScope(seen)
	if err == nil {
		err = r.relabel(ctx, s)
	}
	if err == nil {
		err = r.decide(ctx, s)
	}
	if err == nil {
		err = r.carryOut(ctx, s)
	}
	if err := errors.Join(err, r.report(ctx, s, err)); err != nil {
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			return ctrl.Result{RequeueAfter: whenBehind}, nil // the cache is behind: look again
		}
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: s.requeue}, nil
}

// carryOut records and does what was decided.
func (r *Reconciler) carryOut(ctx context.Context, s *scope) error {
	if course := s.decision.Plan.Course; course != nil {
		r.Balancer.Remember(s.key(), course.Remembered)
	}
	s.schedule(&r.patience)
	r.expiries.keep(s.key(), s.decision.Expiries)
	if s.decision.Model == nil {
		return nil // nothing can be done, or no sense be made of the spec: the status says so
	}
	if err := r.record(ctx, s); err != nil {
		return err
	}
	return errors.Join(r.act(ctx, s), r.present(ctx, s))
}

// How soon to look again, where no watch would tell.
const (
	whenBehind   = 100 * time.Millisecond // the cache has to catch up
	whenUnderway = 500 * time.Millisecond // Kafka has to catch up; longer where that takes long
	whenHeld     = 5 * time.Second        // something has to become possible again
	whenAtRest   = 30 * time.Second       // the health check
)
