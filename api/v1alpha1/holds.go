package v1alpha1

// Holds tells whether an annotation that holds something back does so: AnnotationPause, or AnnotationHoldAuthority. A
// misspelt value counts: whoever wrote it wanted to change something. What permits something is never read so.
func Holds(annotations map[string]string, annotation string) (holds, misspelt bool) {
	switch value, set := annotations[annotation]; {
	case !set || value == "false":
		return false, false
	default:
		return true, value != "true"
	}
}
