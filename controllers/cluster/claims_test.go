package cluster

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/plan"
)

func claimNamed(name string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: name, UID: types.UID(name)},
		Spec: corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}}},
	}
}

func ourScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return scheme
}

func eventsCluster() *v1alpha1.KafkaCluster {
	return &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: "events", UID: "cluster"}}
}

// One claim is refused, and the other grows: nothing waits for what a quota or a class stands in the way of.
func TestAClaimThatKubernetesDoesNotLetGrowHoldsUpNoOther(t *testing.T) {
	first, second := claimNamed("data-0"), claimNamed("data-1")
	api := fake.NewClientBuilder().WithObjects(first, second).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if o.GetName() == "data-0" {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "persistentvolumeclaims"}, "data-0",
					errors.New("only dynamically provisioned pvc can be resized"))
			}
			return c.Patch(ctx, o, p, opts...)
		},
	}).Build()
	r := &Reconciler{Client: api, Recorder: events.NewFakeRecorder(10)}
	s := newScope(decide.Inputs{Cluster: eventsCluster(), Live: &observe.Live{}})
	size := resource.MustParse("2Gi")
	for _, claim := range []*corev1.PersistentVolumeClaim{first, second} {
		s.decision.ClaimChanges = append(s.decision.ClaimChanges,
			decide.ClaimChange{Claim: claim, Field: "spec.size", Told: "go from 1Gi to 2Gi", Size: &size})
	}
	if err := r.changeClaims(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	now := &corev1.PersistentVolumeClaim{}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(second), now); err != nil {
		t.Fatal(err)
	}
	if now.Spec.Resources.Requests.Storage().String() != "2Gi" || now.Annotations[v1alpha1.AnnotationRequested] != "2Gi" {
		t.Errorf("it asks for %v, annotations %v", now.Spec.Resources.Requests, now.Annotations)
	}
	const want = `spec.size: Kubernetes does not let PersistentVolumeClaim data-0 go from 1Gi to 2Gi: "persistentvolumeclaims ` +
		`\"data-0\" is forbidden: only dynamically provisioned pvc can be resized"; set it back to 1Gi, or change what ` +
		`stands in its way`
	if len(s.refused) != 1 || s.refused[0].Text() != want {
		t.Errorf("told is %v, expected %s", s.refused, want)
	}
}

// Everything is as it should be, and a disk was asked to grow in this very pass: that it did is yet to be seen.
func TestAClusterIsNotReadyInThePassThatAsksForALargerDisk(t *testing.T) {
	claim := claimNamed("data-0")
	claim.Namespace = "shop"
	h := newHouse(t, claim)
	cluster, size := &v1alpha1.KafkaCluster{}, resource.MustParse("2Gi")
	h.get("events", cluster)
	s := newScope(decide.Inputs{Cluster: cluster, Live: &observe.Live{}, Now: time.Now()})
	s.decision = decide.Decision{
		Model: &model.Cluster{
			Pools: []model.Pool{{Name: "main", Replicas: 1, Broker: true}}, Nodes: []model.Node{{ID: 0, Pool: "main"}},
		},
		Observation: &model.Observation{
			Nodes: map[int32]model.ObservedNode{0: {Pod: &model.ObservedPod{Ready: true}}},
			Kafka: &kafka.Snapshot{Brokers: []kafka.Broker{{ID: 0}}},
		},
	}
	report := func() string {
		if err := errors.Join(h.under.changeClaims(t.Context(), s), h.under.report(t.Context(), s, nil)); err != nil {
			t.Fatal(err)
		}
		return h.said()
	}
	if said := report(); !strings.HasPrefix(said, "AsSpecified: ") {
		t.Fatalf("before: %s", said)
	}
	h.get("events", s.base)
	s.decision.ClaimChanges = []decide.ClaimChange{
		{Claim: claim, Field: "spec.size", Told: "go from 1Gi to 2Gi", Size: &size},
	}
	s.decision.Growing = []string{"PersistentVolumeClaim data-0 is to go from 1Gi to 2Gi"}
	if said := report(); said != "Growing: PersistentVolumeClaim data-0 is to go from 1Gi to 2Gi" {
		t.Errorf("it says %q", said)
	}
}

// Kubernetes deletes a claim whose owner is gone: an owner is written only while it is seen to live, and only to the
// claim as it was judged. One that was orphaned on purpose since then is another.
func TestAClaimGetsNoOwnerThatIsGoing(t *testing.T) {
	owner := []metav1.OwnerReference{{APIVersion: "v1", Kind: "KafkaCluster", Name: "events", UID: "cluster"}}
	going, gone := eventsCluster(), eventsCluster()
	going.DeletionTimestamp, going.Finalizers = &metav1.Time{Time: time.Now()}, []string{"orphan"}
	gone.Name = "another"
	successor := eventsCluster()
	successor.UID = "successor"
	for name, c := range map[string]struct {
		cluster *v1alpha1.KafkaCluster
		stale   bool
		owned   bool
	}{
		"it lives":                     {eventsCluster(), false, true},
		"it is being deleted":          {going, false, false},
		"it is gone":                   {gone, false, false},
		"another one has its name":     {successor, false, false},
		"the claim is another by now ": {eventsCluster(), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			api := fake.NewClientBuilder().WithScheme(ourScheme(t)).WithObjects(c.cluster, claimNamed("data-0")).Build()
			seen := &corev1.PersistentVolumeClaim{}
			if err := api.Get(t.Context(), client.ObjectKey{Namespace: "kafka", Name: "data-0"}, seen); err != nil {
				t.Fatal(err)
			}
			if c.stale {
				other := seen.DeepCopy()
				other.Labels = map[string]string{"somebody": "changed-it"}
				if err := api.Update(t.Context(), other); err != nil {
					t.Fatal(err)
				}
			}
			r := &Reconciler{Client: api, APIReader: api}
			s := newScope(decide.Inputs{Cluster: eventsCluster(), Live: &observe.Live{}})
			s.decision.ClaimChanges = []decide.ClaimChange{{Claim: seen, Owners: owner, Reowned: true, Owned: true}}
			if err := r.changeClaims(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			now := &corev1.PersistentVolumeClaim{}
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(seen), now); err != nil {
				t.Fatal(err)
			}
			if owned := len(now.OwnerReferences) > 0; owned != c.owned {
				t.Errorf("owners %v", now.OwnerReferences)
			}
		})
	}
}

// A KafkaCluster that is deleted while its pods have no StatefulSet takes them with it.
func TestPodsAreOwnedByTheirClusterBeforeTheirStatefulSetGoes(t *testing.T) {
	going := eventsCluster()
	going.DeletionTimestamp, going.Finalizers = &metav1.Time{Time: time.Now()}, []string{"a"}
	for name, c := range map[string]struct {
		cluster *v1alpha1.KafkaCluster
		goes    bool
	}{"it lives": {eventsCluster(), true}, "it is being deleted": {going, false}} {
		t.Run(name, func(t *testing.T) {
			controller := true
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: "events-main-0", UID: "pod",
				Labels:          map[string]string{v1alpha1.LabelPool: "main"},
				OwnerReferences: []metav1.OwnerReference{{Kind: "StatefulSet", Name: "events-main", UID: "set", Controller: &controller}}}}
			set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: "events-main", UID: "set"}}
			policy := ""
			api := fake.NewClientBuilder().WithScheme(ourScheme(t)).WithObjects(c.cluster, pod, set).WithInterceptorFuncs(
				interceptor.Funcs{Delete: func(_ context.Context, _ client.WithWatch, _ client.Object, o ...client.DeleteOption) error {
					policy = string(*(&client.DeleteOptions{}).ApplyOptions(o).PropagationPolicy)
					return nil
				}}).Build()
			live := &observe.Live{Pods: []corev1.Pod{{}}, StatefulSets: map[string]*appsv1.StatefulSet{"events-main": set}}
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(pod), &live.Pods[0]); err != nil {
				t.Fatal(err)
			}
			r := &Reconciler{Client: api, APIReader: api, Recorder: events.NewFakeRecorder(10)}
			s := newScope(decide.Inputs{Cluster: eventsCluster(), Live: live})
			s.decision.Model = &model.Cluster{Namespace: "kafka", Name: "events", UID: "cluster"}
			step := plan.Step{Kind: plan.RenewPool, Pool: "main", SetUID: "set"}
			if err := r.orphanPool(t.Context(), s, step); err != nil {
				t.Fatal(err)
			}
			now := &corev1.Pod{}
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(pod), now); err != nil {
				t.Fatal(err)
			}
			if owned := len(now.OwnerReferences) == 2; owned != c.goes || (policy == "Orphan") != c.goes {
				t.Errorf("owners %v, deleted with policy %q", now.OwnerReferences, policy)
			}
		})
	}
}

func TestAClaimThatIsToBeKeptAfterAllIsNotDeleted(t *testing.T) {
	claims := map[string]*corev1.PersistentVolumeClaim{}
	var judged []model.ObservedClaim
	api := fake.NewClientBuilder().WithObjects(claimNamed("as-judged"), claimNamed("kept-since"), claimNamed("wanted"),
		claimNamed("another")).Build()
	for _, name := range []string{"as-judged", "wanted", "another", "kept-since"} {
		claim := &corev1.PersistentVolumeClaim{}
		if err := api.Get(t.Context(), client.ObjectKey{Namespace: "kafka", Name: name}, claim); err != nil {
			t.Fatal(err)
		}
		claims[name] = claim
		judged = append(judged, model.ObservedClaim{Name: name, UID: string(claim.UID), Unwanted: name != "wanted"})
	}
	claims["another"].UID = "made-anew"
	changed := claims["kept-since"].DeepCopy()
	changed.Labels = map[string]string{"changed": "since"}
	if err := api.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Client: api, Recorder: events.NewFakeRecorder(10)}
	s := newScope(decide.Inputs{Cluster: eventsCluster(), Live: &observe.Live{Claims: claims}})
	if err := r.deleteUnwanted(t.Context(), s, plan.Step{Kind: plan.DeleteClaims, Claims: judged}); err != nil {
		t.Fatal(err)
	}
	for name := range claims {
		err := api.Get(t.Context(), client.ObjectKey{Namespace: "kafka", Name: name}, &corev1.PersistentVolumeClaim{})
		if goes := apierrors.IsNotFound(err); goes != (name == "as-judged") {
			t.Errorf("claim %s is deleted: %t (error %v)", name, goes, err)
		}
	}
}

// What a broker says is remembered, and none is asked more than once a minute. A new one is asked at once.
func TestBrokersAreAskedForTheirDisksOnceAMinute(t *testing.T) {
	u, key := &usage{}, client.ObjectKey{Namespace: "kafka", Name: "events"}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	asked := map[int32]int{}
	for second := range 300 {
		brokers := []int32{0, 1}
		if second >= 90 {
			brokers = append(brokers, 2)
		}
		for _, id := range u.due(key, brokers, start.Add(time.Duration(second)*time.Second)) {
			if asked[id]++; id == 2 && asked[id] == 1 && second != 90 {
				t.Errorf("a new broker is asked after %d seconds", second)
			}
		}
	}
	if asked[0] != 5 || asked[1] != 5 || asked[2] != 4 {
		t.Errorf("asked in five minutes: %v", asked)
	}
	dirs := []kafka.LogDir{{Path: "/a"}}
	u.learn(key, &kafka.Snapshot{LogDirs: map[int32][]kafka.LogDir{1: dirs}})
	u.learn(key, &kafka.Snapshot{LogDirs: map[int32][]kafka.LogDir{2: dirs}})
	if known := u.learn(key, nil); len(known) != 2 {
		t.Errorf("known is %v", known)
	}
	u.learn(key, &kafka.Snapshot{LogDirs: map[int32][]kafka.LogDir{1: {{Path: "/a", Error: kafka.ErrorStorage,
		Holds: []kafka.PartitionID{{Topic: "orders"}}}}}})
	for range 2 {
		if due := u.due(key, []int32{1, 2}, start.Add(5*time.Minute)); !slices.Contains(due, 1) {
			t.Errorf("a broker with a failed disk is not among %v", due)
		}
	}
	if known := u.learn(key, nil); known[1][0].Holds != nil {
		t.Errorf("of every replica it is remembered where it is: %v", known)
	}
	u.forget(key)
	if known := u.learn(key, nil); len(known) != 0 || len(u.due(key, []int32{0}, start)) != 1 {
		t.Errorf("after it was forgotten, known is %v", known)
	}
}
