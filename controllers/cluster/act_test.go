package cluster

import (
	"testing"

	"github.com/castellan-dev/castellan/internal/plan"
)

func TestEveryStepOfThePlanHasSomebodyWhoCarriesItOut(t *testing.T) {
	used := map[plan.Act]bool{}
	for _, kind := range plan.Kinds() {
		act := kind.Row().Act
		used[act] = true
		if executors[act] == nil {
			t.Errorf("%s: nobody carries out %s", kind, act)
		}
		if sends := requests[kind] != nil; sends != (act == plan.AskKafka) {
			t.Errorf("%s is carried out by %s, and has a request to Kafka: %t", kind, act, sends)
		}
	}
	for act := range executors {
		if !used[act] {
			t.Errorf("no step is carried out by %s", act)
		}
	}
	if len(requests) > len(plan.Kinds()) {
		t.Errorf("%d requests for %d kinds of steps", len(requests), len(plan.Kinds()))
	}
}
