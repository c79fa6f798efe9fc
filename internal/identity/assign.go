// Package identity decides what a cluster is given once in its life: its id, its nodes' ids, the voters of its first
// quorum, the defaults that follow from its first size. It is pure. What it proposes is recorded before anybody acts on
// it.
package identity

import (
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const (
	// thousand is the distance between pools whose first node id nobody chose; it leaves room to grow, and an id tells at
	// a glance which pool it is of.
	thousand int32 = 1000
	// MaxReplicas is the most nodes that a pool can have, and so the ids that one may have used up.
	MaxReplicas int32 = 100
	MaxNodeID   int32 = 2_000_000_000
)

// idRange is the node ids first to last of one pool.
type idRange struct {
	pool        string
	first, last int32
}

func (r idRange) overlaps(o idRange) bool { return r.first <= o.last && o.first <= r.last }

// AssignNodeIDs gives every pool its first node id. A recorded pool keeps the one that it has, also when it left the
// spec: node ids are used once in the life of a cluster. A new pool gets firstNodeId, or else the next thousand that no
// other pool can grow into. The result is what shall be recorded; the faults name ids that two pools claim.
func AssignNodeIDs(
	spec *v1alpha1.KafkaClusterSpec,
	recorded []v1alpha1.PoolStatus,
) ([]v1alpha1.PoolStatus, verdict.List) {
	var faults verdict.List
	assigned := slices.Clone(recorded)
	for _, pool := range spec.Pools {
		known := slices.ContainsFunc(assigned, func(p v1alpha1.PoolStatus) bool { return p.Name == pool.Name })
		switch {
		case known:
			if first, _ := FirstNodeID(recorded, pool.Name); pool.FirstNodeID != nil && *pool.FirstNodeID != first {
				faults.Refuse(
					model.PoolField(pool.Name, "firstNodeId"),
					"the nodes of this pool already have the ids from %d on, and ids are given out once; set it back to %d, or "+
						"make a new pool",
					first,
					first,
				)
			}
		case pool.FirstNodeID != nil:
			assigned = append(assigned, v1alpha1.PoolStatus{Name: pool.Name, FirstNodeID: *pool.FirstNodeID})
		}
	}
	for _, pool := range spec.Pools {
		if !slices.ContainsFunc(assigned, func(p v1alpha1.PoolStatus) bool { return p.Name == pool.Name }) {
			assigned = append(assigned, v1alpha1.PoolStatus{Name: pool.Name, FirstNodeID: nextFreeThousand(assigned)})
		}
	}
	return assigned, append(faults, overlaps(spec, assigned)...)
}

// nextFreeThousand leaves every pool its full room to grow.
func nextFreeThousand(assigned []v1alpha1.PoolStatus) int32 {
	for candidate := int32(0); ; candidate += thousand {
		wanted := idRange{first: candidate, last: candidate + thousand - 1}
		if !slices.ContainsFunc(assigned, func(p v1alpha1.PoolStatus) bool {
			return wanted.overlaps(idRange{first: p.FirstNodeID, last: p.FirstNodeID + MaxReplicas - 1})
		}) {
			return candidate
		}
	}
}

// overlaps finds pools of the spec that claim a node id of another pool. Of a pool that is gone every id counts that it
// may ever have used.
func overlaps(spec *v1alpha1.KafkaClusterSpec, assigned []v1alpha1.PoolStatus) verdict.List {
	var faults verdict.List
	var ranges []idRange
	for _, p := range assigned {
		if !slices.ContainsFunc(spec.Pools, func(q v1alpha1.Pool) bool { return q.Name == p.Name }) {
			ranges = append(ranges, idRange{p.Name, p.FirstNodeID, p.FirstNodeID + MaxReplicas - 1})
		}
	}
	for _, pool := range spec.Pools {
		first, _ := FirstNodeID(assigned, pool.Name)
		own := idRange{pool.Name, first, first + max(spec.ReplicasOf(pool), 1) - 1}
		field, cure := model.ReplicasField(pool.Name, pool.Replicas == nil), "lower the replicas or make a new pool"
		if pool.FirstNodeID != nil {
			field, cure = model.PoolField(pool.Name, "firstNodeId"), "choose ids that no pool has"
		}
		for _, other := range ranges {
			if own.overlaps(other) {
				faults.Refuse(
					field,
					"the node ids %d to %d overlap those of pool %s (%d to %d); %s",
					own.first,
					own.last,
					other.pool,
					other.first,
					other.last,
					cure,
				)
			}
		}
		ranges = append(ranges, own)
	}
	return faults
}

// FirstNodeID looks up a pool's first node id.
func FirstNodeID(pools []v1alpha1.PoolStatus, name string) (int32, bool) {
	for _, p := range pools {
		if p.Name == name {
			return p.FirstNodeID, true
		}
	}
	return 0, false
}

// Defaults returns the values that depend on the size of a cluster. They are computed once, when the cluster is
// made, and recorded, so that growing it changes no broker's file.
func Defaults(spec *v1alpha1.KafkaClusterSpec) v1alpha1.Defaults {
	var brokers int32
	for _, pool := range spec.Pools {
		if pool.HasRole(v1alpha1.RoleBroker) {
			brokers += spec.ReplicasOf(pool)
		}
	}
	defaults := ReplicationOf(brokers)
	defaults.Authorization = v1alpha1.AuthorizationNone
	for _, l := range spec.EffectiveListeners() {
		if l.Authentication != nil && len(l.Authentication.Mechanisms) > 0 {
			defaults.Authorization = v1alpha1.AuthorizationSimple
		}
	}
	return defaults
}

// ReplicationOf is the part of the defaults that follows from a number of brokers.
func ReplicationOf(brokers int32) v1alpha1.Defaults {
	defaults := v1alpha1.Defaults{ReplicationFactor: max(1, min(3, brokers)), MinInsyncReplicas: 1}
	if brokers >= 3 {
		defaults.MinInsyncReplicas = 2
	}
	return defaults
}

// ControllerIDs returns the node ids with the role Controller, the lowest first. Pools that have no first node id yet
// are left out.
func ControllerIDs(spec *v1alpha1.KafkaClusterSpec, pools []v1alpha1.PoolStatus) []int32 {
	var ids []int32
	for _, pool := range spec.Pools {
		first, known := FirstNodeID(pools, pool.Name)
		if !known || !pool.HasRole(v1alpha1.RoleController) {
			continue
		}
		for i := range spec.ReplicasOf(pool) {
			ids = append(ids, first+i)
		}
	}
	slices.Sort(ids)
	return ids
}
