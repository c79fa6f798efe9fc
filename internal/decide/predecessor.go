package decide

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/report"
)

// blocked says that what a deleted KafkaCluster of this name has left is still being removed; empty = nothing is.
// Whose an object is follows from its controller's UID. One without a controller was orphaned on purpose, and is taken
// over.
func blocked(in Inputs) string {
	left := leftOf(in.Cluster.UID, model.KindStatefulSet, in.Live.StatefulSets)
	left = append(left, endingPods(in)...)
	left = append(left, leftOf(in.Cluster.UID, model.KindSecret, in.Live.Secrets)...)
	left = append(left, leftOf(in.Cluster.UID, model.KindConfigMap, in.Live.ConfigMaps)...)
	left = append(left, leftOf(in.Cluster.UID, model.KindService, in.Live.Services)...)
	left = append(left, leftOf(in.Cluster.UID, model.KindBudget, in.Live.Budgets)...)
	if len(left) == 0 {
		return ""
	}
	left[0] += " of the deleted KafkaCluster of this name is still being removed"
	return report.First(left)
}

func leftOf[T metav1.Object](cluster types.UID, kind string, objects map[string]T) []string {
	var left []string
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		owner := metav1.GetControllerOf(objects[name])
		if owner != nil && owner.Kind == model.KindCluster && owner.UID != cluster {
			left = append(left, kind+" "+name)
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

// hasRun tells that a container of a pod has been started once. Until then nothing in it has read a key.
func hasRun(pod *corev1.Pod) bool {
	return pod.Status.Phase != corev1.PodPending ||
		slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.ContainerID != "" })
}
