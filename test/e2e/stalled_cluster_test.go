package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// stallLimit is "within seconds" on a machine that does other things too.
const stallLimit = 15 * time.Second

// mistake is a change of a running cluster's spec that cannot be carried out.
type mistake struct {
	make   func(c kafkaCluster)
	reason string
	says   []string // the field, and the cure
}

func podTemplate(text string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(text)} }

func mainPool(c kafkaCluster) *v1alpha1.Pool { return &c.Spec.Pools[0] }

func volume(c kafkaCluster, i int) *v1alpha1.Volume { return &mainPool(c).Storage.Volumes[i] }

var clusterMistakes = map[string]mistake{
	"an unknown version": {func(c kafkaCluster) { c.Spec.Version = "9.9.9" },
		"UnknownVersion", []string{"spec.version", "9.9.9", kafkaVersion}},
	"a size shrunk": {func(c kafkaCluster) { volume(c, 0).Size = resource.MustParse("512Mi") },
		"Invalid", []string{"spec.pools[main].storage.volumes[data].size", "cannot shrink", "set the size back to 1Gi"}},
	"the first volume removed": {func(c kafkaCluster) { mainPool(c).Storage.Volumes = mainPool(c).Storage.Volumes[1:] },
		"Invalid", []string{"spec.pools[main].storage.volumes[data]", "holds the metadata log", "put it back"}},
	"a storage class changed": {func(c kafkaCluster) { class := "other"; volume(c, 0).StorageClassName = &class },
		"Invalid", []string{"spec.pools[main].storage.volumes[data].storageClassName", "cannot change", "remove it"}},
	"a volume made ephemeral": {func(c kafkaCluster) { volume(c, 0).Ephemeral = true },
		"Invalid", []string{"spec.pools[main].storage.volumes[data].ephemeral", "set it back to false"}},
	"a metadata.version that is not known": {func(c kafkaCluster) { c.Spec.MetadataVersion = "4.9" },
		"Invalid", []string{"spec.metadataVersion", "use Auto, or one of: 4.3-IV0"}},
	"more restarts at once than brokers": {
		func(c kafkaCluster) { most := int32(99); c.Spec.Rolling.MaxUnavailable = &most },
		"Invalid",
		[]string{"spec.rolling.maxUnavailable", "lower it"},
	},
	"no controllers in fact": {func(c kafkaCluster) { mainPool(c).Replicas = new(int32(0)) },
		"", []string{"spec.pools", "Controller", "replicas above 0"}},
	"a container named as ours": {func(c kafkaCluster) {
		mainPool(c).PodTemplate = podTemplate(`{"spec":{"containers":[{"name":"kafka","image":"busybox"}]}}`)
	}, "Invalid", []string{"spec.pools[main].podTemplate.spec.containers[kafka].name", "choose another name"}},
	"a volume named as ours": {func(c kafkaCluster) {
		mainPool(c).PodTemplate = podTemplate(`{"spec":{"volumes":[{"name":"data","emptyDir":{}}]}}`)
	}, "Invalid", []string{"spec.pools[main].podTemplate.spec.volumes[data].name", "choose another"}},
	"a pod template with a field that does not exist": {func(c kafkaCluster) {
		mainPool(c).PodTemplate = podTemplate(`{"spec":{"contaners":[]}}`)
	}, "Invalid", []string{"spec.pools[main].podTemplate.spec.contaners", "no such field"}},
	"a pod on the node's network": {func(c kafkaCluster) {
		mainPool(c).PodTemplate = podTemplate(`{"spec":{"hostNetwork":true}}`)
	}, "Invalid", []string{"spec.pools[main].podTemplate.spec.hostNetwork", "use spec.listeners[].exposure"}},
	"a label of ours": {func(c kafkaCluster) {
		mainPool(c).PodTemplate = podTemplate(`{"metadata":{"labels":{"kafka.castellan.dev/cluster":"x"}}}`)
	}, "Invalid", []string{"spec.pools[main].podTemplate.metadata.labels[kafka.castellan.dev/cluster]", "remove it"}},
	"a heap above the memory limit": {func(c kafkaCluster) {
		mainPool(c).Resources.Limits = v1alpha1.ResourceList{"memory": resource.MustParse("200Mi")}
	}, "Invalid", []string{"spec.pools[main].jvm.heap", "lower jvm.heap or raise resources.limits"}},
	"a heap that is too small": {func(c kafkaCluster) { heap := resource.MustParse("64Mi"); mainPool(c).JVM.Heap = &heap },
		"Invalid", []string{"spec.pools[main].jvm.heap", "at least 128Mi"}},
	"node ids that overlap": {func(c kafkaCluster) {
		first := int32(0)
		pool := *mainPool(c).DeepCopy()
		pool.Name, pool.FirstNodeID, pool.Roles = "more", &first, []v1alpha1.Role{v1alpha1.RoleBroker}
		c.Spec.Pools = append(c.Spec.Pools, pool)
	}, "Invalid", []string{"spec.pools[more].firstNodeId", "overlap"}},
	"a key both set and unmanaged": {func(c kafkaCluster) {
		setConfig(c, "log.retention.ms", "1000")
		c.Spec.UnmanagedConfig = []string{"log.retention.ms"}
	}, "Invalid", []string{"spec.unmanagedConfig[log.retention.ms]", "remove it from one of the two"}},
}

func TestStalled_AMistakeInARunningClustersSpecIsNamedWithItsCureAndChangesNothing(t *testing.T) {
	long(t)
	ns := newNamespace(t)
	apply(t, ns, `
kind: KafkaCluster
metadata: {name: events}
spec:
  version: "4.3.1"
  pools:
  - {name: main, replicas: 1, storage: {volumes: [{name: data, size: 1Gi}, {name: second, size: 1Gi}]}, jvm: {heap: 256Mi}}
`)
	cluster := clusterNamed(ns, sharedName)
	waitReady(t, 3*time.Minute, cluster)
	before := lives(t, ns, sharedName)
	good := cluster.Spec.DeepCopy()
	for name, m := range clusterMistakes {
		t.Run(name, func(t *testing.T) {
			change(t, cluster, m.make)
			eventually(t, stallLimit, "Stalled names the field and the cure", func(ctx context.Context) error {
				return isStalled(ctx, cluster, m.reason, m.says)
			})
			if c := meta.FindStatusCondition(cluster.Status.Conditions, v1alpha1.ConditionAvailable); c == nil ||
				c.Status != metav1.ConditionTrue {
				t.Errorf("the cluster is no longer Available: %s", told(cluster.Status.Conditions))
			}
			change(t, cluster, func(c kafkaCluster) { c.Spec = *good.DeepCopy() })
			waitReady(t, stallLimit, cluster)
			mustLiveOn(t, ns, sharedName, before)
		})
	}
	t.Run("the care goes on while Stalled", func(t *testing.T) {
		change(t, cluster, clusterMistakes["an unknown version"].make)
		eventually(
			t,
			stallLimit,
			"it is Stalled",
			func(ctx context.Context) error { return isStalled(ctx, cluster, "UnknownVersion", nil) },
		)
		pod := getPod(t, ns, "events-main-0")
		if err := kube.Delete(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		eventually(
			t,
			2*time.Minute,
			"a deleted pod comes back and the cluster is Available",
			func(ctx context.Context) error {
				now := &corev1.Pod{}
				if err := kube.Get(ctx, client.ObjectKeyFromObject(pod), now); err != nil {
					return err
				}
				if err := refresh(ctx, cluster); err != nil {
					return err
				}
				if now.UID == pod.UID || !podReady(now) ||
					!meta.IsStatusConditionTrue(cluster.Status.Conditions, v1alpha1.ConditionAvailable) {
					return fmt.Errorf("pod ready %v; %s", podReady(now), told(cluster.Status.Conditions))
				}
				return nil
			},
		)
	})
}

func TestStalled_MoreRestartsThanTheLargestRackHasBrokersChangeNothing(t *testing.T) {
	promise(t)
	ns := shared(t)
	cluster := clusterNamed(ns, sharedName)
	if err := refresh(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	good := cluster.Spec.DeepCopy()
	before := lives(t, ns, sharedName)
	most := int32(2) // each of the three zones has one broker
	change(t, cluster, func(c kafkaCluster) {
		c.Spec.Rolling.MaxUnavailable = &most
		setConfig(c, "num.partitions", "7") // would restart every broker
	})
	eventually(t, stallLimit, "Stalled names the field and the cure", func(ctx context.Context) error {
		return isStalled(
			ctx,
			cluster,
			"Invalid",
			[]string{"spec.rolling.maxUnavailable", "the largest rack", "only 1 of the brokers", "lower it to at most 1"},
		)
	})
	for _, node := range cluster.Status.Nodes {
		if node.Rack == "" {
			t.Errorf("the status does not say in which rack node %d is", node.ID)
		}
	}
	change(t, cluster, func(c kafkaCluster) { c.Spec = *good.DeepCopy() })
	waitReady(t, stallLimit, cluster)
	mustLiveOn(t, ns, sharedName, before)
}

func TestStalled_AClusterThatCannotBeMadeLeavesNothingHalfDone(t *testing.T) {
	promise(t)
	cases := map[string]mistake{
		"an unknown version": {
			clusterMistakes["an unknown version"].make,
			"UnknownVersion",
			[]string{"spec.version", kafkaVersion},
		},
		"no controllers in fact": {
			clusterMistakes["no controllers in fact"].make,
			"Invalid",
			[]string{"spec.pools", "Controller"},
		},
		"ephemeral controllers": {
			func(c kafkaCluster) { volume(c, 0).Ephemeral = true; mainPool(c).Replicas = new(int32(3)) },
			"Invalid",
			[]string{"spec.pools[main].storage.volumes[data].ephemeral", "single node"},
		},
		"a container named as ours": {
			clusterMistakes["a container named as ours"].make,
			"Invalid",
			[]string{"podTemplate.spec.containers[kafka]"},
		},
		"a volume of size zero": {
			func(c kafkaCluster) { volume(c, 0).Size = resource.MustParse("0") },
			"Invalid",
			[]string{"size", "above zero"},
		},
		"a volume with the operator's name": {
			func(c kafkaCluster) { volume(c, 0).Name = "castellan-x" },
			"Invalid",
			[]string{"volumes[castellan-x].name", "choose another"},
		},
	}
	ns := newNamespace(t)
	i := 0
	for name, m := range cases {
		i++
		cluster := clusterNamed(ns, fmt.Sprintf("bad-%d", i))
		t.Run(name, func(t *testing.T) {
			cluster.Spec = v1alpha1.KafkaClusterSpec{Version: kafkaVersion, Pools: []v1alpha1.Pool{{
				Name: "main", Replicas: new(int32(1)),
				Storage: v1alpha1.Storage{Volumes: []v1alpha1.Volume{{Name: "data", Size: resource.MustParse("1Gi")}}},
			}}}
			m.make(cluster)
			if err := kube.Create(t.Context(), cluster.KafkaCluster); err != nil {
				t.Fatal(err)
			}
			eventually(t, stallLimit, "Stalled names the field and the cure", func(ctx context.Context) error {
				return isStalled(ctx, cluster, m.reason, m.says)
			})
			mustOwnNothing(t, ns, cluster.Name)
		})
	}
}

func mustOwnNothing(t *testing.T, ns, cluster string) {
	t.Helper()
	for _, list := range []client.ObjectList{&appsv1.StatefulSetList{}, &corev1.PodList{}, &corev1.PersistentVolumeClaimList{}, &corev1.ServiceList{}} {
		if err := kube.List(t.Context(), list, client.InNamespace(ns), client.MatchingLabels{v1alpha1.LabelCluster: cluster}); err != nil {
			t.Fatal(err)
		}
		if n := meta.LenList(list); n > 0 {
			t.Errorf("%d objects of %T were made for a cluster that cannot be", n, list)
		}
	}
}
