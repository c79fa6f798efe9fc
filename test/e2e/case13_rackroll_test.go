package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/test/timeline"
)

func TestCase13_AStaticChangeRollsRackByRackAfterATrialAndNoProducerNotices(t *testing.T) {
	long(t)
	v := fleet.sail(t)
	mustSpanRacks(t, v)
	controllers := watchPods(t, v.ns, sharedName)
	begin := time.Now()
	v.rec.mark(t, "queued.max.requests is changed")
	change(t, v.cluster, func(c kafkaCluster) { setConfig(c, "queued.max.requests", "600") })
	v.waitRestarts(t, 1)
	waitReady(t, 8*time.Minute, v.cluster)
	v.rec.mark(t, "the cluster is Ready")
	took := time.Since(begin)
	record := v.arrive(t, time.Minute, "Six brokers in three zones: a static change")
	figureSeconds(t, "roll-of-6-and-3-controllers", took)
	mustRestart(t, record, once(fleetBrokers...))
	mustStayInOneRack(t, record)
	batches := record.Batches()
	figure(t, "batches-of-6-in-3-racks", "%d", len(batches))
	if len(batches) == 0 || len(batches[0].Names) != 1 {
		t.Errorf("no broker was tried alone: %v", batches)
	}
	if most := record.MostDown(); len(most.Names) < 2 {
		t.Errorf("never more than one broker was restarted at once, expected all that a rack has: %v", batches)
	}
	if most := 4; len(batches) > most {
		t.Errorf("%d batches, expected at most %d, one on trial and one a rack: %v", len(batches), most, batches)
	}
	mustFollowRacks(t, record)
	counts := map[string]int{}
	for _, name := range controllers.restarted() {
		counts[name]++
	}
	if len(counts) != 9 {
		t.Errorf("pods that were restarted: %v, expected each of 9", counts)
	}
	for name, n := range counts {
		if n != 1 {
			t.Errorf("pod %s was restarted %d times", name, n)
		}
	}
	admin := v.login.admin(t)
	for id := range int32(6) {
		if value, err := brokerValue(t.Context(), admin, id, "queued.max.requests"); value != "600" {
			t.Errorf("broker %d has queued.max.requests=%s (error %v), expected 600", id, value, err)
		}
	}
}

// mustSpanRacks fails unless every partition has its replicas in three racks: only then is it any good to say that one
// rack at a time was down.
func mustSpanRacks(t *testing.T, v *voyage) {
	t.Helper()
	metadata, err := v.login.admin(t).Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	racks, all := map[int32]string{}, map[string]bool{}
	for _, b := range metadata.Brokers {
		if b.Rack == nil {
			t.Fatalf("broker %d has no rack", b.NodeID)
		}
		racks[b.NodeID], all[*b.Rack] = *b.Rack, true
	}
	if len(racks) != 6 || len(all) != 3 {
		t.Fatalf("%d brokers in %d racks, expected 6 in 3: %v", len(racks), len(all), racks)
	}
	for _, p := range metadata.Topics[sharedTopic].Partitions {
		of := map[string]bool{}
		for _, id := range p.Replicas {
			of[racks[id]] = true
		}
		if len(of) != 3 {
			t.Fatalf("%s-%d has its replicas %v in %d racks", sharedTopic, p.Partition, p.Replicas, len(of))
		}
	}
}

// mustFollowRacks fails when a rack was left before all of its brokers were done.
func mustFollowRacks(t *testing.T, record *timeline.Record) {
	t.Helper()
	left, now := map[string]bool{}, ""
	for _, batch := range record.Batches() {
		for _, name := range batch.Names {
			rack := record.Rack(name)
			if rack != now {
				if left[now] = true; left[rack] {
					t.Errorf("the roll came back to rack %s: %s", rack, fmt.Sprint(record.Batches()))
				}
				now = rack
			}
		}
	}
}
