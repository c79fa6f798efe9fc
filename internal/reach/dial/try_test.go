package dial

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/reach"
	"github.com/castellan-dev/castellan/internal/reach/reachtest"
)

const (
	host0    = "events-main-0.events-nodes.shop.svc.cluster.local"
	host1    = "events-main-1.events-nodes.shop.svc.cluster.local"
	public   = "b0.example.com"
	password = "correct-horse-battery"
	cluster  = "kafka-cluster-id"
)

// stage is a network of names and servers.
type stage struct {
	*testing.T
	authority pki.Authority
	now       time.Time
	names     map[string][]string // addresses by name
	refused   error               // by all addresses but 127.0.0.1
	lookup    error
}

func newStage(t *testing.T) *stage {
	now := time.Now()
	return &stage{T: t, authority: reachtest.Authority(t, now), now: now, names: map[string][]string{
		public: {"127.0.0.1"}, host0: {"127.0.0.1"}}}
}

func (s *stage) net() Net {
	return Net{
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			var addresses []netip.Addr
			for _, address := range s.names[host] {
				addresses = append(addresses, netip.MustParseAddr(address))
			}
			if len(addresses) == 0 && s.lookup == nil {
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			}
			return addresses, s.lookup
		},
		Dial: func(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
			if s.refused != nil && address.Addr() != netip.MustParseAddr("127.0.0.1") {
				return nil, s.refused
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", address.String())
		},
		Now: func() time.Time { return s.now }, Timeout: 500 * time.Millisecond,
	}
}

func (s *stage) certificate(names ...string) *tls.Certificate {
	return reachtest.Certificate(s.T, s.authority, time.Now(), names...)
}

// way is that to a server, as it is for broker 0.
func (s *stage) way(port uint16, change ...func(*reach.Way)) reach.Way {
	way := reach.Way{Listener: "clients", Node: 0, Host: public, Port: int32(port), TLS: true,
		Anchors: string(s.authority.CertPEM), NodeHost: host0, Mechanisms: []string{"PLAIN"}, ClusterID: cluster}
	for _, c := range change {
		c(&way)
	}
	return way
}

func plaintext(w *reach.Way) { w.TLS, w.Anchors = false, "" }
func noLogin(w *reach.Way)   { w.Mechanisms = nil }

func told(port uint16) []reachtest.Told {
	return []reachtest.Told{{ID: 0, Host: public, Port: int32(port)}, {ID: 1, Host: "b1.example.com", Port: 9094}}
}

// expect walks the way, and compares what is said.
func (s *stage) expect(way reach.Way, step reach.Step, fault reach.Fault, says ...string) {
	s.Helper()
	got := s.net().Try(s.Context(), way)
	if got.OK() || got.Failure.Step != step {
		s.Errorf("%s fails, expected %s: %+v", got.Failure.Step, step, got)
		return
	}
	row := fault.Row()
	words, _, _ := strings.Cut(row.Cause, "%")
	if !strings.HasPrefix(got.Failure.Cause, words) {
		s.Errorf("it says %q, expected %s", got.Failure.Cause, fault)
	}
	for _, want := range says {
		if !strings.Contains(got.Failure.String(), want) {
			s.Errorf("it says %q, expected %q", got.Failure, want)
		}
	}
	for later := step + 1; later <= reach.StepAddress; later++ {
		if got.Steps[later] == reach.Passed {
			s.Errorf("%s fails, and %s is tried all the same", step, later)
		}
	}
}

func TestTheWayToABrokerThatIsAsItShouldBe(t *testing.T) {
	s := newStage(t)
	good := &reachtest.Broker{Certificate: s.certificate(host0, public), Mechanisms: []string{"SCRAM-SHA-512", "PLAIN"},
		Passwords: map[string]string{"app": password}, ClusterID: cluster}
	port := good.Start(t).Port()
	good.Brokers = told(port)
	got := s.net().Try(t.Context(), s.way(port))
	want := [...]reach.Outcome{reach.Passed, reach.Passed, reach.Passed, reach.Passed, reach.Passed, reach.Passed,
		reach.NotTried, reach.NotTried}
	if got.Steps != want || !got.OK() {
		t.Errorf("without a login: %+v", got)
	}
	if good.Logins() != 0 {
		t.Error("the operator has begun to log in")
	}
	got, tells := s.net().TryAs(t.Context(), s.way(port), &Login{Mechanism: "PLAIN", Username: "app", Password: password})
	want[reach.StepLogin], want[reach.StepAddress] = reach.Passed, reach.Passed
	if got.Steps != want || !got.OK() || len(tells.Brokers) != 2 || tells.Cluster != cluster {
		t.Errorf("with one: %+v, told %+v", got, tells)
	}
	got, _ = s.net().TryAs(t.Context(), s.way(port), &Login{Mechanism: "PLAIN", Username: "app", Password: "wrong"})
	if got.Failure.Step != reach.StepLogin || !strings.Contains(got.Failure.Cause, "Invalid username or password") ||
		strings.Contains(got.Failure.String(), "wrong") {
		t.Errorf("with a wrong password: %+v", got)
	}
}

func TestTheStepThatFailsIsNamed(t *testing.T) {
	s := newStage(t)
	tlsBroker := &reachtest.Broker{Certificate: s.certificate(host0, public), Mechanisms: []string{"PLAIN"}, ClusterID: cluster}
	port := tlsBroker.Start(t).Port()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := netip.MustParseAddrPort(closed.Addr().String()).Port()
	_ = closed.Close()

	s.expect(s.way(port, func(w *reach.Way) { w.Host = "b0.r.test" }), reach.StepResolve, reach.FaultNoHost, "b0.r.test")
	s.expect(s.way(free), reach.StepConnect, reach.FaultRefused, public)
	s.expect(s.way(port, func(w *reach.Way) { w.Mechanisms = []string{"PLAIN", "SCRAM-SHA-256"} }), reach.StepSASL,
		reach.FaultMechanism, "offers PLAIN and not SCRAM-SHA-256")
	s.lookup = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	s.expect(s.way(port, func(w *reach.Way) { w.Host = "b9.r.test" }), reach.StepResolve, reach.FaultDNS, "b9.r.test")

	s = newStage(t)
	s.names[public], s.refused = []string{"192.0.2.1"}, syscall.EHOSTUNREACH
	s.expect(s.way(port), reach.StepConnect, reach.FaultNoRoute)
	s.refused = context.DeadlineExceeded
	s.expect(s.way(port), reach.StepConnect, reach.FaultSilent, "NetworkPolicies")

	for name, c := range map[string]struct {
		broker *reachtest.Broker
		change func(*reach.Way)
		step   reach.Step
		fault  reach.Fault
	}{
		"plaintext where TLS is meant": {&reachtest.Broker{Says: []byte("HTTP/1.1 400 Bad Request\r\n\r\n")},
			func(*reach.Way) {}, reach.StepTLS, reach.FaultNoTLS},
		"a router that does not know the host": {&reachtest.Broker{Closes: true}, func(*reach.Way) {}, reach.StepTLS,
			reach.FaultTLSClosed},
		"silence where TLS is meant": {&reachtest.Broker{Silent: true}, func(*reach.Way) {}, reach.StepTLS,
			reach.FaultTLSSilent},
		"TLS where none is meant": {&reachtest.Broker{Says: []byte{0x15, 3, 3, 0, 2, 2, 80}}, plaintext, reach.StepSASL,
			reach.FaultWantsTLS},
		"silence":          {&reachtest.Broker{Silent: true}, plaintext, reach.StepSASL, reach.FaultNoAnswer},
		"no answer at all": {&reachtest.Broker{Closes: true}, plaintext, reach.StepSASL, reach.FaultClosed},
		"HTTP": {&reachtest.Broker{Says: []byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, plaintext, reach.StepSASL,
			reach.FaultNotKafka},
		"an answer without an end": {&reachtest.Broker{Says: []byte{0x7f, 0xff, 0xff, 0xff, 1}}, plaintext, reach.StepSASL,
			reach.FaultNotKafka},
		"an answer to another request": {&reachtest.Broker{Says: []byte{0, 0, 0, 10, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0}}, plaintext,
			reach.StepSASL, reach.FaultNotKafka},
		"no login there": {&reachtest.Broker{}, plaintext, reach.StepSASL, reach.FaultNoLogin},
		"HTTP, no login": {&reachtest.Broker{Says: []byte("HTTP/1.1 400 Bad Request\r\n\r\n")},
			func(w *reach.Way) { plaintext(w); noLogin(w) }, reach.StepAddress, reach.FaultNotKafka},
		"another cluster": {&reachtest.Broker{ClusterID: "other", Brokers: told(1)},
			func(w *reach.Way) { plaintext(w); noLogin(w) }, reach.StepAddress, reach.FaultOtherCluster},
		"another address": {&reachtest.Broker{ClusterID: cluster, Brokers: told(1)},
			func(w *reach.Way) { plaintext(w); noLogin(w) }, reach.StepAddress, reach.FaultOtherAddress},
		"a broker that it does not know": {&reachtest.Broker{ClusterID: cluster},
			func(w *reach.Way) { plaintext(w); noLogin(w) }, reach.StepAddress, reach.FaultNotListed},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			began := time.Now()
			s.expect(s.way(c.broker.Start(t).Port(), c.change), c.step, c.fault)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// Whatever is the matter with a certificate: it is named, and not one byte of a login is sent.
func TestNoLoginIsSentToWhomTheCertificateDoesNotProve(t *testing.T) {
	stranger := reachtest.Authority(t, time.Now())
	for name, c := range map[string]struct {
		certificate func(s *stage) *tls.Certificate
		change      func(s *stage, w *reach.Way)
		step        reach.Step
		fault       reach.Fault
		says        string
	}{
		"of another authority": {func(s *stage) *tls.Certificate {
			return reachtest.Certificate(s.T, stranger, time.Now(), host0, public)
		}, nil, reach.StepTLS, reach.FaultUntrusted, "shop/events"},
		"past its end": {func(s *stage) *tls.Certificate { return s.certificate(host0, public) },
			func(s *stage, _ *reach.Way) { s.now = s.now.Add(25 * time.Hour) }, reach.StepTLS, reach.FaultExpired, "clock"},
		"before its beginning": {func(s *stage) *tls.Certificate { return s.certificate(host0, public) },
			func(s *stage, _ *reach.Way) { s.now = s.now.Add(-25 * time.Hour) }, reach.StepTLS, reach.FaultNotYet, "clock"},
		"of another host": {func(s *stage) *tls.Certificate { return s.certificate(host0, "b0.old.example.com") }, nil,
			reach.StepName, reach.FaultNotNamed, "b0.old.example.com"},
		"of no IP address": {func(s *stage) *tls.Certificate { return s.certificate(host0, public) },
			func(_ *stage, w *reach.Way) { w.Host = "127.0.0.1" }, reach.StepName, reach.FaultNotNamed, "127.0.0.1"},
		"of another broker": {func(s *stage) *tls.Certificate { return s.certificate(host1, public) }, nil,
			reach.StepBroker, reach.FaultAnotherBroker, "behind it is broker 1"},
		"of another broker with another host": {func(s *stage) *tls.Certificate { return s.certificate(host1, "b1.example.com") },
			nil, reach.StepBroker, reach.FaultAnotherBroker, "to broker 0 alone"},
		"of a client": {func(s *stage) *tls.Certificate {
			return s.issued(pki.Request{CommonName: "app", DNSNames: []string{host0, public}, Usages: pki.Usages{Client: true},
				ValidFor: time.Hour})
		}, nil, reach.StepTLS, reach.FaultUnusable, "certificate of a server"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			broker := &reachtest.Broker{Certificate: c.certificate(s), Mechanisms: []string{"PLAIN"},
				Passwords: map[string]string{"app": password}, ClusterID: cluster}
			way := s.way(broker.Start(t).Port())
			broker.Brokers = told(uint16(way.Port))
			if c.change != nil {
				c.change(s, &way)
			}
			s.expect(way, c.step, c.fault, c.says)
			got, tells := s.net().TryAs(t.Context(), way, &Login{Mechanism: "PLAIN", Username: "app", Password: password})
			if got.Failure.Step != c.step || tells.Brokers != nil {
				t.Errorf("with a login: %+v, told %+v", got, tells)
			}
			if broker.Logins() != 0 || bytes.Contains(broker.Received(), []byte(password)) {
				t.Error("the broker got a login")
			}
		})
	}
}

// issued is a certificate of the stage's authority.
func (s *stage) issued(request pki.Request) *tls.Certificate {
	s.Helper()
	leaf, err := pki.Issue(s.authority, request, time.Now())
	if err != nil {
		s.Fatal(err)
	}
	pair, err := tls.X509KeyPair(leaf.CertPEM, leaf.KeyPEM)
	if err != nil {
		s.Fatal(err)
	}
	return &pair
}

func TestPlainSendsNoPasswordInClearUnlessAsked(t *testing.T) {
	s := newStage(t)
	broker := &reachtest.Broker{Mechanisms: []string{"PLAIN"}, Passwords: map[string]string{"app": password}, ClusterID: cluster}
	port := broker.Start(t).Port()
	broker.Brokers = told(port)
	login := Login{Mechanism: "PLAIN", Username: "app", Password: password}
	got, _ := s.net().TryAs(t.Context(), s.way(port, plaintext), &login)
	if got.Failure.Step != reach.StepLogin || !strings.Contains(got.Failure.String(), "--allow-clear-text-password") {
		t.Errorf("%+v", got)
	}
	if broker.Logins() != 0 || bytes.Contains(broker.Received(), []byte(password)) {
		t.Error("the password was sent")
	}
	login.ClearText = true
	if got, _ = s.net().TryAs(t.Context(), s.way(port, plaintext), &login); !got.OK() || got.Steps[reach.StepAddress] != reach.Passed {
		t.Errorf("once it is permitted: %+v", got)
	}
}

// Two names in a hosts file that had each other's address: what looks right by name led to the other broker, and without
// TLS nothing said so.
func TestWithoutTLSTheBrokerIsKnownByThePortBesideIt(t *testing.T) {
	for name, c := range map[string]struct {
		shows string // by the port beside; empty = nobody is there
		want  reach.Outcome
	}{
		"the broker":     {host0, reach.Passed},
		"another broker": {host1, reach.Failed},
		"a balancer":     {"", reach.NotProven},
		"somebody else":  {"elsewhere.example.com", reach.NotProven},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			broker := &reachtest.Broker{ClusterID: cluster}
			port := broker.Start(t).Port()
			broker.Brokers = told(port)
			beside := &reachtest.Broker{Closes: true}
			if c.shows != "" {
				beside = &reachtest.Broker{Certificate: s.certificate(c.shows)}
			}
			way := s.way(port, plaintext, noLogin)
			way.InternalPort, way.InternalAnchors = int32(beside.Start(t).Port()), string(s.authority.CertPEM)
			got := s.net().Try(t.Context(), way)
			if got.Steps[reach.StepBroker] != c.want || got.OK() != (c.want != reach.Failed) {
				t.Errorf("%+v", got)
			}
			if c.want != reach.Failed {
				return
			}
			if !strings.Contains(got.Failure.Cause, "behind it is broker 1") {
				t.Errorf("it says %q", got.Failure)
			}
		})
	}
	t.Run("signed by somebody else", func(t *testing.T) {
		s := newStage(t)
		broker := &reachtest.Broker{ClusterID: cluster}
		port := broker.Start(t).Port()
		broker.Brokers = told(port)
		way := s.way(port, plaintext, noLogin)
		forged := &reachtest.Broker{Certificate: reachtest.Certificate(t, reachtest.Authority(t, time.Now()), time.Now(), host1)}
		way.InternalPort, way.InternalAnchors = int32(forged.Start(t).Port()), string(s.authority.CertPEM)
		if got := s.net().Try(t.Context(), way); !got.OK() || got.Steps[reach.StepBroker] != reach.NotProven {
			t.Errorf("a stranger's certificate counts: %+v", got)
		}
	})
}

// A certificate of a public authority has no name of a pod: it proves the cluster, and not the broker.
func TestACertificateForAllBrokersProvesNoneOfThem(t *testing.T) {
	s := newStage(t)
	broker := &reachtest.Broker{Certificate: s.certificate("*.example.com"), Mechanisms: []string{"PLAIN"}}
	got := s.net().Try(t.Context(), s.way(broker.Start(t).Port()))
	if !got.OK() || got.Steps[reach.StepBroker] != reach.NotProven || got.Steps[reach.StepName] != reach.Passed {
		t.Errorf("%+v", got)
	}
}

func TestEveryAddressOfANameIsTriedAsClientsDo(t *testing.T) {
	s := newStage(t)
	broker := &reachtest.Broker{Certificate: s.certificate(host0, public), Mechanisms: []string{"PLAIN"}}
	s.names[public], s.refused = []string{"192.0.2.1", "127.0.0.1"}, errors.New("no")
	if got := s.net().Try(t.Context(), s.way(broker.Start(t).Port())); !got.OK() {
		t.Errorf("%+v", got)
	}
}

func TestWhatASilentPeerSaysDoesNotChangeFromTryToTry(t *testing.T) {
	s := newStage(t)
	for _, broker := range []*reachtest.Broker{{Closes: true}, {Silent: true}, {Says: []byte("no")}} {
		way := s.way(broker.Start(t).Port())
		for _, way := range []reach.Way{way, s.way(uint16(way.Port), plaintext)} {
			if a, b := s.net().Try(t.Context(), way), s.net().Try(t.Context(), way); a != b || a.OK() {
				t.Errorf("%+v, then %+v", a, b)
			}
		}
	}
}
