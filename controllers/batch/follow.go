package batch

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// clusterFollows is how long an object waits for a KafkaCluster, or for what only a change of that brings, before it
// counts as a mistake. Tools apply in any order, and give up at once on what is Stalled.
const clusterFollows = 20 * time.Second

// followers remembers since when something of the cluster has been seen to be missing. The zero value is ready, and
// safe for concurrent use.
type followers struct {
	mu    sync.Mutex
	since map[string]time.Time
	tidy  int // how many there may be before those that are over are dropped
}

// left is for how long what is missing may still follow.
func (f *followers) left(what string, now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if first, known := f.since[what]; known {
		return clusterFollows - now.Sub(first)
	}
	if f.since == nil {
		f.since = map[string]time.Time{}
	}
	if len(f.since) >= max(f.tidy, leastTidy) {
		for other, first := range f.since {
			if now.Sub(first) > 2*clusterFollows {
				delete(f.since, other)
			}
		}
		f.tidy = 2 * len(f.since)
	}
	f.since[what] = now
	return clusterFollows
}

const leastTidy = 64

// Follow has an object wait for a while for what a change of its KafkaCluster can bring. Once its status says that it
// is Stalled, nothing is written for another look.
func (p *Pass[T, S]) Follow(o T, v verdict.Verdict) verdict.Verdict {
	if !v.Follows || v.Passes() {
		return v
	}
	r := p.reconciler
	stalled := meta.FindStatusCondition(*r.Conditions(r.Status(o)), v1alpha1.ConditionStalled)
	if stalled != nil && stalled.Reason == v.Reason && stalled.ObservedGeneration == o.GetGeneration() {
		return v
	}
	left := r.followers.left(fmt.Sprintf("%s/%d/%s", o.GetUID(), o.GetGeneration(), v.Reason), r.Clock.Now())
	if left <= 0 {
		return v
	}
	r.Queue.MarkAfter(p.Cluster.Key, left, r.Key(o).Name)
	v.State = verdict.StateWaiting
	return v
}
