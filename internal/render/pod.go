package render

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

const (
	// kafkaUser is the uid and gid of appuser in the apache/kafka image.
	kafkaUser int64 = 1000
	// gracePeriodSeconds bounds a stop: a controlled shutdown takes seconds, and hangs for ever when the quorum is gone,
	// as it is when all nodes stop at once. A broker with very many partitions may be given more by its podTemplate.
	gracePeriodSeconds int64 = 45
)

// podTemplate lays what the operator needs over what the user gave, and hardens the result. revision may be empty, when
// only the rest is of interest.
func podTemplate(c *model.Cluster, pool *model.Pool, revision string) corev1.PodTemplateSpec {
	template := corev1.PodTemplateSpec{}
	if pool.PodTemplate != nil {
		template = *pool.PodTemplate.DeepCopy()
	}
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	if template.Annotations == nil {
		template.Annotations = map[string]string{}
	}
	maps.Copy(template.Labels, podLabels(c, pool))

	spec := &template.Spec
	for i := range spec.InitContainers {
		harden(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		harden(&spec.Containers[i])
	}
	spec.Containers = append([]corev1.Container{kafkaContainer(c, pool)}, spec.Containers...)
	spec.Volumes = append(volumes(c, pool, revision), spec.Volumes...)
	if spec.ServiceAccountName == "" {
		// Left out, an account that was named before would stay: Kubernetes keeps a copy in the field serviceAccount, and
		// takes the name from there.
		spec.ServiceAccountName = "default"
	}
	spec.AutomountServiceAccountToken = ptr(false)
	spec.EnableServiceLinks = ptr(false)
	spec.SecurityContext = podSecurity(spec.SecurityContext)
	spec.TopologySpreadConstraints = spread(c, pool, spec.TopologySpreadConstraints)
	if spec.TerminationGracePeriodSeconds == nil {
		spec.TerminationGracePeriodSeconds = ptr(gracePeriodSeconds)
	}
	return template
}

// podSecurity keeps what the user may choose (SELinux options, supplementary groups, sysctls) and sets the rest.
func podSecurity(user *corev1.PodSecurityContext) *corev1.PodSecurityContext {
	s := &corev1.PodSecurityContext{}
	if user != nil {
		s = user.DeepCopy()
	}
	s.RunAsNonRoot = ptr(true)
	s.RunAsUser, s.RunAsGroup, s.FSGroup = ptr(kafkaUser), ptr(kafkaUser), ptr(kafkaUser)
	// Else the kubelet walks through all files of a large disk at every start.
	s.FSGroupChangePolicy = ptr(corev1.FSGroupChangeOnRootMismatch)
	if s.SeccompProfile == nil {
		s.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	}
	return s
}

// harden holds a container to the restricted Pod Security Standard.
func harden(container *corev1.Container) {
	if container.SecurityContext == nil {
		container.SecurityContext = &corev1.SecurityContext{}
	}
	s := container.SecurityContext
	s.AllowPrivilegeEscalation = ptr(false)
	if s.Capabilities == nil {
		s.Capabilities = &corev1.Capabilities{}
	}
	s.Capabilities.Drop = []corev1.Capability{"ALL"}
}

// spread prefers other zones and then other hosts. It only prefers: where Kubernetes nodes have no zone label, or there
// is just one of them, a hard rule would keep the pods from starting at all. Rules of the user take the place of these.
func spread(
	c *model.Cluster,
	pool *model.Pool,
	user []corev1.TopologySpreadConstraint,
) []corev1.TopologySpreadConstraint {
	if len(user) > 0 {
		return user
	}
	var constraints []corev1.TopologySpreadConstraint
	for _, key := range []string{c.RackKey, corev1.LabelHostname} {
		constraints = append(constraints, corev1.TopologySpreadConstraint{
			MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: c.Selector(pool)},
		})
	}
	return constraints
}

func kafkaContainer(c *model.Cluster, pool *model.Pool) corev1.Container {
	container := corev1.Container{
		Name:      ContainerName,
		Image:     c.Image,
		Command:   []string{"bash", revisionDir + "/" + entryStart},
		Env:       append(environment(), pluginEnvironment(c)...),
		Ports:     containerPorts(c, pool),
		Resources: *pool.Resources.DeepCopy(),
		// A failed start leaves its last words in the status of the pod.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		ReadinessProbe:           readiness(pool),
		VolumeMounts:             mounts(c, pool),
		SecurityContext:          &corev1.SecurityContext{ReadOnlyRootFilesystem: ptr(true)},
	}
	harden(&container)
	return container
}

// readiness is a connection to the port that opens last. A broker opens REPLICATION only once it has caught up and is
// unfenced; a controller has nothing but its own port. Asked every second, so that a restart loses no time to it.
//
// There is no liveness probe on purpose. A Java virtual machine that ends ends the container; everything else that a
// probe could see (no quorum, a full disk, slow requests) is not cured by a restart, and often made worse by one.
func readiness(pool *model.Pool) *corev1.Probe {
	port := model.PortReplication
	if !pool.Broker {
		port = model.PortController
	}
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(port)}},
		PeriodSeconds:    1,
		TimeoutSeconds:   1,
		SuccessThreshold: 1,
		FailureThreshold: 5,
	}
}

func environment() []corev1.EnvVar {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
		}}
	}
	return []corev1.EnvVar{
		field("POD_NAME", "metadata.name"),
		field("POD_UID", "metadata.uid"),
		field("HOST_IP", "status.hostIP"),
		field("HOST_IPS", "status.hostIPs"),
	}
}

func containerPorts(c *model.Cluster, pool *model.Pool) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	add := func(name string, port int32) {
		ports = append(ports, corev1.ContainerPort{Name: name, ContainerPort: port, Protocol: corev1.ProtocolTCP})
	}
	if pool.Controller {
		add("controller", model.PortController)
	}
	if pool.Broker {
		add("replication", model.PortReplication)
		for _, l := range inForce(c, pool) {
			add(l.Name, l.Port)
		}
	}
	return ports
}

// secretMode lets the group read: fsGroup makes it Kafka's.
const secretMode int32 = 0o440

func volumes(c *model.Cluster, pool *model.Pool, revision string) []corev1.Volume {
	all := []corev1.Volume{
		{Name: RevisionVolume, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: revision}, DefaultMode: ptr(secretMode),
		}}},
		secretVolume(internalVolume, c.InternalSecret(pool)),
		{Name: podVolume, VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{
			DefaultMode: ptr(secretMode),
			// Single keys, so that the container sees no other annotation of the pod.
			Items: []corev1.DownwardAPIVolumeFile{
				podField("format", "metadata.annotations['"+v1alpha1.AnnotationFormat+"']"),
				podField("rack", "metadata.labels['"+c.RackKey+"']"),
			},
		}}},
		{Name: tmpVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
	}
	if pool.Broker {
		all = append(all, secretsVolume(listenersVolume, c.ListenersSecrets(pool)))
	}
	if needsPlainUsers(c, pool) {
		all = append(all, secretsVolume(usersVolume, PlainUsersSecrets(c.Name)))
	}
	if needsTokenKeys(c, pool) {
		// Not optional: Kafka does not start without the file, and waits for the Secret so.
		all = append(all, secretVolume(keysVolume, model.TokenKeysSecret(c.Name)))
	}
	if needsLogins(c, pool) {
		// Not optional: a broker without its JAAS line ends.
		all = append(all, secretVolume(loginsVolume, model.LoginsSecret(c.Name)))
	}
	all = append(all, pluginVolumes(c)...)
	if needsPluginFiles(c, pool) {
		// Not optional: a broker does not start without what its properties name there.
		all = append(all, secretVolume(tieredVolume, model.PluginFilesSecret(c.Name)))
	}
	for _, v := range pool.Volumes {
		if v.Ephemeral {
			size := v.Size.DeepCopy()
			all = append(all, corev1.Volume{Name: v.Name, VolumeSource: corev1.VolumeSource{
				EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size},
			}})
		}
	}
	return all
}

// secretVolume mounts a Secret whole: the kubelet never refreshes single files of one.
func secretVolume(name, secret string) corev1.Volume {
	source := &corev1.SecretVolumeSource{SecretName: secret, DefaultMode: ptr(secretMode)}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: source}}
}

// secretsVolume mounts Secrets as one folder, each whole; any may come later. How many there are does not follow from
// the size of the pool, so that a pool grows without a change of its pods.
func secretsVolume(name string, secrets []string) corev1.Volume {
	source := &corev1.ProjectedVolumeSource{DefaultMode: ptr(secretMode)}
	for _, secret := range secrets {
		source.Sources = append(source.Sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Optional: ptr(true),
		}})
	}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: source}}
}

func podField(file, path string) corev1.DownwardAPIVolumeFile {
	return corev1.DownwardAPIVolumeFile{
		Path:     file,
		FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path},
	}
}

func mounts(c *model.Cluster, pool *model.Pool) []corev1.VolumeMount {
	all := []corev1.VolumeMount{
		{Name: RevisionVolume, MountPath: revisionDir, ReadOnly: true},
		{Name: internalVolume, MountPath: internalDir, ReadOnly: true},
		{Name: podVolume, MountPath: podDir, ReadOnly: true},
		{Name: tmpVolume, MountPath: "/tmp"},
	}
	if pool.Broker {
		all = append(all, corev1.VolumeMount{Name: listenersVolume, MountPath: listenersDir, ReadOnly: true})
	}
	if needsPlainUsers(c, pool) {
		all = append(all, corev1.VolumeMount{Name: usersVolume, MountPath: usersDir, ReadOnly: true})
	}
	if needsTokenKeys(c, pool) {
		all = append(all, corev1.VolumeMount{Name: keysVolume, MountPath: keysDir, ReadOnly: true})
	}
	if needsLogins(c, pool) {
		all = append(all, corev1.VolumeMount{Name: loginsVolume, MountPath: loginsDir, ReadOnly: true})
	}
	all = append(all, pluginMounts(c)...)
	if needsPluginFiles(c, pool) {
		all = append(all, corev1.VolumeMount{Name: tieredVolume, MountPath: pluginFilesDir, ReadOnly: true})
	}
	for _, v := range pool.Volumes {
		all = append(all, corev1.VolumeMount{Name: v.Name, MountPath: dataDir + "/" + v.Name})
	}
	return all
}
