package pool

import (
	"crypto/tls"

	"github.com/castellan-dev/castellan/internal/kafka/client"
)

// Dial is the Factory of real connections. A nil dialer means a direct one.
func Dial(dialer client.DialFunc) Factory {
	return func(o Options) (Conn, error) {
		var config *tls.Config
		if len(o.CA) > 0 {
			var err error
			if config, err = client.TLSConfig(o.CA, o.Certificate, o.Key); err != nil {
				return nil, err
			}
		}
		c, err := client.New(client.Options{Seeds: o.Seeds, TLS: config, Dialer: dialer})
		if err != nil {
			return nil, err // not c: a nil *Client would be a Conn that is not nil
		}
		return c, nil
	}
}
