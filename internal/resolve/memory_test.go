package resolve

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
)

// limited gives the first pool of a spec a memory limit.
func limited(spec *v1alpha1.KafkaClusterSpec, limit string) {
	spec.Pools[0].Resources.Limits = v1alpha1.ResourceList{"memory": resource.MustParse(limit)}
}

// What an earlier version has accepted goes on, is told what may happen, and can be changed elsewhere.
func TestAnAcceptedHeapThatLeavesLittleIsAWarning(t *testing.T) {
	const warning = "spec.pools[main].jvm.heap: the heap 1Gi leaves 76Mi of the memory limit 1100Mi, and a node needs at " +
		"least 128Mi beside its heap; lower jvm.heap or raise resources.limits[memory] to 1152Mi"
	cases := map[string]struct {
		change func(in *Inputs)
		faults int
	}{
		"as it was":            {func(*Inputs) {}, 0},
		"changed elsewhere":    {func(in *Inputs) { in.Spec.Pools[0].Replicas = new(int32(5)) }, 0},
		"in other words":       {func(in *Inputs) { in.Spec.Pools[0].JVM.Heap = ptr(resource.MustParse("1024Mi")) }, 0},
		"with a smaller limit": {func(in *Inputs) { limited(in.Spec, "1099Mi") }, 1},
		"with a larger heap":   {func(in *Inputs) { in.Spec.Pools[0].JVM.Heap = ptr(resource.MustParse("1025Mi")) }, 1},
		"the accepted spec is lost, and the pool lives": {func(in *Inputs) {
			in.Accepted, in.Living = nil, map[string]v1alpha1.Pool{"main": {Name: "main"}}
		}, 0},
		"a new cluster": {func(in *Inputs) { in.Accepted = nil }, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := running(t, small)
			limited(in.Spec, "1100Mi")
			limited(in.Accepted, "1100Mi")
			c.change(&in)
			cluster, faults := Resolve(in)
			if len(faults) != c.faults {
				t.Fatalf("%v", faults)
			}
			if c.faults == 0 && !slices.Contains(Warnings(cluster), warning) {
				t.Errorf("warnings %q", Warnings(cluster))
			}
		})
	}
}

func TestAChangeThatLeavesMoreThanBeforeIsAccepted(t *testing.T) {
	for name, change := range map[string]func(in *Inputs){
		"a larger limit": func(in *Inputs) { limited(in.Spec, "1101Mi") },
		"a smaller heap": func(in *Inputs) { in.Spec.Pools[0].JVM.Heap = ptr(resource.MustParse("1000Mi")) },
	} {
		in := running(t, small)
		limited(in.Spec, "1100Mi")
		limited(in.Accepted, "1100Mi")
		change(&in)
		if _, faults := Resolve(in); len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

func TestWhatANodeNeedsBesideItsHeapIsEnough(t *testing.T) {
	in := running(t, small)
	limited(in.Spec, "1152Mi")
	if warnings := Warnings(mustResolve(t, in)); len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
}

// Kubernetes takes thousandths of a byte of a request and of a volume, so that they are no fault.
func TestThousandthsOfAByteAreAWarning(t *testing.T) {
	in := running(t, small)
	in.Spec.Pools[0].Resources.Requests = v1alpha1.ResourceList{
		"cpu": resource.MustParse("100m"), "memory": resource.MustParse("512m"),
	}
	want := []string{"spec.pools[main].resources.requests[memory]: 512m is 0.512 bytes, because m stands for thousandths; " +
		"did you mean 512Mi?"}
	if warnings := Warnings(mustResolve(t, in)); !slices.Equal(warnings, want) {
		t.Errorf("warnings %q", warnings)
	}
	in.Spec.Pools[0].Resources.Requests["memory"] = resource.MustParse("1.2Gi") // 1288490188800m
	if warnings := Warnings(mustResolve(t, in)); len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
}
