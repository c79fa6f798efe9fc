package identity

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Record is all of a cluster that is given out once. It lives in the status of the KafkaCluster.
type Record struct {
	ClusterID     string
	Bootstrapped  bool // the first quorum has been seen: no disk is formatted as an initial voter's any more
	InitialVoters []v1alpha1.InitialVoter
	Pools         []v1alpha1.PoolStatus
	Defaults      *v1alpha1.Defaults
	TieredUsed    bool // a broker has been ready with tiered storage, so that topics may have it
}

// Of reads the record from a status.
func Of(s *v1alpha1.KafkaClusterStatus) Record {
	return Record{
		ClusterID: s.ClusterID, Bootstrapped: s.Bootstrapped, InitialVoters: slices.Clone(s.InitialVoters),
		Pools: slices.Clone(s.Pools), Defaults: s.Defaults, TieredUsed: s.TieredStorageUsed,
	}
}

// WriteTo puts the record into a status.
func (r Record) WriteTo(s *v1alpha1.KafkaClusterStatus) {
	s.ClusterID, s.Bootstrapped, s.TieredStorageUsed = r.ClusterID, r.Bootstrapped, r.TieredUsed
	s.InitialVoters, s.Pools, s.Defaults = slices.Clone(r.InitialVoters), slices.Clone(r.Pools), r.Defaults
}

// Equal tells whether two records say the same.
func (r Record) Equal(o Record) bool { return equality.Semantic.DeepEqual(r, o) }

// Inputs is what the record of a cluster follows from.
type Inputs struct {
	Recorded Record
	Spec     *v1alpha1.KafkaClusterSpec
	Claims   map[string]*corev1.PersistentVolumeClaim // of the cluster, by name
	Pods     []corev1.Pod
	Kafka    *kafka.Snapshot // nil = none
	NewUUID  func() string
}

// Propose is the record with all that the spec needs. What is recorded stays; what is new is to be recorded before
// anybody acts on it. The founders of the quorum follow the spec until the first disk is told to be one's. The verdicts
// name node ids that two pools claim; then nothing is proposed.
func Propose(in Inputs) (Record, verdict.List) {
	r := in.Recorded
	earlier := earlierLife(in.Claims)
	if r.ClusterID == "" {
		r.Pools = earlier.pools
	}
	pools, faults := AssignNodeIDs(in.Spec, r.Pools)
	if len(faults) > 0 {
		return in.Recorded, faults
	}
	r.Pools = pools
	if r.Defaults == nil {
		defaults := Defaults(in.Spec)
		r.Defaults = &defaults
	}
	if r.ClusterID == "" && earlier.clusterID != "" {
		controllers := ControllerIDs(in.Spec, pools)
		r.ClusterID, r.InitialVoters = earlier.clusterID, slices.DeleteFunc(earlier.voters,
			func(v v1alpha1.InitialVoter) bool { return !slices.Contains(controllers, v.NodeID) })
	}
	if r.ClusterID == "" || ephemeralQuorumLost(in.Pods, r.InitialVoters, in.Spec) {
		r.ClusterID, r.Bootstrapped, r.InitialVoters = in.NewUUID(), false, nil
		r.InitialVoters = founders(nil, ControllerIDs(in.Spec, pools), in.NewUUID)
	}
	r.Bootstrapped = r.Bootstrapped || wasFounded(in.Claims, r.ClusterID) ||
		in.Kafka != nil && in.Kafka.ClusterID == r.ClusterID && in.Kafka.Quorum.LeaderID >= 0
	if !r.Bootstrapped && len(r.InitialVoters) > 0 && !r.founding() {
		r.InitialVoters = founders(r.InitialVoters, ControllerIDs(in.Spec, pools), in.NewUUID)
	}
	return r, nil
}

// founding tells that some disk was told to be a founder's.
func (r Record) founding() bool {
	return slices.ContainsFunc(r.InitialVoters, func(v v1alpha1.InitialVoter) bool { return v.DiskUID != "" })
}

// founders are the voters of the first quorum: those of the nodes that are asked for. One that is recorded keeps its
// directory id.
func founders(recorded []v1alpha1.InitialVoter, nodes []int32, newUUID func() string) []v1alpha1.InitialVoter {
	var voters []v1alpha1.InitialVoter
	for _, id := range nodes {
		i := slices.IndexFunc(recorded, func(v v1alpha1.InitialVoter) bool { return v.NodeID == id })
		if i >= 0 {
			voters = append(voters, recorded[i])
		} else {
			voters = append(voters, v1alpha1.InitialVoter{NodeID: id, DirectoryID: newUUID()})
		}
	}
	return voters
}

// WithDisks records the disks of all initial voters that have one, before a node is told to format its disk as an
// initial voter's: one whose pod comes up late, when the others have formed the quorum already, is still told the same.
// An error means that another disk of the node was told so: telling it to a second one would split the quorum.
func (r Record) WithDisks(node int32, disk string, diskOf map[int32]string) (Record, error) {
	r.InitialVoters = slices.Clone(r.InitialVoters)
	for i := range r.InitialVoters {
		voter := &r.InitialVoters[i]
		seen := diskOf[voter.NodeID]
		if voter.NodeID == node {
			if seen = disk; voter.DiskUID != "" && voter.DiskUID != disk {
				return r, fmt.Errorf("node %d was told to format another disk as an initial voter", node)
			}
		}
		if voter.DiskUID == "" {
			voter.DiskUID = seen
		}
	}
	return r, nil
}
