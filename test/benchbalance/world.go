package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/kafka/kafkatest"
)

const (
	topic      = "data"
	partitions = 48
	minISR     = "2"
	// chunk is the size of the records that fill the topic.
	chunk = 64 << 10
	// waitFor is how long one step of the preparation or of a measurement may take.
	waitFor = 60 * time.Minute
	lookFor = 100 * time.Millisecond
)

// before are the brokers that hold the data, and all those of the cluster once it has grown.
var before, all = []int32{1, 2, 3}, []int32{1, 2, 3, 4, 5, 6}

// weights say how large a partition is beside others.
var weights = map[string]func(partition int) float64{
	"equal":  func(int) float64 { return 1 },
	"skewed": func(partition int) float64 { return 1 / float64(1+partition%12) },
}

// world is a cluster that has grown: three of its six brokers hold all data.
type world struct {
	options Options
	brokers *kafkatest.Cluster
	admin   *client.Client
	first   map[int32]int64 // offsets of the first record that is not of the filling, by partition
}

// startWorld starts brokers and fills the topic. The caller must call stop.
func startWorld(ctx context.Context, o Options, data string) (*world, error) {
	w := &world{options: o, first: map[int32]int64{}}
	var err error
	w.brokers, err = kafkatest.Start(ctx, kafkatest.Options{
		Nodes: len(all), Controllers: 1,
		JVM: []string{"-Xmx512m", "-XX:TieredStopAtLevel=4"},
		Config: map[string]string{
			"num.io.threads": "8", "num.network.threads": "3", "log.segment.delete.delay.ms": "1000",
		},
	})
	if err != nil {
		return nil, err
	}
	if w.admin, err = client.New(client.Options{Seeds: w.brokers.Admins(), ClientID: "castellan"}); err == nil {
		err = w.fill(ctx, weights[data])
	}
	if err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

func (w *world) stop() {
	if w.admin != nil {
		w.admin.Close()
	}
	w.brokers.Close()
}

// home is where the replicas are before the cluster grows.
func home() [][]int32 {
	assignment := make([][]int32, partitions)
	for i := range assignment {
		for k := range before {
			assignment[i] = append(assignment[i], before[(i+k)%len(before)])
		}
	}
	return assignment
}

// producer sends with acks=all, to the partitions that records name.
func (w *world) producer() (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(w.brokers.Admins()...), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(512))
}

// fill makes the topic.
func (w *world) fill(ctx context.Context, weight func(int) float64) error {
	results, err := w.admin.CreateTopics(ctx, []kafka.NewTopic{{
		Name: topic, Assignment: home(), Config: map[string]string{"min.insync.replicas": minISR},
	}})
	if err = errors.Join(err, results[topic].Err); err != nil {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	producer, err := w.producer()
	if err != nil {
		return err
	}
	defer producer.Close()
	sum, value := 0.0, make([]byte, chunk)
	for p := range partitions {
		sum += weight(p)
	}
	var failed error
	for p := range partitions {
		for range int64(weight(p) / sum * float64(w.options.Size) / chunk) {
			producer.Produce(ctx, &kgo.Record{Partition: int32(p), Value: value}, func(r *kgo.Record, err error) {
				failed = cmp.Or(failed, err) // promises are called one after the other
				w.first[r.Partition] = max(w.first[r.Partition], r.Offset+1)
			})
		}
	}
	if err := errors.Join(producer.Flush(ctx), failed); err != nil {
		return fmt.Errorf("fill topic %s: %w", topic, err)
	}
	return w.settle(ctx)
}

// settle waits until nothing moves and every partition has its three replicas, in sync.
func (w *world) settle(ctx context.Context) error {
	return w.wait(ctx, "replicas are in sync", func() error {
		s, err := w.admin.Snapshot(ctx)
		if err != nil {
			return err
		}
		for _, p := range s.Partitions {
			if len(p.ISR) != len(before) || len(p.Replicas) != len(before) || len(s.Reassignments[p.Topic]) > 0 {
				return fmt.Errorf("%s-%d is on %v, in sync are %v", p.Topic, p.Number, p.Replicas, p.ISR)
			}
		}
		return nil
	})
}

// goTo moves the replicas without a limit, and waits until they are there.
func (w *world) goTo(ctx context.Context, assignment [][]int32) error {
	var moves []kafka.Move
	for p, replicas := range assignment {
		moves = append(moves, kafka.Move{Partition: int32(p), Replicas: replicas, KeepFactor: true})
	}
	results, err := w.admin.Reassign(ctx, map[string][]kafka.Move{topic: moves})
	if err = errors.Join(err, results[topic]); err != nil {
		return err
	}
	err = w.wait(ctx, "the replicas are where they go to", func() error {
		now, err := w.assignment(ctx)
		if err == nil && !slices.EqualFunc(now, assignment, slices.Equal) {
			err = fmt.Errorf("they are on %v", now)
		}
		return err
	})
	if err = errors.Join(err, w.settle(ctx)); err != nil {
		return err
	}
	return w.admin.ElectPreferredLeaders(ctx)
}

// wait looks again and again until check returns nil.
func (w *world) wait(ctx context.Context, what string, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, waitFor)
	defer cancel()
	tick := time.NewTicker(lookFor)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; the last reason: %w", what, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// sizes are those of the partitions, in bytes.
func (w *world) sizes(ctx context.Context) (map[int32]int64, error) {
	loads, err := w.admin.Loads(ctx)
	if err != nil {
		return nil, err
	}
	sizes := map[int32]int64{}
	for _, dirs := range loads {
		for _, dir := range dirs {
			for id, size := range dir.Sizes {
				if id.Topic == topic {
					sizes[id.Number] = max(sizes[id.Number], size)
				}
			}
		}
	}
	return sizes, nil
}

// assignment is where the replicas of the topic are.
func (w *world) assignment(ctx context.Context) ([][]int32, error) {
	live, err := w.admin.DescribeTopics(ctx, []string{topic})
	return live[topic].Replicas, err
}

// throttled tells which throttle is left; nil = none.
func (w *world) throttled(ctx context.Context) error {
	live, err := w.admin.DescribeTopics(ctx, []string{topic})
	if err != nil {
		return err
	}
	for _, key := range []string{"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"} {
		if value, set := live[topic].Config[key]; set && value != "" {
			return fmt.Errorf("topic %s still has %s=%s", topic, key, value)
		}
	}
	for _, id := range append(slices.Clone(all), kafka.AllBrokers) {
		config, err := w.admin.BrokerConfig(ctx, id)
		if err != nil {
			return err
		}
		for _, key := range []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate"} {
			if value, set := config[key]; set {
				return fmt.Errorf("broker %d still has %s=%s", id, key, value)
			}
		}
	}
	return nil
}
