package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/wire"
)

// Prober is a kafka.Prober.
type Prober struct {
	Dialer DialFunc // nil = a net.Dialer
}

var _ kafka.Prober = Prober{}

// TryLogin implements kafka.Prober with one connection and no retry. A broker delays a refusal by 100 ms
// (connection.failed.authentication.delay.ms).
func (p Prober) TryLogin(ctx context.Context, login kafka.Login) error {
	if err := p.tryLogin(ctx, login); err != nil {
		return fmt.Errorf("log in to %s as user %q with %s: %w", login.Address, login.Username, login.Mechanism, err)
	}
	return nil
}

func (p Prober) tryLogin(ctx context.Context, login kafka.Login) error {
	if len(login.Certificate) > 0 {
		return p.tryCertificate(ctx, login)
	}
	mechanism, err := mechanismOf(Login{login.Mechanism, login.Username, login.Password})
	if err != nil {
		return err
	}
	var config *tls.Config
	switch {
	case login.CA != nil:
		config, err = TLSConfig(login.CA, nil, nil)
	case login.SystemRoots:
		config, err = SystemTLSConfig(nil, nil)
	}
	if err != nil {
		return err
	}
	if config != nil {
		config.ServerName = login.ServerName
	}
	if login.Silent {
		return p.authenticate(ctx, login, config)
	}
	opts := append(baseOptions(p.Dialer, config, "castellan-probe"),
		kgo.SeedBrokers(login.Address), kgo.SASL(mechanism), kgo.RequestRetries(0))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	// Any request does: the connection logs in before it carries one. ApiVersions needs no permission.
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "castellan", "1"
	if _, err := cl.SeedBrokers()[0].Request(ctx, req); err != nil {
		return unanswered(ctx, err)
	}
	return nil
}

// authenticate logs in and sends no request.
func (p Prober) authenticate(ctx context.Context, login kafka.Login, config *tls.Config) error {
	conn, err := dialer(p.Dialer, config)(ctx, "tcp", login.Address)
	if err != nil {
		return unanswered(ctx, err)
	}
	defer func() { _ = conn.Close() }()
	c := wire.New(conn, "castellan-probe")
	offered, err := c.Mechanisms(ctx, login.Mechanism)
	if err == nil && !slices.Contains(offered, login.Mechanism) {
		return &kafka.Unanswered{Cause: kafka.CauseMechanism, Kind: kafka.ErrUnreachable,
			Err: fmt.Errorf("the listener offers %v", offered)}
	}
	if err == nil {
		err = c.LogIn(ctx, login.Mechanism, login.Username, login.Password)
	}
	if refused, is := errors.AsType[*wire.Refused](err); is {
		return &kafka.Unanswered{Cause: kafka.CauseLogin, Kind: kafka.ErrAuthenticationFailed, Err: refused}
	}
	if err != nil {
		return unanswered(ctx, err)
	}
	return nil
}

func mechanismOf(login Login) (sasl.Mechanism, error) {
	return wire.Mechanism(login.Mechanism, login.Username, login.Password)
}
