package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

func (c *Client) readDefaults(ctx context.Context, id int32, s *kafka.Snapshot) error {
	resp, err := askBroker[*kmsg.DescribeConfigsResponse](ctx, c, id, describeBroker(kafka.AllBrokers))
	if err != nil {
		return err
	}
	s.Config, err = brokerConfig(kafka.AllBrokers, resp)
	return err
}

func (c *Client) readFeatures(ctx context.Context, id int32, s *kafka.Snapshot) error {
	resp, err := askBroker[*kmsg.ApiVersionsResponse](ctx, c, id, askFeatures())
	if err != nil {
		return err
	}
	s.Features, err = finalized(resp)
	s.MetadataVersion = s.Features[metadataVersion]
	return err
}

func askFeatures() *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "castellan", "1"
	return req
}

// finalized returns the levels in force. Kafka does not name a feature at level 0, which has no entry.
func finalized(resp *kmsg.ApiVersionsResponse) (map[string]int16, error) {
	if err := answered(resp.ErrorCode, nil); err != nil {
		return nil, err
	}
	levels := make(map[string]int16, len(resp.FinalizedFeatures))
	for _, f := range resp.FinalizedFeatures {
		levels[f.Name] = f.MaxVersionLevel
	}
	if levels[metadataVersion] == 0 {
		return nil, errors.New("the broker names no finalized metadata.version")
	}
	return levels, nil
}

func (c *Client) readReassignments(ctx context.Context, id int32, s *kafka.Snapshot) error {
	resp, err := askBroker[*kmsg.ListPartitionReassignmentsResponse](ctx, c, id, listReassignments())
	if err != nil {
		return err
	}
	if err := answered(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return err
	}
	s.Reassignments = reassignmentsOf(resp)
	for _, partitions := range s.Reassignments {
		s.Reassigning += len(partitions)
	}
	return nil
}

// readOwnConfigs asks all brokers at once, each for the run-time keys set for it alone and for the values that it uses.
// A broker that does not answer has no entry. A broker that answers with an error makes readOwnConfigs fail.
func (c *Client) readOwnConfigs(ctx context.Context, ids []int32, s *kafka.Snapshot) error {
	s.BrokerConfigs = make(map[int32]map[string]string, len(ids))
	s.InUse = make(map[int32]map[string]string, len(ids))
	var mu sync.Mutex
	asks := make([]func(context.Context) error, 0, len(ids))
	for _, id := range ids {
		asks = append(asks, func(ctx context.Context) error {
			bounded, cancel := context.WithTimeout(ctx, brokerTimeout)
			defer cancel()
			resp, err := askBroker[*kmsg.DescribeConfigsResponse](bounded, c, id, describeBroker(id))
			if errors.Is(err, kafka.ErrUnreachable) && ctx.Err() == nil {
				return nil
			}
			if err != nil {
				return err
			}
			config, err := brokerConfig(id, resp)
			if err != nil {
				return fmt.Errorf("describe configuration of broker %d: %w", id, err)
			}
			mu.Lock()
			defer mu.Unlock()
			s.BrokerConfigs[id], s.InUse[id] = config, inUse(resp)
			return nil
		})
	}
	return together(ctx, asks...)
}

// together runs all parts at once. The first failure cancels the others and is returned.
func together(ctx context.Context, parts ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wait  sync.WaitGroup
		once  sync.Once
		first error
	)
	for _, part := range parts {
		wait.Go(func() {
			if err := part(ctx); err != nil {
				once.Do(func() {
					first = err
					cancel()
				})
			}
		})
	}
	wait.Wait()
	return first
}

func attempting(err error, attempt string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", attempt, err)
}

func intOf(entries []kmsg.DescribeConfigsResponseResourceConfig, key string) (int32, error) {
	value, told := valueOf(entries, key)
	if !told {
		return 0, errNoAnswer
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	return int32(n), nil
}

func valueOf(entries []kmsg.DescribeConfigsResponseResourceConfig, key string) (value string, told bool) {
	for i := range entries {
		if entries[i].Name == key && entries[i].Value != nil {
			return *entries[i].Value, true
		}
	}
	return "", false
}
