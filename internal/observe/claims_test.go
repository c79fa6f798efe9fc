package observe

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// What is said of the first claim that lacks something must not change from one pass to the next.
func TestClaimsAreSeenInTheOrderOfTheirNames(t *testing.T) {
	live, class := &Live{Claims: map[string]*corev1.PersistentVolumeClaim{}}, "gold"
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		live.Claims[name] = &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.LabelNodeID: "0"}},
			Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: &class},
		}
	}
	live.Claims["b"].Status.Phase = corev1.ClaimBound
	observation := &model.Observation{Nodes: map[int32]model.ObservedNode{}}
	observeClaims(&model.Cluster{}, live, observation)
	names := ""
	for _, claim := range observation.Nodes[0].Claims {
		if names += claim.Name; claim.Pending != (claim.Name != "b") || *claim.Class != class {
			t.Errorf("claim %s is seen as %+v", claim.Name, claim)
		}
	}
	if names != "abcdef" {
		t.Errorf("they are seen as %s", names)
	}
}

// Kubernetes' own words are what the user gets to read.
func TestTheGrowthOfAClaimIsToldInKubernetesWords(t *testing.T) {
	gold, silver := "gold", "silver"
	type claim = corev1.PersistentVolumeClaim
	condition := func(c *claim, t corev1.PersistentVolumeClaimConditionType, message string) {
		c.Status.Conditions = append(c.Status.Conditions,
			corev1.PersistentVolumeClaimCondition{Type: t, Status: corev1.ConditionTrue, Message: message})
	}
	asks := func(c *claim, size string) {
		c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	}
	for name, c := range map[string]struct {
		change func(c *claim)
		want   string
	}{
		"it has what it asks for": {func(*claim) {}, ""},
		"it has more":             {func(c *claim) { asks(c, "512Mi") }, ""},
		"it has no volume": {func(c *claim) {
			asks(c, "2Gi")
			c.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
		}, ""},
		"it grows": {func(c *claim) { asks(c, "2Gi") }, "grows from 1Gi to 2Gi"},
		"the driver fails": {func(c *claim) {
			asks(c, "2Gi")
			condition(c, corev1.PersistentVolumeClaimResizing, "")
			condition(c, corev1.PersistentVolumeClaimControllerResizeError, "try again in 6 hours")
		}, `grows from 1Gi to 2Gi: Kubernetes says "try again in 6 hours"`},
		"the driver refuses": {func(c *claim) {
			asks(c, "2Gi")
			c.Status.AllocatedResourceStatuses = map[corev1.ResourceName]corev1.ClaimResourceStatus{
				corev1.ResourceStorage: corev1.PersistentVolumeClaimControllerResizeInfeasible,
			}
			condition(c, corev1.PersistentVolumeClaimControllerResizeError, "too large")
		}, `cannot grow from 1Gi to 2Gi (Infeasible): Kubernetes says "too large"`},
		"the kubelet fails": {func(c *claim) {
			asks(c, "2Gi")
			condition(c, corev1.PersistentVolumeClaimFileSystemResizePending, "waiting for the file system")
			condition(c, corev1.PersistentVolumeClaimNodeResizeError, "xfs_growfs: no")
		}, `grows from 1Gi to 2Gi: Kubernetes says "xfs_growfs: no"`},
		"it waits for a pod": {func(c *claim) {
			asks(c, "2Gi")
			condition(c, corev1.PersistentVolumeClaimFileSystemResizePending, "Waiting for user to (re-)start a pod")
		}, `grows from 1Gi to 2Gi: Kubernetes says "Waiting for user to (re-)start a pod"`},
		"an error of before": {func(c *claim) {
			condition(c, corev1.PersistentVolumeClaimControllerResizeError, "too large")
		}, ""},
		"its class of attributes is in force": {func(c *claim) {
			c.Spec.VolumeAttributesClassName, c.Status.CurrentVolumeAttributesClassName = &gold, &gold
		}, ""},
		"its class of attributes is not": {func(c *claim) {
			c.Spec.VolumeAttributesClassName, c.Status.CurrentVolumeAttributesClassName = &gold, &silver
			c.Status.ModifyVolumeStatus = &corev1.ModifyVolumeStatus{Status: corev1.PersistentVolumeClaimModifyVolumePending}
			condition(c, corev1.PersistentVolumeClaimVolumeModifyVolumeError, "gold is not found")
		}, `VolumeAttributesClass gold is not in force yet (Pending): Kubernetes says "gold is not found"`},
	} {
		is := &claim{Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound,
			Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}}}
		asks(is, "1Gi")
		if c.change(is); growth(is) != c.want {
			t.Errorf("%s: it is told as %q, want %q", name, growth(is), c.want)
		}
	}
}
