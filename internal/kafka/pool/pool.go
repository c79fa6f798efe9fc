// Package pool owns the connections to all clusters. Its callers never dial and never back off. They take a
// kafka.Admin, which they may keep as long as the cluster exists. After a failed connection that Admin answers at once
// with kafka.ErrUnreachable until the next attempt is due. Nothing about requests or the protocol belongs here.
package pool

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// Key names a cluster. Only UID tells clusters apart. The names are for messages.
type Key struct{ UID, Namespace, Name string }

func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Options hold everything that a connection depends on. A change replaces the connection.
type Options struct {
	Seeds []string // host:port
	// CA, Certificate and Key are PEM. Without a CA the connection is plaintext, unless SystemRoots is set: then it is
	// TLS and trusts what this machine trusts.
	CA, Certificate, Key []byte
	SystemRoots          bool
	// Mechanism, Username and Password log in to a SASL listener. No Mechanism = no login.
	Mechanism, Username, Password string
	// ClusterID, if set, is the id that the cluster must have; see client.Options.
	ClusterID string
}

// String leaves out key and password, so that no log shows them.
func (o Options) String() string { return fmt.Sprintf("connection to %v", o.Seeds) }

// GoString does the same for %#v.
func (o Options) GoString() string { return o.String() }

type fingerprint [sha256.Size]byte

// fingerprint hashes every part with its length, so that different options differ.
func (o Options) fingerprint() fingerprint {
	h := sha256.New()
	part := func(b []byte) {
		_ = binary.Write(h, binary.BigEndian, uint64(len(b))) // a hash never fails
		h.Write(b)
	}
	for _, b := range [][]byte{o.CA, o.Certificate, o.Key} {
		part(b)
	}
	for _, text := range []string{fmt.Sprint(o.SystemRoots), o.Mechanism, o.Username, o.Password, o.ClusterID} {
		part([]byte(text))
	}
	for _, seed := range o.Seeds {
		part([]byte(seed))
	}
	return fingerprint(h.Sum(nil))
}

// Conn is a connection that the pool owns.
type Conn interface {
	kafka.Admin
	Close()
}

// Factory makes a connection. It does no I/O. Its errors are faults of the options.
type Factory func(Options) (Conn, error)

// Config says how a pool behaves. A zero value stands for the default.
type Config struct {
	Factory Factory          // default: Dial(nil)
	Now     func() time.Time // default: time.Now
	// IdleAfter is the time without a call after which CloseIdle closes a connection; the next call opens a new one.
	// Default: 10 minutes.
	IdleAfter time.Duration
	// BackoffMin and BackoffMax bound the time from a failure to the next attempt. It doubles with each failure in a
	// row. Default: 1 s and 30 s.
	BackoffMin, BackoffMax time.Duration
	// OnReachable, if set, is called when a cluster answers again after a failure. It must not block.
	OnReachable func(Key)
}

// Pool holds at most one connection in use per cluster. All methods are safe for concurrent use.
type Pool struct {
	config Config

	mu      sync.Mutex
	entries map[string]*entry // by UID
	closed  bool
}

// New makes an empty pool.
func New(c Config) *Pool {
	if c.Factory == nil {
		c.Factory = Dial(nil)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.IdleAfter = orDefault(c.IdleAfter, 10*time.Minute)
	c.BackoffMin = orDefault(c.BackoffMin, time.Second)
	c.BackoffMax = max(orDefault(c.BackoffMax, 30*time.Second), c.BackoffMin)
	return &Pool{config: c, entries: map[string]*entry{}}
}

func orDefault(d, value time.Duration) time.Duration {
	if d <= 0 {
		return value
	}
	return d
}

// ErrClosed is the answer after Close, and for a cluster after Forget.
var ErrClosed = errors.New("the operator has closed the connection for good")

// WaitError is the immediate answer for a cluster that did not answer a moment ago. It is a kafka.ErrUnreachable and
// also wraps the failure of then, which may be a kafka.ErrAuthenticationFailed.
type WaitError struct {
	Until time.Time // when the next attempt is due; zero = an attempt is in progress
	Cause error     // the last failure
}

func (e *WaitError) Error() string {
	if e.Until.IsZero() {
		return fmt.Sprintf("the next attempt is in progress; the last one failed: %v", e.Cause)
	}
	until := e.Until.UTC().Format(time.TimeOnly)
	return fmt.Sprintf("the next attempt is at %s UTC; the last one failed: %v", until, e.Cause)
}

// Unwrap makes every WaitError a kafka.ErrUnreachable.
func (e *WaitError) Unwrap() []error { return []error{kafka.ErrUnreachable, e.Cause} }

// Get returns the Admin of a cluster. It does not dial and does not wait. A later Get with other options changes the
// same Admin. After Forget the Admin answers ErrClosed. An error of Get is a fault of the options.
func (p *Pool) Get(key Key, o Options) (kafka.Admin, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("connect to %s: %w", key, ErrClosed)
	}
	e, ok := p.entries[key.UID]
	if !ok {
		e = &entry{config: &p.config, key: key}
	}
	if err := e.use(o); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", key, err)
	}
	p.entries[key.UID] = e
	return admin{e}, nil
}

// Forget closes the connection of a deleted cluster when the calls on it have returned.
func (p *Pool) Forget(uid string) {
	p.mu.Lock()
	e := p.entries[uid]
	delete(p.entries, uid)
	p.mu.Unlock()
	if e != nil {
		e.end()
	}
}

// CloseIdle closes the connections without a call for Config.IdleAfter.
func (p *Pool) CloseIdle() {
	for _, e := range p.all() {
		e.closeIdle()
	}
}

// Start closes idle connections until ctx ends, and then the pool.
func (p *Pool) Start(ctx context.Context) error {
	tick := time.NewTicker(max(p.config.IdleAfter/4, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			p.Close()
			return nil
		case <-tick.C:
			p.CloseIdle()
		}
	}
}

// Close closes all connections when the calls on them have returned. The pool opens no new ones.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, e := range p.all() {
		e.end()
	}
}

func (p *Pool) all() []*entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*entry, 0, len(p.entries))
	for _, e := range p.entries {
		all = append(all, e)
	}
	return all
}
