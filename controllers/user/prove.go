package user

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

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
)

// probe is one login to be tried.
type probe struct {
	item      *userItem
	node      int32
	mechanism v1alpha1.Mechanism
	err       error
	// setAgain: the broker had lost the credential, and it was set again.
	setAgain bool
}

// prove logs in as every user whose credentials some broker has not been seen to accept, and as every removed user,
// whom every broker has to refuse. At rest it tries nothing.
func (p *userPass) prove(ctx context.Context) {
	brokers := batch.Serving(p.pass.Cluster.Object)
	var probes []*probe
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
				if i.takesAway() && !i.knows(m) {
					continue // nobody knows the password any more: there is nothing to try
				}
				probes = append(probes, &probe{item: i, node: node, mechanism: m, setAgain: p.wasSetAgain(node, m)})
			}
		}
	}
	var silent sync.Map // brokers that have not answered: not to be waited for again and again
	batch.Each(probers, probes, func(t *probe) {
		if err, known := p.tried[attempt{t.item, t.node, t.mechanism}]; known {
			t.err = err
			return
		}
		if err, known := silent.Load(t.node); known {
			t.err, _ = err.(error)
			return
		}
		if t.err = p.try(ctx, t); kafka.Unreachable(t.err) && !notOffered(t.err) {
			silent.Store(t.node, t.err)
		}
	})
	seen := map[*userItem][]*probe{}
	for _, t := range probes {
		seen[t.item] = append(seen[t.item], t)
	}
	for _, i := range p.items {
		if i.changes() && !i.unsettled() {
			i.judge(seen[i], brokers)
		}
	}
}

func (p *userPass) try(ctx context.Context, t *probe) error {
	endpoint, ok := users.For(t.item.endpoints, t.mechanism)
	if !ok {
		if t.item.takesAway() {
			return kafka.ErrAuthenticationFailed // no listener offers the mechanism any more: no way in
		}
		return errNoAddress
	}
	address, ok := endpoint.Addresses[t.node]
	if !ok {
		return errNoAddress
	}
	password := t.item.desired.Password
	if t.item.takesAway() {
		password = t.item.password
	}
	row, _ := mechanism.Of(t.mechanism) // an endpoint has no mechanism without a row
	login := row.Login(mechanism.Credential{Username: t.item.claim.Name, Password: password,
		Certificate: t.item.certificate.CertPEM, Key: t.item.certificate.KeyPEM})
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

// judge records on which brokers logins worked, or that a removed user is refused everywhere, and says what is missing.
func (i *userItem) judge(probes []*probe, brokers []int32) {
	var open []string
	bad := map[int32]bool{}
	for _, t := range probes {
		ok, word := t.err == nil, "no answer"
		if i.takesAway() {
			ok = errors.Is(t.err, kafka.ErrAuthenticationFailed)
		}
		switch {
		case ok:
			continue
		case t.err == nil:
			word = "still let in"
		case notOffered(t.err):
			word = "not offered by the listener"
		case errors.Is(t.err, kafka.ErrAuthenticationFailed) && t.setAgain:
			word = "refused, also since it was set again"
		case errors.Is(t.err, kafka.ErrAuthenticationFailed):
			word = "refused"
		case errors.Is(t.err, errNoAddress):
			word = errNoAddress.Error()
		}
		bad[t.node] = true
		open = append(open, fmt.Sprintf("%s on broker %d: %s", t.mechanism, t.node, word))
	}
	if i.takesAway() {
		switch {
		case len(open) > 0:
			i.await(users.ReasonRevoking, "removed, and waiting until every broker refuses a login: %s",
				strings.Join(open, ", "))
		case len(brokers) == 0 && slices.ContainsFunc(provable(i.mechanisms), i.knows):
			i.await(users.ReasonRevoking, "removed, and waiting for a broker that takes clients, to see it refuse a login")
		default:
			i.state = revoked
		}
		return
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
