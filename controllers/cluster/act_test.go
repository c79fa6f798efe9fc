package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/kafka"
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

// strict is a Kafka that refuses every request with one of some keys, or loses every one.
type strict struct {
	kafka.ClusterAdmin
	refuses map[string]bool
	down    bool
	config  map[string]string
}

func (k *strict) AlterBrokerConfig(_ context.Context, _ int32, changes []kafka.ConfigChange) error {
	if k.down {
		return kafka.ErrUnreachable
	}
	for _, c := range changes {
		if k.refuses[c.Key] {
			return &kafka.Refusal{Code: "INVALID_REQUEST", Message: "no " + c.Key}
		}
	}
	for _, c := range changes {
		k.config[c.Key] = *c.Value
	}
	return nil
}

func TestAKeyThatKafkaRefusesKeepsNoOtherOut(t *testing.T) {
	value := "1"
	step := plan.Step{Kind: plan.AlterConfig, Node: kafka.AllBrokers}
	for _, key := range []string{"a", "bad", "c"} {
		step.Changes = append(step.Changes, kafka.ConfigChange{Key: key, Value: &value})
	}
	r := &Reconciler{Recorder: events.NewFakeRecorder(10)}
	newPass := func() *scope {
		return newScope(decide.Inputs{Cluster: &v1alpha1.KafkaCluster{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: "events"}}})
	}
	k, s := &strict{refuses: map[string]bool{"bad": true}, config: map[string]string{}}, newPass()
	if err := r.send(t.Context(), s, k, step); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(k.config)); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("Kafka has %v", got)
	}
	if len(s.refused) != 1 || s.refused[0].Field != "spec.config[bad]" {
		t.Errorf("refused: %v", s.refused)
	}
	k, s = &strict{down: true}, newPass()
	if err := r.send(t.Context(), s, k, step); !errors.Is(err, kafka.ErrUnreachable) || len(s.refused) != 0 {
		t.Errorf("%v %v", err, s.refused)
	}
}
