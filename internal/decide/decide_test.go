package decide

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/report"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const manifest = `
metadata: {name: events, namespace: shop, uid: cluster-uid, generation: 1}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 3, storage: {volumes: [{name: data, size: 1Gi}]}}
`

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// asked is a KafkaCluster that nobody has cared for yet.
func asked(t *testing.T) Inputs {
	t.Helper()
	cluster := &v1alpha1.KafkaCluster{}
	if err := yaml.Unmarshal([]byte(manifest), cluster); err != nil {
		t.Fatal(err)
	}
	n := 0
	return Inputs{
		Cluster: cluster, Live: &observe.Live{}, CacheCurrent: true, KafkaError: "no broker is ready",
		ImageRepository: "apache/kafka", Domain: "cluster.local", Now: start,
		NewUUID: func() string { n++; return fmt.Sprintf("uuid-%d", n) },
	}
}

// running is the same cluster once everything that was decided has come true.
func running(t *testing.T) Inputs {
	t.Helper()
	return runningCluster(t, asked(t).Cluster)
}

func runningCluster(t *testing.T, cluster *v1alpha1.KafkaCluster) Inputs {
	t.Helper()
	in := asked(t)
	in.Cluster = cluster
	first := Decide(in)
	first.Identity.Bootstrapped = true
	first.Identity.WriteTo(&in.Cluster.Status)
	in.Accepted = in.Cluster.Spec.DeepCopy()
	d := Decide(in)
	authority, err := pki.NewAuthority("shop/events", start)
	if err != nil {
		t.Fatal(err)
	}
	live := &observe.Live{
		StatefulSets: map[string]*appsv1.StatefulSet{}, Claims: map[string]*corev1.PersistentVolumeClaim{},
		ConfigMaps: map[string]*corev1.ConfigMap{}, Services: map[string]*corev1.Service{},
		Secrets: map[string]*corev1.Secret{pki.AuthoritySecret("events"): {Data: map[string][]byte{
			pki.AuthorityCertificate: authority.CertPEM, pki.AuthorityKey: authority.KeyPEM,
		}}},
		Budgets: map[string]*policyv1.PodDisruptionBudget{"events": render.Budget(d.Model, 1, nil, false)},
	}
	for _, service := range render.Quiet(d.Model) {
		live.Services[service.GetName()] = service.(*corev1.Service)
	}
	pool := &d.Model.Pools[0]
	revision := render.Revision(d.Model, pool, d.Files)
	live.ConfigMaps[revision.Name] = revision
	set := render.StatefulSet(d.Model, pool, revision.Name, pool.Replicas, nil)
	set.UID = "set-uid"
	live.StatefulSets[set.Name] = set
	in.Kafka = &kafka.Snapshot{
		TakenAt:         start,
		ClusterID:       d.Model.ClusterID,
		MetadataVersion: 30,
		Config:          d.Model.DynamicConfig,
		Quorum:          kafka.Quorum{LeaderID: 0},
	}
	for i := range d.Model.Nodes {
		node := &d.Model.Nodes[i]
		for _, claim := range render.Claims(d.Model, node) {
			claim.UID, claim.Status.Phase = types.UID("disk-"+node.PodName), corev1.ClaimBound
			live.Claims[claim.Name] = claim
		}
		template := set.Spec.Template.DeepCopy()
		pod := corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
		pod.Name, pod.Namespace, pod.UID = node.PodName, "shop", types.UID("pod-"+node.PodName)
		pod.Annotations[v1alpha1.AnnotationFormat] = render.FormatJoin(d.Model, string(pod.UID))
		pod.CreationTimestamp = metav1.NewTime(start.Add(-time.Hour))
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: render.ContainerName, State: corev1.ContainerState{
			Running: &corev1.ContainerStateRunning{StartedAt: pod.CreationTimestamp}}}}
		live.Pods = append(live.Pods, pod)
		in.Kafka.Brokers = append(in.Kafka.Brokers, kafka.Broker{ID: node.ID})
		in.Kafka.Quorum.Voters = append(in.Kafka.Quorum.Voters, kafka.QuorumReplica{
			ID: node.ID, DirectoryID: d.Model.InitialVoters[i].DirectoryID, LastCaughtUp: start})
	}
	in.Live, in.KafkaError = live, ""
	return in
}

func kinds(p plan.Plan) []plan.Kind {
	var kinds []plan.Kind
	for _, step := range p.Steps {
		kinds = append(kinds, step.Kind)
	}
	return kinds
}

func TestANewClusterIsGivenItsIdentityBeforeAnythingIsDone(t *testing.T) {
	in := asked(t)
	d := Decide(in)
	if d.Identity.ClusterID == "" || len(d.Identity.InitialVoters) != 3 || d.Identity.Bootstrapped {
		t.Errorf("identity %+v", d.Identity)
	}
	if in.Cluster.Status.ClusterID != "" {
		t.Error("what is only proposed stands in the status already")
	}
	if !slices.Equal(kinds(d.Plan), []plan.Kind{plan.CreatePool}) || len(d.Verdicts) != 0 {
		t.Errorf("steps %v, verdicts %v", d.Plan.Steps, d.Verdicts)
	}
}

func TestAConvergedClusterNeedsNothing(t *testing.T) {
	in := running(t)
	d := Decide(in)
	if !d.Plan.Empty() || len(d.Plan.Pending) != 0 || len(d.Surplus) != 0 || len(d.Verdicts)+len(d.Waiting) != 0 ||
		d.Successor != "" {
		t.Errorf(
			"steps %v, held %v, waiting %v %v, surplus %v",
			d.Plan.Steps,
			d.Plan.Held,
			d.Plan.Waiting,
			d.Waiting,
			d.Surplus,
		)
	}
	pass := report.Pass{Cluster: in.Cluster, Now: in.Now, Model: d.Model, Observation: d.Observation, Plan: d.Plan}
	status, _ := report.Status(pass)
	pass.Cluster = in.Cluster.DeepCopy()
	pass.Cluster.Status = status
	again, events := report.Status(pass)
	if !equality.Semantic.DeepEqual(again, status) || len(events) != 0 {
		t.Errorf("a second pass says something else: %v, events %v", again, events)
	}
}

// What a spec would do can be asked before it is applied.
func TestTheDryRunOfASpecThatNobodyHasAppliedTouchesNothing(t *testing.T) {
	in := running(t)
	before := fmt.Sprint(in.Cluster, in.Live.Services, in.Live.ConfigMaps)
	dry := in
	dry.Cluster = in.Cluster.DeepCopy()
	dry.Cluster.Spec.Config = v1alpha1.Config{"socket.request.max.bytes": "1048576", "background.threads": "11"}
	d := Decide(dry)
	if got := kinds(d.Plan); !slices.Equal(got, []plan.Kind{plan.AlterConfig}) {
		t.Errorf("steps %v, waiting %v", d.Plan.Steps, d.Plan.Waiting)
	}
	for _, held := range d.Plan.Held { // until nobody may evict a pod meanwhile
		if !slices.Equal(held.Reasons, []string{"config socket.request.max.bytes 1048576"}) {
			t.Errorf("broker %d is to be disturbed for %v", held.Node, held.Reasons)
		}
	}
	if len(d.Plan.Held) != 3 {
		t.Errorf("held %v", d.Plan.Held)
	}
	if fmt.Sprint(in.Cluster, in.Live.Services, in.Live.ConfigMaps) != before {
		t.Error("the dry run has changed what it was asked about")
	}
	if again := Decide(dry); fmt.Sprint(again.Plan) != fmt.Sprint(d.Plan) {
		t.Errorf("the same question gives another plan: %v, %v", d.Plan, again.Plan)
	}
}

func TestAMistakeStallsAndTheAcceptedSpecIsCaredFor(t *testing.T) {
	in := running(t)
	in.Cluster.Spec.Version = "1.0.0"
	in.Live.Pods = in.Live.Pods[:2] // a pod is lost meanwhile; its StatefulSet brings it back
	d := Decide(in)
	if len(d.Verdicts) != 1 || d.Verdicts[0].Reason != verdict.ReasonUnknownVersion || d.Model == nil ||
		d.Model.Version != "4.3.1" {
		t.Fatalf("verdicts %v, model %+v", d.Verdicts, d.Model)
	}
	in = asked(t)
	in.Cluster.Spec.Version = "1.0.0"
	if d := Decide(in); d.Model != nil || len(d.Verdicts) != 1 || d.Identity.ClusterID != "" {
		t.Errorf("a spec that was never accepted: %+v", d)
	}
}

func TestWhatADeletedClusterHasLeftIsWaitedFor(t *testing.T) {
	in := running(t)
	in.Live.StatefulSets["events-main"].OwnerReferences = []metav1.OwnerReference{
		{Kind: model.KindCluster, UID: "another", Controller: new(true)},
	}
	if d := Decide(in); !strings.Contains(d.Blocked, "StatefulSet events-main of the deleted KafkaCluster") ||
		d.Model != nil {
		t.Errorf("blocked %q", d.Blocked)
	}
}

func TestASurplusIsNamedOnlyWhenNothingIsUnderWay(t *testing.T) {
	in := running(t)
	owned := []metav1.OwnerReference{{Kind: model.KindCluster, Name: "events", UID: in.Cluster.UID, Controller: new(true)}}
	in.Live.Services["events-old"] = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "events-old", OwnerReferences: owned}}
	// kubectl expose copies the labels of what it exposes, so that it stands among ours.
	in.Live.Services["mine"] = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "mine"}}
	revision := maps.Clone(in.Live.ConfigMaps)
	for _, configMap := range revision {
		old := configMap.DeepCopy()
		old.Name, old.OwnerReferences = "events-main-old", owned
		in.Live.ConfigMaps[old.Name] = old
	}
	d := Decide(in)
	var names []string
	for _, object := range d.Surplus {
		names = append(names, object.GetName())
	}
	if !slices.Equal(names, []string{"events-main-old", "events-old"}) {
		t.Errorf("surplus %v", names)
	}
	in.Kafka.Brokers[1].Fenced = true
	if d := Decide(in); len(d.Surplus) != 0 {
		t.Errorf("removed while something is under way: %v", d.Surplus)
	}
	delete(in.Live.Secrets, pki.AuthoritySecret("events"))
	in.Kafka.Brokers[1].Fenced = false
	if d := Decide(in); len(d.Surplus) != 0 || len(d.Waiting) != 1 ||
		!strings.Contains(d.Waiting[0], "restore it from a backup") {
		t.Errorf("without its authority: surplus %v, waiting %v", d.Surplus, d.Waiting)
	}
}

func TestAFieldThatHoldsManyNodesIsTheFaultOnce(t *testing.T) {
	faults := heldVerdicts([]plan.Held{
		{Node: 0, Message: "it ends by itself"},
		{Node: 1, Field: "spec.rolling.unavailable", Message: "broker 1 not restarted: a"},
		{Node: 2, Field: "spec.pools[main].replicas", Message: "broker 2 not removed: b"},
		{Node: 3, Field: "spec.rolling.unavailable", Message: "broker 3 not restarted: c"},
	})
	want := []verdict.Verdict{
		verdict.Stalled(verdict.ReasonHeld, "spec.rolling.unavailable", "broker 1 not restarted: a; and 1 more"),
		verdict.Stalled(verdict.ReasonHeld, "spec.pools[main].replicas", "broker 2 not removed: b"),
	}
	if !slices.Equal(faults, want) {
		t.Errorf("got %v, want %v", faults, want)
	}
}
