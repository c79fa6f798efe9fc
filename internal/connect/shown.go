package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// Shown returns the certificate that a listener at host:port shows, the first one of its chain. It trusts nobody and
// sends nothing: the caller compares the certificate with the one that it expects. The time is that of the context.
func Shown(ctx context.Context, address string) (*x509.Certificate, error) {
	chain, err := ShownChain(ctx, address)
	if err != nil {
		return nil, err
	}
	return chain[0], nil
}

// ShownChain is Shown with all certificates that the listener shows, of which there is at least one.
func ShownChain(ctx context.Context, address string) ([]*x509.Certificate, error) {
	shown, err := shown(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("see the certificate at %s: %w", address, err)
	}
	return shown, nil
}

func shown(ctx context.Context, address string) ([]*x509.Certificate, error) {
	dialer := net.Dialer{}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing was sent that could get lost
	var seen []*x509.Certificate
	session := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Whether it is the expected one is the question, and the chain is no part of it.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			seen = state.PeerCertificates
			return nil
		},
	})
	// A listener that asks for a certificate of ours ends the handshake after it has shown its own.
	if err = session.HandshakeContext(ctx); len(seen) > 0 {
		return seen, nil
	}
	if err == nil {
		err = errors.New("it shows none")
	}
	return nil, err
}
