package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// ElectPreferredLeaders implements kafka.ClusterAdmin. A partition whose preferred replica already leads or is out of
// sync keeps its leader, and is no error.
func (c *Client) ElectPreferredLeaders(ctx context.Context, some ...kafka.PartitionID) error {
	req := kmsg.NewPtrElectLeadersRequest()
	req.ElectionType = int8(kadm.ElectPreferredReplica)
	req.Topics = electionOf(some)
	req.TimeoutMillis = timeoutMillis
	resp, err := write[*kmsg.ElectLeadersResponse](ctx, c, req)
	if err == nil {
		err = answered(resp.ErrorCode, nil)
	}
	if err != nil {
		return fmt.Errorf("elect preferred leaders: %w", err)
	}
	var failed []error
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == kerr.ElectionNotNeeded.Code || p.ErrorCode == kerr.PreferredLeaderNotAvailable.Code {
				continue
			}
			if err := answered(p.ErrorCode, p.ErrorMessage); err != nil && len(failed) < maxErrorsShown {
				failed = append(failed, fmt.Errorf("elect preferred leader of %s-%d: %w", t.Topic, p.Partition, err))
			}
		}
	}
	return errors.Join(failed...)
}

// maxErrorsShown bounds the partitions that one error names.
const maxErrorsShown = 5

// electionOf names partitions topic by topic; nil = all.
func electionOf(some []kafka.PartitionID) []kmsg.ElectLeadersRequestTopic {
	var topics []kmsg.ElectLeadersRequestTopic
	for _, id := range slices.SortedFunc(slices.Values(some), kafka.PartitionID.Compare) {
		if last := len(topics) - 1; last < 0 || topics[last].Topic != id.Topic {
			topics = append(topics, kmsg.ElectLeadersRequestTopic{Topic: id.Topic})
		}
		of := &topics[len(topics)-1].Partitions
		*of = append(*of, id.Number)
	}
	return topics
}
