package render

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// PoolOf reads back the pool that a StatefulSet was made of: roles, replicas and volumes.
func PoolOf(set *appsv1.StatefulSet) v1alpha1.Pool {
	template := &set.Spec.Template
	var replicas int32
	if set.Spec.Replicas != nil {
		replicas = *set.Spec.Replicas
	}
	pool := v1alpha1.Pool{Name: set.Labels[v1alpha1.LabelPool], Replicas: &replicas}
	if template.Labels[v1alpha1.LabelController] == "true" {
		pool.Roles = append(pool.Roles, v1alpha1.RoleController)
	}
	if template.Labels[v1alpha1.LabelBroker] == "true" {
		pool.Roles = append(pool.Roles, v1alpha1.RoleBroker)
	}
	for _, name := range VolumesOf(&template.Spec) {
		pool.Storage.Volumes = append(pool.Storage.Volumes, volumeOf(set, name))
	}
	return pool
}

// VolumesOf reads back the volumes with records that a pod mounts, in the order of its pool.
func VolumesOf(pod *corev1.PodSpec) []string {
	var names []string
	for i := range pod.Containers {
		if pod.Containers[i].Name != ContainerName {
			continue
		}
		for _, mount := range pod.Containers[i].VolumeMounts {
			if strings.HasPrefix(mount.MountPath, dataDir+"/") {
				names = append(names, mount.Name)
			}
		}
	}
	return names
}

// HasVolumes tells that a StatefulSet makes claims of exactly the volumes of its pool. A pod that mounts another cannot
// be made.
func HasVolumes(set *appsv1.StatefulSet, pool *model.Pool) bool {
	claims := slices.DeleteFunc(slices.Clone(pool.Volumes), func(v v1alpha1.Volume) bool { return v.Ephemeral })
	return slices.EqualFunc(set.Spec.VolumeClaimTemplates, claims,
		func(have corev1.PersistentVolumeClaim, want v1alpha1.Volume) bool { return have.Name == want.Name })
}

// KeyStores reads back from which entries of the listeners' Secret a node has its certificates, and on which port it
// shows each.
func KeyStores(files NodeFiles) []model.KeyStore {
	const prefix, suffix = listenersDir + "/", ".pem"
	properties := readProperties(files.Data[fileProperties])
	var stores []model.KeyStore
	for listener := range strings.SplitSeq(properties["listeners"], ",") {
		name, address, _ := strings.Cut(listener, "://")
		location := properties["listener.name."+strings.ToLower(name)+".ssl.keystore.location"]
		port, err := strconv.ParseInt(address[strings.LastIndexByte(address, ':')+1:], 10, 32)
		if err == nil && strings.HasPrefix(location, prefix) && strings.HasSuffix(location, suffix) {
			entry := strings.TrimSuffix(strings.TrimPrefix(location, prefix), suffix)
			trust := properties["listener.name."+strings.ToLower(name)+".ssl.truststore.location"]
			stores = append(stores, model.KeyStore{Entry: entry, Port: int32(port), Trust: strings.TrimPrefix(trust, prefix)})
		}
	}
	slices.SortFunc(stores, func(a, b model.KeyStore) int { return int(a.Port - b.Port) })
	return stores
}

func volumeOf(set *appsv1.StatefulSet, name string) v1alpha1.Volume {
	volume := v1alpha1.Volume{Name: name}
	for _, v := range set.Spec.Template.Spec.Volumes {
		if v.Name == name && v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil {
			volume.Ephemeral, volume.Size = true, v.EmptyDir.SizeLimit.DeepCopy()
		}
	}
	for _, template := range set.Spec.VolumeClaimTemplates {
		if template.Name == name {
			volume.Size = template.Spec.Resources.Requests[corev1.ResourceStorage]
			volume.StorageClassName = template.Spec.StorageClassName
			volume.VolumeAttributesClassName = template.Spec.VolumeAttributesClassName
		}
	}
	return volume
}

// KeepsClaims tells that the claims which a StatefulSet would make are those of the pool. What it would make can never
// be changed.
func KeepsClaims(set *appsv1.StatefulSet, c *model.Cluster, pool *model.Pool) bool {
	return slices.EqualFunc(set.Spec.VolumeClaimTemplates, claimTemplates(c, pool),
		func(have, want corev1.PersistentVolumeClaim) bool {
			size := have.Spec.Resources.Requests[corev1.ResourceStorage]
			asked := want.Spec.Resources.Requests[corev1.ResourceStorage]
			return have.Name == want.Name && size.Cmp(asked) == 0 &&
				model.SameClass(have.Spec.StorageClassName, want.Spec.StorageClassName) &&
				model.SameClass(have.Spec.VolumeAttributesClassName, want.Spec.VolumeAttributesClassName)
		})
}

// CertificateNames reads back which names the files of a node ask of the certificate of a listener, and whether an
// address of the Kubernetes node is among them. known is false for files that say nothing of names.
func CertificateNames(files NodeFiles, listener string) (names []string, hostIP, known bool) {
	text, known := files.Data[fileNames]
	for line := range strings.Lines(text) {
		certificate, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch {
		case certificate != listener:
		case model.IsHostIP(name):
			hostIP = true
		default:
			names = append(names, name)
		}
	}
	return names, hostIP, known
}

// Advertised reads back what the files of a node advertise, by the listener's name in Kafka.
func Advertised(files NodeFiles) map[string]model.HostPort {
	advertised := map[string]model.HostPort{}
	for entry := range strings.SplitSeq(readProperties(files.Data[fileProperties])["advertised.listeners"], ",") {
		name, address, found := strings.Cut(entry, "://")
		at := strings.LastIndex(address, ":")
		if !found || at < 0 {
			continue
		}
		port, err := strconv.ParseInt(address[at+1:], 10, 32)
		if err == nil {
			advertised[name] = model.HostPort{Host: strings.Trim(address[:at], "[]"), Port: int32(port)}
		}
	}
	return advertised
}

// Roles reads back what a node with these files is. known is false without any.
func Roles(files NodeFiles) (controller, broker, known bool) {
	for role := range strings.SplitSeq(readProperties(files.Data[fileProperties])["process.roles"], ",") {
		controller, broker = controller || role == "controller", broker || role == "broker"
	}
	return controller, broker, controller || broker
}

// ListenerAt names the listener that a node's files bind at a port, as Kafka has it; empty = none.
func ListenerAt(files NodeFiles, port int32) string {
	for entry := range strings.SplitSeq(readProperties(files.Data[fileProperties])["listeners"], ",") {
		if name, _, found := strings.Cut(entry, "://"); found && strings.HasSuffix(entry, fmt.Sprintf(":%d", port)) {
			return name
		}
	}
	return ""
}

// SameListener tells whether two versions of a node's files say the same of a listener, by its name in Kafka.
func SameListener(a, b NodeFiles, name string) bool {
	return maps.Equal(ofListener(a, name), ofListener(b, name))
}

// ofListener is what the files of a node say of a listener.
func ofListener(files NodeFiles, name string) map[string]string {
	properties, said := readProperties(files.Data[fileProperties]), map[string]string{}
	for key, value := range properties {
		if strings.HasPrefix(key, "listener.name."+strings.ToLower(name)+".") {
			said[key] = value
		}
	}
	for _, key := range []string{"listeners", "advertised.listeners", "listener.security.protocol.map"} {
		for entry := range strings.SplitSeq(properties[key], ",") {
			if strings.HasPrefix(entry, name+":") {
				said[key] = entry
			}
		}
	}
	return said
}
