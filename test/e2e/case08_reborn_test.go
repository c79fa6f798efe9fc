package e2e

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestCase08_AClusterMadeAgainTakesItsDisksBack(t *testing.T) {
	promise(t)
	ns := small(t, false, "")
	apply(t, ns, topicManifest("kept", ", partitions: 3"))
	topic, cluster := topicNamed(ns, "kept"), clusterNamed(ns, sharedName)
	waitReady(t, time.Minute, topic)
	if err := refresh(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	id, topicID, claims := cluster.Status.ClusterID, topic.Status.TopicID, claimUIDs(t, ns)
	const records = 1000
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	producer := l.client(t, kgo.DefaultProduceTopic("kept"))
	for i := range records {
		producer.Produce(t.Context(), &kgo.Record{Key: fmt.Appendf(nil, "k%d", i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := producer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := readAll(t.Context(), t, l, "kept")

	if err := kube.Delete(t.Context(), cluster.KafkaCluster); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the KafkaCluster and its pods are gone", func(ctx context.Context) error {
		err := refresh(ctx, cluster)
		if client.IgnoreNotFound(err) != nil || err == nil {
			return fmt.Errorf("the KafkaCluster is still there (error %w)", err)
		}
		pods, err := podsOf(ctx, ns, sharedName)
		if err != nil || len(pods) > 0 {
			return fmt.Errorf("%d pods are still there (error %w)", len(pods), err)
		}
		return nil
	})
	if now := claimUIDs(t, ns); !maps.Equal(now, claims) {
		t.Fatalf("the claims were not retained: %v became %v", claims, now)
	}
	apply(t, ns, smallManifest(false, ""))
	again := clusterNamed(ns, sharedName)
	took := waitReady(t, 3*time.Minute, again)
	figureSeconds(t, "cluster-made-again-to-ready", took)
	if again.Status.ClusterID != id {
		t.Errorf("cluster id %s, expected the old one, %s", again.Status.ClusterID, id)
	}
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	waitReady(t, time.Minute, topic)
	if topic.Status.TopicID != topicID {
		t.Errorf("topic id %s, expected the old one, %s", topic.Status.TopicID, topicID)
	}
	after := readAll(t.Context(), t, loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside"), "kept")
	if len(before) != records || !maps.Equal(before, after) {
		t.Errorf("%d records before, %d after", len(before), len(after))
	}
	if now := claimUIDs(t, ns); !maps.Equal(now, claims) {
		t.Errorf("other claims are in use: %v became %v", claims, now)
	}
}
