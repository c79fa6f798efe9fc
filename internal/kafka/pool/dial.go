package pool

import (
	"crypto/tls"

	"github.com/castellan-dev/castellan/internal/kafka/client"
)

// Dial returns the Factory of real connections. dialer may be nil; see client.Options.
func Dial(dialer client.DialFunc) Factory {
	return func(o Options) (Conn, error) {
		var config *tls.Config
		var err error
		switch {
		case len(o.CA) > 0:
			config, err = client.TLSConfig(o.CA, o.Certificate, o.Key)
		case o.SystemRoots:
			config, err = client.SystemTLSConfig(o.Certificate, o.Key)
		}
		if err != nil {
			return nil, err
		}
		var login *client.Login
		if o.Mechanism != "" {
			login = &client.Login{Mechanism: o.Mechanism, Username: o.Username, Password: o.Password}
		}
		c, err := client.New(client.Options{
			Seeds: o.Seeds, TLS: config, Login: login, ClusterID: o.ClusterID, Dialer: dialer,
		})
		if err != nil {
			return nil, err // and not c: as a Conn, a nil *Client is not nil
		}
		return c, nil
	}
}
