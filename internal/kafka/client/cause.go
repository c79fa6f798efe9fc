package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// causeOf says why no answer came. Empty = the error does not say.
func causeOf(err error) kafka.Cause {
	for _, tell := range []func(error) kafka.Cause{causeInLogin, causeInTLS, causeInWords, causeInNetwork} {
		if cause := tell(err); cause != "" {
			return cause
		}
	}
	return ""
}

func causeInLogin(err error) kafka.Cause {
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return kafka.CauseLogin
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return kafka.CauseMechanism
	case errors.Is(err, kerr.IllegalSaslState):
		return kafka.CauseNoLogin
	}
	return ""
}

func causeInTLS(err error) kafka.Cause {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return kafka.CauseUntrusted
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return kafka.CauseNoTLS
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		// The broker sent a TLS alert. With TLS 1.3 a refused client certificate shows only here, after the handshake.
		return kafka.CauseCertificate
	}
	return ""
}

// causeInWords reads the sentences for which the library has no type. The first four bytes of another protocol make an
// absurd length of an answer.
func causeInWords(err error) kafka.Cause {
	text := err.Error()
	switch {
	case strings.Contains(text, "tls alert record"):
		return kafka.CauseWantsTLS
	case strings.Contains(text, "invalid large response size"),
		strings.Contains(text, "invalid negative response size"):
		return kafka.CauseNotKafka
	}
	return ""
}

func causeInNetwork(err error) kafka.Cause {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsTimeout {
		return kafka.CauseNoHost
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, errHandshakeTimeout):
		return kafka.CauseSilent
	case errors.Is(err, syscall.ECONNREFUSED):
		return kafka.CauseRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return kafka.CauseNoRoute
	}
	_, atOnce := errors.AsType[*kgo.ErrFirstReadEOF](err)
	switch {
	case atOnce,
		neverSent(err) && errors.Is(err, io.EOF),
		errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE):
		return kafka.CauseClosed
	case errors.Is(err, io.EOF):
		return kafka.CauseLost
	}
	return ""
}
