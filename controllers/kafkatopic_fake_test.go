package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// fakeKafka is a cluster's topics and users in memory. It counts requests by kind and can lose answers, be down, and
// refuse items.
type fakeKafka struct {
	kafka.ClusterAdmin

	mu       sync.Mutex
	requests map[string]int
	down     error
	lose     string           // the answer of the next request of this kind is lost after it took effect
	refuse   map[string]error // by topic or user
	stale    map[string]bool  // topics that the broker that is asked does not show yet
	brokers  int32

	nextID int
	topics map[string]kafka.Topic
	scram  map[string]map[string]scramCredential
	acls   map[kafka.ACL]bool
	quotas map[string]map[string]float64
}

type scramCredential struct {
	iterations int32
	password   string
}

func newFakeKafka() *fakeKafka {
	return &fakeKafka{
		requests: map[string]int{}, refuse: map[string]error{}, stale: map[string]bool{}, brokers: 3,
		topics: map[string]kafka.Topic{}, scram: map[string]map[string]scramCredential{},
		acls: map[kafka.ACL]bool{}, quotas: map[string]map[string]float64{},
	}
}

// begin counts a request; the returned function gives the error of its end.
func (k *fakeKafka) begin(kind string) (end func() error, err error) {
	k.mu.Lock()
	k.requests[kind]++
	if k.down != nil {
		k.mu.Unlock()
		return nil, k.down
	}
	return func() error {
		defer k.mu.Unlock()
		if k.lose == kind {
			k.lose = ""
			return fmt.Errorf("%w: connection reset", kafka.ErrUnreachable)
		}
		return nil
	}, nil
}

func (k *fakeKafka) count(kinds ...string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for kind, count := range k.requests {
		if len(kinds) == 0 || slices.Contains(kinds, kind) {
			n += count
		}
	}
	return n
}

func (k *fakeKafka) writes() int {
	return k.count("create", "grow", "alter", "delete", "scram-alter", "acl-create", "acl-delete", "quota-alter")
}

func (k *fakeKafka) add(name string, partitions, replicas int32, config map[string]string) kafka.Topic {
	k.nextID++
	t := kafka.Topic{Name: name, ID: kafka.TopicID(fmt.Sprintf("uuid-%d", k.nextID)), Partitions: partitions, ReplicationFactor: replicas, Config: maps.Clone(config)}
	if t.Config == nil {
		t.Config = map[string]string{}
	}
	k.topics[name] = t
	return t
}

func (k *fakeKafka) DescribeTopics(_ context.Context, names []string) (map[string]kafka.Topic, error) {
	end, err := k.begin("describe")
	if err != nil {
		return nil, err
	}
	found := map[string]kafka.Topic{}
	for _, name := range names {
		if t, ok := k.topics[name]; ok && !k.stale[name] {
			t.Config = maps.Clone(t.Config)
			found[name] = t
		}
	}
	return found, end()
}

func (k *fakeKafka) CreateTopics(_ context.Context, topics []kafka.NewTopic) (map[string]kafka.TopicResult, error) {
	end, err := k.begin("create")
	if err != nil {
		return nil, err
	}
	results := map[string]kafka.TopicResult{}
	for _, t := range topics {
		replicas, partitions := max(t.ReplicationFactor, 1), max(t.Partitions, 1)
		_, exists := k.topics[t.Name]
		switch {
		case k.refuse[t.Name] != nil:
			results[t.Name] = kafka.TopicResult{Err: k.refuse[t.Name]}
		case exists:
			results[t.Name] = kafka.TopicResult{Err: fmt.Errorf("create: %w", kafka.ErrTopicExists)}
		case replicas > k.brokers:
			results[t.Name] = kafka.TopicResult{Err: &kafka.Refusal{Code: "INVALID_REPLICATION_FACTOR", Message: fmt.Sprintf("only %d broker(s) are registered", k.brokers)}}
		default:
			results[t.Name] = kafka.TopicResult{Topic: k.add(t.Name, partitions, replicas, t.Config)}
		}
	}
	return results, end()
}

func (k *fakeKafka) CreatePartitions(_ context.Context, totals map[string]int32) (map[string]error, error) {
	end, err := k.begin("grow")
	if err != nil {
		return nil, err
	}
	results := map[string]error{}
	for name, total := range totals {
		if results[name] = k.refuse[name]; results[name] == nil {
			t := k.topics[name]
			t.Partitions = total
			k.topics[name] = t
		}
	}
	return results, end()
}

func (k *fakeKafka) AlterTopicConfigs(_ context.Context, changes map[string][]kafka.ConfigChange) (map[string]error, error) {
	end, err := k.begin("alter")
	if err != nil {
		return nil, err
	}
	results := map[string]error{}
	for name, alter := range changes {
		if results[name] = k.refuse[name]; results[name] != nil {
			continue
		}
		for _, c := range alter {
			if c.Value == nil {
				delete(k.topics[name].Config, c.Key)
			} else {
				k.topics[name].Config[c.Key] = *c.Value
			}
		}
	}
	return results, end()
}

func (k *fakeKafka) DeleteTopics(_ context.Context, ids []kafka.TopicID) (map[kafka.TopicID]error, error) {
	end, err := k.begin("delete")
	if err != nil {
		return nil, err
	}
	results := map[kafka.TopicID]error{}
	for _, id := range ids {
		results[id] = kafka.ErrUnknownTopicID
		for name, t := range k.topics {
			if t.ID == id {
				if results[id] = k.refuse[name]; results[id] == nil {
					delete(k.topics, name)
				}
			}
		}
	}
	return results, end()
}

func (k *fakeKafka) ScramCredentials(_ context.Context, names []string) (map[string][]kafka.ScramCredential, error) {
	end, err := k.begin("scram")
	if err != nil {
		return nil, err
	}
	found := map[string][]kafka.ScramCredential{}
	for _, name := range names {
		for mechanism, c := range k.scram[name] {
			found[name] = append(found[name], kafka.ScramCredential{Mechanism: mechanism, Iterations: c.iterations})
		}
	}
	return found, end()
}

func (k *fakeKafka) AlterScramCredentials(_ context.Context, upserts []kafka.ScramUpsert, deletions []kafka.ScramDeletion) (map[string]error, error) {
	end, err := k.begin("scram-alter")
	if err != nil {
		return nil, err
	}
	results := map[string]error{}
	for _, u := range upserts {
		if results[u.User] = k.refuse[u.User]; results[u.User] != nil {
			continue
		}
		if k.scram[u.User] == nil {
			k.scram[u.User] = map[string]scramCredential{}
		}
		k.scram[u.User][u.Mechanism] = scramCredential{u.Iterations, u.Password}
	}
	for _, d := range deletions {
		results[d.User] = nil
		delete(k.scram[d.User], d.Mechanism)
	}
	return results, end()
}

func (k *fakeKafka) ACLs(context.Context) ([]kafka.ACL, error) {
	end, err := k.begin("acls")
	if err != nil {
		return nil, err
	}
	return slices.Collect(maps.Keys(k.acls)), end()
}

func (k *fakeKafka) CreateACLs(_ context.Context, acls []kafka.ACL) ([]error, error) {
	end, err := k.begin("acl-create")
	if err != nil {
		return nil, err
	}
	results := make([]error, len(acls))
	for i, a := range acls {
		if results[i] = k.refuse[strings.TrimPrefix(a.Principal, "User:")]; results[i] == nil {
			k.acls[a] = true
		}
	}
	return results, end()
}

func (k *fakeKafka) DeleteACLs(_ context.Context, acls []kafka.ACL) ([]error, error) {
	end, err := k.begin("acl-delete")
	if err != nil {
		return nil, err
	}
	for _, a := range acls {
		delete(k.acls, a)
	}
	return make([]error, len(acls)), end()
}

func (k *fakeKafka) Quotas(context.Context) (map[string]map[string]float64, error) {
	end, err := k.begin("quotas")
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]float64{}
	for user, quotas := range k.quotas {
		found[user] = maps.Clone(quotas)
	}
	return found, end()
}

func (k *fakeKafka) AlterQuotas(_ context.Context, changes map[string]map[string]*float64) (map[string]error, error) {
	end, err := k.begin("quota-alter")
	if err != nil {
		return nil, err
	}
	for user, alter := range changes {
		if k.quotas[user] == nil {
			k.quotas[user] = map[string]float64{}
		}
		for key, value := range alter {
			if value == nil {
				delete(k.quotas[user], key)
			} else {
				k.quotas[user][key] = *value
			}
		}
	}
	return map[string]error{}, end()
}
