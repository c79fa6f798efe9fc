package client_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka/wire"
)

// open connects to a listener, over TLS if authority is given.
func open(t *testing.T, address string, authority []byte) *wire.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: pace.Of(5 * time.Second)}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if authority != nil {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(authority)
		conn = tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12})
	}
	return wire.New(conn, "test")
}

func TestOneConnectionIsAskedWhatItLeadsTo(t *testing.T) {
	needKafka(t)
	node := cluster.Nodes[0]
	id, brokers, err := open(t, node.Admin, nil).Brokers(t.Context())
	if err != nil || id != cluster.ID || len(brokers) != len(cluster.Nodes) {
		t.Errorf("cluster %s with brokers %v: %v", id, brokers, err)
	}
	if _, err := open(t, node.Admin, nil).Mechanisms(t.Context(), "PLAIN"); !errors.Is(err, wire.ErrNoLogin) {
		t.Errorf("a listener without a login: %v", err)
	}
	for name, address := range map[string]string{"in clear": node.Clients, "over TLS": node.Secure} {
		var authority []byte
		if address == node.Secure {
			authority = cluster.CA.PEM
		}
		for _, wanted := range []string{"PLAIN", "GSSAPI"} {
			offers, err := open(t, address, authority).Mechanisms(t.Context(), wanted)
			slices.Sort(offers)
			if want := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}; err != nil || !slices.Equal(offers, want) {
				t.Errorf("%s, asked for %s: %v, %v", name, wanted, offers, err)
			}
		}
		conn := open(t, address, authority)
		if _, err := conn.Mechanisms(t.Context(), "PLAIN"); err != nil {
			t.Error(err)
		}
		if err := conn.LogIn(t.Context(), "PLAIN", "bob", plainPassword); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, brokers, err := conn.Brokers(t.Context()); err != nil || len(brokers) != len(cluster.Nodes) {
			t.Errorf("%s, after a login: %v, %v", name, brokers, err)
		}
		conn = open(t, address, authority)
		if _, err := conn.Mechanisms(t.Context(), "PLAIN"); err != nil {
			t.Error(err)
		}
		refused, is := errors.AsType[*wire.Refused](conn.LogIn(t.Context(), "PLAIN", "bob", "wrong"))
		if !is || refused.Code != "SASL_AUTHENTICATION_FAILED" {
			t.Errorf("%s, with a wrong password: %v", name, refused)
		}
		if _, _, err := open(t, address, authority).Brokers(t.Context()); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("%s, without a login: %v", name, err)
		}
	}
	if _, err := open(t, node.Secure, nil).Mechanisms(t.Context(), "PLAIN"); !errors.Is(err, wire.ErrWantsTLS) {
		t.Errorf("without TLS where it is meant: %v", err)
	}
}
