package users

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// harmless is the one operation on the Cluster that gives a user nothing of others: it lets producers number their
// records, which since Kafka 2.8 whoever may write to any topic can do (KIP-679).
const harmless v1alpha1.Operation = "IdempotentWrite"

// Granted returns the rules of a user that its cluster lets it have. For a user of another namespace those are left out
// that reach beyond it, and a verdict for each says why. What a rule denies is always granted.
func Granted(u *v1alpha1.KafkaUser, host model.Host) ([]v1alpha1.ACLRule, []verdict.Verdict) {
	if u.Namespace == host.Namespace {
		return u.Spec.ACLs, nil
	}
	grant := claim.GrantTo(host.Access, u.Namespace)
	var rules []v1alpha1.ACLRule
	var faults []verdict.Verdict
	for n, rule := range u.Spec.ACLs {
		if rule.Permission != denies && rule.Resource.Type == v1alpha1.ResourceCluster {
			allowed, beyond := split(rule.Operations, grant.ClusterOperations)
			if len(beyond) > 0 {
				faults = append(faults, verdict.Stalled(ReasonBeyond, fmt.Sprintf("spec.acls[%d].operations", n),
					"%s on the Cluster would reach beyond what is namespace %q's; remove it, or ask whoever owns KafkaCluster "+
						"%s/%s for it, in its spec.access.grants", strings.Join(beyond, ", "), u.Namespace, host.Namespace, host.Name))
			}
			rule.Operations = allowed
		}
		rules = append(rules, rule)
	}
	return rules, faults
}

const denies = "Deny"

// split parts operations on the Cluster into those that are granted and those that are not.
func split(
	operations []v1alpha1.Operation, granted []v1alpha1.ClusterOperation,
) (allowed []v1alpha1.Operation, beyond []string) {
	for _, o := range operations {
		if o == harmless || slices.Contains(granted, v1alpha1.ClusterOperation(o)) || slices.Contains(granted, "All") {
			allowed = append(allowed, o)
		} else {
			beyond = append(beyond, string(o))
		}
	}
	return allowed, beyond
}
