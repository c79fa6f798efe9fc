package observe

import (
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/render"
)

// zoneLabel is what Kubernetes copies from the node to the pod (1.35 and later).
const zoneLabel = corev1.LabelTopologyZone

// Kubernetes tells what the live objects say about a cluster; Kafka's side stays empty.
func Kubernetes(c *model.Cluster, live *Live) *model.Observation {
	observation := &model.Observation{Pools: map[string]model.ObservedPool{}, Nodes: map[int32]model.ObservedNode{}, CacheCurrent: true}
	revisions := map[string]map[int32]render.NodeFiles{}
	for name, configMap := range live.ConfigMaps {
		if nodes := render.ReadRevision(configMap); nodes != nil {
			revisions[name] = nodes
		}
	}
	for _, set := range live.StatefulSets {
		if pool := set.Labels[v1alpha1.LabelPool]; pool != "" {
			observation.Pools[pool] = observePool(set, revisions)
			// A pod that is deleted before Kubernetes has taken note of a new template comes back on the old one.
			observation.CacheCurrent = observation.CacheCurrent && set.Status.ObservedGeneration == set.Generation
		}
	}
	for i := range live.Pods {
		pod := &live.Pods[i]
		id, ok := NodeID(pod.Name)
		if !ok || pod.Labels[v1alpha1.LabelPool] == "" {
			continue
		}
		node := observation.Nodes[id]
		node.Pod = observePod(pod, id, revisions)
		observation.Nodes[id] = node
	}
	observeClaims(c, live, observation)
	return observation
}

func observePool(set *appsv1.StatefulSet, revisions map[string]map[int32]render.NodeFiles) model.ObservedPool {
	pool := model.ObservedPool{
		Revision: RevisionName(set.Spec.Template.Spec.Volumes),
		Files:    map[int32]model.Fingerprint{},
		Template: templateOf(set.Spec.Template.Annotations),
		Deleting: set.DeletionTimestamp != nil,
	}
	if set.Spec.Replicas != nil {
		pool.Replicas = *set.Spec.Replicas
	}
	for id, files := range revisions[pool.Revision] {
		pool.Files[id] = files.Fingerprint
	}
	return pool
}

func observePod(pod *corev1.Pod, id int32, revisions map[string]map[int32]render.NodeFiles) *model.ObservedPod {
	observed := &model.ObservedPod{
		Name: pod.Name, UID: string(pod.UID), ResourceVersion: pod.ResourceVersion, CreatedAt: pod.CreationTimestamp.Time,
		Deleting: pod.DeletionTimestamp != nil, HostIP: pod.Status.HostIP, Zone: pod.Labels[zoneLabel],
		KubernetesNode: pod.Spec.NodeName,
		Files:          revisions[RevisionName(pod.Spec.Volumes)][id].Fingerprint,
		Template:       templateOf(pod.Annotations),
		Format:         formatOf(pod),
	}
	for _, condition := range pod.Status.Conditions {
		switch {
		case condition.Type == corev1.PodReady:
			observed.Ready = condition.Status == corev1.ConditionTrue
		case condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse && condition.Reason == corev1.PodReasonUnschedulable:
			observed.Problem, observed.ProblemMessage = model.ProblemUnschedulable, condition.Message
		}
	}
	for _, container := range pod.Status.ContainerStatuses {
		if container.Name == render.ContainerName {
			observeContainer(observed, container)
		}
	}
	return observed
}

func observeContainer(pod *model.ObservedPod, container corev1.ContainerStatus) {
	pod.Running = container.State.Running != nil
	pod.Restarts = container.RestartCount
	last := ""
	if ended := container.LastTerminationState.Terminated; ended != nil {
		last = cause(ended.Message)
		if last == "" {
			last = fmt.Sprintf("the container ended with exit code %d (%s)", ended.ExitCode, ended.Reason)
		}
	}
	if waiting := container.State.Waiting; waiting != nil {
		pod.ProblemMessage = waiting.Message
		switch waiting.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull":
			pod.Problem = model.ProblemImagePull
		case "CrashLoopBackOff":
			pod.Problem, pod.ProblemMessage = model.ProblemCrashLoop, last
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			pod.Problem = model.ProblemConfig
		default:
			pod.ProblemMessage = ""
		}
	}
	// Between two crashes the container looks alive for a moment: it counts as crashing until it was ready once.
	if pod.Problem == model.ProblemNone && !pod.Ready && container.RestartCount > 0 && last != "" {
		pod.Problem, pod.ProblemMessage = model.ProblemCrashLoop, last
	}
}

func observeClaims(c *model.Cluster, live *Live, observation *model.Observation) {
	for _, claim := range live.Claims {
		id, err := strconv.ParseInt(claim.Labels[v1alpha1.LabelNodeID], 10, 32)
		if err != nil {
			continue
		}
		node := observation.Nodes[int32(id)]
		volume := claim.Labels[v1alpha1.LabelVolume]
		node.Claims = append(node.Claims, model.ObservedClaim{
			Volume: volume, Name: claim.Name, ClusterID: claim.Labels[v1alpha1.LabelClusterID],
			Bound: claim.Status.Phase == corev1.ClaimBound, Deleting: claim.DeletionTimestamp != nil,
		})
		if desired := c.Node(int32(id)); desired != nil && c.PoolOf(desired).Volumes[0].Name == volume {
			node.DiskUID = string(claim.UID)
			node.DirectID = claim.Annotations[v1alpha1.AnnotationDirectoryID]
		}
		observation.Nodes[int32(id)] = node
	}
}

// NodeID is the number in a pod's name.
func NodeID(podName string) (int32, bool) {
	id, err := strconv.ParseInt(podName[strings.LastIndexByte(podName, '-')+1:], 10, 32)
	return int32(id), err == nil
}

// RevisionName is the ConfigMap that a pod, or a template, names as its revision; empty = none.
func RevisionName(volumes []corev1.Volume) string {
	for _, volume := range volumes {
		if volume.Name == render.RevisionVolume && volume.ConfigMap != nil {
			return volume.ConfigMap.Name
		}
	}
	return ""
}

func templateOf(annotations map[string]string) model.Fingerprint {
	return model.Fingerprint{User: annotations[v1alpha1.AnnotationTemplateUser], Whole: annotations[v1alpha1.AnnotationTemplateWhole]}
}

// formatOf is the word about formatting that was said to this very pod; one that was copied from another pod does not
// count.
func formatOf(pod *corev1.Pod) string {
	uid, word, found := strings.Cut(pod.Annotations[v1alpha1.AnnotationFormat], " ")
	if !found || uid != string(pod.UID) {
		return ""
	}
	return word
}
