package user

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/claim"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// retains tells whether what a user has in Kafka stays when its object goes. With a namespace that goes, or may have
// nothing in the cluster any more, its users go.
func (p *userPass) retains(u *v1alpha1.KafkaUser) bool {
	return u.DeletionTimestamp != nil && users.Retains(u, p.host) && p.bars(u) == nil && !p.pass.Goes(u.Namespace)
}

// retained are the objects of an item that are being deleted and leave behind what they have in Kafka.
func (p *userPass) retained(i *userItem) []*v1alpha1.KafkaUser {
	return slices.DeleteFunc(i.claim.Held(), func(u *v1alpha1.KafkaUser) bool {
		return !p.retains(u) || !users.Owns(u, p.pass.Cluster.ID())
	})
}

// leavesLine tells whether a line stays, or may stay, in the file of PLAIN users that no object will stand for.
func (p *userPass) leavesLine(i *userItem) bool {
	return !i.changes() && slices.ContainsFunc(p.retained(i), func(u *v1alpha1.KafkaUser) bool {
		return p.hasLine(u, mechanism.PasswordFile)
	})
}

// hadItsLine tells whether the line that stays is on record, and not only what may have been written.
func (p *userPass) hadItsLine(i *userItem) bool {
	return slices.ContainsFunc(p.retained(i), func(u *v1alpha1.KafkaUser) bool {
		return recordedInFile(users.Recorded(u, p.pass.Cluster.ID()))
	})
}

// markRetained are the names whose lines stay although no object stands for them, after this flush.
func (p *userPass) markRetained(file []byte) map[string]bool {
	marks := plainauth.Retained(file)
	for _, i := range p.items {
		switch {
		case i.changes():
			delete(marks, i.claim.Name)
		case p.leavesLine(i):
			marks[i.claim.Name] = true
		}
	}
	return marks
}

// mayStay tells whether a user of another flush may leave its line behind when it goes, which that flush decides. A
// certificate does not stay.
func (p *userPass) mayStay(u *v1alpha1.KafkaUser, store mechanism.Store) bool {
	return store == mechanism.PasswordFile && claim.HasFinalizer(u) && users.Retains(u, p.host) &&
		!slices.ContainsFunc(p.items, func(i *userItem) bool { return i.claim.Name == users.Name(u) })
}

// restoreLines has the lines that stay and that the file has lost made again, from passwords that are on record.
func (p *userPass) restoreLines(ctx context.Context, file []byte, set map[string]users.PlainUser) {
	var lines map[string][]plainauth.Entry
	for _, i := range p.items {
		if !p.leavesLine(i) {
			continue
		}
		if lines == nil {
			lines, _ = plainauth.ParseUsersFile(file)
		}
		for _, u := range p.retained(i) {
			if password := p.passwordOnRecord(ctx, u); password != "" && len(lines[i.claim.Name]) == 0 {
				set[i.claim.Name] = users.PlainUser{Password: password}
			}
		}
	}
}

// passwordOnRecord is that of a connection Secret, if what a user has in Kafka was made from it; else empty.
func (p *userPass) passwordOnRecord(ctx context.Context, u *v1alpha1.KafkaUser) string {
	secret := p.held(ctx, u)
	if secret == nil {
		return ""
	}
	password := string(secret.Data[users.PasswordKey])
	if password == "" ||
		users.MadeFrom(u, p.pass.Cluster.ID(), users.PasswordHash(saltOf(secret), password), password) == nil {
		return ""
	}
	return password
}

// seekLines finds which of the lines that are to stay the new files lack, and whose password before has none.
func (p *userPass) seekLines(files users.Spread) {
	if !slices.ContainsFunc(p.items, func(i *userItem) bool { return i.overlap || p.leavesLine(i) }) {
		return
	}
	lines, _ := plainauth.ParseUsersFile(users.Joined(files.Parts).Users)
	for _, i := range p.items {
		i.lineLost = p.leavesLine(i) && len(lines[i.claim.Name]) == 0 && p.hadItsLine(i)
		if i.overlap && len(lines[i.claim.Name]) < 2 && i.report.Rotation != nil && i.report.Rotation.Status != nil {
			i.report.Rotation.Status.PreviousUntil = nil
		}
	}
}

// settleRetained lets go of objects whose user stays, once the file says that its line does.
func (p *userPass) settleRetained(ctx context.Context, i *userItem, owners []*v1alpha1.KafkaUser) error {
	if p.leavesLine(i) && !p.host.External && !i.lineStays {
		return p.keepRetained(ctx, i, owners)
	}
	for _, u := range owners {
		p.r.Events.Eventf(u, p.pass.Cluster.Object, corev1.EventTypeNormal, "Released", "Delete",
			"User %q stays in Kafka with the credentials, ACLs and quotas that it has there (deletionPolicy Retain)",
			i.claim.Name)
	}
	return p.pass.Release(ctx, owners...)
}

// keepRetained says of users that stay why their objects do, too.
func (p *userPass) keepRetained(ctx context.Context, i *userItem, owners []*v1alpha1.KafkaUser) error {
	var v verdict.Verdict
	switch {
	case i.lineLost:
		v = users.LineLost(i.claim.Name)
	case i.lineFailed != nil:
		v = verdict.Retry(i.lineFailed, batch.RetryFirst, batch.RetryLimit)
	default: // the cache is behind
		p.pass.Retry(i.claim.Name, proveFirst, proveLimit)
		return nil
	}
	if v.After > 0 {
		p.pass.Retry(i.claim.Name, v.After, v.AtMost)
	}
	var errs []error
	for _, u := range owners {
		errs = append(errs, p.pass.Keep(ctx, i.claim.Name, u, v.Reason,
			func() error { return p.pass.WriteVerdict(ctx, u, v) }))
	}
	return errors.Join(errs...)
}

// readRetained reads which users the files of PLAIN users have that no object stands for.
func (p *userPass) readRetained(ctx context.Context) (map[string]bool, error) {
	if p.host.External {
		return nil, nil
	}
	parts, err := p.readParts(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, part := range heldBy(parts) {
		maps.Copy(all, plainauth.Retained(part.Users))
	}
	return all, nil
}

// Releasable tells whether all of a name that are being deleted leave behind what they have, and the file of PLAIN
// users has no line of it, which would have to be marked.
func (p *userPass) Releasable(name string) bool {
	for _, i := range p.items {
		if i.claim.Name == name {
			return len(p.retained(i)) == len(i.claim.Held()) && (!p.leavesLine(i) || p.host.External)
		}
	}
	return false
}

// paused leaves a user alone whose holder asks for that; nil = it does not. What its cluster takes away from it goes
// all the same: see beyond.
func (p *userPass) paused(i *userItem) *verdict.Verdict {
	u := i.claim.Holder
	if u == nil {
		return nil
	}
	paused, misspelt := v1alpha1.Holds(u.Annotations, v1alpha1.AnnotationPause)
	if !paused {
		return nil
	}
	v := verdict.Verdict{State: verdict.StateWaiting, Reason: users.ReasonPaused,
		Field: "metadata.annotations[" + v1alpha1.AnnotationPause + "]",
		Cause: "paused: nothing of the user is changed", Cure: "remove the annotation to go on"}
	if misspelt {
		v.Cause = fmt.Sprintf("%q is neither true nor false, and counts as a pause", u.Annotations[v1alpha1.AnnotationPause])
	}
	return &v
}

// pause leaves a user alone, but for what its former holders have: that goes. A handover that has begun is carried out;
// else nobody takes the user in a pause.
func (p *userPass) pause(i *userItem, v *verdict.Verdict) {
	switch {
	case len(p.formerOf(i)) == 0:
		i.state, i.report.Awaited = untouched, v
		i.keepRecord()
	case !users.Owns(i.claim.Holder, p.pass.Cluster.ID()):
		i.holderAwaits = v
	}
}
