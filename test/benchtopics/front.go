//go:build linux

package main

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

// front is the broker's REPLICATION listener as the operator sees it: mutual TLS at port 9091. It passes everything on
// to the broker and counts the requests, which nobody but the operator sends here.
type front struct {
	listener net.Listener
	upstream string

	mu     sync.Mutex
	counts map[string]int
}

// newFront listens on a loopback address of its own, as the port is given.
func newFront(authority pki.Authority, host string) (*front, error) {
	var listener net.Listener
	var err error
	for i := 1; i < 255 && listener == nil; i++ {
		listener, err = net.Listen("tcp", fmt.Sprintf("127.91.0.%d:%d", i, model.PortReplication))
	}
	if listener == nil {
		return nil, fmt.Errorf("listen in front of the broker: %w", err)
	}
	f := &front{listener: listener, counts: map[string]int{}}
	leaf, err := pki.Issue(authority, pki.Request{
		CommonName: "kafka-node", DNSNames: []string{host}, IPs: []net.IP{net.ParseIP(f.ip())},
		Usages: pki.Usages{Server: true}, ValidFor: 24 * time.Hour,
	}, time.Now())
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	pair, err := tls.X509KeyPair(leaf.CertPEM, leaf.KeyPEM)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(authority.CertPEM)
	f.listener = tls.NewListener(listener, &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
	})
	return f, nil
}

func (f *front) address() string { return f.listener.Addr().String() }

func (f *front) ip() string { return f.listener.Addr().(*net.TCPAddr).IP.String() }

// serve passes connections on to the broker until ctx ends.
func (f *front) serve(ctx context.Context, broker string) {
	f.upstream = broker
	context.AfterFunc(ctx, func() { _ = f.listener.Close() })
	for {
		conn, err := f.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			if err := f.pass(ctx, conn); err != nil && ctx.Err() == nil {
				say("a connection of the operator to the broker broke: %v", err)
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
	f.mu.Lock()
	f.counts[kmsg.NameForKey(int16(binary.BigEndian.Uint16(head[4:])))]++
	f.mu.Unlock()
	_, err := io.CopyN(broker, operator, int64(binary.BigEndian.Uint32(head[:4]))-2)
	return err
}

// counted returns the number of requests so far, by API.
func (f *front) counted() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.counts)
}
