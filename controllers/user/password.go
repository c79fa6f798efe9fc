package user

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/users"
)

// choose reads the password that the holder provides. Where it cannot be used, what is in force stays in force. It
// returns false where the user cannot be cared for in this flush; held is then what hold returns.
func (p *userPass) choose(ctx context.Context, i *userItem) (goOn, held bool) {
	u := i.claim.Holder
	password, fault, err := p.readProvided(ctx, u)
	switch {
	case errors.Is(err, errUnseenSecret):
		i.state = postponed
		p.r.Queue.Retry(p.pass.Cluster.Key, i.claim.Name, batch.CacheLag, batch.ConfirmAfter)
		return false, false
	case err != nil:
		p.notWritten(i, err)
		return false, true
	case fault == nil:
		i.provided = password
		return true, true
	}
	i.fault(*fault)
	i.unprovided = true
	if !p.inForce(u) { // nothing is announced, and so nothing is taken away when it goes
		i.keepRecord()
		return false, false
	}
	return true, true
}

// newPassword is the first password of a connection Secret; empty = the user provides one that cannot be used.
func (i *userItem) newPassword(now time.Time) (string, error) {
	i.made = users.Made{At: now, Request: users.Requested(i.claim.Holder)}
	switch {
	case i.provided != "":
		return i.provided, nil
	case i.unprovided:
		return "", nil
	}
	return users.NewPassword(rand.Reader)
}

// nextPassword is what a connection Secret of ours shall hold from now on; empty = what is in force is not known, and
// the user provides nothing that could take its place.
func (p *userPass) nextPassword(i *userItem, secret *corev1.Secret) (string, error) {
	i.fresh = freshEvent{}
	u := i.claim.Holder
	owner, password := metav1.GetControllerOf(secret), string(secret.Data[users.PasswordKey])
	spent := owner == nil || owner.UID != u.UID || users.Unusable(password) != ""
	created := secret.CreationTimestamp.Time
	if i.renamed != nil { // the password is as old as the Secret that it comes from
		created = i.renamed.CreationTimestamp.Time
	}
	i.made = users.MadeOf(secret.Annotations, created)
	fresh := users.Made{At: p.r.Clock.Now(), Request: users.Requested(u)}
	switch {
	case i.provided != "":
		if i.provided != password { // what stands in the Secret is not to log in any more
			i.made.Rotated = false
		}
		return i.provided, nil
	case i.unprovided && (spent || !p.isOnRecord(i, secret, password)):
		return "", nil
	case !spent && (i.renamed != nil || !users.RotationOf(u, i.made, fresh.At).Due): // one change at a time
		return password, nil
	}
	i.made = fresh
	next, err := users.NewPassword(rand.Reader)
	if err != nil {
		return "", err
	}
	if !spent {
		i.made.Rotated = true
		i.fresh = freshEvent{"PasswordRotated", "Secret %q has a new password"}
		return next, nil
	}
	// The Secret was left by a deleted object of this name, or it is damaged. The password in it is nobody's any more.
	i.fresh = freshEvent{"PasswordRenewed", "Secret %q held no usable password of this user: it has a new one"}
	return next, nil
}

// freshEvent is the event that tells of another password; the zero value = the operator has made none in this flush.
type freshEvent struct{ reason, note string }

// tellFresh says that a Secret has another password, once it has been written.
func (p *userPass) tellFresh(i *userItem, secret *corev1.Secret) {
	if i.fresh.reason != "" {
		p.r.Events.Eventf(i.claim.Holder, secret, corev1.EventTypeNormal, i.fresh.reason, "Update", i.fresh.note, secret.Name)
	}
}

// rotation says, once the connection Secret stands, for how long the password before still logs in, and has the user
// looked at when the next thing about its password is due.
func (p *userPass) rotation(i *userItem) users.Rotation {
	now := p.r.Clock.Now()
	r := users.RotationOf(i.claim.Holder, i.made, now)
	if r.Fault != nil {
		i.fault(*r.Fault)
	}
	if !r.Next.IsZero() {
		p.r.Queue.MarkAfter(p.pass.Cluster.Key, max(r.Next.Sub(now), time.Second), i.claim.Name)
	}
	i.report.Rotation = &r
	return r
}

// noteMade puts beside the password when it was made, where that counts.
func (i *userItem) noteMade(secret *corev1.Secret) {
	u := i.claim.Holder
	was, noted := secret.Annotations[v1alpha1.AnnotationPasswordMade]
	counts := i.made.Rotated || i.made.Request != "" || u.Spec.Authentication.PasswordRotation != nil || i.renamed != nil
	if text := i.made.String(); (noted || counts) && text != was && !i.made.At.IsZero() {
		if secret.Annotations == nil {
			secret.Annotations = map[string]string{}
		}
		secret.Annotations[v1alpha1.AnnotationPasswordMade] = text
	}
}

// isOnRecord tells whether what stands in Kafka was made from a password in a connection Secret.
func (p *userPass) isOnRecord(i *userItem, secret *corev1.Secret, password string) bool {
	hash := users.PasswordHash(saltOf(secret), password)
	return users.MadeFrom(i.claim.Holder, p.pass.Cluster.ID(), hash, password) != nil
}
