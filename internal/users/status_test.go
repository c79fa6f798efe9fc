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
	u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismPlain, v1alpha1.MechanismTLS}
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

func TestWhatNothingWillComeOfIsAWarning(t *testing.T) {
	external := []v1alpha1.Mechanism{v1alpha1.MechanismExternal}
	for name, c := range map[string]struct {
		mechanisms   []v1alpha1.Mechanism
		named        string
		annotation   string
		reason, says string // empty = nothing is said
	}{
		"another password without one": {[]v1alpha1.Mechanism{v1alpha1.MechanismTLS}, "app", v1alpha1.AnnotationRotatePassword,
			"IdleAnnotation", "rotate-password]: the user has no password, and nothing comes of it; remove it"},
		"another password": {[]v1alpha1.Mechanism{v1alpha1.MechanismTLS, v1alpha1.MechanismPlain}, "app",
			v1alpha1.AnnotationRotatePassword, "", ""},
		"another certificate without one": {[]v1alpha1.Mechanism{v1alpha1.MechanismScram512}, "app",
			v1alpha1.AnnotationReissueCertificate, "IdleAnnotation", "reissue-certificate]: the user has no certificate"},
		"another certificate": {[]v1alpha1.Mechanism{v1alpha1.MechanismTLS}, "app", v1alpha1.AnnotationReissueCertificate,
			"", ""},
		"a pause":                {external, "app", v1alpha1.AnnotationPause, "", ""},
		"Kafka's prefix":         {external, "User:app", "", "UnlikelyName", `spec.name: "User:app" begins with User:`},
		"a space after a comma":  {external, "CN=app, O=Example", "", "UnlikelyName", "a space after a comma"},
		"as brokers print it":    {external, `CN=app\, too=1,OU=Team A,O=Example`, "", "", ""},
		"a subject with a comma": {external, "oidc:a, b", "", "", ""},
		"one thing, and another": {external, "User:app", v1alpha1.AnnotationRotatePassword, "IdleAnnotation", "; spec.name: "},
	} {
		t.Run(name, func(t *testing.T) {
			u := &v1alpha1.KafkaUser{}
			u.Spec.Name, u.Spec.Authentication.Mechanisms = c.named, c.mechanisms
			if c.annotation != "" {
				u.Annotations = map[string]string{c.annotation: "1"}
			}
			s := StatusOf(u, Report{}, time.Unix(3e6, 0))
			got := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionWarning)
			if c.reason == "" && got != nil || c.reason != "" &&
				(got == nil || got.Reason != c.reason || !strings.Contains(got.Message, c.says)) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Whoever asks for a second password in an overlap sees when it comes.
func TestARotationThatWaitsSaysUntilWhen(t *testing.T) {
	const waits = ", and gets the password that is asked for at 1970-02-04T17:20:40Z, when the one before its present one ends"
	for asks, want := range map[string]string{"": "", "one": "", "two": waits} {
		u, now := &v1alpha1.KafkaUser{}, time.Unix(3e6, 0)
		u.Spec.Authentication.Mechanisms = []v1alpha1.Mechanism{v1alpha1.MechanismPlain}
		u.Spec.Authentication.PasswordRotation = &v1alpha1.PasswordRotation{OverlapSeconds: new(int32)}
		*u.Spec.Authentication.PasswordRotation.OverlapSeconds = 60
		u.Annotations = map[string]string{v1alpha1.AnnotationRotatePassword: asks}
		r := RotationOf(u, Made{At: now.Add(-20 * time.Second), Rotated: true, Request: "one"}, now)
		s := StatusOf(u, Report{Credentials: &v1alpha1.Credentials{ProvenOn: []int32{0}}, Rotation: &r}, now)
		c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Message != "logs in on 1 broker"+want {
			t.Errorf("%q: %+v", asks, c)
		}
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
