package e2e

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// registered are the brokers that Kafka knows, those that it has given up on included (KIP-1073).
func registered(ctx context.Context, cl *kgo.Client) ([]int32, error) {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeFencedBrokers = true
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	var ids []int32
	for _, b := range resp.Brokers {
		ids = append(ids, b.NodeID)
	}
	slices.Sort(ids)
	return ids, nil
}

// moveAway asks for every replica on a broker to be moved to another one of its rack, or of any when that has none
// left.
func moveAway(ctx context.Context, admin *kadm.Client, id int32) (moved int, err error) {
	metadata, err := admin.Metadata(ctx)
	if err != nil {
		return 0, err
	}
	racks := map[int32]string{}
	for _, b := range metadata.Brokers {
		if b.Rack != nil {
			racks[b.NodeID] = *b.Rack
		}
	}
	var ask kadm.AlterPartitionAssignmentsReq
	for _, topic := range metadata.Topics {
		for _, p := range topic.Partitions {
			at := slices.Index(p.Replicas, id)
			if at < 0 {
				continue
			}
			replicas := slices.Clone(p.Replicas)
			for other, rack := range racks {
				taken := other == id || slices.Contains(p.Replicas, other)
				if !taken && (rack == racks[id] || replicas[at] == id) {
					replicas[at] = other
				}
				if replicas[at] != id && racks[replicas[at]] == racks[id] {
					break
				}
			}
			ask.Assign(topic.Topic, p.Partition, replicas)
			moved++
		}
	}
	answers, err := admin.AlterPartitionAssignments(ctx, ask)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return moved, fmt.Errorf("move %d partitions away from broker %d: %w", moved, id, err)
	}
	return moved, nil
}
