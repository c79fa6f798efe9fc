package render

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/version"
)

// Claims prints the claims of one node's disks, named as the StatefulSet would name them. They have no owner unless the
// user asks for one: the disks outlive the KafkaCluster, and their labels and annotations are how one that is made
// again takes them back. Only the first disk of a founder has a directory id: one that takes its place is no founder's.
func Claims(c *model.Cluster, n *model.Node) []*corev1.PersistentVolumeClaim {
	pool := c.PoolOf(n)
	var claims []*corev1.PersistentVolumeClaim
	for i, v := range pool.Volumes {
		if v.Ephemeral {
			continue
		}
		claim := &corev1.PersistentVolumeClaim{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
			ObjectMeta: objectMeta(c, model.ClaimName(v.Name, n.PodName), poolLabels(c, pool)),
			Spec:       claimSpec(v),
		}
		claim.Labels[v1alpha1.LabelNodeID] = fmt.Sprint(n.ID)
		claim.Labels[v1alpha1.LabelVolume] = v.Name
		claim.Labels[v1alpha1.LabelClusterID] = c.ClusterID
		claim.Annotations = map[string]string{}
		if c.Bootstrapped {
			claim.Annotations[v1alpha1.AnnotationFounded] = "true"
		}
		for _, voter := range c.InitialVoters {
			if i == 0 && !c.Bootstrapped && voter.NodeID == n.ID && voter.DiskUID == "" {
				claim.Annotations[v1alpha1.AnnotationDirectoryID] = voter.DirectoryID
			}
		}
		if pool.Retention.WhenScaled == v1alpha1.RetentionDelete {
			claim.Annotations[v1alpha1.AnnotationWhenScaled] = string(v1alpha1.RetentionDelete)
		}
		if pool.Retention.WhenDeleted == v1alpha1.RetentionDelete {
			claim.OwnerReferences = []metav1.OwnerReference{Owner(c)}
		}
		claims = append(claims, claim)
	}
	return claims
}

// Owner has Kubernetes delete a claim, or a pod, with the KafkaCluster. It is no controller: that of a pod is its
// StatefulSet, and a claim is taken over by its labels.
func Owner(c *model.Cluster) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: model.KindCluster, Name: c.Name, UID: types.UID(c.UID),
	}
}

func claimSpec(v v1alpha1.Volume) corev1.PersistentVolumeClaimSpec {
	return corev1.PersistentVolumeClaimSpec{
		AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: v.Size}},
		StorageClassName: v.StorageClassName, VolumeAttributesClassName: v.VolumeAttributesClassName,
	}
}

// FormatInitial tells a pod to format its disk as one of the first quorum's voters, and with which metadata.version
// when the user asks for one: Kafka cannot always go back to it from the version's own.
func FormatInitial(c *model.Cluster, podUID string) string {
	var voters []string
	for _, v := range c.InitialVoters {
		if n := c.Node(v.NodeID); n != nil {
			voters = append(voters, fmt.Sprintf("%d@%s:%d:%s", v.NodeID, n.Host, model.PortController, v.DirectoryID))
		}
	}
	word := fmt.Sprintf("%s initial %s %s", podUID, c.ClusterID, strings.Join(voters, ","))
	if v, known := version.Find(c.Version); known && c.MetadataVersion != 0 {
		word += " " + v.MetadataName(c.MetadataVersion)
	}
	return word
}

// FormatJoin tells a pod to format its disk for a quorum that exists.
func FormatJoin(c *model.Cluster, podUID string) string {
	return fmt.Sprintf("%s join %s", podUID, c.ClusterID)
}
