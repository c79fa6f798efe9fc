package client

import (
	"context"
	"crypto/tls"
	"fmt"

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

func mechanismOf(login Login) (sasl.Mechanism, error) {
	return wire.Mechanism(login.Mechanism, login.Username, login.Password)
}
