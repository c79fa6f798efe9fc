package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const (
	movingTopic      = "moving"
	movingPartitions = 12
	movingBytes      = 48 << 20
	// slowly is the limit of somebody else, under which copying takes long enough to be looked at.
	slowly = 1 << 20
)

var (
	throttleRates     = []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate"}
	throttledReplicas = []string{"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"}
)

// Replicas are added, taken away and moved to other racks while records flow, under a limit that somebody else has set;
// a change of mind in the middle is followed.
func TestCase23_ReplicasAreAddedAndMovedUnderLoadAndAChangeOfMindIsFollowed(t *testing.T) {
	long(t)
	v := fleet.sail(t)
	admin := v.login.admin(t)
	apply(t, v.ns, topicManifest(movingTopic, fmt.Sprintf(", partitions: %d, replicationFactor: 2", movingPartitions)))
	topic := topicNamed(v.ns, movingTopic)
	waitReady(t, time.Minute, topic)
	fill(t, v.login, movingTopic, movingBytes)
	records := startFlow(t, v.login, movingTopic, "moved")
	limitReplication(t, admin, slowly)

	v.rec.mark(t, "a third replica is asked for")
	change(t, topic, func(o kafkaTopic) { three := int32(3); o.Spec.ReplicationFactor = &three })
	waitMoving(t, topic)
	v.rec.mark(t, "the operator is killed")
	if err := killOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitOperator(t)
	figureSeconds(t, "replicas-2-to-3", waitReady(t, 5*time.Minute, topic))
	mustBeSpread(t, admin, 3, "a", "b", "c")
	mustNotThrottle(t, admin)

	v.rec.mark(t, "two replicas are asked for, in racks a and b")
	change(t, topic, func(o kafkaTopic) {
		two := int32(2)
		o.Spec.ReplicationFactor, o.Spec.Placement = &two, &v1alpha1.TopicPlacement{Racks: []string{"a", "b"}}
	})
	waitReady(t, 5*time.Minute, topic)
	mustBeSpread(t, admin, 2, "a", "b")

	v.rec.mark(t, "racks b and c are asked for, and while replicas copy a and b again")
	before := assignment(t, admin)
	change(t, topic, func(o kafkaTopic) { o.Spec.Placement.Racks = []string{"b", "c"} })
	waitMoving(t, topic)
	change(t, topic, func(o kafkaTopic) { o.Spec.Placement.Racks = []string{"a", "b"} })
	figureSeconds(t, "reassignment-cancelled", waitReady(t, 5*time.Minute, topic))
	if after := assignment(t, admin); after != before {
		// What had arrived by then is moved back, perhaps to another broker of its rack.
		say(t, "before the change of mind: %s\nafter it: %s", before, after)
	}
	mustBeSpread(t, admin, 2, "a", "b")
	mustNotThrottle(t, admin)

	copyTheOnlyReplica(t, v)

	// The limit is not the operator's to remove.
	for id := range int32(6) {
		for _, key := range throttleRates {
			if value, err := brokerValue(t.Context(), admin, id, key); value != fmt.Sprint(slowly) {
				t.Errorf("broker %d has %s=%s (error %v), expected the limit that somebody else has set", id, key, value, err)
			}
		}
	}
	limitReplication(t, admin, 0)
	v.rec.mark(t, "racks b and c are asked for, and nobody else sets a limit")
	change(t, topic, func(o kafkaTopic) { o.Spec.Placement.Racks = []string{"b", "c"} })
	waitReady(t, 5*time.Minute, topic)
	mustBeSpread(t, admin, 2, "b", "c")
	mustNotThrottle(t, admin)
	eventually(t, throttleGone, "the operator's own limit is gone", func(ctx context.Context) error {
		for _, key := range throttleRates {
			// A broker does not list the key when nobody has set it.
			if value, _ := brokerValue(ctx, admin, 0, key); value == fmt.Sprint(50<<20) {
				return fmt.Errorf("%s=%s", key, value)
			}
		}
		return nil
	})
	records.stopServed(t)
	v.arrive(t, time.Minute, "Replicas are added, and moved to other racks")
}

// copyTheOnlyReplica gives a topic of one replica another one: until that has caught up Kafka takes no writes with
// acks=all, and the cluster is not Available. That holds up neither other topics nor a change of mind.
func copyTheOnlyReplica(t *testing.T, v *voyage) {
	t.Helper()
	apply(t, v.ns, topicManifest("lonely", ", partitions: 1, replicationFactor: 1"))
	lonely := topicNamed(v.ns, "lonely")
	waitReady(t, time.Minute, lonely)
	fill(t, v.login, "lonely", 64*slowly) // a minute's copying
	v.rec.mark(t, "a topic of one replica is to have two")
	change(t, lonely, func(o kafkaTopic) { two := int32(2); o.Spec.ReplicationFactor = &two })
	waitMoving(t, lonely)
	eventually(
		t,
		45*time.Second,
		"the cluster tells of the partition that lacks a replica",
		func(ctx context.Context) error {
			return hasReason(ctx, v.cluster, v1alpha1.ConditionAvailable, "BelowMinISR")
		},
	)
	apply(t, v.ns, topicManifest("beside", ", partitions: 1, replicationFactor: 2"))
	waitReady(t, 30*time.Second, topicNamed(v.ns, "beside"))
	change(t, lonely, func(o kafkaTopic) { one := int32(1); o.Spec.ReplicationFactor = &one })
	waitReady(t, time.Minute, lonely)
	waitReady(t, time.Minute, v.cluster)
	leaveToOthers(t, v, lonely)
}

// leaveToOthers has somebody else move a topic's replica, which the operator neither cancels nor adds to.
func leaveToOthers(t *testing.T, v *voyage, topic kafkaTopic) {
	t.Helper()
	admin := v.login.admin(t)
	for _, key := range throttledReplicas {
		setTopicConfig(t, admin, topic.Name, key, "*")
	}
	v.rec.mark(t, "somebody else moves the replica")
	assigned, err := admin.ListTopics(t.Context(), topic.Name)
	if err != nil {
		t.Fatal(err)
	}
	here := assigned[topic.Name].Partitions[0].Replicas[0]
	elsewhere := (here + 1) % 6
	var move, cancel kadm.AlterPartitionAssignmentsReq
	move.Assign(topic.Name, 0, []int32{elsewhere})
	cancel.CancelAssign(topic.Name, 0)
	alterAssignments(t, admin, move)
	change(t, topic, func(o kafkaTopic) { two := int32(2); o.Spec.ReplicationFactor = &two })
	eventually(t, 30*time.Second, "it waits for somebody else's reassignment", func(ctx context.Context) error {
		return hasReason(ctx, topic, v1alpha1.ConditionReady, "ForeignReassignment")
	})
	always(t, 5*time.Second, "it goes on", func(ctx context.Context) error {
		under, err := admin.ListPartitionReassignments(ctx, kadm.TopicsSet{topic.Name: {0: {}}})
		if err != nil {
			return err
		}
		if adding := under[topic.Name][0].AddingReplicas; !slices.Equal(adding, []int32{elsewhere}) {
			return fmt.Errorf("replicas are added on %v, expected %d", adding, elsewhere)
		}
		return nil
	})
	alterAssignments(t, admin, cancel)
	change(t, topic, func(o kafkaTopic) { one := int32(1); o.Spec.ReplicationFactor = &one })
	waitReady(t, time.Minute, topic)
}

func alterAssignments(t *testing.T, admin *kadm.Client, req kadm.AlterPartitionAssignmentsReq) {
	t.Helper()
	answers, err := admin.AlterPartitionAssignments(t.Context(), req)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		t.Fatalf("reassign partitions: %v", err)
	}
}

// fill writes so many bytes to a topic.
func fill(t *testing.T, l login, topic string, size int) {
	t.Helper()
	producer := l.client(t, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	value := []byte(strings.Repeat("0123456789abcdef", 4096))
	records := make([]*kgo.Record, size/len(value))
	for i := range records {
		records[i] = &kgo.Record{Value: value, Key: fmt.Appendf(nil, "fill-%d", i)}
	}
	if err := producer.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatalf("fill topic %s: %v", topic, err)
	}
}

// limitReplication sets the rate of throttled replicas for all brokers; zero removes it.
func limitReplication(t *testing.T, admin *kadm.Client, bytesPerSecond int) {
	t.Helper()
	var changes []kadm.AlterConfig
	for _, key := range throttleRates {
		change := kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key}
		if bytesPerSecond > 0 {
			change = kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: kadm.StringPtr(fmt.Sprint(bytesPerSecond))}
		}
		changes = append(changes, change)
	}
	answers, err := admin.AlterBrokerConfigs(t.Context(), changes)
	for _, a := range answers {
		if err == nil {
			err = a.Err
		}
	}
	if err != nil {
		t.Fatalf("limit replication to %d bytes a second: %v", bytesPerSecond, err)
	}
}

// waitMoving waits until replicas are under way, and status says how far they are.
func waitMoving(t *testing.T, topic kafkaTopic) {
	t.Helper()
	eventually(t, time.Minute, "status tells how far the replicas are", func(ctx context.Context) error {
		ready := isReady(ctx, topic)
		r := topic.Status.Reassignment
		if r == nil || r.Left == 0 || ready == nil ||
			missingIn(ready.Error(), []string{"Reassigning", "have arrived"}) != "" {
			return fmt.Errorf("reassignment %+v: %w", r, ready)
		}
		return nil
	})
}

func movingReplicas(t *testing.T, admin *kadm.Client) kadm.PartitionDetails {
	t.Helper()
	all, err := admin.ListTopics(t.Context(), movingTopic)
	if err == nil {
		err = all.Error()
	}
	if err != nil {
		t.Fatalf("list topic %s: %v", movingTopic, err)
	}
	return all[movingTopic].Partitions
}

func assignment(t *testing.T, admin *kadm.Client) string {
	t.Helper()
	var all []string
	for _, p := range movingReplicas(t, admin).Sorted() {
		all = append(all, fmt.Sprint(p.Replicas))
	}
	return strings.Join(all, " ")
}

// mustBeSpread fails unless every partition has so many replicas, in these racks and in as many of them as there can
// be.
func mustBeSpread(t *testing.T, admin *kadm.Client, factor int, racks ...string) {
	t.Helper()
	brokers, err := admin.ListBrokers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rackOf := map[int32]string{}
	for _, b := range brokers {
		rackOf[b.NodeID] = *b.Rack
	}
	for _, p := range movingReplicas(t, admin) {
		var in []string
		for _, id := range p.Replicas {
			in = append(in, rackOf[id])
		}
		slices.Sort(in)
		if len(in) != factor || !slices.Equal(slices.Compact(slices.Clone(in)), racks) {
			t.Errorf(
				"partition %d is on %v in racks %v, expected %d replicas spread over %v",
				p.Partition,
				p.Replicas,
				in,
				factor,
				racks,
			)
		}
	}
}

// throttleGone is longer than any broker takes to learn of what the controller has written.
const throttleGone = 10 * time.Second

// mustNotThrottle fails when replicas stay named that nobody moves any more.
func mustNotThrottle(t *testing.T, admin *kadm.Client) {
	t.Helper()
	eventually(t, throttleGone, "no replica is throttled any more", func(ctx context.Context) error {
		for _, key := range throttledReplicas {
			if value, err := topicConfig(ctx, admin, movingTopic, key); value != "" || err != nil {
				return fmt.Errorf("%s=%q (error %w)", key, value, err)
			}
		}
		return nil
	})
}
