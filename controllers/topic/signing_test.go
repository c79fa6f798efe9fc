package topic

import (
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/controllertest"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// Somebody labels an object between our reading and our first write of its status.
func labelledBetween(w *world, name string) {
	done := false
	w.Around = func(verb, of string, write func() error) error {
		if verb == "status" && of == name && !done {
			done = true
			live := &v1alpha1.KafkaTopic{}
			_ = w.Client.Get(w.T.Context(), controllertest.ObjectKey("shop", name), live)
			live.Labels = map[string]string{"x": "y"}
			around := w.Around
			w.Around = nil
			if err := w.Client.Update(w.T.Context(), live); err != nil {
				w.T.Log(err)
			}
			w.Around = around
		}
		return write()
	}
}

// A first status that somebody else's write overtakes is written all the same, and the next objects are signed.
func TestAnOvertakenStatusIsWrittenAgainAndEndsNoSigning(t *testing.T) {
	w := installed(t, "a/castellan", "a/castellan", controllertest.NewTopic("busy", "1", time.Hour))
	labelledBetween(w, "busy")
	w.Settle("busy")
	s := w.Topic("busy").Status
	if controllertest.State(s.Conditions) != "Ready" {
		next, waits := w.Queue.Next(controllertest.ClusterKey)
		t.Errorf("status of busy: %+v; looked at again in %s (%t)", s, next, waits)
	}
	w.Around = nil
	w.Apply(controllertest.NewTopic("orders", "2", time.Hour))
	w.Settle("orders")
	if s := w.Topic("orders").Status; s.Operator != "a/castellan" {
		t.Errorf("orders is not signed: %+v", s)
	}
	// the other operator sees the topic and not the cluster
	w.Remove(w.Topic("orders"))
	w.Shared.Namespaces.Only = []string{"elsewhere"}
	w.install("b/castellan")
	w.Settle("orders")
	if w.Topic("orders") == nil {
		t.Errorf("b has let orders go; in Kafka: %v", w.Kafka.Topics)
	}
}

// A user deletes a topic that has no finalizer, such as a loser, before its first status is written.
func TestAnObjectThatIsGoneEndsNoSigning(t *testing.T) {
	w := installed(t, "a/castellan", "a/castellan", controllertest.NewTopic("one", "1", time.Hour))
	w.Settle("one")
	bad := controllertest.NewTopic("two", "3", 0)
	bad.Spec.Name = "one"
	w.Apply(bad)
	done := false
	w.Around = func(verb, of string, write func() error) error {
		if verb == "status" && of == "two" && !done {
			done = true
			w.Remove(w.Topic("two"))
		}
		return write()
	}
	w.Settle("one")
	w.Around = nil
	w.Apply(controllertest.NewTopic("orders", "2", time.Hour))
	w.Settle("orders")
	if s := w.Topic("orders").Status; s.Operator != "a/castellan" {
		t.Errorf("orders is not signed: %+v", s)
	}
}

// What is announced and then refused is written to twice before the first status.
func TestATopicThatKafkaRefusesSaysSoInAClusterWithAnOperatorOnRecord(t *testing.T) {
	w := installed(t, "a/castellan", "a/castellan", controllertest.NewTopic("orders", "1", time.Hour))
	w.Kafka.Refuse["orders"] = &kafka.Refusal{Code: "POLICY_VIOLATION", Message: "no"}
	w.Settle("orders")
	c := w.Topic("orders").Status.Conditions
	if controllertest.State(c) != "Stalled/PolicyViolation" || !strings.Contains(controllertest.Message(c), "Kafka says: no") {
		t.Errorf("it says %s: %s", controllertest.State(c), controllertest.Message(c))
	}
	w.WantSilence("orders")
}
