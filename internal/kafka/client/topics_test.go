package client_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/castellan-dev/castellan/internal/kafka"
)

func TestTopicsCostOneRequestPerKindOfChange(t *testing.T) {
	c, counter := connect(t)
	ctx := t.Context()
	names := make([]string, 0, 20)
	asked := make([]kafka.NewTopic, 0, 20)
	for i := range 20 {
		name := fmt.Sprintf("life-%02d", i)
		names = append(names, name)
		asked = append(asked, kafka.NewTopic{
			Name: name, Partitions: 2, ReplicationFactor: 1, Config: map[string]string{"retention.ms": "60000"},
		})
	}

	created, err := c.CreateTopics(ctx, asked)
	if err != nil {
		t.Fatal(err)
	}
	cost(t, counter, "CreateTopics", 1)
	for _, name := range names {
		r := created[name]
		if r.Err != nil || len(r.Topic.ID) != 22 || r.Topic.Partitions != 2 || r.Topic.ReplicationFactor != 1 {
			t.Fatalf("created %+v", r)
		}
	}

	eventually(t, "describe", func() error {
		counter.take()
		live, err := c.DescribeTopics(ctx, append(names, "life-none", ".."))
		if err != nil || len(live) != len(names) {
			return fmt.Errorf("%d topics (%v)", len(live), err)
		}
		for name, topic := range live {
			if topic.ID != created[name].Topic.ID || topic.Partitions != 2 || topic.ReplicationFactor != 1 ||
				!maps.Equal(topic.Config, map[string]string{"retention.ms": "60000"}) {
				return fmt.Errorf("described %+v", topic)
			}
		}
		return nil
	})
	cost(t, counter, "Metadata+DescribeConfigs", 2)

	totals, changes := map[string]int32{}, map[string][]kafka.ConfigChange{}
	for _, name := range names {
		totals[name] = 3
		changes[name] = []kafka.ConfigChange{{Key: "retention.ms"}, {Key: "segment.bytes", Value: ptr("2000000")}}
	}
	noErrors(t)(c.CreatePartitions(ctx, totals))
	cost(t, counter, "CreatePartitions", 1)
	noErrors(t)(c.AlterTopicConfigs(ctx, changes))
	cost(t, counter, "IncrementalAlterConfigs", 1)
	eventually(t, "describe the changed", func() error {
		live, err := c.DescribeTopics(ctx, names)
		for _, name := range names {
			if topic := live[name]; err != nil || topic.Partitions != 3 ||
				!maps.Equal(topic.Config, map[string]string{"segment.bytes": "2000000"}) {
				return fmt.Errorf("described %+v (%v)", topic, err)
			}
		}
		return nil
	})
	counter.take()

	var ids []kafka.TopicID
	for _, name := range names {
		ids = append(ids, created[name].Topic.ID)
	}
	deleted, err := c.DeleteTopics(ctx, ids)
	cost(t, counter, "DeleteTopics", 1)
	for _, id := range ids {
		if err != nil || deleted[id] != nil {
			t.Fatalf("delete: %v, %v", err, deleted[id])
		}
	}
}

func TestDefaultsOfTheBrokerFillWhatIsNotSaid(t *testing.T) {
	c, _ := connect(t)
	created, err := c.CreateTopics(t.Context(), []kafka.NewTopic{{Name: "defaults"}})
	if err != nil || created["defaults"].Err != nil {
		t.Fatal(err, created)
	}
	if topic := created["defaults"].Topic; topic.Partitions != 1 || topic.ReplicationFactor != 3 {
		t.Fatalf("created %+v", topic)
	}
}

func TestRefusalsAreTypedAndStandBesideSuccesses(t *testing.T) {
	c, counter := connect(t)
	first, err := c.CreateTopics(t.Context(), []kafka.NewTopic{{Name: "a.b", ReplicationFactor: 1}})
	if err != nil || first["a.b"].Err != nil {
		t.Fatal(err, first)
	}
	counter.take()
	results, err := c.CreateTopics(t.Context(), []kafka.NewTopic{
		{Name: "fine", Partitions: 1, ReplicationFactor: 1},
		{Name: "badkey", Config: map[string]string{"no.such.key": "1"}},
		{Name: "badvalue", Config: map[string]string{"retention.ms": "soon"}},
		{Name: "toomany", ReplicationFactor: 4},
		{Name: "nopartitions", Partitions: -7},
		{Name: ".."},
		{Name: "a_b"},
		{Name: strings.Repeat("x", 250)},
		{Name: "a.b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	cost(t, counter, "CreateTopics", 1)
	if results["fine"].Err != nil {
		t.Errorf("the good one: %v", results["fine"].Err)
	}
	if !errors.Is(results["a.b"].Err, kafka.ErrTopicExists) {
		t.Errorf("a.b again: %v", results["a.b"].Err)
	}
	for name, code := range map[string]string{
		"badkey": "INVALID_CONFIG", "badvalue": "INVALID_CONFIG", "toomany": "INVALID_REPLICATION_FACTOR",
		"nopartitions": "INVALID_PARTITIONS", "..": "INVALID_TOPIC_EXCEPTION", "a_b": "INVALID_TOPIC_EXCEPTION",
		strings.Repeat("x", 250): "INVALID_TOPIC_EXCEPTION",
	} {
		refused(t, results[name].Err, code)
	}

	altered, err := c.AlterTopicConfigs(t.Context(), map[string][]kafka.ConfigChange{
		"fine": {{Key: "retention.ms", Value: ptr("soon")}},
		"a.b":  {{Key: "retention.ms", Value: ptr("1000")}},
	})
	if err != nil || altered["a.b"] != nil {
		t.Fatal(err, altered)
	}
	refused(t, altered["fine"], "INVALID_CONFIG")
	grown, err := c.CreatePartitions(t.Context(), map[string]int32{"fine": 1})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, grown["fine"], "INVALID_PARTITIONS")
	huge, err := c.CreateTopics(t.Context(), []kafka.NewTopic{
		{Name: "huge", Partitions: 100_000, ReplicationFactor: 1},
		{Name: "beside", Partitions: 1, ReplicationFactor: 1},
	})
	if err != nil || huge["beside"].Err != nil {
		t.Fatal(err, huge)
	}
	refused(t, huge["huge"].Err, "POLICY_VIOLATION")
	// internal/topics tells it from a policy by these words.
	if !strings.Contains(huge["huge"].Err.Error(), "Excessively large number of partitions") {
		t.Error(huge["huge"].Err)
	}
}

func TestAStaleIDDeletesNothing(t *testing.T) {
	c, _ := connect(t)
	ctx := t.Context()
	var ids []kafka.TopicID
	for range 2 { // the same name twice, hence two topics
		r, err := c.CreateTopics(ctx, []kafka.NewTopic{{Name: "reborn", Partitions: 1, ReplicationFactor: 1}})
		if err != nil || r["reborn"].Err != nil {
			t.Fatal(err, r)
		}
		ids = append(ids, r["reborn"].Topic.ID)
		if len(ids) == 1 {
			if d, err := c.DeleteTopics(ctx, ids); err != nil || d[ids[0]] != nil {
				t.Fatal(err, d)
			}
		}
	}
	deleted, err := c.DeleteTopics(ctx, []kafka.TopicID{ids[0], "nonsense"})
	if err != nil || !errors.Is(deleted[ids[0]], kafka.ErrUnknownTopicID) {
		t.Fatal(err, deleted)
	}
	refused(t, deleted["nonsense"], "INVALID_REQUEST")
	eventually(t, "the second life is alive", func() error {
		live, err := c.DescribeTopics(ctx, []string{"reborn"})
		if err != nil || live["reborn"].ID != ids[1] {
			return fmt.Errorf("%+v (%v), want id %s", live, err, ids[1])
		}
		return nil
	})
}

func cost(t *testing.T, counter *requests, what string, want int) {
	t.Helper()
	got := counter.take()
	opened := got["ApiVersions"] // once per connection, not per operation
	if total(got)-opened != want {
		t.Errorf("%s cost %v, want %d", what, got, want)
	}
}

func noErrors(t *testing.T) func(map[string]error, error) {
	return func(results map[string]error, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for item, err := range results {
			if err != nil {
				t.Fatalf("%s: %v", item, err)
			}
		}
	}
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	refusal, ok := errors.AsType[*kafka.Refusal](err)
	if !ok || refusal.Code != code || refusal.Message == "" {
		t.Errorf("got %v, want a refusal with %s and a sentence", err, code)
	}
}

func TestReplicasAreMovedListedAndCancelledUnderAThrottle(t *testing.T) {
	c, counter := connect(t)
	ctx := t.Context()
	brokers, err := c.Brokers(ctx)
	cost(t, counter, "DescribeCluster", 1)
	if err != nil || len(brokers) != 3 || brokers[0].ID != 1 || brokers[0].Fenced {
		t.Fatal(err, brokers)
	}
	retention := map[string]string{"retention.ms": "60000"}
	created, err := c.CreateTopics(ctx, []kafka.NewTopic{
		{Name: "moving", Assignment: [][]int32{{1}, {2}}, Config: retention},
	})
	if r := created["moving"]; err != nil || r.Err != nil || r.Topic.Partitions != 2 ||
		r.Topic.ReplicationFactor != 1 || !maps.Equal(r.Topic.Config, retention) {
		t.Fatalf("%v %+v", err, created)
	}
	fill(t, "moving", 20<<20)

	// At one byte a second the copying is still in progress when it is listed.
	rates := []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate"}
	var on, off []kafka.ConfigChange
	for _, key := range rates {
		on, off = append(on, set(key, "1")), append(off, kafka.ConfigChange{Key: key})
	}
	if err := c.AlterBrokerConfig(ctx, kafka.AllBrokers, on); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.AlterBrokerConfig(context.Background(), kafka.AllBrokers, off) })
	noErrors(t)(c.AlterTopicConfigs(ctx, map[string][]kafka.ConfigChange{"moving": {
		set("leader.replication.throttled.replicas", "0:1"), set("follower.replication.throttled.replicas", "0:2"),
	}}))
	eventually(t, "every broker keeps to the rate", func() error {
		live, err := c.DescribeTopics(ctx, []string{"moving"})
		if err != nil || live["moving"].Config["follower.replication.throttled.replicas"] != "0:2" {
			return fmt.Errorf("%v %+v", err, live)
		}
		return nil
	})
	counter.take()
	noErrors(t)(c.Reassign(ctx, map[string][]kafka.Move{"moving": {{Partition: 0, Replicas: []int32{1, 2}}}}))
	cost(t, counter, "AlterPartitionReassignments", 1)
	eventually(t, "it is under way", func() error {
		counter.take()
		all, err := c.Reassignments(ctx)
		cost(t, counter, "ListPartitionReassignments", 1)
		if r := all["moving"][0]; err != nil || len(all["moving"]) != 1 ||
			!slices.Equal(r.Adding, []int32{2}) || len(r.Replicas) != 2 {
			return fmt.Errorf("%v %+v", err, all)
		}
		return nil
	})
	eventually(t, "the broker that is asked tells of the replica that copies", func() error {
		live, err := c.DescribeTopics(ctx, []string{"moving"})
		if topic := live["moving"]; err != nil || len(topic.Replicas) != 2 ||
			len(topic.Replicas[0]) != 2 || !slices.Equal(topic.Replicas[1], []int32{2}) ||
			topic.UnderReplicated != 1 || topic.Offline != 0 {
			return fmt.Errorf("%v %+v", err, live)
		}
		return nil
	})
	// Only partition 0 is being reassigned.
	noErrors(t)(c.Reassign(ctx, map[string][]kafka.Move{"moving": {{Partition: 0}, {Partition: 1}}}))
	eventually(t, "it is cancelled", func() error {
		all, err := c.Reassignments(ctx)
		if err != nil || len(all["moving"]) != 0 {
			return fmt.Errorf("%v %+v", err, all)
		}
		return nil
	})
	if err := c.AlterBrokerConfig(ctx, kafka.AllBrokers, off); err != nil {
		t.Fatal(err)
	}
	noErrors(t)(c.Reassign(ctx, map[string][]kafka.Move{"moving": {{Partition: 0, Replicas: []int32{2, 3}}}}))
	eventually(t, "without a rate it arrives", func() error {
		live, err := c.DescribeTopics(ctx, []string{"moving"})
		if err != nil || !slices.Equal(live["moving"].Replicas[0], []int32{2, 3}) {
			return fmt.Errorf("%v %+v", err, live)
		}
		return nil
	})
	bad, err := c.Reassign(ctx, map[string][]kafka.Move{"moving": {{Partition: 1, Replicas: []int32{77}}}})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, bad["moving"], "INVALID_REPLICA_ASSIGNMENT")
}

// fill writes so many bytes to partition 0 of a topic.
func fill(t *testing.T, topic string, bytes int) {
	t.Helper()
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.Admins()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	value := make([]byte, 100<<10)
	for range bytes / len(value) {
		producer.Produce(t.Context(), &kgo.Record{Topic: topic, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := producer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}
