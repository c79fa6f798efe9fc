package user

import (
	"cmp"
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
	"github.com/castellan-dev/castellan/internal/verdict"
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
	of        *outgoing // whose login it is, which is to be refused; nil = the holder's
	node      int32
	mechanism v1alpha1.Mechanism
	err       error
	// setAgain: the broker had lost the credential, and it was set again.
	setAgain bool
}

// outgoingOf are the logins of former holders.
func (p *userPass) outgoingOf(ctx context.Context, former []*v1alpha1.KafkaUser) (all []*outgoing) {
	for _, u := range former {
		record := users.Recorded(u, p.pass.Cluster.ID())
		mechanisms := recorded(record)
		if record != nil && len(mechanisms) == 0 { // it has begun to take its user, and nobody knows what of it stands
			mechanisms = ofUsers()
		}
		if len(mechanisms) > 0 {
			all = append(all, &outgoing{mechanisms: mechanisms, endpoints: users.Endpoints(p.host, mechanisms),
				password: p.oldPassword(ctx, u), certificate: p.oldCertificate(ctx, u)})
		}
	}
	return all
}

// ofUsers are all mechanisms by which a user can be tried.
func ofUsers() (all []v1alpha1.Mechanism) {
	for _, row := range mechanism.Rows {
		if row.IsUsers() && row.Offered() {
			all = append(all, row.Name)
		}
	}
	return all
}

// prove sees that every broker lets in who has credentials that some broker has not been seen to accept, and that every
// broker refuses who was removed. What stands in the metadata log, or in a file, is proven for all users at once; where
// nobody can tell, each is tried. At rest it asks nothing.
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
		if !i.changes() || i.unsettled() || i.state == granting && i.report.Credentials == nil {
			continue
		}
		if i.state == granting {
			for _, node := range lacking(brokers, i.report.Credentials.ProvenOn) {
				for _, m := range provable(i.mechanisms) {
					probes = append(probes, &probe{item: i, node: node, mechanism: m, setAgain: p.wasSetAgain(node, m)})
				}
			}
		}
		for _, o := range i.outgoing {
			for _, m := range i.refused(o) {
				for _, node := range brokers {
					probes = append(probes, &probe{item: i, of: o, node: node, mechanism: m})
				}
			}
		}
	}
	return probes
}

// goes tells whether a login is to be refused.
func (t *probe) goes() bool { return t.of != nil }

// crowd are users of one mechanism of whom one broker has to think alike.
type crowd struct {
	node      int32
	mechanism v1alpha1.Mechanism
	takesAway bool
}

// ask tries the logins. Where a broker is known to act by all that stands in the metadata log, or in a file, the
// login of one user speaks for all of the mechanism: it shows that the listener takes it. If it comes out otherwise
// than the log or the file says, each of them is tried.
func (p *userPass) ask(ctx context.Context, probes []*probe, seen loads, read *reads) {
	crowds := map[crowd][]*probe{}
	var alone []*probe
	for _, t := range probes {
		err, known := error(nil), false
		switch {
		case inLog(t.mechanism):
			err, known = seen[t.node]
		case kindOf(t.mechanism) != nil:
			known, err = read.of(t)
		}
		switch {
		case !known && !t.known(): // nobody knows the password or the certificate any more: there is nothing to try
			t.err = kafka.ErrAuthenticationFailed
		case !known:
			alone = append(alone, t)
		case err != nil:
			t.err = err
		default:
			c := crowd{t.node, t.mechanism, t.goes()}
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
		for _, t := range crowds[c] { // nobody knows a password any more, and neither log nor file has any of them
			t.err = kafka.ErrAuthenticationFailed
		}
		delete(crowds, c)
	}
	p.tryAll(ctx, slices.Concat(alone, speakers))
	alone = nil
	for _, all := range crowds {
		for _, t := range all[1:] {
			if all[0].contradicts() && t.known() {
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
func (t *probe) known() bool { return !t.goes() || t.of.knows(t.mechanism) }

// contradicts tells whether a broker's answer is not what the metadata log says.
func (t *probe) contradicts() bool {
	refused := errors.Is(t.err, kafka.ErrAuthenticationFailed)
	return t.goes() && t.err == nil || !t.goes() && refused
}

// tryAll tries logins, but for those of which this flush knows already what comes of them.
func (p *userPass) tryAll(ctx context.Context, probes []*probe) {
	batch.Each(probers, probes, func(t *probe) {
		if err, known := p.tried[attempt{t.item, t.node, t.mechanism}]; known && !t.goes() {
			t.err = err
			return
		}
		t.err = p.knock(ctx, t)
	})
}

// knock tries a login. A listener that gave no answer is not waited for again and again, in this flush and in the next
// ones.
func (p *userPass) knock(ctx context.Context, t *probe) error {
	endpoint, _ := t.endpoint()
	at := p.door(t.node, endpoint.Listener)
	if err := p.r.silent(at); err != nil {
		return err
	}
	err := p.try(ctx, t)
	p.r.heard(at, err)
	return err
}

// endpoint is where it is tried; false = no listener offers the mechanism.
func (t *probe) endpoint() (users.Endpoint, bool) {
	if t.goes() {
		return users.For(t.of.endpoints, t.mechanism)
	}
	return users.For(t.item.endpoints, t.mechanism)
}

func (p *userPass) try(ctx context.Context, t *probe) error {
	endpoint, ok := t.endpoint()
	switch {
	case !ok && t.goes() && kindOf(t.mechanism) != nil && p.withdrawn() != nil:
		return errWithdrawn // the broker may not have read either that the file has no line of it
	case !ok && t.goes():
		return kafka.ErrAuthenticationFailed // no listener offers the mechanism any more: no way in
	case !ok:
		return errNoAddress
	}
	password, certificate := t.item.desired.Password, t.item.certificate
	if t.goes() {
		password, certificate = t.of.password, t.of.certificate
	}
	row, _ := mechanism.Of(t.mechanism) // an endpoint has no mechanism without a row
	return p.logIn(ctx, endpoint, t.node, row.Login(mechanism.Credential{Username: t.item.claim.Name,
		Password: password, Certificate: certificate.CertPEM, Key: certificate.KeyPEM}))
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

var errNoAddress = errors.New("its address is not known yet")

func notOffered(err error) bool {
	u, ok := errors.AsType[*kafka.Unanswered](err)
	return ok && (u.Cause == kafka.CauseMechanism || u.Cause == kafka.CauseNoLogin)
}

// word says what is missing of a probe; empty = nothing.
func (t *probe) word() string {
	refused := errors.Is(t.err, kafka.ErrAuthenticationFailed)
	switch {
	case t.err == nil && !t.goes(), refused && t.goes():
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

// lacks is what is missing of some logins.
type lacks struct {
	open     []string
	bad      map[int32]bool // the brokers of which something is said
	answered bool           // one of them has answered
}

// lacksOf says what is missing of the logins that are to be refused, or of the others.
func lacksOf(probes []*probe, goes bool) lacks {
	l := lacks{bad: map[int32]bool{}}
	for _, t := range probes {
		if word := t.word(); word != "" && t.goes() == goes {
			l.bad[t.node], l.answered = true, l.answered || !unasked(t.err)
			if text := fmt.Sprintf("%s on broker %d: %s", t.mechanism, t.node, word); !slices.Contains(l.open, text) {
				l.open = append(l.open, text)
			}
		}
	}
	return l
}

// judge records on which brokers logins work, and that those who lose the user are refused everywhere, and says what is
// missing.
func (p *userPass) judge(i *userItem, probes []*probe, brokers []int32, seen loads) {
	old := lacksOf(probes, true)
	if !i.takesAway() {
		p.judgeHolder(i, lacksOf(probes, false), brokers, seen)
		i.formerAwaits = p.awaited(i, old, brokers, "handed over")
		return
	}
	rights, lag := p.unloaded(i, seen, old.bad)
	old.open, old.answered = append(old.open, rights...), old.answered || lag
	if v := p.awaited(i, old, brokers, "removed"); v != nil {
		i.report.Awaited = cmp.Or(i.report.Awaited, v)
		return
	}
	i.state = revoked
}

// awaited is what those who lose the user wait for; nil = every broker refuses them.
func (p *userPass) awaited(i *userItem, old lacks, brokers []int32, says string) *verdict.Verdict {
	wait := func(format string, args ...any) *verdict.Verdict {
		v := verdict.Waiting(users.ReasonRevoking, "", proveFirst, proveLimit, says+format, args...)
		return &v
	}
	switch {
	case len(old.open) == 0 && len(brokers) == 0 && i.knowsOutgoing():
		return wait(", and waiting for a broker that takes clients, to see it refuse a login")
	case len(old.open) == 0:
		return nil
	case !old.answered && (i.takesAway() || i.report.Awaited == nil) && p.forgoes(i, old.open):
		return nil
	}
	return wait(", and waiting until every broker refuses a login: %s", strings.Join(old.open, ", "))
}

// judgeHolder is that of the holder's logins.
func (p *userPass) judgeHolder(i *userItem, own lacks, brokers []int32, seen loads) {
	open, bad := own.open, own.bad
	rights, _ := p.unloaded(i, seen, bad)
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
