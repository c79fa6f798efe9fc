package user

import (
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/users"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// state is what a flush does about one user. A flush decides it once, before it changes anything in Kafka; afterwards
// revoking may become revoked, and anything may be postponed.
type state int

// The states. granting is the zero value: every user begins with it.
const (
	granting  state = iota // the holder gets what its spec asks for
	revoking               // nobody in force holds the principal: everything is taken away
	revoked                // it is taken away, and every broker refuses the login
	untouched              // nothing is changed in Kafka, and the status says why
	spared                 // untouched, because the operator itself logs in as this user
	postponed              // nothing is changed and nothing is said; the user is looked at again in a moment
)

// userItem is one user of a flush.
type userItem struct {
	claim  users.Claim
	state  state
	report users.Report

	// secret names the connection Secret. owned are all of the object's, and renamed is the one with the name before, as
	// long as the status names it; nil = there is none. formers are the names of those that are to be empty.
	secret  string
	owned   map[string]*corev1.Secret
	renamed *corev1.Secret
	formers []string

	desired   users.Desired
	salt      string // of the hash; empty = there is none yet
	hash      string // of desired.Password
	endpoints []users.Endpoint
	// mechanisms to be seen to work, or to be refused.
	mechanisms []v1alpha1.Mechanism
	// leaving are mechanisms that the spec does not ask for any more and that stay until the others are seen to work.
	leaving     []v1alpha1.Mechanism
	certificate users.Certificate // of the holder
	// outgoing are the logins of those who lose the user.
	outgoing []*outgoing
	told     string         // why it has another certificate; empty = it has not, or it is its first
	renewed  *corev1.Secret // that holds it
	// provided is the password that the holder provides; empty = it provides none. unprovided: what it provides cannot be
	// used.
	provided   string
	unprovided bool
	// made is how the password in the connection Secret came about.
	made users.Made
	// fresh tells of another one that the operator has made.
	fresh freshEvent
	// overlap: the line of the password before stays in the file of PLAIN users.
	overlap bool
	// lineStays: the file of PLAIN users says that its line stays although no object stands for it.
	lineStays bool
	// lineLost: that file lacks the line, and nobody knows the password to make it again. lineFailed: it was not written.
	lineLost   bool
	lineFailed error
	// remains: the cluster has on record that ACLs of a former holder are still to be deleted.
	remains bool
	// aclsFailed: not everything about its ACLs could be done.
	aclsFailed bool
	// noRoom: its ACLs cannot be deleted, and there is no room to record that.
	noRoom bool
	// unseen: whether a broker still has its credentials could not be told, and is looked at again.
	unseen bool
	// credentialsWritten: the flush has set or deleted a SCRAM credential of it.
	credentialsWritten bool
	// resets: credentials of it are set again that a broker has lost.
	resets bool
	// holderAwaits is what the holder waits for while what its predecessors had is taken away; nil = nothing.
	holderAwaits *verdict.Verdict
	// formerAwaits is what its predecessors wait for while the holder is in force; nil = nothing.
	formerAwaits *verdict.Verdict
}

// outgoing is what somebody who loses a user has logged in with, as far as it is still known.
type outgoing struct {
	mechanisms  []v1alpha1.Mechanism
	endpoints   []users.Endpoint
	password    string
	certificate users.Certificate
}

// knows tells whether what it has logged in with is still known.
func (o *outgoing) knows(m v1alpha1.Mechanism) bool {
	if mechanism.Uses([]v1alpha1.Mechanism{m}, mechanism.CertificateFile) {
		return len(o.certificate.CertPEM) > 0
	}
	return o.password != ""
}

// refused are the mechanisms by which somebody who loses the user is to be seen refused. A holder's login by the same
// password mechanism shows that as well; a certificate may stand in another file than the holder's.
func (i *userItem) refused(o *outgoing) []v1alpha1.Mechanism {
	return slices.DeleteFunc(provable(o.mechanisms), func(m v1alpha1.Mechanism) bool {
		return !i.takesAway() && slices.Contains(i.mechanisms, m) &&
			!mechanism.Uses([]v1alpha1.Mechanism{m}, mechanism.CertificateFile)
	})
}

// refuses tells whether somebody is to be seen refused by a mechanism of which that holds.
func (i *userItem) refuses(is func([]v1alpha1.Mechanism) bool) bool {
	return i.changes() && slices.ContainsFunc(i.outgoing, func(o *outgoing) bool { return is(i.refused(o)) })
}

// knowsOutgoing tells whether a login of somebody who is to be seen refused is still known.
func (i *userItem) knowsOutgoing() bool {
	return slices.ContainsFunc(i.outgoing, func(o *outgoing) bool { return slices.ContainsFunc(i.refused(o), o.knows) })
}

// changes tells whether the flush changes, or may change, something of the user in Kafka.
func (i *userItem) changes() bool { return i.state == granting || i.takesAway() }

// takesAway tells whether the flush leaves nothing of the user.
func (i *userItem) takesAway() bool { return i.state == revoking || i.state == revoked }

func (i *userItem) fault(f verdict.Verdict) {
	if !slices.Contains(i.report.Faults, f) {
		i.report.Faults = append(i.report.Faults, f)
	}
}

// await says what is waited for. What was said first stays.
func (i *userItem) await(reason, format string, args ...any) {
	if i.report.Awaited == nil {
		v := verdict.Waiting(reason, "", proveFirst, proveLimit, format, args...)
		i.report.Awaited = &v
	}
}

// failed says that an attempt did not go through. It takes the place of what was said before.
func (i *userItem) failed(err error) {
	v := verdict.Retry(err, batch.RetryFirst, batch.RetryLimit)
	i.report.Awaited = &v
}

// unsettled tells whether an attempt did not go through.
func (i *userItem) unsettled() bool {
	return i.report.Awaited != nil && i.report.Awaited.State == verdict.StateRetry
}

// keepRecord lets the holder's status record what it records already.
func (i *userItem) keepRecord() {
	u := i.claim.Holder
	i.report.Credentials, i.report.ACLs, i.report.Secret = u.Status.Credentials, u.Status.ACLs, boundSecret(u)
}

// hadLine tells whether the holder, or whoever held the user before, has a line in a file that brokers read on record.
func (i *userItem) hadLine() bool {
	return slices.ContainsFunc(append(i.former(), i.claim.Holder), func(u *v1alpha1.KafkaUser) bool {
		return u != nil && slices.ContainsFunc(recorded(u.Status.Credentials), func(m v1alpha1.Mechanism) bool {
			return inFiles([]v1alpha1.Mechanism{m})
		})
	})
}

// former are the objects that may still have something of the user in Kafka and are to lose it: those that are being
// deleted, and those that may not have the user any more.
func (i *userItem) former() []*v1alpha1.KafkaUser {
	all := i.claim.Held()
	for _, e := range i.claim.Evicted {
		all = append(all, e.Object)
	}
	return all
}

// refusedBy sorts what Kafka says of one user: a fault of its spec, or something that may be gone at the next attempt.
func (i *userItem) refusedBy(err error, field string) {
	refusal, ok := errors.AsType[*kafka.Refusal](err)
	if !ok || i.takesAway() || !i.changes() { // what is being taken away is not what the spec asks for
		i.failed(err)
		return
	}
	i.fault(users.Explain(refusal, field))
}
