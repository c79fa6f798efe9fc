package client

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// maxViewAge bounds how far the answering broker's copy of the metadata may be behind the quorum's leader. A broker
// that was frozen believes that it is unfenced and every replica in sync, and must not be believed. A healthy broker is
// at most half a second behind. The controller fences a frozen one after 9 s (broker.session.timeout.ms).
const maxViewAge = 5 * time.Second

// topicsPerMinISRRequest bounds one DescribeConfigs of a snapshot. Up to this many topics a snapshot needs only one.
const topicsPerMinISRRequest = 10_000

// snapshotAttempts bounds the brokers that Snapshot tries.
const snapshotAttempts = 3

const (
	minISRKey = "min.insync.replicas"
	tieredKey = "remote.storage.enable"
)

// Snapshot implements kafka.ClusterAdmin. It reads everything from one broker, whose metadata must be current, except
// for what only each broker knows of itself: its own run-time keys and its log directories. It sends eight requests,
// one per unfenced broker, one for every further 10,000 topics, and one for each broker whose log directories it asks
// for.
func (c *Client) Snapshot(ctx context.Context, inDoubt ...int32) (*kafka.Snapshot, error) {
	taken := time.Now()
	ids, err := c.refresh(ctx)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	for _, id := range ids[:min(len(ids), snapshotAttempts)] {
		var s *kafka.Snapshot
		if s, err = c.snapshotFrom(ctx, id); err == nil {
			s.TakenAt = taken
			c.readLogDirs(ctx, inDoubt, s)
			return s, nil
		}
		c.demote(id)
		if ctx.Err() != nil || !connectionLost(err) && !errors.Is(err, errStaleView) {
			break
		}
	}
	return nil, fmt.Errorf("read snapshot: %w", err)
}

var errStaleView = errors.New("its metadata is not current")

func (c *Client) snapshotFrom(ctx context.Context, id int32) (*kafka.Snapshot, error) {
	s := &kafka.Snapshot{}
	// The proof that the broker's copy is current comes before the reads from that copy. In the other order, a broker
	// that has just woken up could answer from the past and be current a moment later, when it is asked for the proof.
	if err := c.readQuorum(ctx, id, s); err != nil {
		return nil, fmt.Errorf("describe quorum: %w", err)
	}
	if err := checkFresh(id, s.Quorum); err != nil {
		return nil, err
	}
	return s, together(ctx,
		func(ctx context.Context) error { return attempting(c.readPartitions(ctx, id, s), "list partitions") },
		func(ctx context.Context) error { return attempting(c.readBrokers(ctx, id, s), "list brokers") },
		func(ctx context.Context) error {
			return attempting(c.readDefaults(ctx, id, s), "describe configuration")
		},
		func(ctx context.Context) error { return attempting(c.readFeatures(ctx, id, s), "read feature levels") },
		func(ctx context.Context) error {
			return attempting(c.readReassignments(ctx, id, s), "list reassignments")
		},
	)
}

func (c *Client) readPartitions(ctx context.Context, id int32, s *kafka.Snapshot) error {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = nil // all
	req.AllowAutoTopicCreation = false
	resp, err := askBroker[*kmsg.MetadataResponse](ctx, c, id, req)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(resp.Topics))
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.Topic == nil {
			return errors.New("a topic without a name")
		}
		if err := answered(t.ErrorCode, nil); err != nil {
			return fmt.Errorf("topic %q: %w", *t.Topic, err)
		}
		names = append(names, *t.Topic)
	}
	minISR, err := c.describePartly(ctx, id, names, s)
	if err != nil {
		return fmt.Errorf("describe %s and %s: %w", minISRKey, tieredKey, err)
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		floor, ok := minISR[*t.Topic]
		if !ok {
			continue // deleted between the two answers
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			s.Partitions = append(s.Partitions, kafka.Partition{
				Topic: *t.Topic, Number: p.Partition,
				Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR, MinISR: floor,
				Offline: p.OfflineReplicas,
			})
		}
	}
	slices.SortFunc(s.Partitions, func(a, b kafka.Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Number, b.Number))
	})
	return nil
}

// describePartly returns the effective min.insync.replicas by topic, and notes which topics have tiered storage; a
// topic that is gone has no entry.
func (c *Client) describePartly(ctx context.Context, id int32, names []string, s *kafka.Snapshot) (map[string]int32,
	error) {
	found := make(map[string]int32, len(names))
	for chunk := range slices.Chunk(names, topicsPerMinISRRequest) {
		resp, err := askBroker[*kmsg.DescribeConfigsResponse](ctx, c, id, describeTopics(chunk, minISRKey, tieredKey))
		if err != nil {
			return nil, err
		}
		for i := range resp.Resources {
			r := &resp.Resources[i]
			if isUnknownTopic(r.ErrorCode) {
				continue
			}
			if err := answered(r.ErrorCode, r.ErrorMessage); err != nil {
				return nil, fmt.Errorf("topic %q: %w", r.ResourceName, err)
			}
			if found[r.ResourceName], err = intOf(r.Configs, minISRKey); err != nil {
				return nil, fmt.Errorf("topic %q: %w", r.ResourceName, err)
			}
			if value, _ := valueOf(r.Configs, tieredKey); value == "true" {
				s.Tiered = append(s.Tiered, r.ResourceName)
			}
		}
	}
	slices.Sort(s.Tiered)
	return found, nil
}

func (c *Client) readBrokers(ctx context.Context, id int32, s *kafka.Snapshot) error {
	resp, err := askBroker[*kmsg.DescribeClusterResponse](ctx, c, id, describeCluster())
	if err != nil {
		return err
	}
	// Decisions from a snapshot depend on who is down.
	if resp.Version < fencedVersion {
		return fmt.Errorf("DescribeCluster v%d does not list fenced brokers; v%d of Kafka 4.0 does",
			resp.Version, fencedVersion)
	}
	if s.Brokers, err = brokersOf(resp); err != nil {
		return err
	}
	s.ClusterID = resp.ClusterID
	var serving []int32
	for _, b := range s.Brokers {
		if !b.Fenced {
			serving = append(serving, b.ID)
		}
	}
	return c.readOwnConfigs(ctx, serving, s)
}

func (c *Client) readQuorum(ctx context.Context, id int32, s *kafka.Snapshot) error {
	bounded, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	resp, err := askBroker[*kmsg.DescribeQuorumResponse](bounded, c, id, describeQuorum())
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errStaleView, err) // the broker is silent, or cut off from the controllers
	}
	if err != nil {
		return err
	}
	s.Quorum, err = quorumOf(resp)
	return err
}

func describeQuorum() *kmsg.DescribeQuorumRequest {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = []kmsg.DescribeQuorumRequestTopicPartition{kmsg.NewDescribeQuorumRequestTopicPartition()}
	req.Topics = append(req.Topics, topic)
	return req
}

func quorumOf(resp *kmsg.DescribeQuorumResponse) (kafka.Quorum, error) {
	if err := answered(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return kafka.Quorum{}, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return kafka.Quorum{}, errNoAnswer
	}
	p := &resp.Topics[0].Partitions[0]
	if err := answered(p.ErrorCode, p.ErrorMessage); err != nil {
		return kafka.Quorum{}, err
	}
	return kafka.Quorum{
		LeaderID: p.LeaderID, LeaderEpoch: p.LeaderEpoch, HighWatermark: p.HighWatermark,
		Voters: quorumReplicas(p.CurrentVoters), Observers: quorumReplicas(p.Observers),
	}, nil
}

func quorumReplicas(states []kmsg.DescribeQuorumResponseTopicPartitionReplicaState) []kafka.QuorumReplica {
	replicas := make([]kafka.QuorumReplica, 0, len(states))
	for _, st := range states {
		r := kafka.QuorumReplica{
			ID: st.ReplicaID, DirectoryID: uuidText(st.ReplicaDirectoryID), LogEndOffset: st.LogEndOffset,
		}
		if st.LastCaughtUpTimestamp > 0 {
			r.LastCaughtUp = time.UnixMilli(st.LastCaughtUpTimestamp)
		}
		replicas = append(replicas, r)
	}
	slices.SortFunc(replicas, func(a, b kafka.QuorumReplica) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.DirectoryID, b.DirectoryID))
	})
	return replicas
}

// checkFresh compares two readings of the quorum leader's clock: no other clock matters. The brokers of an idle cluster
// are current too, because the leader writes to the metadata log twice a second.
func checkFresh(id int32, q kafka.Quorum) error {
	if id == q.LeaderID {
		return nil
	}
	leader, broker := lastCaughtUp(q, q.LeaderID), lastCaughtUp(q, id)
	if leader.IsZero() {
		return fmt.Errorf("the quorum does not say when its leader (node %d) was last caught up", q.LeaderID)
	}
	if broker.IsZero() {
		return fmt.Errorf("broker %d: %w: the quorum does not say when it was last caught up", id, errStaleView)
	}
	if age := leader.Sub(broker); age > maxViewAge {
		return fmt.Errorf("broker %d: %w: it was last caught up %s ago", id, errStaleView, age.Round(time.Millisecond))
	}
	return nil
}

// lastCaughtUp returns the latest time of all entries with this id: after a disk was emptied there are two for a while.
func lastCaughtUp(q kafka.Quorum, id int32) time.Time {
	var latest time.Time
	for _, r := range slices.Concat(q.Voters, q.Observers) {
		if r.ID == id && r.LastCaughtUp.After(latest) {
			latest = r.LastCaughtUp
		}
	}
	return latest
}

// uuidText is Kafka's text form of a UUID.
func uuidText(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
