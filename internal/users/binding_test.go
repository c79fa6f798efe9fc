package users

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// Whoever may write the Secret may write that list.
func TestTheListOfATemplatesKeysTakesNothingOfTheOperatorsOff(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelCluster: "events",
			"tier": "gold"},
		Annotations: map[string]string{v1alpha1.AnnotationSalt: "0a", "copy": "all", v1alpha1.AnnotationTemplate: "label:" +
			v1alpha1.LabelManagedBy + " label:" + v1alpha1.LabelCluster + " label:tier annotation:copy annotation:" +
			v1alpha1.AnnotationSalt}}}
	if faults := Dress(secret, guest()); len(faults) > 0 {
		t.Error(faults)
	}
	if len(secret.Labels) != 2 || secret.Annotations[v1alpha1.AnnotationSalt] != "0a" || len(secret.Annotations) != 1 {
		t.Errorf("%v %v", secret.Labels, secret.Annotations)
	}
}
