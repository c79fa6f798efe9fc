package controllers

import (
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/pool"
)

// Setup starts all controllers with the manager. They share one pool of connections.
func Setup(mgr ctrl.Manager, o Options) error {
	woken := newWakers(3)
	connections := &Connections{Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Pool: pool.New(pool.Config{OnReachable: woken.wake}), Domain: o.Domain, Now: o.Now}
	if err := mgr.Add(connections.Pool); err != nil {
		return fmt.Errorf("run the pool of connections: %w", err)
	}
	recorder := mgr.GetEventRecorder("castellan")
	namespaces := Namespaces{Reader: mgr.GetClient(), Only: o.Namespaces}
	if len(o.Namespaces) > 0 {
		namespaces.Reader = mgr.GetAPIReader()
	}
	reconcilers := []interface{ SetupWithManager(ctrl.Manager) error }{
		&KafkaClusterReconciler{
			Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Recorder: recorder, Connections: connections, Options: o,
		},
		&ExternalClusterReconciler{Client: mgr.GetClient(), Recorder: recorder, Connections: connections, Now: o.Now, Woken: woken[0]},
		&KafkaTopicReconciler{
			Client: mgr.GetClient(), Namespaces: namespaces, Clusters: connections,
			Clock: clock(o.Now), Events: recorder, Drift: o.DriftInterval, Rate: o.ReassignmentRate, Woken: woken[1],
		},
		&KafkaUserReconciler{
			Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Namespaces: namespaces, Clusters: connections, Prober: client.Prober{},
			Clock: clock(o.Now), Events: recorder, Drift: o.DriftInterval, Woken: woken[2],
		},
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
