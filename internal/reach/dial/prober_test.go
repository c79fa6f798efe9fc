package dial

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/castellan-dev/castellan/internal/reach"
)

// road is what the ways of a test lead to.
type road struct {
	mu      sync.Mutex
	broken  map[int32]bool
	takes   time.Duration
	tries   map[int32]int
	now     int // being tried
	most    int
	changes int
}

func (r *road) try(ctx context.Context, way reach.Way) reach.Finding {
	r.mu.Lock()
	r.tries[way.Node]++
	r.now++
	r.most = max(r.most, r.now)
	broken := r.broken[way.Node]
	r.mu.Unlock()
	select {
	case <-time.After(r.takes):
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now--
	f := reach.Finding{}
	if broken {
		f.Fail(reach.FaultRefused, way.Address())
	}
	return f
}

func (r *road) all() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := 0
	for _, n := range r.tries {
		sum += n
	}
	return sum
}

func (r *road) breaks(node int32, broken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken[node] = broken
}

// probed runs a test with a clock of its own.
func probed(t *testing.T, test func(t *testing.T, p *Prober, r *road)) {
	synctest.Test(t, func(t *testing.T) {
		r := &road{broken: map[int32]bool{}, tries: map[int32]int{}, takes: 10 * time.Millisecond}
		p := NewProber(r.try, func(string) { r.mu.Lock(); defer r.mu.Unlock(); r.changes++ })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Start(ctx) }()
		test(t, p, r)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func ways(n int) []reach.Way {
	all := make([]reach.Way, n)
	for i := range all {
		all[i] = reach.Way{Listener: "clients", Node: int32(i), Host: fmt.Sprintf("b%d", i), Port: 9092}
	}
	return all
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestAWayIsTriedOnceAndThenOnceAnHour(t *testing.T) {
	probed(t, func(t *testing.T, p *Prober, r *road) {
		if k := p.Known("shop/events", ways(3)); k[0].State != reach.Untried {
			t.Errorf("before anything: %+v", k)
		}
		pass(time.Second)
		for range 100 {
			for _, k := range p.Known("shop/events", ways(3)) {
				if k.State != reach.Tried || !k.Finding.OK() {
					t.Fatalf("%+v", k)
				}
			}
			pass(20 * time.Second)
		}
		if r.all() != 3 || r.changes != 1 {
			t.Errorf("tried %d times, told %d times", r.all(), r.changes)
		}
		pass(24 * time.Hour)
		if n := r.all(); n < 3*24 || n > 3*31 || r.changes != 1 {
			t.Errorf("in a day at rest: tried %d times, told %d times", n, r.changes)
		}
	})
}

func TestWhatChangesIsTriedAnew(t *testing.T) {
	for name, change := range map[string]func(*reach.Way){
		"another address": func(w *reach.Way) { w.Host = "elsewhere" },
		"another process": func(w *reach.Way) { w.Process = "2" },
		"another anchor":  func(w *reach.Way) { w.Anchors = "2" },
		"a mechanism":     func(w *reach.Way) { w.Mechanisms = []string{"PLAIN"} },
	} {
		t.Run(name, func(t *testing.T) {
			probed(t, func(t *testing.T, p *Prober, r *road) {
				p.Known("shop/events", ways(2))
				pass(time.Second)
				changed := ways(2)
				change(&changed[1])
				if k := p.Known("shop/events", changed); k[0].State != reach.Tried || k[1].State != reach.Pending {
					t.Errorf("%+v", k)
				}
				pass(time.Second)
				if k := p.Known("shop/events", changed); k[1].State != reach.Tried || r.tries[0] != 1 || r.tries[1] != 2 {
					t.Errorf("%+v, tried %v", k, r.tries)
				}
			})
		})
	}
}

func TestAFailureIsToldWhenItWasSeenAgainAndTriedEverMoreSeldom(t *testing.T) {
	probed(t, func(t *testing.T, p *Prober, r *road) {
		r.breaks(1, true)
		p.Known("shop/events", ways(2))
		pass(1500 * time.Millisecond)
		if k := p.Known("shop/events", ways(2)); k[1].State != reach.Untried {
			t.Errorf("it is believed after %d tries: %+v", r.tries[1], k[1])
		}
		pass(5 * time.Second)
		if k := p.Known("shop/events", ways(2)); k[1].State != reach.Tried || k[1].Finding.OK() {
			t.Errorf("after %d tries: %+v", r.tries[1], k[1])
		}
		pass(time.Hour)
		if n := r.tries[1]; n < 10 || n > 20 || r.changes != 2 {
			t.Errorf("in an hour it is tried %d times, and told %d times", n, r.changes)
		}
		r.breaks(1, false)
		pass(againAtMost)
		if k := p.Known("shop/events", ways(2)); !k[1].Finding.OK() || r.changes != 3 {
			t.Errorf("once it works: %+v, told %d times", k[1], r.changes)
		}
		before := r.tries[1]
		r.breaks(1, true)
		pass(time.Hour)
		if k := p.Known("shop/events", ways(2)); k[1].Finding.OK() || r.tries[1] == before {
			t.Errorf("when it fails again: %+v", k[1])
		}
	})
}

func TestFewWaysAreWalkedSideBySideAndNoClusterKeepsAnotherWaiting(t *testing.T) {
	probed(t, func(t *testing.T, p *Prober, r *road) {
		r.takes = time.Minute // cut short
		p.Known("shop/silent", ways(500))
		pass(time.Second)
		if r.most != atOnceOfOne {
			t.Errorf("%d ways of one cluster at once", r.most)
		}
		r.mu.Lock()
		r.takes = time.Millisecond
		r.mu.Unlock()
		p.Known("shop/events", ways(3))
		pass(time.Second)
		if k := p.Known("shop/events", ways(3)); k[2].State != reach.Tried {
			t.Errorf("the other one: %+v", k)
		}
		for i := range 20 {
			p.Known(fmt.Sprintf("shop/c%d", i), ways(50))
		}
		pass(time.Hour)
		if r.most > atOnce {
			t.Errorf("%d ways at once", r.most)
		}
		p.Forget("shop/silent")
	})
}

func TestWhatIsForgottenIsTriedNoMore(t *testing.T) {
	probed(t, func(t *testing.T, p *Prober, r *road) {
		r.breaks(1, true)
		p.Known("shop/events", ways(3))
		pass(10 * time.Second)
		p.Known("shop/events", ways(1))
		before := r.tries[1]
		pass(24 * time.Hour)
		if r.tries[1] != before || r.tries[0] < 20 {
			t.Errorf("tried %v", r.tries)
		}
		p.Forget("shop/events")
		all := r.all()
		pass(24 * time.Hour)
		if r.all() != all {
			t.Errorf("tried %v", r.tries)
		}
	})
}
