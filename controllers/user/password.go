package user

import (
	"context"
	"crypto/rand"
	"errors"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
func (i *userItem) newPassword() (string, error) {
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
	u := i.claim.Holder
	owner, password := metav1.GetControllerOf(secret), string(secret.Data[users.PasswordKey])
	spent := owner == nil || owner.UID != u.UID || users.Unusable(password) != ""
	switch {
	case i.provided != "":
		return i.provided, nil
	case i.unprovided && (spent || !p.isOnRecord(i, secret, password)):
		return "", nil
	case !spent:
		return password, nil
	}
	// The Secret was left by a deleted object of this name, or it is damaged. The password in it is nobody's any more.
	fresh, err := users.NewPassword(rand.Reader)
	if err == nil {
		p.r.Events.Eventf(u, secret, corev1.EventTypeNormal, "PasswordRenewed", "Update",
			"Secret %q held no usable password of this user: it has a new one", secret.Name)
	}
	return fresh, err
}

// isOnRecord tells whether what stands in Kafka was made from a password in a connection Secret.
func (p *userPass) isOnRecord(i *userItem, secret *corev1.Secret, password string) bool {
	return users.MadeFrom(i.claim.Holder, p.pass.Cluster.ID(), users.PasswordHash(saltOf(secret), password), password) != nil
}
