//go:build linux

package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
)

// front stands before a listener of a broker, where nobody but the operator comes. It passes everything on to the
// broker, and counts it.
type front struct {
	listener net.Listener
	upstream string
	wire     *wire
	// sealed: what passes is encrypted for the broker, and connections are counted in place of requests.
	sealed bool
}

// wire counts what the operator sends to Kafka.
type wire struct {
	mu     sync.Mutex
	counts map[string]int
}

func (w *wire) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

// counted returns the numbers so far, by API.
func (w *wire) counted() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.counts)
}

// sealedConnection is what is counted where requests cannot be seen.
const sealedConnection = "TLS connection"

// listenReplication listens where the operator expects brokers' REPLICATION listeners: at port 9091, each on a loopback
// address of its own, with mutual TLS.
func listenReplication(authority pki.Authority, hosts []string) (all []*front, err error) {
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(authority.CertPEM)
	for i := 1; i < 255 && len(all) < len(hosts); i++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.91.0.%d:%d", i, model.PortReplication))
		if err != nil {
			continue // somebody else's
		}
		f := &front{listener: listener}
		config, err := serverTLS(authority, hosts[len(all)], f.ip())
		if err != nil {
			return nil, errors.Join(err, listener.Close())
		}
		config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, clients
		f.listener = tls.NewListener(listener, config)
		all = append(all, f)
	}
	if len(all) < len(hosts) {
		return nil, fmt.Errorf("listen in front of brokers: port %d is taken on all of 127.91.0.0/24", model.PortReplication)
	}
	return all, nil
}

// serverTLS is what a listener under a name and an address shows.
func serverTLS(authority pki.Authority, host, ip string) (*tls.Config, error) {
	leaf, err := pki.Issue(authority, pki.Request{
		CommonName: "kafka-node", DNSNames: []string{host}, IPs: []net.IP{net.ParseIP(ip)},
		Usages: pki.Usages{Server: true}, ValidFor: 24 * time.Hour,
	}, time.Now())
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(leaf.CertPEM, leaf.KeyPEM)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, err
}

// Front makes an address of localhost before a listener of a broker, at which the operator is counted. With an
// authority the front shows a certificate of it and passes on in plaintext; without, the broker's own TLS goes through.
func (w *World) Front(ctx context.Context, upstream string, authority *pki.Authority) (port int32, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	f := &front{listener: listener, sealed: authority == nil}
	if authority != nil {
		config, err := serverTLS(*authority, "localhost", f.ip())
		if err != nil {
			return 0, errors.Join(err, listener.Close())
		}
		f.listener = tls.NewListener(listener, config)
	}
	go f.serve(ctx, upstream, &w.wire)
	return int32(listener.Addr().(*net.TCPAddr).Port), nil
}

func (f *front) address() string { return f.listener.Addr().String() }

func (f *front) ip() string { return f.listener.Addr().(*net.TCPAddr).IP.String() }

// serve passes connections on to the broker until ctx ends.
func (f *front) serve(ctx context.Context, upstream string, wire *wire) {
	f.upstream, f.wire = upstream, wire
	context.AfterFunc(ctx, func() { _ = f.listener.Close() })
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			if err := f.pass(ctx, conn); err != nil && ctx.Err() == nil {
				say("a connection of the operator to a broker broke: %v", err)
			}
		}()
	}
}

func (f *front) pass(ctx context.Context, operator net.Conn) error {
	defer func() { _ = operator.Close() }()
	broker, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.upstream)
	if err != nil {
		return err
	}
	defer func() { _ = broker.Close() }()
	stop := context.AfterFunc(ctx, func() { _, _ = operator.Close(), broker.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(operator, broker)
		_ = operator.Close()
	}()
	if f.sealed {
		f.wire.count(sealedConnection)
		_, _ = io.Copy(broker, operator)
		return nil
	}
	for {
		if err := f.request(operator, broker); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
	}
}

// request passes on one request: four bytes of length, then the header, which begins with two bytes of the API's key.
func (f *front) request(operator io.Reader, broker io.Writer) error {
	var head [6]byte
	if _, err := io.ReadFull(operator, head[:]); err != nil {
		return err
	}
	if _, err := broker.Write(head[:]); err != nil {
		return err
	}
	f.wire.count(kmsg.NameForKey(int16(binary.BigEndian.Uint16(head[4:]))))
	_, err := io.CopyN(broker, operator, int64(binary.BigEndian.Uint32(head[:4]))-2)
	return err
}
