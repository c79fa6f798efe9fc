package decide

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
)

// owned makes everything of a running cluster owned as Kubernetes shows it: pods by their StatefulSet, the rest by the
// KafkaCluster.
func owned(t *testing.T) Inputs {
	t.Helper()
	in := running(t)
	by := func(kind string, o metav1.Object) []metav1.OwnerReference {
		return []metav1.OwnerReference{{Kind: kind, Name: o.GetName(), UID: o.GetUID(), Controller: new(true)}}
	}
	cluster := by(model.KindCluster, in.Cluster)
	for name := range in.Live.StatefulSets {
		in.Live.StatefulSets[name].OwnerReferences = cluster
	}
	for name := range in.Live.Secrets {
		in.Live.Secrets[name].Name, in.Live.Secrets[name].OwnerReferences = name, cluster
	}
	for name := range in.Live.ConfigMaps {
		in.Live.ConfigMaps[name].OwnerReferences = cluster
	}
	for name := range in.Live.Services {
		in.Live.Services[name].OwnerReferences = cluster
	}
	for name := range in.Live.Budgets {
		in.Live.Budgets[name].OwnerReferences = cluster
	}
	in.Live.Policies = map[string]*networkingv1.NetworkPolicy{"events": {ObjectMeta: metav1.ObjectMeta{
		Name: "events", OwnerReferences: cluster}}}
	for i := range in.Live.Pods {
		in.Live.Pods[i].OwnerReferences = by("StatefulSet", in.Live.StatefulSets["events-main"])
		in.Live.Pods[i].Status.Phase = corev1.PodRunning
	}
	return in
}

// madeAgain is what the operator sees of a KafkaCluster that was deleted and created again at once.
func madeAgain(t *testing.T) Inputs {
	t.Helper()
	in := owned(t)
	next := asked(t)
	next.Cluster.UID, next.Live, next.Accepted = "another-uid", in.Live, nil
	return next
}

// The garbage collector removes what a deleted KafkaCluster has left in any order, and pods end last.
func TestASuccessorWaitsUntilNothingOfItsPredecessorIsLeft(t *testing.T) {
	in := madeAgain(t)
	before := owned(t).Cluster.Status.ClusterID
	expect := func(what string) {
		t.Helper()
		d := Decide(in)
		if !strings.HasPrefix(d.Blocked, what) ||
			!strings.Contains(d.Blocked, " of the deleted KafkaCluster of this name is still being removed") {
			t.Errorf("waits for %q, expected %s", d.Blocked, what)
		}
		if d.Model != nil || d.Identity.ClusterID != "" || !d.Plan.Empty() {
			t.Errorf("decided meanwhile: identity %+v, steps %v", d.Identity, d.Plan.Steps)
		}
	}
	expect("StatefulSet events-main")
	clear(in.Live.StatefulSets)
	expect("pod events-main-0")
	now := metav1.Now()
	in.Live.Pods[0].DeletionTimestamp = &now
	expect("pod events-main-0")
	in.Live.Pods = in.Live.Pods[1:2]
	expect("pod events-main-1")
	in.Live.Pods = nil
	expect("Secret events-ca")
	clear(in.Live.Secrets)
	expect("ConfigMap events-main-")
	clear(in.Live.ConfigMaps)
	expect("Service events-")
	clear(in.Live.Services)
	expect("PodDisruptionBudget events")
	clear(in.Live.Budgets)
	expect("NetworkPolicy events")
	clear(in.Live.Policies)

	d := Decide(in)
	if d.Blocked != "" || d.Identity.ClusterID != before || !d.Authority.ToBeMade || len(kinds(d.Plan)) != 1 {
		t.Errorf("it goes on: blocked %q, cluster id %s, expected %s, authority %+v, steps %v", d.Blocked,
			d.Identity.ClusterID, before, d.Authority, d.Plan.Steps)
	}
}

func TestWhatWasOrphanedOnPurposeIsTakenOver(t *testing.T) {
	cases := map[string]func(in *Inputs){
		"the KafkaCluster was deleted with --cascade=orphan": func(in *Inputs) {
			for name := range in.Live.StatefulSets {
				in.Live.StatefulSets[name].OwnerReferences = nil
			}
		},
		"its StatefulSet, too": func(in *Inputs) {
			clear(in.Live.StatefulSets)
			for i := range in.Live.Pods {
				in.Live.Pods[i].OwnerReferences = nil
			}
		},
	}
	for name, orphan := range cases {
		t.Run(name, func(t *testing.T) {
			in := madeAgain(t)
			for name := range in.Live.Secrets {
				in.Live.Secrets[name].OwnerReferences = nil
			}
			for name := range in.Live.ConfigMaps {
				in.Live.ConfigMaps[name].OwnerReferences = nil
			}
			clear(in.Live.Services)
			clear(in.Live.Budgets)
			clear(in.Live.Policies)
			orphan(&in)
			d := Decide(in)
			if d.Blocked != "" || d.Identity.ClusterID != owned(t).Cluster.Status.ClusterID ||
				len(d.Authority.Authority.CertPEM) == 0 {
				t.Errorf("blocked %q, identity %+v, authority %v", d.Blocked, d.Identity, d.Authority)
			}
		})
	}
}

// A StatefulSet that somebody deletes is made again at once, whatever its pods still do.
func TestARunningClusterDoesNotWaitForPodsOfALostStatefulSet(t *testing.T) {
	in := owned(t)
	clear(in.Live.StatefulSets)
	if d := Decide(in); d.Blocked != "" || len(kinds(d.Plan)) != 1 {
		t.Errorf("blocked %q, steps %v", d.Blocked, d.Plan.Steps)
	}
}

func TestAnAuthorityIsMadeUntilSomebodyMayTrustOne(t *testing.T) {
	restore := "is missing: restore it from a backup"
	pending := func(in *Inputs) {
		for i := range in.Live.Pods {
			in.Live.Pods[i].Status = corev1.PodStatus{Phase: corev1.PodPending}
		}
	}
	cases := map[string]struct {
		change  func(in *Inputs)
		problem string
	}{
		"nodes run":   {func(*Inputs) {}, restore},
		"one has run": {func(in *Inputs) { pending(in); in.Live.Pods[1].Status.Phase = corev1.PodRunning }, restore},
		"one has run, and its init containers run again": {func(in *Inputs) {
			pending(in)
			in.Live.Pods[1].Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "kafka", ContainerID: "containerd://1"}}
		}, restore},
		"no pod has run, and keys are there": {func(in *Inputs) {
			pending(in)
			in.Live.Secrets["events-main-internal"] = &corev1.Secret{}
		}, restore},
		"no pod has run: they wait for keys that only an authority can give": {pending, ""},
		"there is no pod": {func(in *Inputs) { in.Live.Pods = nil }, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := running(t)
			delete(in.Live.Secrets, pki.AuthoritySecret("events"))
			c.change(&in)
			d := Decide(in)
			if d.Authority.ToBeMade != (c.problem == "") || !strings.Contains(d.Authority.Problem, c.problem) {
				t.Errorf("%+v, expected the problem %q", d.Authority, c.problem)
			}
		})
	}
}

// Of many things that are left the first is named, and the others are counted.
func TestWhatIsLeftIsToldInOneLine(t *testing.T) {
	in := madeAgain(t)
	clear(in.Live.StatefulSets)
	clear(in.Live.Services)
	clear(in.Live.ConfigMaps)
	want := "pod events-main-0 of the deleted KafkaCluster of this name is still being removed; and 5 more"
	if d := Decide(in); d.Blocked != want {
		t.Errorf("%q, expected %q", d.Blocked, want)
	}
}
