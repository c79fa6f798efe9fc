package model

import (
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/version"
)

// validateChanges judges the step from the last accepted spec to this one.
func validateChanges(in Inputs) []Fault {
	if in.Accepted == nil {
		return nil
	}
	var faults []Fault
	if _, known := version.Find(in.Spec.Version); known && in.Spec.Version != in.Accepted.Version {
		faults = append(faults, Fault{ReasonNotYetSupported, "spec.version", fmt.Sprintf(
			"this operator cannot change the version of a running cluster yet; set it back to %s", in.Accepted.Version)})
	}
	// From the moment the first voters are recorded, the quorum is what they say.
	formed := in.Cluster.Status.Bootstrapped || len(in.Cluster.Status.InitialVoters) > 0
	for _, before := range in.Accepted.Pools {
		i := slices.IndexFunc(in.Spec.Pools, func(p v1alpha1.Pool) bool { return p.Name == before.Name })
		if i < 0 {
			faults = append(faults, Fault{ReasonNotYetSupported, poolField(before.Name, ""),
				"a pool cannot be renamed, and this operator cannot remove one yet; put it back under its name"})
			continue
		}
		faults = append(faults, validatePoolChange(&before, &in.Spec.Pools[i], formed)...)
	}
	for _, p := range in.Spec.Pools {
		isNew := !slices.ContainsFunc(in.Accepted.Pools, func(q v1alpha1.Pool) bool { return q.Name == p.Name })
		if isNew && formed && hasRole(p, v1alpha1.RoleController) && p.Replicas > 0 {
			faults = append(faults, Fault{ReasonNotYetSupported, poolField(p.Name, "roles"),
				"this operator cannot add controllers to a running cluster yet; set roles to [Broker]"})
		}
	}
	return faults
}

func validatePoolChange(before, after *v1alpha1.Pool, formed bool) []Fault {
	var faults []Fault
	wasController, wasBroker := hasRole(*before, v1alpha1.RoleController), hasRole(*before, v1alpha1.RoleBroker)
	isController, isBroker := hasRole(*after, v1alpha1.RoleController), hasRole(*after, v1alpha1.RoleBroker)
	switch {
	case wasController != isController || wasBroker != isBroker:
		faults = append(faults, Fault{ReasonNotYetSupported, poolField(after.Name, "roles"),
			"this operator cannot change the roles of a pool yet; set them back"})
	case isController && formed && after.Replicas != before.Replicas:
		faults = append(faults, Fault{ReasonNotYetSupported, poolField(after.Name, "replicas"), fmt.Sprintf(
			"this operator cannot change the number of controllers of a running cluster yet; set it back to %d", before.Replicas)})
	case after.Replicas < before.Replicas:
		faults = append(faults, Fault{ReasonNotYetSupported, poolField(after.Name, "replicas"), fmt.Sprintf(
			"this operator cannot remove nodes yet; set it back to %d", before.Replicas)})
	}
	return append(faults, validateVolumeChanges(before, after)...)
}

func validateVolumeChanges(before, after *v1alpha1.Pool) []Fault {
	var faults []Fault
	var kept, order []string
	for _, v := range before.Storage.Volumes {
		i := slices.IndexFunc(after.Storage.Volumes, func(w v1alpha1.Volume) bool { return w.Name == v.Name })
		if i < 0 {
			faults = append(faults, Fault{ReasonNotYetSupported, volumeField(after.Name, v.Name, ""),
				"a volume cannot be renamed, and this operator cannot remove one yet; put it back under its name"})
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
		faults = append(faults, Fault{ReasonNotYetSupported, volumeField(after.Name, v.Name, ""),
			"this operator cannot add a volume to a pool yet; remove it, or make a new pool with it"})
	}
	if !slices.Equal(kept, order) {
		faults = append(faults, Fault{ReasonInvalid, poolField(after.Name, "storage.volumes"), fmt.Sprintf(
			"the order of volumes cannot change, because the first holds the metadata log; put them back in the order %v", kept)})
	}
	return faults
}

func validateVolumeChange(pool string, before, after v1alpha1.Volume) []Fault {
	var faults []Fault
	switch after.Size.Cmp(before.Size) {
	case -1:
		faults = append(faults, Fault{ReasonInvalid, volumeField(pool, after.Name, "size"), fmt.Sprintf(
			"a disk cannot shrink; set the size back to %s, or make a new pool with smaller volumes", before.Size.String())})
	case 1:
		faults = append(faults, Fault{ReasonNotYetSupported, volumeField(pool, after.Name, "size"), fmt.Sprintf(
			"this operator cannot grow a volume yet; set the size back to %s", before.Size.String())})
	}
	if before.Ephemeral != after.Ephemeral {
		faults = append(faults, Fault{ReasonInvalid, volumeField(pool, after.Name, "ephemeral"), fmt.Sprintf(
			"a volume stays ephemeral or not for its life; set it back to %t, or make a new pool", before.Ephemeral)})
	} else if !sameClass(before.StorageClassName, after.StorageClassName) {
		faults = append(faults, Fault{ReasonInvalid, volumeField(pool, after.Name, "storageClassName"), fmt.Sprintf(
			"the storage class of a disk cannot change; %s, or make a new pool with the new class", setBack(before.StorageClassName))})
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
