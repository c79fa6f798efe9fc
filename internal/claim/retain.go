package claim

import "github.com/castellan-dev/castellan/api/v1alpha1"

// DefaultPolicy says what becomes of a topic or user whose object says nothing of it: Retain, or empty for what its
// kind does by itself. annotations are those of the object's namespace, operator is the operator's own default. A
// misspelt value counts as Retain: whoever wrote it feared for something. A guest, whose namespace is not the
// cluster's, cannot lift the operator's default by it.
func DefaultPolicy(
	annotations map[string]string, guest bool, operator v1alpha1.DeletionPolicy,
) v1alpha1.DeletionPolicy {
	if operator != v1alpha1.DeletionRetain {
		operator = ""
	}
	switch value, said := annotations[v1alpha1.AnnotationDeletionPolicy]; {
	case !said, guest && value == string(v1alpha1.DeletionDelete):
		return operator
	case value == string(v1alpha1.DeletionDelete):
		return ""
	default:
		return v1alpha1.DeletionRetain
	}
}
