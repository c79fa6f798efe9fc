package users

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// Nobody is to wait for a password that is never made.
func TestAMisspeltAnnotationOfAKafkaUserIsAWarning(t *testing.T) {
	u, now := &v1alpha1.KafkaUser{}, time.Unix(3e6, 0)
	u.Annotations = map[string]string{"kafka.castellan.dev/rotate-pasword": "1", v1alpha1.AnnotationRotatePassword: "1",
		v1alpha1.AnnotationReissueCertificate: "1", v1alpha1.AnnotationPause: "false"}
	u.Status = StatusOf(u, Report{}, now)
	c := meta.FindStatusCondition(u.Status.Conditions, v1alpha1.ConditionWarning)
	if c == nil || c.Reason != "UnknownAnnotation" || strings.Count(c.Message, "metadata.annotations[") != 1 ||
		!strings.HasPrefix(c.Message, "metadata.annotations[kafka.castellan.dev/rotate-pasword]: ") ||
		!strings.Contains(c.Message, v1alpha1.AnnotationRotatePassword) {
		t.Fatalf("%+v", c)
	}
	if again := StatusOf(u, Report{}, now.Add(time.Hour)); !equality.Semantic.DeepEqual(again, u.Status) {
		t.Errorf("an hour later it is %+v", again)
	}
	delete(u.Annotations, "kafka.castellan.dev/rotate-pasword")
	if s := StatusOf(u, Report{}, now); meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionWarning) != nil {
		t.Error("the warning stays after its cause")
	}
}

func TestTheBrokersThatAUserLogsInOnAreCounted(t *testing.T) {
	for want, on := range map[string][]int32{"logs in on 1 broker": {0}, "logs in on 2 brokers": {0, 1}} {
		s := StatusOf(&v1alpha1.KafkaUser{}, Report{Credentials: &v1alpha1.Credentials{ProvenOn: on}}, time.Unix(3e6, 0))
		if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady); c == nil || c.Message != want {
			t.Errorf("%+v, want %s", c, want)
		}
	}
}
