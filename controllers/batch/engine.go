package batch

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// Linger is how long the first event of a flush waits for company.
	Linger = 30 * time.Millisecond
	// Bound is the largest number of names in one flush.
	Bound = 500
	// DriftInterval is how often live state is compared with what was asked when nothing has happened, unless an Engine
	// says otherwise.
	DriftInterval = 10 * time.Minute
	// FlushTimeout bounds what a flush asks of Kafka, so that a cluster that does not answer gives its worker back.
	// What has been seen is reported all the same.
	FlushTimeout = 30 * time.Second
)

// Engine reconciles clusters: the request is the cluster, the work is its dirty names.
type Engine struct {
	Queue *Queue
	// Interval takes the place of DriftInterval unless it is zero.
	Interval time.Duration
	// All lists every name that is claimed on a cluster.
	All func(ctx context.Context, cluster types.NamespacedName) ([]string, error)
	// Flush brings the given names up to date. It returns those of which nothing is known, with the error that the
	// whole cluster is retried for; what only needs another look later it marks in the Queue itself.
	Flush func(ctx context.Context, cluster types.NamespacedName, names []string) (failed []string, err error)
}

// Reconcile takes what is dirty of one cluster through one flush and says when the next is due. A cluster at rest
// asks for nothing but the next drift check.
func (e *Engine) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	cluster := req.NamespacedName
	due, drift := e.Queue.Drift(cluster, cmp.Or(e.Interval, DriftInterval))
	if due {
		names, err := e.All(ctx, cluster)
		if err != nil {
			return reconcile.Result{}, fmt.Errorf("list what is claimed on KafkaCluster %s: %w", cluster, err)
		}
		if e.Queue.Mark(cluster, names...); len(names) == 0 {
			e.Queue.Forget(cluster)
		}
	}
	names := e.Queue.Take(cluster, Bound)
	if len(names) > 0 {
		failed, err := e.Flush(ctx, cluster, names)
		e.Queue.Mark(cluster, failed...)
		if err != nil {
			return reconcile.Result{}, err
		}
	}
	if next, waits := e.Queue.Next(cluster); waits {
		drift = min(drift, next)
	} else if due && len(names) == 0 {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: max(drift, time.Millisecond)}, nil
}
