package client_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
)

// A broker moves its replicas off a disk, takes no new one there once that is cordoned, and comes back without it. The
// cordon goes before: with that of a log directory which it does not have, it takes no run-time configuration.
func TestADiskIsEmptiedCordonedAndTakenAway(t *testing.T) {
	needKafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(3*time.Minute))
	defer cancel()
	k, err := kafkatest.Start(ctx, kafkatest.Options{
		Config: map[string]string{"log.dirs": "{dir}/a,{dir}/b", "metadata.log.dir": "{dir}/a"}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	c, _ := connectTo(t, k)
	create := func(topic string) {
		created, err := c.CreateTopics(ctx, []kafka.NewTopic{{Name: topic, Partitions: 4, ReplicationFactor: 1}})
		if err := errors.Join(err, created[topic].Err); err != nil {
			t.Fatal(err)
		}
	}
	create("before")
	producer := recordsOf(t, k, "before")
	for n := range 400 {
		record := &kgo.Record{Topic: "before", Partition: int32(n % 4), Value: []byte(strconv.Itoa(n))}
		if err := producer.ProduceSync(ctx, record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	a, b := dirsOf(t, c, 4)
	if len(a.Holds) == 0 || len(b.Holds) == 0 {
		t.Fatalf("Kafka has put nothing on one of the disks: %v, %v", a.Holds, b.Holds)
	}
	cordoned, other := b.Path, map[kafka.PartitionID]string{}
	if err := c.AlterBrokerConfig(ctx, 1, []kafka.ConfigChange{{Key: "cordoned.log.dirs", Value: &cordoned}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "new replicas go to the other disk alone", func() error {
		topic := fmt.Sprintf("after-%d", time.Now().UnixNano())
		create(topic)
		_, b = dirsOf(t, c, 8)
		if slices.ContainsFunc(b.Holds, func(p kafka.PartitionID) bool { return p.Topic == topic }) {
			return fmt.Errorf("the cordoned disk holds %v", b.Holds)
		}
		return nil
	})
	for _, p := range b.Holds {
		other[p] = a.Path
	}
	results, err := c.MoveWithin(ctx, 1, other)
	if err != nil || len(results) != len(other) {
		t.Fatal(results, err)
	}
	for p, err := range results {
		if err != nil {
			t.Errorf("%v: %v", p, err)
		}
	}
	eventually(t, "the disk is empty", func() error {
		if _, b := dirsOf(t, c, 4); len(b.Holds)+len(b.Coming) > 0 {
			return fmt.Errorf("it holds %v, and %v come", b.Holds, b.Coming)
		}
		return nil
	})
	results, err = c.MoveWithin(ctx, 1, map[kafka.PartitionID]string{{Topic: "before", Number: 0}: b.Path})
	if err != nil || results[kafka.PartitionID{Topic: "before", Number: 0}] == nil {
		t.Errorf("a cordoned disk takes a replica: %v (%v)", results, err)
	}
	if err := c.AlterBrokerConfig(ctx, 1, []kafka.ConfigChange{{Key: "cordoned.log.dirs"}}); err != nil {
		t.Fatal(err)
	}
	k.StopNode(ctx, 1)
	file := filepath.Join(filepath.Dir(a.Path), "server.properties")
	properties, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	without := strings.ReplaceAll(string(properties), ","+b.Path, "")
	if err := os.WriteFile(file, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.StartNode(ctx, 1); err != nil {
		t.Fatal(err)
	}
	// A broker that stops within the half second after a replica has arrived may last tell the controller where it came
	// from (seen on 4.3.1). It says otherwise when it is back, but by then the controller has elected: nobody leads until
	// the next election, which Kafka asks for every five minutes.
	eventually(t, "the broker serves everything without the disk", func() error {
		s, err := c.Snapshot(ctx, 1)
		if err != nil {
			return err
		}
		var none []kafka.PartitionID
		for _, p := range s.Partitions {
			if p.Leader < 0 && len(p.Offline) == 0 {
				none = append(none, kafka.PartitionID{Topic: p.Topic, Number: p.Number})
			}
		}
		if len(none) > 0 {
			if err := c.ElectPreferredLeaders(ctx, none...); err != nil {
				return err
			}
		}
		if dirs := s.LogDirs[1]; len(dirs) != 1 || len(dirs[0].Holds) < 4 {
			return fmt.Errorf("log directories %+v", dirs)
		}
		for _, p := range s.Partitions {
			if p.Leader != 1 || len(p.Offline) > 0 {
				return fmt.Errorf("partition %+v", p)
			}
		}
		return nil
	})
	limit := "7000000"
	changes := []kafka.ConfigChange{{Key: "leader.replication.throttled.rate", Value: &limit}}
	if err := c.AlterBrokerConfig(ctx, kafka.AllBrokers, changes); err != nil {
		t.Errorf("it takes no run-time configuration: %v", err)
	}
	consumer, read := recordsOf(t, k, "before"), map[string]bool{}
	for len(read) < 400 {
		fetches := consumer.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("of 400 records %d are there: %v", len(read), errors.Join(err, fetches.Err()))
		}
		fetches.EachRecord(func(r *kgo.Record) { read[string(r.Value)] = true })
	}
}

// recordsOf is a client that writes to partitions by number and reads a topic from its beginning.
func recordsOf(t *testing.T, k *kafkatest.Cluster, topic string) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(k.Admins()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// dirsOf waits until the two disks of broker 1 hold at least so many replicas together.
func dirsOf(t *testing.T, c *client.Client, least int) (a, b kafka.LogDir) {
	t.Helper()
	eventually(t, "the broker tells what is on its two disks", func() error {
		s, err := c.Snapshot(t.Context(), 1)
		if err != nil {
			return err
		}
		dirs := s.LogDirs[1]
		if len(dirs) != 2 || len(dirs[0].Holds)+len(dirs[1].Holds) < least {
			return fmt.Errorf("log directories %+v", dirs)
		}
		a, b = dirs[0], dirs[1]
		return nil
	})
	return a, b
}

// A broker that is killed while a replica moves between its disks goes on with the move when it is back, and no record
// of it is lost.
func TestAMoveBetweenDisksOutlivesItsBroker(t *testing.T) {
	needKafka(t)
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(3*time.Minute))
	defer cancel()
	k, err := kafkatest.Start(ctx, kafkatest.Options{
		Config: map[string]string{"log.dirs": "{dir}/a,{dir}/b", "metadata.log.dir": "{dir}/a"}})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	c, _ := connectTo(t, k)
	created, err := c.CreateTopics(ctx, []kafka.NewTopic{{Name: "shifts", Partitions: 1, ReplicationFactor: 1}})
	if err := errors.Join(err, created["shifts"].Err); err != nil {
		t.Fatal(err)
	}
	const records = 64
	producer, padding := recordsOf(t, k, "shifts"), strings.Repeat("0123456789abcdef", 16<<10)
	for n := range records {
		record := &kgo.Record{Topic: "shifts", Key: []byte(strconv.Itoa(n)), Value: []byte(padding)}
		if err := producer.ProduceSync(ctx, record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	a, to := dirsOf(t, c, 1)
	if len(a.Holds) == 0 {
		to = a
	}
	const limitKey = "replica.alter.log.dirs.io.max.bytes.per.second"
	slowly := "1000000"
	if err := c.AlterBrokerConfig(ctx, 1, []kafka.ConfigChange{{Key: limitKey, Value: &slowly}}); err != nil {
		t.Fatal(err)
	}
	replica := kafka.PartitionID{Topic: "shifts"}
	results, err := c.MoveWithin(ctx, 1, map[kafka.PartitionID]string{replica: to.Path})
	if err := errors.Join(err, results[replica]); err != nil {
		t.Fatal(err)
	}
	where := func() (coming, there bool, err error) {
		s, err := c.Snapshot(ctx, 1)
		if err != nil {
			return false, false, err
		}
		for _, dir := range s.LogDirs[1] {
			coming = coming || slices.Contains(dir.Coming, replica)
			there = there || dir.Path == to.Path && slices.Contains(dir.Holds, replica)
		}
		return coming, there, nil
	}
	eventually(t, "the replica is on its way", func() error {
		if coming, there, err := where(); err != nil || !coming || there {
			return fmt.Errorf("on its way %t, there %t (%w)", coming, there, err)
		}
		return nil
	})
	process, err := os.FindProcess(k.Node(1).PID())
	if err := errors.Join(err, process.Kill()); err != nil {
		t.Fatal(err)
	}
	k.StopNode(ctx, 1)
	if err := k.StartNode(ctx, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica is on its way again", func() error {
		if coming, there, err := where(); err != nil || !coming && !there {
			return fmt.Errorf("on its way %t, there %t (%w)", coming, there, err)
		}
		return nil
	})
	if err := c.AlterBrokerConfig(ctx, 1, []kafka.ConfigChange{{Key: limitKey}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica has arrived", func() error {
		if coming, there, err := where(); err != nil || coming || !there {
			return fmt.Errorf("on its way %t, there %t (%w)", coming, there, err)
		}
		return nil
	})
	consumer, read := recordsOf(t, k, "shifts"), map[string]bool{}
	for len(read) < records {
		fetches := consumer.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("of %d records %d are there: %v", records, len(read), errors.Join(err, fetches.Err()))
		}
		fetches.EachRecord(func(r *kgo.Record) { read[string(r.Key)] = true })
	}
}
