package decide

import (
	"encoding/json"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
)

// remember notes a template as Kubernetes does, and lets the pod of a node be made from it.
func remember(t *testing.T, in *Inputs, name string, template *corev1.PodTemplateSpec, owner string, nodes ...int) {
	t.Helper()
	patch := map[string]any{"spec": map[string]any{"template": template}}
	raw, err := json.Marshal(patch)
	if err != nil {
		t.Fatal(err)
	}
	set := in.Live.StatefulSets["events-main"]
	controller := metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	if owner != "" {
		controller.UID = "another"
	}
	if in.Live.Revisions == nil {
		in.Live.Revisions = map[string]*appsv1.ControllerRevision{}
	}
	in.Live.Revisions[name] = &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{*controller}},
		Data:       runtime.RawExtension{Raw: raw},
	}
	for _, i := range nodes {
		pod := &in.Live.Pods[i]
		pod.Labels[appsv1.ControllerRevisionHashLabelKey] = name
		pod.Spec = *template.Spec.DeepCopy()
	}
}

// A StatefulSet was edited, a pod made from it, and the StatefulSet put back.
func TestAPodThatWasMadeFromAnEditedStatefulSetIsReplaced(t *testing.T) {
	edit := func(change func(*corev1.PodTemplateSpec)) func(t *testing.T, in *Inputs) {
		return func(t *testing.T, in *Inputs) {
			set := in.Live.StatefulSets["events-main"]
			made := set.Spec.Template.DeepCopy()
			change(made)
			remember(t, in, "events-main-edited", made, "", 1)
			remember(t, in, "events-main-sound", &set.Spec.Template, "", 0, 2)
		}
	}
	const why = ": it was made from an edited StatefulSet"
	for name, c := range map[string]struct {
		came func(t *testing.T, in *Inputs)
		says string // empty = nothing is disturbed
	}{
		"an image": {edit(func(s *corev1.PodTemplateSpec) { s.Spec.Containers[0].Image = "evil/kafka:4.3.1" }),
			"its container kafka has image evil/kafka:4.3.1, not apache/kafka:4.3.1" + why},
		"a command": {edit(func(s *corev1.PodTemplateSpec) { s.Spec.Containers[0].Command = []string{"sleep", "1d"} }),
			"its containers[kafka].command[0] differs from what the operator writes" + why},
		"a sidecar": {edit(func(s *corev1.PodTemplateSpec) {
			s.Spec.Containers = append(s.Spec.Containers, corev1.Container{Name: "spy", Image: "spy"})
		}), "its containers differs from what the operator writes" + why},
		"a mount": {edit(func(s *corev1.PodTemplateSpec) { s.Spec.Containers[0].VolumeMounts[0].SubPath = "x" }), ""},
		"a mount that is gone": {edit(func(s *corev1.PodTemplateSpec) {
			s.Spec.Containers[0].VolumeMounts = s.Spec.Containers[0].VolumeMounts[1:]
		}), "its containers[kafka].volumeMounts differs from what the operator writes" + why},
		"the image, where admission adds a sidecar to StatefulSets": {func(t *testing.T, in *Inputs) {
			template := &in.Live.StatefulSets["events-main"].Spec.Template
			template.Spec.Containers = append([]corev1.Container{{Name: "mesh", Image: "mesh"}}, template.Spec.Containers...)
			edit(func(s *corev1.PodTemplateSpec) { s.Spec.Containers[1].Image = "evil/kafka:4.3.1" })(t, in)
		}, "its container kafka has image evil/kafka:4.3.1, not apache/kafka:4.3.1" + why},
		"the environment": {edit(func(s *corev1.PodTemplateSpec) {
			s.Spec.Containers[0].Env = append(s.Spec.Containers[0].Env, corev1.EnvVar{Name: "PASSWORD", Value: "hunter2"})
		}), "its containers[kafka].env differs from what the operator writes" + why},
		"a volume": {edit(func(s *corev1.PodTemplateSpec) { s.Spec.Volumes[1].Secret.SecretName = "another" }),
			"its volumes[castellan-internal].secret.secretName differs from what the operator writes" + why},
		"a security context": {edit(func(s *corev1.PodTemplateSpec) { s.Spec.SecurityContext.RunAsNonRoot = nil }),
			"its securityContext.runAsNonRoot differs from what the operator writes" + why},
		"a label": {edit(func(s *corev1.PodTemplateSpec) { delete(s.Labels, v1alpha1.LabelBroker) }),
			"its metadata.labels.kafka.castellan.dev/broker differs from what the operator writes" + why},
		"nothing": {edit(func(*corev1.PodTemplateSpec) {}), ""},
		"what Kubernetes fills in": {edit(func(s *corev1.PodTemplateSpec) {
			s.Spec.RestartPolicy, s.Spec.DNSPolicy = corev1.RestartPolicyAlways, corev1.DNSClusterFirst
			s.Spec.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
			s.Annotations["kubectl.kubernetes.io/restartedAt"] = "yesterday"
		}), ""},
		"another revision of files": {func(t *testing.T, in *Inputs) {
			in.Live.ConfigMaps["of-before"] = in.Live.ConfigMaps[in.Live.Pods[1].Spec.Volumes[0].ConfigMap.Name]
			edit(func(s *corev1.PodTemplateSpec) { s.Spec.Volumes[0].ConfigMap.Name = "of-before" })(t, in)
		}, ""},
		"what admission makes of pods": {func(t *testing.T, in *Inputs) {
			remember(t, in, "events-main-sound", &in.Live.StatefulSets["events-main"].Spec.Template, "", 0, 1, 2)
			for i := range in.Live.Pods {
				spec := &in.Live.Pods[i].Spec
				spec.Containers[0].Image = "mirror.example.org/kafka:4.3.1"
				spec.Containers = append(spec.Containers, corev1.Container{Name: "mesh"})
				spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "token"})
			}
		}, ""},
		"what admission makes of StatefulSets": {func(t *testing.T, in *Inputs) {
			set := in.Live.StatefulSets["events-main"]
			remember(t, in, "events-main-before", &set.Spec.Template, "", 0)
			set.Spec.Template.Spec.Containers[0].Image = "mirror.example.org/kafka:4.3.1"
			made := set.Spec.Template.DeepCopy()
			made.Spec.Containers[0].Image = "old-mirror.example.org/kafka:4.3.1"
			remember(t, in, "events-main-old", made, "", 1, 2)
		}, ""},
		"an edit that is there still": {func(t *testing.T, in *Inputs) {
			set := in.Live.StatefulSets["events-main"]
			set.Spec.Template.Spec.Containers[0].Image = "evil/kafka:4.3.1"
			remember(t, in, "events-main-edited", &set.Spec.Template, "", 1)
		}, ""},
		"a revision that is gone": {func(t *testing.T, in *Inputs) {
			edit(func(s *corev1.PodTemplateSpec) { s.Spec.Containers[0].Image = "evil/kafka:4.3.1" })(t, in)
			delete(in.Live.Revisions, "events-main-edited")
		}, ""},
		"somebody else's word": {func(t *testing.T, in *Inputs) {
			made := in.Live.StatefulSets["events-main"].Spec.Template.DeepCopy()
			made.Spec.Containers[0].Image = "evil/kafka:4.3.1"
			remember(t, in, "events-main-forged", made, "another", 1)
		}, ""},
		"an operator that renders otherwise": {func(t *testing.T, in *Inputs) {
			set := in.Live.StatefulSets["events-main"]
			set.Spec.Template.Annotations[v1alpha1.AnnotationTemplateWhole] = "of-an-earlier-operator"
			set.Spec.Template.Spec.Containers[0].Command = []string{"sh"}
			remember(t, in, "events-main-old", &set.Spec.Template, "", 0, 1, 2)
			for i := range in.Live.Pods {
				in.Live.Pods[i].Annotations[v1alpha1.AnnotationTemplateWhole] = "of-an-earlier-operator"
			}
			now := render.StatefulSet(Decide(*in).Model, &Decide(*in).Model.Pools[0],
				set.Spec.Template.Spec.Volumes[0].ConfigMap.Name, 3, set)
			in.Live.StatefulSets["events-main"].Spec.Template = now.Spec.Template // staged, and nobody restarts for it
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := running(t)
			c.came(t, &in)
			d := Decide(in)
			var restarts []plan.Step
			for _, step := range d.Plan.Steps {
				if step.Kind == plan.Restart {
					restarts = append(restarts, step)
				}
			}
			if c.says == "" {
				if len(restarts) > 0 || len(d.Plan.Held) > 0 || d.Plan.Current != 3 {
					t.Errorf("restarts %v, held %v, %d current", restarts, d.Plan.Held, d.Plan.Current)
				}
				return
			}
			told := ""
			for _, held := range d.Plan.Held {
				told += strings.Join(held.Reasons, "; ")
			}
			for _, step := range restarts {
				told += strings.Join(step.Reasons, "; ")
				if step.Node != 1 {
					t.Errorf("node %d restarts", step.Node)
				}
			}
			if told != c.says {
				t.Errorf("says %q, expected %q", told, c.says)
			}
			if d.Plan.Current != 2 {
				t.Errorf("%d nodes are current, expected 2", d.Plan.Current)
			}
		})
	}
}
