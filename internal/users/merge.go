package users

import (
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// Stake is what of a principal's ACLs may be taken away: those that were added. All others are somebody else's.
type Stake struct{ Added []kafka.ACL }

// Holds tells whether an ACL may be taken away. With no Stake each may.
func (s *Stake) Holds(a kafka.ACL) bool { return s == nil || slices.Contains(s.Added, a) }

// StakeOf is what objects have, or may have, of the ACLs of their principal in this incarnation of the cluster; nil =
// all of them. Objects without a record have none.
func StakeOf(name, clusterID string, objects []*v1alpha1.KafkaUser) *Stake {
	stake := &Stake{}
	for _, u := range objects {
		switch record := Recorded(u, clusterID); {
		case record == nil:
		case record.ACLs == v1alpha1.ACLsAdded:
			stake.Added = append(stake.Added, addedACLs(name, record.AddedACLs)...)
		case record.ACLs == v1alpha1.ACLsNone && u.Spec.ACLPolicy == v1alpha1.ACLPolicyMerge:
		default:
			return nil
		}
	}
	return stake
}

// Ahead is the stake of an object once its ACLs are created: they are its own, but for those that were there.
func (s *Stake) Ahead(desired, live []kafka.ACL) *Stake {
	next := &Stake{Added: slices.Clone(s.Added)}
	for _, a := range desired {
		if !slices.Contains(live, a) {
			next.Added = append(next.Added, a)
		}
	}
	return next
}

// Among are those of some ACLs that a stake holds.
func (s *Stake) Among(acls []kafka.ACL) *Stake {
	return &Stake{Added: slices.DeleteFunc(slices.Clone(acls), func(a kafka.ACL) bool { return !s.Holds(a) })}
}

// Record writes a stake down. The same one always reads the same.
func (s *Stake) Record(c *v1alpha1.Credentials) {
	c.ACLs, c.AddedACLs = "", nil
	if s == nil {
		return
	}
	c.ACLs = v1alpha1.ACLsNone
	sorted := slices.Compact(slices.SortedFunc(slices.Values(s.Added), compareACLs))
	for _, same := range byResource(sorted) {
		a := same[0]
		c.ACLs = v1alpha1.ACLsAdded
		c.AddedACLs = append(c.AddedACLs, strings.Join([]string{a.Permission, strings.Join(operationsOf(same), ","),
			a.ResourceType, a.Pattern, a.Host, a.ResourceName}, " "))
	}
}

// addedACLs reads what Record wrote. The name is the last word, because it may have spaces in it.
func addedACLs(user string, added []string) (acls []kafka.ACL) {
	for _, text := range added {
		words := strings.SplitN(text, " ", 6)
		if len(words) < 6 {
			continue
		}
		for operation := range strings.SplitSeq(words[1], ",") {
			acls = append(acls, kafka.ACL{Principal: Principal(user), Permission: words[0], Operation: operation,
				ResourceType: words[2], Pattern: words[3], Host: words[4], ResourceName: words[5]})
		}
	}
	return acls
}
