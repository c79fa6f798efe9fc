package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/test/timeline"
)

const (
	sampleEvery = 250 * time.Millisecond
	// sampleHolds is how long an answer of Kafka counts when the next ones do not come, such as while a leader moves.
	sampleHolds = 3 * time.Second
	// minISR is min.insync.replicas of all topics in the clusters that are recorded.
	minISR = 2
)

// recorder asks several times a second where every broker of a cluster is: the API server for its pod, and Kafka, as a
// client of its own and not through the operator's eyes, for whether it is unfenced and in sync.
type recorder struct {
	began time.Time
	kafka *kgo.Client
	stop  func()

	mu      sync.Mutex
	record  timeline.Record
	pods    map[string]*corev1.Pod // by name; nil = there was one
	facts   kafkaFacts
	short   []string // partitions below min ISR, when they were seen
	samples int
}

// kafkaFacts are those of one answer.
type kafkaFacts struct {
	at       time.Time
	unfenced map[int32]string // racks, by broker
	behind   map[int32]bool   // brokers that are not in sync with all that they replicate
	short    []string         // partitions below min ISR that have a replica to spare
}

// startRecorder records until finish is called or the case ends.
func startRecorder(t *testing.T, namespace, cluster string, l login) *recorder {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &recorder{
		began: time.Now(), pods: map[string]*corev1.Pod{},
		kafka: l.client(t, kgo.RetryTimeout(time.Second)),
	}
	brokers := client.MatchingLabels{v1alpha1.LabelCluster: cluster, v1alpha1.LabelBroker: "true"}
	unfollow, err := followPods(namespace, brokers, r.follow)
	if err != nil {
		cancel()
		t.Fatalf("watch pods: %v", err)
	}
	var done sync.WaitGroup
	done.Go(func() { r.sample(ctx) })
	r.stop = sync.OnceFunc(func() { unfollow(); cancel(); done.Wait() })
	t.Cleanup(func() {
		if r.stop(); t.Failed() {
			t.Logf("what the brokers did:\n%s", r.record.Text())
		}
	})
	eventually(t, 30*time.Second, "every broker is seen to serve", func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for name, pod := range r.pods {
			if state := r.state(name, pod, time.Now()); state != timeline.Serving {
				return fmt.Errorf("%s: state %d; Kafka: %+v", name, state, r.facts)
			}
		}
		if r.samples == 0 {
			return fmt.Errorf("nothing is seen of %d brokers", len(r.pods))
		}
		return nil
	})
	return r
}

// follow keeps the pods as the API server has them.
func (r *recorder) follow(pod *corev1.Pod, kind watch.EventType) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := brokerName(pod)
	if kind == watch.Deleted {
		r.pods[name] = nil
		return
	}
	starts := int32(0)
	for _, c := range pod.Status.ContainerStatuses {
		starts += c.RestartCount
	}
	r.pods[name] = pod
	r.record.Live(name, fmt.Sprintf("%s %d", pod.UID, starts))
}

// brokerName is pool and node id, as in the name of the pod.
func brokerName(pod *corev1.Pod) string {
	return strings.TrimPrefix(pod.Name, pod.Labels[v1alpha1.LabelCluster]+"-")
}

func (r *recorder) sample(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// The pods first: who stops after Kafka said that all are in sync does not meet the one that came back before.
		r.mu.Lock()
		pods := maps.Clone(r.pods)
		r.mu.Unlock()
		asked, done := context.WithTimeout(ctx, time.Second)
		// Not by kadm, which answers from a cache that may be seconds old.
		metadata, err := kmsg.NewPtrMetadataRequest().RequestWith(asked, r.kafka)
		done()
		r.mu.Lock()
		now := time.Now()
		if err == nil && len(metadata.Brokers) > 0 {
			r.note(factsOf(metadata, now))
		}
		if !r.facts.at.IsZero() {
			r.samples++
			for name, pod := range pods {
				r.record.See(now.Sub(r.began), name, r.rackOf(name), r.state(name, pod, now))
			}
		}
		r.mu.Unlock()
	}
}

func factsOf(metadata *kmsg.MetadataResponse, now time.Time) kafkaFacts {
	facts := kafkaFacts{at: now, unfenced: map[int32]string{}, behind: map[int32]bool{}}
	for _, b := range metadata.Brokers {
		facts.unfenced[b.NodeID] = ""
		if b.Rack != nil {
			facts.unfenced[b.NodeID] = *b.Rack
		}
	}
	for _, topic := range metadata.Topics {
		for _, p := range topic.Partitions {
			for _, id := range p.Replicas {
				if !slices.Contains(p.ISR, id) {
					facts.behind[id] = true
				}
			}
			// With no replica to spare, no restart can keep it there: spec.rolling.unavailable has the word on those.
			if len(p.Replicas) > minISR && len(p.ISR) < minISR {
				facts.short = append(facts.short, fmt.Sprintf("%s-%d with %v of %v", *topic.Topic, p.Partition, p.ISR, p.Replicas))
			}
		}
	}
	slices.Sort(facts.short)
	return facts
}

func (r *recorder) note(facts kafkaFacts) {
	r.facts = facts
	if len(facts.short) > 0 && len(r.short) < 20 {
		r.short = append(
			r.short,
			fmt.Sprintf("%.1fs: %d partitions, first %s", facts.at.Sub(r.began).Seconds(), len(facts.short), facts.short[0]),
		)
	}
}

func brokerID(name string) int32 {
	id, _ := strconv.ParseInt(name[strings.LastIndex(name, "-")+1:], 10, 32)
	return int32(id)
}

// rackOf is as Kafka knows it; empty while it does not know the broker.
func (r *recorder) rackOf(name string) string { return r.facts.unfenced[brokerID(name)] }

// state puts together what both said.
func (r *recorder) state(name string, pod *corev1.Pod, now time.Time) timeline.State {
	id := brokerID(name)
	_, unfenced := r.facts.unfenced[id]
	serves, age := unfenced && !r.facts.behind[id], now.Sub(r.facts.at)
	switch {
	case pod == nil:
		return timeline.Gone
	case pod.DeletionTimestamp != nil:
		return timeline.Stopping
	case !podReady(pod):
		return timeline.Starting
	case age > sampleHolds, age > 0 && !serves: // what kept it may be over, and whoever stops now may have waited for that
		return timeline.Unknown
	case !unfenced:
		return timeline.Starting
	case r.facts.behind[id]:
		return timeline.CatchingUp
	default:
		return timeline.Serving
	}
}

// mark notes in the record what the case does.
func (r *recorder) mark(t *testing.T, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	say(t, "%s", text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.record.Mark(time.Since(r.began), text)
}

// finish ends the record, prints its picture, keeps it as SVG when CASTELLAN_E2E_ARTIFACTS says where, and fails when a
// partition was seen below its min.insync.replicas.
func (r *recorder) finish(t *testing.T, title string) *timeline.Record {
	t.Helper()
	r.stop()
	t.Logf("%s:\n%s", title, r.record.Text())
	if dir := os.Getenv("CASTELLAN_E2E_ARTIFACTS"); dir != "" {
		path := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "_")+".svg")
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(path, []byte(r.record.SVG(title)), 0o644)); err != nil {
			t.Errorf("keep the picture: %v", err)
		}
	}
	if len(r.short) > 0 {
		t.Errorf(
			"partitions were below min.insync.replicas in %d samples:\n  %s",
			len(r.short),
			strings.Join(r.short, "\n  "),
		)
	}
	// A record with holes proves little.
	if want := int(r.record.Length() / sampleEvery / 3); r.samples < want {
		t.Errorf("only %d samples in %s", r.samples, r.record.Length())
	}
	return &r.record
}

// mustRestart fails unless exactly these brokers were restarted, each as often as told.
func mustRestart(t *testing.T, record *timeline.Record, want map[string]int) {
	t.Helper()
	got := record.Restarts()
	maps.DeleteFunc(got, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(got, want) {
		t.Errorf("restarts %v, expected %v", got, want)
	}
}

// mustStayInOneRack fails when brokers of two racks did not serve at one time.
func mustStayInOneRack(t *testing.T, record *timeline.Record) {
	t.Helper()
	if racks := record.MostRacksDown(); len(racks.Names) > 1 {
		t.Errorf("brokers of racks %v did not serve at one time, %.1fs after the start", racks.Names, racks.At.Seconds())
	}
}
