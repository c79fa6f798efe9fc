package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/wire"
)

// A certificate that is no user's any more passes the handshake, as its authority is trusted: the broker finds out when
// the first request comes, and closes. It says nothing, and a broker that goes down, or whatever stands before it,
// closes likewise. So a refusal is believed only if it comes twice, right after a whole handshake, and the broker then
// shows that it serves the listener: it tells a client without a certificate, by a TLS alert, that it wants one.
//
// Where the certificate itself does not please, a TLS alert says so, with TLS 1.3 after the handshake.

// alertWait is how long a broker may take to say that it wants a certificate.
const alertWait = 2 * time.Second

// errClosedOnUs is what a broker does to a certificate that is nobody's.
var errClosedOnUs = errors.New("the broker closed the connection at the first request")

// tryCertificate is TryLogin for a client that shows a certificate.
func (p Prober) tryCertificate(ctx context.Context, login kafka.Login) error {
	pair, err := tls.X509KeyPair(login.Certificate, login.Key)
	if err != nil {
		return errors.New("the certificate and its key cannot be read") // the cause might show bytes of the key
	}
	for range 2 {
		if err = p.oneLogin(ctx, login, pair); !errors.Is(err, errClosedOnUs) {
			return err
		}
	}
	if !p.wantsCertificate(ctx, login) {
		return fmt.Errorf("%w: %w, which may have another reason than the certificate", kafka.ErrUnreachable, err)
	}
	return &kafka.Unanswered{Cause: kafka.CauseCertificate, Kind: kafka.ErrAuthenticationFailed, Err: err}
}

// oneLogin shows the certificate and asks for what needs no permission. errClosedOnUs: the handshake went through, and
// there was no answer to the request.
func (p Prober) oneLogin(ctx context.Context, login kafka.Login, pair tls.Certificate) error {
	conn, err := p.shake(ctx, login, pair)
	if err != nil {
		return unansweredCertificate(ctx, err)
	}
	defer func() { _ = conn.Close() }()
	_, _, err = wire.New(conn, "castellan-probe").Brokers(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && errors.Is(err, wire.ErrClosed) && alertOf(err) == "":
		return fmt.Errorf("%w: %w", errClosedOnUs, err)
	}
	return unansweredCertificate(ctx, err)
}

// wantsCertificate tells whether the broker refuses a client that shows none, and says that this is why. Nothing is
// sent to it, so that its alert is not lost by a reset.
func (p Prober) wantsCertificate(ctx context.Context, login kafka.Login) bool {
	ctx, cancel := context.WithTimeout(ctx, alertWait)
	defer cancel()
	conn, err := p.shake(ctx, login, tls.Certificate{})
	if err == nil {
		defer func() { _ = conn.Close() }()
		deadline, _ := ctx.Deadline()
		if err = conn.SetReadDeadline(deadline); err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
	}
	return alertOf(err) != "" || remoteAlert(err) == withoutCertificate
}

// shake dials and goes through the handshake. The certificate is shown also where the broker names other authorities:
// the broker shall say what it has against it.
func (p Prober) shake(ctx context.Context, login kafka.Login, pair tls.Certificate) (net.Conn, error) {
	config, err := TLSConfig(login.CA, nil, nil)
	if login.CA == nil && login.SystemRoots {
		config, err = SystemTLSConfig(nil, nil)
	}
	if err != nil {
		return nil, err
	}
	config.ServerName = login.ServerName
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	dial := p.Dialer
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return dialTLS(ctx, dial, config, "tcp", login.Address)
}

// certificateAlerts are about the certificate of the client and nothing else. The words are those of crypto/tls.
var certificateAlerts = []string{
	"bad certificate", "unsupported certificate", "revoked certificate", "expired certificate", "unknown certificate",
	"unknown certificate authority", "access denied", "certificate required",
}

// withoutCertificate is what some say with TLS 1.2 to a client that shows none. From others it means many things; here
// the same handshake has gone through with a certificate.
const withoutCertificate = "handshake failure"

// alertOf returns the alert of the broker about a client's certificate; empty = there was none.
func alertOf(err error) string {
	if alert := remoteAlert(err); slices.Contains(certificateAlerts, alert) {
		return alert
	}
	return ""
}

// remoteAlert returns the TLS alert that the broker has sent; empty = it has not.
func remoteAlert(err error) string {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" {
		return ""
	}
	return strings.TrimPrefix(op.Err.Error(), "tls: ")
}

// unansweredCertificate is unanswered, but for alerts that say nothing about the certificate: those refuse nobody.
func unansweredCertificate(ctx context.Context, err error) error {
	if remoteAlert(err) != "" && alertOf(err) == "" {
		return fmt.Errorf("%w: %w", kafka.ErrUnreachable, err)
	}
	return unanswered(ctx, err)
}
