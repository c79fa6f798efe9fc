// Package client speaks the Kafka protocol: it implements the ports kafka.Admin and kafka.Prober with franz-go. No
// other package of Castellan may import a Kafka library. The package holds no policy: it does not decide what to
// change, and it does not wait for a change to take effect. It knows nothing of Kubernetes.
//
// franz-go offers most requests twice: as kmsg, field by field, and as a shorter call of kadm, for which the library
// chooses the broker. kadm finds the live brokers: there the library must choose, because only so does it learn their
// addresses. kadm also has the words for SCRAM mechanisms and kinds of election. Every other request is kmsg and goes
// through ask.go, for these reasons. kadm takes the brokers in turn, so a flush of four requests would open a
// connection, with ApiVersions and a login, to each of them; a Client stays with the broker that answered last and
// names the one that failed. kadm sends a request again after a lost connection or a timeout, even a write. It fails
// the answer for all topics if one is denied, and drops the sentence of a denial and the throttle time. It has one set
// of partitions, replicas and keys for all topics of a request, deletes topics by name only, reads all keys of a
// configuration with their synonyms, asks every broker for ApiVersions, and lists reassignments of named partitions
// only. It has no DescribeCluster, DescribeQuorum, AddRaftVoter, RemoveRaftVoter or UnregisterBroker, and no ACLs on
// users. It cannot ask for log directories without all replicas in them. Nothing here reads offsets or groups yet.
// kadm's calls for those ask the brokers that have the answer, and are the ones to use.
//
// A broker answers most reads from its own copy of the metadata. A read may therefore miss, for some milliseconds, a
// write that Kafka has acknowledged. A Client at rest sends nothing and closes its connections after half a minute.
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
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/castellan-dev/castellan/internal/kafka"
)

const (
	// dialTimeout bounds TCP and TLS handshake together.
	dialTimeout = 5 * time.Second
	// requestTimeout bounds the wait for one answer. The library adds it to the timeout that a request carries itself.
	requestTimeout = 10 * time.Second
	// brokerTimeout bounds the share of a snapshot's time that one silent broker takes.
	brokerTimeout = 5 * time.Second
	connIdle      = 30 * time.Second
	// metadataMaxAge is the longest that the library allows. Its periodic refresh is one small request without topics.
	metadataMaxAge = time.Hour
	retryBackoff   = 100 * time.Millisecond
	// After each refreshPatience without an answer liveBrokers asks one more broker, refreshAttempts in total.
	refreshPatience = 2 * time.Second
	refreshAttempts = 4
)

// DialFunc opens one TCP connection.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Options say how to reach a cluster.
type Options struct {
	// Seeds are addresses (host:port) of one listener on any brokers. One that answers is enough.
	Seeds []string
	// Login is nil for a listener without SASL.
	Login *Login
	// ClusterID, if set, is the id that the cluster must have. The Client asks any other cluster for its id only, and
	// returns a *kafka.AnotherCluster.
	ClusterID string
	// TLS is nil for a plaintext listener. An empty ServerName is replaced by the host that is dialled.
	TLS *tls.Config
	// Dialer defaults to a net.Dialer. TLS is spoken over what it returns.
	Dialer DialFunc
	// ClientID appears in the brokers' logs and quotas. Default: castellan.
	ClientID string
	// OnRequest, if set, is called for every request written, with the API's name and the broker's id (negative = a
	// seed). The ApiVersions of a new connection counts. OnRequest must not block.
	OnRequest func(api string, broker int32)
}

// Login is how the operator logs in to a listener with SASL.
type Login struct {
	Mechanism          string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	Username, Password string
}

// Client is a kafka.Admin. It dials at the first call.
type Client struct {
	kgo       *kgo.Client
	clusterID string
	seeds     []string
	dials     dialLog
	acls      atomic.Int64 // how many the cluster has, as far as is known; 0 = not known

	mu         sync.Mutex
	live       []int32   // brokers of the last refresh, the one to ask first in front; empty = ask the seeds
	controller int32     // that the last refresh named; with KRaft any broker
	outdated   bool      // a broker has failed since the last refresh
	seen       time.Time // when the last refresh ended
}

var _ kafka.Admin = (*Client)(nil)

// New checks the options. It does no I/O.
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
		// One try per seed, and one more for a connection that died unnoticed.
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

// TLSConfig returns the configuration of a client that trusts only the CAs in ca and presents certificate and key. All
// are PEM. certificate and key may be empty together.
func TLSConfig(ca, certificate, key []byte) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the CA holds no PEM certificate")
	}
	return present(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, certificate, key)
}

// SystemTLSConfig is TLSConfig for the CAs that this machine trusts.
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

// dialError marks a failure before the first request was written. Kafka has certainly not received the request.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dialer bounds TCP and TLS handshake together. Its errors are dial errors, also of a failed TLS handshake: after a
// dial error the library goes on to the next seed.
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
			// The caller's time is not over. This address is at fault, and the library may try another.
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

// refresh asks a broker, or a seed, for the live brokers.
func (c *Client) refresh(ctx context.Context) ([]int32, error) {
	metadata, err := c.liveBrokers(ctx)
	if err != nil {
		return nil, unanswered(ctx, c.dials.first(c.seeds, err))
	}
	ids := metadata.Brokers.NodeIDs()
	if len(ids) == 0 {
		return nil, fmt.Errorf("%w: the cluster names no live broker", kafka.ErrUnreachable)
	}
	if c.clusterID != "" && metadata.Cluster != c.clusterID {
		return nil, &kafka.AnotherCluster{Want: c.clusterID, Have: metadata.Cluster}
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	// Keep the order: the broker that answered last, whose connection is open, stands in front, and one that failed
	// stands behind.
	known := slices.DeleteFunc(slices.Clone(c.live), func(id int32) bool { return !slices.Contains(ids, id) })
	for _, id := range ids {
		if !slices.Contains(known, id) {
			known = append(known, id)
		}
	}
	c.live, c.controller, c.outdated, c.seen = known, metadata.Controller, false, time.Now()
	return slices.Clone(known), nil
}

// identityAge bounds the age of a refresh that proves the cluster's id, with Options.ClusterID.
const identityAge = 2 * time.Second

// liveBrokers leaves the choice of the broker to the library, because only then the library learns the addresses. The
// library waits for a broker that accepts a connection and stays silent, so liveBrokers asks another one meanwhile.
func (c *Client) liveBrokers(ctx context.Context) (kadm.Metadata, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// kadm answers from a cache that is up to five seconds old, but not if it is to return the authorized operations.
	ctx = kadm.WithAuthorizedOps(ctx)
	type answer struct {
		metadata kadm.Metadata
		err      error
	}
	answers := make(chan answer, refreshAttempts)
	ask := func() {
		metadata, err := kadm.NewClient(c.kgo).BrokerMetadata(ctx)
		answers <- answer{metadata, err}
	}
	silence := time.NewTicker(refreshPatience)
	defer silence.Stop()
	go ask()
	for asked, failed := 1, 0; ; {
		select {
		case a := <-answers:
			if failed++; a.err == nil || failed == asked {
				return a.metadata, a.err
			}
		case <-silence.C:
			if asked < refreshAttempts {
				asked++
				go ask()
			}
		}
	}
}

// brokers returns the brokers to ask, in order. It refreshes them if none is known, if one has failed since, or if the
// cluster's id has to be checked again.
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

// preferController asks for the controller and makes it the first broker to ask. Without a controller the order stays.
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

// demote makes a broker that failed the last one to ask.
func (c *Client) demote(id int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.live, id); i >= 0 {
		c.live = append(slices.Delete(c.live, i, i+1), id)
	}
	c.outdated = true
}
