package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ElectPreferredLeaders implements kafka.ClusterAdmin. A partition whose preferred replica already leads or is out of
// sync keeps its leader, and is no error.
func (c *Client) ElectPreferredLeaders(ctx context.Context) error {
	req := kmsg.NewPtrElectLeadersRequest()
	req.ElectionType = int8(kadm.ElectPreferredReplica)
	req.Topics = nil // all
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
