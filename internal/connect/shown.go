package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// Sight is what a listener shows to whoever connects.
type Sight struct {
	Chain []*x509.Certificate // at least one
	// Asks tells whether the listener asks for a certificate of the client, and ClientAuthorities are the subjects (DER)
	// of those that it says it trusts; none = it does not say.
	Asks              bool
	ClientAuthorities [][]byte
}

// Shown returns the certificate that a listener at host:port shows, the first one of its chain. It trusts nobody and
// sends nothing: the caller compares the certificate with the one that it expects. The time is that of the context.
func Shown(ctx context.Context, address string) (*x509.Certificate, error) {
	sight, err := See(ctx, address)
	if err != nil {
		return nil, err
	}
	return sight.Chain[0], nil
}

// See is Shown with everything that the listener shows.
func See(ctx context.Context, address string) (Sight, error) {
	sight, err := see(ctx, address)
	if err != nil {
		return Sight{}, fmt.Errorf("see the certificate at %s: %w", address, err)
	}
	return sight, nil
}

func see(ctx context.Context, address string) (Sight, error) {
	dialer := net.Dialer{}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return Sight{}, err
	}
	defer func() { _ = conn.Close() }() // nothing was sent that could get lost
	var seen Sight
	session := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS12,
		// Whether it is the expected one is the question, and the chain is no part of it.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			seen.Chain = state.PeerCertificates
			return nil
		},
		GetClientCertificate: func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			seen.Asks, seen.ClientAuthorities = true, request.AcceptableCAs
			return &tls.Certificate{}, nil // none
		},
	})
	// A listener that asks for a certificate of ours ends the handshake after it has shown its own.
	if err = session.HandshakeContext(ctx); len(seen.Chain) > 0 {
		return seen, nil
	}
	if err == nil {
		err = errors.New("it shows none")
	}
	return Sight{}, err
}
