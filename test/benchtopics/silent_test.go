//go:build linux

package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/test/bench"
)

const silentClusters = 20

// Twenty external clusters, which are one frozen broker, take connections and never answer. The topics of a cluster
// that does answer are Ready before the operator has given up on any of those.
func TestClustersThatAreSilentDelayNoOther(t *testing.T) {
	o := bench.Options{N: 50, Operator: needOperator(t), Repository: "../..", Out: t.TempDir()}
	w := startAll(t, o)
	silent := make([]*v1alpha1.KafkaTopic, silentClusters)
	for i := range silent {
		name := fmt.Sprintf("silent-%d", i)
		cluster := &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: bench.Namespace, Name: name}}
		cluster.Spec.External = &v1alpha1.External{
			BootstrapServers: []v1alpha1.BootstrapServer{v1alpha1.BootstrapServer(w.Floor.Brokers.Admins()[0])},
		}
		if err := w.Kube.Create(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
		silent[i] = newTopic(bench.Namespace, name)
		silent[i].Spec.ClusterRef.Name = name
		if err := w.Kube.Create(t.Context(), silent[i]); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(topic *v1alpha1.KafkaTopic) bool {
		if err := w.Kube.Get(t.Context(), client.ObjectKeyFromObject(topic), topic); err != nil {
			t.Fatal(err)
		}
		return topic.Status.ObservedGeneration == topic.Generation
	}
	err := wait.PollUntilContextTimeout(
		t.Context(),
		100*time.Millisecond,
		time.Minute,
		true,
		func(context.Context) (bool, error) {
			for _, topic := range silent {
				if !answered(topic) || !status.IsReady(topic.Status.Conditions, topic.Generation) {
					return false, w.Operator.Running()
				}
			}
			return true, nil
		},
	)
	if err != nil {
		t.Fatalf("while the broker answers: %v", err)
	}

	if err := w.Floor.Brokers.Pause(w.Floor.Brokers.Nodes[0].NodeID); err != nil {
		t.Fatal(err)
	}
	for _, topic := range silent {
		if err := alter.Submit(t.Context(), w.Kube, topic); err != nil {
			t.Fatal(err)
		}
	}
	phase, err := w.Phase(t.Context(), create, "create")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d topics of the cluster that answers were Ready in %.1f s", o.N, phase.Done)
	for _, topic := range silent {
		if answered(topic) {
			t.Errorf("KafkaTopic %s has been given up by then: %+v", topic.Name, topic.Status.Conditions)
		}
	}
}
