package fetch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/castellan-dev/castellan/internal/jwks"
)

// provider is what the sources of a test lead to, by URL.
type provider struct {
	mu      sync.Mutex
	sets    map[string]string
	asked   map[string]int
	changes int
}

func (p *provider) get(_ context.Context, source jwks.Source) (jwks.Set, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[source.URL]++
	if p.sets[source.URL] == "" {
		return jwks.Set{}, errors.New("it is away")
	}
	return jwks.Parse([]byte(p.sets[source.URL]))
}

func (p *provider) serves(url, set string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sets[url] = set
}

func (p *provider) counts(url string) (asked, changes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[url], p.changes
}

// fetched runs a test with a clock of its own.
func fetched(t *testing.T, test func(t *testing.T, f *Fetcher, p *provider)) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{sets: map[string]string{}, asked: map[string]int{}}
		f := New(p.get, func(string) { p.mu.Lock(); defer p.mu.Unlock(); p.changes++ })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Start(ctx) }()
		test(t, f, p)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

const url = "https://id.example.com/keys"

var (
	owner   = "shop/events"
	sources = []jwks.Source{{Listener: "clients", URL: url}}
)

func after(d time.Duration) {
	time.Sleep(d) // of the test's own clock
	synctest.Wait()
}

func TestNewKeysAreFetchedWithinAMinuteAndToldOnce(t *testing.T) {
	first, second := aKeySet(t), aKeySet(t)
	fetched(t, func(t *testing.T, f *Fetcher, p *provider) {
		p.serves(url, first)
		if known := f.Known(owner, sources)["clients"]; known.Keys != nil || known.Fault != "" {
			t.Fatalf("before anybody was asked %+v is known", known)
		}
		after(time.Millisecond)
		if known := f.Known(owner, sources)["clients"]; string(known.Keys) != first {
			t.Fatalf("%+v", known)
		}
		after(10 * time.Minute)
		if asked, changes := p.counts(url); asked < 10 || asked > 13 || changes != 1 {
			t.Errorf("asked %d times in ten minutes, and told %d times of the same keys", asked, changes)
		}
		p.serves(url, second)
		after(anew)
		if known := f.Known(owner, sources)["clients"]; string(known.Keys) != second {
			t.Errorf("%+v", known)
		}
		if _, changes := p.counts(url); changes != 2 {
			t.Errorf("told %d times", changes)
		}
	})
}

// A job that ends with its first failure would leave brokers with old keys for ever.
func TestOldKeysStayWhileAnIssuerIsAwayAndItIsAskedOnAndOn(t *testing.T) {
	first, second := aKeySet(t), aKeySet(t)
	fetched(t, func(t *testing.T, f *Fetcher, p *provider) {
		p.serves(url, first)
		f.Known(owner, sources)
		after(time.Second)
		p.serves(url, "")
		after(time.Hour)
		known := f.Known(owner, sources)["clients"]
		if string(known.Keys) != first || known.Fault != "it is away" {
			t.Errorf("%+v", known)
		}
		if asked, changes := p.counts(url); asked < 60 || asked > 75 || changes != 2 {
			t.Errorf("asked %d times in an hour, told %d times", asked, changes)
		}
		p.serves(url, second)
		after(anew)
		if known := f.Known(owner, sources)["clients"]; string(known.Keys) != second || known.Fault != "" {
			t.Errorf("%+v", known)
		}
		p.serves(url, "")
		for f.Known(owner, sources)["clients"].Fault == "" {
			after(100 * time.Millisecond)
		}
		p.serves(url, second)
		after(again)
		if known := f.Known(owner, sources)["clients"]; known.Fault != "" {
			t.Errorf("a hiccup is told for longer than it took: %+v", known)
		}
	})
}

func TestAnotherAddressOrAnotherAuthorityHasNoKeysYet(t *testing.T) {
	first := aKeySet(t)
	fetched(t, func(t *testing.T, f *Fetcher, p *provider) {
		p.serves(url, first)
		f.Known(owner, sources)
		after(time.Second)
		for _, other := range []jwks.Source{{Listener: "clients", URL: url + "2"}, {Listener: "clients", URL: url, Anchors: "x"}} {
			if known := f.Known(owner, []jwks.Source{other})["clients"]; known.Keys != nil {
				t.Errorf("%+v has the keys of another source", other)
			}
		}
	})
}

func TestNobodyIsAskedForWhatNobodyWants(t *testing.T) {
	fetched(t, func(t *testing.T, f *Fetcher, p *provider) {
		f.Known(owner, sources)
		after(time.Second)
		f.Known(owner, nil)
		before, _ := p.counts(url)
		f.Known("shop/other", sources)
		after(time.Second)
		f.Forget("shop/other")
		after(time.Hour)
		if asked, _ := p.counts(url); asked != before+1 || len(f.owners) != 0 {
			t.Errorf("asked %d times, %d owners", asked-before, len(f.owners))
		}
	})
}
