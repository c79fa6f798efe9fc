package api

import (
	"context"
	"fmt"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

// scaleOf reads the subresource as kubectl scale and a HorizontalPodAutoscaler do.
func scaleOf(ctx context.Context, u *unstructured.Unstructured) (*autoscalingv1.Scale, error) {
	scale := &autoscalingv1.Scale{}
	return scale, kube.SubResource("scale").Get(ctx, typed(u), scale)
}

func typed(u *unstructured.Unstructured) *v1alpha1.KafkaCluster {
	return &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName()}}
}

func setScale(ctx context.Context, u *unstructured.Unstructured, replicas int32) error {
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName()},
		Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	return kube.SubResource("scale").Update(ctx, typed(u), client.WithSubResourceBody(scale))
}

func TestTheScaleSubresourceIsSpecReplicasAndWhatTheStatusSaysOfThatPool(t *testing.T) {
	t.Parallel()
	u := create(t, namespace(t), manifest(t, "KafkaCluster", scaled(3)))
	c := &model.Cluster{Name: u.GetName()}
	status := map[string]any{"replicas": int64(2), "selector": labels.FormatLabels(c.Selector(&model.Pool{Name: "main"}))}
	if err := unstructured.SetNestedMap(u.Object, status, "status"); err != nil {
		t.Fatal(err)
	}
	if err := kube.Status().Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	scale, err := scaleOf(t.Context(), u)
	if err != nil || scale.Spec.Replicas != 3 || scale.Status.Replicas != 2 ||
		scale.Status.Selector != status["selector"] {
		t.Fatalf("%+v, %v", scale, err)
	}
	selector, err := labels.Parse(scale.Status.Selector)
	if err != nil {
		t.Fatal(err)
	}
	for pool, want := range map[string]bool{"main": true, "other": false} {
		pod := labels.Set{v1alpha1.LabelCluster: u.GetName(), v1alpha1.LabelPool: pool, v1alpha1.LabelBroker: "true"}
		if selector.Matches(pod) != want {
			t.Errorf("it selects a pod of pool %s: %t", pool, !want)
		}
	}
	if err := setScale(t.Context(), u, 5); err != nil {
		t.Fatal(err)
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":6}}`)) // as kubectl scale does
	for _, want := range []int64{5, 6} {
		if err := kube.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
			t.Fatal(err)
		}
		if got := dig(u, "spec.replicas"); got != want || dig(u, "spec.pools.0.replicas") != nil {
			t.Errorf("spec.replicas is %v, expected %d, and the pool has %v", got, want, dig(u, "spec.pools.0.replicas"))
		}
		if want == 5 {
			if err := kube.SubResource("scale").Patch(t.Context(), typed(u), patch,
				client.WithSubResourceBody(&autoscalingv1.Scale{})); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, bad := range []int32{-1, 101} {
		if err := setScale(t.Context(), u, bad); err == nil {
			t.Errorf("%d replicas are taken", bad)
		}
	}
}

// A cluster whose pools all have numbers of their own says what to do before it can be scaled.
func TestAClusterWithoutSpecReplicasIsNotScaled(t *testing.T) {
	t.Parallel()
	u := create(t, namespace(t), manifest(t, "KafkaCluster", "{}"))
	if scale, err := scaleOf(t.Context(), u); err == nil {
		t.Errorf("its scale is %+v", scale)
	}
	mustRefuse(t, setScale(t.Context(), u, 5), "spec.replicas: every pool has replicas of its own",
		"take replicas out of the pool")
	if err := update(t, u, scaled(3)); err != nil {
		t.Fatalf("a pool is handed over: %v", err)
	}
	if err := setScale(t.Context(), u, 5); err != nil {
		t.Error(err)
	}
	if err := update(t, u, fmt.Sprintf("%s\n  replicas: null\n", pool("replicas: 5"))); err != nil {
		t.Errorf("a pool is taken back: %v", err)
	}
}

// docs/scaling.md says how a repository leaves the number to an autoscaler.
func TestWhoeverAppliesWithoutSpecReplicasLeavesItToWhoHasScaled(t *testing.T) {
	t.Parallel()
	const base = `spec: {version: 4.3.1, pools: [{name: main, storage: {volumes: [{name: data, size: 1Gi}]}}]%s}`
	ns := namespace(t)
	if err := applyAs(t, "gitops", ns, fmt.Sprintf(base, ", replicas: 3")); err != nil {
		t.Fatal(err)
	}
	u := manifest(t, "KafkaCluster", "{}")
	u.SetNamespace(ns)
	if err := setScale(t.Context(), u, 5); err != nil {
		t.Fatal(err)
	}
	if err := applyAs(t, "gitops", ns, fmt.Sprintf(base, "")); err != nil {
		t.Fatalf("applied without: %v", err)
	}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
		t.Fatal(err)
	}
	if got := dig(u, "spec.replicas"); got != int64(5) {
		t.Errorf("spec.replicas is %v", got)
	}
}
