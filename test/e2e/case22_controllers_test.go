package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// ruled has one broker, and controllers whose number changes.
var ruled = sharedCluster{
	what:     "cluster of one broker and one controller",
	manifest: ruledManifest,
	topic:    ", partitions: 3, replicationFactor: 1",
}

const ruledManifest = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, roles: [Broker], storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  - {name: ctl, replicas: 1, roles: [Controller], storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [SCRAM-SHA-512]}}
  authorization: {type: Simple, superUsers: [admin]}
  config: {offsets.topic.num.partitions: "3", group.initial.rebalance.delay.ms: "0"}
`

func TestCase22_ControllersOneThreeFiveThreeAndNoBrokerRestarts(t *testing.T) {
	long(t)
	v := ruled.sail(t)
	quorum := watchQuorum(t, v.login)
	before := lives(t, v.ns, sharedName)
	for _, step := range []struct {
		controllers int32
		voters      []int32
	}{
		{3, []int32{1000, 1001, 1002}}, {5, []int32{1000, 1001, 1002, 1003, 1004}}, {3, []int32{1000, 1001, 1002}},
	} {
		v.rec.mark(t, "%d controllers are asked for", step.controllers)
		begin := time.Now()
		change(t, v.cluster, func(c kafkaCluster) { c.Spec.Pools[1].Replicas = new(step.controllers) })
		waitReady(t, 3*time.Minute, v.cluster)
		figureSeconds(t, fmt.Sprintf("to-%d-controllers", step.controllers), time.Since(begin))
		quorum.waitVoters(t, 10*time.Second, step.voters...)
		pods, err := podsOf(t.Context(), v.ns, sharedName)
		if err != nil || len(pods) != int(step.controllers)+1 {
			t.Errorf("%d pods (error %v), expected %d controllers and a broker", len(pods), err, step.controllers)
		}
	}
	record := v.arrive(t, time.Minute, "One broker, and controllers 1, 3, 5, 3")
	mustRestart(t, record, nil)
	quorum.mustHaveHeld(t)
	mustLiveOn(t, v.ns, sharedName, before)
	for _, id := range []int32{1003, 1004} {
		claim := &corev1.PersistentVolumeClaim{}
		if err := kube.Get(t.Context(), client.ObjectKey{Namespace: v.ns, Name: fmt.Sprintf("data-events-ctl-%d", id)}, claim); err != nil {
			t.Errorf("the claim of controller %d, which left, is not kept: %v", id, err)
		}
	}
}

// The last case of the ruled cluster.
func TestCase22_AControllerLosesItsDiskAndIsAVoterAgainWithTheNewOne(t *testing.T) {
	long(t)
	v := ruled.sail(t)
	t.Cleanup(func() {
		if err := ruled.remove(context.Background()); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	change(t, v.cluster, func(c kafkaCluster) { c.Spec.Pools[1].Replicas = new(int32(3)) })
	waitReady(t, 3*time.Minute, v.cluster)
	quorum := watchQuorum(t, v.login)
	now, err := quorumBy(t.Context(), v.login.client(t), -1)
	if err != nil {
		t.Fatal(err)
	}
	lost := int32(1000) // an initial voter, where that leads nothing
	if now.leader == lost {
		lost = 1001
	}
	name := fmt.Sprintf("events-ctl-%d", lost)
	before, disks := lives(t, v.ns, sharedName), quorum.disks()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: v.ns, Name: "data-" + name}}
	if err := kube.Delete(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if err := kube.Delete(t.Context(), getPod(t, v.ns, name)); err != nil {
		t.Fatal(err)
	}
	v.rec.mark(t, "controller %d loses its disk", lost)
	begin := time.Now()
	eventually(
		t,
		3*time.Minute,
		"it is a voter with another disk, and no longer with the old one",
		func(context.Context) error {
			after := quorum.disks()
			if after[lost] == disks[lost] || after[lost] == "" || len(after) != 3 {
				return fmt.Errorf("the disks of the voters: %v, before: %v; %s", after, disks, planOf(v.cluster))
			}
			return nil
		},
	)
	waitReady(t, time.Minute, v.cluster)
	figureSeconds(t, "controller-disk-lost-to-ready", time.Since(begin))
	if told := getPod(t, v.ns, name).Annotations[v1alpha1.AnnotationFormat]; !strings.Contains(told, " join ") {
		t.Errorf("pod %s was told about its empty disk: %q, expected to join", name, told)
	}
	mustBeTold(t, v.ns, fmt.Sprintf("remove voter %d", lost), fmt.Sprintf("add voter %d", lost))
	record := v.arrive(t, time.Minute, "One broker and three controllers, of which one loses its disk")
	mustRestart(t, record, nil)
	quorum.mustHaveHeld(t)
	delete(before, name)
	mustLiveOn(t, v.ns, sharedName, before)
}

// mustBeTold fails unless the events of the KafkaCluster say these things.
func mustBeTold(t *testing.T, ns string, sentences ...string) {
	t.Helper()
	eventually(t, stallLimit, fmt.Sprintf("events say %q", sentences), func(ctx context.Context) error {
		var events corev1.EventList
		if err := kube.List(ctx, &events, client.InNamespace(ns)); err != nil {
			return err
		}
		text := ""
		for _, e := range events.Items {
			if e.InvolvedObject.Kind == "KafkaCluster" {
				text += e.Reason + ": " + e.Message + "\n"
			}
		}
		if missing := missingIn(text, sentences); missing != "" {
			return fmt.Errorf("no event says %q:\n%s", missing, text)
		}
		return nil
	})
}
