package pool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/kafka/pool"
)

// world is a fake of everything around a pool: clusters, factory, clock.
type world struct {
	mu     sync.Mutex
	now    time.Time
	down   error         // what every call answers
	gate   chan struct{} // if set, calls wait for it
	inside chan struct{} // told of every call that has begun
	conns  []*fakeConn
	calls  int
	woken  []pool.Key
	broken error // what the factory answers
}

type fakeConn struct {
	kafka.Admin // the methods that no test calls
	w           *world
	options     pool.Options
	closed      bool
	active      int
}

func (c *fakeConn) ACLs(ctx context.Context, _ []string) ([]kafka.ACL, error) {
	c.w.mu.Lock()
	c.w.calls++
	c.active++
	gate, inside := c.w.gate, c.w.inside
	c.w.mu.Unlock()
	if gate != nil {
		inside <- struct{}{}
		<-gate
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.active--
	if c.closed {
		return nil, errors.New("used after it was closed")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nil, c.w.down
}

func (c *fakeConn) ReloadCertificates(ctx context.Context, _ int32) error {
	_, err := c.ACLs(ctx, nil)
	return err
}

func (c *fakeConn) Snapshot(context.Context, ...int32) (*kafka.Snapshot, error) { panic("snapshot") }

func (c *fakeConn) Close() {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.active > 0 || c.closed {
		panic(fmt.Sprintf("closed with %d calls on it, closed before: %t", c.active, c.closed))
	}
	c.closed = true
}

func newWorld() (*world, *pool.Pool) {
	w := &world{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	p := pool.New(pool.Config{
		Factory: func(o pool.Options) (pool.Conn, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.broken != nil {
				return nil, w.broken
			}
			c := &fakeConn{w: w, options: o}
			w.conns = append(w.conns, c)
			return c, nil
		},
		Now: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.now
		},
		IdleAfter: time.Minute, BackoffMin: time.Second, BackoffMax: 5 * time.Second,
		OnReachable: func(k pool.Key) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.woken = append(w.woken, k)
		},
	})
	return w, p
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) pass(d time.Duration) { w.set(func() { w.now = w.now.Add(d) }) }

func (w *world) took() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.calls
	w.calls = 0
	return n
}

var (
	events  = pool.Key{UID: "u1", Namespace: "prod", Name: "events"}
	address = addresses()
	errDown = fmt.Errorf("%w: refused", kafka.ErrUnreachable)
)

// addresses returns equal options each time, and shares no memory between them.
func addresses() pool.Options {
	return pool.Options{
		Seeds: []string{"a:9091", "b:9091"}, CA: []byte("ca"), Certificate: []byte("crt"), Key: []byte("key"),
	}
}

func get(t *testing.T, p *pool.Pool, o pool.Options) kafka.Admin {
	t.Helper()
	a, err := p.Get(events, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOneConnectionUntilTheOptionsChange(t *testing.T) {
	w, p := newWorld()
	a := get(t, p, address)
	get(t, p, addresses())
	if len(w.conns) != 1 {
		t.Fatalf("%d connections for equal options", len(w.conns))
	}
	for i, change := range []func(*pool.Options){
		func(o *pool.Options) { o.Seeds = []string{"a:9091b:9091"} },
		func(o *pool.Options) { o.CA = []byte("ca2") },
		func(o *pool.Options) { o.Certificate, o.Key = []byte("crtk"), []byte("ey") },
	} {
		o := address
		change(&o)
		get(t, p, o)
		if len(w.conns) != i+2 || !w.conns[i].closed {
			t.Fatalf("change %d: %d connections", i, len(w.conns))
		}
	}
	if _, err := a.ACLs(t.Context(), nil); err != nil {
		t.Errorf("an Admin from before the change: %v", err)
	}
}

func TestEveryPartOfTheOptionsCounts(t *testing.T) {
	w, p := newWorld()
	get(t, p, address)
	for i, change := range []func(*pool.Options){
		func(o *pool.Options) { o.SystemRoots = true },
		func(o *pool.Options) { o.Mechanism = "PLAIN" },
		func(o *pool.Options) { o.Username = "u" },
		func(o *pool.Options) { o.Password = "secret" },
		func(o *pool.Options) { o.ClusterID = "id" },
	} {
		o := address
		change(&o)
		get(t, p, o)
		if len(w.conns) != i+2 {
			t.Errorf("change %d makes no other connection", i)
		}
		if text := fmt.Sprintf("%v %+v %#v %s", o, o, o, o); strings.Contains(text, "secret") {
			t.Errorf("the options print a password: %s", text)
		}
	}
}

func TestAfterAnotherClusterHasAnsweredTheNextCallBeginsAtTheAddresses(t *testing.T) {
	w, p := newWorld()
	a := get(t, p, address)
	w.set(func() { w.down = &kafka.AnotherCluster{Want: "a", Have: "b"} })
	if _, err := a.ACLs(t.Context(), nil); err == nil {
		t.Error("no error")
	}
	w.set(func() { w.down = nil })
	if _, err := a.ACLs(t.Context(), nil); err != nil || len(w.conns) != 2 || !w.conns[0].closed {
		t.Errorf("%v, %d connections", err, len(w.conns))
	}
}

func TestACallUnderWayKeepsItsConnection(t *testing.T) {
	w, p := newWorld()
	a := get(t, p, address)
	w.gate, w.inside = make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := a.ACLs(t.Context(), nil)
		done <- err
	}()
	<-w.inside
	get(t, p, pool.Options{Seeds: []string{"c:9091"}})
	p.Forget(events.UID)
	w.set(func() {
		if w.conns[0].closed || !w.conns[1].closed {
			t.Error("the used one must be open, the unused one closed")
		}
	})
	close(w.gate)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !w.conns[0].closed {
		t.Error("the last call has left, and the connection is open")
	}
	if _, err := a.ACLs(t.Context(), nil); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("a forgotten cluster: %v", err)
	}
}

func TestAfterAFailureNobodyIsAskedForAGrowingWhile(t *testing.T) {
	w, p := newWorld()
	a := get(t, p, address)
	w.down = errDown
	const s = time.Second
	for i, wait := range []time.Duration{s, 2 * s, 4 * s, 5 * s, 5 * s} {
		if _, err := a.ACLs(t.Context(), nil); !errors.Is(err, kafka.ErrUnreachable) || w.took() != 1 {
			t.Fatalf("attempt %d: %v", i, err)
		}
		w.pass(wait - time.Millisecond)
		_, err := a.ACLs(t.Context(), nil)
		until, ok := errors.AsType[*pool.WaitError](err)
		if !ok || !errors.Is(err, kafka.ErrUnreachable) || w.took() != 0 || until.Until.Sub(w.now) != time.Millisecond {
			t.Fatalf("within the wait %d: %v", i, err)
		}
		w.pass(time.Millisecond)
	}
	w.down = nil
	if _, err := a.ACLs(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if len(w.woken) != 1 || w.woken[0] != events {
		t.Errorf("woken %v", w.woken)
	}
	w.down = errDown // and it begins anew with the shortest wait
	if _, err := a.ACLs(t.Context(), nil); err == nil {
		t.Fatal("no error")
	}
	w.pass(time.Second)
	w.down = nil
	if _, err := a.ACLs(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestOnlyOneCallTriesAndManyFailuresAreOne(t *testing.T) {
	w, p := newWorld()
	a := get(t, p, address)
	w.down = errDown
	w.gate, w.inside = make(chan struct{}), make(chan struct{})
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() { _, _ = a.ACLs(t.Context(), nil) })
	}
	for range 10 {
		<-w.inside
	}
	close(w.gate)
	wait.Wait()
	w.pass(time.Second) // the first step: ten failures would have meant five
	w.took()

	w.set(func() { w.gate = make(chan struct{}) })
	done := make(chan error)
	go func() {
		_, err := a.ACLs(t.Context(), nil)
		done <- err
	}()
	<-w.inside
	if _, err := a.ACLs(t.Context(), nil); !errors.Is(err, kafka.ErrUnreachable) || w.took() != 1 {
		t.Errorf("beside the probe: %v", err)
	}
	close(w.gate)
	if err := <-done; !errors.Is(err, kafka.ErrUnreachable) {
		t.Error(err)
	}
}

func TestWhatIsNoNewsOfTheClusterDoesNotBackOff(t *testing.T) {
	w, p := newWorld()
	a := get(t, p, address)
	for name, ask := range map[string]func() error{
		"one broker is silent": func() error {
			w.down = errDown
			return a.ReloadCertificates(t.Context(), 2)
		},
		"the caller went away": func() error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := a.ACLs(ctx, nil)
			return err
		},
		"Kafka says no": func() error {
			w.down = &kafka.Refusal{Code: "INVALID_REQUEST"}
			_, err := a.ACLs(t.Context(), nil)
			return err
		},
		"the call panics": func() (err error) {
			defer func() { err = fmt.Errorf("%v", recover()) }()
			_, err = a.Snapshot(t.Context())
			return err
		},
	} {
		if ask() == nil {
			t.Errorf("%s: no error", name)
		}
		w.down = nil
		if _, err := a.ACLs(t.Context(), nil); err != nil {
			t.Errorf("%s: and then %v", name, err)
		}
	}
}

func TestRefusedCredentialsWaitAndNewOnesAreTriedAtOnce(t *testing.T) {
	w, p := newWorld()
	a := get(t, p, address)
	w.down = kafka.ErrAuthenticationFailed
	_, _ = a.ACLs(t.Context(), nil)
	w.down = nil
	_, err := a.ACLs(t.Context(), nil)
	if !errors.Is(err, kafka.ErrAuthenticationFailed) || !errors.Is(err, kafka.ErrUnreachable) {
		t.Errorf("within the wait: %v", err)
	}
	o := address
	o.Certificate = []byte("renewed")
	if _, err := get(t, p, o).ACLs(t.Context(), nil); err != nil {
		t.Errorf("with a new certificate: %v", err)
	}
}

func TestAnIdleConnectionClosesAndComesBack(t *testing.T) {
	w, p := newWorld()
	a := get(t, p, address)
	w.pass(59 * time.Second)
	p.CloseIdle()
	if w.conns[0].closed {
		t.Fatal("closed too early")
	}
	w.pass(time.Second)
	p.CloseIdle()
	if !w.conns[0].closed {
		t.Fatal("still open")
	}
	if _, err := a.ACLs(t.Context(), nil); err != nil || len(w.conns) != 2 {
		t.Errorf("%d connections, %v", len(w.conns), err)
	}
	p.Close()
	if !w.conns[1].closed {
		t.Error("open after the pool was closed")
	}
	if _, err := p.Get(events, address); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("a closed pool: %v", err)
	}
}

func TestOptionsAtFaultAreToldAndChangeNothing(t *testing.T) {
	w, p := newWorld()
	a := get(t, p, address)
	w.broken = errors.New("no PEM")
	if _, err := p.Get(events, pool.Options{Seeds: []string{"c:9091"}}); !errors.Is(err, w.broken) {
		t.Error(err)
	}
	if _, err := a.ACLs(t.Context(), nil); err != nil || w.conns[0].closed {
		t.Errorf("the connection from before: %v", err)
	}
	real := pool.New(pool.Config{})
	defer real.Close()
	if _, err := real.Get(events, address); err == nil {
		t.Error("no error for a CA that is none")
	}
}

func TestEverythingAtOnce(t *testing.T) {
	w, p := newWorld()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() { stopped <- p.Start(ctx) }()
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for j := range 200 {
				o := pool.Options{Seeds: []string{fmt.Sprint(j % 3)}}
				a, err := p.Get(pool.Key{UID: fmt.Sprint(j % 4)}, o)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = a.ACLs(ctx, nil)
				switch (i + j) % 50 {
				case 0:
					p.Forget(fmt.Sprint(j % 4))
				case 1:
					w.pass(time.Minute)
					p.CloseIdle()
				case 2:
					w.set(func() { w.down = errDown })
				case 3:
					w.set(func() { w.down = nil })
				}
			}
		})
	}
	wait.Wait()
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	for _, c := range w.conns {
		if !c.closed {
			t.Error("a connection is left open")
		}
	}
}
