package fetch

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/castellan-dev/castellan/internal/jwks"
)

const (
	// anew is how often a source is asked that answers, less up to a tenth.
	anew = 60 * time.Second
	// again is when one that does not is asked again. The time doubles with each try, up to anew: a source that was away
	// is as good as one that never was.
	again = 2 * time.Second
	// atOnce is how many sources are asked side by side.
	atOnce = 32
)

// Fetcher asks the sources that it was told of, beside whoever tells them, and remembers what came last.
type Fetcher struct {
	get     func(context.Context, jwks.Source) (jwks.Set, error)
	changed func(owner string)
	places  chan struct{}
	ctx     context.Context
	end     context.CancelFunc

	mu     sync.Mutex
	owners map[string]map[string]*asked // by listener
}

// asked is one source.
type asked struct {
	source jwks.Source
	known  jwks.Fetched
	failed int // tries in a row
	timer  *time.Timer
}

// New makes a Fetcher. get asks a source once. changed is told the owner after something new is known of its sources;
// it must not block.
func New(get func(context.Context, jwks.Source) (jwks.Set, error), changed func(owner string)) *Fetcher {
	f := &Fetcher{get: get, changed: changed, places: make(chan struct{}, atOnce), owners: map[string]map[string]*asked{}}
	f.ctx, f.end = context.WithCancel(context.Background())
	return f
}

// Start waits until ctx is over, and ends all fetching.
func (f *Fetcher) Start(ctx context.Context) error {
	<-ctx.Done()
	f.end()
	f.mu.Lock()
	defer f.mu.Unlock()
	for owner := range f.owners {
		f.drop(owner, nil)
	}
	return nil
}

// Known says what is known of the sources of an owner, by listener, and sees to it that it stays fresh. All other
// sources of the owner are forgotten. It does not wait. What came from another address, or from a host that was known
// by other certificates, is not known of a source.
func (f *Fetcher) Known(owner string, sources []jwks.Source) map[string]jwks.Fetched {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted, known := map[string]bool{}, map[string]jwks.Fetched{}
	for _, source := range sources {
		wanted[source.Listener] = true
		a := f.owners[owner][source.Listener]
		if a == nil || a.source != source {
			if a != nil {
				a.timer.Stop()
			}
			if f.owners[owner] == nil {
				f.owners[owner] = map[string]*asked{}
			}
			a = &asked{source: source}
			f.owners[owner][source.Listener] = a
			f.schedule(owner, a, 0)
		}
		known[source.Listener] = a.known
	}
	f.drop(owner, wanted)
	return known
}

// Forget ends the fetching for an owner that is gone.
func (f *Fetcher) Forget(owner string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(owner, nil)
}

// drop forgets all sources of an owner but those of the wanted listeners.
func (f *Fetcher) drop(owner string, wanted map[string]bool) {
	for listener, a := range f.owners[owner] {
		if !wanted[listener] {
			a.timer.Stop()
			delete(f.owners[owner], listener)
		}
	}
	if len(f.owners[owner]) == 0 {
		delete(f.owners, owner)
	}
}

func (f *Fetcher) schedule(owner string, a *asked, after time.Duration) {
	a.timer = time.AfterFunc(after, func() { f.ask(owner, a) })
}

// ask asks a source once, and says when to ask again, whatever comes of it.
func (f *Fetcher) ask(owner string, a *asked) {
	select {
	case f.places <- struct{}{}:
		defer func() { <-f.places }()
	case <-f.ctx.Done():
		return
	}
	if !f.isWanted(owner, a) {
		return
	}
	set, err := f.get(f.ctx, a.source)
	if f.ctx.Err() != nil {
		return // it was cut short
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.owners[owner][a.source.Listener] != a {
		return
	}
	next := jwks.Fetched{Keys: a.known.Keys, Private: a.known.Private}
	if err != nil {
		next.Fault = err.Error()
		a.failed++
		f.schedule(owner, a, min(anew, again<<min(a.failed-1, 10)))
	} else {
		if keys := set.JSON(); !jwks.Same(keys, next.Keys) {
			next.Keys = keys
		}
		next.Private, a.failed = set.Private, 0
		f.schedule(owner, a, anew-rand.N(anew/10))
	}
	news := next.Fault != a.known.Fault || next.Private != a.known.Private || !jwks.Same(next.Keys, a.known.Keys)
	if a.known = next; news {
		go f.changed(owner)
	}
}

func (f *Fetcher) isWanted(owner string, a *asked) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.owners[owner][a.source.Listener] == a
}
