// Package users decides what is to be done about users: who holds a principal, what has to change in Kafka, what the
// connection Secret and the file of PLAIN users hold, and what the status says. It is pure: no client and no clock, and
// randomness is an argument.
package users

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
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
type Claim struct {
	Name string
	// Holder is the object that the principal follows; nil when all are being deleted.
	Holder *v1alpha1.KafkaUser
	// Losers are the other objects that are not being deleted.
	Losers []*v1alpha1.KafkaUser
	// Leaving are those being deleted.
	Leaving []*v1alpha1.KafkaUser
	// Barred are objects from namespaces that the cluster does not admit and that have no credentials: they take no part.
	Barred []*v1alpha1.KafkaUser
	// Frozen: the cluster has ceased to admit the holder. It keeps what it has, and nothing is done about it.
	Frozen bool
}

// Sort sorts out who holds a principal: whoever has credentials on record, then whoever has begun to, then the oldest,
// then the lowest UID. admits tells from which namespaces the cluster takes objects.
func Sort(name string, objects []*v1alpha1.KafkaUser, clusterID string, admits func(namespace string) bool) Claim {
	c := Claim{Name: name}
	var sorted []*v1alpha1.KafkaUser
	for _, u := range objects {
		if admits(u.Namespace) || Recorded(u, clusterID) != nil {
			sorted = append(sorted, u)
		} else {
			c.Barred = append(c.Barred, u)
		}
	}
	slices.SortStableFunc(sorted, func(a, b *v1alpha1.KafkaUser) int {
		return cmp.Or(
			cmp.Compare(standing(b, clusterID), standing(a, clusterID)),
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(a.UID, b.UID),
		)
	})
	for _, u := range sorted {
		switch {
		case u.DeletionTimestamp != nil:
			c.Leaving = append(c.Leaving, u)
		case c.Holder == nil:
			c.Holder = u
		default:
			c.Losers = append(c.Losers, u)
		}
	}
	c.Frozen = c.Holder != nil && !admits(c.Holder.Namespace)
	return c
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

// Living are the objects that are not being deleted, the holder first.
func (c Claim) Living() []*v1alpha1.KafkaUser {
	if c.Holder == nil {
		return nil
	}
	return append([]*v1alpha1.KafkaUser{c.Holder}, c.Losers...)
}

// Held are those being deleted that our finalizer still keeps: they have, or may have, something in Kafka.
func (c Claim) Held() []*v1alpha1.KafkaUser {
	var held []*v1alpha1.KafkaUser
	for _, u := range c.Leaving {
		if HasFinalizer(u) {
			held = append(held, u)
		}
	}
	return held
}

// HasFinalizer tells whether our finalizer stands on an object.
func HasFinalizer(u *v1alpha1.KafkaUser) bool {
	return slices.Contains(u.Finalizers, v1alpha1.Finalizer)
}

func standing(u *v1alpha1.KafkaUser, clusterID string) int {
	switch {
	case Recorded(u, clusterID) != nil:
		return 2
	case HasFinalizer(u):
		return 1
	default:
		return 0
	}
}
