package client

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// Loads implements kafka.ClusterAdmin with one request for the brokers and one for each that is not fenced.
func (c *Client) Loads(ctx context.Context) (map[int32][]kafka.LoadDir, error) {
	brokers, err := c.Brokers(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of replicas: %w", err)
	}
	var mu sync.Mutex
	loads, asks := map[int32][]kafka.LoadDir{}, []func(context.Context) error{}
	for _, b := range brokers {
		if b.Fenced {
			continue
		}
		asks = append(asks, func(ctx context.Context) error {
			resp, err := askBroker[*kmsg.DescribeLogDirsResponse](ctx, c, b.ID, describeLogDirs())
			if err != nil {
				return fmt.Errorf("broker %d: %w", b.ID, err)
			}
			dirs := loadsOf(resp)
			if dirs == nil {
				return fmt.Errorf("broker %d: %w", b.ID, errNoAnswer)
			}
			mu.Lock()
			defer mu.Unlock()
			loads[b.ID] = dirs
			return nil
		})
	}
	if err := together(ctx, asks...); err != nil {
		return nil, fmt.Errorf("read the sizes of replicas: %w", err)
	}
	return loads, nil
}

// loadsOf returns the directories with what is in them, sorted by path; nil = the broker has not told them.
func loadsOf(resp *kmsg.DescribeLogDirsResponse) []kafka.LoadDir {
	dirs := logDirsOf(resp)
	if dirs == nil {
		return nil
	}
	sizes := map[string]map[kafka.PartitionID]int64{}
	for i := range resp.Dirs {
		told := &resp.Dirs[i]
		in := map[kafka.PartitionID]int64{}
		for _, topic := range told.Topics {
			for _, p := range topic.Partitions {
				if !p.IsFuture {
					in[kafka.PartitionID{Topic: topic.Topic, Number: p.Partition}] = p.Size
				}
			}
		}
		sizes[told.Dir] = in
	}
	loads := make([]kafka.LoadDir, len(dirs))
	for i, dir := range dirs {
		dir.Holds = nil // Sizes has them
		loads[i] = kafka.LoadDir{LogDir: dir, Sizes: sizes[dir.Path]}
	}
	return loads
}

// MoveWithin implements kafka.ClusterAdmin with one request.
func (c *Client) MoveWithin(
	ctx context.Context, id int32, to map[kafka.PartitionID]string,
) (map[kafka.PartitionID]error, error) {
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	for _, partition := range slices.SortedFunc(maps.Keys(to), kafka.PartitionID.Compare) {
		req.Dirs = addLogDirMove(req.Dirs, to[partition], partition)
	}
	resp, err := askBroker[*kmsg.AlterReplicaLogDirsResponse](ctx, c, id, req)
	if err != nil {
		return nil, fmt.Errorf("move replicas between log directories: %w", err)
	}
	results := make(map[kafka.PartitionID]error, len(to))
	for partition := range to {
		results[partition] = fmt.Errorf("broker %d: %w", id, errNoAnswer)
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			results[kafka.PartitionID{Topic: topic.Topic, Number: p.Partition}] = answered(p.ErrorCode, nil)
		}
	}
	return results, nil
}

// addLogDirMove adds a partition to what goes to a log directory.
func addLogDirMove(
	dirs []kmsg.AlterReplicaLogDirsRequestDir, path string, partition kafka.PartitionID,
) []kmsg.AlterReplicaLogDirsRequestDir {
	at := slices.IndexFunc(dirs, func(d kmsg.AlterReplicaLogDirsRequestDir) bool { return d.Dir == path })
	if at < 0 {
		dir := kmsg.NewAlterReplicaLogDirsRequestDir()
		dir.Dir = path
		dirs, at = append(dirs, dir), len(dirs)
	}
	topics := dirs[at].Topics
	if last := len(topics) - 1; last < 0 || topics[last].Topic != partition.Topic {
		topic := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		topic.Topic = partition.Topic
		topics = append(topics, topic)
	}
	last := &topics[len(topics)-1]
	last.Partitions = append(last.Partitions, partition.Number)
	dirs[at].Topics = topics
	return dirs
}
