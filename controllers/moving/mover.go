// Package moving carries out moves of replicas: it reads what internal/moves decides from, sets and removes the
// throttle of brokers and topics, and begins and cancels reassignments. It is the only room that does. KafkaTopics
// use it now; whoever empties or rebalances brokers uses it, too. What is on record, and where, is the matter of
// those who use it.
package moving

import (
	"cmp"
	"context"
	"maps"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
)

// Admin is what moving replicas asks of Kafka.
type Admin interface {
	Brokers(ctx context.Context) ([]kafka.Broker, error)
	Reassignments(ctx context.Context) (map[string]map[int32]kafka.Reassignment, error)
	BrokerConfig(ctx context.Context, broker int32) (map[string]string, error)
	AlterBrokerConfig(ctx context.Context, broker int32, changes []kafka.ConfigChange) error
	AlterTopicConfigs(ctx context.Context, changes map[string][]kafka.ConfigChange) (map[string]error, error)
	Reassign(ctx context.Context, moves map[string][]kafka.Move) (map[string]error, error)
}

// Mover moves replicas.
type Mover struct {
	// Rate is how many bytes per second each broker may send and receive while the operator moves replicas; zero = no
	// limit.
	Rate int64
}

// Survey reads brokers and reassignments.
func (m Mover) Survey(ctx context.Context, admin Admin) (s moves.Survey, err error) {
	if s.Brokers, err = admin.Brokers(ctx); err == nil {
		s.Reassigning, err = admin.Reassignments(ctx)
	}
	s.Rate = m.Rate
	return s, err
}

// Work is what is to be sent, by topic.
type Work struct {
	Throttle map[string][]kafka.ConfigChange
	Moves    map[string][]kafka.Move
}

// Refusal is what Kafka did not do for a topic, and the operation that the operator may lack a permission for.
type Refusal struct {
	Attempted string
	Err       error
}

// Carry sets and removes the throttle of topics, and then begins and cancels reassignments. It returns what was
// refused: such a topic moves nothing, or goes on as before. An error means that nothing is known about any topic.
func (m Mover) Carry(ctx context.Context, admin Admin, work Work) (map[string]Refusal, error) {
	refused := map[string]Refusal{}
	begin := maps.Clone(work.Moves)
	if len(work.Throttle) > 0 {
		results, err := admin.AlterTopicConfigs(ctx, work.Throttle)
		if err != nil {
			return nil, err
		}
		for topic := range work.Throttle {
			if err := results[topic]; err != nil {
				refused[topic] = Refusal{"AlterConfigs", err}
				delete(begin, topic) // nothing moves without its throttle
			}
		}
	}
	if len(begin) == 0 {
		return refused, nil
	}
	results, err := admin.Reassign(ctx, begin)
	if kafka.Unreachable(err) {
		return nil, err
	}
	for topic := range begin {
		if err := cmp.Or(err, results[topic]); err != nil {
			refused[topic] = Refusal{"Alter", err}
		}
	}
	return refused, nil
}
