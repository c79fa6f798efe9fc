package decide

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/report"
)

// blocked says that what a deleted KafkaCluster of this name has left is still being removed; empty = nothing is.
// Whose an object is follows from its controller's UID. One without a controller was orphaned on purpose, and is taken
// over.
func blocked(in Inputs) string {
	var left []string
	for _, kind := range observe.Kinds {
		if !kind.Outlives {
			left = append(left, leftOf(in.Cluster.UID, kind.Name, in.Live.All(kind))...)
		}
		if kind.Name == model.KindStatefulSet {
			left = append(left, endingPods(in)...)
		}
	}
	left = append(left, endingClaims(in)...)
	if len(left) == 0 {
		return ""
	}
	left[0] += " of the deleted KafkaCluster of this name is still being removed"
	return report.First(left)
}

func leftOf(cluster types.UID, kind string, objects []metav1.Object) []string {
	var left []string
	for _, object := range objects {
		owner := metav1.GetControllerOf(object)
		if owner != nil && owner.Kind == model.KindCluster && owner.UID != cluster {
			left = append(left, kind+" "+object.GetName())
		}
	}
	return left
}

// endingPods are those whose StatefulSet is gone. For a KafkaCluster that has not begun they are its predecessor's:
// they hold the disks and the names that its own pods need, and trust an authority that nobody has any more. A
// KafkaCluster that has begun gets its lost StatefulSet back whatever the old pods do.
func endingPods(in Inputs) []string {
	if in.Cluster.Status.ClusterID != "" {
		return nil
	}
	alive := map[types.UID]bool{}
	for _, set := range in.Live.StatefulSets {
		alive[set.UID] = true
	}
	var left []string
	for i := range in.Live.Pods {
		owner := metav1.GetControllerOf(&in.Live.Pods[i])
		if owner != nil && owner.Kind == model.KindStatefulSet && !alive[owner.UID] {
			left = append(left, "pod "+in.Live.Pods[i].Name)
		}
	}
	slices.Sort(left)
	return left
}

// endingClaims are those that Kubernetes deletes with the predecessor, as that has asked. A KafkaCluster that has not
// begun would take them back, and lose their records while it starts.
func endingClaims(in Inputs) []string {
	if in.Cluster.Status.ClusterID != "" {
		return nil
	}
	var left []string
	for name, claim := range in.Live.Claims {
		if slices.ContainsFunc(claim.OwnerReferences, func(o metav1.OwnerReference) bool {
			return o.Kind == model.KindCluster && o.Name == in.Cluster.Name && o.UID != in.Cluster.UID
		}) {
			left = append(left, model.KindClaim+" "+name)
		}
	}
	slices.Sort(left)
	return left
}

// hasRun tells that a container of a pod has been started once. Until then nothing in it has read a key.
func hasRun(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodPending ||
		slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.ContainerID != "" })
}
