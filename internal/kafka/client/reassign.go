package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// Brokers implements kafka.TopicAdmin with one request.
func (c *Client) Brokers(ctx context.Context) ([]kafka.Broker, error) {
	resp, err := read[*kmsg.DescribeClusterResponse](ctx, c, describeCluster())
	if err == nil {
		var brokers []kafka.Broker
		if brokers, err = brokersOf(resp); err == nil {
			return brokers, nil
		}
	}
	return nil, fmt.Errorf("list brokers: %w", err)
}

func describeCluster() *kmsg.DescribeClusterRequest {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeFencedBrokers = true
	return req
}

func brokersOf(resp *kmsg.DescribeClusterResponse) ([]kafka.Broker, error) {
	if err := answered(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, err
	}
	brokers := make([]kafka.Broker, 0, len(resp.Brokers))
	for _, b := range resp.Brokers {
		broker := kafka.Broker{ID: b.NodeID, Fenced: b.IsFenced}
		if b.Rack != nil {
			broker.Rack = *b.Rack
		}
		brokers = append(brokers, broker)
	}
	slices.SortFunc(brokers, func(a, b kafka.Broker) int { return cmp.Compare(a.ID, b.ID) })
	return brokers, nil
}

// Reassignments implements kafka.TopicAdmin with one request.
func (c *Client) Reassignments(ctx context.Context) (map[string]map[int32]kafka.Reassignment, error) {
	resp, err := read[*kmsg.ListPartitionReassignmentsResponse](ctx, c, listReassignments())
	if err == nil {
		err = answered(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return nil, fmt.Errorf("list reassignments: %w", err)
	}
	return reassignmentsOf(resp), nil
}

func reassignmentsOf(resp *kmsg.ListPartitionReassignmentsResponse) map[string]map[int32]kafka.Reassignment {
	found := make(map[string]map[int32]kafka.Reassignment, len(resp.Topics))
	for _, t := range resp.Topics {
		partitions := make(map[int32]kafka.Reassignment, len(t.Partitions))
		for _, p := range t.Partitions {
			partitions[p.Partition] = kafka.Reassignment{
				Replicas: p.Replicas, Adding: p.AddingReplicas, Removing: p.RemovingReplicas,
			}
		}
		found[t.Topic] = partitions
	}
	return found
}

func listReassignments() *kmsg.ListPartitionReassignmentsRequest {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.Topics = nil // all
	req.TimeoutMillis = int32(requestTimeout.Milliseconds())
	return req
}

// Reassign implements kafka.TopicAdmin with one request per thousand topics or 5,000 partitions.
func (c *Client) Reassign(ctx context.Context, moves map[string][]kafka.Move) (map[string]error, error) {
	records := func(name string) int { return len(moves[name]) }
	const attempt = "reassign partitions of topic"
	return eachName(moves, records, attempt, func(names []string, results map[string]error) error {
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.TimeoutMillis, req.AllowReplicationFactorChange = timeoutMillis, false
		for _, name := range names {
			item := kmsg.NewAlterPartitionAssignmentsRequestTopic()
			item.Topic = name
			for _, m := range moves[name] {
				req.AllowReplicationFactorChange = req.AllowReplicationFactorChange || !m.KeepFactor
				p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
				p.Partition, p.Replicas = m.Partition, m.Replicas
				item.Partitions = append(item.Partitions, p)
			}
			req.Topics = append(req.Topics, item)
		}
		resp, err := write[*kmsg.AlterPartitionAssignmentsResponse](ctx, c, req)
		if err == nil {
			err = answered(resp.ErrorCode, resp.ErrorMessage)
		}
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			results[t.Topic] = nil
			for _, p := range t.Partitions {
				if p.ErrorCode == kerr.NoReassignmentInProgress.Code || results[t.Topic] != nil {
					continue
				}
				err := answered(p.ErrorCode, p.ErrorMessage)
				results[t.Topic] = attempting(err, fmt.Sprintf("partition %d", p.Partition))
			}
		}
		return nil
	})
}
