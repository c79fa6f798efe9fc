package user

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/users"
)

// What is on record of a user's ACLs stands before the first of them is created, and until the last is deleted.

// concerned are all objects of a claim that may have put something into Kafka.
func (i *userItem) concerned() []*v1alpha1.KafkaUser {
	all := slices.Concat(i.former(), i.claim.Losers)
	if i.claim.Holder != nil {
		all = append(all, i.claim.Holder)
	}
	return all
}

// mayHaveACLs tells whether Kafka may have ACLs that objects of the claim have put there.
func (p *userPass) mayHaveACLs(i *userItem) bool {
	return slices.ContainsFunc(i.concerned(), func(u *v1alpha1.KafkaUser) bool {
		record := users.Recorded(u, p.pass.Cluster.ID())
		return record != nil && record.ACLs != v1alpha1.ACLsNone
	})
}

// stakeIn is which ACLs of the principal the objects of a claim may take away; nil = all of them.
func (p *userPass) stakeIn(i *userItem) *users.Stake {
	if i.remains {
		return nil // all that Kafka had was a former holder's
	}
	return users.StakeOf(i.claim.Name, p.pass.Cluster.ID(), i.concerned())
}

// wantedACLs are those that the holder's spec comes to and that can be carried out.
func (p *userPass) wantedACLs(i *userItem) []kafka.ACL {
	u := i.claim.Holder
	rules, beyond := users.Granted(u, p.host)
	if !p.authorizer || len(users.Unfit(u)) > 0 && len(beyond) == 0 { // those that Kafka has stay
		return nil
	}
	return p.settable(i.claim.Name, users.ACLsOf(i.claim.Name, rules))
}

// settable are those of a user's ACLs that it may have: where a class of a plug-in decides, those alone that it has,
// for the operator sets none there.
func (p *userPass) settable(name string, acls []kafka.ACL) []kafka.ACL {
	if p.host.Authorizes {
		return acls
	}
	return slices.DeleteFunc(slices.Clone(acls), func(a kafka.ACL) bool {
		return !slices.Contains(p.aclsBy[users.Principal(name)], a)
	})
}

// ofGuest tells whether the holder is of another namespace than the cluster's, has the user, and may keep it.
func (p *userPass) ofGuest(i *userItem) bool {
	u := i.claim.Holder
	return u != nil && i.claim.Frozen == nil && u.Namespace != p.pass.Cluster.Key.Namespace &&
		users.Owns(u, p.pass.Cluster.ID()) && users.Refused(p.host, i.claim.Name, p.needsScram(i)) == nil
}

// beyond tells whether a guest whose ACLs stay as they are, because it is paused or lacks something, has some that its
// cluster does not let it have any more. What it lacks is often its own doing, which must not keep them in force. keep
// are the others.
func (p *userPass) beyond(i *userItem) (keep []kafka.ACL, is bool) {
	stays := i.state == untouched || i.state == granting && i.desired.KeepACLs
	if !stays || !p.authorizer || !p.ofGuest(i) {
		return nil, false
	}
	acls, stake := p.aclsBy[users.Principal(i.claim.Name)], p.stakeIn(i)
	beyond := users.Beyond(i.claim.Holder, acls, p.host)
	keep = slices.DeleteFunc(slices.Clone(acls), func(a kafka.ACL) bool {
		return stake.Holds(a) && slices.Contains(beyond, a)
	})
	return keep, len(keep) < len(acls)
}

// aclsAhead puts into a record what is the holder's of the principal's ACLs, before anything of them is changed in
// Kafka. It tells whether that differs from what the record says.
func (p *userPass) aclsAhead(i *userItem, record *v1alpha1.Credentials) bool {
	u, before := i.claim.Holder, record.DeepCopy()
	first := users.Recorded(u, p.pass.Cluster.ID()) == nil
	switch merges := u.Spec.ACLPolicy == v1alpha1.ACLPolicyMerge; {
	case merges && p.stakeIn(i) == nil: // as it was Exact before: the first pass makes it exact once more
		record.ACLs, record.AddedACLs = "", nil
	case merges:
		p.stakeIn(i).Ahead(p.wantedACLs(i), p.aclsBy[users.Principal(i.claim.Name)]).Record(record)
	case len(p.wantedACLs(i)) > 0 || first && u.Spec.Adoption == v1alpha1.UserAdoptionAlways || p.mayHaveACLs(i):
		record.ACLs, record.AddedACLs = "", nil
	case first:
		record.ACLs = v1alpha1.ACLsNone
	}
	return !equality.Semantic.DeepEqual(before, record)
}

// aclsAfter puts into a record what is the holder's of them afterwards.
func (p *userPass) aclsAfter(i *userItem, record *v1alpha1.Credentials) {
	ahead := users.Recorded(i.claim.Holder, p.pass.Cluster.ID())
	done, merges := p.authorizer && !i.aclsFailed && !i.desired.KeepACLs,
		i.claim.Holder.Spec.ACLPolicy == v1alpha1.ACLPolicyMerge
	switch {
	case ahead != nil && (!p.authorizer || merges && !done):
		record.ACLs, record.AddedACLs = ahead.ACLs, ahead.AddedACLs
	case done && merges:
		users.StakeOf(i.claim.Name, p.pass.Cluster.ID(), []*v1alpha1.KafkaUser{i.claim.Holder}).
			Among(i.desired.ACLs).Record(record)
	case done && len(i.desired.ACLs) == 0:
		record.ACLs, record.AddedACLs = v1alpha1.ACLsNone, nil
	default:
		record.ACLs, record.AddedACLs = "", nil
	}
}
