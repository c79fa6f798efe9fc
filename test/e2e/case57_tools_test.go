package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// Tools prune objects, and delete a cluster with each --cascade of kubectl. A record that was written before is there at
// the end, and a broker whose KafkaCluster was orphaned and made again is not restarted.
func TestCase57_ToolsDeleteInEveryWayAndTheRecordStays(t *testing.T) {
	long(t)
	ns := small(t, false, "")
	apply(t, ns, topicManifest("orders", ""))
	orders := topicNamed(ns, "orders")
	waitReady(t, time.Minute, orders)
	id := orders.Status.TopicID
	producer := loginOf(t, ns, adminUser).client(t)
	defer producer.Close()
	record := &kgo.Record{Topic: "orders", Key: []byte("kept"), Value: []byte("kept")}
	if err := producer.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, "annotate", "namespace", ns, v1alpha1.AnnotationDeletionPolicy+"=Retain")
	mustKubectl(t, "-n", ns, "delete", "kafkatopics.kafka.castellan.dev/orders", "--timeout=1m")
	apply(t, ns, topicManifest("orders", ", adoption: Always"))
	mustKeepRecord(t, ns, id, "its KafkaTopic was pruned")

	pod := getPod(t, ns, "events-main-0").UID
	mustKubectl(t, "-n", ns, "delete", "kafkaclusters.kafka.castellan.dev/events", "--cascade=orphan", "--timeout=1m")
	apply(t, ns, smallManifest(false, ""))
	mustKeepRecord(t, ns, id, "the KafkaCluster was orphaned")
	if now := getPod(t, ns, "events-main-0").UID; now != pod {
		t.Errorf("the broker was restarted: pod %s was %s", now, pod)
	}

	mustKubectl(t, "-n", ns, "delete", "kafkaclusters.kafka.castellan.dev/events", "--cascade=foreground", "--timeout=3m")
	broker := &corev1.Pod{}
	broker.Namespace, broker.Name = ns, "events-main-0"
	if err := waitGone(t.Context(), broker); err != nil {
		t.Fatal(err)
	}
	var claims corev1.PersistentVolumeClaimList
	if err := kube.List(t.Context(), &claims, client.InNamespace(ns)); err != nil || len(claims.Items) != 1 {
		t.Fatalf("%d claims are left (error %v), expected 1", len(claims.Items), err)
	}
	apply(t, ns, smallManifest(false, ""))
	mustKeepRecord(t, ns, id, "the KafkaCluster was deleted in the foreground")
}

func mustKubectl(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := kubectl(ctx, args...); err != nil {
		t.Fatalf("kubectl %v: %v %s", args, err, out)
	}
}

// mustKeepRecord fails unless cluster, topic and user are Ready, and the topic is the one with the record.
func mustKeepRecord(t *testing.T, ns, id, after string) {
	t.Helper()
	waitReady(t, 3*time.Minute, clusterNamed(ns, sharedName))
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	orders := topicNamed(ns, "orders")
	waitReady(t, time.Minute, orders)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if found := readAll(ctx, t, loginOf(t, ns, adminUser), "orders"); orders.Status.TopicID != id || len(found) != 1 {
		t.Errorf("after %s: topic %s with %v, expected %s with one record", after, orders.Status.TopicID, found, id)
	}
}
