package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const handledManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: plain, port: 9092, encryption: None, authentication: {mechanisms: [SCRAM-SHA-512]}}
`

// Somebody scales the StatefulSet by hand, and takes a label off a pod: the number and the label come back, and the
// broker lives on.
func TestCase61_WhatHandsDoToAStatefulSetAndAPodIsUndoneWithoutARestart(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	apply(t, ns, handledManifest)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 4*time.Minute, cluster)
	before := lives(t, ns, sharedName)

	if out, err := kubectl(t.Context(), "-n", ns, "scale", "statefulset/events-main", "--replicas=3"); err != nil {
		t.Fatalf("kubectl scale: %v: %s", err, out)
	}
	set := &appsv1.StatefulSet{}
	set.Namespace, set.Name = ns, "events-main"
	eventually(t, 2*time.Minute, "the StatefulSet has its number back, and the nodes that were too many are gone",
		func(ctx context.Context) error {
			pods := &corev1.PodList{}
			if err := kube.List(ctx, pods, client.InNamespace(ns)); err != nil {
				return err
			}
			if err := kube.Get(ctx, client.ObjectKeyFromObject(set), set); err != nil {
				return err
			}
			if n := *set.Spec.Replicas; n != 1 || len(pods.Items) != 1 {
				return fmt.Errorf("it asks for %d, and there are %d pods", n, len(pods.Items))
			}
			return nil
		})
	waitReady(t, time.Minute, cluster)
	mustLiveOn(t, ns, sharedName, before)

	for _, label := range []string{v1alpha1.LabelCluster, v1alpha1.LabelPool} {
		if out, err := kubectl(t.Context(), "-n", ns, "label", "pod/events-main-0", label+"-"); err != nil {
			t.Fatalf("kubectl label: %v: %s", err, out)
		}
		pod := &corev1.Pod{}
		pod.Namespace, pod.Name = ns, "events-main-0"
		eventually(t, time.Minute, "the pod has its label "+label+" back, and its StatefulSet",
			func(ctx context.Context) error {
				if err := kube.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
					return err
				}
				if pod.Labels[label] == "" || len(pod.OwnerReferences) != 1 {
					return fmt.Errorf("it has %v, and is %v's", pod.Labels, pod.OwnerReferences)
				}
				return nil
			})
	}
	waitReady(t, time.Minute, cluster)
	mustLiveOn(t, ns, sharedName, before)
}
