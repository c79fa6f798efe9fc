package plan

import "fmt"

func replaceAsked(_ *view, n *node) (bool, string) {
	for _, claim := range n.claims {
		if claim.Replace && !claim.Deleting {
			return true, "the annotation of claim " + claim.Name + " permits it"
		}
	}
	return false, ""
}

func notServing(_ *view, d *disruption, _ *round) (bool, string) {
	return !d.node.ready(), "it is ready, and its disk works; take the annotation off, or delete the claim and the " +
		"pod yourself"
}

// lastReplica counts partitions with a single replica, too: their records are lost with the disk.
func lastReplica(v *view, d *disruption, _ *round) (bool, string) {
	var only listed
	count := func(indexes []int) {
		for _, i := range indexes {
			p := v.kafka.partition(i)
			others := 0
			for _, id := range p.ISR {
				if id != d.node.ID {
					others++
				}
			}
			if others == 0 {
				only.add("%s is in sync on no other broker", partition(p))
			}
		}
	}
	count(v.kafka.inSync[d.node.ID])
	count(v.kafka.lagging[d.node.ID])
	if only.count == 0 {
		return true, ""
	}
	return false, fmt.Sprintf("%s; if its records are lost anyway, delete the claim yourself", only.String())
}
