package client

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
)

func TestOnlyACurrentBrokerIsBelieved(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	replica := func(id int32, age time.Duration) kafka.QuorumReplica {
		return kafka.QuorumReplica{ID: id, LastCaughtUp: now.Add(-age)}
	}
	never := kafka.QuorumReplica{ID: 4}
	quorum := kafka.Quorum{
		LeaderID: 1,
		Voters:   []kafka.QuorumReplica{replica(1, 0), replica(2, time.Second), replica(3, time.Minute)},
		// 3 has an entry of its emptied disk as a voter and a current one as an observer.
		Observers: []kafka.QuorumReplica{replica(3, time.Second), never, replica(5, 6*time.Second)},
	}
	for name, test := range map[string]struct {
		id    int32
		stale bool
	}{
		"the leader itself":              {1, false},
		"a voter that follows":           {2, false},
		"the newer of two entries":       {3, false},
		"one that never was caught up":   {4, true},
		"one that is six seconds behind": {5, true},
		"one that nobody knows":          {6, true},
	} {
		if err := checkFresh(test.id, quorum); errors.Is(err, errStaleView) != test.stale {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := checkFresh(2, kafka.Quorum{LeaderID: -1, Voters: quorum.Voters}); err == nil {
		t.Error("without a leader nothing is current")
	}
}

func TestTopicsAreCreatedInBatchesThatTheControllerTakes(t *testing.T) {
	topics := func(n int, partitions int32) []kafka.NewTopic {
		return slices.Repeat([]kafka.NewTopic{{Partitions: partitions}}, n)
	}
	for name, test := range map[string]struct {
		topics []kafka.NewTopic
		want   []int
	}{
		"none":                 {nil, nil},
		"a few":                {topics(20, 6), []int{20}},
		"many small":           {topics(2500, 0), []int{1000, 1000, 500}},
		"few large":            {topics(5, 2000), []int{2, 2, 1}},
		"many with keys":       {withKeys(topics(1000, 1), 8), []int{500, 500}},
		"one beyond the bound": {append(topics(1, 9000), topics(1, 1)...), []int{1, 1}},
	} {
		var got []int
		for _, batch := range batches(test.topics, creationRecords) {
			got = append(got, len(batch))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func withKeys(topics []kafka.NewTopic, n int) []kafka.NewTopic {
	config := map[string]string{}
	for i := range n {
		config[strconv.Itoa(i)] = ""
	}
	for i := range topics {
		topics[i].Config = config
	}
	return topics
}

func TestALaterBatchThatFailsIsKnownItemByItem(t *testing.T) {
	lost := errors.New("lost")
	failed := map[int]error{}
	sent := 0
	err := inBatches([][]int{{1, 2}, {3, 4}, {5}}, func([]int) error {
		sent++
		if sent == 2 {
			return lost
		}
		return nil
	}, func(item int, err error) { failed[item] = err })
	if err != nil || sent != 2 || len(failed) != 3 || failed[3] != lost || failed[5] != lost {
		t.Errorf("sent %d, failed %v, error %v", sent, failed, err)
	}
	if err := inBatches([][]int{{1}}, func([]int) error { return lost }, nil); err != lost {
		t.Errorf("the first: %v", err)
	}
}

func TestABatchThatIsTooLargeIsHalvedUntilKafkaTakesIt(t *testing.T) {
	var sent [][]int
	send := func(batch []int) error {
		sent = append(sent, batch)
		if len(batch) > 2 {
			return errTooLarge
		}
		return nil
	}
	if err := inBatches([][]int{{1, 2, 3, 4, 5}, {6}}, send, nil); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(sent); got != "[[1 2 3 4 5] [1 2] [3 4 5] [3] [4 5] [6]]" {
		t.Error(got)
	}
	lost, asked := errors.New("lost"), 0
	err := inBatches([][]int{{1, 2, 3, 4}}, func([]int) error {
		if asked++; asked == 1 {
			return errTooLarge
		}
		return lost
	}, nil)
	if err != lost || asked != 2 {
		t.Errorf("nothing is known after a half that was not answered: %v after %d", err, asked)
	}
}
