package user

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/users"
)

const (
	probers      = 8
	probeTimeout = 5 * time.Second
	// proveFirst is a little more than a kubelet needs to refresh a mount after its pod was touched.
	proveFirst = 300 * time.Millisecond
	proveLimit = 30 * time.Second
	// forgoAfter is for how long a broker that cannot be asked holds the deletion of a KafkaUser.
	forgoAfter = 10 * time.Minute
)

// probe is one login to be tried, or to be told by that of another user.
type probe struct {
	item      *userItem
	node      int32
	mechanism v1alpha1.Mechanism
	err       error
	// setAgain: the broker had lost the credential, and it was set again.
	setAgain bool
}

// prove sees that every broker lets in who has credentials that some broker has not been seen to accept, and that every
// broker refuses who was removed. What stands in the metadata log is proven for all users at once; of other credentials
// each is tried. At rest it asks nothing.
func (p *userPass) prove(ctx context.Context, admin kafka.UserAdmin) {
	brokers := batch.Serving(p.pass.Cluster.Object)
	probes := p.probes(brokers)
	seen := p.awaitLoaded(ctx, admin, brokers, probes)
	p.ask(ctx, probes, seen, p.awaitRead(ctx, probes))
	by := map[*userItem][]*probe{}
	for _, t := range probes {
		by[t.item] = append(by[t.item], t)
	}
	for _, i := range p.items {
		if i.changes() && !i.unsettled() {
			p.judge(i, by[i], brokers, seen)
		}
	}
}

// probes are what has to be seen.
func (p *userPass) probes(brokers []int32) (probes []*probe) {
	for _, i := range p.items {
		nodes := brokers
		switch {
		case !i.changes() || i.unsettled():
			continue
		case i.state == granting && i.report.Credentials == nil:
			continue
		case i.state == granting:
			nodes = lacking(brokers, i.report.Credentials.ProvenOn)
		}
		for _, node := range nodes {
			for _, m := range provable(i.mechanisms) {
				if i.takesAway() && !i.knows(m) && !inLog(m) && !inFile([]v1alpha1.Mechanism{m}) {
					continue // nobody has the certificate any more: there is nothing to try
				}
				probes = append(probes, &probe{item: i, node: node, mechanism: m, setAgain: p.wasSetAgain(node, m)})
			}
		}
	}
	return probes
}

// crowd are users of one mechanism of whom one broker has to think alike.
type crowd struct {
	node      int32
	mechanism v1alpha1.Mechanism
	takesAway bool
}

// ask tries the logins. Where a broker is known to act by all that stands in the metadata log, or in the file, the
// login of one user speaks for all of the mechanism: it shows that the listener takes it. If it comes out otherwise
// than the log or the file says, each of them is tried.
func (p *userPass) ask(ctx context.Context, probes []*probe, seen loads, read *reads) {
	crowds := map[crowd][]*probe{}
	var alone []*probe
	for _, t := range probes {
		err, known := error(nil), false
		switch one := []v1alpha1.Mechanism{t.mechanism}; {
		case inLog(t.mechanism):
			err, known = seen[t.node]
		case inFile(one):
			err, known = read.of(t)
		}
		switch {
		case !known && !t.known(): // nobody knows the password any more: there is nothing to try
			t.err = kafka.ErrAuthenticationFailed
		case !known:
			alone = append(alone, t)
		case err != nil:
			t.err = err
		default:
			c := crowd{t.node, t.mechanism, t.item.takesAway()}
			crowds[c] = append(crowds[c], t)
		}
	}
	var speakers []*probe
	for c := range crowds {
		if n := speaker(crowds[c]); n >= 0 {
			crowds[c][0], crowds[c][n] = crowds[c][n], crowds[c][0]
			speakers = append(speakers, crowds[c][0])
			continue
		}
		for _, t := range crowds[c] { // nobody knows a password any more, and the log has none of them
			t.err = kafka.ErrAuthenticationFailed
		}
		delete(crowds, c)
	}
	p.tryAll(ctx, slices.Concat(alone, speakers))
	alone = nil
	for _, all := range crowds {
		for _, t := range all[1:] {
			if all[0].contradicts() && (!t.item.takesAway() || t.item.knows(t.mechanism)) {
				alone = append(alone, t)
			} else {
				t.err = all[0].err
			}
		}
	}
	p.tryAll(ctx, alone)
}

// speaker is the place of the user whose login speaks for all; -1 = none can be tried. Who has been written in this
// flush says most.
func speaker(all []*probe) int {
	n := slices.IndexFunc(all, func(t *probe) bool { return t.item.credentialsWritten && t.known() })
	if n < 0 {
		n = slices.IndexFunc(all, (*probe).known)
	}
	return n
}

// known tells whether there is a credential to be tried.
func (t *probe) known() bool { return !t.item.takesAway() || t.item.knows(t.mechanism) }

// contradicts tells whether a broker's answer is not what the metadata log says.
func (t *probe) contradicts() bool {
	refused := errors.Is(t.err, kafka.ErrAuthenticationFailed)
	return t.item.takesAway() && t.err == nil || !t.item.takesAway() && refused
}

// tryAll tries logins, but for those of which this flush knows already what comes of them.
func (p *userPass) tryAll(ctx context.Context, probes []*probe) {
	batch.Each(probers, probes, func(t *probe) {
		if err, known := p.tried[attempt{t.item, t.node, t.mechanism}]; known {
			t.err = err
			return
		}
		t.err = p.knock(ctx, t)
	})
}

// knock tries a login. A listener that gave no answer is not waited for again and again, in this flush and in the next
// ones.
func (p *userPass) knock(ctx context.Context, t *probe) error {
	endpoint, _ := users.For(t.item.endpoints, t.mechanism)
	at := p.door(t.node, endpoint.Listener)
	if err := p.r.silent(at); err != nil {
		return err
	}
	err := p.try(ctx, t)
	p.r.heard(at, err)
	return err
}

func (p *userPass) try(ctx context.Context, t *probe) error {
	endpoint, ok := users.For(t.item.endpoints, t.mechanism)
	if !ok {
		if t.item.takesAway() {
			return kafka.ErrAuthenticationFailed // no listener offers the mechanism any more: no way in
		}
		return errNoAddress
	}
	password := t.item.desired.Password
	if t.item.takesAway() {
		password = t.item.password
	}
	row, _ := mechanism.Of(t.mechanism) // an endpoint has no mechanism without a row
	return p.logIn(ctx, endpoint, t.node, row.Login(mechanism.Credential{Username: t.item.claim.Name,
		Password: password, Certificate: t.item.certificate.CertPEM, Key: t.item.certificate.KeyPEM}))
}

// logIn tries one login at a listener of a broker.
func (p *userPass) logIn(ctx context.Context, endpoint users.Endpoint, broker int32, login kafka.Login) error {
	address, ok := endpoint.Addresses[broker]
	if !ok {
		return errNoAddress
	}
	login.Address = address.Dial
	if endpoint.TLS {
		login.CA, login.ServerName = endpoint.Trust.AnchorsOr(p.ca), address.ServerName
		login.SystemRoots = len(login.CA) == 0
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return p.r.prober.TryLogin(ctx, login)
}

// knows tells whether what the removed user logged in with is still known.
func (i *userItem) knows(m v1alpha1.Mechanism) bool {
	if mechanism.Uses([]v1alpha1.Mechanism{m}, mechanism.CertificateFile) {
		return len(i.certificate.CertPEM) > 0
	}
	return i.password != ""
}

var errNoAddress = errors.New("its address is not known yet")

func notOffered(err error) bool {
	u, ok := errors.AsType[*kafka.Unanswered](err)
	return ok && (u.Cause == kafka.CauseMechanism || u.Cause == kafka.CauseNoLogin)
}

// word says what is missing of a probe; empty = nothing.
func (t *probe) word() string {
	refused := errors.Is(t.err, kafka.ErrAuthenticationFailed)
	switch {
	case t.err == nil && !t.item.takesAway(), refused && t.item.takesAway():
		return ""
	case t.err == nil:
		return "still let in"
	case notOffered(t.err):
		return "not offered by the listener"
	case refused && t.setAgain:
		return "refused, also since it was set again"
	case refused:
		return "refused"
	}
	return unloadedWord(t.err)
}

// judge records on which brokers logins work, or that a removed user is refused everywhere, and says what is missing.
func (p *userPass) judge(i *userItem, probes []*probe, brokers []int32, seen loads) {
	var open []string
	bad, answered := map[int32]bool{}, false
	for _, t := range probes {
		if word := t.word(); word != "" {
			bad[t.node], answered = true, answered || !unasked(t.err)
			open = append(open, fmt.Sprintf("%s on broker %d: %s", t.mechanism, t.node, word))
		}
	}
	rights, lag := p.unloaded(i, seen, bad)
	answered = answered || lag
	if i.takesAway() {
		open = append(open, rights...)
		switch {
		case len(open) == 0 && len(brokers) == 0 && slices.ContainsFunc(provable(i.mechanisms), i.knows):
			i.await(users.ReasonRevoking, "removed, and waiting for a broker that takes clients, to see it refuse a login")
		case len(open) == 0 || !answered && p.forgoes(i, open):
			i.state = revoked
		default:
			i.await(users.ReasonRevoking, "removed, and waiting until every broker refuses a login: %s",
				strings.Join(open, ", "))
		}
		return
	}
	if len(open) == 0 && len(rights) > 0 {
		defer i.await(users.ReasonProving, "waiting until what it may do is in force on every broker: %s",
			strings.Join(rights, ", "))
	}
	if i.report.Credentials == nil || len(provable(i.mechanisms)) == 0 {
		return
	}
	for _, id := range lacking(brokers, i.report.Credentials.ProvenOn) {
		if !bad[id] {
			i.report.Credentials.ProvenOn = append(i.report.Credentials.ProvenOn, id)
		}
	}
	slices.Sort(i.report.Credentials.ProvenOn)
	switch {
	case len(open) > 0:
		i.await(users.ReasonProving, "waiting until a login works on every broker: %s", strings.Join(open, ", "))
	case len(brokers) == 0:
		i.await(users.ReasonProving, "waiting for a broker that takes clients, to see a login work")
	case len(i.leaving) > 0:
		i.await(users.ReasonRevoking, "every broker lets it in, and %s is taken away, which the spec does not ask for",
			users.Join(i.leaving))
	}
}

// unasked tells whether a broker could not be asked at all.
func unasked(err error) bool {
	return err != nil && !errors.Is(err, kafka.ErrAuthenticationFailed) && !isBehind(err) && !notOffered(err)
}

// forgoes tells whether a deletion goes through although some broker could not be asked. Nothing of the user is left in
// Kafka's metadata and in the files, and no broker that answers lets it in.
func (p *userPass) forgoes(i *userItem, open []string) bool {
	former := i.former()
	for _, u := range former {
		if u.DeletionTimestamp == nil || p.r.Clock.Now().Sub(u.DeletionTimestamp.Time) < forgoAfter {
			return false
		}
	}
	for _, u := range former {
		p.r.Events.Eventf(u, p.pass.Cluster.Object, corev1.EventTypeWarning, "RevokedUnseen", "Revoke",
			"User %q goes %s after its deletion, although not every broker could be asked whether it refuses it: %s",
			i.claim.Name, forgoAfter, strings.Join(open, ", "))
	}
	return true
}
