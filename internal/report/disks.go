package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// How the use of disks is told.
const (
	usedStep     = 5  // percent by which it changes before it is told anew: each time is a write
	fillingFrom  = 80 // percent
	almostFullAt = 90 // percent
)

// disks lists those of a node, in the order of its pool's volumes.
func (s *writer) disks(node *model.Node, pool *model.Pool, before []v1alpha1.DiskStatus) []v1alpha1.DiskStatus {
	var disks []v1alpha1.DiskStatus
	seen := s.Observation.Nodes[node.ID]
	for _, claim := range seen.Claims {
		asked := slices.ContainsFunc(pool.Volumes, func(v v1alpha1.Volume) bool { return v.Name == claim.Volume })
		if !asked && len(pool.Volumes) > 0 && (seen.Pod == nil || !slices.Contains(seen.Pod.Volumes, claim.Volume)) {
			continue // the claim is kept, and the node has it no more
		}
		if slices.ContainsFunc(disks, func(d v1alpha1.DiskStatus) bool { return d.Volume == claim.Volume }) {
			continue // a list by volume holds one of each
		}
		disk := v1alpha1.DiskStatus{Volume: claim.Volume, Message: claim.Growth,
			Requested: quantity(claim.Requested), Capacity: quantity(claim.Capacity)}
		var told *int32
		for _, b := range before {
			if b.Volume == claim.Volume {
				told = b.UsedPercent
			}
		}
		disk.UsedPercent = s.used(node, claim, told)
		disks = append(disks, disk)
	}
	place := func(d v1alpha1.DiskStatus) int {
		return slices.IndexFunc(pool.Volumes, func(v v1alpha1.Volume) bool { return v.Name == d.Volume })
	}
	slices.SortFunc(disks, func(a, b v1alpha1.DiskStatus) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Volume, b.Volume))
	})
	return disks
}

func quantity(q resource.Quantity) *resource.Quantity {
	if q.IsZero() {
		return nil
	}
	return &q
}

// used is the percentage to tell: what was told before, until it has changed by so much that it is worth a write. What
// the broker does not say now, it said before. It tells of each rise past 80 and 90 percent.
func (s *writer) used(node *model.Node, claim model.ObservedClaim, before *int32) *int32 {
	now, known := usedOf(model.ObservedNode{Claims: []model.ObservedClaim{claim}}.Disks(s.Observation.Usage[node.ID]))
	if !known {
		return before
	}
	was := int32(0)
	if before != nil {
		was = *before
	}
	rises := levelOf(now) > levelOf(was)
	if before != nil && !rises && now-was < usedStep && was-now < usedStep {
		return before
	}
	if rises {
		text := fmt.Sprintf("%d%% of disk %s of node %d are in use (claim %s)", now, claim.Volume, node.ID, claim.Name)
		s.events = append(s.events, Event{corev1.EventTypeWarning, levelOf(now).reason(), text})
	}
	return &now
}

// usedOf is the percentage of the file system of the one disk that has a claim, as its broker sees it. That is also the
// truth where the file system is larger than the claim, and where it has not grown yet.
func usedOf(disks []model.Disk) (percent int32, known bool) {
	for _, d := range disks {
		if d.Claim != nil && d.Dir.Error == "" && d.Dir.TotalBytes > 0 && d.Dir.UsableBytes >= 0 {
			return inPercent(d.Dir), true
		}
	}
	return 0, false
}

func inPercent(dir kafka.LogDir) int32 {
	used := max(0, dir.TotalBytes-dir.UsableBytes)
	return int32(used * 100 / dir.TotalBytes)
}

// level is how near a disk is to being full.
type level int

func levelOf(percent int32) level {
	switch {
	case percent >= almostFullAt:
		return 2
	case percent >= fillingFrom:
		return 1
	}
	return 0
}

func (l level) reason() string {
	if l > 1 {
		return "DiskAlmostFull"
	}
	return "DiskFilling"
}

// fullDisks warns of disks that will be full: one warning for each volume of a pool, the fullest disk first.
func (s *writer) fullDisks() []string {
	type disk struct {
		node    int32
		field   string
		percent int32
	}
	var full []disk
	for _, n := range s.status.Nodes {
		for _, d := range n.Disks {
			if d.UsedPercent != nil && *d.UsedPercent >= fillingFrom {
				full = append(full, disk{n.ID, model.VolumeField(n.Pool, d.Volume, "size"), *d.UsedPercent})
			}
		}
	}
	slices.SortStableFunc(full, func(a, b disk) int { return cmp.Compare(b.percent, a.percent) })
	var fields []string
	said := map[string][]string{}
	for _, d := range full {
		if said[d.field] == nil {
			fields = append(fields, d.field)
		}
		said[d.field] = append(said[d.field], fmt.Sprintf("node %d uses %d%% of the disk", d.node, d.percent))
	}
	var warnings []string
	for _, field := range fields {
		warnings = append(warnings, fmt.Sprintf("%s: %s; a broker stops when its disk is full: raise the size, or keep less",
			field, First(said[field])))
	}
	return warnings
}

// cureOfFull is what to do where a process ends because its disk is full; empty = it does not say so.
func cureOfFull(pool string, pod *model.ObservedPod) string {
	if !strings.Contains(pod.ProblemMessage, "No space left on device") {
		return ""
	}
	return "raise the size of its disk in " + model.PoolField(pool, "storage.volumes") +
		": it starts again once that has grown"
}

// wereFull tells of failed disks that were almost full when their broker last said so: it works again with more room.
func wereFull(failed model.FailedDisks, disks []v1alpha1.DiskStatus) string {
	var full []string
	for _, d := range disks {
		if slices.Contains(failed.Names(), d.Volume) && d.UsedPercent != nil && *d.UsedPercent >= almostFullAt {
			full = append(full, fmt.Sprintf("disk %s was %d%% full: if that is why, raise its size, and ask for a restart "+
				"once it has grown, in place of a replacement", d.Volume, *d.UsedPercent))
		}
	}
	return strings.Join(full, "; ")
}
