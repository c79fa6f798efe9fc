package resolve

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

// validateChanges judges the step to this spec from the last accepted one and from the pools that live, and from what
// Kafka has finalized.
func validateChanges(in Inputs, v version.Version) verdict.List {
	faults := slices.Concat(validateFeatures(in, v), validateClasses(in), validateFamilies(in))
	stage := stageOf(&in.Cluster.Status)
	before := poolsBefore(in)
	for i := range before {
		at := slices.IndexFunc(in.Spec.Pools, func(p v1alpha1.Pool) bool { return p.Name == before[i].Name })
		switch {
		case at >= 0:
			name, after := before[i].Name, &in.Spec.Pools[at]
			change := poolChange{
				&before[i], after, in.Spec.ReplicasOf(*after), stage, in.Disks[name], in.Capacities[name], in.Capacities != nil,
			}
			faults = append(faults, change.validate()...)
		case stage == founding && before[i].HasRole(v1alpha1.RoleController):
			faults.Refuse(
				model.PoolField(before[i].Name, ""),
				"its controllers are to found the cluster, which has not happened yet; put the pool back, or delete the "+
					"KafkaCluster and its claims",
			)
		}
	}
	if stage != founding || in.Accepted == nil {
		return faults
	}
	for _, p := range in.Spec.Pools {
		isNew := !slices.ContainsFunc(before, func(q v1alpha1.Pool) bool { return q.Name == p.Name })
		if isNew && p.HasRole(v1alpha1.RoleController) && in.Spec.ReplicasOf(p) > 0 {
			faults.Refuse(
				model.PoolField(p.Name, "roles"),
				"the first quorum has not formed yet; add controllers once the cluster is Available",
			)
		}
	}
	return faults
}

// stage is how far a cluster has come with its first quorum.
type stage int

const (
	formed   stage = iota // the quorum has been seen
	founding              // a disk was told to be a founder's, so that the founders are who they are
	unbegun               // no disk was told so: nothing is on any of them
)

func stageOf(status *v1alpha1.KafkaClusterStatus) stage {
	told := func(v v1alpha1.InitialVoter) bool { return v.DiskUID != "" }
	switch {
	case status.Bootstrapped:
		return formed
	case slices.ContainsFunc(status.InitialVoters, told):
		return founding
	default:
		return unbegun
	}
}

// poolsBefore are the accepted pools, and those that live without being accepted: a pool that is taken out of the spec
// and put back while its nodes leave is still the same pool. Each says how many nodes it had.
func poolsBefore(in Inputs) []v1alpha1.Pool {
	var pools []v1alpha1.Pool
	if in.Accepted != nil {
		pools = slices.Clone(in.Accepted.Pools)
		for i := range pools {
			nodes := in.Accepted.ReplicasOf(pools[i])
			pools[i].Replicas = &nodes
			if living := in.Living[pools[i].Name]; in.Cluster.Status.Bootstrapped {
				pools[i].Storage.Volumes = withLiving(pools[i].Storage.Volumes, living.Storage.Volumes)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Living)) {
		if !slices.ContainsFunc(pools, func(p v1alpha1.Pool) bool { return p.Name == name }) {
			pools = append(pools, in.Living[name])
		}
	}
	return pools
}

// withLiving adds volumes that a pool still has, and that an accepted spec has taken out, each behind the last of those
// that stand before it.
func withLiving(accepted, living []v1alpha1.Volume) []v1alpha1.Volume {
	all, at := slices.Clone(accepted), 0
	for _, v := range living {
		i := slices.IndexFunc(all, func(w v1alpha1.Volume) bool { return w.Name == v.Name })
		if i < 0 && len(accepted) > 0 {
			all = slices.Insert(all, at, v)
			i = at
		}
		at = i + 1
	}
	return all
}

// validateFeatures refuses a version of Kafka that could not read what a newer one has written (KIP-584), and a
// metadata.version that the version does not know or cannot go back to.
func validateFeatures(in Inputs, v version.Version) verdict.List {
	if v.Kafka == "" {
		return nil
	}
	if faults := version.ValidateFinalized(in.Cluster.Status.Features, v); len(faults) > 0 {
		return faults
	}
	asked := in.Spec.MetadataVersion
	if asked == "" {
		return nil
	}
	level, known := v.MetadataLevel(asked)
	if !known {
		return verdict.List{
			verdict.Stalled(
				verdict.ReasonInvalid,
				"spec.metadataVersion",
				"Kafka %s knows no metadata.version %s; use Auto, or one of: %s",
				v.Kafka,
				asked,
				v.MetadataNames(),
			),
		}
	}
	if finalized := int16(in.Cluster.Status.Features[version.MetadataVersion]); !v.CanLower(finalized, level) {
		return verdict.List{
			verdict.Stalled(
				verdict.ReasonInvalid,
				"spec.metadataVersion",
				"metadata.version %[1]s is finalized, and Kafka cannot go back to %[2]s without losing metadata; remove the "+
					"field, or set it to %[1]s",
				v.MetadataName(finalized),
				v.MetadataName(level),
			),
		}
	}
	return nil
}

// poolChange is the step of one pool from what it was to what it shall be.
type poolChange struct {
	before, after *v1alpha1.Pool
	nodes         int32 // that it shall have
	stage         stage
	disks         map[string]string // a claim with a volume, by the name of the pool's volume
	capacities    map[string]resource.Quantity
	measured      bool // all disks that there are have a capacity
}

func (c poolChange) validate() verdict.List {
	var faults verdict.List
	wasController, wasBroker := c.before.HasRole(v1alpha1.RoleController), c.before.HasRole(v1alpha1.RoleBroker)
	isController, isBroker := c.after.HasRole(v1alpha1.RoleController), c.after.HasRole(v1alpha1.RoleBroker)
	switch {
	case c.stage == formed && wasBroker && !isBroker:
		faults.Refuse(
			model.PoolField(c.after.Name, "roles"),
			"the role Broker cannot be taken from nodes that may hold records; set it back, and make a new pool for controllers",
		)
	case c.stage == founding &&
		(wasController != isController || isController && c.nodes != *c.before.Replicas):
		faults.Refuse(
			model.ReplicasField(c.after.Name, c.after.Replicas == nil),
			"the first quorum has not formed yet; set replicas back to %d and the roles as they were, and change them once "+
				"the cluster is Available, or delete the KafkaCluster and its claims",
			*c.before.Replicas,
		)
	}
	return append(faults, c.validateVolumes()...)
}

// fixed tells that a volume cannot change any more: the cluster has formed, or something may be on a disk of it.
func (c poolChange) fixed(v v1alpha1.Volume) bool {
	return c.stage == formed || c.disks[v.Name] != "" ||
		v.Ephemeral && c.stage == founding && c.before.HasRole(v1alpha1.RoleController)
}

// orElse ends a cure that begins with going back. Before the quorum has formed a new pool is no way out for
// controllers.
func (c poolChange) orElse(whenFormed string) string {
	if c.stage == formed {
		return whenFormed
	}
	return ", or delete the KafkaCluster and its claims"
}

func (c poolChange) validateVolumes() verdict.List {
	var faults verdict.List
	var kept, order []string
	anyFixed := false
	for _, v := range c.before.Storage.Volumes {
		i := slices.IndexFunc(c.after.Storage.Volumes, func(w v1alpha1.Volume) bool { return w.Name == v.Name })
		anyFixed = anyFixed || c.fixed(v)
		if i >= 0 {
			kept = append(kept, v.Name)
		}
		switch {
		case !c.fixed(v), len(c.after.Storage.Volumes) == 0: // that none is left is said elsewhere
		case i >= 0:
			c.validateVolume(&faults, v, c.after.Storage.Volumes[i])
		default:
			c.validateRemoval(&faults, v)
		}
	}
	for _, v := range c.after.Storage.Volumes {
		if slices.Contains(kept, v.Name) {
			order = append(order, v.Name)
		} else if c.stage == formed && len(c.before.Storage.Volumes) > 0 {
			c.validateAddition(&faults, v)
		}
	}
	removed := c.stage == formed && !slices.Contains(order, firstOf(c.before))
	if anyFixed && (!slices.Equal(kept, order) || c.firstMoves() && !removed) {
		faults.Refuse(model.PoolField(c.after.Name, "storage.volumes"),
			"the order of volumes cannot change, because the first holds the metadata log; put them back in the order %v%s",
			kept, c.orElse(""))
	}
	return faults
}

func firstOf(p *v1alpha1.Pool) string {
	if len(p.Storage.Volumes) == 0 {
		return ""
	}
	return p.Storage.Volumes[0].Name
}

// validateRemoval lets a volume leave a cluster that has formed, unless nothing that is on it could move away.
func (c poolChange) validateRemoval(faults *verdict.List, v v1alpha1.Volume) {
	field := model.VolumeField(c.after.Name, v.Name, "")
	switch {
	case c.stage != formed:
		faults.Refuse(field, "a volume cannot be renamed or removed before the cluster has formed; put it back under its "+
			"name%s", c.orElse(""))
	case v.Name == firstOf(c.before):
		faults.Refuse(field, "the first volume holds the metadata log, which cannot move to another; put it back as the "+
			"first, or make a new pool without it, and remove this one")
	case v.Ephemeral:
		faults.Refuse(field, "an ephemeral volume cannot be removed, because its pods would be made anew and lose their "+
			"records; put it back, or make a new pool without it")
	}
}

// validateAddition lets a volume come to a cluster that has formed.
func (c poolChange) validateAddition(faults *verdict.List, v v1alpha1.Volume) {
	ephemeral := func(w v1alpha1.Volume) bool { return w.Ephemeral }
	if v.Ephemeral || slices.ContainsFunc(c.before.Storage.Volumes, ephemeral) {
		faults.Refuse(model.VolumeField(c.after.Name, v.Name, ""), "a volume cannot be added where some are ephemeral, "+
			"because pods would be made anew and lose their records; remove it, or make a new pool with it")
	}
}

// firstMoves tells that another volume would hold the metadata log.
func (c poolChange) firstMoves() bool {
	before, after := c.before.Storage.Volumes, c.after.Storage.Volumes
	return len(before) > 0 && len(after) > 0 && before[0].Name != after[0].Name
}

func (c poolChange) validateVolume(faults *verdict.List, before, after v1alpha1.Volume) {
	field := func(name string) string { return model.VolumeField(c.after.Name, after.Name, name) }
	if size := after.Size.Cmp(before.Size); size != 0 && before.Ephemeral && after.Ephemeral {
		faults.Refuse(field("size"),
			"the size of an ephemeral volume cannot change, because its pods would be made anew and lose their records; set it "+
				"back to %s%s", before.Size.String(), c.orElse(", or make a new pool"))
	} else if size < 0 {
		c.validateShrink(faults, before, after)
	}
	if before.Ephemeral != after.Ephemeral {
		faults.Refuse(field("ephemeral"),
			"a volume stays ephemeral or not for its life; set it back to %t%s",
			before.Ephemeral, c.orElse(", or make a new pool"))
	} else if !model.SameClass(before.StorageClassName, after.StorageClassName) {
		faults.Refuse(field("storageClassName"),
			"the storage class of a disk cannot change; %s%s",
			setBack(before.StorageClassName), c.orElse(", or make a new pool with the new class"))
	}
}

// validateShrink lets the size of a volume be lowered to what no disk of it has outgrown: it may have been raised
// further than Kubernetes could follow.
func (c poolChange) validateShrink(faults *verdict.List, before, after v1alpha1.Volume) {
	largest, has := c.capacities[after.Name]
	said, least := "", "set the size back to "+before.Size.String()
	switch {
	case c.measured && (!has || largest.Cmp(after.Size) <= 0):
		return
	case c.measured && largest.Cmp(before.Size) < 0:
		said, least = ", and some of the pool have "+largest.String(), "set the size to "+largest.String()+" or more"
	}
	faults.Refuse(model.VolumeField(c.after.Name, after.Name, "size"), "a disk cannot shrink%s; %s%s", said, least,
		c.orElse(", or make a new pool with smaller volumes, move the partitions to its brokers, and remove this one"))
}

func setBack(class *string) string {
	if class == nil {
		return "remove it"
	}
	if *class == "" {
		return `set it back to ""` // static volumes
	}
	return "set it back to " + *class
}
