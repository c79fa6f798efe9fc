package render

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/model"
)

// StatefulSet prints the StatefulSet of a pool, with replicas pods that name revision. What Kubernetes does not let
// anybody change comes from the live object when there is one. The caller sets the owner.
func StatefulSet(
	c *model.Cluster,
	pool *model.Pool,
	revision string,
	replicas int32,
	live *appsv1.StatefulSet,
) *appsv1.StatefulSet {
	set := &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: objectMeta(c, pool.StatefulSet, poolLabels(c, pool)),
		Spec: appsv1.StatefulSetSpec{
			ServiceName: c.NodesService(),
			Replicas:    &replicas,
			Ordinals:    &appsv1.StatefulSetOrdinals{Start: pool.FirstNodeID},
			Selector:    &metav1.LabelSelector{MatchLabels: c.Selector(pool)},
			// A node waits for nobody: a quorum forms only when its members start together.
			PodManagementPolicy: appsv1.ParallelPodManagement,
			// Only the plan disturbs a pod.
			UpdateStrategy: appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType},
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
				WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
			// Immutable revisions are ours; those of the StatefulSet are of no use.
			RevisionHistoryLimit: ptr[int32](1),
			Template:             podTemplate(c, pool, revision),
			VolumeClaimTemplates: claimTemplates(c, pool),
		},
	}
	fingerprint := templateFingerprint(c, pool)
	set.Spec.Template.Annotations[v1alpha1.AnnotationTemplateUser] = fingerprint.User
	set.Spec.Template.Annotations[v1alpha1.AnnotationTemplateWhole] = fingerprint.Whole
	if live != nil {
		set.Spec.ServiceName = live.Spec.ServiceName
		set.Spec.Selector = live.Spec.Selector.DeepCopy()
		set.Spec.PodManagementPolicy = live.Spec.PodManagementPolicy
		set.Spec.VolumeClaimTemplates = live.DeepCopy().Spec.VolumeClaimTemplates
	}
	return set
}

// claimTemplates name the claims that the operator has made already; they make one only when the operator was slower.
func claimTemplates(c *model.Cluster, pool *model.Pool) []corev1.PersistentVolumeClaim {
	var templates []corev1.PersistentVolumeClaim
	for _, v := range pool.Volumes {
		if v.Ephemeral {
			continue
		}
		meta := metav1.ObjectMeta{Name: v.Name, Labels: poolLabels(c, pool)}
		meta.Labels[v1alpha1.LabelVolume] = v.Name
		templates = append(templates, corev1.PersistentVolumeClaim{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
			ObjectMeta: meta,
			Spec:       claimSpec(v),
		})
	}
	return templates
}

// templateFingerprint identifies the pod template apart from the name of the revision.
func templateFingerprint(c *model.Cluster, pool *model.Pool) model.Fingerprint {
	return model.Fingerprint{
		User:  digest(toJSON(askedOfTemplate(c, pool))),
		Whole: digest(toJSON(podTemplate(c, pool, ""))),
	}
}

// templateRequest is what the user asked for, as far as the pod template depends on it; the rules of nodeRequest hold
// here too. The version is the user's, the repository of the image is the operator's.
type templateRequest struct {
	Version     string            `json:"version"`
	Controller  bool              `json:"controller,omitempty"`
	Broker      bool              `json:"broker,omitempty"`
	Requests    map[string]string `json:"requests,omitempty"`
	Limits      map[string]string `json:"limits,omitempty"`
	PodTemplate string            `json:"podTemplate,omitempty"`
	Volumes     []volumeRequest   `json:"volumes"`
	PlainUsers  bool              `json:"plainUsers,omitempty"`
	TokenKeys   bool              `json:"tokenKeys,omitempty"`
	Logins      bool              `json:"logins,omitempty"`
	Plugins     []pluginRequest   `json:"plugins,omitempty"`
	PluginFiles bool              `json:"pluginFiles,omitempty"`
	Ports       []int32           `json:"ports,omitempty"`
}

type volumeRequest struct {
	Name      string `json:"name"`
	Ephemeral string `json:"ephemeral,omitempty"` // its size; the size of a claim is not in the template
}

func askedOfTemplate(c *model.Cluster, pool *model.Pool) templateRequest {
	r := templateRequest{
		Version: c.Version, Controller: pool.Controller, Broker: pool.Broker,
		Requests: quantities(pool.Resources.Requests), Limits: quantities(pool.Resources.Limits),
		PodTemplate: pool.PodTemplateText, Plugins: askedOfPlugins(c), PluginFiles: needsPluginFiles(c, pool),
	}
	for _, v := range pool.Volumes {
		volume := volumeRequest{Name: v.Name}
		if v.Ephemeral {
			volume.Ephemeral = fmt.Sprint(v.Size.Value())
		}
		r.Volumes = append(r.Volumes, volume)
	}
	if pool.Broker {
		for _, l := range c.Listeners {
			if !isLate(l) {
				r.Ports = append(r.Ports, l.Port)
				r.PlainUsers = r.PlainUsers || mechanism.Uses(l.Mechanisms, mechanism.PasswordFile)
				r.TokenKeys = r.TokenKeys || l.OAuth != nil
				r.Logins = r.Logins || l.Custom != nil
			}
		}
	}
	return r
}

// quantities compares amounts and not their spelling: 1 and 1000m are the same.
func quantities(list corev1.ResourceList) map[string]string {
	out := map[string]string{}
	for name, quantity := range list {
		out[string(name)] = resource.NewDecimalQuantity(*quantity.AsDec(), resource.DecimalSI).String()
	}
	return out
}

// needsPlainUsers mounts the files of users only where somebody logs in with one.
func needsPlainUsers(c *model.Cluster, pool *model.Pool) bool {
	return pool.Broker && slices.ContainsFunc(inForce(c, pool), func(l model.Listener) bool {
		return mechanism.Uses(l.Mechanisms, mechanism.PasswordFile) || mechanism.Uses(l.Mechanisms, mechanism.CertificateFile)
	})
}

// isLate tells that nodes get a listener one by one, each as its address comes to be known. The template of their pool
// is no reason to restart any of them then: each restarts for its own files, and takes the template with that.
func isLate(l model.Listener) bool { return exposure.Of(l.Exposure).Known == exposure.KnownLate }

// inForce are the listeners that a pool's template has to serve: those that come late only once a node has them.
func inForce(c *model.Cluster, pool *model.Pool) []model.Listener {
	return slices.DeleteFunc(slices.Clone(c.Listeners), func(l model.Listener) bool {
		return isLate(l) && !slices.ContainsFunc(c.Nodes, func(n model.Node) bool {
			return n.Pool == pool.Name && n.Listener(strings.ToUpper(l.Name)) != nil
		})
	})
}

func ptr[T any](value T) *T { return &value }
