package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/batch"
	"github.com/castellan-dev/castellan/internal/status"
	"github.com/castellan-dev/castellan/internal/users"
)

// report writes what has come true: each object at most once, and not at all when it says so already.
func (p *userPass) report(ctx context.Context) ([]string, error) {
	batch.Each(writers, p.items, func(i *userItem) {
		if !i.off {
			p.errs.add(i.Name, p.settle(ctx, i))
		}
	})
	return p.errs.result()
}

// bar tells those whom the cluster does not admit, and lets go of those among them that are being deleted: nothing of
// theirs is in Kafka.
func (p *userPass) bar(ctx context.Context) {
	batch.Each(writers, p.items, func(i *userItem) {
		barred := slices.Clone(i.Barred)
		if i.Frozen {
			barred = append(barred, i.Holder)
		}
		for _, u := range barred {
			if u.DeletionTimestamp != nil {
				p.errs.add(i.Name, p.release(ctx, u))
				continue
			}
			s := users.StalledStatus(u, reasonNotAdmitted, notAdmitted(p.cluster.key, u.Namespace), p.Clock.Now())
			p.errs.add(i.Name, p.writeStatus(ctx, u, s))
		}
	})
}

func (p *userPass) settle(ctx context.Context, i *userItem) error {
	if i.unsettled != nil {
		i.await(users.ReasonRetrying, i.unsettled.Error())
	}
	switch {
	case i.unsettled != nil:
		p.queue.Retry(p.cluster.key, i.Name, retryFirst, retryLimit)
	case i.Reason != "":
		p.queue.Retry(p.cluster.key, i.Name, proveFirst, proveLimit)
	default:
		p.queue.Settled(p.cluster.key, i.Name)
	}
	var errs []error
	if i.Holder != nil {
		if i.revoke {
			i.Credentials = nil
		}
		for _, loser := range i.Losers {
			errs = append(errs, p.writeStatus(ctx, loser, users.ConflictStatus(loser, i.Holder, p.Clock.Now())))
		}
		if i.Frozen {
			return errors.Join(append(errs, p.release(ctx, i.Held()...))...) // they have handed it over
		}
		errs = append(errs, p.writeStatus(ctx, i.Holder, users.StatusOf(i.Holder, i.holderReport(), p.Clock.Now())))
	}
	return errors.Join(append(errs, p.settleLeaving(ctx, i))...)
}

// holderReport is what the holder's status says. While somebody else's credentials are being taken away, that is not its
// business.
func (i *userItem) holderReport() users.Report {
	r := i.Report
	if i.revoke {
		r.Reason, r.Message = "", ""
	}
	return r
}

// settleLeaving lets go of users that are being deleted once their password opens nothing any more: because everything
// was taken away and every broker refuses it, or because the next holder's is seen to work in its place.
func (p *userPass) settleLeaving(ctx context.Context, i *userItem) error {
	replaced := i.Holder != nil && !i.idle && !i.revoke && i.Credentials != nil && i.Reason == ""
	if i.spared {
		for _, u := range i.Held() {
			p.Events.Eventf(u, nil, corev1.EventTypeWarning, "Released", "Delete", "The operator itself logs in as user %q: its credentials, ACLs and quotas stay", i.Name)
		}
	}
	if i.unsettled == nil && (i.spared || replaced || i.revoke && i.refused) {
		return p.release(ctx, i.Held()...)
	}
	reason, message := i.Reason, i.Message
	if reason == "" {
		reason, message = users.ReasonRevoking, "waiting until its successor is in force"
	}
	var errs []error
	for _, u := range i.Held() {
		errs = append(errs, p.writeStatus(ctx, u, users.WaitStatus(u, reason, message, p.Clock.Now())))
	}
	return errors.Join(errs...)
}

// abandon lets go of everything whose cluster is gone or going, and tells the others.
func (p *userPass) abandon(ctx context.Context) ([]string, error) {
	why := p.cluster.goneText()
	batch.Each(writers, p.items, func(i *userItem) {
		for _, u := range i.Held() {
			p.Events.Eventf(u, nil, corev1.EventTypeNormal, "Released", "Delete", "%s: user %q goes with it", why, i.Name)
		}
		p.errs.add(i.Name, p.release(ctx, i.Held()...))
		for _, u := range i.Living() {
			s := users.StalledStatus(u, reasonClusterNotFound, "spec.clusterRef.name: "+why+"; create it, or delete this KafkaUser", p.Clock.Now())
			if p.cluster.object != nil {
				s = users.WaitStatus(u, reasonClusterNotAvailable, why, p.Clock.Now())
			}
			p.errs.add(i.Name, p.writeStatus(ctx, u, s))
		}
	})
	return p.errs.result()
}

// wait says what is waited for on every object that is not in force. One that is Ready stays so.
func (p *userPass) wait(ctx context.Context, reason, message string) ([]string, error) {
	batch.Each(writers, p.items, func(i *userItem) {
		for _, u := range append(i.Held(), i.Living()...) {
			if u.DeletionTimestamp == nil && status.IsReady(u.Status.Conditions, u.Generation) || i.Frozen && u == i.Holder {
				continue
			}
			if orphaned, left := p.admission.orphaned(u, p.Clock.Now()); orphaned {
				p.errs.add(i.Name, p.leaveBehind(ctx, u))
				continue
			} else if left > 0 {
				p.queue.MarkAfter(p.cluster.key, left, i.Name)
			}
			p.errs.add(i.Name, p.writeStatus(ctx, u, users.WaitStatus(u, reason, message, p.Clock.Now())))
		}
	})
	return p.errs.result()
}

// leaveBehind lets go of an object whose namespace goes while its cluster, in another one, does not answer, and tells those
// who own the cluster what is left there.
func (p *userPass) leaveBehind(ctx context.Context, u *v1alpha1.KafkaUser) error {
	if u.Status.Credentials != nil {
		p.Events.Eventf(p.cluster.object, u, corev1.EventTypeWarning, "UserLeftBehind", "Delete", "Namespace %s goes and Kafka has not answered for %s: credentials, ACLs and quotas of user %q are left",
			u.Namespace, orphanAfter, users.Name(u))
	}
	return p.release(ctx, u)
}

func (p *userPass) writeStatus(ctx context.Context, u *v1alpha1.KafkaUser, s v1alpha1.KafkaUserStatus) error {
	if sameStatus(u.Status, s) {
		return nil
	}
	if err := ignoreGone(p.writer.PatchStatus(ctx, u, u.Status, s)); err != nil {
		return fmt.Errorf("write the status of KafkaUser %s/%s: %w", u.Namespace, u.Name, err)
	}
	return nil
}

func (p *userPass) release(ctx context.Context, leaving ...*v1alpha1.KafkaUser) error {
	var errs []error
	for _, u := range leaving {
		if !users.HasFinalizer(u) {
			continue
		}
		base := u.DeepCopy()
		controllerutil.RemoveFinalizer(u, v1alpha1.Finalizer)
		if err := p.writer.Release(ctx, u, base); err != nil {
			errs = append(errs, fmt.Errorf("release KafkaUser %s/%s: %w", u.Namespace, u.Name, err))
		}
	}
	return errors.Join(errs...)
}
