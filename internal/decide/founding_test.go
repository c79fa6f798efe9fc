package decide

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/internal/identity"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
)

// foundedBy is a running cluster whose founders have their first disks, each with what its claim was given when it was
// made, before the quorum was seen.
func foundedBy(t *testing.T) Inputs {
	t.Helper()
	in := running(t)
	record := identity.Of(&in.Cluster.Status)
	for i := range record.InitialVoters {
		record.InitialVoters[i].DiskUID = "disk-events-main-" + fmt.Sprint(record.InitialVoters[i].NodeID)
	}
	record.WriteTo(&in.Cluster.Status)
	model := Decide(in).Model
	model.Bootstrapped = false
	for i := range model.Nodes {
		for _, claim := range render.Claims(model, &model.Nodes[i]) {
			in.Live.Claims[claim.Name].Annotations = claim.Annotations
			in.Live.Claims[claim.Name].Spec.VolumeName = "volume-" + claim.Name
		}
	}
	return in
}

// The quorum was founded, some of its founders' disks were replaced, and the KafkaCluster is made again before these
// nodes have formatted theirs. Said to one of them, "initial" would found a second quorum under the same cluster id.
func TestAReplacedDiskIsNeverAFounders(t *testing.T) {
	for replaced := range 1 << 3 {
		for _, knowing := range []bool{true, false} { // every claim that is left was told, or only one
			t.Run(fmt.Sprintf("replaced %03b, all were told %t", replaced, knowing), func(t *testing.T) {
				in := foundedBy(t)
				model := Decide(in).Model
				told := false
				for i := range model.Nodes {
					node := &model.Nodes[i]
					for _, claim := range render.Claims(model, node) {
						live := in.Live.Claims[claim.Name]
						switch {
						case replaced&(1<<node.ID) != 0:
							claim.UID, claim.Spec.VolumeName = types.UID("second-"+node.PodName), "second"
							claim.Status.Phase = corev1.ClaimBound
							in.Live.Claims[claim.Name] = claim
						case knowing || !told:
							live.Annotations, told = claim.Annotations, true
						}
					}
				}
				again := asked(t)
				again.Cluster.UID = "another-uid"
				again.Live.Claims = in.Live.Claims
				d := Decide(again)
				if d.Identity.ClusterID != in.Cluster.Status.ClusterID {
					t.Fatalf("cluster id %s, expected %s", d.Identity.ClusterID, in.Cluster.Status.ClusterID)
				}
				d.Identity.WriteTo(&again.Cluster.Status)
				again.Live.StatefulSets = in.Live.StatefulSets
				for i := range in.Live.Pods {
					in.Live.Pods[i].Annotations = nil // a new pod has been told nothing
				}
				again.Live.Pods = in.Live.Pods
				asking := 0
				for _, step := range Decide(again).Plan.Steps {
					if step.Kind != plan.SayFormat {
						continue
					}
					if asking++; step.Format != plan.FormatJoin {
						t.Errorf("node %d, disk %s, is told %s", step.Node, step.DiskUID, step.Format)
					}
				}
				if asking != 3 {
					t.Errorf("%d of 3 nodes are told how to format", asking)
				}
			})
		}
	}
}
