package cluster

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/plan"
)

func TestWhatTakesLongIsLookedAtLessOften(t *testing.T) {
	p, key, began := &patience{}, types.NamespacedName{Name: "events"}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		name  string
		after time.Duration
		waits string
		want  time.Duration
	}{
		{"at first soon", 0, "broker 1 is catching up on 90 partitions", whenUnderway},
		{"still soon", 8 * time.Second, "broker 1 is catching up on 80 partitions", whenUnderway},
		{"counts do not begin anew", 32 * time.Second, "broker 1 is catching up on 7 partitions", 2 * time.Second},
		{"at most that seldom", time.Hour, "broker 1 is catching up on 1 partition", whenHeld},
		{"another node does", time.Hour, "broker 2 is catching up on 1 partition", whenUnderway},
	} {
		next := &plan.Plan{Waiting: []string{step.waits}}
		if got := p.again(key, next, "", began.Add(step.after)); got != step.want {
			t.Errorf("%s: after %s it is looked at again in %s, want %s", step.name, step.after, got, step.want)
		}
	}
}

func TestCountsAloneAreWrittenEveryFewSeconds(t *testing.T) {
	p, key, began := &patience{}, types.NamespacedName{Name: "events"}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	status := func(summary string, below int32) *v1alpha1.KafkaClusterStatus {
		s := &v1alpha1.KafkaClusterStatus{PartitionsBelowMinISR: below}
		s.Plan.Summary = summary
		return s
	}
	old := status("broker 1 is catching up on 9 partitions", 9)
	less := status("broker 1 is catching up on 8 partitions", 8)
	if rest := p.pause(key, old, less, began); rest != 0 {
		t.Errorf("the first is kept back for %s", rest)
	}
	p.written(key, began)
	if rest := p.pause(key, old, less, began.Add(2*time.Second)); rest != 3*time.Second {
		t.Errorf("a count is kept back for %s, want 3s", rest)
	}
	for name, other := range map[string]*v1alpha1.KafkaClusterStatus{
		"another node":           status("broker 2 is catching up on 8 partitions", 8),
		"no partition any more":  status("broker 1 is catching up on 8 partitions", 0),
		"another generation":     {ObservedGeneration: 2, PartitionsBelowMinISR: 9, Plan: old.Plan},
		"what programs may read": {Brokers: "2/3", PartitionsBelowMinISR: 9, Plan: old.Plan},
	} {
		if rest := p.pause(key, old, other, began.Add(2*time.Second)); rest != 0 {
			t.Errorf("%s is kept back for %s", name, rest)
		}
	}
	if rest := p.pause(key, old, less, began.Add(5*time.Second)); rest != 0 {
		t.Errorf("after five seconds it is kept back for %s", rest)
	}
}
