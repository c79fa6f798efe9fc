package identity

import (
	"crypto/rand"
	"encoding/base64"
	"sort"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// life is what retained claims tell of an earlier KafkaCluster of the same name.
type life struct {
	clusterID string
	voters    []v1alpha1.InitialVoter
	pools     []v1alpha1.PoolStatus
}

// wasFounded tells that some claim knows of the first quorum of a Kafka cluster, also one that is going.
func wasFounded(claims map[string]*corev1.PersistentVolumeClaim, clusterID string) bool {
	for _, claim := range claims {
		if clusterID != "" && claim.Labels[v1alpha1.LabelClusterID] == clusterID &&
			claim.Annotations[v1alpha1.AnnotationFounded] == "true" {
			return true
		}
	}
	return false
}

// earlierLife reads the labels of the claims. Claims of several clusters tell nothing: their nodes refuse to start, and
// say so.
func earlierLife(claims map[string]*corev1.PersistentVolumeClaim) life {
	var found life
	first := map[string]int32{}
	for _, claim := range claims {
		id, err := strconv.ParseInt(claim.Labels[v1alpha1.LabelNodeID], 10, 32)
		clusterID, pool := claim.Labels[v1alpha1.LabelClusterID], claim.Labels[v1alpha1.LabelPool]
		if err != nil || clusterID == "" || claim.DeletionTimestamp != nil {
			continue
		}
		if found.clusterID != "" && found.clusterID != clusterID {
			return life{}
		}
		found.clusterID = clusterID
		if lowest, known := first[pool]; !known || int32(id) < lowest {
			first[pool] = int32(id)
		}
		if directory := claim.Annotations[v1alpha1.AnnotationDirectoryID]; directory != "" {
			voter := v1alpha1.InitialVoter{NodeID: int32(id), DirectoryID: directory}
			if model.HasVolume(claim) { // else there is no disk that could have been formatted
				voter.DiskUID = string(claim.UID)
			}
			found.voters = append(found.voters, voter)
		}
	}
	for pool, id := range first {
		found.pools = append(found.pools, v1alpha1.PoolStatus{Name: pool, FirstNodeID: id})
	}
	sort.Slice(found.pools, func(i, j int) bool { return found.pools[i].FirstNodeID < found.pools[j].FirstNodeID })
	sort.Slice(found.voters, func(i, j int) bool { return found.voters[i].NodeID < found.voters[j].NodeID })
	return found
}

// ephemeralQuorumLost tells that the only controller lived on an ephemeral disk and that a pod with another disk has
// taken its place: what was on the old disk is gone for good, and the cluster begins anew.
func ephemeralQuorumLost(pods []corev1.Pod, voters []v1alpha1.InitialVoter, spec *v1alpha1.KafkaClusterSpec) bool {
	if len(voters) != 1 || voters[0].DiskUID == "" || len(spec.Pools) != 1 || !spec.Pools[0].Storage.Volumes[0].Ephemeral {
		return false
	}
	return len(pods) == 1 && pods[0].DeletionTimestamp == nil && string(pods[0].UID) != voters[0].DiskUID
}

// NewUUID is a random UUID in Kafka's text form. One that begins with a dash would look like an option on a command
// line, and a label's value may begin with neither dash nor underscore; the last character is always a letter.
func NewUUID() string {
	for {
		var bytes [16]byte
		_, _ = rand.Read(bytes[:]) // never fails: the runtime ends the process instead
		if text := base64.RawURLEncoding.EncodeToString(bytes[:]); text[0] != '-' && text[0] != '_' {
			return text
		}
	}
}
