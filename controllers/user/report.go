package user

import (
	"cmp"
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Report writes the status of every object at most once, and not at all when the status says the same already.
func (p *userPass) Report(ctx context.Context) {
	defer p.dropAnnounced()
	batch.Each(batch.Writers, p.items, func(i *userItem) {
		if i.state != postponed {
			p.pass.Errs.Add(i.claim.Name, p.settle(ctx, i))
		}
	})
}

func (p *userPass) settle(ctx context.Context, i *userItem) error {
	p.lookAgain(i)
	var errs []error
	if i.claim.Holder != nil {
		switch {
		case i.takesAway() && i.noRoom:
			i.keepRecord()
		case i.takesAway():
			i.report.Credentials, i.report.ACLs = nil, nil
		}
		for _, loser := range i.claim.Losers {
			errs = append(errs, p.pass.WriteStatus(ctx, loser,
				users.ConflictStatus(loser, i.claim.Holder, p.r.Clock.Now())))
		}
		if i.claim.Frozen != nil {
			return errors.Join(append(errs, p.settleFrozen(ctx, i))...)
		}
		err := p.pass.WriteStatus(ctx, i.claim.Holder, users.StatusOf(i.claim.Holder, p.holderReport(i), p.r.Clock.Now()))
		if err == nil && i.state == granting && i.report.Secret != "" { // the status names the new one
			err = p.emptySecrets(ctx, i.owned, i.formers)
		}
		if errs = append(errs, err); err == nil && i.outlived() {
			p.r.Queue.Mark(p.pass.Cluster.Key, i.claim.Name)
		}
	}
	return errors.Join(append(errs, p.settleLeaving(ctx, i), p.settleEvicted(ctx, i))...)
}

// lookAgain plans the next look at a user: for what is waited for, else for a fault that may go away by itself.
func (p *userPass) lookAgain(i *userItem) {
	p.renewLater(i)
	open := slices.Concat(i.report.Faults, i.claim.BarredBy())
	for _, awaited := range []*verdict.Verdict{i.formerAwaits, i.holderAwaits, i.report.Awaited} {
		if awaited != nil {
			open = append([]verdict.Verdict{*awaited}, open...)
		}
	}
	for _, v := range open {
		if v.After > 0 {
			p.pass.Retry(i.claim.Name, v.After, v.AtMost)
			return
		}
	}
	if i.unseen {
		p.pass.Retry(i.claim.Name, proveFirst, proveLimit)
		return
	}
	if i.remains && p.host.Authorizes { // whether an authorizer answers by now nobody tells
		p.pass.Retry(i.claim.Name, claim.TakenLook, claim.TakenLookLimit)
		return
	}
	p.pass.Settled(i.claim.Name)
}

// holderReport is what the holder's status says. That somebody else's credentials are being taken away is not the
// holder's business.
func (p *userPass) holderReport(i *userItem) users.Report {
	clusterID := p.pass.Cluster.ID()
	r := i.report
	r.Retains = users.Retains(i.claim.Holder, p.host)
	if i.takesAway() { // what is awaited then is not the holder's, but what it lacks is
		r.Awaited = i.holderAwaits
	}
	p.follow(i.claim.Holder, &r)
	if i.state == granting && r.Credentials == nil {
		r.Credentials = users.Unsure(users.Recorded(i.claim.Holder, clusterID), clusterID, i.mechanisms)
		users.Certify(r.Credentials, i.certificate.Status())
	}
	if i.state == granting {
		r.Credentials = r.Credentials.DeepCopy()
		p.aclsAfter(i, r.Credentials)
	}
	return r
}

// follow has a holder wait where a change of the KafkaCluster is all that is missing.
func (p *userPass) follow(holder *v1alpha1.KafkaUser, r *users.Report) {
	var waits []verdict.Verdict
	for _, fault := range r.Faults {
		v := p.pass.Follow(holder, fault)
		if !v.Passes() {
			return
		}
		waits = append(waits, v)
	}
	if len(waits) > 0 {
		r.Faults, r.Awaited = nil, cmp.Or(r.Awaited, &waits[0])
	}
}

// leavingOf returns the users that are being deleted and have our finalizer: owners have, or may have, something in
// Kafka; others never had.
func (p *userPass) leavingOf(i *userItem) (owners, others []*v1alpha1.KafkaUser) {
	for _, u := range i.claim.Held() {
		if users.Owns(u, p.pass.Cluster.ID()) {
			owners = append(owners, u)
		} else {
			others = append(others, u)
		}
	}
	return owners, others
}

// settleLeaving releases users that are being deleted once their password opens nothing any more. Either everything was
// taken away and every broker refuses the login, or the next holder's password has replaced theirs.
func (p *userPass) settleLeaving(ctx context.Context, i *userItem) error {
	owners, others := p.leavingOf(i)
	stay := p.retained(i)
	owners = slices.DeleteFunc(owners, func(u *v1alpha1.KafkaUser) bool { return slices.Contains(stay, u) })
	errs := []error{p.pass.Release(ctx, others...), p.settleRetained(ctx, i, stay)}
	if i.state == spared {
		for _, u := range owners {
			p.r.Events.Eventf(u, nil, corev1.EventTypeWarning, "Released", "Delete",
				"The operator itself logs in as user %q: its credentials, ACLs and quotas stay", i.claim.Name)
		}
	}
	if i.settled() {
		return errors.Join(append(errs, p.pass.Release(ctx, owners...))...)
	}
	reason, message := i.awaitedByFormer()
	for _, u := range owners {
		errs = append(errs, p.pass.Keep(ctx, i.claim.Name, u, reason,
			func() error { return p.pass.WriteWaiting(ctx, u, reason, message) }))
	}
	return errors.Join(errs...)
}

// settleFrozen lets go of objects that are being deleted, whose successor may take no part any more. One that is to
// leave nothing stays: nobody has seen its logins refused, and nothing is changed until the successor may go on, or
// goes. One that is evicted is told so.
func (p *userPass) settleFrozen(ctx context.Context, i *userItem) error {
	former := slices.DeleteFunc(p.formerOf(i), func(u *v1alpha1.KafkaUser) bool { return u.DeletionTimestamp == nil })
	done := slices.DeleteFunc(i.claim.Held(), func(u *v1alpha1.KafkaUser) bool { return slices.Contains(former, u) })
	errs := []error{p.pass.Release(ctx, done...)}
	for _, u := range former {
		v := users.HandoverFrozen(u, i.claim.Holder)
		errs = append(errs, p.pass.Keep(ctx, i.claim.Name, u, v.Reason,
			func() error { return p.pass.WriteVerdict(ctx, u, v) }))
	}
	for _, e := range i.claim.Evicted {
		v := users.HandoverFrozen(e.Object, i.claim.Holder)
		errs = append(errs, p.pass.WriteWaiting(ctx, e.Object, v.Reason, e.Bar.Cause+": "+v.Text()))
	}
	return errors.Join(errs...)
}

// settled tells whether the password of whoever held the user before opens nothing any more.
func (i *userItem) settled() bool {
	replaced := i.state == granting && i.report.Credentials != nil && i.report.Awaited == nil && i.formerAwaits == nil
	return !i.unsettled() && !i.noRoom && (i.state == spared || replaced || i.state == revoked)
}

// awaitedByFormer says why they are not settled.
func (i *userItem) awaitedByFormer() (reason, message string) {
	if awaited := cmp.Or(i.formerAwaits, i.report.Awaited); awaited != nil {
		return awaited.Reason, awaited.Text()
	}
	return users.ReasonRevoking, "waiting until its successor is in force"
}

// settleEvicted takes the record off users that may not have their principal any more, once their password opens
// nothing, and tells them and the cluster's owner.
func (p *userPass) settleEvicted(ctx context.Context, i *userItem) error {
	var errs []error
	for _, e := range i.claim.Evicted {
		u := e.Object
		if !i.settled() {
			reason, message := i.awaitedByFormer()
			errs = append(errs, p.pass.WriteWaiting(ctx, u, reason, e.Bar.Cause+": "+message))
			continue
		}
		owned, err := p.owned(ctx, u)
		if held := owned[cmp.Or(boundSecret(u), users.SecretName(u))]; held != nil { // before the record goes
			err = p.emptySecrets(ctx, owned, append(formersOf(held), held.Name))
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		err = p.pass.WriteStatus(ctx, u, users.RevokedStatus(u, e.Bar.Verdict, p.r.Clock.Now()))
		if errs = append(errs, err); err == nil {
			p.r.Events.Eventf(p.pass.Cluster.Object, u, corev1.EventTypeNormal, "UserRevoked", "Revoke",
				"User %q of KafkaUser %s/%s has lost its credentials, ACLs and quotas: %s",
				i.claim.Name, u.Namespace, u.Name, e.Bar.Cause)
			p.r.Events.Eventf(u, p.pass.Cluster.Object, corev1.EventTypeWarning, "Revoked", "Revoke",
				"Its credentials, ACLs and quotas are taken away: %s", e.Bar.Cause)
		}
	}
	return errors.Join(errs...)
}
