package cluster

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/plan"
)

// patience remembers for how long each cluster has waited for the same, and when its status was last written. A view of
// Kafka costs brokers a dozen requests, so what takes hours is not looked at twice a second. A new leader begins anew.
type patience struct {
	mu    sync.Mutex
	waits map[types.NamespacedName]wait
	wrote map[types.NamespacedName]time.Time
}

type wait struct {
	what  string
	since time.Time
}

// countsPause is how long a status that differs from the written one in counts alone is kept back.
const countsPause = 5 * time.Second

// counts are the numbers of what a plan tells, such as "12 partitions". The ids of nodes are none.
var counts = regexp.MustCompile(`\d+ ((partition|restart|replica|in-sync replica|voter|move)s?|more)\b|` +
	`\d+ of \d+ moves?|[\d.]+( of [\d.]+)? ([KMGT]i)?B\b|\d+%|, about \d+ min left`)

// again says when to look again at what is under way: a sixteenth of the time for which the same has been under way,
// from whenUnderway to whenHeld. Counts that change do not make it another thing.
func (p *patience) again(cluster types.NamespacedName, next *plan.Plan, blocked string, now time.Time) time.Duration {
	told := slices.Concat([]string{blocked}, next.Waiting)
	for _, step := range next.Steps {
		told = append(told, step.String())
	}
	if next.Course != nil {
		told = append(told, next.Course.Text())
	}
	what := counts.ReplaceAllString(strings.Join(told, "\n"), "#")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waits == nil {
		p.waits = map[types.NamespacedName]wait{}
	}
	if before := p.waits[cluster]; before.what != what || now.Before(before.since) {
		p.waits[cluster] = wait{what: what, since: now}
	}
	return min(whenHeld, max(whenUnderway, now.Sub(p.waits[cluster].since)/16))
}

// written notes that a cluster's status was written.
func (p *patience) written(cluster types.NamespacedName, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wrote == nil {
		p.wrote = map[types.NamespacedName]time.Time{}
	}
	p.wrote[cluster] = now
}

// pause is for how long a status is to be kept back; 0 = it is written now.
func (p *patience) pause(
	cluster types.NamespacedName, old, next *v1alpha1.KafkaClusterStatus, now time.Time,
) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := countsPause - now.Sub(p.wrote[cluster])
	if rest <= 0 || rest > countsPause || !equality.Semantic.DeepEqual(withoutCounts(old), withoutCounts(next)) {
		return 0
	}
	return rest
}

func (p *patience) forget(cluster types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waits, cluster)
	delete(p.wrote, cluster)
}

// withoutCounts is a status with the counts taken out of its sentences. What programs read stays, but for the number of
// partitions, of which it tells whether there are any.
func withoutCounts(status *v1alpha1.KafkaClusterStatus) *v1alpha1.KafkaClusterStatus {
	s := status.DeepCopy()
	s.PartitionsBelowMinISR = min(1, s.PartitionsBelowMinISR)
	blank := func(text *string) { *text = counts.ReplaceAllString(*text, "#") }
	for i := range s.Conditions {
		blank(&s.Conditions[i].Message)
	}
	for i := range s.Nodes {
		blank(&s.Nodes[i].Message)
	}
	for i := range s.Plan.Next {
		blank(&s.Plan.Next[i])
	}
	for i := range s.Plan.Held {
		blank(&s.Plan.Held[i])
	}
	blank(&s.Plan.Summary)
	if b := s.Balancing; b != nil {
		blank(&b.Message)
		b.MovesDone, b.MovesLeft, b.BytesDone, b.BytesLeft, b.Percent, b.EstimatedCompletion = 0, 0, 0, 0, 0, nil
	}
	return s
}
