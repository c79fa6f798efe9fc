// Package batch turns single events into flushes: it keeps, for each cluster, the names that want looking at, hands
// them out in bounded numbers, spreads the drift check over time, and writes objects so that a flush never acts on a
// cache that has not yet seen the flush before it. It knows nothing of topics, users or Kafka.
package batch

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Queue holds the dirty names of every cluster. A name marked many times is handed out once; memory is bounded by the
// number of names that exist. All methods are safe for concurrent use.
type Queue struct {
	// Now is the clock; nil = the machine's.
	Now func() time.Time

	mu       sync.Mutex
	clusters map[types.NamespacedName]*pending
}

// pending is what waits for one cluster.
type pending struct {
	due     map[string]time.Time
	retries map[string]int
	drift   time.Time // zero = not planned
}

// Mark makes names due at once.
func (q *Queue) Mark(cluster types.NamespacedName, names ...string) {
	q.MarkAfter(cluster, 0, names...)
}

// MarkAfter makes names due after a delay; a name that is due earlier stays so.
func (q *Queue) MarkAfter(cluster types.NamespacedName, delay time.Duration, names ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := q.now().Add(delay)
	p := q.of(cluster)
	for _, name := range names {
		if old, ok := p.due[name]; !ok || at.Before(old) {
			p.due[name] = at
		}
	}
}

// Retry makes a name due after a delay that doubles from base to limit with every Retry since the last Settled.
func (q *Queue) Retry(cluster types.NamespacedName, name string, base, limit time.Duration) {
	q.mu.Lock()
	p := q.of(cluster)
	n := min(p.retries[name], 30)
	p.retries[name] = n + 1
	q.mu.Unlock()
	delay := limit
	if scaled := base << n; scaled > 0 && scaled < limit {
		delay = scaled
	}
	q.MarkAfter(cluster, delay, name)
}

// Settled forgets the retries of a name.
func (q *Queue) Settled(cluster types.NamespacedName, name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p, ok := q.clusters[cluster]; ok {
		delete(p.retries, name)
	}
}

// Take hands out at most limit names that are due, the longest waiting first. What it hands out is no longer dirty.
func (q *Queue) Take(cluster types.NamespacedName, limit int) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	p, ok := q.clusters[cluster]
	if !ok {
		return nil
	}
	now := q.now()
	names := make([]string, 0, len(p.due))
	for name, at := range p.due {
		if !at.After(now) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(p.due[a].Compare(p.due[b]), cmp.Compare(a, b))
	})
	names = slices.Clip(names[:min(limit, len(names))])
	for _, name := range names {
		delete(p.due, name)
	}
	return names
}

// Next tells how long it takes until a name is due, zero when one is; false = nothing waits.
func (q *Queue) Next(cluster types.NamespacedName) (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p, ok := q.clusters[cluster]
	if !ok || len(p.due) == 0 {
		return 0, false
	}
	now := q.now()
	var first time.Duration = 1<<63 - 1
	for _, at := range p.due {
		first = min(first, at.Sub(now))
	}
	return max(first, 0), true
}

// Drift tells whether everything of a cluster is to be looked at again, and how long until then when not. The first
// call plans the first check; each check plans the next, an interval later give or take a tenth, so that clusters
// spread out.
func (q *Queue) Drift(cluster types.NamespacedName, interval time.Duration) (due bool, next time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p, now := q.of(cluster), q.now()
	due = !p.drift.IsZero() && !now.Before(p.drift)
	if due || p.drift.IsZero() {
		jitter := time.Duration((rand.Float64() - 0.5) * 0.2 * float64(interval))
		p.drift = now.Add(interval + jitter)
	}
	return due, p.drift.Sub(now)
}

// Forget drops a cluster that nothing refers to any more, unless something has become dirty meanwhile.
func (q *Queue) Forget(cluster types.NamespacedName) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p, ok := q.clusters[cluster]; ok && len(p.due) == 0 {
		delete(q.clusters, cluster)
	}
}

func (q *Queue) of(cluster types.NamespacedName) *pending {
	p, ok := q.clusters[cluster]
	if !ok {
		if q.clusters == nil {
			q.clusters = map[types.NamespacedName]*pending{}
		}
		p = &pending{due: map[string]time.Time{}, retries: map[string]int{}}
		q.clusters[cluster] = p
	}
	return p
}

func (q *Queue) now() time.Time {
	if q.Now != nil {
		return q.Now()
	}
	return time.Now()
}
