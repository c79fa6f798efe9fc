package decide

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
)

// A volume that is taken out of a pool stays until it is empty on all brokers of the pool. What remembers it is its
// StatefulSet, which makes its claims, and while that is made anew the pods that mount it.

// keepVolumes leaves volumes in the model that the spec has no more, and that hold something as far as is known.
func (d *Decision) keepVolumes(in Inputs) {
	if !d.Model.Bootstrapped {
		return
	}
	for i := range d.Model.Pools {
		pool := &d.Model.Pools[i]
		before := volumesOf(in.Live, d.Model, pool)
		for at, v := range before {
			has := slices.ContainsFunc(pool.Volumes, func(w v1alpha1.Volume) bool { return w.Name == v.Name })
			if has || v.Ephemeral || d.isEmpty(in, pool, v.Name) {
				continue
			}
			pool.Leaving = append(pool.Leaving, v.Name)
			pool.Volumes = slices.Insert(pool.Volumes, placeOf(pool.Volumes, before[:at]), v)
		}
	}
}

// volumesOf are the volumes that a pool has, whatever the spec says, in their order.
func volumesOf(live *observe.Live, c *model.Cluster, pool *model.Pool) []v1alpha1.Volume {
	if set := live.StatefulSets[pool.StatefulSet]; set != nil && set.DeletionTimestamp == nil {
		return render.PoolOf(set).Storage.Volumes
	}
	var found []v1alpha1.Volume
	for i := range live.Pods {
		pod := &live.Pods[i]
		if pod.Labels[v1alpha1.LabelPool] != pool.Name || pod.DeletionTimestamp != nil {
			continue
		}
		for _, name := range render.VolumesOf(&pod.Spec) {
			claim := live.Claims[model.ClaimName(name, pod.Name)]
			known := slices.ContainsFunc(found, func(v v1alpha1.Volume) bool { return v.Name == name })
			if claim == nil || known || claim.Labels[v1alpha1.LabelClusterID] != c.ClusterID {
				continue
			}
			found = append(found, v1alpha1.Volume{
				Name: name, Size: claim.Spec.Resources.Requests[corev1.ResourceStorage],
				StorageClassName: claim.Spec.StorageClassName, VolumeAttributesClassName: claim.Spec.VolumeAttributesClassName,
			})
		}
	}
	return found
}

// placeOf is where a volume stands: behind the last of those that stood before it.
func placeOf(volumes, before []v1alpha1.Volume) int {
	at := 0
	for i, v := range volumes {
		if slices.ContainsFunc(before, func(w v1alpha1.Volume) bool { return w.Name == v.Name }) {
			at = i + 1
		}
	}
	return at
}

// isEmpty tells whether a volume is known to hold nothing on any node of its pool. Every broker says so itself in the
// view of this pass. A claim that never had a volume holds nothing, whatever its node does.
func (d *Decision) isEmpty(in Inputs, pool *model.Pool, volume string) bool {
	holders := holdersOf(in.Live, d.Model, pool, volume)
	for i := range d.Model.Nodes {
		n := &d.Model.Nodes[i]
		claim := in.Live.Claims[model.ClaimName(volume, n.PodName)]
		if n.Pool == pool.Name && claim != nil && model.HasVolume(claim) {
			holders[n.ID] = n.PodName
		}
	}
	for id, podName := range holders {
		at := slices.IndexFunc(in.Live.Pods, func(pod corev1.Pod) bool { return pod.Name == podName })
		if !pool.Broker || at >= 0 && !slices.Contains(render.VolumesOf(&in.Live.Pods[at].Spec), volume) {
			continue // it runs without
		}
		if in.Kafka == nil || in.Kafka.ClusterID != d.Model.ClusterID {
			return false
		}
		dirs, told := in.Kafka.LogDirs[id]
		if !told {
			return false
		}
		for _, dir := range dirs {
			if dir.Path == model.LogDir(volume) && (dir.Error != "" || len(dir.Holds)+len(dir.Coming) > 0) {
				return false
			}
		}
	}
	return true
}

// holdersOf are the pods of a pool that mount a volume, by node id, those of nodes that leave among them.
func holdersOf(live *observe.Live, c *model.Cluster, pool *model.Pool, volume string) map[int32]string {
	holders := map[int32]string{}
	for i := range live.Pods {
		pod := &live.Pods[i]
		claim := live.Claims[model.ClaimName(volume, pod.Name)]
		id, is := observe.NodeID(pod.Name)
		if is && pod.Labels[v1alpha1.LabelPool] == pool.Name && slices.Contains(render.VolumesOf(&pod.Spec), volume) &&
			claim != nil && model.HasVolume(claim) && claim.Labels[v1alpha1.LabelClusterID] == c.ClusterID {
			holders[id] = pod.Name
		}
	}
	return holders
}

// LeavingVolumes lists the nodes whose pods mount a volume that the spec of their pool does not have: what is on it,
// only their brokers know.
func LeavingVolumes(spec *v1alpha1.KafkaClusterSpec, live *observe.Live) []int32 {
	var ids []int32
	for i := range live.Pods {
		pod := &live.Pods[i]
		id, is := observe.NodeID(pod.Name)
		at := slices.IndexFunc(spec.Pools, func(p v1alpha1.Pool) bool { return p.Name == pod.Labels[v1alpha1.LabelPool] })
		if !is || at < 0 || pod.Labels[v1alpha1.LabelBroker] != "true" {
			continue
		}
		for _, name := range render.VolumesOf(&pod.Spec) {
			if !slices.ContainsFunc(spec.Pools[at].Storage.Volumes, func(v v1alpha1.Volume) bool { return v.Name == name }) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
