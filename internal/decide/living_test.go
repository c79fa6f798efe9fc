package decide

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
)

// kubernetes does what Kubernetes does with what a pass asks for, and gives no claim a volume.
type kubernetes struct {
	in    Inputs
	uids  int
	stale []corev1.PersistentVolumeClaim // what the controller of StatefulSets makes claims from, once more
}

func (k *kubernetes) uid() types.UID { k.uids++; return types.UID(fmt.Sprintf("uid-%d", k.uids)) }

// pass is one pass of the operator; it tells whether there was anything to make or to make anew.
func (k *kubernetes) pass(t *testing.T) bool {
	t.Helper()
	d := Decide(k.in)
	if len(d.Verdicts) > 0 || d.Model == nil {
		t.Fatalf("%v", d.Verdicts)
	}
	d.Identity.WriteTo(&k.in.Cluster.Status)
	k.in.Accepted = d.Accepted.DeepCopy()
	changed := len(d.Remade.Sets)+len(d.Remade.Claims) > 0
	for _, set := range d.Remade.Sets {
		k.stale = set.Spec.VolumeClaimTemplates
		delete(k.in.Live.StatefulSets, set.Name)
	}
	for _, claim := range d.Remade.Claims {
		delete(k.in.Live.Claims, claim.Name)
	}
	k.makeFromTemplates(d)
	if changed {
		return true // the rest waits for the next pass
	}
	for i := range d.Model.Nodes {
		for _, claim := range render.Claims(d.Model, &d.Model.Nodes[i]) {
			if live := k.in.Live.Claims[claim.Name]; live == nil {
				claim.UID, changed = k.uid(), true
				k.in.Live.Claims[claim.Name] = claim
			} else if live.Labels[v1alpha1.LabelNodeID] == "" {
				live.Labels, live.Annotations, changed = claim.Labels, claim.Annotations, true
			}
		}
	}
	for _, step := range d.Plan.Steps {
		if step.Kind == plan.SayFormat {
			t.Errorf("node %d is told how to format a disk that is not there", step.Node)
		}
		if step.Kind == plan.CreatePool {
			pool := d.Model.Pool(step.Pool)
			set := render.StatefulSet(d.Model, pool, "revision", pool.Replicas, nil)
			set.UID, changed = k.uid(), true
			k.in.Live.StatefulSets[set.Name] = set
		}
	}
	return changed
}

// makeFromTemplates is the controller of StatefulSets, which is always faster than the operator, and once works on a
// StatefulSet that is gone.
func (k *kubernetes) makeFromTemplates(d Decision) {
	templates := k.stale
	k.stale = nil
	for _, set := range k.in.Live.StatefulSets {
		templates = append(slices.Clone(set.Spec.VolumeClaimTemplates), templates...)
	}
	for i := range d.Model.Nodes {
		for _, template := range templates {
			claim := template.DeepCopy()
			claim.Name, claim.UID = template.Name+"-"+d.Model.Nodes[i].PodName, k.uid()
			if k.in.Live.Claims[claim.Name] == nil {
				k.in.Live.Claims[claim.Name] = claim
			}
		}
	}
}

func (k *kubernetes) settle(t *testing.T) {
	t.Helper()
	for range 10 {
		if !k.pass(t) {
			return
		}
	}
	t.Fatalf("never at rest: %+v", Decide(k.in).Remade)
}

// The class was wrong from the start, so that no claim ever got a volume. The user corrects it, or thinks again.
func TestAClusterThatHasNotFormedGetsTheClaimsThatItAsksFor(t *testing.T) {
	class := func(name string) *string { return &name }
	volume := func(in *Inputs) *v1alpha1.Volume { return &in.Cluster.Spec.Pools[0].Storage.Volumes[0] }
	cases := map[string]struct {
		change func(in *Inputs)
		class  *string
		size   string
		nodes  int
	}{
		"another class":  {func(in *Inputs) { volume(in).StorageClassName = class("fast") }, class("fast"), "1Gi", 3},
		"static volumes": {func(in *Inputs) { volume(in).StorageClassName = class("") }, class(""), "1Gi", 3},
		"a smaller disk": {func(in *Inputs) { volume(in).Size = resource.MustParse("512Mi") }, class("wrong"), "512Mi", 3},
		"more founders":  {func(in *Inputs) { in.Cluster.Spec.Pools[0].Replicas = new(int32(5)) }, class("wrong"), "1Gi", 5},
		"another class and fewer founders": {func(in *Inputs) {
			volume(in).StorageClassName, in.Cluster.Spec.Pools[0].Replicas = class("fast"), new(int32(1))
		}, class("fast"), "1Gi", 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := asked(t)
			volume(&in).StorageClassName = class("wrong")
			in.Live.StatefulSets = map[string]*appsv1.StatefulSet{}
			in.Live.Claims = map[string]*corev1.PersistentVolumeClaim{}
			k := &kubernetes{in: in}
			k.settle(t)
			for i := range 3 {
				k.in.Live.Pods = append(k.in.Live.Pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{
					Name: fmt.Sprintf("events-main-%d", i), UID: k.uid(),
					Labels: k.in.Live.StatefulSets["events-main"].Spec.Template.Labels,
				}, Status: corev1.PodStatus{Phase: corev1.PodPending}})
			}
			id := k.in.Cluster.Status.ClusterID
			c.change(&k.in)
			k.settle(t)
			if got := k.in.Cluster.Status; got.ClusterID != id || len(got.InitialVoters) != c.nodes {
				t.Errorf("cluster id %s, expected %s; founders %v, expected %d", got.ClusterID, id, got.InitialVoters, c.nodes)
			}
			for i := range c.nodes {
				claim := k.in.Live.Claims[fmt.Sprintf("data-events-main-%d", i)]
				size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
				if fmt.Sprint(*claim.Spec.StorageClassName) != *c.class || size.String() != c.size {
					t.Errorf("claim %s has %s", claim.Name, kind(claim))
				}
				if claim.Annotations[v1alpha1.AnnotationDirectoryID] != k.in.Cluster.Status.InitialVoters[i].DirectoryID {
					t.Errorf("claim %s has %v, founders are %v", claim.Name, claim.Annotations, k.in.Cluster.Status.InitialVoters)
				}
			}
		})
	}
}

func TestADiskIsNeverMadeAnew(t *testing.T) {
	for name, change := range map[string]func(in *Inputs, claim *corev1.PersistentVolumeClaim){
		"it has a volume":              func(_ *Inputs, claim *corev1.PersistentVolumeClaim) { claim.Spec.VolumeName = "v" },
		"it has lost its volume":       func(_ *Inputs, claim *corev1.PersistentVolumeClaim) { claim.Status.Phase = corev1.ClaimLost },
		"it is another cluster's":      func(_ *Inputs, claim *corev1.PersistentVolumeClaim) { claim.Labels[v1alpha1.LabelClusterID] = "x" },
		"it is being deleted already":  func(_ *Inputs, claim *corev1.PersistentVolumeClaim) { claim.DeletionTimestamp = new(metav1.Now()) },
		"it is what is asked for":      func(in *Inputs, _ *corev1.PersistentVolumeClaim) { setSize(in, "1Gi") },
		"it is spelt in another way":   func(in *Inputs, _ *corev1.PersistentVolumeClaim) { setSize(in, "1024Mi") },
		"its node is no longer there":  func(in *Inputs, _ *corev1.PersistentVolumeClaim) { in.Cluster.Spec.Pools[0].Replicas = new(int32(1)) },
		"its pool is no longer there ": func(in *Inputs, _ *corev1.PersistentVolumeClaim) { in.Cluster.Spec.Pools[0].Name = "other" },
	} {
		in := running(t)
		in.Cluster.Status.Bootstrapped, in.Kafka, in.Accepted = false, nil, nil
		clear(in.Live.StatefulSets)
		in.Live.Pods = nil
		for _, claim := range in.Live.Claims {
			claim.Status.Phase, claim.Annotations = corev1.ClaimPending, nil
		}
		setSize(&in, "2Gi")
		if d := Decide(in); len(d.Remade.Claims) != 3 {
			t.Fatalf("%d claims without a volume are made anew; %v", len(d.Remade.Claims), d.Verdicts)
		}
		claim := in.Live.Claims["data-events-main-2"]
		change(&in, claim)
		if d := Decide(in); slices.Contains(d.Remade.Claims, claim) {
			t.Errorf("%s, and it is made anew", name)
		}
	}
}

// A pool was removed, or made smaller, before its claims had a volume.
func TestAClaimThatNobodyNeedsAndThatNeverHadAVolumeGoes(t *testing.T) {
	class := "wrong"
	stale := func(in *Inputs) *corev1.PersistentVolumeClaim {
		claim := in.Live.Claims["data-events-main-2"].DeepCopy()
		claim.Name, claim.UID, claim.Spec.StorageClassName = "data-events-main-7", "stale", &class
		claim.Labels[v1alpha1.LabelNodeID], claim.Status.Phase = "7", corev1.ClaimPending
		in.Live.Claims[claim.Name] = claim
		return claim
	}
	mounts := corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data-events-main-7"}}}
	for name, c := range map[string]struct {
		change func(in *Inputs, claim *corev1.PersistentVolumeClaim)
		goes   bool
	}{
		"as the operator made it": {func(*Inputs, *corev1.PersistentVolumeClaim) {}, true},
		"it has a volume":         {func(_ *Inputs, claim *corev1.PersistentVolumeClaim) { claim.Spec.VolumeName = "v" }, false},
		"it is bound":             {func(_ *Inputs, claim *corev1.PersistentVolumeClaim) { claim.Status.Phase = corev1.ClaimBound }, false},
		"it has lost its volume":  {func(_ *Inputs, claim *corev1.PersistentVolumeClaim) { claim.Status.Phase = corev1.ClaimLost }, false},
		"nobody says what it is":  {func(_ *Inputs, claim *corev1.PersistentVolumeClaim) { claim.Status.Phase = "" }, false},
		"it is another cluster's": {func(_ *Inputs, claim *corev1.PersistentVolumeClaim) {
			claim.Labels[v1alpha1.LabelClusterID] = "x"
		}, false},
		"it was not labelled": {func(_ *Inputs, claim *corev1.PersistentVolumeClaim) {
			delete(claim.Labels, v1alpha1.LabelNodeID)
		}, false},
		"it goes already": {func(_ *Inputs, claim *corev1.PersistentVolumeClaim) {
			claim.DeletionTimestamp = new(metav1.Now())
		}, false},
		"somebody restores into it": {func(_ *Inputs, claim *corev1.PersistentVolumeClaim) {
			claim.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "VolumeSnapshot", Name: "s"}
		}, false},
		"somebody chose its volume": {func(_ *Inputs, claim *corev1.PersistentVolumeClaim) {
			claim.Spec.Selector = &metav1.LabelSelector{}
		}, false},
		"a pod mounts it": {func(in *Inputs, _ *corev1.PersistentVolumeClaim) {
			in.Live.Pods[0].Spec.Volumes = append(in.Live.Pods[0].Spec.Volumes, mounts)
		}, false},
		"its node comes": {func(in *Inputs, claim *corev1.PersistentVolumeClaim) {
			delete(in.Live.Claims, claim.Name)
			claim.Name, claim.Labels[v1alpha1.LabelNodeID] = "data-events-main-2", "2"
			in.Live.Claims[claim.Name] = claim
		}, false},
		"something is under way": {func(in *Inputs, _ *corev1.PersistentVolumeClaim) {
			in.Live.Pods[0].Status.Conditions = nil
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := running(t)
			claim := stale(&in)
			c.change(&in, claim)
			d := Decide(in)
			goes := slices.ContainsFunc(d.Surplus, func(o render.Object) bool { return o.GetUID() == claim.UID })
			if goes != c.goes || c.goes && len(d.Surplus) != 1 {
				t.Errorf("it goes: %t, expected %t; surplus %v, plan %s", goes, c.goes, d.Surplus, d.Plan)
			}
		})
	}
}

func setSize(in *Inputs, size string) {
	in.Cluster.Spec.Pools[0].Storage.Volumes[0].Size = resource.MustParse(size)
}

// A pool leaves the spec and comes back while its nodes still leave.
func TestAPoolThatComesBackMeetsTheRulesOfAChange(t *testing.T) {
	in := running(t)
	in.Accepted.Pools[0].Name = "other" // the edit without it was accepted
	setSize(&in, "512Mi")
	d := Decide(in)
	if len(d.Verdicts) != 1 || d.Verdicts[0].Field != "spec.pools[main].storage.volumes[data].size" {
		t.Errorf("%v", d.Verdicts)
	}
}

func TestAKeptClaimThatIsNotAsAskedForIsTold(t *testing.T) {
	class := "fast"
	in := running(t)
	in.Accepted, in.Live.StatefulSets = nil, nil // a KafkaCluster that was made again
	in.Live.Pods, in.Kafka = nil, nil
	setSize(&in, "2Gi")
	in.Cluster.Spec.Pools[0].Storage.Volumes[0].StorageClassName = &class
	slow := "slow"
	in.Live.Claims["data-events-main-0"].Spec.StorageClassName = &slow
	want := "spec.pools[main].storage.volumes[data]: PersistentVolumeClaim data-events-main-0 has 1Gi of storage class " +
		"slow where the spec asks for 2Gi of storage class fast; and 2 more; the disk stays as it is"
	if d := Decide(in); len(d.Verdicts) > 0 || !slices.Contains(d.Warnings, want) {
		t.Errorf("%v, warnings %q, expected %q", d.Verdicts, d.Warnings, want)
	}
	in = running(t)
	in.Live.Claims["data-events-main-0"].Spec.StorageClassName = &slow // the spec asks for the default class
	if d := Decide(in); strings.Contains(strings.Join(d.Warnings, " "), "data-events-main-0") {
		t.Errorf("warnings %q", d.Warnings)
	}
}

func TestOutgrownDefaultsAreTold(t *testing.T) {
	in := running(t)
	in.Cluster.Status.Defaults.ReplicationFactor, in.Cluster.Status.Defaults.MinInsyncReplicas = 1, 1
	want := `spec.config: the cluster was made with 1 broker and has 3, and topics still get 1 replica and ` +
		`min.insync.replicas 1; set default.replication.factor: "3" (restarts brokers) and min.insync.replicas: "2", or ` +
		`the values that shall stay`
	if d := Decide(in); !slices.Contains(d.Warnings, want) {
		t.Errorf("warnings %q, expected %q", d.Warnings, want)
	}
}
