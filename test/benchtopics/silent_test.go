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
)

const silentClusters = 20

// Twenty external clusters, which are one frozen broker, take connections and never answer. The topics of a cluster
// that does answer are Ready before the operator has given up on any of those.
func TestClustersThatAreSilentDelayNoOther(t *testing.T) {
	o := options{topics: 50, operator: needOperator(t), repository: "../..", out: t.TempDir()}
	w := startAll(t, o)
	silent := make([]*v1alpha1.KafkaTopic, silentClusters)
	for i := range silent {
		name := fmt.Sprintf("silent-%d", i)
		cluster := &v1alpha1.KafkaCluster{ObjectMeta: metav1.ObjectMeta{Namespace: benchNamespace, Name: name}}
		cluster.Spec.External = &v1alpha1.External{
			BootstrapServers: []v1alpha1.BootstrapServer{v1alpha1.BootstrapServer(w.floorBroker.Admins()[0])},
		}
		if err := w.kube.Create(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
		silent[i] = newTopic(benchNamespace, name)
		silent[i].Spec.ClusterRef.Name = name
		if err := w.kube.Create(t.Context(), silent[i]); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(topic *v1alpha1.KafkaTopic) bool {
		if err := w.kube.Get(t.Context(), client.ObjectKeyFromObject(topic), topic); err != nil {
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
					return false, w.operator.running()
				}
			}
			return true, nil
		},
	)
	if err != nil {
		t.Fatalf("while the broker answers: %v", err)
	}

	if err := w.floorBroker.Pause(w.floorBroker.Nodes[0].NodeID); err != nil {
		t.Fatal(err)
	}
	for _, topic := range silent {
		if err := alter.submit(t.Context(), w.kube, topic); err != nil {
			t.Fatal(err)
		}
	}
	phase, err := w.phase(t.Context(), create, "create", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d topics of the cluster that answers were Ready in %.1f s", o.topics, phase.Done)
	for _, topic := range silent {
		if answered(topic) {
			t.Errorf("KafkaTopic %s has been given up by then: %+v", topic.Name, topic.Status.Conditions)
		}
	}
}
