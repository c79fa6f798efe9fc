package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const preferredElection int8 = 0

// ElectPreferredLeaders implements kafka.ClusterAdmin (KIP-460). A partition whose preferred replica leads already, or is
// not in sync, stays as it is and is no error.
func (c *Client) ElectPreferredLeaders(ctx context.Context) error {
	req := kmsg.NewPtrElectLeadersRequest()
	req.ElectionType = preferredElection
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

// maxErrorsShown keeps an error about many partitions readable.
const maxErrorsShown = 5
