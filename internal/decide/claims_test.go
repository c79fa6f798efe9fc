package decide

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
)

// sized gives every claim what it asks for.
func sized(t *testing.T) Inputs {
	t.Helper()
	in := running(t)
	in.Cluster.UID = "cluster-uid"
	for _, claim := range in.Live.Claims {
		claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	}
	return in
}

func volume(in *Inputs) *v1alpha1.Volume { return &in.Cluster.Spec.Pools[0].Storage.Volumes[0] }

// toldOf prints what is to be changed of claims, one a line.
func toldOf(changes []ClaimChange) string {
	var lines []string
	for _, c := range changes {
		line := c.Claim.Name + ": "
		switch {
		case c.Size != nil:
			line += "size " + c.Size.String()
		case c.Attributes != "":
			line += "attributes " + c.Attributes
		case c.Keep:
			line += "kept"
		case c.Reowned:
			line += fmt.Sprintf("%d owners, one of them new: %t", len(c.Owners), c.Owned)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// What happens to the claim of node 1 alone; the other two are as they are asked for.
func TestWhatIsChangedOfAClaim(t *testing.T) {
	const name = "data-events-main-1"
	request := func(claim *corev1.PersistentVolumeClaim, size string) {
		claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	}
	capacity := func(claim *corev1.PersistentVolumeClaim, size string) {
		claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	}
	ours := func(claim *corev1.PersistentVolumeClaim, size string) {
		request(claim, size)
		claim.Annotations = map[string]string{v1alpha1.AnnotationRequested: size}
	}
	for what, c := range map[string]struct {
		change func(in *Inputs, claim *corev1.PersistentVolumeClaim)
		want   string
	}{
		"nothing": {func(*Inputs, *corev1.PersistentVolumeClaim) {}, ""},
		"it is smaller than its node asks for": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) { request(c, "512Mi") },
			name + ": size 1Gi"},
		"the same in other words": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) { request(c, "1024Mi") }, ""},
		"it has no volume yet": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			request(c, "512Mi")
			c.Status.Phase = corev1.ClaimPending
		}, ""},
		"it has lost its volume": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			request(c, "512Mi")
			c.Status.Phase = corev1.ClaimLost
		}, ""},
		"it is being deleted": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			request(c, "512Mi")
			c.DeletionTimestamp = new(metav1.Now())
		}, ""},
		"it is another cluster's": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			request(c, "512Mi")
			c.Labels[v1alpha1.LabelClusterID] = "another"
		}, ""},
		"somebody has grown it": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			request(c, "3Gi")
			capacity(c, "3Gi")
		}, ""},
		"somebody has grown it, and it is not done": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			request(c, "3Gi")
			capacity(c, "512Mi")
		}, ""},
		"somebody has grown it beyond what the operator asked for": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			ours(c, "2Gi")
			request(c, "3Gi")
			capacity(c, "512Mi")
		}, ""},
		"a growth that is stuck is taken back": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			ours(c, "2Gi")
			capacity(c, "512Mi")
		}, name + ": size 1Gi"},
		"it is taken back to what it has, which Kubernetes refuses": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			ours(c, "2Gi")
		}, ""},
		"it has grown before that was taken back": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			ours(c, "2Gi")
			capacity(c, "2Gi")
		}, ""},
		"another class of attributes": {func(in *Inputs, _ *corev1.PersistentVolumeClaim) {
			gold := "gold"
			volume(in).VolumeAttributesClassName = &gold
			for claim := range in.Live.Claims {
				if claim != name {
					in.Live.Claims[claim].Spec.VolumeAttributesClassName = &gold
				}
			}
		}, name + ": attributes gold"},
		"no class of attributes any more": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			gold := "gold"
			c.Spec.VolumeAttributesClassName = &gold
		}, ""},
		"it is no longer to go with the cluster": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			c.OwnerReferences = []metav1.OwnerReference{{Kind: "Backup", UID: "b"}, {Kind: model.KindCluster, UID: "cluster-uid"}}
		}, name + ": 1 owners, one of them new: false"},
		"it is no longer to go with its node": {func(_ *Inputs, c *corev1.PersistentVolumeClaim) {
			c.Annotations = map[string]string{v1alpha1.AnnotationWhenScaled: "Delete"}
		}, name + ": kept"},
	} {
		t.Run(what, func(t *testing.T) {
			in := sized(t)
			c.change(&in, in.Live.Claims[name])
			d := Decide(in)
			if got := toldOf(d.ClaimChanges); got != c.want || len(d.Verdicts) > 0 {
				t.Errorf("changes:\n%s\nexpected:\n%s\nverdicts %v", got, c.want, d.Verdicts)
			}
			asks := strings.Contains(c.want, "size ") || strings.Contains(c.want, "attributes ")
			if asks && (d.Growing == nil || !strings.Contains(d.Growing[0], name+" is to ")) {
				t.Errorf("it is in force only once it was asked for: %q", d.Growing)
			}
		})
	}
}

func TestClaimsAreOwnedByTheClusterWhileTheUserSaysSo(t *testing.T) {
	in := sized(t)
	in.Cluster.Spec.Pools[0].Storage.Retention = &v1alpha1.Retention{WhenDeleted: v1alpha1.RetentionDelete}
	kept := in.Live.Claims["data-events-main-0"].DeepCopy()
	kept.Name, kept.UID, kept.Labels[v1alpha1.LabelNodeID] = "data-events-main-7", "kept", "7"
	in.Live.Claims[kept.Name] = kept // of a node that left while the pool still retained its claims
	d := Decide(in)
	want := "data-events-main-0: 1 owners, one of them new: true\ndata-events-main-1: 1 owners, one of them new: true\n" +
		"data-events-main-2: 1 owners, one of them new: true"
	if got := toldOf(d.ClaimChanges); got != want {
		t.Fatalf("changes:\n%s\nexpected:\n%s", got, want)
	}
	for _, c := range d.ClaimChanges {
		c.Claim.OwnerReferences = c.Owners
	}
	if again := Decide(in).ClaimChanges; len(again) > 0 {
		t.Errorf("a second pass changes:\n%s", toldOf(again))
	}
	kept.OwnerReferences = []metav1.OwnerReference{render.Owner(d.Model)}
	if again := Decide(in).ClaimChanges; len(again) > 0 {
		t.Errorf("what has left with an owner keeps it; changes:\n%s", toldOf(again))
	}
	in.Cluster.Spec.Pools[0].Storage.Retention = nil
	if got := toldOf(Decide(in).ClaimChanges); strings.Count(got, ": 0 owners") != 4 {
		t.Errorf("once it retains them, changes:\n%s", got)
	}
	in.Cluster.Spec.Pools[0].Name, in.Accepted = "other", nil
	if got := toldOf(Decide(in).ClaimChanges); strings.Contains(got, "data-events-main") {
		t.Errorf("claims of a pool that is not in the spec are changed:\n%s", got)
	}
}

// The KafkaCluster of this name is a new one, and Kubernetes is about to delete what the former one owned.
func TestASuccessorDoesNotTakeBackClaimsThatGoWithItsPredecessor(t *testing.T) {
	in := madeAgain(t)
	former := owned(t).Cluster
	for _, clear := range []func(){
		func() { clear(in.Live.StatefulSets) }, func() { clear(in.Live.Secrets) }, func() { clear(in.Live.ConfigMaps) },
		func() { clear(in.Live.Services) }, func() { clear(in.Live.Budgets) }, func() { clear(in.Live.Policies) },
	} {
		clear()
	}
	in.Live.Pods = nil
	claim := in.Live.Claims["data-events-main-1"]
	claim.OwnerReferences = []metav1.OwnerReference{{Kind: model.KindCluster, Name: "events", UID: former.UID}}
	const want = "PersistentVolumeClaim data-events-main-1 of the deleted KafkaCluster of this name is still being removed"
	if d := Decide(in); d.Blocked != want || d.Identity.ClusterID != "" {
		t.Errorf("blocked %q, identity %+v", d.Blocked, d.Identity)
	}
	claim.OwnerReferences = nil // it was orphaned on purpose
	if d := Decide(in); d.Blocked != "" || d.Identity.ClusterID != former.Status.ClusterID {
		t.Errorf("blocked %q, identity %+v", d.Blocked, d.Identity)
	}
}

// The whole way: the claims ask for more, Kubernetes follows, and so does the StatefulSet.
func TestAPoolGrows(t *testing.T) {
	in := sized(t)
	set := in.Live.StatefulSets["events-main"]
	setSize(&in, "2Gi")
	d := Decide(in)
	if got := toldOf(d.ClaimChanges); strings.Count(got, "size 2Gi") != 3 || len(d.Verdicts) > 0 || len(kinds(d.Plan)) > 0 {
		t.Fatalf("changes:\n%s\nverdicts %v, steps %v", got, d.Verdicts, d.Plan.Steps)
	}
	if want := "PersistentVolumeClaim data-events-main-0 is to go from 1Gi to 2Gi"; d.Growing == nil || d.Growing[0] != want {
		t.Errorf("before Kubernetes is asked: %q, want %q first", d.Growing, want)
	}
	for _, c := range d.ClaimChanges {
		c.Claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: *c.Size}
	}
	if len(d.Growing) != 3 {
		t.Errorf("each claim is told once: %q", d.Growing)
	}
	d = Decide(in)
	if len(d.ClaimChanges) > 0 || len(d.Growing) != 3 ||
		d.Growing[0] != "PersistentVolumeClaim data-events-main-0 grows from 1Gi to 2Gi" {
		t.Errorf("changes:\n%s\ngrowing %q", toldOf(d.ClaimChanges), d.Growing)
	}
	if !slices.Equal(kinds(d.Plan), []plan.Kind{plan.RenewPool}) || d.Plan.Steps[0].SetUID != string(set.UID) {
		t.Fatalf("steps %v", d.Plan.Steps)
	}
	delete(in.Live.StatefulSets, set.Name)
	d = Decide(in)
	if !slices.Equal(kinds(d.Plan), []plan.Kind{plan.CreatePool}) || d.Plan.Steps[0].Replicas != 3 {
		t.Fatalf("steps %v", d.Plan.Steps)
	}
	next := render.StatefulSet(d.Model, &d.Model.Pools[0], "", 3, nil)
	if size := next.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage().String(); size != "2Gi" {
		t.Errorf("the next StatefulSet makes claims of %s", size)
	}
	for _, claim := range in.Live.Claims {
		claim.Status.Capacity = claim.Spec.Resources.Requests
	}
	if d = Decide(in); len(d.Growing)+len(d.ClaimChanges) > 0 {
		t.Errorf("growing %q, changes:\n%s", d.Growing, toldOf(d.ClaimChanges))
	}
}

// Nobody can take nodes out one by one that have no StatefulSet.
func TestAPoolStaysInForceWhileItsStatefulSetIsMadeAnew(t *testing.T) {
	in := sized(t)
	extra := in.Cluster.Spec.Pools[0].DeepCopy()
	extra.Name = "extra"
	in.Cluster.Spec.Pools = []v1alpha1.Pool{*extra}
	clear(in.Live.StatefulSets)
	d := Decide(in)
	if len(d.Verdicts) == 0 || d.Verdicts[0].Field != "spec.pools[main]" || d.Model.Pool("main") == nil {
		t.Fatalf("verdicts %v", d.Verdicts)
	}
	if !slices.Equal(kinds(d.Plan), []plan.Kind{plan.CreatePool}) || d.Plan.Steps[0].Pool != "main" {
		t.Errorf("steps %v", d.Plan.Steps)
	}
	in.Live.Pods = nil
	if d := Decide(in); len(d.Verdicts) > 0 {
		t.Errorf("nothing of it lives, and it may not go: %v", d.Verdicts)
	}
}

func TestAClaimThatNeverHadAVolumeIsMadeAnewInAClusterThatHasFormed(t *testing.T) {
	in := sized(t)
	claim := in.Live.Claims["data-events-main-2"]
	claim.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
	setSize(&in, "2Gi")
	d := Decide(in)
	if len(d.Remade.Claims) != 1 || d.Remade.Claims[0] != claim || len(d.Remade.Sets) > 0 {
		t.Errorf("made anew are %v", d.Remade)
	}
	if got := toldOf(d.ClaimChanges); strings.Contains(got, claim.Name) || strings.Count(got, "2Gi") != 2 {
		t.Errorf("changes:\n%s", got)
	}
}

func TestWhatKubernetesRefusesIsToldOnceForEachField(t *testing.T) {
	in := sized(t)
	setSize(&in, "2Gi")
	var refused []RefusedChange
	for _, c := range Decide(in).ClaimChanges {
		refused = append(refused, RefusedChange{c, "exceeded quota: disks; ask the owner"})
	}
	verdicts := RefusedChanges(refused)
	const want = `spec.pools[main].storage.volumes[data].size: Kubernetes does not let PersistentVolumeClaim ` +
		`data-events-main-0 go from 1Gi to 2Gi: "exceeded quota: disks; ask the owner" (and 2 more); set it back to 1Gi, or ` +
		`change what stands in its way`
	if len(verdicts) != 1 || verdicts[0].Text() != want {
		t.Errorf("%v, expected %s", verdicts, want)
	}
}
