// Package controllers is the door to the controllers: Setup starts them all, each from a package of its own. A
// controller reads, asks a pure room what follows, does it, and reports; it decides nothing disruptive itself. No kind
// imports another.
package controllers

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/balancing"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/controllers/cluster"
	"github.com/castellan-dev/castellan/controllers/crds"
	"github.com/castellan-dev/castellan/controllers/external"
	"github.com/castellan-dev/castellan/controllers/tenure"
	"github.com/castellan-dev/castellan/controllers/topic"
	"github.com/castellan-dev/castellan/controllers/user"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/jwks/fetch"
	"github.com/castellan-dev/castellan/internal/reach/dial"
)

// Options are the operator's own settings.
type Options struct {
	// ImageRepository is where Kafka's image comes from, such as apache/kafka.
	ImageRepository string
	// PluginRegistries are those from which plug-ins may come; none = any.
	PluginRegistries []string
	// Domain is the DNS domain of the Kubernetes cluster, such as cluster.local.
	Domain string
	// OperatorNamespace and OperatorLabels are those of the operator's own pods; empty = not known.
	OperatorNamespace string
	OperatorLabels    map[string]string
	// Namespaces that the operator works in; none = all.
	Namespaces []string
	// DriftInterval is how often topics and users are compared with Kafka when nothing has happened.
	DriftInterval time.Duration
	// ReassignmentRate is how many bytes per second each broker may send and receive while the operator moves replicas;
	// zero = no limit.
	ReassignmentRate int64
	// Retention is spec.deletionPolicy of KafkaTopics and KafkaUsers for which neither they nor their namespaces say any.
	Retention v1alpha1.DeletionPolicy
	// ExternalOnly leaves clusters of the operator's own alone, and their topics and users.
	ExternalOnly bool
	// ReadNodes lets certificates of listeners of type NodePort name every Kubernetes node.
	ReadNodes bool
	// GatewayAPI tells whether the operator may read Gateways, and make routes.
	GatewayAPI bool
	// EndpointSlices tells whether the operator may write them.
	EndpointSlices bool
	// Installation is this installation of the operator, and which it succeeds.
	Installation claim.Installation
	// Now is the clock.
	Now func() time.Time
}

// Setup starts all controllers with the manager. They share one pool of connections.
func Setup(mgr ctrl.Manager, o Options) error {
	woken := newWakers(3)
	connections := (&connect.Connections{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Wake: woken.wake, Domain: o.Domain, Now: o.Now,
	}).Open()
	if err := mgr.Add(connections); err != nil {
		return fmt.Errorf("run the pool of connections: %w", err)
	}
	if err := watchCRDs(mgr); err != nil {
		return err
	}
	recorder := shortNotes{mgr.GetEventRecorder("castellan")}
	keeper := &tenure.Keeper{Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Recorder: recorder,
		Installation: o.Installation, Now: o.Now, Wake: func(key types.NamespacedName) {
			woken.wake(connect.Key{Namespace: key.Namespace, Name: key.Name})
		}}
	namespaces := batch.Namespaces{Reader: mgr.GetClient(), Live: mgr.GetAPIReader(), Only: o.Namespaces}
	if len(o.Namespaces) > 0 {
		namespaces.Reader = mgr.GetAPIReader()
	}
	shared := func(woken <-chan event.GenericEvent) batch.Common {
		return batch.Common{
			Client: mgr.GetClient(), Namespaces: namespaces, Clusters: connections, Clock: clock(o.Now),
			Events: recorder, Drift: o.DriftInterval, Woken: woken, ExternalOnly: o.ExternalOnly,
			Retention: o.Retention, Installation: o.Installation, Tenure: keeper.Of,
		}
	}
	reconcilers := []interface{ SetupWithManager(ctrl.Manager) error }{
		&external.Reconciler{
			Client:      mgr.GetClient(),
			Recorder:    recorder,
			Connections: connections,
			Tenure:      keeper,
			Now:         o.Now,
			Woken:       woken[0],
			Alone:       o.ExternalOnly,
		},
		topic.New(shared(woken[1]), o.ReassignmentRate),
		user.New(shared(woken[2]), mgr.GetAPIReader(), connect.Prober()),
	}
	if !o.ExternalOnly {
		news := newWakers(1)
		wake := func(owner string) {
			namespace, name, _ := strings.Cut(owner, "/")
			news.wake(connect.Key{Namespace: namespace, Name: name})
		}
		prober, fetcher := dial.NewProber(dial.Net{}.Try, wake), fetch.New(fetch.HTTPS{}.Get, wake)
		if err := mgr.Add(prober); err != nil {
			return fmt.Errorf("run the prober of ways to brokers: %w", err)
		}
		if err := mgr.Add(fetcher); err != nil {
			return fmt.Errorf("run the fetcher of issuers' keys: %w", err)
		}
		settings, err := granted(mgr, cluster.Settings{
			ImageRepository: o.ImageRepository, Domain: o.Domain, Namespaces: o.Namespaces, ReadNodes: o.ReadNodes,
			GatewayAPI: o.GatewayAPI, EndpointSlices: o.EndpointSlices, Registries: o.PluginRegistries,
			OperatorNamespace: o.OperatorNamespace, OperatorLabels: o.OperatorLabels, Now: o.Now,
		})
		if err != nil {
			return err
		}
		reconcilers = append(reconcilers, &cluster.Reconciler{
			Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Recorder: recorder, Connections: connections,
			Tenure: keeper, Settings: settings, Balancer: &balancing.Balancer{Client: mgr.GetClient(), Rate: o.ReassignmentRate},
			Shown: connect.See, Reach: prober, Keys: fetcher, Woken: news[0],
		})
	}
	for _, reconciler := range reconcilers {
		if err := reconciler.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("start %T: %w", reconciler, err)
		}
	}
	return nil
}

// watchCRDs has the log say where the CRDs and the operator are of different versions.
func watchCRDs(mgr ctrl.Manager) error {
	served, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("look at the CRDs: %w", err)
	}
	if err := mgr.Add(&crds.Watcher{Discovery: served, Every: crds.Every}); err != nil {
		return fmt.Errorf("look at the CRDs: %w", err)
	}
	return nil
}

// How long the API server may take to say what the operator may do, and how often it is asked again.
const (
	grantPatience = 30 * time.Second
	grantInterval = time.Minute
)

// granted leaves out of settings what Kubernetes does not let the operator do, and has it begin anew once that is over.
func granted(mgr ctrl.Manager, told cluster.Settings) (cluster.Settings, error) {
	ctx, cancel := context.WithTimeout(context.Background(), grantPatience)
	defer cancel()
	settings := told
	if settings.Grant(ctx, mgr.GetAPIReader()); settings.Denied == (cluster.Denied{}) {
		return settings, nil
	}
	err := mgr.Add(&cluster.Awaiting{Told: told, Denied: settings.Denied, APIReader: mgr.GetAPIReader(),
		Every: grantInterval})
	if err != nil {
		return settings, fmt.Errorf("wait for permissions: %w", err)
	}
	return settings, nil
}

// Labelled is an object of each kind of which the operator caches what it has made alone, because others use it too.
func Labelled() []client.Object { return cluster.Labelled() }

// InCache is what the cache keeps of a KafkaUser, and of a Secret.
func InCache() func(any) (any, error) { return user.InCache() }

// clock is a Clock made of a function.
type clock func() time.Time

func (c clock) Now() time.Time { return c() }
