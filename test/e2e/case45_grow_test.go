package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// onClass gives the only volume of a manifest real disks of a class of the local cluster.
func onClass(manifest, class string) string {
	return strings.Replace(manifest, "{name: data, size: 1Gi}", "{name: data, size: 400Mi, storageClassName: "+class+"}", 1)
}

func TestCase45_DisksGrowUnderRunningBrokers(t *testing.T) {
	promise(t)
	if !isLocal() {
		t.Skip("the class is the local cluster's")
	}
	ns := newNamespace(t)
	d := startDisks(t, ns, onClass(sharedManifest, "sized"))
	before, small := lives(t, ns, sharedName), map[string]int64{}
	for pod := range before {
		small[pod] = d.fileSystem(t, pod)
	}
	former := d.set(t)
	change(t, d.cluster, func(c kafkaCluster) { volume(c, 0).Size = resource.MustParse("800Mi") })
	took := eventually(t, 2*time.Minute, "every claim and every file system has grown", func(ctx context.Context) error {
		for pod := range before {
			if err := d.hasCapacity(ctx, "data-"+pod, "800Mi"); err != nil {
				return fmt.Errorf("%w; the KafkaCluster says: %w", err, isReady(ctx, d.cluster))
			}
			if now, err := d.tryFileSystem(ctx, pod); err != nil || now < small[pod]*3/2 {
				return fmt.Errorf("the file system of %s has %d MiB, and had %d (error %w)", pod, now, small[pod], err)
			}
		}
		return nil
	})
	figureSeconds(t, "disks-grown", took)
	waitReady(t, time.Minute, d.cluster)
	eventually(t, time.Minute, "the StatefulSet makes claims of the new size", func(context.Context) error {
		now := d.set(t)
		if size := now.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage().String(); size != "800Mi" {
			return fmt.Errorf("they have %s", size)
		}
		if now.UID == former.UID {
			return fmt.Errorf("it is the former one")
		}
		return isReady(t.Context(), d.cluster)
	})
	eventually(t, 3*time.Minute, "the status tells the sizes, and what is in use", func(ctx context.Context) error {
		if err := refresh(ctx, d.cluster); err != nil {
			return err
		}
		for _, n := range d.cluster.Status.Nodes {
			if len(n.Disks) != 1 || n.Disks[0].Capacity == nil || n.Disks[0].Capacity.String() != "800Mi" ||
				n.Disks[0].Message != "" || n.Disks[0].UsedPercent == nil {
				return fmt.Errorf("%s: %+v", n.Pod, n.Disks)
			}
		}
		return nil
	})
	mustLiveOn(t, ns, sharedName, before)

	change(t, d.cluster, func(c kafkaCluster) { mainPool(c).Replicas = new(int32(4)) })
	waitReady(t, 3*time.Minute, d.cluster)
	if err := d.hasCapacity(t.Context(), "data-events-main-3", "800Mi"); err != nil {
		t.Error("the new broker:", err)
	}
	mustLiveOn(t, ns, sharedName, before)
	d.flow.stop(t)
}

// Kubernetes refuses, and then the driver. Both are told in their words, and both are cured by what the user takes back.
func TestCase45_ADiskThatCannotGrowIsToldAndTheRestIsCaredFor(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the classes are the local cluster's")
	}
	ns := newNamespace(t)
	apply(t, ns, onClass(smallManifest(false, ""), "sized-fixed"))
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	d := disks{ns: ns, cluster: cluster}
	former := d.set(t)
	change(t, cluster, func(c kafkaCluster) { volume(c, 0).Size = resource.MustParse("800Mi") })
	eventually(t, stallLimit, "it is told in Kubernetes' words", func(ctx context.Context) error {
		return isStalled(ctx, cluster, "Invalid", []string{"spec.pools[main].storage.volumes[data].size", "data-events-main-0",
			"only dynamically provisioned pvc can be resized", "set it back to 400Mi"})
	})
	apply(t, ns, topicManifest("meanwhile", ", partitions: 1, replicationFactor: 1"))
	waitReady(t, time.Minute, topicNamed(ns, "meanwhile"))
	pod := getPod(t, ns, "events-main-0")
	if err := kube.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "a pod that is lost is made again", func(ctx context.Context) error {
		now := &corev1.Pod{}
		err := kube.Get(ctx, client.ObjectKeyFromObject(pod), now)
		if err == nil && (now.UID == pod.UID || !podReady(now)) {
			err = fmt.Errorf("its UID is %s, and was %s; ready: %t", now.UID, pod.UID, podReady(now))
		}
		return err
	})
	change(t, cluster, func(c kafkaCluster) { volume(c, 0).Size = resource.MustParse("400Mi") })
	waitReady(t, time.Minute, cluster)
	if now := d.set(t); now.UID != former.UID {
		t.Error("the StatefulSet was made anew for nothing")
	}
}

func TestCase45_AGrowthThatTheDriverRefusesIsLowered(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the class is the local cluster's")
	}
	ns := newNamespace(t)
	apply(t, ns, onClass(smallManifest(false, ""), "sized-small"))
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	d := disks{ns: ns, cluster: cluster}
	before := lives(t, ns, sharedName)
	change(t, cluster, func(c kafkaCluster) { volume(c, 0).Size = resource.MustParse("800Mi") })
	eventually(t, time.Minute, "the driver's words are told", func(ctx context.Context) error {
		if err := hasReason(ctx, cluster, v1alpha1.ConditionReady, "Growing"); err != nil {
			return err
		}
		says := told(cluster.conditions())
		for _, n := range cluster.Status.Nodes {
			says += fmt.Sprintf("; %+v", n.Disks)
		}
		if missing := missingIn(says, []string{"data-events-main-0", "from 400Mi to 800Mi", "at most 629145600 bytes"}); missing != "" {
			return fmt.Errorf("%q is missing in %s", missing, says)
		}
		return nil
	})
	change(t, cluster, func(c kafkaCluster) { volume(c, 0).Size = resource.MustParse("300Mi") })
	eventually(t, stallLimit, "it does not shrink", func(ctx context.Context) error {
		return isStalled(ctx, cluster, "Invalid", []string{"spec.pools[main].storage.volumes[data].size", "cannot shrink",
			"set the size to 400Mi or more"})
	})
	change(t, cluster, func(c kafkaCluster) { volume(c, 0).Size = resource.MustParse("600Mi") })
	eventually(t, 3*time.Minute, "it grows as far as it can", func(ctx context.Context) error {
		if err := d.hasCapacity(ctx, "data-events-main-0", "600Mi"); err != nil {
			return fmt.Errorf("%w; the KafkaCluster says: %w", err, isReady(ctx, cluster))
		}
		return isReady(ctx, cluster)
	})
	mustLiveOn(t, ns, sharedName, before)
}

func TestCase45_ADiskIsToldBeforeItIsFullAndAFullOneRecoversByGrowing(t *testing.T) {
	long(t)
	if !isLocal() {
		t.Skip("the class is the local cluster's")
	}
	ns := newNamespace(t)
	d := startDisks(t, ns, onClass(sharedManifest, "sized"))
	d.costs(t, "events-main-2", func(t *testing.T) {
		d.fillTo(t, "events-main-2", 86)
		eventually(t, 3*time.Minute, "the condition Warning says so before it is full", func(ctx context.Context) error {
			warning, err := d.warning(ctx)
			if missing := missingIn(warning, []string{"spec.pools[main].storage.volumes[data].size", "node 2 uses",
				"raise the size"}); err != nil || missing != "" {
				return fmt.Errorf("%q is missing in %q (error %w); nodes %+v", missing, warning, err, d.cluster.Status.Nodes)
			}
			return isReady(ctx, d.cluster)
		})
		d.fill(t, "events-main-2")
		d.isTold(t, 2, `No space left on device.*raise the size`)
		d.flow.progress(t, 30*time.Second)
		change(t, d.cluster, func(c kafkaCluster) { volume(c, 0).Size = resource.MustParse("800Mi") })
	})
	for _, claim := range []string{"data-events-main-0", "data-events-main-1", "data-events-main-2"} {
		if err := d.hasCapacity(t.Context(), claim, "800Mi"); err != nil {
			t.Error(err)
		}
	}
	eventually(t, 3*time.Minute, "nothing warns of the disk any more", func(ctx context.Context) error {
		if warning, err := d.warning(ctx); err != nil || strings.Contains(warning, "node 2 uses") {
			return fmt.Errorf("%s (error %w)", warning, err)
		}
		return nil
	})
	d.flow.stopKept(t)
}

// retentionManifest has a pool beside the main one.
var retentionManifest = strings.Replace(smallManifest(false, ""), "  listeners:", "  - name: more\n    replicas: 3\n"+
	"    roles: [Broker]\n    storage: {volumes: [{name: data, size: 1Gi}]}\n    jvm: {heap: 256Mi}\n  listeners:", 1)

func TestCase45_ClaimsGoWithTheirNodesWhereThatIsAskedFor(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	apply(t, ns, retentionManifest)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 4*time.Minute, cluster)

	more := func(c kafkaCluster) *v1alpha1.Pool { return &c.Spec.Pools[1] }
	change(t, cluster, func(c kafkaCluster) { more(c).Replicas = new(int32(2)) })
	waitReady(t, 2*time.Minute, cluster)
	mustHaveClaims(t, ns, "data-events-main-0", "data-events-more-1000", "data-events-more-1001", "data-events-more-1002")

	change(t, cluster, func(c kafkaCluster) {
		more(c).Storage.Retention = &v1alpha1.Retention{WhenScaled: v1alpha1.RetentionDelete}
	})
	waitReady(t, time.Minute, cluster)
	change(t, cluster, func(c kafkaCluster) { more(c).Replicas = new(int32(1)) })
	waitReady(t, 2*time.Minute, cluster)
	// 1002 left while the pool still said Retain.
	mustHaveClaims(t, ns, "data-events-main-0", "data-events-more-1000", "data-events-more-1002")

	change(t, cluster, func(c kafkaCluster) { c.Spec.Pools = c.Spec.Pools[:1] })
	waitReady(t, 2*time.Minute, cluster)
	mustHaveClaims(t, ns, "data-events-main-0", "data-events-more-1002")
}

func TestCase45_ClaimsGoWithTheClusterWhereThatIsAskedFor(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	cluster := clusterNamed(ns, sharedName)
	for _, policy := range []v1alpha1.RetentionPolicy{v1alpha1.RetentionRetain, v1alpha1.RetentionDelete} {
		apply(t, ns, smallManifest(false, ""))
		waitReady(t, 3*time.Minute, cluster)
		for _, set := range []v1alpha1.RetentionPolicy{v1alpha1.RetentionDelete, policy} {
			change(t, cluster, func(c kafkaCluster) {
				mainPool(c).Storage.Retention = &v1alpha1.Retention{WhenDeleted: set}
			})
			eventually(t, 30*time.Second, "the claim has the owner that the field asks for", func(ctx context.Context) error {
				claim := &corev1.PersistentVolumeClaim{}
				err := kube.Get(ctx, client.ObjectKey{Namespace: ns, Name: "data-events-main-0"}, claim)
				if owned := len(claim.OwnerReferences) == 1; err == nil && owned != (set == v1alpha1.RetentionDelete) {
					err = fmt.Errorf("whenDeleted is %s, and the owners are %v", set, claim.OwnerReferences)
				}
				return err
			})
		}
		if err := kube.Delete(t.Context(), cluster.KafkaCluster); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), pace.Of(time.Minute))
		err := waitGone(ctx, cluster.KafkaCluster)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		cluster = clusterNamed(ns, sharedName)
		if policy == v1alpha1.RetentionRetain {
			always(t, 20*time.Second, "the claim stays", func(ctx context.Context) error {
				return kube.Get(ctx, client.ObjectKey{Namespace: ns, Name: "data-events-main-0"}, &corev1.PersistentVolumeClaim{})
			})
			continue
		}
		eventually(t, 2*time.Minute, "the claim is gone", func(ctx context.Context) error {
			err := kube.Get(ctx, client.ObjectKey{Namespace: ns, Name: "data-events-main-0"}, &corev1.PersistentVolumeClaim{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("it is there (error %w)", err)
		})
	}
}

func mustHaveClaims(t *testing.T, ns string, names ...string) {
	t.Helper()
	eventually(t, time.Minute, "the claims are "+strings.Join(names, ", "), func(ctx context.Context) error {
		list := &corev1.PersistentVolumeClaimList{}
		if err := kube.List(ctx, list, client.InNamespace(ns)); err != nil {
			return err
		}
		var there []string
		for _, claim := range list.Items {
			there = append(there, claim.Name)
		}
		if len(there) != len(names) || missingIn(strings.Join(there, " "), names) != "" {
			return fmt.Errorf("they are %v", there)
		}
		return nil
	})
}

// set is the StatefulSet of the main pool.
func (d disks) set(t *testing.T) *appsv1.StatefulSet {
	t.Helper()
	set := &appsv1.StatefulSet{}
	eventually(t, 30*time.Second, "there is a StatefulSet", func(ctx context.Context) error { // it may be made anew just now
		return kube.Get(ctx, client.ObjectKey{Namespace: d.ns, Name: "events-main"}, set)
	})
	return set
}

func (d disks) hasCapacity(ctx context.Context, claim, size string) error {
	now := &corev1.PersistentVolumeClaim{}
	if err := kube.Get(ctx, client.ObjectKey{Namespace: d.ns, Name: claim}, now); err != nil {
		return err
	}
	if has := now.Status.Capacity.Storage().String(); has != size {
		return fmt.Errorf("claim %s has %s of %s, conditions %v", claim, has, size, now.Status.Conditions)
	}
	return nil
}

// fileSystem is the size of that of a pod's first disk, in MiB.
func (d disks) fileSystem(t *testing.T, pod string) int64 {
	t.Helper()
	size, err := d.tryFileSystem(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func (d disks) tryFileSystem(ctx context.Context, pod string) (int64, error) {
	const script = `read -r _ size _ < <(df -m /var/lib/castellan/data | tail -n 1); echo "$size"`
	out, err := kubectl(ctx, "exec", "-n", d.ns, pod, "-c", "kafka", "--", "bash", "-c", script)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", out, err)
	}
	return strconv.ParseInt(strings.TrimSpace(out), 10, 64)
}

// fillTo leaves a part of the first disk of a pod free.
func (d disks) fillTo(t *testing.T, pod string, percent int) {
	t.Helper()
	const script = `read -r _ size used _ < <(df -m /var/lib/castellan/data | tail -n 1)
dd if=/dev/zero of=/var/lib/castellan/data/first-ballast bs=1M count=$((size * %d / 100 - used)) 2>&1
df /var/lib/castellan/data`
	out, err := kubectl(t.Context(), "exec", "-n", d.ns, pod, "-c", "kafka", "--", "bash", "-c", fmt.Sprintf(script, percent))
	if err != nil {
		t.Fatalf("the disk is not filled: %s (error %v)", out, err)
	}
	say(t, "the disk of %s: %s", pod, out)
}
