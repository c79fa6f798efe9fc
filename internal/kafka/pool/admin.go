package pool

import (
	"context"
	"fmt"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// admin is the Admin that callers keep. Each call uses the connection that is current when the call begins.
type admin struct{ e *entry }

var _ kafka.Admin = admin{}

// call makes one call on the cluster, unless enter refuses it. oneBroker says that the silence of the broker asked does
// not mean that the cluster is unreachable.
func call[T any](a admin, oneBroker bool, do func(kafka.Admin) (T, error)) (T, error) {
	v, err := a.e.enter()
	if err != nil {
		var none T
		return none, fmt.Errorf("ask %s: %w", a.e.key, err)
	}
	// After a panic the deferred leave still runs, and learns nothing about the cluster.
	err = context.Canceled
	defer func() { a.e.leave(v, err, oneBroker) }()
	var result T
	result, err = do(v.conn.Conn)
	return result, err
}

// just is call for a method that returns only an error.
func just(a admin, oneBroker bool, do func(kafka.Admin) error) error {
	_, err := call(a, oneBroker, func(k kafka.Admin) (struct{}, error) { return struct{}{}, do(k) })
	return err
}

func (a admin) AlterBrokerConfig(ctx context.Context, id int32, changes []kafka.ConfigChange) error {
	return just(a, id != kafka.AllBrokers, func(k kafka.Admin) error { return k.AlterBrokerConfig(ctx, id, changes) })
}

func (a admin) BrokerConfig(ctx context.Context, id int32) (map[string]string, error) {
	return call(a, id != kafka.AllBrokers, func(k kafka.Admin) (map[string]string, error) {
		return k.BrokerConfig(ctx, id)
	})
}

func (a admin) ReloadCertificates(ctx context.Context, id int32) error {
	return just(a, true, func(k kafka.Admin) error { return k.ReloadCertificates(ctx, id) })
}

func (a admin) Overview(ctx context.Context) (*kafka.Overview, error) {
	return call(a, false, func(k kafka.Admin) (*kafka.Overview, error) { return k.Overview(ctx) })
}

func (a admin) Snapshot(ctx context.Context, inDoubt ...int32) (*kafka.Snapshot, error) {
	return call(a, false, func(k kafka.Admin) (*kafka.Snapshot, error) { return k.Snapshot(ctx, inDoubt...) })
}

func (a admin) Loads(ctx context.Context) (map[int32][]kafka.LoadDir, error) {
	return call(a, true, func(k kafka.Admin) (map[int32][]kafka.LoadDir, error) { return k.Loads(ctx) })
}

func (a admin) MoveWithin(
	ctx context.Context, id int32, to map[kafka.PartitionID]string,
) (map[kafka.PartitionID]error, error) {
	return call(a, true, func(k kafka.Admin) (map[kafka.PartitionID]error, error) { return k.MoveWithin(ctx, id, to) })
}

func (a admin) AddVoter(ctx context.Context, replica kafka.QuorumMember, endpoint string) error {
	return just(a, false, func(k kafka.Admin) error { return k.AddVoter(ctx, replica, endpoint) })
}

func (a admin) RemoveVoter(ctx context.Context, replica kafka.QuorumMember) error {
	return just(a, false, func(k kafka.Admin) error { return k.RemoveVoter(ctx, replica) })
}

func (a admin) UnregisterBroker(ctx context.Context, id int32) error {
	return just(a, false, func(k kafka.Admin) error { return k.UnregisterBroker(ctx, id) })
}

func (a admin) SetMetadataVersion(ctx context.Context, level int16) error {
	return just(a, false, func(k kafka.Admin) error { return k.SetMetadataVersion(ctx, level) })
}

func (a admin) ElectPreferredLeaders(ctx context.Context, some ...kafka.PartitionID) error {
	return just(a, false, func(k kafka.Admin) error { return k.ElectPreferredLeaders(ctx, some...) })
}

func (a admin) DescribeTopics(ctx context.Context, names []string) (map[string]kafka.Topic, error) {
	return call(a, false, func(k kafka.Admin) (map[string]kafka.Topic, error) {
		return k.DescribeTopics(ctx, names)
	})
}

func (a admin) CreateTopics(ctx context.Context, topics []kafka.NewTopic) (map[string]kafka.TopicResult, error) {
	return call(a, false, func(k kafka.Admin) (map[string]kafka.TopicResult, error) {
		return k.CreateTopics(ctx, topics)
	})
}

func (a admin) ValidateTopics(ctx context.Context, topics []kafka.NewTopic) (map[string]error, error) {
	return call(a, false, func(k kafka.Admin) (map[string]error, error) { return k.ValidateTopics(ctx, topics) })
}

func (a admin) CreatePartitions(ctx context.Context, totals map[string]int32) (map[string]error, error) {
	return call(a, false, func(k kafka.Admin) (map[string]error, error) { return k.CreatePartitions(ctx, totals) })
}

func (a admin) AlterTopicConfigs(
	ctx context.Context, changes map[string][]kafka.ConfigChange,
) (map[string]error, error) {
	return call(a, false, func(k kafka.Admin) (map[string]error, error) {
		return k.AlterTopicConfigs(ctx, changes)
	})
}

func (a admin) DeleteTopics(ctx context.Context, ids []kafka.TopicID) (map[kafka.TopicID]error, error) {
	return call(a, false, func(k kafka.Admin) (map[kafka.TopicID]error, error) { return k.DeleteTopics(ctx, ids) })
}

func (a admin) Brokers(ctx context.Context) ([]kafka.Broker, error) {
	return call(a, false, func(k kafka.Admin) ([]kafka.Broker, error) { return k.Brokers(ctx) })
}

func (a admin) Reassignments(ctx context.Context) (map[string]map[int32]kafka.Reassignment, error) {
	return call(a, false, func(k kafka.Admin) (map[string]map[int32]kafka.Reassignment, error) {
		return k.Reassignments(ctx)
	})
}

func (a admin) Reassign(ctx context.Context, moves map[string][]kafka.Move) (map[string]error, error) {
	return call(a, false, func(k kafka.Admin) (map[string]error, error) { return k.Reassign(ctx, moves) })
}

func (a admin) ScramCredentials(ctx context.Context, users []string) (map[string][]kafka.ScramCredential, error) {
	return call(a, false, func(k kafka.Admin) (map[string][]kafka.ScramCredential, error) {
		return k.ScramCredentials(ctx, users)
	})
}

func (a admin) AlterScramCredentials(
	ctx context.Context, upserts []kafka.ScramUpsert, deletions []kafka.ScramDeletion,
) (map[string]error, error) {
	return call(a, false, func(k kafka.Admin) (map[string]error, error) {
		return k.AlterScramCredentials(ctx, upserts, deletions)
	})
}

func (a admin) ACLs(ctx context.Context, principals []string) ([]kafka.ACL, error) {
	return call(a, false, func(k kafka.Admin) ([]kafka.ACL, error) { return k.ACLs(ctx, principals) })
}

func (a admin) CreateACLs(ctx context.Context, acls []kafka.ACL) ([]error, error) {
	return call(a, false, func(k kafka.Admin) ([]error, error) { return k.CreateACLs(ctx, acls) })
}

func (a admin) DeleteACLs(ctx context.Context, acls []kafka.ACL) ([]error, error) {
	return call(a, false, func(k kafka.Admin) ([]error, error) { return k.DeleteACLs(ctx, acls) })
}

func (a admin) DeleteACLsOf(ctx context.Context, of []kafka.ACLsOf) ([]error, error) {
	return call(a, false, func(k kafka.Admin) ([]error, error) { return k.DeleteACLsOf(ctx, of) })
}

func (a admin) Quotas(ctx context.Context, users []string) (map[string]map[string]float64, error) {
	return call(a, false, func(k kafka.Admin) (map[string]map[string]float64, error) { return k.Quotas(ctx, users) })
}

func (a admin) AlterQuotas(ctx context.Context, changes map[string]map[string]*float64) (map[string]error, error) {
	return call(a, false, func(k kafka.Admin) (map[string]error, error) { return k.AlterQuotas(ctx, changes) })
}

func (a admin) MetadataEnd(ctx context.Context) (int64, error) {
	return call(a, false, func(k kafka.Admin) (int64, error) { return k.MetadataEnd(ctx) })
}

func (a admin) Loaded(ctx context.Context, broker int32) (int64, error) {
	return call(a, true, func(k kafka.Admin) (int64, error) { return k.Loaded(ctx, broker) })
}
