package observe

import (
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/version"
)

// zoneLabel is what Kubernetes copies from the node to the pod (1.35 and later).
const zoneLabel = corev1.LabelTopologyZone

// Kubernetes tells what the live objects say about a cluster; Kafka's side stays empty.
// files are what the nodes shall run, for the words in which a difference is told.
func Kubernetes(c *model.Cluster, live *Live, files map[int32]render.NodeFiles, now time.Time) *model.Observation {
	observation := &model.Observation{
		Pools:        map[string]model.ObservedPool{},
		Nodes:        map[int32]model.ObservedNode{},
		CacheCurrent: true,
	}
	revisions, fingerprints := map[string]map[int32]render.NodeFiles{}, map[string]map[int32]model.Fingerprint{}
	for name, configMap := range live.ConfigMaps {
		if nodes := render.ReadRevision(configMap); nodes != nil {
			revisions[name], fingerprints[name] = nodes, map[int32]model.Fingerprint{}
			for id, files := range nodes {
				files.Fingerprint = render.WithoutDropped(c, id, files)
				nodes[id], fingerprints[name][id] = files, files.Fingerprint
			}
		}
	}
	for _, set := range live.StatefulSets {
		if pool := set.Labels[v1alpha1.LabelPool]; pool != "" {
			seen := observePool(set, fingerprints)
			wanted := c.Pool(pool)
			seen.OtherClaims = wanted != nil && !render.KeepsClaims(set, c, wanted)
			seen.OtherVolumes = wanted != nil && !render.HasVolumes(set, wanted)
			observation.Pools[pool] = seen
			// A pod that is deleted before Kubernetes has taken note of a new template comes back on the old one.
			observation.CacheCurrent = observation.CacheCurrent && set.Status.ObservedGeneration == set.Generation
		}
	}
	if budget := live.Budgets[c.Name]; budget != nil {
		observation.BudgetClosed = isClosed(budget)
		observation.BudgetSealed = observation.BudgetClosed && budget.Spec.MinAvailable != nil
	}
	for i := range live.Pods {
		pod := &live.Pods[i]
		id, ok := NodeID(pod.Name)
		if !ok || pod.Labels[v1alpha1.LabelPool] == "" {
			continue
		}
		node := observation.Nodes[id]
		node.Pod = observePod(pod, id, fingerprints, now)
		its := revisions[RevisionName(pod.Spec.Volumes)][id]
		node.Pod.AuthorityRound, node.Pod.KeyStores = render.RoundOf(its), render.KeyStores(its)
		if controller, broker, known := render.Roles(its); known {
			// Its labels are those of the template of its pool, which has the roles of the node that restarts first.
			node.Pod.Controller, node.Pod.Broker = controller, broker
		}
		observation.Nodes[id] = node
	}
	observeEdits(c, live, observation)
	excuseBrokers(c, live.Pods, observation)
	observeClaims(c, live, observation)
	for pod, refusal := range live.Refused {
		if id, ok := NodeID(pod); ok && observation.Nodes[id].Pod == nil {
			node := observation.Nodes[id]
			node.Refused, node.RefusedAt = refusal.Message, refusal.At
			observation.Nodes[id] = node
		}
	}
	observeChanges(c, live, revisions, files, observation)
	return observation
}

// isClosed tells that Kubernetes has taken note of the budget as it stands, and lets nobody evict any pod.
func isClosed(budget *policyv1.PodDisruptionBudget) bool {
	most, selector := budget.Spec.MaxUnavailable, budget.Spec.Selector
	closed := most != nil && most.IntValue() == 0 || budget.Spec.MinAvailable != nil
	return closed && selector != nil && len(selector.MatchExpressions) == 0 &&
		budget.Status.ObservedGeneration == budget.Generation &&
		budget.Status.DisruptionsAllowed == 0
}

func observePool(set *appsv1.StatefulSet, revisions map[string]map[int32]model.Fingerprint) model.ObservedPool {
	labels := set.Spec.Template.Labels
	pool := model.ObservedPool{
		UID:        string(set.UID),
		Controller: labels[v1alpha1.LabelController] == "true",
		Broker:     labels[v1alpha1.LabelBroker] == "true",
		Revision:   RevisionName(set.Spec.Template.Spec.Volumes),
		Template:   templateOf(set.Spec.Template.Annotations),
		Deleting:   set.DeletionTimestamp != nil,
	}
	pool.RetriedAt, _ = time.Parse(time.RFC3339, set.Annotations[v1alpha1.AnnotationRetried])
	if set.Spec.Ordinals != nil {
		pool.FirstNodeID = set.Spec.Ordinals.Start
	}
	if set.Spec.Replicas != nil {
		pool.Replicas = *set.Spec.Replicas
	}
	pool.Files = revisions[pool.Revision]
	return pool
}

func observePod(
	pod *corev1.Pod, id int32, revisions map[string]map[int32]model.Fingerprint, now time.Time,
) *model.ObservedPod {
	observed := &model.ObservedPod{
		Name: pod.Name, UID: string(pod.UID), ResourceVersion: pod.ResourceVersion, CreatedAt: pod.CreationTimestamp.Time,
		Deleting: pod.DeletionTimestamp != nil, HostIP: pod.Status.HostIP, Address: pod.Status.PodIP,
		Zone:           pod.Labels[zoneLabel],
		KubernetesNode: pod.Spec.NodeName,
		Pool:           pod.Labels[v1alpha1.LabelPool],
		Version:        versionOf(pod),
		Volumes:        render.VolumesOf(&pod.Spec),
		Controller:     pod.Labels[v1alpha1.LabelController] == "true",
		Broker:         pod.Labels[v1alpha1.LabelBroker] == "true",
		Revision:       revisions[RevisionName(pod.Spec.Volumes)],
		Template:       templateOf(pod.Annotations),
		Format:         formatOf(pod),
	}
	observed.Files = observed.Revision[id]
	observeContainers(observed, pod, now)
	return observed
}

// versionOf is the tag of the image that the pod runs.
func versionOf(pod *corev1.Pod) string {
	for _, container := range pod.Spec.Containers {
		if container.Name == render.ContainerName {
			_, tag, _ := strings.Cut(container.Image[strings.LastIndexByte(container.Image, '/')+1:], ":")
			return tag
		}
	}
	return ""
}

// observeChanges says of each pod that does not run what is wanted how the two differ.
func observeChanges(
	c *model.Cluster,
	live *Live,
	revisions map[string]map[int32]render.NodeFiles,
	files map[int32]render.NodeFiles,
	observation *model.Observation,
) {
	catalogued, _ := version.Find(c.Version)
	for i := range live.Pods {
		pod := &live.Pods[i]
		id, _ := NodeID(pod.Name)
		ran, known := revisions[RevisionName(pod.Spec.Volumes)][id]
		wanted, rendered := files[id]
		if !known || !rendered || ran.Fingerprint.User == wanted.Fingerprint.User {
			continue
		}
		node := observation.Nodes[id]
		node.Changes = render.Differences(catalogued, ran, wanted)
		observation.Nodes[id] = node
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
	return model.Fingerprint{
		User:  annotations[v1alpha1.AnnotationTemplateUser],
		Whole: annotations[v1alpha1.AnnotationTemplateWhole],
	}
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
