package topics

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func TestAWordThatAListRepeatsCountsOnce(t *testing.T) {
	for _, c := range []struct {
		want, have string
		same       bool
	}{
		{"compact,compact", "compact", true},
		{"compact, delete ,compact", "compact,delete", true},
		{"compact,compact", "compact,compact", true}, // as Kafka before 4.3 tells it
		{"delete,compact,delete", "compact,delete", false},
		{"compact,compact", "delete", false},
		{"compact,", "compact", false},
	} {
		if got := sameValue(c.want, c.have); got != c.same {
			t.Errorf("%q and %q: %v", c.want, c.have, got)
		}
	}
}

func TestBlanksAroundAValueAreThoseThatJavaTakesOff(t *testing.T) {
	for _, value := range []string{" 5", "5\n", "\x005\x1f", "\t5 "} {
		if !sameValue(value, "5") {
			t.Errorf("%q is not 5", value)
		}
	}
	if value := "\u00a05"; sameValue(value, "5") {
		t.Errorf("%q is 5, and a mistake to Kafka", value)
	}
}

func TestMinISRWithBlanksAroundItIsANumber(t *testing.T) {
	s := v1alpha1.KafkaTopicStatus{ReplicationFactor: 1, Config: map[string]string{minISR: " 2 "}}
	warn(&s, 1, time.Unix(3e6, 0))
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionWarning)
	if c == nil || !strings.HasPrefix(c.Message, "min.insync.replicas is 2 and the topic has 1 replica: ") {
		t.Errorf("%+v", c)
	}
}
