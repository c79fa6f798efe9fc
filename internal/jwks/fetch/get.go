// Package fetch brings the keys of issuers from where they are published, again and again, and remembers what came
// last. It asks nobody but the address that a spec names, follows it nowhere else, and never tells what an answer held.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/castellan-dev/castellan/internal/jwks"
)

// answerTimeout bounds one fetch, from the look-up of the name to the last byte.
const answerTimeout = 10 * time.Second

// HTTPS fetches over HTTPS.
type HTTPS struct {
	// loopback permits addresses of this machine, which only tests serve at.
	loopback bool
}

// Get fetches the keys of a source once. The error says why there are none in words that stay the same as long as the
// cause does, and holds nothing of the answer.
func (h HTTPS) Get(ctx context.Context, source jwks.Source) (jwks.Set, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	roots, err := rootsOf(source.Anchors)
	if err != nil {
		return jwks.Set{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, source.URL, nil)
	if err != nil || request.URL.Scheme != "https" || request.URL.User != nil {
		return jwks.Set{}, errors.New("it is no https address")
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	request.Header.Set("User-Agent", "castellan")
	transport := &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		DialContext:       (&net.Dialer{Control: h.permits}).DialContext,
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return jwks.Set{}, errors.New(reason(err))
	}
	defer func() { _ = response.Body.Close() }()
	return read(response)
}

// read judges an answer.
func read(response *http.Response) (jwks.Set, error) {
	switch code := response.StatusCode; {
	case code >= 300 && code < 400:
		return jwks.Set{}, fmt.Errorf("it answers with a redirect (%d), which is not followed", code)
	case code != http.StatusOK:
		return jwks.Set{}, fmt.Errorf("it answers with the status %d", code)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, jwks.MaxBytes+1))
	if err != nil {
		return jwks.Set{}, errors.New(reason(err))
	}
	set, err := jwks.Parse(text)
	if err != nil {
		return jwks.Set{}, fmt.Errorf("what it answers cannot be used: %w", err)
	}
	return set, nil
}

func rootsOf(anchors string) (*x509.CertPool, error) {
	if anchors == "" {
		return nil, nil // those of the system
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(anchors)) {
		return nil, errors.New("the certificates that it is to be known by cannot be read")
	}
	return roots, nil
}

// errForbidden is the answer to an address that the operator does not dial for a spec.
var errForbidden = errors.New("its address is one that the operator does not fetch from: link-local, loopback or such")

// metadata is where a cloud serves credentials of its machines at an address that is not link-local.
var metadata = netip.MustParseAddr("fd00:ec2::254")

// permits refuses addresses behind which no issuer is and something else may be: what the machine and the pod of the
// operator serve to themselves. It sees the address that is dialled, whatever name led to it. Addresses of private
// networks are permitted: issuers run beside brokers.
func (h HTTPS) permits(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errForbidden
	}
	ip := at.Addr().Unmap()
	switch {
	case ip.IsLoopback():
		if !h.loopback {
			return errForbidden
		}
	case ip.IsLinkLocalUnicast(), ip.IsUnspecified(), ip.IsMulticast(), ip.WithZone("") == metadata:
		return errForbidden
	}
	return nil
}

// reason tells why there is no answer. Go's own words name ports and times, which differ with every try.
func reason(err error) string {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		timeout   net.Error
	)
	switch {
	case errors.Is(err, errForbidden):
		return errForbidden.Error()
	case errors.As(err, &dns):
		return "the name of its host cannot be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "its host refuses the connection"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to its host"
	case errors.As(err, &authority):
		return "the certificate of its host is signed by nobody who is trusted; name the authority in caSecret"
	case errors.As(err, &name):
		return "the certificate of its host is another host's"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the certificate of its host has expired or is not valid yet"
	case errors.As(err, &invalid):
		return "the certificate of its host is not good for a server"
	case errors.As(err, &record), errors.As(err, &alert):
		return "its host and the operator do not agree on TLS"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("it does not answer within %s", answerTimeout)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "its host ends the connection"
	}
	return "it cannot be fetched"
}
