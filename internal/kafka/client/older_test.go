package client_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
)

// TestOlderKafka lives a topic's and a user's life on real brokers of versions that the operator does not run itself.
func TestOlderKafka(t *testing.T) {
	needKafka(t)
	for _, v := range []struct {
		version string
		brokers int
		lacking []kafka.Feature
	}{
		{"2.8.2", 2, []kafka.Feature{kafka.FeatureFenced}}, // with ZooKeeper: one of the two is not the controller
		{"3.3.2", 1, []kafka.Feature{kafka.FeatureScram, kafka.FeatureFenced}},
		{"3.9.1", 1, []kafka.Feature{kafka.FeatureFenced}},
	} {
		t.Run(v.version, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), pace.Of(5*time.Minute))
			defer cancel()
			k, err := kafkatest.Start(ctx, kafkatest.Options{
				Version: v.version, Nodes: v.brokers, Users: map[string]string{"bob": plainPassword},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			defer func() {
				if t.Failed() {
					t.Log(k.Log(1))
				}
			}()
			c := connectOlder(t, k)
			o, err := c.Overview(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(o.Lacking, v.lacking) || o.ClusterID == "" || len(o.Brokers) != v.brokers ||
				fmt.Sprintf("%s:%d", o.Brokers[0].Host, o.Brokers[0].Port) != k.Nodes[0].Admin {
				t.Errorf("it says of itself %+v", o)
			}
			for _, first := range k.Nodes { // whichever of them is asked first
				client.Prefer(c, first.NodeID)
				topicOnOlder(ctx, t, c, fmt.Sprintf("old-%d", first.NodeID), v.brokers)
				client.Prefer(c, first.NodeID)
				if _, err := c.Reassignments(ctx); err != nil {
					t.Error(err)
				}
				client.Prefer(c, first.NodeID)
				if !slices.Contains(v.lacking, kafka.FeatureScram) {
					scramOnOlder(ctx, t, c, k, fmt.Sprintf("carol-%d", first.NodeID))
				}
			}
			aclOnOlder(ctx, t, c)
			plain(ctx, t, k)
		})
	}
}

// connectOlder waits: a broker of an older Kafka opens its listeners before it serves.
func connectOlder(t *testing.T, k *kafkatest.Cluster) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Seeds: k.Admins()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	eventually(t, "the brokers serve", func() error {
		brokers, err := c.Brokers(t.Context())
		if err == nil && len(brokers) < len(k.Nodes) {
			err = fmt.Errorf("of %d brokers it knows %d", len(k.Nodes), len(brokers))
		}
		return err
	})
	return c
}

func topicOnOlder(ctx context.Context, t *testing.T, c *client.Client, name string, brokers int) {
	t.Helper()
	asked := []kafka.NewTopic{{Name: name, Partitions: 2, Config: map[string]string{"retention.ms": "60000"}}}
	noErrors(t)(c.ValidateTopics(ctx, asked))
	created, err := c.CreateTopics(ctx, asked)
	if r := created[name]; err != nil || r.Err != nil || len(r.Topic.ID) != 22 || r.Topic.Partitions != 2 {
		t.Fatalf("%v %+v", err, created)
	}
	id := created[name].Topic.ID
	eventually(t, "the broker knows its topic", func() error {
		live, err := c.DescribeTopics(ctx, []string{name})
		if err != nil || live[name].Partitions != 2 || live[name].Offline != 0 {
			return fmt.Errorf("%v %+v", err, live)
		}
		return nil
	})
	again, err := c.CreateTopics(ctx, []kafka.NewTopic{{Name: name}})
	if err != nil || !errors.Is(again[name].Err, kafka.ErrTopicExists) {
		t.Errorf("again: %v %v", err, again[name].Err)
	}
	bad, err := c.AlterTopicConfigs(ctx, map[string][]kafka.ConfigChange{name: {set("retention.ms", "soon")}})
	refusal, ok := errors.AsType[*kafka.Refusal](bad[name])
	// internal/topics knows a bad value by this code or these words.
	if err != nil || !ok ||
		refusal.Code != "INVALID_CONFIG" && !strings.HasPrefix(refusal.Message, "Invalid config value") {
		t.Errorf("a bad value: %v %v", err, bad)
	}
	noErrors(t)(c.CreatePartitions(ctx, map[string]int32{name: 3}))
	noErrors(t)(c.AlterTopicConfigs(ctx, map[string][]kafka.ConfigChange{
		name: {{Key: "retention.ms"}, set("segment.bytes", "2000000")},
	}))
	eventually(t, "the topic is as changed", func() error {
		live, err := c.DescribeTopics(ctx, []string{name, "none"})
		if topic := live[name]; err != nil || len(live) != 1 ||
			topic.ID != id || topic.Partitions != 3 || topic.ReplicationFactor != int32(brokers) ||
			!maps.Equal(topic.Config, map[string]string{"segment.bytes": "2000000"}) {
			return fmt.Errorf("%v %+v", err, live)
		}
		return nil
	})
	if seen, err := c.Brokers(ctx); err != nil || len(seen) != brokers {
		t.Errorf("%v %v", err, seen)
	}
	if moving, err := c.Reassignments(ctx); err != nil || len(moving) != 0 {
		t.Errorf("%v %v", err, moving)
	}
	noErrors(t)(c.Reassign(ctx, map[string][]kafka.Move{name: {{Partition: 0}}})) // cancels nothing
	change := []kafka.ConfigChange{{Key: "leader.replication.throttled.rate", Value: ptr("1000")}}
	if err := c.AlterBrokerConfig(ctx, kafka.AllBrokers, change); err != nil {
		t.Error(err)
	}
	deleted, err := c.DeleteTopics(ctx, []kafka.TopicID{"AAAAAAAAAAAAAAAAAAAAAQ", id})
	if err != nil || deleted[id] != nil || !errors.Is(deleted["AAAAAAAAAAAAAAAAAAAAAQ"], kafka.ErrUnknownTopicID) {
		t.Errorf("%v %v", err, deleted)
	}
	eventually(t, "the topic is gone", func() error {
		live, err := c.DescribeTopics(ctx, []string{name})
		if err != nil || len(live) != 0 {
			return fmt.Errorf("%v %+v", err, live)
		}
		return nil
	})
}

func aclOnOlder(ctx context.Context, t *testing.T, c *client.Client) {
	t.Helper()
	acl := allow("User:bob", "Describe", "Topic", "old", "Prefixed")
	created, err := c.CreateACLs(ctx, []kafka.ACL{acl})
	if err != nil || created[0] != nil {
		t.Fatal(err, created)
	}
	eventually(t, "the ACL is there", func() error {
		acls, err := c.ACLs(ctx, nil)
		if err != nil || !slices.Contains(acls, acl) {
			return fmt.Errorf("%v %v", err, acls)
		}
		return nil
	})
	if deleted, err := c.DeleteACLs(ctx, []kafka.ACL{acl}); err != nil || deleted[0] != nil {
		t.Error(err, deleted)
	}
	rate := 1000.0
	noErrors(t)(c.AlterQuotas(ctx, map[string]map[string]*float64{"bob": {"producer_byte_rate": &rate}}))
	eventually(t, "the quota is there", func() error {
		quotas, err := c.Quotas(ctx, nil)
		if err != nil || quotas["bob"]["producer_byte_rate"] != rate {
			return fmt.Errorf("%v %v", err, quotas)
		}
		return nil
	})
}

// plain logs the operator in to a listener with SASL.
func plain(ctx context.Context, t *testing.T, k *kafkatest.Cluster) {
	t.Helper()
	c, err := client.New(client.Options{
		Seeds: []string{k.Nodes[0].Clients},
		Login: &client.Login{Mechanism: "PLAIN", Username: "bob", Password: plainPassword},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if o, err := c.Overview(ctx); err != nil || len(o.Brokers) != len(k.Nodes) {
		t.Error(err, o)
	}
}

func scramOnOlder(ctx context.Context, t *testing.T, c *client.Client, k *kafkatest.Cluster, name string) {
	t.Helper()
	const mechanism, password = "SCRAM-SHA-512", "carols-own-password"
	upsert := kafka.ScramUpsert{User: name, Mechanism: mechanism, Iterations: 4096, Password: password}
	noErrors(t)(c.AlterScramCredentials(ctx, []kafka.ScramUpsert{upsert}, nil))
	eventually(t, "carol logs in", func() error {
		all, err := c.ScramCredentials(ctx, []string{name})
		if err != nil || len(all[name]) != 1 {
			return fmt.Errorf("%v %v", err, all)
		}
		return client.Prober{}.TryLogin(ctx, kafka.Login{
			Address: k.Nodes[0].Clients, Mechanism: mechanism, Username: name, Password: password,
		})
	})
}
