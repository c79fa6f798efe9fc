package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

const (
	volumesTopic = "volumes"
	volumesBytes = 96 << 20
	// volumesRate is the throttle of the moves in this case, and of nothing else.
	volumesRate = 8 << 20
)

// A volume that is added to a pool gets its share of what each broker holds, and one that is taken out is emptied
// before its pods go on without it. Records flow all the while, and claims are kept.
func TestCase46_AVolumeComesAndAnotherLeavesWhileRecordsFlow(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the class is the local cluster's")
	}
	ns := newNamespace(t)
	manifest := strings.Replace(disksManifest, "  listeners:\n", fmt.Sprintf(
		"  balancing: {mode: OnScale, tolerancePercent: 10, bytesPerSecondPerBroker: %d}\n  listeners:\n", volumesRate), 1)
	d := startDisks(t, ns, manifest)
	admin := d.login.admin(t)
	apply(t, ns, topicManifest(volumesTopic, ", partitions: 12, replicationFactor: 3"))
	waitReady(t, time.Minute, topicNamed(ns, volumesTopic))
	fill(t, d.login, volumesTopic, volumesBytes)
	claims := claimUIDs(t, ns)

	begin := time.Now()
	change(t, d.cluster, func(c kafkaCluster) {
		third := *volume(c, 1)
		third.Name, third.Size = "third", resource.MustParse("400Mi")
		mainPool(c).Storage.Volumes = append(mainPool(c).Storage.Volumes, third)
	})
	d.hasSpread(t, "main/data", "main/more", "main/third")
	waitReady(t, time.Minute, d.cluster)
	figureSeconds(t, "volume-added", time.Since(begin))
	d.volumesAreEven(t, admin, "data", "more", "third")
	d.flow.progress(t, 30*time.Second)

	d.refusesToLoseTheFirst(t)

	begin = time.Now()
	change(t, d.cluster, func(c kafkaCluster) {
		pool := mainPool(c)
		pool.Storage.Volumes = slices.DeleteFunc(pool.Storage.Volumes,
			func(v v1alpha1.Volume) bool { return v.Name == "more" })
	})
	eventually(t, time.Minute, "the status says what the volume waits for", func(ctx context.Context) error {
		if err := refresh(ctx, d.cluster); err != nil {
			return err
		}
		held := strings.Join(d.cluster.Status.Plan.Held, "\n")
		if missing := missingIn(held, []string{"volume more of pool main not removed: it holds "}); missing != "" {
			return fmt.Errorf("%q is missing in %q", missing, held)
		}
		return nil
	})
	eventually(t, 8*time.Minute, "no pod mounts the volume", func(ctx context.Context) error {
		pods, err := podsOf(ctx, ns, sharedName)
		if err != nil {
			return err
		}
		for i := range pods {
			for _, v := range pods[i].Spec.Volumes {
				if v.Name == "more" {
					return fmt.Errorf("%s does; the KafkaCluster says: %w", pods[i].Name, isReady(ctx, d.cluster))
				}
			}
		}
		return isReady(ctx, d.cluster)
	})
	figureSeconds(t, "volume-removed", time.Since(begin))
	d.volumesAreEven(t, admin, "data", "third")
	waitInSync(t, admin)
	mustLeaveNothingBehind(t, admin)
	now := claimUIDs(t, ns)
	for name, uid := range claims {
		if now[name] != uid {
			t.Errorf("claim %s is not kept", name)
		}
	}
	d.flow.stopKept(t)
}

// hasSpread waits until volumes are on record as having their share, and nothing moves.
func (d disks) hasSpread(t *testing.T, volumes ...string) {
	t.Helper()
	eventually(t, 8*time.Minute, fmt.Sprintf("volumes %v have their share", volumes), func(ctx context.Context) error {
		if err := refresh(ctx, d.cluster); err != nil {
			return err
		}
		b := d.cluster.Status.Balancing
		if b == nil || len(b.InFlight) > 0 || !slices.Equal(b.SpreadVolumes, volumes) {
			return fmt.Errorf("status.balancing is %+v; the KafkaCluster says: %w", b, isReady(ctx, d.cluster))
		}
		return nil
	})
}

// volumesAreEven holds that every broker has exactly these volumes, and on each its share of the bytes, within the
// tolerance and the size of one partition.
func (d disks) volumesAreEven(t *testing.T, admin *kadm.Client, volumes ...string) {
	t.Helper()
	eventually(t, time.Minute, "every volume has its share of the bytes", func(ctx context.Context) error {
		all, err := admin.DescribeAllLogDirs(ctx, nil)
		if err != nil {
			return err
		}
		bytes, largest := map[int32]map[string]int64{}, int64(0)
		all.Each(func(dir kadm.DescribedLogDir) {
			err = cmp.Or(err, dir.Err)
			if bytes[dir.Broker] == nil {
				bytes[dir.Broker] = map[string]int64{}
			}
			name := strings.TrimSuffix(strings.TrimPrefix(dir.Dir, "/var/lib/castellan/"), "/log")
			bytes[dir.Broker][name] += 0
			dir.Topics.Each(func(p kadm.DescribedLogDirPartition) {
				bytes[dir.Broker][name] += p.Size
				largest = max(largest, p.Size)
			})
		})
		if err != nil {
			return err
		}
		for id, held := range bytes {
			if has := slices.Sorted(maps.Keys(held)); !slices.Equal(has, volumes) {
				return fmt.Errorf("broker %d has the volumes %v", id, has)
			}
			total := int64(0)
			for _, n := range held {
				total += n
			}
			for name, n := range held {
				share := total / int64(len(volumes))
				if off := max(n-share, share-n); off > share/10+largest {
					return fmt.Errorf("volume %s of broker %d has %d bytes, and its share is %d: %v", name, id, n, share, held)
				}
			}
		}
		if len(bytes) != 3 {
			return fmt.Errorf("%d brokers answer", len(bytes))
		}
		return nil
	})
}

// refusesToLoseTheFirst takes the volume with the metadata log out, reads why not, and puts it back.
func (d disks) refusesToLoseTheFirst(t *testing.T) {
	t.Helper()
	var first v1alpha1.Volume
	change(t, d.cluster, func(c kafkaCluster) {
		pool := mainPool(c)
		first, pool.Storage.Volumes = pool.Storage.Volumes[0], slices.Clone(pool.Storage.Volumes[1:])
	})
	eventually(t, time.Minute, "the first volume cannot be taken out", func(ctx context.Context) error {
		return isStalled(ctx, d.cluster, "Invalid", []string{
			"spec.pools[main].storage.volumes[data]", "holds the metadata log", "put it back as the first"})
	})
	change(t, d.cluster, func(c kafkaCluster) {
		pool := mainPool(c)
		pool.Storage.Volumes = slices.Insert(pool.Storage.Volumes, 0, first)
	})
	waitReady(t, time.Minute, d.cluster)
}

// mustLeaveNothingBehind holds that neither a throttle of moves nor a cordon is left on a broker. Kafka lists a throttle
// only where one is set.
func mustLeaveNothingBehind(t *testing.T, admin *kadm.Client) {
	t.Helper()
	keys := append(slices.Clone(throttleRates), "replica.alter.log.dirs.io.max.bytes.per.second", "cordoned.log.dirs")
	eventually(t, time.Minute, "no throttle and no cordon is left", func(ctx context.Context) error {
		brokers, err := admin.DescribeBrokerConfigs(ctx, 0, 1, 2)
		if err != nil {
			return err
		}
		if len(brokers) != 3 {
			return fmt.Errorf("%d brokers answer", len(brokers))
		}
		for _, b := range brokers {
			if b.Err != nil {
				return fmt.Errorf("broker %s: %w", b.Name, b.Err)
			}
			for _, c := range b.Configs {
				if slices.Contains(keys, c.Key) && c.Source != kmsg.ConfigSourceDefaultConfig {
					return fmt.Errorf("broker %s has %s=%s", b.Name, c.Key, c.MaybeValue())
				}
			}
		}
		return nil
	})
}
