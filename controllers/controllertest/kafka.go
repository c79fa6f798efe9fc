package controllertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// FakeKafka is a cluster's topics and users in memory. It counts requests by kind and can lose answers, be down, and
// refuse items.
type FakeKafka struct {
	kafka.ClusterAdmin

	mu          sync.Mutex
	Requests    map[string]int
	Down        error
	Lose        string           // the answer of the next request of this kind is lost after it took effect
	Refuse      map[string]error // by topic or user
	RefuseACL   map[kafka.ACL]error
	Stale       map[string]bool // topics that the broker that is asked does not show yet
	Hidden      map[string]bool // topics that the operator may not see
	BrokerCount int32
	Racks       map[int32]string
	fenced      map[int32]bool
	// Within has what was asked to move between the disks of a broker, and RefuseWithin what comes of it; nil = it begins.
	Within       map[int32]map[kafka.PartitionID]string
	RefuseWithin error
	Slow         bool           // reassignments go on until they are told to arrive
	RefuseACLs   *kafka.Refusal // of whoever asks for ACLs; nil = none
	NoAuthorizer bool           // ACLs are neither told nor changed, and stay
	// Forbidden are kinds of requests that the operator may not make; before is called ahead of a kind.
	Forbidden map[string]bool
	Before    map[string]func()

	nextID int
	Moving map[string]map[int32]kafka.Reassignment
	Config map[string]string // of all brokers
	Topics map[string]kafka.Topic
	Scram  map[string]map[string]ScramCredential
	// lost are the credentials that one broker has lost, Stubborn are brokers that do not get them back, and Silent those
	// that do not answer a login.
	lost     map[lostCredential]bool
	Stubborn map[int32]bool
	Silent   map[int32]bool
	// Behind are brokers that load nothing more of the metadata log, and shown is the last offset that a broker has told.
	Behind   map[int32]bool
	shown    int64
	Answers  int32          // the broker that tells which credentials there are
	Upserts  map[string]int // credentials that were set, by user and mechanism
	ACLSet   map[kafka.ACL]bool
	QuotasOf map[string]map[string]float64
}

// ScramCredential is what the fake keeps of one; a real Kafka keeps no password.
type ScramCredential struct {
	Iterations int32
	Password   string
}

// lostCredential is one that the other brokers have.
type lostCredential struct {
	broker          int32
	user, mechanism string
}

// LoseUsers lets a broker lose the credentials of a mechanism that there are, until they are set again.
func (k *FakeKafka) LoseUsers(broker int32, mechanism string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for user, credentials := range k.Scram {
		if _, has := credentials[mechanism]; has {
			k.lost[lostCredential{broker, user, mechanism}] = true
		}
	}
}

// Regain lets a broker have everything again.
func (k *FakeKafka) Regain(broker int32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.lost, func(c lostCredential, _ bool) bool { return c.broker == broker })
}

func newFakeKafka() *FakeKafka {
	return &FakeKafka{
		Forbidden: map[string]bool{}, Before: map[string]func(){},
		Moving: map[string]map[int32]kafka.Reassignment{}, Config: map[string]string{},
		Requests: map[string]int{}, Refuse: map[string]error{}, Stale: map[string]bool{}, Hidden: map[string]bool{},
		BrokerCount: 3, RefuseACL: map[kafka.ACL]error{},
		Topics: map[string]kafka.Topic{}, Scram: map[string]map[string]ScramCredential{},
		ACLSet: map[kafka.ACL]bool{}, QuotasOf: map[string]map[string]float64{},
		Upserts: map[string]int{}, lost: map[lostCredential]bool{}, Stubborn: map[int32]bool{}, Silent: map[int32]bool{},
		Behind: map[int32]bool{},
	}
}

// begin counts a request; the returned function gives the error of its end.
func (k *FakeKafka) begin(kind string) (end func() error, err error) {
	k.mu.Lock()
	k.Requests[kind]++
	if before := k.Before[kind]; before != nil {
		before()
	}
	if k.Forbidden[kind] {
		k.mu.Unlock()
		return nil, &kafka.Denied{Code: "CLUSTER_AUTHORIZATION_FAILED"}
	}
	if k.Down != nil {
		k.mu.Unlock()
		return nil, k.Down
	}
	return func() error {
		defer k.mu.Unlock()
		if k.Lose == kind {
			k.Lose = ""
			return fmt.Errorf("%w: connection reset", kafka.ErrUnreachable)
		}
		return nil
	}, nil
}

func (k *FakeKafka) Count(kinds ...string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for kind, count := range k.Requests {
		if len(kinds) == 0 || slices.Contains(kinds, kind) {
			n += count
		}
	}
	return n
}

func (k *FakeKafka) Writes() int {
	return k.Count(
		"create",
		"grow",
		"alter",
		"delete",
		"reassign",
		"alter-brokers",
		"scram-alter",
		"acl-create",
		"acl-delete",
		"quota-alter",
	)
}

func (k *FakeKafka) Add(name string, partitions, replicas int32, config map[string]string) kafka.Topic {
	k.nextID++
	t := kafka.Topic{
		Name:              name,
		ID:                kafka.TopicID(fmt.Sprintf("uuid-%d", k.nextID)),
		Partitions:        partitions,
		ReplicationFactor: replicas,
		Config:            maps.Clone(config),
	}
	if t.Config == nil {
		t.Config = map[string]string{}
	}
	for range partitions {
		k.place(&t, replicas)
	}
	k.Topics[name] = t
	return t
}

// place gives a topic one more partition, on as many brokers.
func (k *FakeKafka) place(t *kafka.Topic, replicas int32) {
	var ids []int32
	for i := range replicas {
		ids = append(ids, (int32(len(t.Replicas))+i)%k.BrokerCount)
	}
	t.Replicas = append(t.Replicas, ids)
}

func (k *FakeKafka) Brokers(context.Context) ([]kafka.Broker, error) {
	end, err := k.begin("brokers")
	if err != nil {
		return nil, err
	}
	var all []kafka.Broker
	for id := range k.BrokerCount {
		all = append(all, kafka.Broker{ID: id, Rack: k.Racks[id], Fenced: k.fenced[id]})
	}
	return all, end()
}

func (k *FakeKafka) Reassignments(context.Context) (map[string]map[int32]kafka.Reassignment, error) {
	end, err := k.begin("reassignments")
	if err != nil {
		return nil, err
	}
	all := map[string]map[int32]kafka.Reassignment{}
	for name, partitions := range k.Moving {
		all[name] = maps.Clone(partitions)
	}
	return all, end()
}

func (k *FakeKafka) Reassign(_ context.Context, moves map[string][]kafka.Move) (map[string]error, error) {
	end, err := k.begin("reassign")
	if err != nil {
		return nil, err
	}
	results := map[string]error{}
	for name, list := range moves {
		if results[name] = k.Refuse[name]; results[name] != nil {
			continue
		}
		for _, m := range list {
			k.Begins(name, m)
		}
	}
	return results, end()
}

// Begins is what Kafka makes of one move: what copies goes on beside what is there.
func (k *FakeKafka) Begins(name string, m kafka.Move) {
	t := k.Topics[name]
	t.Replicas = slices.Clone(t.Replicas)
	now := t.Replicas[m.Partition]
	if r, under := k.Moving[name][m.Partition]; under {
		now = slices.DeleteFunc(slices.Clone(r.Replicas), func(id int32) bool { return slices.Contains(r.Adding, id) })
		delete(k.Moving[name], m.Partition)
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
	if !k.Slow || len(r.Adding) == 0 {
		t.Replicas[m.Partition] = slices.Clone(m.Replicas)
		k.put(t)
		return
	}
	if k.Moving[name] == nil {
		k.Moving[name] = map[int32]kafka.Reassignment{}
	}
	k.Moving[name][m.Partition] = r
	k.put(t)
}

// Arrive ends reassignments of a topic.
func (k *FakeKafka) Arrive(name string, partitions ...int32) {
	t := k.Topics[name]
	t.Replicas = slices.Clone(t.Replicas)
	for _, p := range partitions {
		r := k.Moving[name][p]
		t.Replicas[p] = slices.DeleteFunc(
			slices.Clone(r.Replicas),
			func(id int32) bool { return slices.Contains(r.Removing, id) },
		)
		delete(k.Moving[name], p)
	}
	k.put(t)
}

func (k *FakeKafka) put(t kafka.Topic) {
	for i, r := range t.Replicas {
		if i == 0 || int32(len(r)) < t.ReplicationFactor {
			t.ReplicationFactor = int32(len(r))
		}
	}
	k.Topics[t.Name] = t
}

func (k *FakeKafka) BrokerConfig(context.Context, int32) (map[string]string, error) {
	end, err := k.begin("describe-brokers")
	if err != nil {
		return nil, err
	}
	return maps.Clone(k.Config), end()
}

func (k *FakeKafka) AlterBrokerConfig(_ context.Context, _ int32, changes []kafka.ConfigChange) error {
	end, err := k.begin("alter-brokers")
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(k.Config, c.Key)
		} else {
			k.Config[c.Key] = *c.Value
		}
	}
	return end()
}

func (k *FakeKafka) DescribeTopics(_ context.Context, names []string) (map[string]kafka.Topic, error) {
	end, err := k.begin("describe")
	if err != nil {
		return nil, err
	}
	found := map[string]kafka.Topic{}
	for _, name := range names {
		if k.Hidden[name] {
			found[name] = kafka.Topic{Name: name, Denied: &kafka.Denied{Code: "TOPIC_AUTHORIZATION_FAILED"}}
		} else if t, ok := k.Topics[name]; ok && !k.Stale[name] {
			t.Config = maps.Clone(t.Config)
			found[name] = t
		}
	}
	return found, end()
}

// validate is what Kafka has against a new topic.
func (k *FakeKafka) validate(t kafka.NewTopic) error {
	_, exists := k.Topics[t.Name]
	switch {
	case k.Refuse[t.Name] != nil:
		return k.Refuse[t.Name]
	case exists:
		return fmt.Errorf("create: %w", kafka.ErrTopicExists)
	case t.ReplicationFactor > k.BrokerCount:
		return &kafka.Refusal{
			Code:    "INVALID_REPLICATION_FACTOR",
			Message: fmt.Sprintf("only %d broker(s) are registered", k.BrokerCount),
		}
	}
	return nil
}

func (k *FakeKafka) ValidateTopics(_ context.Context, topics []kafka.NewTopic) (map[string]error, error) {
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

func (k *FakeKafka) CreateTopics(_ context.Context, topics []kafka.NewTopic) (map[string]kafka.TopicResult, error) {
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
			created := k.Add(t.Name, max(t.Partitions, 1), max(t.ReplicationFactor, 1), t.Config)
			if t.Assignment != nil {
				created.Replicas = t.Assignment
				k.Topics[t.Name] = created
			}
			results[t.Name] = kafka.TopicResult{Topic: created}
		}
	}
	return results, end()
}

func (k *FakeKafka) CreatePartitions(_ context.Context, totals map[string]int32) (map[string]error, error) {
	end, err := k.begin("grow")
	if err != nil {
		return nil, err
	}
	results := map[string]error{}
	for name, total := range totals {
		if results[name] = k.Refuse[name]; results[name] == nil {
			t := k.Topics[name]
			for t.Partitions = total; int32(len(t.Replicas)) < total; {
				k.place(&t, t.ReplicationFactor)
			}
			k.Topics[name] = t
		}
	}
	return results, end()
}

func (k *FakeKafka) AlterTopicConfigs(
	_ context.Context,
	changes map[string][]kafka.ConfigChange,
) (map[string]error, error) {
	end, err := k.begin("alter")
	if err != nil {
		return nil, err
	}
	results := map[string]error{}
	for name, alter := range changes {
		if results[name] = k.Refuse[name]; results[name] != nil {
			continue
		}
		for _, c := range alter {
			if c.Value == nil {
				delete(k.Topics[name].Config, c.Key)
			} else {
				k.Topics[name].Config[c.Key] = *c.Value
			}
		}
	}
	return results, end()
}

func (k *FakeKafka) DeleteTopics(_ context.Context, ids []kafka.TopicID) (map[kafka.TopicID]error, error) {
	end, err := k.begin("delete")
	if err != nil {
		return nil, err
	}
	results := map[kafka.TopicID]error{}
	for _, id := range ids {
		results[id] = kafka.ErrUnknownTopicID
		for name, t := range k.Topics {
			if t.ID == id {
				if results[id] = k.Refuse[name]; results[id] == nil {
					delete(k.Topics, name)
					delete(k.Moving, name)
				}
			}
		}
	}
	return results, end()
}

// MoveWithin implements kafka.ClusterAdmin.
func (k *FakeKafka) MoveWithin(
	_ context.Context, id int32, to map[kafka.PartitionID]string,
) (map[kafka.PartitionID]error, error) {
	end, err := k.begin("move-within")
	if err != nil {
		return nil, err
	}
	results := map[kafka.PartitionID]error{}
	for partition := range to {
		results[partition] = k.RefuseWithin
	}
	if k.RefuseWithin == nil {
		if k.Within == nil {
			k.Within = map[int32]map[kafka.PartitionID]string{}
		}
		k.Within[id] = to
	}
	return results, end()
}
