package observe

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// selectedNode is the annotation of a claim in which the scheduler names the node that a volume is to be made for.
const selectedNode = "volume.kubernetes.io/selected-node"

func observeClaims(c *model.Cluster, live *Live, observation *model.Observation) {
	for _, name := range slices.Sorted(maps.Keys(live.Claims)) {
		claim := live.Claims[name]
		id, err := strconv.ParseInt(claim.Labels[v1alpha1.LabelNodeID], 10, 32)
		if err != nil {
			continue
		}
		node := observation.Nodes[int32(id)]
		volume := claim.Labels[v1alpha1.LabelVolume]
		node.Claims = append(node.Claims, model.ObservedClaim{
			Volume: volume, Name: claim.Name, UID: string(claim.UID), ClusterID: claim.Labels[v1alpha1.LabelClusterID],
			Bound: claim.Status.Phase == corev1.ClaimBound, Lost: claim.Status.Phase == corev1.ClaimLost,
			Pending: !model.HasVolume(claim), Class: claim.Spec.StorageClassName,
			Deleting: claim.DeletionTimestamp != nil, Replace: claim.Annotations[v1alpha1.AnnotationReplace] == "true",
			KubernetesNode: claim.Annotations[selectedNode], Pool: claim.Labels[v1alpha1.LabelPool],
			Requested:  claim.Spec.Resources.Requests[corev1.ResourceStorage],
			Capacity:   claim.Status.Capacity[corev1.ResourceStorage],
			Attributes: claim.Spec.VolumeAttributesClassName, Growth: growth(claim),
			Unwanted: claim.Annotations[v1alpha1.AnnotationWhenScaled] == string(v1alpha1.RetentionDelete),
		})
		if desired := c.Node(int32(id)); desired != nil && c.PoolOf(desired).Volumes[0].Name == volume {
			if model.HasVolume(claim) {
				node.DiskUID = string(claim.UID)
			}
			node.DirectID = claim.Annotations[v1alpha1.AnnotationDirectoryID]
		}
		observation.Nodes[int32(id)] = node
	}
}

// growth says what a claim that has a volume does not have yet of what it asks for, and what Kubernetes says of it.
func growth(claim *corev1.PersistentVolumeClaim) string {
	if claim.Status.Phase != corev1.ClaimBound {
		return ""
	}
	var said []string
	asked, has := claim.Spec.Resources.Requests[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage]
	if !has.IsZero() && has.Cmp(asked) < 0 {
		grows := fmt.Sprintf("grows from %s to %s", has.String(), asked.String())
		switch claim.Status.AllocatedResourceStatuses[corev1.ResourceStorage] {
		case corev1.PersistentVolumeClaimControllerResizeInfeasible, corev1.PersistentVolumeClaimNodeResizeInfeasible:
			grows = fmt.Sprintf("cannot grow from %s to %s (Infeasible)", has.String(), asked.String())
		}
		said = append(said, grows+inItsWords(claim, corev1.PersistentVolumeClaimControllerResizeError,
			corev1.PersistentVolumeClaimNodeResizeError, corev1.PersistentVolumeClaimFileSystemResizePending))
	}
	if class := claim.Spec.VolumeAttributesClassName; class != nil &&
		!model.SameClass(class, claim.Status.CurrentVolumeAttributesClassName) {
		state := ""
		if modified := claim.Status.ModifyVolumeStatus; modified != nil {
			state = fmt.Sprintf(" (%s)", modified.Status)
		}
		said = append(said, fmt.Sprintf("VolumeAttributesClass %s is not in force yet%s%s", *class, state,
			inItsWords(claim, corev1.PersistentVolumeClaimVolumeModifyVolumeError)))
	}
	return strings.Join(said, "; ")
}

// inItsWords quotes the first of some conditions that holds and says something.
func inItsWords(claim *corev1.PersistentVolumeClaim, types ...corev1.PersistentVolumeClaimConditionType) string {
	for _, t := range types {
		for _, c := range claim.Status.Conditions {
			if c.Type == t && c.Status == corev1.ConditionTrue && c.Message != "" {
				return fmt.Sprintf(": Kubernetes says %q", c.Message)
			}
		}
	}
	return ""
}

// InDoubt lists the nodes with a claim that the user permits to be replaced: whether its disk has failed, only the
// broker knows.
func InDoubt(live *Live) []int32 {
	var ids []int32
	for _, claim := range live.Claims {
		id, err := strconv.ParseInt(claim.Labels[v1alpha1.LabelNodeID], 10, 32)
		if err == nil && claim.Annotations[v1alpha1.AnnotationReplace] == "true" {
			ids = append(ids, int32(id))
		}
	}
	return ids
}

// ReadyBrokers lists the nodes that have a ready pod with the role Broker.
func ReadyBrokers(live *Live) []int32 {
	var ids []int32
	for i := range live.Pods {
		pod := &live.Pods[i]
		if id, is := NodeID(pod.Name); is && pod.Labels[v1alpha1.LabelBroker] == "true" && IsReady(pod) {
			ids = append(ids, id)
		}
	}
	return ids
}
