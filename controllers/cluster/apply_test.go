package cluster

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
