package observe

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
)

// Whose tells whether an object is the cluster's, or a deleted predecessor's of its name. If it is neither, owner says
// whose it is, such as "Deployment web"; empty = it names nobody. A label alone proves little: kubectl expose copies
// the labels of what it exposes. What has no controller any more, because it was orphaned or restored, is the
// cluster's if it is labelled so and, where tools copy labels, also bears the mark of what the operator applies.
func Whose(kind string, o metav1.Object, cluster metav1.Object) (owner string, ours bool) {
	if c := metav1.GetControllerOf(o); c != nil {
		return c.Kind + " " + c.Name, c.UID == cluster.GetUID() || c.Kind == model.KindCluster && c.Name == cluster.GetName()
	}
	labels := o.GetLabels()
	switch labelled := labels[v1alpha1.LabelCluster]; {
	case labelled == "":
		return "", false
	case labelled != cluster.GetName():
		return model.KindCluster + " " + labelled, false
	}
	if kind == model.KindClaim {
		return "", claimed(labels)
	}
	k, known := KindOf(kind)
	isRoute := kind == string(exposure.RouteTLS) || kind == string(exposure.RouteTCP)
	return "", known && !k.Copied || !known && !isRoute || o.GetAnnotations()[v1alpha1.AnnotationApplied] != ""
}

// claimed tells that a claim bears the labels that the operator gives it, or at least those of a StatefulSet's
// template.
func claimed(labels map[string]string) bool {
	return labels[v1alpha1.LabelNodeID] != "" ||
		labels[v1alpha1.LabelPool] != "" && labels[v1alpha1.LabelVolume] != ""
}

// Serves tells that a ready pod of the cluster runs on the claim: whatever labels the claim has lost, it is the
// cluster's, for no node starts on a disk that another cluster has formatted.
func (l *Live) Serves(claim string) bool {
	return slices.ContainsFunc(l.Pods, func(pod corev1.Pod) bool {
		return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
		}) && IsReady(&pod)
	})
}

// IsReady tells what a pod's condition Ready says.
func IsReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
