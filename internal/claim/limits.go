package claim

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/internal/verdict"
)

// ReasonLimit is the reason of an object that is one too many of its namespace.
const ReasonLimit = "LimitReached"

// How soon it is looked whether there is room for what was too much, at intervals that double up to RoomLookLimit.
const (
	RoomLook      = 5 * time.Second
	RoomLookLimit = 5 * time.Minute
)

// Limit is how many objects of some sort a namespace other than the cluster's may have.
type Limit[T Object] struct {
	Max    *int32 // nil = any number
	Field  string // of the KafkaCluster, such as spec.access.limits.topics
	Counts func(T) bool
}

// Over returns, by UID, the verdicts on the objects that are too many. What has its name on record is not, and counts;
// then come the oldest. mine are those that are from the cluster's own namespace.
func Over[T Object](objects []T, mine, recorded func(T) bool, limit Limit[T]) map[types.UID]verdict.Verdict {
	over := map[types.UID]verdict.Verdict{}
	if limit.Max == nil {
		return over
	}
	counted := slices.DeleteFunc(slices.Clone(objects), func(o T) bool { return mine(o) || !limit.Counts(o) })
	has := map[string]int32{}
	for _, o := range counted {
		if recorded(o) {
			has[o.GetNamespace()]++
		}
	}
	slices.SortFunc(counted, func(a, b T) int {
		return cmp.Or(a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time), cmp.Compare(a.GetUID(), b.GetUID()))
	})
	for _, o := range counted {
		if recorded(o) || o.GetDeletionTimestamp() != nil {
			continue
		}
		if has[o.GetNamespace()]++; has[o.GetNamespace()] <= *limit.Max {
			continue
		}
		v := verdict.Stalled(ReasonLimit, "spec.clusterRef",
			"namespace %q has as many as it may, %d; delete another one, or ask whoever owns the KafkaCluster to raise %s",
			o.GetNamespace(), *limit.Max, limit.Field)
		v.After, v.AtMost = RoomLook, RoomLookLimit
		over[o.GetUID()] = v
	}
	return over
}
