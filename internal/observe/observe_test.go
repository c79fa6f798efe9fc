package observe

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/render"
)

func TestABudgetIsClosedOnceKubernetesHasCountedItAndNobodyIsSpared(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(b *policyv1.PodDisruptionBudget)
		want   bool
	}{
		{"nobody may go", func(*policyv1.PodDisruptionBudget) {}, true},
		{"one may go", func(b *policyv1.PodDisruptionBudget) { b.Spec.MaxUnavailable.IntVal = 1 }, false},
		{"it has not been counted", func(b *policyv1.PodDisruptionBudget) { b.Generation = 2 }, false},
		{"it was counted as open", func(b *policyv1.PodDisruptionBudget) { b.Status.DisruptionsAllowed = 1 }, false},
		{"a pod is spared", func(b *policyv1.PodDisruptionBudget) {
			b.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Operator: metav1.LabelSelectorOpNotIn}}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nobody := intstr.FromInt32(0)
			budget := &policyv1.PodDisruptionBudget{
				ObjectMeta: metav1.ObjectMeta{Generation: 1},
				Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &nobody, Selector: &metav1.LabelSelector{}},
				Status:     policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1},
			}
			tt.change(budget)
			if got := isClosed(budget); got != tt.want {
				t.Errorf("closed is %t, want %t", got, tt.want)
			}
		})
	}
}

func TestAPodIsObservedWithItsProcessAndItsRevision(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pod := &corev1.Pod{
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: render.RevisionVolume, VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "r1"}},
		}}}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: render.ContainerName, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(began)}},
		}}},
	}
	got := observePod(
		pod,
		1,
		map[string]map[int32]model.Fingerprint{"r1": {0: {User: "a"}, 1: {User: "b"}}, "r2": {1: {User: "c"}}},
		began,
	)
	if !got.Running || !got.StartedAt.Equal(began) {
		t.Errorf("running %t since %s", got.Running, got.StartedAt)
	}
	if got.Files.User != "b" || got.Revision[0].User != "a" {
		t.Errorf("its files are %v, of revision %v", got.Files, got.Revision)
	}
}

// The template of a pool has the roles of the node that restarts first. Another one whose pod dies meanwhile comes back
// with these labels, on the files that it had.
func TestAPodHasTheRolesOfItsFilesAndNotThoseOfItsLabels(t *testing.T) {
	c := &model.Cluster{Name: "events"}
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "events-main-1", Labels: map[string]string{
			v1alpha1.LabelPool: "main", v1alpha1.LabelBroker: "true", v1alpha1.LabelController: "true"}},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: render.RevisionVolume, VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "r1"}},
		}}}},
	}
	live := &Live{Pods: []corev1.Pod{pod}, ConfigMaps: map[string]*corev1.ConfigMap{"r1": {Data: map[string]string{
		"start.sh": "#!/bin/sh", "1.server.properties": "process.roles=broker\n"}}}}
	if got := Kubernetes(c, live, nil, time.Now()).Nodes[1].Pod; got.Controller || !got.Broker {
		t.Errorf("controller %t, broker %t", got.Controller, got.Broker)
	}
	live.ConfigMaps = nil
	if got := Kubernetes(c, live, nil, time.Now()).Nodes[1].Pod; !got.Controller || !got.Broker {
		t.Errorf("without its files: controller %t, broker %t", got.Controller, got.Broker)
	}
}

func TestANodeWhoseClaimMayBeReplacedIsInDoubt(t *testing.T) {
	claim := func(id, replace string) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
			Labels:      map[string]string{v1alpha1.LabelNodeID: id},
			Annotations: map[string]string{v1alpha1.AnnotationReplace: replace},
		}}
	}
	live := &Live{Claims: map[string]*corev1.PersistentVolumeClaim{
		"a": claim("1", "true"), "b": claim("2", "yes"), "c": claim("3", ""), "d": claim("", "true"),
	}}
	if ids := InDoubt(live); !slices.Equal(ids, []int32{1}) {
		t.Errorf("in doubt are %v", ids)
	}
}
