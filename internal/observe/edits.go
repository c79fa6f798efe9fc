package observe

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/render"
)

// editedTemplate is the fingerprint of a pod that was made from an edited StatefulSet, whatever its annotations say.
var editedTemplate = model.Fingerprint{User: "edited", Whole: "edited"}

// observeEdits finds pods that were made from a StatefulSet while it was edited. Their annotations are those of the
// template that was edited, and say nothing.
//
// Admission changes pods, so that a pod is not compared itself: what Kubernetes has kept of the template that it was
// made from is. A difference counts only where the StatefulSet of now has what the operator writes. A pod made from
// that has it too, and no pod is replaced twice.
func observeEdits(c *model.Cluster, live *Live, observation *model.Observation) {
	for i := range c.Pools {
		pool := &c.Pools[i]
		set := live.StatefulSets[pool.StatefulSet]
		if set == nil || len(live.Revisions) == 0 {
			continue
		}
		want := render.StatefulSet(c, pool, "", 0, nil).Spec.Template
		known := map[string]string{}
		for k := range live.Pods {
			pod := &live.Pods[k]
			id, _ := NodeID(pod.Name)
			node := observation.Nodes[id].Pod
			claimed := templateOf(want.Annotations)
			if node == nil || node.Name != pod.Name || node.Pool != pool.Name || node.Template != claimed {
				continue
			}
			name := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
			if _, done := known[name]; !done {
				known[name] = editOf(live.Revisions[name], set, &want)
			}
			if node.Edited = known[name]; node.Edited != "" {
				node.Template = editedTemplate
			}
		}
	}
}

// editOf says how a template that Kubernetes has kept of a StatefulSet differs from what is wanted; empty = it does
// not, or it is another's.
func editOf(kept *appsv1.ControllerRevision, set *appsv1.StatefulSet, want *corev1.PodTemplateSpec) string {
	template := templateIn(kept, set)
	if template == nil {
		return ""
	}
	at, has, wants := difference("", fields(want), fields(template), fields(&set.Spec.Template))
	if at == "" {
		return ""
	}
	what := fmt.Sprintf("its %s differs from what the operator writes", at)
	for _, container := range want.Spec.Containers {
		if at == "containers["+container.Name+"].image" {
			what = fmt.Sprintf("its container %s has image %v, not %v", container.Name, has, wants)
		}
	}
	return what + ": it was made from an edited StatefulSet"
}

// templateIn is the template that Kubernetes has kept of a StatefulSet; nil = there is none, or it is another's.
func templateIn(kept *appsv1.ControllerRevision, set *appsv1.StatefulSet) *corev1.PodTemplateSpec {
	if kept == nil || !metav1.IsControlledBy(kept, set) {
		return nil
	}
	var data struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(kept.Data.Raw, &data); err != nil {
		return nil
	}
	return &data.Spec.Template
}

// MadeWith are the labels of the template of a StatefulSet that a pod was made from; known = the pod is proven to be
// the StatefulSet's, though it may have been let go: it names a revision of it and reads its files from the ConfigMap
// that the revision names, and nobody else controls it.
func (l *Live) MadeWith(pod *corev1.Pod, set *appsv1.StatefulSet) (labels map[string]string, known bool) {
	if owner := metav1.GetControllerOf(pod); owner != nil && owner.UID != set.UID {
		return nil, false
	}
	template := templateIn(l.Revisions[pod.Labels[appsv1.ControllerRevisionHashLabelKey]], set)
	if template == nil || RevisionName(pod.Spec.Volumes) == "" ||
		RevisionName(pod.Spec.Volumes) != RevisionName(template.Spec.Volumes) {
		return nil, false
	}
	return template.Labels, true
}

// fields are those of a template, without the name of the revision, which differs from pod to pod.
func fields(template *corev1.PodTemplateSpec) map[string]any {
	template = template.DeepCopy()
	for _, volume := range template.Spec.Volumes {
		if volume.Name == render.RevisionVolume && volume.ConfigMap != nil {
			volume.ConfigMap.Name = ""
		}
	}
	all, err := runtime.DefaultUnstructuredConverter.ToUnstructured(template)
	if err != nil {
		return nil
	}
	return all
}

// difference finds the first field in which made is not as wanted, though live is. What is not wanted may be anything:
// Kubernetes fills it in.
func difference(path string, want, made, live any) (at string, has, wants any) {
	switch want := want.(type) {
	case nil:
		return "", nil, nil
	case map[string]any:
		inMade, _ := made.(map[string]any)
		inLive, _ := live.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if at, has, wants = difference(inside(path, key), want[key], inMade[key], inLive[key]); at != "" {
				return at, has, wants
			}
		}
	case []any:
		inMade, _ := made.([]any)
		inLive, _ := live.([]any)
		return listDifference(path, want, inMade, inLive)
	default:
		if want != made && want == live {
			return path, made, want
		}
	}
	return "", nil, nil
}

// listDifference compares items of one name with each other. What made has beside those that are wanted is a difference
// if live has it not.
func listDifference(path string, want, made, live []any) (at string, has, wants any) {
	ofMade, ofLive := indexed(made), indexed(live)
	for i, item := range want {
		key := keyOf(item, i)
		if ofLive[key] == nil {
			continue
		}
		if ofMade[key] == nil {
			return path, made, want
		}
		if at, has, wants = difference(path+key, item, ofMade[key], ofLive[key]); at != "" {
			return at, has, wants
		}
	}
	for key := range ofMade {
		if ofLive[key] == nil {
			return path, made, want
		}
	}
	return "", nil, nil
}

func indexed(items []any) map[string]any {
	index := map[string]any{}
	for i, item := range items {
		index[keyOf(item, i)] = item
	}
	return index
}

// keyOf is how an item of a list is told from the others, in brackets: by where it is mounted, by its name, or by its
// place.
func keyOf(item any, place int) string {
	named, _ := item.(map[string]any)
	for _, key := range []string{"mountPath", "name"} {
		if name := named[key]; name != nil {
			return fmt.Sprintf("[%v]", name)
		}
	}
	return fmt.Sprintf("[%d]", place)
}

// inside is the path of a field; that of a pod's spec is left out.
func inside(path, key string) string {
	switch path {
	case "", "spec":
		return key
	}
	return path + "." + key
}
