// Package client speaks the Kafka protocol: it implements the kafka.Admin and kafka.Prober ports over franz-go. It is the
// only package of Castellan that may import a Kafka library. It holds no policy: it neither decides what to change nor
// waits for a change to take effect, and it knows nothing of Kubernetes.
//
// Brokers answer most reads from their own copy of the metadata, so a read may be some milliseconds older than a write
// that was acknowledged before it. A Client at rest sends nothing to Kafka and closes its connections after half a minute.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

const (
	dialTimeout = 5 * time.Second
	// requestTimeout bounds the wait for one answer; requests that carry a timeout of their own may take this much longer.
	requestTimeout = 10 * time.Second
	// brokerTimeout is how much of a snapshot's time one silent broker may take.
	brokerTimeout = 5 * time.Second
	connIdle      = 30 * time.Second
	// metadataMaxAge is the longest that the library admits. Its refresh asks for no topic and costs one small request.
	metadataMaxAge = time.Hour
	retryBackoff   = 100 * time.Millisecond
	// refreshPatience is how long a broker may be silent before another is asked as well, refreshAttempts at most.
	refreshPatience = 2 * time.Second
	refreshAttempts = 4
)

// DialFunc opens one TCP connection.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Options say how a cluster is reached.
type Options struct {
	// Seeds are host:port of one listener of any brokers; one that answers is enough.
	Seeds []string
	// Login is nil for a listener without SASL.
	Login *Login
	// ClusterID, if set, is the only cluster that is asked for anything; another one gives a *kafka.AnotherCluster.
	ClusterID string
	// TLS is nil for a plaintext listener. An empty ServerName is replaced by the host that is dialled.
	TLS *tls.Config
	// Dialer defaults to a net.Dialer. TLS is spoken over what it returns.
	Dialer DialFunc
	// ClientID appears in the brokers' logs and quotas; default castellan.
	ClientID string
	// OnRequest, if set, is told of every request written: the API's name (ApiVersions of new connections included) and
	// the broker (negative = a seed). It must not block.
	OnRequest func(api string, broker int32)
}

// Login is how the operator logs in to a listener with SASL.
type Login struct {
	Mechanism          string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	Username, Password string
}

// Client is a kafka.Admin. It dials when first asked, not before.
type Client struct {
	kgo       *kgo.Client
	clusterID string
	seeds     []string
	dials     dialLog

	mu   sync.Mutex
	live []int32 // brokers of the last answer, the one to ask first in front; empty = ask the seeds
	// controller is the broker that was named in the last answer; with KRaft it is any.
	controller int32
	outdated   bool      // one of them has failed since
	seen       time.Time // when the last answer came
}

var _ kafka.Admin = (*Client)(nil)

// New checks the options and dials nobody.
func New(o Options) (*Client, error) {
	if len(o.Seeds) == 0 {
		return nil, errors.New("a Kafka client needs at least one address")
	}
	if o.ClientID == "" {
		o.ClientID = "castellan"
	}
	c := &Client{clusterID: o.ClusterID, seeds: slices.Clone(o.Seeds)}
	opts := append(baseOptions(o.Dialer, o.TLS, o.ClientID),
		kgo.Dialer(c.dials.watch(dialer(o.Dialer, o.TLS))),
		kgo.SeedBrokers(o.Seeds...),
		// Every seed gets its turn in one request, and one more for a connection that had died unnoticed.
		kgo.RequestRetries(len(o.Seeds)+1),
	)
	if o.Login != nil {
		mechanism, err := mechanismOf(*o.Login)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	if o.OnRequest != nil {
		opts = append(opts, kgo.WithHooks(requestHook(o.OnRequest)))
	}
	var err error
	if c.kgo, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("make Kafka client for %v: %w", o.Seeds, err)
	}
	return c, nil
}

// Close closes all connections; requests under way fail.
func (c *Client) Close() { c.kgo.Close() }

// TLSConfig makes the configuration of a client that trusts exactly the CAs in ca and presents certificate and key (all
// PEM); the latter two may be empty together.
func TLSConfig(ca, certificate, key []byte) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the CA holds no PEM certificate")
	}
	return present(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, certificate, key)
}

// SystemTLSConfig is TLSConfig with the CAs that this machine trusts.
func SystemTLSConfig(certificate, key []byte) (*tls.Config, error) {
	return present(&tls.Config{MinVersion: tls.VersionTLS12}, certificate, key)
}

func present(config *tls.Config, certificate, key []byte) (*tls.Config, error) {
	if len(certificate) == 0 && len(key) == 0 {
		return config, nil
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("read client certificate: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

func baseOptions(dial DialFunc, config *tls.Config, clientID string) []kgo.Opt {
	return []kgo.Opt{
		kgo.ClientID(clientID),
		kgo.Dialer(dialer(dial, config)),
		kgo.RequestTimeoutOverhead(requestTimeout),
		kgo.RetryTimeout(2 * requestTimeout),
		kgo.RetryBackoffFn(func(int) time.Duration { return retryBackoff }),
		kgo.ConnIdleTimeout(connIdle),
		kgo.MetadataMaxAge(metadataMaxAge),
		kgo.DisableClientMetrics(), // KIP-714 would push telemetry for as long as the client lives
	}
}

var errHandshakeTimeout = errors.New("it did not finish the handshake")

// dialError marks a failure before the first request was written: whatever was to be asked has certainly not happened.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dialer bounds dial and TLS handshake together. Its errors are dial errors in the library's eyes too, which is what
// makes it go on to the next seed.
func dialer(dial DialFunc, config *tls.Config) DialFunc {
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		bounded, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		conn, err := dialTLS(bounded, dial, config, network, address)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			// The caller's time is not over: this address is at fault and another may be tried.
			err = fmt.Errorf("%s: %w within %s", address, errHandshakeTimeout, dialTimeout)
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: &dialError{err}}
	}
}

func dialTLS(ctx context.Context, dial DialFunc, config *tls.Config, network, address string) (net.Conn, error) {
	conn, err := dial(ctx, network, address)
	if err != nil || config == nil {
		return conn, err
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", address, err)
	}
	return secured, nil
}

type requestHook func(api string, broker int32)

func (h requestHook) OnBrokerWrite(meta kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if err == nil {
		h(kmsg.NameForKey(key), meta.NodeID)
	}
}

// refresh asks any broker, else a seed, which brokers live.
func (c *Client) refresh(ctx context.Context) ([]int32, error) {
	resp, err := c.liveBrokers(ctx)
	if err != nil {
		return nil, unanswered(ctx, c.dials.first(c.seeds, err))
	}
	ids := make([]int32, 0, len(resp.Brokers))
	for _, b := range resp.Brokers {
		ids = append(ids, b.NodeID)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%w: the cluster names no live broker", kafka.ErrUnreachable)
	}
	if err := c.checkIdentity(resp.ClusterID); err != nil {
		return nil, err
	}
	slices.Sort(ids)

	c.mu.Lock()
	defer c.mu.Unlock()
	// The order is kept: in front stands the broker that answered last, whose connections are open, and behind the one
	// that failed.
	known := slices.DeleteFunc(slices.Clone(c.live), func(id int32) bool { return !slices.Contains(ids, id) })
	for _, id := range ids {
		if !slices.Contains(known, id) {
			known = append(known, id)
		}
	}
	c.live, c.controller, c.outdated, c.seen = known, resp.ControllerID, false, time.Now()
	return slices.Clone(known), nil
}

// identityAge is how long an answer may speak for the cluster behind the addresses, where that is minded.
const identityAge = 2 * time.Second

func (c *Client) checkIdentity(id *string) error {
	if c.clusterID == "" || id != nil && *id == c.clusterID {
		return nil
	}
	other := &kafka.AnotherCluster{Want: c.clusterID}
	if id != nil {
		other.Have = *id
	}
	return other
}

// liveBrokers goes through the library's own choice of a broker, because only so the library learns the addresses. That
// choice knows nothing of brokers that accept a connection and are silent, so after a while a second one is asked beside.
func (c *Client) liveBrokers(ctx context.Context) (*kmsg.MetadataResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		resp *kmsg.MetadataResponse
		err  error
	}
	answers := make(chan answer, refreshAttempts)
	ask := func() {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{} // none; nil would be all
		resp, err := req.RequestWith(ctx, c.kgo)
		answers <- answer{resp, err}
	}
	silence := time.NewTicker(refreshPatience)
	defer silence.Stop()
	go ask()
	for asked, failed := 1, 0; ; {
		select {
		case a := <-answers:
			if failed++; a.err == nil || failed == asked {
				return a.resp, a.err
			}
		case <-silence.C:
			if asked < refreshAttempts {
				asked++
				go ask()
			}
		}
	}
}

// brokers returns whom to ask, in order; it costs a request only when nothing is known, when somebody has failed, or when
// the cluster has to be seen to be the same.
func (c *Client) brokers(ctx context.Context) ([]int32, error) {
	c.mu.Lock()
	ids, outdated := slices.Clone(c.live), c.outdated
	if c.clusterID != "" && time.Since(c.seen) > identityAge {
		outdated = true
	}
	c.mu.Unlock()
	if len(ids) > 0 && !outdated {
		return ids, nil
	}
	return c.refresh(ctx)
}

// preferController finds the controller anew and makes it the first to be asked. Where there is none at the moment, the
// order stays.
func (c *Client) preferController(ctx context.Context) error {
	if _, err := c.refresh(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	controller := c.controller
	c.mu.Unlock()
	c.prefer(controller)
	return nil
}

func (c *Client) prefer(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.live, id); i >= 0 {
		c.live = slices.Insert(slices.Delete(c.live, i, i+1), 0, id)
	}
}

// demote makes a broker that failed the last to be asked.
func (c *Client) demote(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.live, id); i >= 0 {
		c.live = append(slices.Delete(c.live, i, i+1), id)
	}
	c.outdated = true
}
