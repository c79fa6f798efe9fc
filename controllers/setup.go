package controllers

import (
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/pool"
)

// clustersAtOnce is how many clusters each controller works on side by side. One that does not answer keeps its place for
// up to batch.FlushTimeout; so there are more places, which cost next to nothing, than clusters that fall silent together.
const clustersAtOnce = 32

// Setup starts all controllers with the manager. They share one pool of connections.
func Setup(mgr ctrl.Manager, o Options) error {
	woken := newWakers(3)
	connections := &Connections{Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Pool: pool.New(pool.Config{OnReachable: woken.wake}), Wake: woken.wake, Domain: o.Domain, Now: o.Now}
	if err := mgr.Add(connections.Pool); err != nil {
		return fmt.Errorf("run the pool of connections: %w", err)
	}
	recorder := mgr.GetEventRecorder("castellan")
	namespaces := Namespaces{Reader: mgr.GetClient(), Live: mgr.GetAPIReader(), Only: o.Namespaces}
	if len(o.Namespaces) > 0 {
		namespaces.Reader = mgr.GetAPIReader()
	}
	shared := func(woken <-chan event.GenericEvent) common {
		return common{
			Client: mgr.GetClient(), Namespaces: namespaces, Clusters: connections, Clock: clock(o.Now),
			Events: recorder, Drift: o.DriftInterval, Woken: woken,
		}
	}
	reconcilers := []interface{ SetupWithManager(ctrl.Manager) error }{
		&KafkaClusterReconciler{
			Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Recorder: recorder, Connections: connections, Options: o,
		},
		&ExternalClusterReconciler{Client: mgr.GetClient(), Recorder: recorder, Connections: connections, Now: o.Now, Woken: woken[0]},
		newKafkaTopicReconciler(shared(woken[1]), o.ReassignmentRate),
		newKafkaUserReconciler(shared(woken[2]), mgr.GetAPIReader(), client.Prober{}),
	}
	for _, reconciler := range reconcilers {
		if err := reconciler.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("start %T: %w", reconciler, err)
		}
	}
	return nil
}

// clock is a Clock made of a function.
type clock func() time.Time

func (c clock) Now() time.Time { return c() }
