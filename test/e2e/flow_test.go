package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// flow is a producer with acks=all and idempotence, as a library has it by default, beside a consumer that counts. It
// keeps a ledger of every acknowledged record, so that at the end nothing acknowledged may be missing.
type flow struct {
	topic    string
	group    string // also in the keys: many flows go through one topic
	login    login
	producer *kgo.Client
	consumer *kgo.Client
	cancel   context.CancelFunc // ends the sending
	hangUp   context.CancelFunc // ends the reading
	sending  sync.WaitGroup
	reading  sync.WaitGroup

	mu       sync.Mutex
	sent     int
	acked    map[string]place // by key
	errors   []error
	lastAck  time.Time
	stall    time.Duration // longest time between two acknowledgements
	slowest  time.Duration // longest time from a record to its acknowledgement
	consumed int
	read     map[string]bool // by key
	lastRead time.Time
}

// place is where a record was acknowledged to be.
type place struct {
	partition int32
	offset    int64
}

// record is what a flow sends.
type record struct {
	ID   int       `json:"id"`
	Sent time.Time `json:"sent"`
	Text string    `json:"text"`
}

const flowPause = 5 * time.Millisecond

// deliveryTimeout is how long a record may take until it is acknowledged before we call the cluster unavailable: a
// quarter of what Java's producer gives it (delivery.timeout.ms), and as long as it waits for one answer.
const deliveryTimeout = 30 * time.Second

// startFlow begins to send and to read, and returns after the first acknowledgement.
func startFlow(t *testing.T, l login, topic, group string) *flow {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listening, hangUp := context.WithCancel(context.Background())
	f := &flow{
		topic: topic, group: group, login: l, cancel: cancel, hangUp: hangUp, acked: map[string]place{}, read: map[string]bool{},
		producer: l.client(t, kgo.DefaultProduceTopic(topic), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0)),
		consumer: l.client(
			t,
			kgo.ConsumeTopics(topic),
			kgo.ConsumerGroup(group),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		),
	}
	f.sending.Go(func() { f.produce(ctx) })
	f.reading.Go(func() { f.consume(listening) })
	t.Cleanup(func() { cancel(); hangUp(); f.sending.Wait(); f.reading.Wait() })
	eventually(t, time.Minute, "records flow", func(context.Context) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.acked) == 0 || f.consumed == 0 {
			return fmt.Errorf("%d records acknowledged, %d read; errors: %w", len(f.acked), f.consumed, errors.Join(f.errors...))
		}
		return nil
	})
	return f
}

func (f *flow) produce(ctx context.Context) {
	tick := time.NewTicker(flowPause)
	defer tick.Stop()
	for id := 0; ; id++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		value, _ := json.Marshal(record{id, now, "the quick brown fox"}) // a struct of plain fields
		key := fmt.Sprintf("%s-%d", f.group, id)
		f.mu.Lock()
		f.sent++
		f.mu.Unlock()
		// Not ctx: what was begun is seen through, and stop waits for it.
		f.producer.Produce(context.Background(), &kgo.Record{Key: []byte(key), Value: value}, f.promise)
	}
}

func (f *flow) promise(r *kgo.Record, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.errors = append(f.errors, fmt.Errorf("%s %s: %w", time.Now().Format(time.TimeOnly), r.Key, err))
		return
	}
	now := time.Now()
	if !f.lastAck.IsZero() {
		f.stall = max(f.stall, now.Sub(f.lastAck))
	}
	f.lastAck = now
	f.slowest = max(f.slowest, now.Sub(r.Timestamp))
	f.acked[string(r.Key)] = place{r.Partition, r.Offset}
}

func (f *flow) consume(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := f.consumer.PollFetches(ctx)
		f.mu.Lock()
		if n := fetches.NumRecords(); n > 0 {
			f.consumed += n
			f.lastRead = time.Now()
			fetches.EachRecord(func(r *kgo.Record) { f.read[string(r.Key)] = true })
		}
		f.mu.Unlock()
	}
}

// progress waits until the flow has acknowledged and read records that were sent after now: the clients go on.
func (f *flow) progress(t *testing.T, within time.Duration) {
	t.Helper()
	since := time.Now()
	eventually(t, within, "the clients go on", func(context.Context) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.lastAck.Before(since) || f.lastRead.Before(since) {
			return fmt.Errorf("the last acknowledgement is %s old and the last read %s",
				time.Since(f.lastAck).Round(time.Second), time.Since(f.lastRead).Round(time.Second))
		}
		return nil
	})
}

// stop ends the flow and checks the ledger: no error came through the library's own retries, and no acknowledged record
// is lost.
func (f *flow) stop(t *testing.T) {
	t.Helper()
	f.stopKept(t)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errors) > 0 {
		t.Errorf("the producer saw %d errors, the first: %v", len(f.errors), f.errors[0])
	}
}

// stopKept ends the producer, waits for what is under way, and holds that every acknowledged record reached the consumer
// and can be read where it was acknowledged. What was refused may be missing: where a disk fails under a record, Kafka
// answers with errors that no producer tries again.
func (f *flow) stopKept(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pace.Of(2*time.Minute))
	defer cancel()
	f.cancel()
	f.sending.Wait()
	if err := f.producer.Flush(ctx); err != nil {
		t.Fatalf("records are still not acknowledged: %v", err)
	}
	eventually(
		t,
		time.Minute,
		"the consumer has read what was acknowledged",
		func(context.Context) error { return f.unread() },
	)
	f.hangUp()
	f.reading.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	say(t, "%d records acknowledged of %d sent, %d read; longest stall %.1fs, slowest record %.1fs",
		len(f.acked), f.sent, f.consumed, f.stall.Seconds(), f.slowest.Seconds())
	figureSeconds(t, "slowest-record", f.slowest)
	found := readAll(ctx, t, f.login, f.topic)
	lost := 0
	for key, at := range f.acked {
		if found[key] != at {
			if lost++; lost <= 5 {
				t.Errorf("%s was acknowledged at partition %d, offset %d, and is not there", key, at.partition, at.offset)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged records are lost", lost, len(f.acked))
	}
}

// unread tells of acknowledged records that the consumer has not read.
func (f *flow) unread() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	missing := 0
	for key := range f.acked {
		if !f.read[key] {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d acknowledged records", missing, len(f.acked))
	}
	return nil
}

// stopServed is stop, and fails when the cluster was unavailable to a record: when its acknowledgement took longer than
// deliveryTimeout.
func (f *flow) stopServed(t *testing.T) {
	t.Helper()
	f.stop(t)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.slowest > pace.Of(deliveryTimeout) {
		t.Errorf("a record was acknowledged after %s, expected within %s", f.slowest, pace.Of(deliveryTimeout))
	}
	if len(f.acked) != f.sent {
		t.Errorf("%d of %d records were acknowledged", len(f.acked), f.sent)
	}
}

// readAll reads a topic from its beginning to its present end, without a group.
func readAll(ctx context.Context, t *testing.T, l login, topic string) map[string]place {
	t.Helper()
	cl := l.client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	var ends kadm.ListedOffsets
	// A NodePort opens a moment after the endpoint behind it is ready: what Kubernetes takes for that is nobody's fault.
	eventually(t, 20*time.Second, "the end of topic "+topic+" is known", func(ctx context.Context) (err error) {
		if ends, err = kadm.NewClient(cl).ListEndOffsets(ctx, topic); err == nil {
			err = ends.Error()
		}
		return err
	})
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	found := map[string]place{}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("read topic %s: %d partitions are not read to their end: %v", topic, len(left), ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			found[string(r.Key)] = place{r.Partition, r.Offset}
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
	return found
}
