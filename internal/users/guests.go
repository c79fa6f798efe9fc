package users

import (
	"fmt"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// harmless is the one operation on the Cluster that gives a user nothing of others: it lets producers number their
// records, which since Kafka 2.8 whoever may write to any topic can do (KIP-679).
const harmless v1alpha1.Operation = "IdempotentWrite"

// Granted returns the rules of a user that its cluster lets it have, those of its grants among them. For a user of
// another namespace those are left out that reach beyond it, and a verdict for each says why. What a rule denies is
// always granted.
func Granted(u *v1alpha1.KafkaUser, host model.Host) ([]v1alpha1.ACLRule, []verdict.Verdict) {
	rules, faults := granted(u, host)
	if u.Namespace == host.Namespace {
		return slices.Concat(u.Spec.ACLs, rules), nil
	}
	grant := claim.GrantTo(host.Access, u.Namespace)
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
		if r := rule.Resource; rule.Permission != denies && r.Type != v1alpha1.ResourceCluster &&
			!claim.MayName(host.Access, u.Namespace, r.Name) {
			faults = append(faults, verdict.Stalled(ReasonBeyond, fmt.Sprintf("spec.acls[%d].resource.name", n),
				"%s; choose such a name, or ask for another one in spec.access.names of the KafkaCluster",
				beginWith("what ACLs of namespace %q may name", u, host, r.Name)))
			continue
		}
		rules = append(rules, rule)
	}
	return rules, faults
}

// Beyond are those of the ACLs that Kafka has of a user which its cluster would not let it have now, whatever its spec
// asks for.
func Beyond(u *v1alpha1.KafkaUser, acls []kafka.ACL, host model.Host) []kafka.ACL {
	return slices.DeleteFunc(slices.Clone(acls), func(a kafka.ACL) bool {
		asks := &v1alpha1.KafkaUser{}
		asks.Namespace = u.Namespace
		asks.Spec.ACLs = []v1alpha1.ACLRule{{
			Permission: a.Permission, Operations: []v1alpha1.Operation{v1alpha1.Operation(a.Operation)},
			Resource: v1alpha1.ACLResource{Type: v1alpha1.ResourceType(a.ResourceType), Name: a.ResourceName},
		}}
		_, beyond := Granted(asks, host)
		return len(beyond) == 0
	})
}

const denies = "Deny"

func beginWith(what string, u *v1alpha1.KafkaUser, host model.Host, name string) string {
	return fmt.Sprintf(what+" in KafkaCluster %s/%s begins with %s, and %q does not", u.Namespace,
		host.Namespace, host.Name, strings.Join(claim.Prefixes(host.Access, u.Namespace), " or "), name)
}

// Misnamed refuses a name to a user of another namespace that does not begin as the cluster's owner wants those of that
// namespace to; nil = it may have it. Of an external cluster no super user is known, and a name that Kafka has nothing
// of may be one: there the owner has to say which names others may have.
func Misnamed(u *v1alpha1.KafkaUser, host model.Host) *claim.Bar {
	switch {
	case u.Namespace == host.Namespace:
		return nil
	case host.External && (host.Access == nil || host.Access.Names == nil):
		return &claim.Bar{Verdict: verdict.Stalled(ReasonBeyond, "spec.clusterRef",
			"KafkaCluster %s/%s is external, and the operator cannot see whether %q is a super user of it; ask whoever owns it "+
				"to say which names namespace %q may have, in its spec.access.names", host.Namespace, host.Name,
			Name(u), u.Namespace)}
	case claim.MayName(host.Access, u.Namespace, Name(u)):
		return nil
	}
	return &claim.Bar{Verdict: verdict.Stalled(ReasonBeyond, "spec.name",
		"%s; choose such a name, or ask for another one in spec.access.names of the KafkaCluster",
		beginWith("the name of each user of namespace %q", u, host, Name(u)))}
}

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
