package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// quorum is the metadata quorum as one broker's leader describes it.
type quorum struct {
	leader, epoch int32
	voters        []int32
	highWatermark int64
}

// quorumBy asks through one broker, so that a split brain would give different answers; -1 = through any.
func quorumBy(ctx context.Context, cl *kgo.Client, broker int32) (quorum, error) {
	p, err := describeQuorum(ctx, cl, broker)
	if err != nil {
		return quorum{}, err
	}
	q := quorum{leader: p.LeaderID, epoch: p.LeaderEpoch, highWatermark: p.HighWatermark}
	for _, v := range p.CurrentVoters {
		q.voters = append(q.voters, v.ReplicaID)
	}
	slices.Sort(q.voters)
	return q, nil
}

// describeQuorum asks through one broker; -1 = through any.
func describeQuorum(
	ctx context.Context,
	cl *kgo.Client,
	broker int32,
) (*kmsg.DescribeQuorumResponseTopicPartition, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	partition := kmsg.NewDescribeQuorumRequestTopicPartition()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)
	var answer kmsg.Response
	var err error
	if broker < 0 {
		answer, err = cl.Request(ctx, req)
	} else {
		answer, err = cl.Broker(int(broker)).RetriableRequest(ctx, req)
	}
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.DescribeQuorumResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("an answer about %d topics", len(resp.Topics))
	}
	p := &resp.Topics[0].Partitions[0]
	return p, kerr.ErrorForCode(p.ErrorCode)
}

// mustBeOneQuorum fails unless every broker knows the same leader and the given voters.
func mustBeOneQuorum(t *testing.T, cl *kgo.Client, brokers, voters []int32) quorum {
	t.Helper()
	var first quorum
	for i, id := range brokers {
		var q quorum
		eventually(
			t,
			pollInterval*50,
			fmt.Sprintf("broker %d describes the quorum", id),
			func(ctx context.Context) (err error) {
				q, err = quorumBy(ctx, cl, id)
				return err
			},
		)
		if !slices.Equal(q.voters, voters) {
			t.Errorf("broker %d: voters %v, expected %v", id, q.voters, voters)
		}
		if i == 0 {
			first = q
		}
		if q.leader != first.leader || q.epoch != first.epoch {
			t.Errorf(
				"broker %d follows leader %d of epoch %d, broker %d leader %d of epoch %d",
				id,
				q.leader,
				q.epoch,
				brokers[0],
				first.leader,
				first.epoch,
			)
		}
	}
	return first
}
