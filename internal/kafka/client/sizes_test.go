package client_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/castellan-dev/castellan/internal/kafka"
)

func TestEveryBrokerSaysHowLargeItsReplicasAreWithOneRequest(t *testing.T) {
	c, counter := connect(t)
	created, err := c.CreateTopics(t.Context(), []kafka.NewTopic{{Name: "sized", Partitions: 3, ReplicationFactor: 2}})
	if err != nil || created["sized"].Err != nil {
		t.Fatal(err, created)
	}
	eventually(t, "three brokers tell of six replicas", func() error {
		counter.take()
		loads, err := c.Loads(t.Context())
		if err != nil {
			return err
		}
		replicas := 0
		for id, dirs := range loads {
			for _, dir := range dirs {
				if dir.Error != "" || dir.TotalBytes <= 0 || dir.UsableBytes <= 0 || dir.UsableBytes > dir.TotalBytes {
					return fmt.Errorf("broker %d: %+v", id, dir.LogDir)
				}
				for partition := range dir.Sizes {
					if partition.Topic == "sized" {
						replicas++
					}
				}
			}
		}
		if len(loads) != 3 || replicas != 6 {
			return fmt.Errorf("%d brokers tell of %d replicas", len(loads), replicas)
		}
		return nil
	})
	cost(t, counter, "DescribeCluster+DescribeLogDirs", 4)
}

// KIP-860: a pure move that would change the number of replicas is refused.
func TestAMoveThatKeepsTheFactorIsRefusedWhereItWouldNot(t *testing.T) {
	c, _ := connect(t)
	created, err := c.CreateTopics(t.Context(), []kafka.NewTopic{{Name: "kept", Assignment: [][]int32{{1, 2}}}})
	if err != nil || created["kept"].Err != nil {
		t.Fatal(err, created)
	}
	reassign := func(replicas ...int32) error {
		results, err := c.Reassign(t.Context(),
			map[string][]kafka.Move{"kept": {{Partition: 0, Replicas: replicas, KeepFactor: true}}})
		return errors.Join(err, results["kept"])
	}
	if err := reassign(1, 2, 3); err == nil {
		t.Error("a third replica is made")
	}
	if err := reassign(1, 3); err != nil {
		t.Error(err)
	}
	eventually(t, "the replica is elsewhere", func() error {
		s, err := c.Snapshot(t.Context())
		if err != nil {
			return err
		}
		moved := slices.ContainsFunc(s.Partitions, func(p kafka.Partition) bool {
			return p.Topic == "kept" && slices.Equal(p.Replicas, []int32{1, 3})
		})
		if !moved {
			return fmt.Errorf("it is not; under way: %v", s.Reassignments)
		}
		return nil
	})
}
