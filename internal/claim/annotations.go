package claim

import (
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/status"
)

// ReasonUnknownAnnotation is a reason of Warning.
const ReasonUnknownAnnotation = "UnknownAnnotation"

const annotationPrefix = "kafka.castellan.dev/"

// Asks tells whether an annotation is one by which people ask the operator for something, or would be if it were spelt
// as it should be. What the operator itself notes is none.
func Asks(annotation string) bool {
	return strings.HasPrefix(annotation, annotationPrefix) && annotation != v1alpha1.AnnotationCreating
}

// UnknownAnnotations says which annotations of an object nobody will ever act upon; empty = there are none. Those in
// known mean something to its kind.
func UnknownAnnotations(kind string, o metav1.Object, known ...string) string {
	said := "the operator knows no annotation of a " + kind + "; remove it"
	if len(known) > 0 {
		said = "the operator knows no such annotation of a " + kind + "; use " +
			strings.Join(known, " or ") + ", or remove it"
	}
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(o.GetAnnotations())) {
		if Asks(key) && !slices.Contains(known, key) {
			unknown = append(unknown, "metadata.annotations["+key+"]: "+said)
		}
	}
	return strings.Join(unknown, "; ")
}

// Warn sets the condition Warning, or takes it off where there is nothing to say.
func Warn(conditions *[]metav1.Condition, o metav1.Object, reason, message string, now time.Time) {
	if message == "" {
		meta.RemoveStatusCondition(conditions, v1alpha1.ConditionWarning)
		return
	}
	status.Set(conditions, v1alpha1.ConditionWarning, metav1.ConditionTrue, o.GetGeneration(), reason, message, now)
}
