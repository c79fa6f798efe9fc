package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// DataDir is where the container finds the volumes with records, each in the folder of its name.
const DataDir = "/var/lib/castellan"

// LogDir is the log directory on a volume. It is a folder inside the volume, not its root: a fresh ext4 disk holds
// lost+found, which Kafka would take for a partition.
func LogDir(volume string) string { return DataDir + "/" + volume + "/log" }

// VolumeOf is the volume that a log directory is on; empty = it is on none of ours.
func VolumeOf(path string) string {
	volume := strings.TrimSuffix(strings.TrimPrefix(path, DataDir+"/"), "/log")
	if path != LogDir(volume) {
		return ""
	}
	return volume
}

// Keeps tells whether the spec has a volume of the pool.
func (p *Pool) Keeps(volume string) bool {
	return !slices.Contains(p.Leaving, volume) &&
		slices.ContainsFunc(p.Volumes, func(v v1alpha1.Volume) bool { return v.Name == volume })
}

// Disk is a volume of a node, with what its broker says of the log directory on it.
type Disk struct {
	Volume string // its name in the pool; empty = the log directory is on no volume of ours
	Claim  *ObservedClaim
	Dir    kafka.LogDir
}

// Disks tells which disk each log directory is on. A disk without a claim is ephemeral, or its claim was not seen.
func (n ObservedNode) Disks(dirs []kafka.LogDir) []Disk {
	disks := make([]Disk, len(dirs))
	for i, dir := range dirs {
		disks[i].Dir = dir
		volume := VolumeOf(dir.Path)
		if volume == "" {
			continue
		}
		disks[i].Volume = volume
		if at := slices.IndexFunc(n.Claims, func(c ObservedClaim) bool { return c.Volume == volume }); at >= 0 {
			disks[i].Claim = &n.Claims[at]
		}
	}
	return disks
}

// name is the volume's, or the path of a log directory that is on none.
func (d Disk) name() string {
	if d.Volume == "" {
		return d.Dir.Path
	}
	return d.Volume
}

// FailedDisks are those of a broker that serves on with its others (KIP-112). The zero value = none has failed.
type FailedDisks struct {
	Disks   []Disk // empty = the broker has not said which
	Offline int    // number of its replicas that are on them
}

// FailedDisks finds them by broker. Kafka counts replicas as offline also while a broker makes them anew on an empty
// disk: one whose log directories all work has no failed disk. A disk on which nothing was has no offline replica: what
// its broker said last, at most a minute ago, tells of it.
func (c *Cluster) FailedDisks(o *Observation) map[int32]FailedDisks {
	shot, failed := o.Kafka, map[int32]FailedDisks{}
	if shot == nil || shot.ClusterID != c.ClusterID {
		return failed
	}
	offline := map[int32]int{}
	for i := range shot.Partitions {
		for _, id := range shot.Partitions[i].Offline {
			offline[id]++
		}
	}
	for _, b := range shot.Brokers {
		if b.Fenced {
			continue
		}
		f := FailedDisks{Offline: offline[b.ID]}
		dirs, told := shot.LogDirs[b.ID]
		if !told && f.Offline == 0 {
			dirs = o.Usage[b.ID]
		}
		for _, disk := range o.Nodes[b.ID].Disks(dirs) {
			if disk.Dir.Error == kafka.ErrorStorage {
				f.Disks = append(f.Disks, disk)
			}
		}
		if len(f.Disks) > 0 || !told && f.Offline > 0 {
			failed[b.ID] = f
		}
	}
	return failed
}

// Names are those of the disks.
func (f FailedDisks) Names() []string {
	var names []string
	for _, disk := range f.Disks {
		names = append(names, disk.name())
	}
	return names
}

// Has tells whether a claim is that of a disk that has failed.
func (f FailedDisks) Has(claim string) bool {
	return slices.ContainsFunc(f.Disks, func(d Disk) bool { return d.Claim != nil && d.Claim.Name == claim })
}

// String says which disks have failed and how many replicas were on them; empty = none has.
func (f FailedDisks) String() string {
	replicas := verdict.Counted(f.Offline, "replica") + " offline"
	var claims []string
	for _, disk := range f.Disks {
		if disk.Claim != nil {
			claims = append(claims, disk.Claim.Name)
		}
	}
	names, on := strings.Join(f.Names(), ", "), strings.Join(claims, ", ")
	switch {
	case len(f.Disks) == 0 && f.Offline == 0:
		return ""
	case len(f.Disks) == 0:
		return "one of its disks has failed, and it has not said which: " + replicas
	case len(f.Disks) > 1:
		return fmt.Sprintf("disks %s have failed (claims %s): %s", names, on, replicas)
	case on == "":
		return fmt.Sprintf("disk %s has failed: %s", names, replicas)
	}
	return fmt.Sprintf("disk %s has failed (claim %s): %s", names, on, replicas)
}

// Cure says how the disks are replaced; empty = the user has permitted it, or nobody can say.
func (f FailedDisks) Cure() string {
	if !slices.ContainsFunc(f.Disks, func(d Disk) bool { return d.Claim != nil && !d.Claim.Replace }) {
		return ""
	}
	if len(f.Disks) > 1 {
		return "to have them replaced, annotate each of their claims " + v1alpha1.AnnotationReplace + "=true"
	}
	return "to have it replaced, annotate its claim " + v1alpha1.AnnotationReplace + "=true"
}
