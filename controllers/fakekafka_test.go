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
	hidden   map[string]bool  // topics that the operator may not see
	brokers  int32
	racks    map[int32]string
	fenced   map[int32]bool
	slow     bool // reassignments go on until they are told to arrive
	// forbidden are kinds of requests that the operator may not make; before is called ahead of a kind.
	forbidden map[string]bool
	before    map[string]func()

	nextID int
	moving map[string]map[int32]kafka.Reassignment
	config map[string]string // of all brokers
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
		forbidden: map[string]bool{}, before: map[string]func(){},
		moving: map[string]map[int32]kafka.Reassignment{}, config: map[string]string{},
		requests: map[string]int{}, refuse: map[string]error{}, stale: map[string]bool{}, hidden: map[string]bool{}, brokers: 3,
		topics: map[string]kafka.Topic{}, scram: map[string]map[string]scramCredential{},
		acls: map[kafka.ACL]bool{}, quotas: map[string]map[string]float64{},
	}
}

// begin counts a request; the returned function gives the error of its end.
func (k *fakeKafka) begin(kind string) (end func() error, err error) {
	k.mu.Lock()
	k.requests[kind]++
	if before := k.before[kind]; before != nil {
		before()
	}
	if k.forbidden[kind] {
		k.mu.Unlock()
		return nil, &kafka.Denied{Code: "CLUSTER_AUTHORIZATION_FAILED"}
	}
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
	return k.count("create", "grow", "alter", "delete", "reassign", "alter-brokers", "scram-alter", "acl-create", "acl-delete", "quota-alter")
}

func (k *fakeKafka) add(name string, partitions, replicas int32, config map[string]string) kafka.Topic {
	k.nextID++
	t := kafka.Topic{Name: name, ID: kafka.TopicID(fmt.Sprintf("uuid-%d", k.nextID)), Partitions: partitions, ReplicationFactor: replicas, Config: maps.Clone(config)}
	if t.Config == nil {
		t.Config = map[string]string{}
	}
	for range partitions {
		k.place(&t, replicas)
	}
	k.topics[name] = t
	return t
}

// place gives a topic one more partition, on as many brokers.
func (k *fakeKafka) place(t *kafka.Topic, replicas int32) {
	var ids []int32
	for i := range replicas {
		ids = append(ids, (int32(len(t.Replicas))+i)%k.brokers)
	}
	t.Replicas = append(t.Replicas, ids)
}

func (k *fakeKafka) Brokers(context.Context) ([]kafka.Broker, error) {
	end, err := k.begin("brokers")
	if err != nil {
		return nil, err
	}
	var all []kafka.Broker
	for id := range k.brokers {
		all = append(all, kafka.Broker{ID: id, Rack: k.racks[id], Fenced: k.fenced[id]})
	}
	return all, end()
}

func (k *fakeKafka) Reassignments(context.Context) (map[string]map[int32]kafka.Reassignment, error) {
	end, err := k.begin("reassignments")
	if err != nil {
		return nil, err
	}
	all := map[string]map[int32]kafka.Reassignment{}
	for name, partitions := range k.moving {
		all[name] = maps.Clone(partitions)
	}
	return all, end()
}

func (k *fakeKafka) Reassign(_ context.Context, moves map[string][]kafka.Move) (map[string]error, error) {
	end, err := k.begin("reassign")
	if err != nil {
		return nil, err
	}
	results := map[string]error{}
	for name, list := range moves {
		if results[name] = k.refuse[name]; results[name] != nil {
			continue
		}
		for _, m := range list {
			k.begins(name, m)
		}
	}
	return results, end()
}

// begins is what Kafka makes of one move: what copies goes on beside what is there.
func (k *fakeKafka) begins(name string, m kafka.Move) {
	t := k.topics[name]
	t.Replicas = slices.Clone(t.Replicas)
	now := t.Replicas[m.Partition]
	if r, under := k.moving[name][m.Partition]; under {
		now = slices.DeleteFunc(slices.Clone(r.Replicas), func(id int32) bool { return slices.Contains(r.Adding, id) })
		delete(k.moving[name], m.Partition)
	}
	if m.Replicas == nil {
		t.Replicas[m.Partition] = now
		k.put(t)
		return
	}
	r := kafka.Reassignment{Replicas: slices.Clone(m.Replicas)}
	for _, id := range now {
		if !slices.Contains(m.Replicas, id) {
			r.Removing, r.Replicas = append(r.Removing, id), append(r.Replicas, id)
		}
	}
	for _, id := range m.Replicas {
		if !slices.Contains(now, id) {
			r.Adding = append(r.Adding, id)
		}
	}
	t.Replicas[m.Partition] = r.Replicas
	if !k.slow || len(r.Adding) == 0 {
		t.Replicas[m.Partition] = slices.Clone(m.Replicas)
		k.put(t)
		return
	}
	if k.moving[name] == nil {
		k.moving[name] = map[int32]kafka.Reassignment{}
	}
	k.moving[name][m.Partition] = r
	k.put(t)
}

// arrive ends reassignments of a topic.
func (k *fakeKafka) arrive(name string, partitions ...int32) {
	t := k.topics[name]
	t.Replicas = slices.Clone(t.Replicas)
	for _, p := range partitions {
		r := k.moving[name][p]
		t.Replicas[p] = slices.DeleteFunc(slices.Clone(r.Replicas), func(id int32) bool { return slices.Contains(r.Removing, id) })
		delete(k.moving[name], p)
	}
	k.put(t)
}

func (k *fakeKafka) put(t kafka.Topic) {
	for i, r := range t.Replicas {
		if i == 0 || int32(len(r)) < t.ReplicationFactor {
			t.ReplicationFactor = int32(len(r))
		}
	}
	k.topics[t.Name] = t
}

func (k *fakeKafka) BrokerConfig(context.Context, int32) (map[string]string, error) {
	end, err := k.begin("describe-brokers")
	if err != nil {
		return nil, err
	}
	return maps.Clone(k.config), end()
}

func (k *fakeKafka) AlterBrokerConfig(_ context.Context, _ int32, changes []kafka.ConfigChange) error {
	end, err := k.begin("alter-brokers")
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(k.config, c.Key)
		} else {
			k.config[c.Key] = *c.Value
		}
	}
	return end()
}

func (k *fakeKafka) DescribeTopics(_ context.Context, names []string) (map[string]kafka.Topic, error) {
	end, err := k.begin("describe")
	if err != nil {
		return nil, err
	}
	found := map[string]kafka.Topic{}
	for _, name := range names {
		if k.hidden[name] {
			found[name] = kafka.Topic{Name: name, Denied: &kafka.Denied{Code: "TOPIC_AUTHORIZATION_FAILED"}}
		} else if t, ok := k.topics[name]; ok && !k.stale[name] {
			t.Config = maps.Clone(t.Config)
			found[name] = t
		}
	}
	return found, end()
}

// validate is what Kafka has against a new topic.
func (k *fakeKafka) validate(t kafka.NewTopic) error {
	_, exists := k.topics[t.Name]
	switch {
	case k.refuse[t.Name] != nil:
		return k.refuse[t.Name]
	case exists:
		return fmt.Errorf("create: %w", kafka.ErrTopicExists)
	case t.ReplicationFactor > k.brokers:
		return &kafka.Refusal{Code: "INVALID_REPLICATION_FACTOR", Message: fmt.Sprintf("only %d broker(s) are registered", k.brokers)}
	}
	return nil
}

func (k *fakeKafka) ValidateTopics(_ context.Context, topics []kafka.NewTopic) (map[string]error, error) {
	end, err := k.begin("validate")
	if err != nil {
		return nil, err
	}
	results := map[string]error{}
	for _, t := range topics {
		results[t.Name] = k.validate(t)
	}
	return results, end()
}

func (k *fakeKafka) CreateTopics(_ context.Context, topics []kafka.NewTopic) (map[string]kafka.TopicResult, error) {
	end, err := k.begin("create")
	if err != nil {
		return nil, err
	}
	results := map[string]kafka.TopicResult{}
	for _, t := range topics {
		switch err := k.validate(t); {
		case err != nil:
			results[t.Name] = kafka.TopicResult{Err: err}
		default:
			created := k.add(t.Name, max(t.Partitions, 1), max(t.ReplicationFactor, 1), t.Config)
			if t.Assignment != nil {
				created.Replicas = t.Assignment
				k.topics[t.Name] = created
			}
			results[t.Name] = kafka.TopicResult{Topic: created}
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
			for t.Partitions = total; int32(len(t.Replicas)) < total; {
				k.place(&t, t.ReplicationFactor)
			}
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
					delete(k.moving, name)
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
