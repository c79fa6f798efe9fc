package moving

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/moves"
)

// brokers are a Kafka that notes what it is asked, and refuses or loses some of it.
type brokers struct {
	Admin
	config  map[string]string
	refuse  map[string]error // of the throttle, by topic
	lost    error            // of reassignments
	altered []kafka.ConfigChange
	begun   map[string][]kafka.Move
}

func (b *brokers) BrokerConfig(context.Context, int32) (map[string]string, error) {
	return b.config, nil
}

func (b *brokers) AlterBrokerConfig(_ context.Context, _ int32, changes []kafka.ConfigChange) error {
	b.altered = changes
	return nil
}

func (b *brokers) AlterTopicConfigs(context.Context, map[string][]kafka.ConfigChange) (map[string]error, error) {
	return b.refuse, nil
}

func (b *brokers) Reassign(_ context.Context, moves map[string][]kafka.Move) (map[string]error, error) {
	b.begun = moves
	return nil, b.lost
}

func work(topics ...string) Work {
	w := Work{Throttle: map[string][]kafka.ConfigChange{}, Moves: map[string][]kafka.Move{}}
	for _, topic := range topics {
		w.Throttle[topic] = []kafka.ConfigChange{{Key: moves.LeaderThrottled}}
		w.Moves[topic] = []kafka.Move{{Partition: 0, Replicas: []int32{1}}}
	}
	return w
}

func TestNothingMovesWithoutItsThrottle(t *testing.T) {
	b := &brokers{refuse: map[string]error{"a": errors.New("no")}}
	refused, err := Mover{}.Carry(t.Context(), b, work("a", "b"))
	if err != nil || len(refused) != 1 || refused["a"].Attempted != "AlterConfigs" {
		t.Errorf("%v %v", refused, err)
	}
	if got := slices.Sorted(maps.Keys(b.begun)); !slices.Equal(got, []string{"b"}) {
		t.Errorf("%v begin to move", got)
	}
}

func TestOfAReassignmentThatIsRefusedAsAWholeEachTopicIsTold(t *testing.T) {
	b := &brokers{lost: &kafka.Denied{Code: "CLUSTER_AUTHORIZATION_FAILED"}}
	refused, err := Mover{}.Carry(t.Context(), b, work("a", "b"))
	if err != nil || len(refused) != 2 || refused["b"].Attempted != "Alter" {
		t.Errorf("%v %v", refused, err)
	}
	b.lost = kafka.ErrUnreachable
	if _, err := (Mover{}).Carry(t.Context(), b, work("a", "b")); !errors.Is(err, kafka.ErrUnreachable) {
		t.Errorf("nobody answers, and yet something is known: %v", err)
	}
}

func TestARateThatHoldsAlreadyIsNotSetAgain(t *testing.T) {
	b := &brokers{
		config: map[string]string{"leader.replication.throttled.rate": "7", "follower.replication.throttled.rate": "7"},
	}
	if err := (Mover{Rate: 7}).Limit(t.Context(), b, moves.Limit{Rate: 7, Copying: true}); err != nil || b.altered != nil {
		t.Errorf("%v %v", b.altered, err)
	}
	if err := (Mover{Rate: 7}).Limit(t.Context(), b, moves.Limit{Rate: 7}); err != nil || len(b.altered) != 2 {
		t.Errorf("%v %v", b.altered, err)
	}
}
