package resolve

import (
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
	"github.com/castellan-dev/castellan/internal/version"
)

// validateChanges judges the step from the last accepted spec to this one, and from what Kafka has finalized.
func validateChanges(in Inputs, v version.Version) verdict.List {
	faults := validateFeatures(in, v)
	if in.Accepted == nil {
		return faults
	}
	// From the moment the first voters are recorded until their quorum is seen, its members are what the record says.
	forming := !in.Cluster.Status.Bootstrapped && len(in.Cluster.Status.InitialVoters) > 0
	for _, before := range in.Accepted.Pools {
		i := slices.IndexFunc(in.Spec.Pools, func(p v1alpha1.Pool) bool { return p.Name == before.Name })
		switch {
		case i >= 0:
			faults = append(faults, validatePoolChange(&before, &in.Spec.Pools[i], forming)...)
		case forming && before.HasRole(v1alpha1.RoleController):
			faults.Refuse(
				model.PoolField(before.Name, ""),
				"its controllers are to found the cluster, which has not happened yet; put the pool back, or delete the "+
					"KafkaCluster and its claims",
			)
		}
	}
	for _, p := range in.Spec.Pools {
		isNew := !slices.ContainsFunc(in.Accepted.Pools, func(q v1alpha1.Pool) bool { return q.Name == p.Name })
		if isNew && forming && p.HasRole(v1alpha1.RoleController) && p.Replicas > 0 {
			faults.Refuse(
				model.PoolField(p.Name, "roles"),
				"the first quorum has not formed yet; add controllers once the cluster is Available",
			)
		}
	}
	return faults
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

func validatePoolChange(before, after *v1alpha1.Pool, forming bool) verdict.List {
	var faults verdict.List
	wasController, wasBroker := before.HasRole(v1alpha1.RoleController), before.HasRole(v1alpha1.RoleBroker)
	isController, isBroker := after.HasRole(v1alpha1.RoleController), after.HasRole(v1alpha1.RoleBroker)
	switch {
	case wasBroker && !isBroker:
		faults.Refuse(
			model.PoolField(after.Name, "roles"),
			"the role Broker cannot be taken from nodes that may hold records; set it back, and make a new pool for controllers",
		)
	case forming && (wasController != isController || isController && after.Replicas != before.Replicas):
		faults.Refuse(
			model.PoolField(after.Name, "replicas"),
			"the first quorum has not formed yet; set replicas back to %d and the roles as they were, and change them once "+
				"the cluster is Available",
			before.Replicas,
		)
	}
	return append(faults, validateVolumeChanges(before, after)...)
}

func validateVolumeChanges(before, after *v1alpha1.Pool) verdict.List {
	var faults verdict.List
	var kept, order []string
	for _, v := range before.Storage.Volumes {
		i := slices.IndexFunc(after.Storage.Volumes, func(w v1alpha1.Volume) bool { return w.Name == v.Name })
		if i < 0 {
			faults.Add(
				verdict.ReasonNotYetSupported,
				model.VolumeField(after.Name, v.Name, ""),
				"a volume cannot be renamed, and this operator cannot remove one yet; put it back under its name",
			)
			continue
		}
		kept = append(kept, v.Name)
		faults = append(faults, validateVolumeChange(after.Name, v, after.Storage.Volumes[i])...)
	}
	for _, v := range after.Storage.Volumes {
		if slices.Contains(kept, v.Name) {
			order = append(order, v.Name)
			continue
		}
		faults.Add(
			verdict.ReasonNotYetSupported,
			model.VolumeField(after.Name, v.Name, ""),
			"this operator cannot add a volume to a pool yet; remove it, or make a new pool with it",
		)
	}
	if !slices.Equal(kept, order) {
		faults.Refuse(
			model.PoolField(after.Name, "storage.volumes"),
			"the order of volumes cannot change, because the first holds the metadata log; put them back in the order %v",
			kept,
		)
	}
	return faults
}

func validateVolumeChange(pool string, before, after v1alpha1.Volume) verdict.List {
	var faults verdict.List
	switch after.Size.Cmp(before.Size) {
	case -1:
		faults.Refuse(
			model.VolumeField(pool, after.Name, "size"),
			"a disk cannot shrink; set the size back to %s, or make a new pool with smaller volumes",
			before.Size.String(),
		)
	case 1:
		faults.Add(
			verdict.ReasonNotYetSupported,
			model.VolumeField(pool, after.Name, "size"),
			"this operator cannot grow a volume yet; set the size back to %s",
			before.Size.String(),
		)
	}
	if before.Ephemeral != after.Ephemeral {
		faults.Refuse(
			model.VolumeField(pool, after.Name, "ephemeral"),
			"a volume stays ephemeral or not for its life; set it back to %t, or make a new pool",
			before.Ephemeral,
		)
	} else if !sameClass(before.StorageClassName, after.StorageClassName) {
		faults.Refuse(model.VolumeField(pool, after.Name, "storageClassName"), "the storage class of a disk cannot "+
			"change; %s, or make a new pool with the new class", setBack(before.StorageClassName))
	}
	return faults
}

func sameClass(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func setBack(class *string) string {
	if class == nil {
		return "remove it"
	}
	return "set it back to " + *class
}
