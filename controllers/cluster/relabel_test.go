package cluster

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// withPod has the pod of the only node made as Kubernetes makes it, but for a change.
func (h *house) withPod(change func(pod *corev1.Pod)) (pod *corev1.Pod, made map[string]string) {
	h.Helper()
	h.reconcile()
	set := &appsv1.StatefulSet{}
	h.get("events-main", set)
	template := set.Spec.Template.DeepCopy()
	raw, err := json.Marshal(map[string]any{"spec": map[string]any{"template": template}})
	if err != nil {
		h.Fatal(err)
	}
	owner := *metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	kept := &appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: raw}, ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "events-main-1", Labels: template.Labels, OwnerReferences: []metav1.OwnerReference{owner}}}
	pod = &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name, pod.UID = "shop", "events-main-0", "pod"
	pod.OwnerReferences = []metav1.OwnerReference{owner}
	pod.Labels = maps.Clone(template.Labels)
	pod.Labels[appsv1.ControllerRevisionHashLabelKey] = kept.Name
	made = maps.Clone(pod.Labels)
	change(pod)
	for _, object := range []client.Object{kept, pod} {
		if err := h.api.Create(h.Context(), object); err != nil {
			h.Fatal(err)
		}
	}
	h.told()
	return pod, made
}

// The controller of StatefulSets has let a pod go whose labels it does not select any more.
func TestAPodThatLostItsLabelsGetsThemBack(t *testing.T) {
	for name, lost := range map[string][]string{
		"that of the operator": {v1alpha1.LabelManagedBy},
		"that of the cluster":  {v1alpha1.LabelCluster},
		"that of the pool":     {v1alpha1.LabelPool},
		"that of a role":       {v1alpha1.LabelBroker},
		"all": {v1alpha1.LabelManagedBy, v1alpha1.LabelCluster, v1alpha1.LabelPool, v1alpha1.LabelBroker,
			v1alpha1.LabelController},
	} {
		for _, owned := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				h := newHouse(t)
				pod, made := h.withPod(func(pod *corev1.Pod) {
					for _, key := range lost {
						delete(pod.Labels, key)
					}
					if !owned {
						pod.OwnerReferences = nil
					}
				})
				said := h.reconcile()
				h.get(pod.Name, pod)
				if !maps.Equal(pod.Labels, made) {
					t.Errorf("it has the labels %v, expected %v; it says %q", pod.Labels, made, said)
				}
				told := h.told()
				if want := "LabelsRestored Pod events-main-0 had lost "; strings.Count(told, want) != 1 ||
					!strings.Contains(told, lost[0]+"=") {
					t.Errorf("told: %s", told)
				}
			})
		}
	}
}

func TestAPodThatNobodyKnowsAndThatIsInTheWayIsNamedAndLeftAlone(t *testing.T) {
	yes := true
	const cure = "pod events-main-0 exists and lacks labels: if it is this node's, put them back with `kubectl -n shop " +
		"label --overwrite pod events-main-0 "
	for name, c := range map[string]struct {
		change func(pod *corev1.Pod)
		want   []string
	}{
		"its revision is not known": {func(pod *corev1.Pod) {
			pod.Labels, pod.OwnerReferences = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
				v1alpha1.LabelCluster: "events", v1alpha1.LabelBroker: "true", v1alpha1.LabelController: "true"}, nil
		}, []string{cure + "kafka.castellan.dev/pool=main`, else delete it"}},
		"somebody's": {func(pod *corev1.Pod) {
			pod.Labels, pod.OwnerReferences, pod.Spec.Volumes = web, nil, nil
		}, []string{cure, "kafka.castellan.dev/cluster=events", "else delete it"}},
		"somebody's that names a revision": {func(pod *corev1.Pod) {
			delete(pod.Labels, v1alpha1.LabelCluster)
			pod.OwnerReferences, pod.Spec.Volumes = nil, nil
		}, []string{cure, "kafka.castellan.dev/cluster=events", "else delete it"}},
		"another's": {func(pod *corev1.Pod) {
			delete(pod.Labels, v1alpha1.LabelCluster)
			pod.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web", UID: "web", Controller: &yes}}
		}, []string{"pod events-main-0 exists and is ReplicaSet web's: remove it"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			pod, _ := h.withPod(c.change)
			before := pod.DeepCopy()
			said := h.reconcile()
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("it says %q, expected %q", said, want)
				}
			}
			h.get(pod.Name, pod)
			if !equality.Semantic.DeepEqual(before.Labels, pod.Labels) || strings.Contains(h.told(), "LabelsRestored") {
				t.Errorf("it had the labels %v and has %v", before.Labels, pod.Labels)
			}
		})
	}
}
