package decide

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/plan"
	"github.com/castellan-dev/castellan/internal/render"
)

// withMore is a cluster whose brokers have a second volume, taken out of the spec, and say what is in their log
// directories.
func withMore(t *testing.T, holds ...int32) Inputs {
	t.Helper()
	in := runningOn(t, func(spec *v1alpha1.KafkaClusterSpec) {
		spec.Pools[0].Storage.Volumes = append(spec.Pools[0].Storage.Volumes,
			v1alpha1.Volume{Name: "more", Size: resource.MustParse("1Gi")})
	})
	pool := &in.Cluster.Spec.Pools[0]
	pool.Storage.Volumes = pool.Storage.Volumes[:1]
	in.Kafka.LogDirs = map[int32][]kafka.LogDir{}
	for id := range int32(3) {
		dirs := []kafka.LogDir{{Path: model.LogDir("data")}, {Path: model.LogDir("more")}}
		if slices.Contains(holds, id) {
			dirs[1].Holds = []kafka.PartitionID{{Topic: "orders"}}
		}
		in.Kafka.LogDirs[id] = dirs
	}
	return in
}

func volumesOfPool(d Decision) string {
	var names []string
	for _, v := range d.Model.Pools[0].Volumes {
		names = append(names, v.Name)
	}
	return fmt.Sprint(names, d.Model.Pools[0].Leaving)
}

func TestAVolumeStaysInItsPoolUntilItIsEmptyOnEveryBroker(t *testing.T) {
	const stays, goes = "[data more] [more]", "[data] []"
	for name, test := range map[string]struct {
		holds  []int32
		change func(in *Inputs)
		want   string
	}{
		"nothing is on it":   {nil, nil, goes},
		"something is on it": {[]int32{1}, nil, stays},
		"something is on its way to it": {nil, func(in *Inputs) {
			in.Kafka.LogDirs[2][1].Coming = []kafka.PartitionID{{Topic: "orders"}}
		}, stays},
		"a broker has not said":   {nil, func(in *Inputs) { delete(in.Kafka.LogDirs, 1) }, stays},
		"its disk has failed":     {nil, func(in *Inputs) { in.Kafka.LogDirs[0][1].Error = kafka.ErrorStorage }, stays},
		"there is no view":        {nil, func(in *Inputs) { in.Kafka = nil }, stays},
		"another cluster answers": {nil, func(in *Inputs) { in.Kafka.ClusterID = "other" }, stays},
		"a broker is down":        {nil, func(in *Inputs) { in.Live.Pods = in.Live.Pods[:2]; delete(in.Kafka.LogDirs, 2) }, stays},
		"a claim never had a disk": {nil, func(in *Inputs) {
			in.Live.Claims["more-events-main-2"].Status.Phase = corev1.ClaimPending
			in.Live.Pods = in.Live.Pods[:2]
			delete(in.Kafka.LogDirs, 2)
		}, goes},
		"its StatefulSet is being made anew": {[]int32{0}, func(in *Inputs) { clear(in.Live.StatefulSets) }, stays},
		"its StatefulSet has lost it": {[]int32{0}, func(in *Inputs) {
			set := in.Live.StatefulSets["events-main"]
			set.Spec.VolumeClaimTemplates = set.Spec.VolumeClaimTemplates[:1]
			container := &set.Spec.Template.Spec.Containers[0]
			container.VolumeMounts = slices.DeleteFunc(slices.Clone(container.VolumeMounts),
				func(m corev1.VolumeMount) bool { return m.Name == "more" })
		}, goes},
	} {
		in := withMore(t, test.holds...)
		if test.change != nil {
			test.change(&in)
		}
		if got := volumesOfPool(Decide(in)); got != test.want {
			t.Errorf("%s: the pool has %s, want %s", name, got, test.want)
		}
	}
}

func TestAPoolThatLosesAVolumeIsMadeAnewOnceItIsEmpty(t *testing.T) {
	in := withMore(t, 1)
	d := Decide(in)
	held := ""
	for _, h := range d.Plan.Held {
		held += h.Message + " (" + h.Predicate + ")\n"
	}
	if slices.Contains(kinds(d.Plan), plan.RenewPool) ||
		!strings.Contains(held, "volume more of pool main not removed: ") {
		t.Errorf("steps %v, held %s", kinds(d.Plan), held)
	}
	if got := LeavingVolumes(&in.Cluster.Spec, in.Live); !slices.Equal(got, []int32{0, 1, 2}) {
		t.Errorf("asked are %v", got)
	}
	in.Kafka.LogDirs[1][1].Holds = nil
	in.Live.Budgets["events"] = render.Budget(d.Model, 0, nil, true)
	if d = Decide(in); !slices.Equal(kinds(d.Plan), []plan.Kind{plan.RenewPool}) || !d.Plan.Sealed {
		t.Errorf("steps %v, waiting %v, held %v", kinds(d.Plan), d.Plan.Waiting, d.Plan.Held)
	}
}

// runningOn is running with another spec.
func runningOn(t *testing.T, change func(*v1alpha1.KafkaClusterSpec)) Inputs {
	t.Helper()
	cluster := &v1alpha1.KafkaCluster{}
	if err := yaml.Unmarshal([]byte(manifest), cluster); err != nil {
		t.Fatal(err)
	}
	change(&cluster.Spec)
	return runningCluster(t, cluster)
}

// A node that leaves holds what no other one has, too.
func TestAVolumeStaysForWhatANodeThatLeavesHoldsOnIt(t *testing.T) {
	in := withMore(t, 2)
	two := int32(2)
	in.Cluster.Spec.Pools[0].Replicas = &two
	if got := volumesOfPool(Decide(in)); got != "[data more] [more]" {
		t.Errorf("volumes, and those that leave: %s", got)
	}
}
