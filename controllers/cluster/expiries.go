package cluster

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

// expiries are the metric of when certificates end. What it says is counted when it is read, and not when a cluster was
// looked at last.
type expiries struct {
	now func() time.Time

	mu       sync.Mutex
	clusters map[types.NamespacedName]map[string]time.Time // by kind of certificate, decide.ExpiryAuthority and others
}

var expirySeconds = prometheus.NewDesc("castellan_certificate_expiry_seconds",
	"Seconds until the first certificate of this kind ends; negative = it has ended.",
	[]string{"namespace", "cluster", "certificate"}, nil)

// keep remembers when the certificates of a cluster end; nil forgets it.
func (e *expiries) keep(cluster types.NamespacedName, ends map[string]time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ends == nil {
		delete(e.clusters, cluster)
		return
	}
	if e.clusters == nil {
		e.clusters = map[types.NamespacedName]map[string]time.Time{}
	}
	e.clusters[cluster] = ends
}

// Describe implements prometheus.Collector.
func (e *expiries) Describe(to chan<- *prometheus.Desc) { to <- expirySeconds }

// Collect implements prometheus.Collector.
func (e *expiries) Collect(to chan<- prometheus.Metric) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for cluster, ends := range e.clusters {
		for kind, end := range ends {
			to <- prometheus.MustNewConstMetric(expirySeconds, prometheus.GaugeValue, end.Sub(e.now()).Seconds(),
				cluster.Namespace, cluster.Name, kind)
		}
	}
}
