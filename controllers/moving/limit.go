package moving

import (
	"context"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
)

// Limit brings the rate at which brokers copy to what is to hold.
func (m Mover) Limit(ctx context.Context, admin Admin, limit moves.Limit) error {
	brokers, err := admin.BrokerConfig(ctx, kafka.AllBrokers)
	if err != nil {
		return err
	}
	changes := limit.Changes(brokers)
	if len(changes) == 0 {
		return nil
	}
	return admin.AlterBrokerConfig(ctx, kafka.AllBrokers, changes)
}
