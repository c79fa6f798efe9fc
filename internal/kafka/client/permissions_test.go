package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
)

// A principal with the permissions that docs/external.md asks for can do everything that the operator does to topics
// and users. Without any one of them Kafka refuses something.
func TestThePermissionsOfTheOperatorSufficeAndEachIsNeeded(t *testing.T) {
	admin, _ := connect(t)
	var granted []kafka.ACL
	for resource, operations := range map[[3]string][]string{
		{"Cluster", "kafka-cluster", "Literal"}: {"Alter", "AlterConfigs"},
		{"Topic", "least-", "Prefixed"}:         {"Create", "Delete", "Alter", "AlterConfigs"},
	} {
		for _, operation := range operations {
			granted = append(granted, allow("User:CN=least", operation, resource[0], resource[1], resource[2]))
		}
	}
	grant(t, admin, granted...)
	t.Cleanup(func() { revoke(context.WithoutCancel(t.Context()), t, admin, granted...) })
	least := &operatorsWork{admin: login(t, "least")}
	eventually(t, "all permissions are granted", func() error { return least.all(t.Context()) })
	for _, acl := range granted {
		what := acl.Operation + " on " + acl.ResourceType
		revoke(t.Context(), t, admin, acl)
		eventually(t, "something is refused without "+what, func() error {
			err := least.all(t.Context())
			if err == nil {
				return errors.New("nothing was refused")
			}
			t.Logf("without %s: %v", what, err)
			return nil
		})
		grant(t, admin, acl)
		eventually(t, what+" is granted again", func() error { return least.all(t.Context()) })
	}
}

func grant(t *testing.T, admin *client.Client, acls ...kafka.ACL) {
	t.Helper()
	if results, err := admin.CreateACLs(t.Context(), acls); err != nil || errors.Join(results...) != nil {
		t.Fatal(err, results)
	}
}

func revoke(ctx context.Context, t *testing.T, admin *client.Client, acls ...kafka.ACL) {
	t.Helper()
	if results, err := admin.DeleteACLs(ctx, acls); err != nil || errors.Join(results...) != nil {
		t.Error(err, results)
	}
}

// login connects by a certificate of the given common name.
func login(t *testing.T, name string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Seeds: []string{cluster.Nodes[0].Mutual}, TLS: identity(t, name)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// identity is a certificate of the given common name, and trust in the brokers' authority.
func identity(t *testing.T, name string) *tls.Config {
	t.Helper()
	certificate, key, err := cluster.CA.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	config, err := client.TLSConfig(cluster.CA.PEM, certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// operatorsWork is everything that the operator does in an external cluster. Each time it uses another topic.
type operatorsWork struct {
	admin *client.Client
	times int
}

func (w *operatorsWork) all(ctx context.Context) error {
	w.times++
	topic := fmt.Sprintf("least-%d", w.times)
	_, err := w.admin.Overview(ctx)
	if err == nil {
		err = w.topic(ctx, topic)
	}
	for _, step := range []func(context.Context) error{w.moves, w.scram, w.acls, w.quotas} {
		if err == nil {
			err = step(ctx)
		}
	}
	return err
}

func (w *operatorsWork) topic(ctx context.Context, name string) error {
	created, err := w.admin.CreateTopics(ctx, []kafka.NewTopic{{Name: name, Partitions: 1, ReplicationFactor: 1}})
	if err = errors.Join(err, created[name].Err); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	id := created[name].Topic.ID
	live, err := w.admin.DescribeTopics(ctx, []string{name})
	if t := live[name]; err == nil && t.Denied != nil {
		err = t.Denied
	}
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	changes := map[string][]kafka.ConfigChange{name: {set("retention.ms", "1000")}}
	altered, err := w.admin.AlterTopicConfigs(ctx, changes)
	if err = errors.Join(err, altered[name]); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	grown, err := w.admin.CreatePartitions(ctx, map[string]int32{name: 2})
	if err = errors.Join(err, grown[name]); err != nil {
		return fmt.Errorf("grow: %w", err)
	}
	moved, err := w.admin.Reassign(ctx, map[string][]kafka.Move{name: {{Partition: 0}}}) // there is nothing to cancel
	if err = errors.Join(err, moved[name]); err != nil {
		return fmt.Errorf("reassign: %w", err)
	}
	deleted, err := w.admin.DeleteTopics(ctx, []kafka.TopicID{id})
	if err = errors.Join(err, deleted[id]); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}

// moves is what surrounds the movement of replicas.
func (w *operatorsWork) moves(ctx context.Context) error {
	_, err1 := w.admin.Brokers(ctx)
	_, err2 := w.admin.Reassignments(ctx)
	_, err3 := w.admin.BrokerConfig(ctx, kafka.AllBrokers)
	change := []kafka.ConfigChange{{Key: "leader.replication.throttled.rate"}}
	err4 := w.admin.AlterBrokerConfig(ctx, kafka.AllBrokers, change)
	return errors.Join(err1, err2, err3, err4)
}

func (w *operatorsWork) scram(ctx context.Context) error {
	const user, mechanism, password = "least-user", "SCRAM-SHA-512", "0123456789abcdef"
	_, err := w.admin.ScramCredentials(ctx, []string{user})
	for _, change := range []struct {
		upserts   []kafka.ScramUpsert
		deletions []kafka.ScramDeletion
	}{
		{upserts: []kafka.ScramUpsert{{User: user, Mechanism: mechanism, Iterations: 4096, Password: password}}},
		{deletions: []kafka.ScramDeletion{{User: user, Mechanism: mechanism}}},
	} {
		if err == nil {
			var results map[string]error
			results, err = w.admin.AlterScramCredentials(ctx, change.upserts, change.deletions)
			err = errors.Join(append(slices.Collect(maps.Values(results)), err)...)
		}
	}
	return err
}

func (w *operatorsWork) acls(ctx context.Context) error {
	acl := []kafka.ACL{allow("User:least-user", "Read", "Topic", "least-read", "Literal")}
	_, err := w.admin.ACLs(ctx, nil)
	for _, change := range []func(context.Context, []kafka.ACL) ([]error, error){
		w.admin.CreateACLs, w.admin.DeleteACLs,
	} {
		if err == nil {
			var results []error
			results, err = change(ctx, acl)
			err = errors.Join(append(results, err)...)
		}
	}
	return err
}

func (w *operatorsWork) quotas(ctx context.Context) error {
	_, err := w.admin.Quotas(ctx, nil)
	for _, value := range []*float64{ptr(1e6), nil} {
		if err == nil {
			var results map[string]error
			results, err = w.admin.AlterQuotas(ctx, map[string]map[string]*float64{
				"least-user": {"producer_byte_rate": value},
			})
			err = errors.Join(append(slices.Collect(maps.Values(results)), err)...)
		}
	}
	return err
}
