package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

func replaceAsked(_ *view, n *node) (bool, string) {
	for _, claim := range n.claims {
		if claim.Replace && !claim.Deleting {
			return true, "the annotation of claim " + claim.Name + " permits it"
		}
	}
	return false, ""
}

// diskGoes also ends a replacement that was cut short between the deletion of the claims and that of the pod.
func diskGoes(_ *view, n *node) (bool, string) {
	if n.pod == nil || n.pod.Deleting {
		return false, ""
	}
	for _, claim := range n.claims {
		if claim.Replace && claim.Deleting {
			return true, "claim " + claim.Name + " is being deleted, and its annotation permits an empty disk"
		}
	}
	return false, ""
}

// diskStays protects a disk whose claim is being deleted. Kubernetes deletes it as soon as its pod stops, so that a
// restart is then the loss of a disk, whatever state the pod is in.
func diskStays(v *view, d *disruption, _ *round) (bool, string) {
	n := d.node
	consents := true
	for _, claim := range n.claims {
		consents = consents && (claim.Replace || claim.Lost || !claim.Deleting)
	}
	if n.going == "" || !consents {
		return n.going == "", n.going
	}
	if fresh, why := v.freshSnapshot(); !fresh {
		return false, "its disk goes with the pod, and " + why
	}
	goes := func(c model.ObservedClaim) bool { return c.Deleting && !c.Lost }
	if only := v.lostWith(n, goes); only != "" {
		return false, "its disk goes with the pod, and " + only
	}
	if v.haveFailed(n, goes) {
		return true, "" // what was on it does not come back in sync, and the metadata log is on another
	}
	late := slices.DeleteFunc(slices.Clone(v.kafka.lagging[n.ID]), func(i int) bool {
		return v.kafka.onFailed(v.kafka.partition(i), n.ID)
	})
	if len(late) > 0 && n.up() { // a moment later it may be the only one in sync
		return false, "its disk goes with the pod, and it is catching up on " + verdict.Counted(len(late), "partition")
	}
	voters := len(v.kafka.quorum.Voters)
	if _, is := v.kafka.voter(n.ID); is && v.kafka.votersWithout(n.is) < majority(voters) {
		return false, fmt.Sprintf("its disk goes with the pod, and the metadata quorum of %s needs the log on it; ask for "+
			"three controllers first", verdict.Counted(voters, "voter"))
	}
	return true, ""
}

// notServing lets a broker that serves lose exactly those disks that have failed. It has to be all of them: beside a
// log directory that is offline, Kafka does not make anew a replica that it cannot find.
func notServing(v *view, d *disruption, _ *round) (bool, string) {
	n := d.node
	if !n.isHeard() {
		return true, ""
	}
	failed := v.kafka.failed[n.ID]
	if len(failed.Disks) == 0 && failed.Offline > 0 {
		return false, "it serves, and " + failed.String()
	}
	for _, claim := range n.claims {
		if claim.Replace && !v.haveFailed(n, func(c model.ObservedClaim) bool { return c.UID == claim.UID }) {
			return false, fmt.Sprintf("it serves, and does not say that its disk %s has failed; take the annotation off "+
				"claim %s, or delete the claim and the pod yourself", claim.Volume, claim.Name)
		}
	}
	for _, disk := range failed.Disks {
		switch {
		case disk.Claim == nil && !n.isEphemeral(disk.Volume):
			return false, fmt.Sprintf("it serves, and its log directory %s has failed, too, which is on no known claim",
				disk.Dir.Path)
		case disk.Claim != nil && !disk.Claim.Replace:
			return false, fmt.Sprintf("it serves, and its disk %s has failed, too; annotate claim %s as well",
				disk.Volume, disk.Claim.Name)
		}
	}
	return true, ""
}

func lastReplica(v *view, d *disruption, _ *round) (bool, string) {
	asked := func(c model.ObservedClaim) bool { return c.Replace }
	if only := v.lostWith(d.node, asked); only != "" {
		return false, only + "; if its records are lost anyway, delete the claim yourself"
	}
	return true, ""
}

// haveFailed tells whether a broker serves and all the disks of some of its claims have failed, as it says itself.
// Kafka ends when the log directory with the metadata log fails, so that this disk is never among them.
func (v *view) haveFailed(n *node, some func(c model.ObservedClaim) bool) bool {
	failed := v.kafka.failed[n.ID]
	return n.isHeard() && !slices.ContainsFunc(n.claims, func(c model.ObservedClaim) bool {
		return some(c) && (!failed.Has(c.Name) || len(n.pool.Volumes) > 0 && c.Volume == n.pool.Volumes[0].Name)
	})
}

// replaces tells whether a disruption replaces disks, or ends the replacement of failed ones that was cut short once
// their claims were being deleted. diskStays asks for the consent.
func (v *view) replaces(d *disruption) bool {
	return d.kind == ReplaceDisk || d.kind == Restart && d.node.going != "" &&
		v.haveFailed(d.node, func(c model.ObservedClaim) bool { return c.Deleting })
}

// lostWith says what would be lost with the disks of some claims of a node; empty = nothing.
func (v *view) lostWith(n *node, some func(c model.ObservedClaim) bool) string {
	ephemeral := slices.ContainsFunc(n.pool.Volumes, func(vol v1alpha1.Volume) bool { return vol.Ephemeral })
	if !v.haveFailed(n, some) || ephemeral {
		return v.onlyOn(n.ID)
	}
	names := strings.Join(v.kafka.failed[n.ID].Names(), ", ")
	var only listed
	for _, i := range slices.Concat(v.kafka.inSync[n.ID], v.kafka.lagging[n.ID]) {
		switch p := v.kafka.partition(i); {
		case !p.IsSole(n.ID):
		case v.kafka.onFailed(p, n.ID):
			only.add("%s is in sync on no other broker, and was on disk %s", partition(p), names)
		case !v.kafka.onWorking(p, n.ID):
			only.add("%s is in sync on no other broker, and nobody says which disk it is on", partition(p))
		}
	}
	return only.String()
}

// onlyOn says which partitions are in sync on no other broker; empty = none. It counts those with a single replica,
// too: their records are lost with the disk.
func (v *view) onlyOn(id int32) string {
	var only listed
	count := func(indexes []int) {
		for _, i := range indexes {
			p := v.kafka.partition(i)
			others := 0
			for _, other := range p.ISR {
				if other != id {
					others++
				}
			}
			if others == 0 {
				only.add("%s is in sync on no other broker", partition(p))
			}
		}
	}
	count(v.kafka.inSync[id])
	count(v.kafka.lagging[id])
	return only.String()
}

// onWorking tells whether a broker says that a partition, which is in sync on no other, is in a log directory that
// works.
func (e *evidence) onWorking(p *kafka.Partition, id int32) bool {
	return slices.ContainsFunc(e.snapshot.LogDirs[id], func(dir kafka.LogDir) bool {
		return dir.Error == "" && slices.Contains(dir.Sole, kafka.PartitionID{Topic: p.Topic, Number: p.Number})
	})
}

// planLeavingVolumes says what volumes wait for that the spec does not have any more: each leaves all nodes of its pool
// at once, and is empty on all of them before.
func (v *view) planLeavingVolumes(p *Plan) {
	for i := range v.c.Pools {
		pool := &v.c.Pools[i]
		for _, volume := range pool.Leaving {
			why, field := "its brokers are asked once more whether it is empty", ""
			for _, n := range v.ofPool(pool.Name) {
				if full, stuck := v.heldOn(n, volume); full != "" {
					if why = full; stuck {
						field = model.VolumeField(pool.Name, volume, "")
					}
					break
				}
			}
			p.Held = append(p.Held, Held{
				Node: -1, Reasons: []string{"the spec does not have it"}, Predicate: volumesEmptyName, Field: field,
				Message: fmt.Sprintf("volume %s of pool %s not removed: %s", volume, pool.Name, why),
			})
		}
	}
}

// heldOn says what is on a volume of a broker, as far as is known, and whether only the user can change that; empty =
// nothing is.
func (v *view) heldOn(n *node, volume string) (why string, stuck bool) {
	bound := func(c model.ObservedClaim) bool { return c.Volume == volume && (c.Bound || c.Lost) }
	if n.pod == nil || n.gone || !n.isBroker() || !slices.Contains(n.pod.Volumes, volume) ||
		!slices.ContainsFunc(n.claims, bound) { // a claim that never had a disk holds nothing
		return "", false
	}
	if fresh, why := v.freshSnapshot(); !fresh {
		return why, false
	}
	path := model.LogDir(volume)
	dirs, told := v.kafka.snapshot.LogDirs[n.ID]
	if !told {
		return fmt.Sprintf("%s does not say what is on it; if it cannot get up, put the volume back", n.name()), false
	}
	at := slices.IndexFunc(dirs, func(d kafka.LogDir) bool { return d.Path == path })
	switch {
	case at < 0:
		return "", false
	case dirs[at].Error != "":
		return fmt.Sprintf("on %s its disk has failed, and nobody can tell what is on it: have it replaced first", n.name()),
			true
	}
	if why, stuck = v.course.Clearing(n.ID, path); why == "" && len(dirs[at].Holds)+len(dirs[at].Coming) > 0 {
		why = fmt.Sprintf("%s holds replicas there", n.name())
	}
	return why, stuck
}

// volumesEmpty protects what is on volumes that the next pod of a broker would not have.
func volumesEmpty(v *view, d *disruption, _ *round) (bool, string) {
	for _, volume := range d.node.volumesToLose() {
		if why, _ := v.heldOn(d.node, volume); why != "" {
			return false, fmt.Sprintf("volume %s leaves with the pod: %s", volume, why)
		}
	}
	if volume := v.cordoned(d.node); volume != "" {
		return false, fmt.Sprintf("volume %s leaves with the pod, and its log directory is cordoned; take that off, or the "+
			"broker starts without its run-time configuration", volume)
	}
	return true, ""
}

func fieldOfVolume(v *view, d *disruption) string {
	for _, volume := range d.node.volumesToLose() {
		if _, stuck := v.heldOn(d.node, volume); stuck {
			return model.VolumeField(d.node.Pool, volume, "")
		}
	}
	return ""
}
