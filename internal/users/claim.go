// Package users decides what is to be done about users: who holds a principal, what has to change in Kafka, what the
// connection Secret and the file of PLAIN users hold, and what the status says. It is pure: no client and no clock, and
// randomness is an argument.
package users

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
)

// Name returns the name that a user logs in with.
func Name(u *v1alpha1.KafkaUser) string { return cmp.Or(u.Spec.Name, u.Name) }

// Recorded returns the credentials that the status records for the given incarnation of the cluster, or nil.
func Recorded(u *v1alpha1.KafkaUser, clusterID string) *v1alpha1.Credentials {
	if c := u.Status.Credentials; c != nil && c.ClusterID == clusterID {
		return c
	}
	return nil
}

// Claim is every KafkaUser that stands for one principal of one cluster.
type Claim = claim.Claim[*v1alpha1.KafkaUser]

// Sort sorts out who holds a principal: whoever has credentials on record, then whoever has begun to. admits tells from
// which namespaces the cluster takes objects.
func Sort(name string, objects []*v1alpha1.KafkaUser, clusterID string, admits func(namespace string) bool) Claim {
	return claim.Sort(name, objects, claim.Rules[*v1alpha1.KafkaUser]{
		Recorded: func(u *v1alpha1.KafkaUser) bool { return Recorded(u, clusterID) != nil },
		Begun:    func(u *v1alpha1.KafkaUser) bool { return claim.HasFinalizer(u) },
		Admits:   admits,
	})
}

// Presumes tells that a user from another namespace than its cluster's asks for a name that stands above all ACLs; nil = it
// does not.
func Presumes(u *v1alpha1.KafkaUser, cluster *v1alpha1.KafkaCluster) *Fault {
	if u.Namespace == cluster.Namespace || cluster.Spec.Authorization == nil || !slices.Contains(cluster.Spec.Authorization.SuperUsers, Name(u)) {
		return nil
	}
	return &Fault{ReasonSuperUser, fmt.Sprintf("spec.name: %q is a super user of KafkaCluster %s/%s and can only be asked for in the cluster's own namespace; choose another name",
		Name(u), cluster.Namespace, cluster.Name)}
}
