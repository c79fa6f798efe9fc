package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/client"
	"github.com/castellan-dev/castellan/internal/pki"
)

// door is a TLS server that stands for a broker's listener.
type door struct {
	net.Listener
	config *tls.Config
	// serve does something with a connection; the number of those that have shown a certificate counts from 1.
	serve func(c *tls.Conn, nth int32)
	shown atomic.Int32
}

func (d *door) run() {
	for {
		raw, err := d.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = raw.Close() }()
			c := tls.Server(raw, d.config)
			if c.HandshakeContext(context.Background()) != nil {
				return
			}
			var nth int32
			if len(c.ConnectionState().PeerCertificates) > 0 {
				nth = d.shown.Add(1)
			}
			d.serve(c, nth)
		}()
	}
}

// takeRequest takes one request from the client, as a broker does before it knows what to make of it.
func takeRequest(c io.Reader) bool {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, binary.BigEndian.Uint32(head[:])))
	return err == nil
}

func answer(c *tls.Conn, _ int32) {
	if !takeRequest(c) {
		return
	}
	metadata := kmsg.NewPtrMetadataResponse()
	metadata.Version = 4
	body := metadata.AppendTo([]byte{0, 0, 0, 1})
	_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
}

func closeAtOnce(c *tls.Conn, _ int32) { takeRequest(c) }

func TestACertificateIsRefusedOnlyWhereThatIsCertain(t *testing.T) {
	now := time.Now()
	authority := func(name string) pki.Authority {
		ca, err := pki.NewAuthority(name, now.Add(-100*24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	issue := func(ca pki.Authority, want pki.Request, at time.Time) pki.Leaf {
		leaf, err := pki.Issue(ca, want, at)
		if err != nil {
			t.Fatal(err)
		}
		return leaf
	}
	cluster, clients, strangers := authority("cluster"), authority("clients"), authority("strangers")
	server := issue(cluster, pki.Request{CommonName: "broker", DNSNames: []string{"broker"},
		Usages: pki.Usages{Server: true}, ValidFor: time.Hour}, now)
	user := issue(clients, pki.UserRequest("app"), now)
	stranger := issue(strangers, pki.UserRequest("app"), now)
	ended := issue(clients, pki.UserRequest("app"), now.Add(-91*24*time.Hour))
	required := func(c *tls.Config) { c.ClientAuth = tls.RequireAndVerifyClientCert }
	accepted, refused, unproven := error(nil), kafka.ErrAuthenticationFailed, kafka.ErrUnreachable
	for name, c := range map[string]struct {
		shows  pki.Leaf
		config func(*tls.Config)
		serve  func(*tls.Conn, int32)
		want   error
	}{
		"it is answered":                           {user, required, answer, accepted},
		"it is nobody's any more":                  {user, required, closeAtOnce, refused},
		"the broker does not trust its authority":  {stranger, required, answer, refused},
		"it has ended":                             {ended, required, answer, refused},
		"with TLS 1.2 it has ended":                {ended, func(c *tls.Config) { required(c); c.MaxVersion = tls.VersionTLS12 }, answer, refused},
		"with TLS 1.2 it is nobody's any more":     {user, func(c *tls.Config) { required(c); c.MaxVersion = tls.VersionTLS12 }, closeAtOnce, refused},
		"the listener asks for none, and closes":   {user, func(*tls.Config) {}, closeAtOnce, unproven},
		"the listener takes none, too, and closes": {user, func(c *tls.Config) { c.ClientAuth = tls.VerifyClientCertIfGiven }, closeAtOnce, unproven},
		"it closes once, and answers then": {user, required, func(c *tls.Conn, nth int32) {
			if nth > 1 {
				answer(c, nth)
			}
		}, accepted},
		"it speaks no version of TLS that is secure": {user, func(c *tls.Config) { required(c); c.MaxVersion = tls.VersionTLS11 }, answer, unproven},
		"what answers is not Kafka": {user, required, func(c *tls.Conn, _ int32) {
			if takeRequest(c) {
				_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			}
		}, unproven},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			pair, err := tls.X509KeyPair(server.CertPEM, server.KeyPEM)
			if err != nil {
				t.Fatal(err)
			}
			config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS10}
			config.ClientCAs.AppendCertsFromPEM(clients.CertPEM)
			c.config(config)
			d := &door{Listener: listener, config: config, serve: c.serve}
			go d.run()
			t.Cleanup(func() { _ = d.Close() })
			err = client.Prober{}.TryLogin(t.Context(), kafka.Login{Address: listener.Addr().String(), ServerName: "broker",
				CA: cluster.CertPEM, Mechanism: "TLS", Username: "app", Certificate: c.shows.CertPEM, Key: c.shows.KeyPEM})
			for _, kind := range []error{refused, unproven} {
				if errors.Is(err, kind) != (c.want == kind) {
					t.Errorf("%v", err)
				}
			}
			if (err == nil) != (c.want == nil) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A broker that ends closes what has come, and takes nothing more.
func TestABrokerThatGoesDownRefusesNobody(t *testing.T) {
	now := time.Now()
	ca, err := pki.NewAuthority("both", now)
	if err != nil {
		t.Fatal(err)
	}
	server, err := pki.Issue(ca, pki.Request{CommonName: "broker", DNSNames: []string{"broker"},
		Usages: pki.Usages{Server: true}, ValidFor: time.Hour}, now)
	if err != nil {
		t.Fatal(err)
	}
	user, err := pki.Issue(ca, pki.UserRequest("app"), now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(server.CertPEM, server.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	for _, last := range []int32{1, 2} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		d := &door{Listener: listener, config: &tls.Config{Certificates: []tls.Certificate{pair},
			ClientAuth: tls.RequireAnyClientCert}}
		d.serve = func(c *tls.Conn, nth int32) {
			if nth == last {
				_ = d.Close()
			}
			takeRequest(c)
		}
		go d.run()
		err = client.Prober{}.TryLogin(t.Context(), kafka.Login{Address: listener.Addr().String(), ServerName: "broker",
			CA: ca.CertPEM, Mechanism: "TLS", Username: "app", Certificate: user.CertPEM, Key: user.KeyPEM})
		if !errors.Is(err, kafka.ErrUnreachable) || errors.Is(err, kafka.ErrAuthenticationFailed) {
			t.Errorf("down after %d: %v", last, err)
		}
	}
}
