package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const recordSize = 1 << 10

// flow is a producer with acks=all that sends so many records a second, to one partition after the other.
type flow struct {
	w      *world
	client *kgo.Client
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	took   []time.Duration // from when they were due to acknowledgement, since the last call of taken
	acked  map[string]kgo.Record
	failed error
}

func (w *world) startFlow(ctx context.Context) (*flow, error) {
	producer, err := w.producer()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	f := &flow{w: w, client: producer, cancel: cancel, acked: map[string]kgo.Record{}}
	f.done.Go(func() { f.send(ctx) })
	return f, nil
}

func (f *flow) send(ctx context.Context) {
	every, value := time.Second/time.Duration(f.w.options.Records), make([]byte, recordSize)
	// A record counts from when it was due, so that those which had to wait behind a slow one count as slow, too.
	for n, due := 0, time.Now(); ; n, due = n+1, due.Add(every) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		r := &kgo.Record{Partition: int32(n % partitions), Key: fmt.Appendf(nil, "%d", n), Value: value}
		f.client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if err != nil {
				f.failed = cmp.Or(f.failed, err)
				return
			}
			f.took = append(f.took, time.Since(due))
			f.acked[string(r.Key)] = kgo.Record{Partition: r.Partition, Offset: r.Offset}
		})
	}
}

// taken returns how long records took since the last call.
func (f *flow) taken() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	took := f.took
	f.took = nil
	return took
}

// stop ends the sending and counts the acknowledged records, and those of them that are not where they were
// acknowledged.
func (f *flow) stop(ctx context.Context) (acked, lost int, err error) {
	f.cancel()
	f.done.Wait()
	defer f.client.Close()
	if err := errors.Join(f.client.Flush(ctx), f.failed); err != nil {
		return 0, 0, fmt.Errorf("send records: %w", err)
	}
	left, offsets := map[int32]int64{}, map[int32]kgo.Offset{}
	for _, r := range f.acked {
		left[r.Partition] = max(left[r.Partition], r.Offset+1)
	}
	for p := range left {
		offsets[p] = kgo.NewOffset().At(f.w.first[p])
	}
	ends := maps.Clone(left)
	reader, err := kgo.NewClient(kgo.SeedBrokers(f.w.brokers.Admins()...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))
	if err != nil {
		return 0, 0, err
	}
	defer reader.Close()
	found := map[string]kgo.Record{}
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err()); err != nil {
			return 0, 0, fmt.Errorf("read the records back: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			found[string(r.Key)] = kgo.Record{Partition: r.Partition, Offset: r.Offset}
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
	for key, at := range f.acked {
		if there := found[key]; there.Partition != at.Partition || there.Offset != at.Offset {
			lost++
		}
	}
	for p, end := range ends { // the next flow begins after these
		f.w.first[p] = end
	}
	return len(f.acked), lost, nil
}
