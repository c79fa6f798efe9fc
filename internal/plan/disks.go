package plan

import (
	"fmt"

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
	if only := v.onlyOn(n.ID); only != "" {
		return false, "its disk goes with the pod, and " + only
	}
	if late := len(v.kafka.lagging[n.ID]); late > 0 && n.up() { // a moment later it may be the only one in sync
		return false, "its disk goes with the pod, and it is catching up on " + verdict.Counted(late, "partition")
	}
	voters := len(v.kafka.quorum.Voters)
	if _, is := v.kafka.voter(n.ID); is && v.kafka.votersWithout(n.is) < majority(voters) {
		return false, fmt.Sprintf("its disk goes with the pod, and the metadata quorum of %s needs the log on it; ask for "+
			"three controllers first", verdict.Counted(voters, "voter"))
	}
	return true, ""
}

func notServing(v *view, d *disruption, _ *round) (bool, string) {
	if failed := v.kafka.failedDisk(d.node.ID); failed != "" {
		return !d.node.ready(), "it is ready, and " + failed + ", while the others work; once no partition needs this " +
			"broker, delete the claim of that disk and the pod yourself"
	}
	return !d.node.ready(), "it is ready, and its disk works; take the annotation off, or delete the claim and the " +
		"pod yourself"
}

func lastReplica(v *view, d *disruption, _ *round) (bool, string) {
	if only := v.onlyOn(d.node.ID); only != "" {
		return false, only + "; if its records are lost anyway, delete the claim yourself"
	}
	return true, ""
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
