package user

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// Report writes what has come true: each object at most once, and not at all when it says so already.
func (p *userPass) Report(ctx context.Context) ([]string, error) {
	batch.Each(batch.Writers, p.items, func(i *userItem) {
		if !i.off {
			p.Errs.Add(i.Name, p.settle(ctx, i))
		}
	})
	return p.Errs.Result()
}

func (p *userPass) settle(ctx context.Context, i *userItem) error {
	p.lookAgain(i)
	var errs []error
	if i.Holder != nil {
		if i.revoke {
			i.Credentials = nil
		}
		for _, loser := range i.Losers {
			errs = append(errs, p.WriteStatus(ctx, loser, users.ConflictStatus(loser, i.Holder, p.Clock.Now())))
		}
		if i.Frozen {
			return errors.Join(append(errs, p.Release(ctx, i.Held()...))...) // they have handed it over
		}
		errs = append(errs, p.WriteStatus(ctx, i.Holder, users.StatusOf(i.Holder, i.holderReport(), p.Clock.Now())))
	}
	return errors.Join(append(errs, p.settleLeaving(ctx, i))...)
}

// lookAgain says when the user is looked at again: for what is waited for, else for a fault that may go away by itself.
func (p *userPass) lookAgain(i *userItem) {
	open := slices.Clone(i.Faults)
	if i.Awaited != nil {
		open = append([]verdict.Verdict{*i.Awaited}, open...)
	}
	for _, v := range open {
		if v.After > 0 {
			p.Queue.Retry(p.Cluster.Key, i.Name, v.After, v.AtMost)
			return
		}
	}
	p.Queue.Settled(p.Cluster.Key, i.Name)
}

// holderReport is what the holder's status says. While somebody else's credentials are being taken away, that is not its
// business.
func (i *userItem) holderReport() users.Report {
	r := i.Report
	if i.revoke {
		r.Awaited = nil
	}
	return r
}

// leavingOf divides the users that are being deleted and that our finalizer keeps into those that have, or may have,
// something in Kafka, and those that never had.
func (p *userPass) leavingOf(i *userItem) (owners, others []*v1alpha1.KafkaUser) {
	for _, u := range i.Held() {
		if users.Owns(u, p.Cluster.Id()) {
			owners = append(owners, u)
		} else {
			others = append(others, u)
		}
	}
	return owners, others
}

// settleLeaving lets go of users that are being deleted once their password opens nothing any more: because everything
// was taken away and every broker refuses it, or because the next holder's is seen to work in its place.
func (p *userPass) settleLeaving(ctx context.Context, i *userItem) error {
	owners, others := p.leavingOf(i)
	errs := []error{p.Release(ctx, others...)}
	replaced := i.Holder != nil && !i.idle && !i.revoke && i.Credentials != nil && i.Awaited == nil
	if i.spared {
		for _, u := range owners {
			p.Events.Eventf(u, nil, corev1.EventTypeWarning, "Released", "Delete", "The operator itself logs in as user %q: its credentials, ACLs and quotas stay", i.Name)
		}
	}
	if !i.unsettled() && (i.spared || replaced || i.revoke && i.refused) {
		return errors.Join(append(errs, p.Release(ctx, owners...))...)
	}
	reason, message := users.ReasonRevoking, "waiting until its successor is in force"
	if i.Awaited != nil {
		reason, message = i.Awaited.Reason, i.Awaited.Text()
	}
	for _, u := range owners {
		errs = append(errs, p.Keep(ctx, i.Name, u, reason, func() error { return p.WriteWaiting(ctx, u, reason, message) }))
	}
	return errors.Join(errs...)
}

// free: a user's password opens something until it has been taken away.
func (p *userPass) Releasable(string) bool { return false }
