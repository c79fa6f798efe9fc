package pool

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// entry is one cluster: its options, at most one connection in use, and its last failures.
type entry struct {
	config *Config
	key    Key

	mu      sync.Mutex
	options Options
	print   fingerprint
	conn    *sharedConn // nil = none yet, or closed because it was idle
	used    time.Time
	ended   bool

	failures int       // in a row
	cause    error     // of the last failure
	retryAt  time.Time // when the next attempt is due
	probing  bool      // one call tries whether the cluster answers again; the others get a WaitError
}

// sharedConn is closed when it is retired and its last call has returned. The entry's lock guards its fields.
type sharedConn struct {
	Conn
	calls   int
	retired bool
}

// visit is one call on a connection.
type visit struct {
	conn  *sharedConn
	probe bool
	epoch int // entry.failures when it began
}

// use gives the entry new options. It forgets the failures, because the new options may be the cure.
func (e *entry) use(o Options) error {
	print := o.fingerprint()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.print == print {
		return nil // the next call opens a connection that was closed because it was idle
	}
	conn, err := e.config.Factory(o)
	if err != nil {
		return err
	}
	e.retire()
	e.conn, e.options, e.print = &sharedConn{Conn: conn}, o, print
	e.used = e.config.Now()
	e.failures, e.cause, e.retryAt, e.probing = 0, nil, time.Time{}, false
	return nil
}

// enter admits a call, or answers it with an error at once.
func (e *entry) enter() (visit, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return visit{}, ErrClosed
	}
	now := e.config.Now()
	probe := false
	if e.failures > 0 {
		if now.Before(e.retryAt) {
			return visit{}, &WaitError{Until: e.retryAt, Cause: e.cause}
		}
		if e.probing {
			return visit{}, &WaitError{Cause: e.cause}
		}
		probe = true
	}
	if e.conn == nil {
		conn, err := e.config.Factory(e.options)
		if err != nil {
			return visit{}, err
		}
		e.conn = &sharedConn{Conn: conn}
	}
	e.used, e.probing = now, probe
	e.conn.calls++
	return visit{conn: e.conn, probe: probe, epoch: e.failures}, nil
}

// outcome is what a call says about the cluster.
type outcome int

const (
	nothing  outcome = iota // the caller cut it short, or it asked one broker only
	answered                // the cluster answered, perhaps with a refusal
	silent                  // no broker answered, or none let the operator in
)

func judge(err error, oneBroker bool) outcome {
	switch {
	case err == nil:
		return answered
	case errors.Is(err, kafka.ErrUnreachable), errors.Is(err, kafka.ErrAuthenticationFailed):
		if oneBroker {
			return nothing
		}
		return silent
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nothing
	default:
		return answered
	}
}

// leave ends a visit and remembers its outcome.
func (e *entry) leave(v visit, err error, oneBroker bool) {
	woken := e.learn(v, err, judge(err, oneBroker))
	if woken && e.config.OnReachable != nil {
		e.config.OnReachable(e.key)
	}
}

func (e *entry) learn(v visit, err error, o outcome) (woken bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.used = e.config.Now()
	v.conn.calls--
	e.closeIfLeft(v.conn)
	if v.conn != e.conn {
		return false // the visit began with other options
	}
	if v.probe {
		e.probing = false
	}
	switch o {
	case answered:
		if _, other := errors.AsType[*kafka.AnotherCluster](err); other {
			e.retire() // the connection knows the other cluster's brokers; a new one begins at the seeds
		}
		woken = e.failures > 0
		e.failures, e.cause, e.retryAt = 0, nil, time.Time{}
	case silent:
		// Calls that fail together count as one failure.
		if v.epoch == e.failures {
			e.failures++
			e.cause = err
			e.retryAt = e.used.Add(e.backoff())
		}
	}
	return woken
}

func (e *entry) backoff() time.Duration {
	wait := e.config.BackoffMin
	for range e.failures - 1 {
		if wait *= 2; wait >= e.config.BackoffMax {
			return e.config.BackoffMax
		}
	}
	return min(wait, e.config.BackoffMax)
}

func (e *entry) closeIdle() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != nil && e.conn.calls == 0 && e.config.Now().Sub(e.used) >= e.config.IdleAfter {
		e.retire()
	}
}

func (e *entry) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	e.retire()
}

// retire drops the connection. The calls on it go on.
func (e *entry) retire() {
	if e.conn == nil {
		return
	}
	e.conn.retired = true
	e.closeIfLeft(e.conn)
	e.conn = nil
}

func (e *entry) closeIfLeft(c *sharedConn) {
	if c.retired && c.calls == 0 {
		c.Close()
	}
}
