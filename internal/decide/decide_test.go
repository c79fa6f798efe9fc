package decide

import (
	"slices"
	"testing"

	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/verdict"
)

func TestAFieldThatHoldsManyNodesIsTheFaultOnce(t *testing.T) {
	faults := heldVerdicts([]plan.Held{
		{Node: 0, Message: "it ends by itself"},
		{Node: 1, Field: "spec.rolling.unavailable", Message: "broker 1 not restarted: a"},
		{Node: 2, Field: "spec.pools[main].replicas", Message: "broker 2 not removed: b"},
		{Node: 3, Field: "spec.rolling.unavailable", Message: "broker 3 not restarted: c"},
	})
	want := []verdict.Verdict{
		verdict.Stalled(verdict.ReasonHeld, "spec.rolling.unavailable", "broker 1 not restarted: a; and 1 more"),
		verdict.Stalled(verdict.ReasonHeld, "spec.pools[main].replicas", "broker 2 not removed: b"),
	}
	if !slices.Equal(faults, want) {
		t.Errorf("got %v, want %v", faults, want)
	}
}
