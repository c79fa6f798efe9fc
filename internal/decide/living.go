package decide

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// living are the pools that there are, whatever a spec says of them.
func living(live *observe.Live) map[string]v1alpha1.Pool {
	pools := map[string]v1alpha1.Pool{}
	for _, set := range live.StatefulSets {
		if pool := render.PoolOf(set); pool.Name != "" {
			pools[pool.Name] = pool
		}
	}
	return pools
}

// headless refuses to let a pool go whose pods live and have no StatefulSet: it is being made anew, or somebody deleted
// it. Without one its nodes could not leave one by one. The accepted spec, which has the pool, makes it again.
func headless(in Inputs, spec *v1alpha1.KafkaClusterSpec) verdict.List {
	var faults verdict.List
	if in.Accepted == nil || !in.Cluster.Status.Bootstrapped {
		return faults
	}
	for _, p := range in.Accepted.Pools {
		set := in.Live.StatefulSets[in.Cluster.Name+"-"+p.Name]
		asked := slices.ContainsFunc(spec.Pools, func(q v1alpha1.Pool) bool { return q.Name == p.Name })
		lives := slices.ContainsFunc(in.Live.Pods, func(pod corev1.Pod) bool {
			return pod.Labels[v1alpha1.LabelPool] == p.Name && pod.DeletionTimestamp == nil
		})
		if !asked && lives && (set == nil || set.DeletionTimestamp != nil) {
			faults.Refuse(model.PoolField(p.Name, ""), "its StatefulSet is made anew before its nodes can leave; wait a moment")
		}
	}
	return faults
}

// disks name a claim that has a volume, by pool and by the name of the volume.
func disks(live *observe.Live) map[string]map[string]string {
	found := map[string]map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(live.Claims)) {
		claim := live.Claims[name]
		pool, volume := claim.Labels[v1alpha1.LabelPool], claim.Labels[v1alpha1.LabelVolume]
		if pool == "" || claim.DeletionTimestamp != nil || !model.HasVolume(claim) {
			continue
		}
		if found[pool] == nil {
			found[pool] = map[string]string{}
		}
		if found[pool][volume] == "" {
			found[pool][volume] = name
		}
	}
	return found
}

// capacities are what Kubernetes has given to claims that have a volume, the largest of each volume, by pool and by the
// name of the volume. A claim of which it says nothing counts as it asks for.
func capacities(live *observe.Live) map[string]map[string]resource.Quantity {
	found := map[string]map[string]resource.Quantity{}
	for _, claim := range live.Claims {
		pool, volume := claim.Labels[v1alpha1.LabelPool], claim.Labels[v1alpha1.LabelVolume]
		if pool == "" || claim.DeletionTimestamp != nil || !model.HasVolume(claim) {
			continue
		}
		has := claim.Status.Capacity[corev1.ResourceStorage]
		if has.IsZero() {
			has = claim.Spec.Resources.Requests[corev1.ResourceStorage]
		}
		if found[pool] == nil {
			found[pool] = map[string]resource.Quantity{}
		}
		if largest := found[pool][volume]; largest.Cmp(has) < 0 {
			found[pool][volume] = has
		}
	}
	return found
}

// Remade is what Kubernetes cannot change in place and what nobody would miss.
type Remade struct {
	// Sets make other claims than their pools ask for, in a cluster that has not formed. Their pods stay, for their
	// successors. Of a cluster that has formed they are a matter of the plan.
	Sets []*appsv1.StatefulSet
	// Claims have never had a volume, and ask for another one than their nodes need.
	Claims []*corev1.PersistentVolumeClaim
}

// remade finds it. A claim that has a volume is never among it: a disk may be formatted.
func remade(c *model.Cluster, live *observe.Live) Remade {
	var r Remade
	for i := range c.Pools {
		set := live.StatefulSets[c.Pools[i].StatefulSet]
		if !c.Bootstrapped && set != nil && set.DeletionTimestamp == nil && !render.KeepsClaims(set, c, &c.Pools[i]) {
			r.Sets = append(r.Sets, set)
		}
	}
	for i := range c.Nodes {
		pool := c.PoolOf(&c.Nodes[i])
		for _, want := range render.Claims(c, &c.Nodes[i]) {
			have := live.Claims[want.Name]
			if have == nil || have.DeletionTimestamp != nil || model.HasVolume(have) || !isOurs(have, want) {
				continue
			}
			if differs(have, want) || isOfFormerClass(have, want, live.StatefulSets[pool.StatefulSet]) {
				r.Claims = append(r.Claims, have)
			}
		}
	}
	return r
}

// isOurs tells that a claim is this Kafka cluster's, or was just made from the template of its StatefulSet.
func isOurs(have, want *corev1.PersistentVolumeClaim) bool {
	id := have.Labels[v1alpha1.LabelClusterID]
	return id == want.Labels[v1alpha1.LabelClusterID] || id == "" && have.Labels[v1alpha1.LabelNodeID] == ""
}

// differs tells that a claim asks for another size or class than is wanted. The default class may be any.
func differs(have, want *corev1.PersistentVolumeClaim) bool {
	return requested(have) != requested(want) || want.Spec.StorageClassName != nil &&
		!model.SameClass(have.Spec.StorageClassName, want.Spec.StorageClassName)
}

// isOfFormerClass tells that a claim has the class that the spec asked for before it was to have the default class.
func isOfFormerClass(have, want *corev1.PersistentVolumeClaim, set *appsv1.StatefulSet) bool {
	if set == nil || want.Spec.StorageClassName != nil || have.Spec.StorageClassName == nil {
		return false
	}
	return slices.ContainsFunc(set.Spec.VolumeClaimTemplates, func(t corev1.PersistentVolumeClaim) bool {
		return t.Name == want.Labels[v1alpha1.LabelVolume] && t.Spec.StorageClassName != nil &&
			*t.Spec.StorageClassName == *have.Spec.StorageClassName
	})
}

// staleClaims are those that the operator made for nodes that are no longer asked for, and that never had a volume: a
// wrong storage class was taken out with its pool. A claim whose volume somebody chose or fills is left alone.
func staleClaims(c *model.Cluster, live *observe.Live) []*corev1.PersistentVolumeClaim {
	needed := map[string]bool{}
	for i := range c.Nodes {
		for _, want := range render.Claims(c, &c.Nodes[i]) {
			needed[want.Name] = true
		}
	}
	for i := range live.Pods {
		for _, volume := range live.Pods[i].Spec.Volumes {
			if volume.PersistentVolumeClaim != nil {
				needed[volume.PersistentVolumeClaim.ClaimName] = true
			}
		}
	}
	var stale []*corev1.PersistentVolumeClaim
	for _, claim := range live.Claims {
		labels, spec := claim.Labels, &claim.Spec
		ours := labels[v1alpha1.LabelNodeID] != "" && labels[v1alpha1.LabelClusterID] == c.ClusterID
		chosen := spec.Selector != nil || spec.DataSource != nil || spec.DataSourceRef != nil
		if ours && !chosen && !needed[claim.Name] && claim.Status.Phase == corev1.ClaimPending && !model.HasVolume(claim) {
			stale = append(stale, claim)
		}
	}
	return stale
}
