package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	balancedTopic      = "balanced"
	balancedPartitions = 24
	balancedBytes      = 96 << 20
	balancedTolerance  = 10
	balanceManifest    = `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: ctl, replicas: 1, roles: [Controller], storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 192Mi}}
  - {name: main, replicas: 3, roles: [Broker], storage: {volumes: [{name: data, size: 1Gi}]}, jvm: {heap: 256Mi}}
  balancing: {tolerancePercent: 10, bytesPerSecondPerBroker: 4194304, maxMoving: 6}
  listeners:
  - {name: outside, port: 9094, encryption: None, exposure: {type: NodePort}, authentication: {mechanisms: [SCRAM-SHA-512]}}
  authorization: {type: Simple, superUsers: [admin]}
`
)

// Brokers that are added get their share of the data while records flow, and those that leave are emptied, without a
// user who moves anything; an operator that is killed in the middle goes on.
func TestCase44_DataGoesWhereThereIsRoomWhileRecordsFlow(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	amount := balancedAmount(t)
	manifest := replaceOnce(balanceManifest, "PerBroker: 4194304", fmt.Sprintf("PerBroker: %d", amount/balancedPartitions))
	manifest = replaceOnce(manifest, "roles: [Broker], storage: {volumes: [{name: data, size: 1Gi}",
		fmt.Sprintf("roles: [Broker], storage: {volumes: [{name: data, size: %d}", max(1<<30, 4*amount)))
	apply(t, ns, manifest+"\n---\n"+adminManifest)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 4*time.Minute, cluster)
	waitReady(t, time.Minute, userNamed(ns, adminUser))
	l := loginOf(t, ns, adminUser).at(t, ns, sharedName, "outside")
	admin := l.admin(t)
	apply(t, ns, topicManifest(balancedTopic, fmt.Sprintf(", partitions: %d, replicationFactor: 3", balancedPartitions)))
	waitReady(t, time.Minute, topicNamed(ns, balancedTopic))
	fill(t, l, balancedTopic, amount)
	records := startFlow(t, l, balancedTopic, "balanced")
	waitSpread(t, cluster, 1000, 1001, 1002)

	begin := time.Now()
	change(t, cluster, func(c kafkaCluster) { c.Spec.Pools[1].Replicas = new(int32(6)) })
	waitBalancing(t, cluster, "balancing: ", " moves, ")
	if err := killOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitOperator(t)
	waitSpread(t, cluster, 1000, 1001, 1002, 1003, 1004, 1005)
	figureSeconds(t, "balanced-3-to-6", time.Since(begin))
	waitReady(t, time.Minute, cluster)
	mustBeEven(t, admin, 6)
	mustThrottleNothing(t, admin)

	begin = time.Now()
	change(t, cluster, func(c kafkaCluster) { c.Spec.Pools[1].Replicas = new(int32(3)) })
	eventually(t, time.Minute, "the status says what the last broker waits for", func(ctx context.Context) error {
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		for _, n := range cluster.Status.Nodes {
			if n.ID == 1005 && strings.Contains(n.Message, "node 1005 leaves once its ") {
				return nil
			}
		}
		return fmt.Errorf("nodes %+v", cluster.Status.Nodes)
	})
	waitBalancing(t, cluster, "balancing: ", " moves, ")
	if err := killOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitOperator(t)
	whileItMoves(t, cluster, "the brokers have left", func(ctx context.Context) error { return isReady(ctx, cluster) })
	figureSeconds(t, "balanced-6-to-3", time.Since(begin))
	ids, err := registered(t.Context(), l.client(t))
	if err != nil || !slices.Equal(ids, []int32{1000, 1001, 1002}) {
		t.Errorf("registered are %v (%v)", ids, err)
	}
	mustBeEven(t, admin, 3)
	mustThrottleNothing(t, admin)
	if b := cluster.Status.Balancing; b == nil || len(b.InFlight) > 0 {
		t.Errorf("status.balancing is %+v", b)
	}
	staysWithNowhereToGo(t, cluster)
	records.stopKept(t)
}

// staysWithNowhereToGo asks for fewer brokers than a partition has replicas, reads why not, and takes it back.
func staysWithNowhereToGo(t *testing.T, cluster kafkaCluster) {
	t.Helper()
	before := lives(t, cluster.Namespace, sharedName)
	change(t, cluster, func(c kafkaCluster) { c.Spec.Pools[1].Replicas = new(int32(2)) })
	eventually(t, stallLimit, "the status says that replicas have nowhere to go", func(ctx context.Context) error {
		return isStalled(ctx, cluster, "", []string{"spec.pools[main].replicas", "replication factor 3", "2 brokers would stay"})
	})
	change(t, cluster, func(c kafkaCluster) { c.Spec.Pools[1].Replicas = new(int32(3)) })
	waitReady(t, time.Minute, cluster)
	mustLiveOn(t, cluster.Namespace, sharedName, before)
}

// balancedAmount is how many bytes the case begins with; the throttle follows it.
func balancedAmount(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CASTELLAN_E2E_BALANCED_MIB")
	if text == "" {
		return balancedBytes
	}
	mib, err := strconv.Atoi(text)
	if err != nil || mib < 1 {
		t.Fatalf("CASTELLAN_E2E_BALANCED_MIB is %q", text)
	}
	return mib << 20
}

// waitBalancing waits until moves are under way and the status tells how far they are.
func waitBalancing(t *testing.T, cluster kafkaCluster, says ...string) {
	t.Helper()
	eventually(t, 3*time.Minute, "replicas move, and the status says how far they are", func(ctx context.Context) error {
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		b := cluster.Status.Balancing
		if b == nil || len(b.InFlight) == 0 || missingIn(b.Message, says) != "" {
			return fmt.Errorf("status.balancing is %+v", b)
		}
		return nil
	})
}

// waitSpread waits until brokers are on record as having their share, and nothing moves.
func waitSpread(t *testing.T, cluster kafkaCluster, ids ...int32) {
	t.Helper()
	whileItMoves(t, cluster, fmt.Sprintf("brokers %v have their share", ids), func(ctx context.Context) error {
		if err := refresh(ctx, cluster); err != nil {
			return err
		}
		if b := cluster.Status.Balancing; b == nil || len(b.InFlight) > 0 || !slices.Equal(b.Spread, ids) {
			return fmt.Errorf("status.balancing is %+v", b)
		}
		return nil
	})
}

// standstill is for how long nothing may arrive while replicas move.
const standstill = 3 * time.Minute

// whileItMoves waits for as long as replicas move or nodes come and go: how long all of it takes is the machine's
// matter. It fails once nothing has happened for a standstill. The check reads the cluster.
func whileItMoves(t *testing.T, cluster kafkaCluster, what string, check func(ctx context.Context) error) {
	t.Helper()
	begin, done, last := time.Now(), false, ""
	for !done {
		_, err := poll(t.Context(), standstill, what+", or something moves", func(ctx context.Context) error {
			err := check(ctx)
			now := movementOf(cluster)
			if done = err == nil; done || now != last {
				last = now
				return nil
			}
			return fmt.Errorf("%w; nothing moves: %s", err, now)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	say(t, "%s (%.1fs)", what, time.Since(begin).Seconds())
}

// movementOf is what the status tells that changes only as something has arrived, begun, come or gone.
func movementOf(cluster kafkaCluster) string {
	var states []string
	for _, n := range cluster.Status.Nodes {
		states = append(states, fmt.Sprintf("%d %s", n.ID, n.State))
	}
	b := cluster.Status.Balancing
	if b == nil {
		return fmt.Sprint(states)
	}
	return fmt.Sprint(states, b.MovesDone, b.MovesLeft, b.Spread, b.InFlight)
}

// mustBeEven holds that every broker has its share of the bytes, within the tolerance and the size of one partition.
func mustBeEven(t *testing.T, admin *kadm.Client, brokers int) {
	t.Helper()
	eventually(t, time.Minute, "every broker has its share of the bytes", func(ctx context.Context) error {
		all, err := admin.DescribeAllLogDirs(ctx, nil)
		if err != nil {
			return err
		}
		bytes, total, largest := map[int32]int64{}, int64(0), int64(0)
		all.Each(func(d kadm.DescribedLogDir) {
			err = cmp.Or(err, d.Err)
			d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
				bytes[d.Broker] += p.Size
				total, largest = total+p.Size, max(largest, p.Size)
			})
		})
		if err != nil {
			return err
		}
		share := total / int64(brokers)
		for id, held := range bytes {
			if off := max(held-share, share-held); off > share*balancedTolerance/100+largest {
				return fmt.Errorf("broker %d has %d bytes, and its share is %d; all: %v", id, held, share, bytes)
			}
		}
		if len(bytes) != brokers {
			return fmt.Errorf("%d brokers hold data: %v", len(bytes), bytes)
		}
		return nil
	})
}

// mustThrottleNothing holds that no throttle is left on the topic or the brokers.
func mustThrottleNothing(t *testing.T, admin *kadm.Client) {
	t.Helper()
	eventually(t, throttleGone, "no throttle is left", func(ctx context.Context) error {
		for _, key := range throttledReplicas {
			if value, err := topicConfig(ctx, admin, balancedTopic, key); err != nil || value != "" {
				return fmt.Errorf("%s=%s (%v)", key, value, err)
			}
		}
		brokers, err := admin.ListBrokers(ctx)
		if err != nil {
			return err
		}
		all, err := admin.DescribeBrokerConfigs(ctx, brokers.NodeIDs()...)
		if err != nil {
			return err
		}
		for _, broker := range all {
			err = cmp.Or(err, broker.Err)
			for _, c := range broker.Configs {
				if slices.Contains(throttleRates, c.Key) && c.Source != kmsg.ConfigSourceDefaultConfig {
					err = cmp.Or(err, fmt.Errorf("broker %s has %s=%s", broker.Name, c.Key, c.MaybeValue()))
				}
			}
		}
		return err
	})
}
