package topics

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// reserved begins the names of Kafka's own topics, those of later versions included, and of those of tools.
const reserved = "__"

// Beyond refuses a name to a topic of another namespace than the cluster's; nil = it may have it. Whoever only observes
// may observe all.
func Beyond(t *v1alpha1.KafkaTopic, cluster types.NamespacedName, access *v1alpha1.Access) *claim.Bar {
	name := Name(t)
	if observes(t) || t.Namespace == cluster.Namespace {
		return nil
	}
	if !strings.HasPrefix(name, reserved) {
		return misnamed(t, cluster, access)
	}
	if claim.Permits(access, cluster.Namespace, t.Namespace, v1alpha1.PermissionInternalTopics) {
		return nil
	}
	return &claim.Bar{Verdict: verdict.Stalled(ReasonBeyond, "spec.name",
		"topics with names like %q are Kafka's own, or those of its tools, and not namespace %q's; choose another name, or "+
			"ask whoever owns KafkaCluster %s for the permission InternalTopics, in its spec.access.grants",
		name, t.Namespace, cluster)}
}

// misnamed refuses a name that does not begin as the cluster's owner wants those of a namespace to.
func misnamed(t *v1alpha1.KafkaTopic, cluster types.NamespacedName, access *v1alpha1.Access) *claim.Bar {
	if claim.MayName(access, t.Namespace, Name(t)) {
		return nil
	}
	return &claim.Bar{Verdict: verdict.Stalled(ReasonBeyond, "spec.name",
		"topics of namespace %q in KafkaCluster %s begin with %s, and %q does not; choose such a name, or ask for another "+
			"one in spec.access.names of the KafkaCluster", t.Namespace, cluster,
		strings.Join(claim.Prefixes(access, t.Namespace), " or "), Name(t))}
}

// BeyondRoom returns, by UID, why topics of other namespaces than the cluster's may not have the partitions that their
// specs ask for. What exists counts first and stays; of what is asked for beyond, the oldest come first, as far as it
// fits. behind tells that an object is newer than what is seen of it.
func BeyondRoom(
	all []*v1alpha1.KafkaTopic, cluster types.NamespacedName, clusterID string, limit *int32,
	behind func(*v1alpha1.KafkaTopic) bool,
) map[types.UID]verdict.Verdict {
	beyond := map[types.UID]verdict.Verdict{}
	if limit == nil {
		return beyond
	}
	guests := slices.DeleteFunc(slices.Clone(all), func(t *v1alpha1.KafkaTopic) bool {
		return observes(t) || t.Namespace == cluster.Namespace
	})
	slices.SortFunc(guests, func(a, b *v1alpha1.KafkaTopic) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
	})
	exists := func(t *v1alpha1.KafkaTopic) bool { // or may exist: nobody has said that it was not created
		return RecordOf(t, clusterID).ID != "" || Intends(t, clusterID, "")
	}
	used := map[string]int64{}
	exist := make([]int64, len(guests))
	for n, t := range guests {
		if exists(t) {
			exist[n] = int64(t.Status.Partitions)
		}
		if exists(t) && exist[n] == 0 || behind(t) { // not known at the moment, or granted since
			exist[n] = max(exist[n], asked(t))
		}
		used[t.Namespace] += exist[n]
	}
	for n, t := range guests {
		more := asked(t) - exist[n]
		switch has := used[t.Namespace]; {
		case t.DeletionTimestamp != nil:
		case t.Spec.Partitions == nil && !exists(t):
			beyond[t.UID] = verdict.Stalled(claim.ReasonLimit, "spec.partitions",
				"KafkaCluster %s limits how many partitions namespace %q has (spec.access.limits.partitions), and this topic "+
					"does not say its number; set it", cluster, t.Namespace)
		case more <= 0:
		case has+more > int64(*limit):
			v := verdict.Stalled(claim.ReasonLimit, "spec.partitions",
				"%d more are asked for, and namespace %q has %d of %d that it may have; ask for fewer, delete another topic, or "+
					"ask whoever owns KafkaCluster %s to raise spec.access.limits.partitions",
				more, t.Namespace, has, *limit, cluster)
			v.After, v.AtMost = claim.RoomLook, claim.RoomLookLimit
			beyond[t.UID] = v
		default:
			used[t.Namespace] += more
		}
	}
	return beyond
}

// asked is how many partitions the spec of a topic asks for; 0 = as many as there are.
func asked(t *v1alpha1.KafkaTopic) int64 {
	if t.Spec.Partitions == nil {
		return 0
	}
	return int64(*t.Spec.Partitions)
}
