package client

import (
	"context"
	"fmt"
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
			req := kmsg.NewPtrDescribeLogDirsRequest()
			req.Topics = nil // all
			resp, err := askBroker[*kmsg.DescribeLogDirsResponse](ctx, c, b.ID, req)
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
		dir.Sole = nil // nobody has asked which these are
		loads[i] = kafka.LoadDir{LogDir: dir, Sizes: sizes[dir.Path]}
	}
	return loads
}
