package e2e

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const (
	restTopics = 50
	restUsers  = 20
)

func restTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("CASTELLAN_E2E_REST")
	if text == "" {
		return 240 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CASTELLAN_E2E_REST: %v", err)
	}
	return d
}

func TestCase10_AtRestNothingIsWritten(t *testing.T) {
	promise(t)
	ns := shared(t)
	admin := sharedAdmin(t)
	var crowd []string
	for i := range restTopics {
		crowd = append(
			crowd,
			topicManifest(
				fmt.Sprintf("rest-%d", i),
				", partitions: 1, replicationFactor: 2, config: {retention.ms: \"3600000\"}",
			),
		)
	}
	for i := range restUsers {
		crowd = append(crowd, userManifest(fmt.Sprintf("rest-%d", i), sharedTopic, allMechanisms[i%3]))
	}
	begin := time.Now()
	apply(t, ns, strings.Join(crowd, "\n---\n"))
	eventually(
		t,
		2*time.Minute,
		fmt.Sprintf("%d topics and %d users are Ready", restTopics, restUsers),
		func(ctx context.Context) error {
			return allReady(ctx, ns)
		},
	)
	figureSeconds(t, "50-topics-and-20-users-to-ready", time.Since(begin))
	waitInSync(t, admin)
	waitQuiet(t)
	say(t, "asleep for %s", restTime(t))

	rest := restTime(t)
	before := readMetrics(t)
	mark := auditMarkIfLocal(t)
	log := metadataEnd(t, ns)
	always(
		t,
		rest,
		"everything stays Ready",
		func(ctx context.Context) error { return isReady(ctx, clusterNamed(ns, sharedName)) },
	)
	if mark >= 0 {
		writes, reads := auditSince(t, mark, operatorUser(t))
		if len(writes) > 0 {
			t.Errorf("%d write requests to the API in %s at rest:%s", len(writes), rest, tally(writes))
		}
		figure(t, "api-writes-at-rest", "%d", len(writes))
		figure(t, "api-reads-at-rest", "%d", len(reads))
		say(t, "reads at rest:%s", tally(reads))
	}
	if written := metadataSince(t, ns, log); len(written) > 0 {
		t.Errorf("Kafka's metadata log has records that nobody asked for in %s at rest: %v", rest, written)
	}
	if after := readMetrics(t); after != nil {
		figure(t, "operator-memory", "%.1f MiB", after["process_resident_memory_bytes"]/(1<<20))
		figure(
			t,
			"operator-cpu-at-rest",
			"%.2f %% of a core",
			100*(after["process_cpu_seconds_total"]-before["process_cpu_seconds_total"])/rest.Seconds(),
		)
	}
}

// allReady tells which object of a namespace is not Ready.
func allReady(ctx context.Context, ns string) error {
	var topics v1alpha1.KafkaTopicList
	var users v1alpha1.KafkaUserList
	for _, list := range []client.ObjectList{&topics, &users} {
		if err := kube.List(ctx, list, client.InNamespace(ns)); err != nil {
			return err
		}
	}
	if len(topics.Items) < restTopics || len(users.Items) < restUsers {
		return fmt.Errorf("%d topics and %d users", len(topics.Items), len(users.Items))
	}
	var waiting []string
	note := func(o object) {
		for _, c := range o.conditions() {
			if c.Type == v1alpha1.ConditionReady && c.Status == "True" && c.ObservedGeneration == o.GetGeneration() {
				return
			}
		}
		waiting = append(waiting, fmt.Sprintf("%s %s: %s", kindOf(o), o.GetName(), told(o.conditions())))
	}
	for i := range topics.Items {
		note(kafkaTopic{&topics.Items[i]})
	}
	for i := range users.Items {
		note(kafkaUser{&users.Items[i]})
	}
	if len(waiting) > 0 {
		return fmt.Errorf("%d are not Ready, the first: %s", len(waiting), waiting[0])
	}
	return nil
}

// Whether the operator writes to Kafka is read from Kafka's own metadata log: topics, configuration, SCRAM credentials,
// ACLs, quotas, voters and leaderships are all records there, whoever asked by whatever request. The active controller
// itself appends a NoOpRecord twice a second; every other record is somebody's deed.

const metadataLog = "/var/lib/castellan/data/log/__cluster_metadata-0"

// metadataEnd returns the end of the metadata log.
func metadataEnd(t *testing.T, ns string) int64 {
	t.Helper()
	var q quorum
	cl := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside").client(t)
	eventually(t, 30*time.Second, "the end of the metadata log is known", func(ctx context.Context) (err error) {
		q, err = quorumBy(ctx, cl, -1)
		return err
	})
	return q.highWatermark
}

var dumpedRecord = regexp.MustCompile(`offset: (\d+) .*payload: \{"type":"([A-Z_]+)"`)

// metadataSince counts the records of the metadata log from an offset on, by type, other than the controller's own
// NoOpRecords. The console tools of the Kafka image read the log's segments.
func metadataSince(t *testing.T, ns string, from int64) map[string]int {
	t.Helper()
	script := "for f in " + metadataLog + "/*.log; do LOG_DIR=/tmp KAFKA_HEAP_OPTS=-Xmx96m " +
		"/opt/kafka/bin/kafka-dump-log.sh --cluster-metadata-decoder --files $f; done | grep -v NO_OP_RECORD"
	out, err := kubectl(t.Context(), "exec", "-n", ns, "events-main-0", "-c", "kafka", "--", "bash", "-c", script)
	if err != nil {
		t.Fatalf("read the metadata log: %v", err)
	}
	counts, dumped := map[string]int{}, 0
	for line := range strings.SplitSeq(out, "\n") {
		found := dumpedRecord.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		dumped++
		if offset, _ := strconv.ParseInt(found[1], 10, 64); offset >= from {
			counts[found[2]]++
		}
	}
	if dumped == 0 {
		t.Fatalf("the metadata log cannot be read: %s", tail(out))
	}
	return counts
}
