package resolve

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// decodedTemplate is a pod template as Kubernetes reads it, and as the user wrote it.
type decodedTemplate struct {
	value *corev1.PodTemplateSpec
	text  string
}

// decodePodTemplates reads the pod templates of all pools, strictly: a field that does not exist is a typing error, and
// what the operator owns is refused and never dropped in silence.
func decodePodTemplates(spec *v1alpha1.KafkaClusterSpec) (map[string]decodedTemplate, verdict.List) {
	templates := map[string]decodedTemplate{}
	var faults verdict.List
	for i := range spec.Pools {
		p := &spec.Pools[i]
		if p.PodTemplate == nil {
			continue
		}
		text := canonicalJSON(p.PodTemplate.Raw)
		if text == "" || text == "{}" || text == "null" {
			continue // says nothing
		}
		field := model.PoolField(p.Name, "podTemplate")
		template := &corev1.PodTemplateSpec{}
		strict, err := json.UnmarshalStrict(p.PodTemplate.Raw, template)
		if err != nil {
			faults.Refuse(field, "%s", "this is not a pod template: "+err.Error())
			continue
		}
		for _, unknown := range strict {
			faults = append(faults, strictFault(field, unknown.Error()))
		}
		faults = append(faults, (&templateCheck{field: field, pool: p}).run(template)...)
		templates[p.Name] = decodedTemplate{template, text}
	}
	return templates, faults
}

// canonicalJSON sorts the keys and drops the white space; numbers stay as they were written. What is no JSON stays too,
// for the decoder to complain about.
func canonicalJSON(raw []byte) string {
	var value any
	decoder := stdjson.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return string(raw)
	}
	text, err := stdjson.Marshal(value)
	if err != nil {
		return string(raw)
	}
	return string(text)
}

// strictFault moves the path out of the decoder's sentence (unknown field "spec.contaners") into the field.
func strictFault(field, message string) verdict.Verdict {
	what, path, quoted := strings.Cut(message, ` "`)
	if !quoted || !strings.HasSuffix(path, `"`) {
		return verdict.Stalled(verdict.ReasonInvalid, field, "%s", message)
	}
	path = strings.TrimSuffix(path, `"`)
	switch what {
	case "unknown field":
		return verdict.Stalled(
			verdict.ReasonInvalid,
			field+"."+path,
			"a pod template has no such field; correct or remove it",
		)
	case "duplicate field":
		return verdict.Stalled(verdict.ReasonInvalid, field+"."+path, "this field stands there twice; remove one")
	}
	return verdict.Stalled(verdict.ReasonInvalid, field+"."+path, "%s", what)
}

// templateCheck collects what a user's pod template may not hold.
type templateCheck struct {
	field  string
	pool   *v1alpha1.Pool
	faults []verdict.Verdict
}

func (t *templateCheck) refuse(when bool, path, message string) {
	if when {
		t.faults = append(t.faults, verdict.Stalled(verdict.ReasonInvalid, t.field+"."+path, "%s", message))
	}
}

func (t *templateCheck) run(template *corev1.PodTemplateSpec) verdict.List {
	t.metadata(template)
	t.podSpec(&template.Spec)
	t.podSecurity(template.Spec.SecurityContext)
	t.volumes(template.Spec.Volumes)
	for _, c := range template.Spec.InitContainers {
		t.container("spec.initContainers["+c.Name+"]", &c)
	}
	for _, c := range template.Spec.Containers {
		t.container("spec.containers["+c.Name+"]", &c)
	}
	return t.faults
}

// ownedLabelPrefixes begin the labels and annotations that the operator or Kubernetes itself writes on pods.
var ownedLabelPrefixes = []string{
	"kafka.castellan.dev/", "statefulset.kubernetes.io/", "apps.kubernetes.io/", "app.kubernetes.io/managed-by",
	"app.kubernetes.io/name", "app.kubernetes.io/instance", "controller-revision-hash", "topology.kubernetes.io/",
}

func ownedLabel(key string) bool {
	return slices.ContainsFunc(ownedLabelPrefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
}

func (t *templateCheck) metadata(template *corev1.PodTemplateSpec) {
	m := &template.ObjectMeta
	for _, key := range sortedKeys(m.Labels) {
		t.refuse(ownedLabel(key), "metadata.labels["+key+"]", "this label is the operator's or Kubernetes' own; remove it")
	}
	for _, key := range sortedKeys(m.Annotations) {
		t.refuse(
			ownedLabel(key),
			"metadata.annotations["+key+"]",
			"this annotation is the operator's or Kubernetes' own; remove it",
		)
	}
	only := "only labels and annotations can be set here; remove it"
	t.refuse(m.Name != "", "metadata.name", only)
	t.refuse(m.GenerateName != "", "metadata.generateName", only)
	t.refuse(m.Namespace != "", "metadata.namespace", only)
	t.refuse(len(m.Finalizers) > 0, "metadata.finalizers", only)
	t.refuse(len(m.OwnerReferences) > 0, "metadata.ownerReferences", only)
}

func (t *templateCheck) podSpec(s *corev1.PodSpec) {
	owned := "the operator owns this field; remove it"
	node := "Kafka's pods never share the namespaces of their Kubernetes node; remove it"
	t.refuse(
		s.HostNetwork,
		"spec.hostNetwork",
		"Kafka's pods never use the network of their Kubernetes node; use spec.listeners[].exposure to be reached from "+
			"outside",
	)
	t.refuse(s.HostPID, "spec.hostPID", node)
	t.refuse(s.HostIPC, "spec.hostIPC", node)
	t.refuse(s.ShareProcessNamespace != nil && *s.ShareProcessNamespace, "spec.shareProcessNamespace",
		"another container could read the broker's keys from its memory; remove it")
	t.refuse(s.AutomountServiceAccountToken != nil && *s.AutomountServiceAccountToken, "spec.automountServiceAccountToken",
		"Kafka's pods get no service-account token; remove it")
	t.refuse(
		s.RestartPolicy != "" && s.RestartPolicy != corev1.RestartPolicyAlways,
		"spec.restartPolicy",
		"a broker is always restarted; remove it",
	)
	t.refuse(s.EnableServiceLinks != nil && *s.EnableServiceLinks, "spec.enableServiceLinks", owned)
	t.refuse(s.Hostname != "", "spec.hostname", owned)
	t.refuse(s.Subdomain != "", "spec.subdomain", owned)
	t.refuse(s.SetHostnameAsFQDN != nil && *s.SetHostnameAsFQDN, "spec.setHostnameAsFQDN", owned)
	t.refuse(s.HostnameOverride != nil, "spec.hostnameOverride", owned)
	t.refuse(
		s.NodeName != "",
		"spec.nodeName",
		"a pod that is bound to one Kubernetes node cannot be moved; use nodeSelector or affinity instead",
	)
	t.refuse(s.ActiveDeadlineSeconds != nil, "spec.activeDeadlineSeconds", "a broker has no deadline; remove it")
	t.refuse(
		len(s.EphemeralContainers) > 0,
		"spec.ephemeralContainers",
		"ephemeral containers are added to a running pod (kubectl debug); remove them",
	)
	t.refuse(s.OS != nil && s.OS.Name != corev1.Linux, "spec.os", "Kafka's image is for Linux; remove it")
	t.refuse(
		s.TerminationGracePeriodSeconds != nil && *s.TerminationGracePeriodSeconds < 30,
		"spec.terminationGracePeriodSeconds",
		"a broker needs time to hand over its partitions; use 30 or more",
	)
}

// podSecurity refuses what the operator sets itself; SELinux options, supplementary groups and sysctls are the user's.
func (t *templateCheck) podSecurity(s *corev1.PodSecurityContext) {
	if s == nil {
		return
	}
	fixed := "pods run as user and group 1000 under the restricted Pod Security Standard, set by the operator; remove it"
	t.refuse(s.RunAsUser != nil, "spec.securityContext.runAsUser", fixed)
	t.refuse(s.RunAsGroup != nil, "spec.securityContext.runAsGroup", fixed)
	t.refuse(s.RunAsNonRoot != nil && !*s.RunAsNonRoot, "spec.securityContext.runAsNonRoot", fixed)
	t.refuse(s.FSGroup != nil, "spec.securityContext.fsGroup", fixed)
	t.refuse(s.FSGroupChangePolicy != nil, "spec.securityContext.fsGroupChangePolicy", fixed)
	t.refuse(
		s.SeccompProfile != nil && s.SeccompProfile.Type == corev1.SeccompProfileTypeUnconfined,
		"spec.securityContext.seccompProfile",
		fixed,
	)
	t.refuse(
		s.AppArmorProfile != nil && s.AppArmorProfile.Type == corev1.AppArmorProfileTypeUnconfined,
		"spec.securityContext.appArmorProfile",
		fixed,
	)
	t.refuse(s.WindowsOptions != nil, "spec.securityContext.windowsOptions", "Kafka's image is for Linux; remove it")
}

func (t *templateCheck) volumes(volumes []corev1.Volume) {
	for _, v := range volumes {
		path := "spec.volumes[" + v.Name + "]"
		ours := strings.HasPrefix(v.Name, model.OwnPrefix) ||
			slices.ContainsFunc(t.pool.Storage.Volumes, func(w v1alpha1.Volume) bool { return w.Name == v.Name })
		t.refuse(
			ours,
			path+".name",
			"the operator has a volume of this name; choose another, and use storage.volumes for Kafka's disks",
		)
		t.refuse(
			v.HostPath != nil,
			path+".hostPath",
			"Kafka's pods never mount a folder of their Kubernetes node; use another kind of volume",
		)
		if v.Projected == nil {
			continue
		}
		for i, source := range v.Projected.Sources {
			t.refuse(source.ServiceAccountToken != nil, fmt.Sprintf("%s.projected.sources[%d].serviceAccountToken", path, i),
				"Kafka's pods get no service-account token; remove it")
		}
	}
}

func (t *templateCheck) container(path string, c *corev1.Container) {
	t.refuse(c.Name == model.ContainerName || strings.HasPrefix(c.Name, model.OwnPrefix), path+".name", fmt.Sprintf(
		"containers named %s, or with %s before, are the operator's own; choose another name, and use jvm, resources and "+
			"config to change Kafka itself",
		model.ContainerName,
		model.OwnPrefix,
	))
	for _, m := range c.VolumeMounts {
		t.refuse(strings.HasPrefix(m.Name, model.OwnPrefix), path+".volumeMounts["+m.Name+"]",
			"the operator's own volumes hold keys that only Kafka may read; remove it")
	}
	for _, p := range c.Ports {
		t.refuse(
			p.HostPort != 0,
			fmt.Sprintf("%s.ports[%d].hostPort", path, p.ContainerPort),
			"Kafka's pods open no port on their Kubernetes node; remove it",
		)
	}
	s := c.SecurityContext
	if s == nil {
		return
	}
	restricted := "the pod keeps to the restricted Pod Security Standard; remove it"
	path += ".securityContext"
	t.refuse(s.Privileged != nil && *s.Privileged, path+".privileged", restricted)
	t.refuse(
		s.AllowPrivilegeEscalation != nil && *s.AllowPrivilegeEscalation,
		path+".allowPrivilegeEscalation",
		restricted,
	)
	t.refuse(s.RunAsNonRoot != nil && !*s.RunAsNonRoot, path+".runAsNonRoot", restricted)
	t.refuse(s.RunAsUser != nil && *s.RunAsUser == 0, path+".runAsUser", restricted)
	t.refuse(s.ProcMount != nil && *s.ProcMount != corev1.DefaultProcMount, path+".procMount", restricted)
	t.refuse(
		s.SeccompProfile != nil && s.SeccompProfile.Type == corev1.SeccompProfileTypeUnconfined,
		path+".seccompProfile",
		restricted,
	)
	t.refuse(
		s.AppArmorProfile != nil && s.AppArmorProfile.Type == corev1.AppArmorProfileTypeUnconfined,
		path+".appArmorProfile",
		restricted,
	)
	if s.Capabilities != nil {
		for _, capability := range s.Capabilities.Add {
			t.refuse(capability != "NET_BIND_SERVICE", path+".capabilities.add["+string(capability)+"]", restricted)
		}
	}
}
