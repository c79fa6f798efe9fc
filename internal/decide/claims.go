package decide

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/report"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// ClaimChange is what is to be changed of a claim that is there. It disturbs nobody: a disk grows under its broker.
type ClaimChange struct {
	Claim *corev1.PersistentVolumeClaim // as it was judged
	// Field of the spec asks for it, and Told says what is asked for. Kubernetes may refuse it. Empty = it is about what
	// becomes of the claim, which Kubernetes has no say in.
	Field, Told string
	Size        *resource.Quantity // to ask for; nil = as it is
	Attributes  string             // VolumeAttributesClass to ask for; empty = as it is
	// Owners is to be the whole list of owners, where Reowned tells so. Owned tells that the KafkaCluster is a new one: it
	// must be seen to live first, because Kubernetes deletes what only the dead own.
	Owners         []metav1.OwnerReference
	Reowned, Owned bool
	Keep           bool // it is no longer to be deleted when its node leaves
}

// claimChanges finds them: what the claims of the spec's nodes lack, and what those of other nodes, which have left or
// leave, are no longer to bear.
func claimChanges(c *model.Cluster, live *observe.Live) []ClaimChange {
	var changes []ClaimChange
	asked := map[string]bool{}
	for i := range c.Nodes {
		for _, want := range render.Claims(c, &c.Nodes[i]) {
			asked[want.Name] = true
			have := live.Claims[want.Name]
			if have == nil || have.DeletionTimestamp != nil || !isOurs(have, want) {
				continue
			}
			field := func(name string) string {
				return model.VolumeField(c.Nodes[i].Pool, want.Labels[v1alpha1.LabelVolume], name)
			}
			if size := resized(have, want); size != nil {
				changes = append(changes, ClaimChange{Claim: have, Field: field("size"), Size: size,
					Told: "go from " + sizeOf(have) + " to " + size.String()})
			}
			if class := want.Spec.VolumeAttributesClassName; class != nil && have.Status.Phase == corev1.ClaimBound &&
				!model.SameClass(have.Spec.VolumeAttributesClassName, class) {
				changes = append(changes, ClaimChange{Claim: have, Field: field("volumeAttributesClassName"), Attributes: *class,
					Told: "have VolumeAttributesClass " + *class})
			}
			changes = append(changes, retained(c, have, len(want.OwnerReferences) > 0,
				want.Annotations[v1alpha1.AnnotationWhenScaled] != "")...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(live.Claims)) {
		have := live.Claims[name]
		pool := c.Pool(have.Labels[v1alpha1.LabelPool])
		if asked[name] || pool == nil || have.DeletionTimestamp != nil ||
			have.Labels[v1alpha1.LabelClusterID] != c.ClusterID {
			continue
		}
		changes = append(changes, retained(c, have,
			pool.Retention.WhenDeleted == v1alpha1.RetentionDelete && isOwned(c, have),
			pool.Retention.WhenScaled == v1alpha1.RetentionDelete)...)
	}
	return changes
}

// resized is the size that a claim is to ask for instead of the one that it asks for; nil = it is to stay. Kubernetes
// lets it become smaller only while the disk has not grown so far; and only what the operator itself asked for is taken
// back.
func resized(have, want *corev1.PersistentVolumeClaim) *resource.Quantity {
	asks := have.Spec.Resources.Requests[corev1.ResourceStorage]
	size := want.Spec.Resources.Requests[corev1.ResourceStorage]
	capacity := have.Status.Capacity[corev1.ResourceStorage]
	if have.Status.Phase != corev1.ClaimBound {
		return nil
	}
	switch size.Cmp(asks) {
	case 1:
		return &size
	case -1:
		ours, err := resource.ParseQuantity(have.Annotations[v1alpha1.AnnotationRequested])
		if err == nil && ours.Cmp(asks) == 0 && !capacity.IsZero() && size.Cmp(capacity) > 0 {
			return &size
		}
	}
	return nil
}

// retained says what is to change about who owns a claim, and about whether it goes when its node leaves.
func retained(c *model.Cluster, have *corev1.PersistentVolumeClaim, owned, unwanted bool) []ClaimChange {
	var changes []ClaimChange
	if is := isOwned(c, have); is != owned {
		owners := slices.DeleteFunc(slices.Clone(have.OwnerReferences), func(o metav1.OwnerReference) bool {
			return isOwner(c, o)
		})
		if owned {
			owners = append(owners, render.Owner(c))
		}
		changes = append(changes, ClaimChange{Claim: have, Owners: owners, Reowned: true, Owned: owned})
	}
	if have.Annotations[v1alpha1.AnnotationWhenScaled] != "" && !unwanted {
		changes = append(changes, ClaimChange{Claim: have, Keep: true})
	}
	return changes
}

func isOwned(c *model.Cluster, claim *corev1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(claim.OwnerReferences, func(o metav1.OwnerReference) bool { return isOwner(c, o) })
}

func isOwner(c *model.Cluster, o metav1.OwnerReference) bool {
	return o.Kind == model.KindCluster && string(o.UID) == c.UID
}

// growing says of which disks the spec asks for more than they have yet: first what Kubernetes is about to be asked
// for, because the spec is not in force before that, and then what it was asked for already.
func growing(c *model.Cluster, o *model.Observation, changes []ClaimChange) []string {
	var said []string
	asked := map[string]bool{}
	for _, change := range changes {
		if change.Field != "" {
			said, asked[change.Claim.Name] = append(said, change.Sentence()), true
		}
	}
	for i := range c.Nodes {
		for _, v := range c.PoolOf(&c.Nodes[i]).Volumes {
			for _, claim := range o.Nodes[c.Nodes[i].ID].Claims {
				lacks := !claim.Capacity.IsZero() && claim.Capacity.Cmp(v.Size) < 0 || v.VolumeAttributesClassName != nil
				if claim.Volume == v.Name && !claim.Deleting && claim.Growth != "" && lacks && claim.Asks(v) &&
					!asked[claim.Name] {
					said = append(said, fmt.Sprintf("PersistentVolumeClaim %s %s", claim.Name, claim.Growth))
				}
			}
		}
	}
	return said
}

// Sentence says what Kubernetes is asked for.
func (c ClaimChange) Sentence() string {
	return fmt.Sprintf("PersistentVolumeClaim %s is to %s", c.Claim.Name, c.Told)
}

// RefusedChange is a change of a claim that Kubernetes refuses, in its words.
type RefusedChange struct {
	ClaimChange
	Words string
}

// RefusedChanges are told as faults of the fields that asked for them, one verdict for each.
func RefusedChanges(refused []RefusedChange) []verdict.Verdict {
	var fields []string
	said, cures := map[string][]string{}, map[string]string{}
	for _, r := range refused {
		if said[r.Field] == nil {
			fields = append(fields, r.Field)
			cures[r.Field] = "take it out, or change what stands in its way"
			if r.Size != nil {
				cures[r.Field] = "set it back to " + sizeOf(r.Claim) + ", or change what stands in its way"
			}
		}
		said[r.Field] = append(said[r.Field], fmt.Sprintf("Kubernetes does not let PersistentVolumeClaim %s %s: %q",
			r.Claim.Name, r.Told, r.Words))
	}
	var verdicts []verdict.Verdict
	for _, field := range fields {
		// The words of the first may have semicolons of their own: the cure stands after the last one.
		text := summed(said[field]) + "; " + cures[field]
		verdicts = append(verdicts, verdict.Stalled(verdict.ReasonInvalid, field, "%s", text))
	}
	return verdicts
}

// summed is the first sentence, and how many more there are.
func summed(sentences []string) string {
	if len(sentences) == 1 {
		return sentences[0]
	}
	return fmt.Sprintf("%s (and %d more)", sentences[0], len(sentences)-1)
}

// requested is in bytes.
func requested(claim *corev1.PersistentVolumeClaim) int64 {
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return size.Value()
}

// stays tells that a claim stays other than its spec asks for: of another class, or larger. What is larger was made so
// by somebody else, or before this spec.
func stays(have, want *corev1.PersistentVolumeClaim) bool {
	class := want.Spec.StorageClassName
	return class != nil && !model.SameClass(have.Spec.StorageClassName, class) ||
		requested(have) > requested(want) && resized(have, want) == nil
}

// keptClaims warn of claims that a node takes back, or keeps, and that are not as its spec asks for: one warning for
// each volume of a pool.
func keptClaims(c *model.Cluster, live *observe.Live, except []*corev1.PersistentVolumeClaim) []string {
	var fields []string
	found := map[string][]string{}
	for i := range c.Nodes {
		for _, want := range render.Claims(c, &c.Nodes[i]) {
			have := live.Claims[want.Name]
			if have == nil || slices.Contains(except, have) || !isOurs(have, want) || !stays(have, want) {
				continue
			}
			field := model.VolumeField(c.Nodes[i].Pool, want.Labels[v1alpha1.LabelVolume], "")
			if found[field] == nil {
				fields = append(fields, field)
			}
			found[field] = append(found[field], fmt.Sprintf("PersistentVolumeClaim %s has %s where the spec asks for %s",
				have.Name, kind(have), kind(want)))
		}
	}
	var warnings []string
	for _, field := range fields {
		warnings = append(warnings, field+": "+report.First(found[field])+"; the disk stays as it is")
	}
	return warnings
}

// kind is the size and the class of a claim, in words.
func kind(claim *corev1.PersistentVolumeClaim) string {
	switch class := claim.Spec.StorageClassName; {
	case class == nil:
		return sizeOf(claim) + " of the default storage class"
	case *class == "":
		return sizeOf(claim) + " without a storage class"
	default:
		return sizeOf(claim) + " of storage class " + *class
	}
}

func sizeOf(claim *corev1.PersistentVolumeClaim) string {
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return size.String()
}
