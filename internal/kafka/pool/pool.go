// Package pool owns the connections to all clusters. Its callers never dial and never back off: they take a kafka.Admin
// that stays good for as long as the cluster lives, and after a failed connection that Admin answers at once with
// kafka.ErrUnreachable until it is time to try again. Nothing here knows what is said to a cluster, nor how.
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

// Key names a cluster. UID alone tells clusters apart; the names are for messages.
type Key struct{ UID, Namespace, Name string }

func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Options are everything that a connection depends on. A change of any of it replaces the connection.
type Options struct {
	Seeds []string // host:port
	// CA, Certificate and Key are PEM; no CA means plaintext, unless SystemRoots says to trust what this machine trusts.
	CA, Certificate, Key []byte
	SystemRoots          bool
	// Mechanism, Username and Password are those of a SASL listener; no Mechanism means none.
	Mechanism, Username, Password string
	// ClusterID, if set, is the only cluster that is asked for anything.
	ClusterID string
}

// String keeps what must not be read out of every log.
func (o Options) String() string { return fmt.Sprintf("connection to %v", o.Seeds) }

// GoString does the same for %#v.
func (o Options) GoString() string { return o.String() }

type fingerprint [sha256.Size]byte

// fingerprint writes every part with its length, so that no two options look alike.
func (o Options) fingerprint() fingerprint {
	h := sha256.New()
	part := func(b []byte) {
		_ = binary.Write(h, binary.BigEndian, uint64(len(b))) // a hash takes all
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

// Factory makes a connection and does no I/O; its errors are faults of the options.
type Factory func(Options) (Conn, error)

// Config says how a pool behaves; zero values are replaced by the defaults named.
type Config struct {
	Factory Factory          // default Dial(nil)
	Now     func() time.Time // default time.Now
	// IdleAfter closes connections that nobody has used for so long; default 10 minutes. They come back when used.
	IdleAfter time.Duration
	// BackoffMin and BackoffMax bound the time without attempts after a failure; it doubles each time. Default 1 s and 30 s.
	BackoffMin, BackoffMax time.Duration
	// OnReachable, if set, is called when a cluster answers again after a failure. It must not block.
	OnReachable func(Key)
}

// Pool holds at most one live connection per cluster. All methods are safe for concurrent use.
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

// ErrClosed is the answer of a pool that was closed, and of a cluster that was forgotten.
var ErrClosed = errors.New("the connection was given up")

// WaitError is the immediate answer for a cluster that could not be reached a moment ago. It wraps what went wrong then,
// kafka.ErrUnreachable or kafka.ErrAuthenticationFailed, and the former in any case.
type WaitError struct {
	Until time.Time // of the next attempt; zero = one is under way
	Cause error
}

func (e *WaitError) Error() string {
	if e.Until.IsZero() {
		return fmt.Sprintf("the next attempt is under way; the last one failed: %v", e.Cause)
	}
	return fmt.Sprintf("not tried again before %s; the last attempt failed: %v", e.Until.UTC().Format(time.TimeOnly), e.Cause)
}

// Unwrap makes every WaitError a kafka.ErrUnreachable.
func (e *WaitError) Unwrap() []error { return []error{kafka.ErrUnreachable, e.Cause} }

// Get returns the Admin of a cluster; it neither dials nor waits. The Admin follows later calls of Get with other
// options, and ends with Forget. An error means that the options are at fault.
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

// Forget ends the connection of a cluster that is gone; calls under way end first.
func (p *Pool) Forget(uid string) {
	p.mu.Lock()
	e := p.entries[uid]
	delete(p.entries, uid)
	p.mu.Unlock()
	if e != nil {
		e.end()
	}
}

// CloseIdle closes the connections that nobody has used for Config.IdleAfter.
func (p *Pool) CloseIdle() {
	for _, e := range p.all() {
		e.closeIdle()
	}
}

// Start closes idle connections from time to time until ctx is over, and then closes the pool.
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

// Close ends all connections, for ever.
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
