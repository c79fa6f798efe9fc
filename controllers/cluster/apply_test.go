package cluster

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/decide"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
)

// A disk is replaced, and the controller of StatefulSets makes the new claim before the operator does.
func TestAClaimMadeFromTheTemplateIsLabelledAndNoOtherIsChanged(t *testing.T) {
	bare := map[string]string{v1alpha1.LabelCluster: "events", v1alpha1.LabelPool: "main", v1alpha1.LabelVolume: "data"}
	foreign := maps.Clone(bare)
	foreign[v1alpha1.LabelNodeID], foreign[v1alpha1.LabelClusterID] = "0", "another"
	going := metav1.Now()
	cases := map[string]struct {
		labels map[string]string
		going  *metav1.Time
		want   string // the Kafka cluster that it is said to belong to
	}{
		"made from the template":           {bare, nil, "mine"},
		"labelled already":                 {foreign, nil, "another"},
		"made from the template and going": {bare, &going, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
				Namespace: "kafka", Name: "data-events-main-0", UID: "a", Labels: c.labels, DeletionTimestamp: c.going, Finalizers: []string{"kubernetes.io/pvc-protection"},
			}}
			api := fake.NewClientBuilder().WithObjects(claim).Build()
			r := &Reconciler{Client: api}
			s := newScope(decide.Inputs{
				Cluster: &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: "events"}},
				Live:    &observe.Live{Claims: map[string]*corev1.PersistentVolumeClaim{claim.Name: claim}},
			})
			s.decision.Model = &model.Cluster{
				Namespace: "kafka", Name: "events", ClusterID: "mine",
				Pools: []model.Pool{{Name: "main", Volumes: []v1alpha1.Volume{{Name: "data"}}}},
				Nodes: []model.Node{{ID: 0, Pool: "main", PodName: "events-main-0"}},
			}
			if err := r.createClaims(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			now := &corev1.PersistentVolumeClaim{}
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(claim), now); err != nil {
				t.Fatal(err)
			}
			if got := now.Labels[v1alpha1.LabelClusterID]; got != c.want {
				t.Errorf("it belongs to Kafka cluster %q, expected %q", got, c.want)
			}
			if c.want == "mine" && now.Labels[v1alpha1.LabelNodeID] != "0" {
				t.Errorf("it belongs to node %q, expected 0", now.Labels[v1alpha1.LabelNodeID])
			}
		})
	}
}

// The first quorum has been seen: every claim says so, once, and a claim that takes the place of a founder's is not
// said to be one.
func TestClaimsKnowThatTheQuorumWasFounded(t *testing.T) {
	told := map[string]string{
		v1alpha1.LabelCluster: "events", v1alpha1.LabelPool: "main", v1alpha1.LabelVolume: "data",
		v1alpha1.LabelNodeID: "0", v1alpha1.LabelClusterID: "mine",
	}
	foreign := maps.Clone(told)
	foreign[v1alpha1.LabelClusterID] = "another"
	bare := map[string]string{v1alpha1.LabelCluster: "events", v1alpha1.LabelPool: "main", v1alpha1.LabelVolume: "data"}
	cases := map[string]struct {
		labels             map[string]string
		uid                types.UID
		annotations        map[string]string
		bootstrapped       bool
		founded, directory string
		written            bool
	}{
		"a founder's disk": {labels: told, uid: "founder", bootstrapped: true, founded: "true", written: true,
			annotations: map[string]string{v1alpha1.AnnotationDirectoryID: "dir"}, directory: "dir"},
		"it knows already": {labels: told, uid: "founder", bootstrapped: true, founded: "true",
			annotations: map[string]string{v1alpha1.AnnotationFounded: "true"}},
		"the quorum has not been seen": {labels: told, uid: "founder",
			annotations: map[string]string{v1alpha1.AnnotationDirectoryID: "dir"}, directory: "dir"},
		"another cluster's": {labels: foreign, uid: "founder", bootstrapped: true},
		"made from the template in place of a founder's": {labels: bare, uid: "second", bootstrapped: true,
			founded: "true", written: true},
		"made from the template in place of a founder's, before the quorum was seen": {labels: bare, uid: "second",
			written: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "kafka",
				Name: "data-events-main-0", UID: c.uid, Labels: c.labels, Annotations: c.annotations}}
			api := fake.NewClientBuilder().WithObjects(claim).Build()
			r := &Reconciler{Client: api}
			pass := func() (now *corev1.PersistentVolumeClaim, written bool) {
				before := &corev1.PersistentVolumeClaim{}
				if err := api.Get(t.Context(), client.ObjectKeyFromObject(claim), before); err != nil {
					t.Fatal(err)
				}
				s := newScope(decide.Inputs{
					Cluster: &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: "kafka", Name: "events"}},
					Live:    &observe.Live{Claims: map[string]*corev1.PersistentVolumeClaim{claim.Name: before}},
				})
				s.decision.Model = &model.Cluster{
					Namespace: "kafka", Name: "events", ClusterID: "mine", Bootstrapped: c.bootstrapped,
					InitialVoters: []v1alpha1.InitialVoter{{NodeID: 0, DirectoryID: "dir", DiskUID: "founder"}},
					Pools:         []model.Pool{{Name: "main", Volumes: []v1alpha1.Volume{{Name: "data"}}}},
					Nodes:         []model.Node{{ID: 0, Pool: "main", PodName: "events-main-0"}},
				}
				if err := r.createClaims(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				now = &corev1.PersistentVolumeClaim{}
				if err := api.Get(t.Context(), client.ObjectKeyFromObject(claim), now); err != nil {
					t.Fatal(err)
				}
				return now, now.ResourceVersion != before.ResourceVersion
			}
			now, written := pass()
			if now.Annotations[v1alpha1.AnnotationFounded] != c.founded ||
				now.Annotations[v1alpha1.AnnotationDirectoryID] != c.directory || written != c.written {
				t.Errorf("annotations %v, written %t", now.Annotations, written)
			}
			if _, again := pass(); again {
				t.Error("it is written in every pass")
			}
		})
	}
}
