package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// waitBrokerValue waits until a key is in force on brokers 0 to 2.
func waitBrokerValue(t *testing.T, admin *kadm.Client, key, want string) time.Duration {
	t.Helper()
	return eventually(
		t,
		time.Minute,
		fmt.Sprintf("%s=%s is in force on every broker", key, want),
		func(ctx context.Context) error {
			for id := range int32(3) {
				if value, err := brokerValue(ctx, admin, id, key); err != nil || value != want {
					return fmt.Errorf("broker %d has %q (error %w)", id, value, err)
				}
			}
			return nil
		},
	)
}

func TestCase04_AStaticKeyRestartsEachBrokerOnceOneAtATimeAndNoProducerNotices(t *testing.T) {
	promise(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	waitInSync(t, admin)
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	quorum, err := quorumBy(t.Context(), l.client(t), -1)
	if err != nil {
		t.Fatal(err)
	}
	f := startFlow(t, l, sharedTopic, "rolled")
	watched := watchPods(t, ns, sharedName)
	synced := watchSync(t, admin)
	cluster := clusterNamed(ns, sharedName)
	begin := time.Now()
	change(t, cluster, func(c kafkaCluster) { setConfig(c, "queued.max.requests", "600") })
	eventually(t, time.Minute, "the first broker is restarted", func(context.Context) error {
		if len(watched.restarted()) == 0 {
			return fmt.Errorf("%w", isReady(t.Context(), cluster))
		}
		return nil
	})
	waitReady(t, 5*time.Minute, cluster)
	total := time.Since(begin)
	watched.stop()
	names := watched.restarted()
	sorted := slices.Sorted(slices.Values(names))
	if !slices.Equal(sorted, []string{"events-main-0", "events-main-1", "events-main-2"}) {
		t.Errorf("restarted %v, expected each of 3 pods once:%s", names, watched)
	}
	if most, when := watched.mostDown(); most > 1 {
		t.Errorf("%d pods were down at one time (%s):%s", most, when, watched)
	}
	if last := fmt.Sprintf("events-main-%d", quorum.leader); len(names) > 0 && names[len(names)-1] != last {
		t.Errorf("the quorum's leader was %s and is not the last of %v", last, names)
	}
	waitBrokerValue(t, admin, "queued.max.requests", "600")
	f.stop(t)
	mustFindEachOther(t, ns, sharedName)
	figureSeconds(t, "roll-of-3", total)
	if overhead := total - watched.needed(synced()); len(names) > 0 {
		figureSeconds(t, "restart-overhead", overhead/time.Duration(len(names)))
	}
	say(t, "the pods:%s", watched)
}

func TestCase04_ARunTimeKeyRestartsNobody(t *testing.T) {
	promise(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	before := lives(t, ns, sharedName)
	cluster := clusterNamed(ns, sharedName)
	change(t, cluster, func(c kafkaCluster) {
		setConfig(c, "log.retention.ms", "3600000")
		setConfig(c, "min.insync.replicas", "1")
	})
	took := waitBrokerValue(t, admin, "log.retention.ms", "3600000")
	figureSeconds(t, "run-time-key", took)
	waitBrokerValue(t, admin, "min.insync.replicas", "1")
	waitReady(t, time.Minute, cluster)
	change(t, cluster, func(c kafkaCluster) { setConfig(c, "log.retention.ms", "7200000") })
	waitBrokerValue(t, admin, "log.retention.ms", "7200000")
	change(t, cluster, func(c kafkaCluster) {
		delete(c.Spec.Config, "log.retention.ms")
		delete(c.Spec.Config, "min.insync.replicas")
	})
	waitReady(t, time.Minute, cluster)
	waitBrokerValue(t, admin, "min.insync.replicas", "2")
	waitBrokerValue(t, admin, "log.retention.ms", "") // its default: log.retention.hours counts
	mustLiveOn(t, ns, sharedName, before)
}

// syncPoint is a moment at which the replicas were seen to be all in sync, or not.
type syncPoint struct {
	at   time.Time
	full bool
}

// watchSync records when every replica is in sync; the function that it returns ends that and returns the record.
func watchSync(t *testing.T, admin *kadm.Client) func() []syncPoint {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	points := make(chan []syncPoint, 1)
	go func() {
		var seen []syncPoint
		tick := time.NewTicker(pollInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				points <- seen
				return
			case <-tick.C:
			}
			asked, done := context.WithTimeout(ctx, time.Second)
			full := underReplicated(asked, admin) == nil
			done()
			if len(seen) == 0 || seen[len(seen)-1].full != full {
				seen = append(seen, syncPoint{time.Now(), full})
			}
		}
	}()
	return func() []syncPoint {
		cancel()
		return <-points
	}
}

// needed is the time that Kafka itself took: for each restart, from the deletion of the pod until the new one was ready
// and every replica was in sync again. What a roll takes beyond it is the operator's.
func (l *podLog) needed(synced []syncPoint) time.Duration {
	var sum time.Duration
	events := l.all()
	for i, e := range events {
		if e.what != "deleting" {
			continue
		}
		end := time.Time{}
		for _, later := range events[i+1:] {
			if end.IsZero() && later.pod == e.pod && later.uid != e.uid && later.what == "ready" {
				end = syncedAfter(synced, later.at)
			}
			// The next deletion bounds it: we look for the replicas less often than the operator.
			if later.what == "deleting" {
				if !end.IsZero() && later.at.Before(end) {
					end = later.at
				}
				break
			}
		}
		if !end.IsZero() {
			sum += end.Sub(e.at)
		}
	}
	return sum
}

// syncedAfter is when, at or after a moment, every replica was first seen in sync.
func syncedAfter(synced []syncPoint, moment time.Time) time.Time {
	full := true
	for _, p := range synced {
		if p.at.After(moment) {
			if full {
				break
			}
			if p.full {
				return p.at
			}
		}
		full = p.full
	}
	return moment
}
