package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// MetadataEnd implements kafka.UserAdmin. It takes the leader's own end and not the high watermark: a new leader has
// all that was ever acknowledged, but knows the high watermark only after a moment.
func (c *Client) MetadataEnd(ctx context.Context) (int64, error) {
	quorum, err := c.quorum(ctx)
	if err != nil {
		return 0, fmt.Errorf("find the end of the metadata log: %w", err)
	}
	for _, voter := range quorum.Voters {
		if end := max(voter.LogEndOffset, quorum.HighWatermark); voter.ID == quorum.LeaderID && end > 0 {
			return end, nil
		}
	}
	return 0, fmt.Errorf("find the end of the metadata log: the leader %d tells none", quorum.LeaderID)
}

// errNoOffset means that a broker's answer lacks the offset of its image. Kafka with ZooKeeper may give such an answer.
var errNoOffset = errors.New("the broker does not tell how much of the metadata it has loaded")

// Loaded implements kafka.UserAdmin. Kafka calls the offset the epoch of the finalized features (KIP-584).
func (c *Client) Loaded(ctx context.Context, broker int32) (int64, error) {
	if _, err := c.brokers(ctx); err != nil { // which also makes sure that it is the right cluster
		return 0, fmt.Errorf("ask broker %d what it has loaded: %w", broker, err)
	}
	bounded, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	resp, err := askBroker[*kmsg.ApiVersionsResponse](bounded, c, broker, askFeatures())
	if err == nil {
		err = answered(resp.ErrorCode, nil)
	}
	if err == nil && resp.FinalizedFeaturesEpoch < 0 {
		err = errNoOffset
	}
	if err != nil {
		return 0, fmt.Errorf("ask broker %d what it has loaded: %w", broker, err)
	}
	return resp.FinalizedFeaturesEpoch, nil
}
