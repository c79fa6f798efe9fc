package topics

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
)

func TestMinISRWithBlanksAroundItIsANumber(t *testing.T) {
	s := v1alpha1.KafkaTopicStatus{ReplicationFactor: 1, Config: map[string]string{minISR: " 2 "}}
	warn(&s, &v1alpha1.KafkaTopic{}, time.Unix(3e6, 0))
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionWarning)
	if c == nil || !strings.HasPrefix(c.Message, "min.insync.replicas is 2 and the topic has 1 replica: ") {
		t.Errorf("%+v", c)
	}
}

func TestATopicMatchesWhateverTheOrderOfItsPoliciesAndTheSpellingOfItsValues(t *testing.T) {
	live := kafka.Topic{Name: "a", ID: "id", Partitions: 1, ReplicationFactor: 1, Config: map[string]string{
		"cleanup.policy": "compact,delete", "min.cleanable.dirty.ratio": "0.5", "preallocate": "false",
	}}
	d := Desired{Name: "a", Adoption: v1alpha1.AdoptionIfMatching, Config: map[string]string{
		"cleanup.policy": "delete, compact", "min.cleanable.dirty.ratio": "5e-1", "preallocate": "FALSE",
	}}
	changes, outcomes := Plan([]Desired{d}, map[string]kafka.Topic{"a": live}, moves.Survey{})
	if out := outcomes["a"]; len(out.Verdicts) != 0 || !changes.Empty() {
		t.Errorf("%v %v", out.Verdicts, changes.Alter)
	}
}
