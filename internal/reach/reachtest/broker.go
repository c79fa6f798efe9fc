// Package reachtest has small servers that look like brokers, or like what people put in their place. Only tests import
// it.
package reachtest

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/pki"
)

// Told is a broker as a Broker tells of it.
type Told struct {
	ID   int32
	Host string
	Port int32
}

// Broker is a server that answers the requests by which a way is looked at.
type Broker struct {
	Certificate *tls.Certificate // nil = no TLS
	Mechanisms  []string         // none = it takes no login
	Passwords   map[string]string
	ClusterID   string
	Brokers     []Told
	Silent      bool   // it takes connections and says nothing
	Closes      bool   // it closes connections at once
	Says        []byte // to whoever sends something, in place of an answer

	mu     sync.Mutex
	raw    bytes.Buffer // what came, as it came
	logins int
	dials  int
}

// Start begins to serve at a port of 127.0.0.1, until the test ends.
func (b *Broker) Start(t *testing.T) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { b.serve(conn) })
		}
	})
	return netip.MustParseAddrPort(listener.Addr().String())
}

// Received is what came, as it came over the network.
func (b *Broker) Received() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.raw.Bytes())
}

// Logins is how often somebody has begun to log in.
func (b *Broker) Logins() int { b.mu.Lock(); defer b.mu.Unlock(); return b.logins }

// Dials is how often somebody has connected.
func (b *Broker) Dials() int { b.mu.Lock(); defer b.mu.Unlock(); return b.dials }

type recorded struct {
	net.Conn
	b *Broker
}

func (r recorded) Read(into []byte) (int, error) {
	n, err := r.Conn.Read(into)
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	r.b.raw.Write(into[:n])
	return n, err
}

func (b *Broker) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	b.mu.Lock()
	b.dials++
	b.mu.Unlock()
	if b.Closes {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	conn = recorded{conn, b}
	switch {
	case b.Silent:
		_, _ = io.Copy(io.Discard, conn)
		return
	case b.Certificate != nil:
		conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*b.Certificate}, MinVersion: tls.VersionTLS12})
	}
	for {
		var head [12]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		if b.Says != nil {
			_, _ = conn.Write(b.Says)
			return
		}
		size := binary.BigEndian.Uint32(head[:])
		if size < 8 || size > 1<<16 {
			return
		}
		body := make([]byte, size-8)
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		answer := b.answer(int16(binary.BigEndian.Uint16(head[4:])), body)
		if answer == nil {
			return
		}
		answer = slices.Concat(head[8:12], answer)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// The keys of requests, and errors.
const (
	keyMetadata, keyHandshake, keyAuthenticate = 3, 17, 36
	unsupportedMechanism, illegalState, failed = 33, 34, 58
)

func (b *Broker) answer(key int16, body []byte) []byte {
	body = body[2+binary.BigEndian.Uint16(body):] // the client's id
	switch key {
	case keyMetadata:
		answer := binary.BigEndian.AppendUint32(make([]byte, 4), uint32(len(b.Brokers)))
		for _, told := range b.Brokers {
			answer = text(binary.BigEndian.AppendUint32(answer, uint32(told.ID)), told.Host)
			answer = binary.BigEndian.AppendUint32(answer, uint32(told.Port))
			answer = append(answer, 0xff, 0xff) // no rack
		}
		answer = text(answer, b.ClusterID)
		return append(answer, 0, 0, 0, 0, 0, 0, 0, 0) // the controller, and no topics
	case keyHandshake:
		code := uint16(0)
		if wanted := string(body[2:]); len(b.Mechanisms) == 0 {
			code = illegalState
		} else if !slices.Contains(b.Mechanisms, wanted) {
			code = unsupportedMechanism
		}
		answer := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, code), uint32(len(b.Mechanisms)))
		for _, m := range b.Mechanisms {
			answer = text(answer, m)
		}
		return answer
	case keyAuthenticate:
		b.mu.Lock()
		b.logins++
		b.mu.Unlock()
		parts := bytes.Split(body[4:], []byte{0}) // PLAIN: two bytes of zero
		if len(parts) != 3 || b.Passwords[string(parts[1])] != string(parts[2]) {
			answer := binary.BigEndian.AppendUint16(nil, failed)
			return append(text(answer, "Authentication failed: Invalid username or password"), 0, 0, 0, 0)
		}
		return []byte{0, 0, 0xff, 0xff, 0, 0, 0, 0}
	}
	return nil
}

func text(to []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(to, uint16(len(s))), s...)
}

// Authority is a new authority.
func Authority(t *testing.T, now time.Time) pki.Authority {
	t.Helper()
	authority, err := pki.NewAuthority("shop/events", now)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// Certificate is one of a server that an authority has signed at a time, for a day.
func Certificate(t testing.TB, authority pki.Authority, now time.Time, names ...string) *tls.Certificate {
	t.Helper()
	request := pki.Request{
		CommonName: "kafka-node", Usages: pki.Usages{Server: true, Client: true}, ValidFor: 24 * time.Hour,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			request.IPs = append(request.IPs, ip)
		} else {
			request.DNSNames = append(request.DNSNames, name)
		}
	}
	leaf, err := pki.Issue(authority, request, now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(leaf.CertPEM, leaf.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}
