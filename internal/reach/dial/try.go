// Package dial walks the way to a broker, step by step, and remembers what came of it. It knows nothing of Kubernetes.
// Every step is bounded in time and in what is read. With TLS nothing but a greeting is sent before the certificate has
// proven the broker, and a login only after that.
package dial

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka/wire"
	"github.com/castellan-dev/castellan/internal/reach"
)

const (
	// StepTimeout bounds each step.
	StepTimeout = 4 * time.Second
	// maxAddresses is how many addresses of one name are tried: clients, too, go through them.
	maxAddresses = 4
	clientID     = "castellan-reach"
)

// Net is where the way leads through. The zero value is this machine's network.
type Net struct {
	// Resolve looks a host name up.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial opens a TCP connection to an IP address and a port.
	Dial func(ctx context.Context, address netip.AddrPort) (net.Conn, error)
	// Now is the clock by which certificates are judged.
	Now func() time.Time
	// Timeout bounds each step; 0 = StepTimeout.
	Timeout time.Duration
}

// Login is a user's, for whoever has one.
type Login struct {
	Mechanism, Username, Password string
	// ClearText permits that PLAIN sends the password over a connection without TLS.
	ClearText bool
}

// Told is what a broker tells clients: the mechanisms that it offers, and to whom is let in its cluster and the brokers
// there, by id.
type Told struct {
	Mechanisms []string
	Cluster    string
	Brokers    map[int32]wire.Broker
}

// Try walks a way without a login.
func (n Net) Try(ctx context.Context, way reach.Way) reach.Finding {
	finding, _ := n.TryAs(ctx, way, nil)
	return finding
}

// TryAs walks a way, and logs in where login is not nil. It returns what the broker tells, if the way goes so far.
func (n Net) TryAs(ctx context.Context, way reach.Way, login *Login) (reach.Finding, Told) {
	w := &walk{Net: n, way: way, login: login}
	w.fill()
	defer func() {
		if w.conn != nil {
			_ = w.conn.Close() // nothing is lost with it
		}
	}()
	for _, step := range []func(context.Context){
		w.resolve, w.connect, w.secure, w.identify, w.offered, w.logIn, w.compare,
	} {
		bounded, cancel := context.WithTimeout(ctx, w.Timeout)
		step(bounded)
		cancel()
		if !w.found.OK() {
			break
		}
	}
	return w.found, w.told
}

// walk is one try.
type walk struct {
	Net
	way       reach.Way
	login     *Login
	addresses []netip.Addr
	conn      net.Conn
	kafka     *wire.Conn
	found     reach.Finding
	told      Told
}

// fill puts this machine's network where nothing else is given.
func (w *walk) fill() {
	if w.Resolve == nil {
		w.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if w.Dial == nil {
		w.Dial = func(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address.String())
		}
	}
	if w.Now == nil {
		w.Now = time.Now
	}
	if w.Timeout == 0 {
		w.Timeout = StepTimeout
	}
}

func (w *walk) resolve(ctx context.Context) {
	if address, err := netip.ParseAddr(w.way.Host); err == nil {
		w.addresses = []netip.Addr{address}
		w.found.Pass(reach.StepResolve)
		return
	}
	addresses, err := w.Resolve(ctx, w.way.Host)
	dns, told := errors.AsType[*net.DNSError](err)
	switch {
	case err == nil && len(addresses) > 0:
		w.addresses = addresses[:min(len(addresses), maxAddresses)]
		w.found.Pass(reach.StepResolve)
	case err == nil, told && dns.IsNotFound:
		w.found.Fail(reach.FaultNoHost, w.way.Host)
	default:
		w.found.Fail(reach.FaultDNS, w.way.Host)
	}
}

// connect takes the first address that answers, as clients do.
func (w *walk) connect(ctx context.Context) {
	var first error
	for _, address := range w.addresses {
		share, cancel := context.WithTimeout(ctx, w.Timeout/time.Duration(len(w.addresses)))
		conn, err := w.Dial(share, netip.AddrPortFrom(address.Unmap(), uint16(w.way.Port)))
		cancel()
		if err == nil {
			w.conn = conn
			w.found.Pass(reach.StepConnect)
			return
		}
		if first == nil {
			first = err
		}
	}
	switch {
	case errors.Is(first, syscall.ECONNREFUSED):
		w.found.Fail(reach.FaultRefused, w.way.Address())
	case errors.Is(first, syscall.EHOSTUNREACH), errors.Is(first, syscall.ENETUNREACH):
		w.found.Fail(reach.FaultNoRoute, w.way.Address())
	default:
		w.found.Fail(reach.FaultSilent, w.way.Address())
	}
}

// secure speaks TLS from here on, if a certificate proves the broker: the chain first, then who it is, then its name.
func (w *walk) secure(ctx context.Context) {
	if !w.way.TLS {
		return
	}
	session := tls.Client(w.conn, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         w.way.Host,
		InsecureSkipVerify: true, // because VerifyConnection tells apart what is the matter
		VerifyConnection:   w.verify,
	})
	err := session.HandshakeContext(ctx)
	if w.way.ClientCertificate && w.found.OK() && session.ConnectionState().PeerCertificates != nil {
		err = nil // the broker has shown its own; that it then asks in vain for ours is what it should do
	}
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	alert, refused := errors.AsType[*net.OpError](err)
	switch {
	case !w.found.OK(): // verify has said why
	case err == nil:
		w.conn = session
	case noTLS:
		w.found.Fail(reach.FaultNoTLS, w.way.Address())
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
		w.found.Fail(reach.FaultTLSSilent, w.way.Address())
	case refused && alert.Op == "remote error":
		w.found.Fail(reach.FaultTLSAlert, w.way.Address(), strings.TrimPrefix(alert.Err.Error(), "tls: "))
	default:
		w.found.Fail(reach.FaultTLSClosed, w.way.Address())
	}
}

// identify asks which broker is there where the listener does not show it: at the port beside it, which shows a
// certificate of its own.
func (w *walk) identify(ctx context.Context) {
	if w.way.TLS || w.way.Node == reach.AnyNode {
		return
	}
	w.found.Steps[reach.StepBroker] = reach.NotProven
	remote, err := netip.ParseAddrPort(w.conn.RemoteAddr().String())
	if w.way.InternalPort == 0 || err != nil {
		return
	}
	conn, err := w.Dial(ctx, netip.AddrPortFrom(remote.Addr().Unmap(), uint16(w.way.InternalPort)))
	if err != nil {
		return // a Service or a load balancer: it leads to the one port
	}
	defer func() { _ = conn.Close() }()
	var names []string
	beside := tls.Client(conn, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // because its name is the question, and its chain is verified
		VerifyConnection: func(state tls.ConnectionState) error {
			if _, ok := w.chain(state.PeerCertificates, w.way.InternalAnchors); ok {
				names = state.PeerCertificates[0].DNSNames
			}
			return errSeen
		},
	})
	_ = beside.HandshakeContext(ctx) // it ends as soon as the certificate was seen
	w.isBroker(names)
}

var errSeen = errors.New("the certificate was seen")

// offered asks for the mechanisms, and sends nothing of a login.
func (w *walk) offered(ctx context.Context) {
	w.kafka = wire.New(w.conn, clientID)
	wanted := w.way.Mechanisms
	if len(wanted) == 0 && !w.way.AnyLogin || w.way.ClientCertificate {
		return
	}
	offers, err := w.kafka.Mechanisms(ctx, cmp.Or(append(slices.Clone(wanted), "PLAIN")...))
	if w.way.AnyLogin && errors.Is(err, wire.ErrNoLogin) {
		return
	}
	if err != nil {
		w.unanswered(reach.StepSASL, err)
		return
	}
	slices.Sort(offers)
	w.told.Mechanisms = offers
	for _, mechanism := range wanted {
		if !slices.Contains(offers, mechanism) {
			w.found.Fail(reach.FaultMechanism, strings.Join(offers, ", "), mechanism)
			return
		}
	}
	w.found.Pass(reach.StepSASL)
}

func (w *walk) logIn(ctx context.Context) {
	if w.login == nil || len(w.way.Mechanisms) == 0 {
		return
	}
	if w.login.Mechanism == "PLAIN" && !w.way.TLS && !w.login.ClearText {
		w.found.Fail(reach.FaultClearText)
		return
	}
	err := w.kafka.LogIn(ctx, w.login.Mechanism, w.login.Username, w.login.Password)
	refused, answered := errors.AsType[*wire.Refused](err)
	switch {
	case err == nil:
		w.found.Pass(reach.StepLogin)
	case answered:
		w.found.Fail(reach.FaultLogin, refused.Error())
	default:
		w.found.Fail(reach.FaultLogin, "it does not answer")
	}
}

// compare asks what the broker tells clients, where it answers without a login or has let the user in.
func (w *walk) compare(ctx context.Context) {
	if len(w.told.Mechanisms) > 0 && w.login == nil {
		return
	}
	if w.way.ClientCertificate {
		w.found.Steps[reach.StepAddress] = reach.NotProven
		return
	}
	cluster, brokers, err := w.kafka.Brokers(ctx)
	if err != nil {
		if len(w.told.Mechanisms) == 0 {
			w.unanswered(reach.StepAddress, err)
			return
		}
		w.found.Fail(reach.FaultAskFailed, w.way.Address(), sentence(err))
		return
	}
	w.told.Cluster, w.told.Brokers = cluster, map[int32]wire.Broker{}
	for _, b := range brokers {
		w.told.Brokers[b.ID] = b
	}
	if w.way.ClusterID != "" && cluster != w.way.ClusterID {
		w.found.Fail(reach.FaultOtherCluster, cluster, w.way.ClusterID)
		return
	}
	if w.way.Node == reach.AnyNode {
		w.found.Pass(reach.StepAddress)
		return
	}
	own, listed := w.told.Brokers[w.way.Node]
	told := reach.Way{Host: own.Host, Port: own.Port}
	switch {
	case !listed:
		w.found.Fail(reach.FaultNotListed, w.way.Node)
	case told.Address() != w.way.Address():
		w.found.Fail(reach.FaultOtherAddress, w.way.Node, told.Address())
	default:
		w.found.Pass(reach.StepAddress)
	}
}

// unanswered says why the first request got no answer.
func (w *walk) unanswered(step reach.Step, err error) {
	fault := reach.FaultClosed
	for _, known := range []struct {
		err   error
		fault reach.Fault
	}{
		{wire.ErrWantsTLS, reach.FaultWantsTLS}, {wire.ErrNotKafka, reach.FaultNotKafka},
		{wire.ErrNoLogin, reach.FaultNoLogin}, {wire.ErrSilent, reach.FaultNoAnswer},
	} {
		if errors.Is(err, known.err) {
			fault = known.fault
		}
	}
	w.found.FailAt(step, fault, w.way.Address())
}

// sentence is an error without what changes from try to try, such as the port on this side.
func sentence(err error) string {
	for _, known := range []error{wire.ErrClosed, wire.ErrSilent, wire.ErrNotKafka} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}
