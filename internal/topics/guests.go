package topics

import (
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
