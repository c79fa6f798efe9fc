package connect

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/pki"
)

func TestTheCertificateOfAListenerIsSeenWhoeverSignedIt(t *testing.T) {
	now := time.Now()
	authority, err := pki.NewAuthority("test", now)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := pki.Issue(authority, pki.Request{CommonName: "kafka-node", DNSNames: []string{"elsewhere.example"},
		Usages: pki.Usages{Server: true}, ValidFor: time.Hour}, now)
	if err != nil {
		t.Fatal(err)
	}
	want, err := leaf.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(leaf.CertPEM, leaf.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]*tls.Config{
		"to anybody":                      {},
		"to who has a certificate":        {ClientAuth: tls.RequireAnyClientCert},
		"to who has one, with TLS 1.2":    {ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12},
		"with a protocol that is unknown": {NextProtos: []string{"other"}},
	} {
		config.Certificates = []tls.Certificate{pair}
		listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_ = conn.(*tls.Conn).HandshakeContext(t.Context()) // what it comes to is the client's matter
				_ = conn.Close()
			}
		}()
		got, err := Shown(t.Context(), listener.Addr().String())
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		_ = listener.Close()
		if got, err := Shown(t.Context(), listener.Addr().String()); err == nil {
			t.Errorf("%s: closed, and it shows %v", name, got)
		}
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if conn, err := plain.Accept(); err == nil {
			_, _ = conn.Write([]byte("no TLS here"))
			_ = conn.Close()
		}
	}()
	if got, err := Shown(t.Context(), plain.Addr().String()); err == nil {
		t.Errorf("without TLS it shows %v", got)
	}
	_ = plain.Close()
}
