package resolve

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const (
	minimumHeap int64 = 128 << 20
	// besideHeap is the least that a node needs beside its heap, for classes, compiled code, threads, network buffers and
	// the tables of the garbage collector. With a heap of 256Mi and few topics Kafka 4.3 holds 390 MB.
	besideHeap int64 = 128 << 20

	memory = string(corev1.ResourceMemory)
)

// validateMemory refuses a heap that cannot start, and one that the kernel would kill. before is what the accepted heap
// leaves of the accepted limit: a change that leaves no less than that goes on.
func validateMemory(p *v1alpha1.Pool, before int64) verdict.List {
	var faults verdict.List
	heap, asked := heapOf(p), p.JVM.Heap
	switch {
	case asked != nil && thousandths(*asked) != "":
		faults.Refuse(model.PoolField(p.Name, "jvm.heap"), "%s", thousandths(*asked))
	case heap < minimumHeap:
		faults.Refuse(model.PoolField(p.Name, "jvm.heap"), "the heap must be at least 128Mi")
	}
	for _, name := range sortedKeys(p.Resources.Limits) {
		limit := p.Resources.Limits[name]
		request, both := p.Resources.Requests[name]
		if both && request.Cmp(limit) > 0 {
			faults.Refuse(
				model.PoolField(p.Name, "resources.requests["+name+"]"),
				"the request %s is above the limit %s; lower it or raise the limit",
				request.String(),
				limit.String(),
			)
		}
		if name != memory {
			continue
		}
		left := limit.Value() - heap
		switch wrong := thousandths(limit); {
		case wrong != "":
			faults.Refuse(model.PoolField(p.Name, "resources.limits["+name+"]"), "%s", wrong)
		case left <= 0 || left < besideHeap && left < before:
			faults.Refuse(model.PoolField(p.Name, "jvm.heap"), "%s", cramped(heap, limit))
		}
	}
	return faults
}

// memoryBefore is what the heap of the accepted pool leaves of its memory limit. Without a limit, and for a pool that
// there was not, it is more than any. Of a pool that lives without being accepted nothing is known, and it goes on.
func memoryBefore(in Inputs, pool string) int64 {
	if in.Accepted != nil {
		at := slices.IndexFunc(in.Accepted.Pools, func(p v1alpha1.Pool) bool { return p.Name == pool })
		if at >= 0 {
			if limit, limited := in.Accepted.Pools[at].Resources.Limits[memory]; limited {
				return limit.Value() - heapOf(&in.Accepted.Pools[at])
			}
		}
		return math.MaxInt64
	}
	if _, lives := in.Living[pool]; lives {
		return math.MinInt64
	}
	return math.MaxInt64
}

// cramped says that a heap leaves too little of a memory limit.
func cramped(heap int64, limit resource.Quantity) string {
	left := "nothing"
	if more := limit.Value() - heap; more > 0 {
		left = binary(more)
	}
	return fmt.Sprintf("the heap %s leaves %s of the memory limit %s, and a node needs at least %s beside its heap; "+
		"lower jvm.heap or raise resources.limits[%s] to %s",
		binary(heap), left, limit.String(), binary(besideHeap), memory, binary(heap+besideHeap))
}

func binary(bytes int64) string { return resource.NewQuantity(bytes, resource.BinarySI).String() }

// thousandths tells of a number of bytes that ends in m, as no number of bytes does that was meant; empty = it is none.
// A fraction such as 1.2Gi is printed with an m, too, and is large.
func thousandths(q resource.Quantity) string {
	text := q.String()
	if !strings.HasSuffix(text, "m") || q.Value() >= 1<<20 {
		return ""
	}
	return fmt.Sprintf("%s is %g bytes, because m stands for thousandths; did you mean %sMi?",
		text, q.AsApproximateFloat64(), strings.TrimSuffix(text, "m"))
}

// memoryWarnings tells of what was accepted once, or what Kubernetes accepts, and what will hardly do.
func memoryWarnings(c *model.Cluster) []string {
	var warnings []string
	for _, p := range c.Pools {
		if limit, limited := p.Resources.Limits[corev1.ResourceMemory]; limited && limit.Value()-p.HeapBytes < besideHeap {
			warnings = append(warnings, model.PoolField(p.Name, "jvm.heap")+": "+cramped(p.HeapBytes, limit))
		}
		if wrong := thousandths(p.Resources.Requests[corev1.ResourceMemory]); wrong != "" {
			warnings = append(warnings, model.PoolField(p.Name, "resources.requests["+memory+"]")+": "+wrong)
		}
		for _, v := range p.Volumes {
			if wrong := thousandths(v.Size); wrong != "" {
				warnings = append(warnings, model.VolumeField(p.Name, v.Name, "size")+": "+wrong)
			}
		}
	}
	return warnings
}
