package claim

import (
	"testing"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

func TestAnAnnotationThatTheOperatorDoesNotKnowIsToldWithThoseThatItKnows(t *testing.T) {
	const cure = "the operator knows no such annotation of a KafkaUser; use kafka.castellan.dev/pause or " +
		"kafka.castellan.dev/rotate-password, or remove it"
	for name, c := range map[string]struct {
		annotations map[string]string
		want        string
	}{
		"none":        {nil, ""},
		"a known one": {map[string]string{v1alpha1.AnnotationRotatePassword: "1"}, ""},
		"somebody else's": {map[string]string{
			"castellan.dev/rotate-pasword": "1", "kubectl.kubernetes.io/last-applied-configuration": "{}"}, ""},
		"a misspelt one": {map[string]string{"kafka.castellan.dev/rotate-pasword": "1", v1alpha1.AnnotationPause: "true"},
			"metadata.annotations[kafka.castellan.dev/rotate-pasword]: " + cure},
		"two, in their order": {map[string]string{"kafka.castellan.dev/b": "1", "kafka.castellan.dev/a": "1"},
			"metadata.annotations[kafka.castellan.dev/a]: " + cure + "; metadata.annotations[kafka.castellan.dev/b]: " + cure},
	} {
		u := &v1alpha1.KafkaUser{}
		u.Annotations = c.annotations
		got := UnknownAnnotations("KafkaUser", u, v1alpha1.AnnotationPause, v1alpha1.AnnotationRotatePassword)
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}
