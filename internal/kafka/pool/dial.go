package pool

import (
	"crypto/tls"

	"github.com/castellan-dev/castellan/internal/kafka/client"
)

// Dial is the Factory of real connections. A nil dialer means a direct one.
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
		c, err := client.New(client.Options{Seeds: o.Seeds, TLS: config, Login: login, ClusterID: o.ClusterID, Dialer: dialer})
		if err != nil {
			return nil, err // not c: a nil *Client would be a Conn that is not nil
		}
		return c, nil
	}
}
