package dial

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/castellan-dev/castellan/internal/reach"
)

const (
	// tryTimeout bounds one try of one way, whatever its steps take.
	tryTimeout = 12 * time.Second
	// atOnce is how many ways are walked side by side, and atOnceOfOne how many of one owner.
	atOnce, atOnceOfOne = 16, 4
	// again is when a way that failed is tried again. The time doubles with each try, up to againAtMost.
	again, againAtMost = time.Second, 10 * time.Minute
	// believed is how many tries in a row have to fail before a failure is told: what has just started, and what has
	// just moved, is not everywhere at once.
	believed = 3
	// anew is when a way that leads to its broker is tried again, less up to a fifth.
	anew = time.Hour
	// together is how long news of one owner wait for others.
	together = 300 * time.Millisecond
)

// Prober walks the ways that it is asked about, beside whoever asks, and remembers what came of them. A way is tried
// when it is new or has changed, again ever more seldom while it fails, and once an hour after it has led to its
// broker.
type Prober struct {
	try     func(context.Context, reach.Way) reach.Finding
	changed func(owner string)
	places  chan struct{}
	ctx     context.Context
	end     context.CancelFunc

	mu     sync.Mutex
	owners map[string]*owner
}

// owner is whoever asks about some ways: a cluster.
type owner struct {
	ways   map[id]*watched
	places chan struct{}
	told   bool // that something has changed
}

// id names a way for as long as its broker and its listener are there.
type id struct {
	listener string
	node     int32
}

// watched is one way.
type watched struct {
	reach.Known
	failed int // tries in a row
	timer  *time.Timer
}

// NewProber makes a Prober. try walks a way. changed is told the owner after something new is known of its ways; it
// must not block.
func NewProber(try func(context.Context, reach.Way) reach.Finding, changed func(owner string)) *Prober {
	p := &Prober{try: try, changed: changed, places: make(chan struct{}, atOnce), owners: map[string]*owner{}}
	p.ctx, p.end = context.WithCancel(context.Background())
	return p
}

// Start waits until ctx is over, and ends all tries.
func (p *Prober) Start(ctx context.Context) error {
	<-ctx.Done()
	p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.owners {
		p.drop(name)
	}
	return nil
}

// Known says what is known of the ways of an owner, in their order, and sees to it that more is. All other ways of the
// owner are forgotten. It does not wait.
func (p *Prober) Known(name string, ways []reach.Way) []reach.Known {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.owners[name]
	if o == nil {
		o = &owner{ways: map[id]*watched{}, places: make(chan struct{}, atOnceOfOne)}
		p.owners[name] = o
	}
	all := make([]reach.Known, len(ways))
	wanted := map[id]bool{}
	for i, way := range ways {
		which := id{way.Listener, way.Node}
		wanted[which] = true
		w := o.ways[which]
		if w == nil || !w.Way.Equal(&way) {
			next := &watched{Known: reach.Known{Way: way}}
			if w != nil {
				w.timer.Stop()
				next.State = reach.Pending
			}
			w = next
			o.ways[which] = w
			p.schedule(name, o, w, 0)
		}
		all[i] = w.Known
	}
	for which, w := range o.ways {
		if !wanted[which] {
			w.timer.Stop()
			delete(o.ways, which)
		}
	}
	return all
}

// Forget ends all tries of an owner that is gone.
func (p *Prober) Forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(name)
}

func (p *Prober) drop(name string) {
	if o := p.owners[name]; o != nil {
		for _, w := range o.ways {
			w.timer.Stop()
		}
		delete(p.owners, name)
	}
}

func (p *Prober) schedule(name string, o *owner, w *watched, after time.Duration) {
	w.timer = time.AfterFunc(after, func() { p.walk(name, o, w) })
}

// walk tries a way once, and says when to try it again.
func (p *Prober) walk(name string, o *owner, w *watched) {
	for _, places := range []chan struct{}{o.places, p.places} {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		case <-p.ctx.Done():
			return
		}
	}
	if !p.wanted(name, o, w) {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, tryTimeout)
	finding := p.try(ctx, w.Way)
	cancel()
	if p.ctx.Err() != nil {
		return // it was cut short
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isWanted(name, o, w) {
		return
	}
	if finding.OK() {
		w.failed = 0
		p.schedule(name, o, w, anew-rand.N(anew/5))
	} else {
		w.failed++
		p.schedule(name, o, w, min(againAtMost, again<<min(w.failed-1, 12)))
	}
	if !finding.OK() && w.failed < believed || w.State == reach.Tried && w.Finding == finding {
		return
	}
	w.State, w.Finding = reach.Tried, finding
	if !o.told {
		o.told = true
		time.AfterFunc(together, func() {
			p.mu.Lock()
			o.told = false
			p.mu.Unlock()
			p.changed(name)
		})
	}
}

func (p *Prober) wanted(name string, o *owner, w *watched) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isWanted(name, o, w)
}

// isWanted tells whether a way is still the one that is asked about.
func (p *Prober) isWanted(name string, o *owner, w *watched) bool {
	return p.owners[name] == o && o.ways[id{w.Way.Listener, w.Way.Node}] == w
}
