package user

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Kafka without an authorizer tells of no ACL and deletes none, but keeps them: with an authorizer they are in force
// again. Whose they were is on record in the KafkaCluster, where it outlives the KafkaUser, before that is let go of.

// remaining are the users whose ACLs are still to be deleted.
func remaining(cluster *v1alpha1.KafkaCluster) []string {
	if r := cluster.Status.RemainingACLs; r != nil && r.ClusterID == cluster.Status.ClusterID {
		return r.Users
	}
	return nil
}

// ownACLs are those that stay when what a former holder left is swept away: the ones of a holder that is in force and
// may be changed.
func (p *userPass) ownACLs(i *userItem) []kafka.ACL {
	u := i.claim.Holder
	if u == nil || i.claim.Frozen != nil || !users.Owns(u, p.pass.Cluster.ID()) {
		return nil
	}
	rules, _ := users.Granted(u, p.host)
	return users.ACLsOf(i.claim.Name, rules)
}

// keepRemaining puts on record whose ACLs could not be deleted, before anybody is let go of. Who finds no room waits.
func (p *userPass) keepRemaining(ctx context.Context) {
	if p.authorizer {
		return
	}
	have := slices.Clone(remaining(p.pass.Cluster.Object))
	var added []*userItem
	for _, i := range p.items {
		switch {
		case !i.takesAway() || i.remains || !p.mayHaveACLs(i):
		case p.stakeIn(i) != nil: // others may have ACLs of it too, and a name does not tell which stay
			i.noRoom = true
			v := verdict.Waiting(users.ReasonAuthorization, "", claim.TakenLook, claim.TakenLookLimit,
				"the ACLs that it has added beside those of others (aclPolicy Merge) can be deleted by an authorizer alone, which "+
					"KafkaCluster %q has not; set spec.authorization.type of the KafkaCluster to Simple (authorizer.class.name on "+
					"brokers of somebody else's)", p.pass.Cluster.Key.Name)
			i.report.Awaited = &v
		case len(have) >= v1alpha1.MaxRemainingACLs:
			i.noRoom = true
			v := verdict.Waiting(users.ReasonAuthorization, "", claim.TakenLook, claim.TakenLookLimit,
				"its ACLs can be deleted by an authorizer alone, which KafkaCluster %q has not, and status.remainingACLs there "+
					"names %d users already; set spec.authorization.type of the KafkaCluster to Simple (authorizer.class.name on "+
					"brokers of somebody else's) until it names none", p.pass.Cluster.Key.Name, len(have))
			i.report.Awaited = &v
		default:
			have, added = append(have, i.claim.Name), append(added, i)
		}
	}
	if len(added) == 0 {
		return
	}
	if err := p.recordRemaining(ctx, have); err != nil {
		for _, i := range added {
			if p.pass.Overtaken(i.claim.Name, err) {
				i.state = postponed
				continue
			}
			i.failed(err)
		}
		return
	}
	for _, i := range added {
		i.remains = true
		p.r.Events.Eventf(p.pass.Cluster.Object, nil, corev1.EventTypeWarning, "ACLsRemain", "Revoke",
			"User %q goes while there is no authorizer, which alone could delete its ACLs: they are deleted once one answers",
			i.claim.Name)
	}
}

// dropRemaining takes off the record whose ACLs are gone.
func (p *userPass) dropRemaining(ctx context.Context) {
	if !p.authorizer {
		return
	}
	have := slices.Clone(remaining(p.pass.Cluster.Object))
	var done []*userItem
	for _, i := range p.items {
		if i.remains && !i.aclsFailed && !i.desired.KeepACLs {
			done = append(done, i)
			have = slices.DeleteFunc(have, func(name string) bool { return name == i.claim.Name })
		}
	}
	if len(done) == 0 {
		return
	}
	if err := p.recordRemaining(ctx, have); err != nil {
		for _, i := range done { // it stays on record, and is looked at again
			if !p.pass.Overtaken(i.claim.Name, err) {
				p.pass.Errs.Add(i.claim.Name, err)
			}
		}
		return
	}
	for _, i := range done {
		i.remains = false
	}
}

// recordRemaining writes the record.
func (p *userPass) recordRemaining(ctx context.Context, names []string) error {
	return p.recordOnCluster(ctx, "the remaining ACLs", func(s *v1alpha1.KafkaClusterStatus) {
		s.RemainingACLs = nil
		if slices.Sort(names); len(names) > 0 {
			s.RemainingACLs = &v1alpha1.RemainingACLs{ClusterID: s.ClusterID, Users: names}
		}
	})
}

// recordOnCluster writes something into the cluster's status, provided that nobody has written that since it was read.
func (p *userPass) recordOnCluster(ctx context.Context, what string, put func(*v1alpha1.KafkaClusterStatus)) error {
	base := p.pass.Cluster.Object
	next := base.DeepCopy()
	put(&next.Status)
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := p.r.Client.Status().Patch(ctx, next, patch); err != nil {
		return fmt.Errorf("record %s in the status of KafkaCluster %s: %w", what, p.pass.Cluster.Key, err)
	}
	p.pass.Cluster.Object = next
	return nil
}
