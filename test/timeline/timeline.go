// Package timeline is a record of who served when, and its pictures: one row a broker, as text for a test's log and as
// SVG for the documentation. It is pure: what was seen, and when, comes in; facts and pictures come out. No clock, no
// client and no testing package may enter.
package timeline

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// State is what a broker does at one moment, as its clients would see it.
type State byte

// The states, in the order in which a restart goes through them.
const (
	Unknown    State = iota // nobody could tell
	Serving                 // its pod is ready, it is unfenced and in sync with all that it replicates
	Stopping                // its pod is being deleted
	Gone                    // it has no pod
	Starting                // its pod is not ready yet, or Kafka does not count on it yet
	CatchingUp              // it serves, and is not in sync with all that it replicates
)

// Record is what was seen, from the first moment on. The zero value is an empty record; it is not safe for concurrent
// use.
type Record struct {
	rows  map[string]*row
	marks []mark
	end   time.Duration
}

type row struct {
	name, rack string
	changes    []change // by time; each differs from the one before
	life       string
	restarts   int
}

type change struct {
	at    time.Duration
	state State
}

type mark struct {
	at   time.Duration
	text string
}

// row finds or makes the row of a broker.
func (r *Record) row(name string) *row {
	if r.rows == nil {
		r.rows = map[string]*row{}
	}
	if r.rows[name] == nil {
		r.rows[name] = &row{name: name}
	}
	return r.rows[name]
}

// See notes what a broker does at a moment, counted from the start of the record. Moments never go back. An empty rack
// leaves the one that is known.
func (r *Record) See(at time.Duration, name, rack string, state State) {
	b := r.row(name)
	b.rack = cmp.Or(rack, b.rack)
	r.end = max(r.end, at)
	if n := len(b.changes); n == 0 || b.changes[n-1].state != state {
		b.changes = append(b.changes, change{at, state})
	}
}

// Live notes which life of a broker was seen: a pod and the start of its process. Another life than the last one is a
// restart.
func (r *Record) Live(name, life string) {
	b := r.row(name)
	if b.life != "" && b.life != life {
		b.restarts++
	}
	b.life = life
}

// Mark notes something that happened around the brokers, such as the loss of a machine.
func (r *Record) Mark(at time.Duration, text string) {
	r.end = max(r.end, at)
	r.marks = append(r.marks, mark{at, text})
}

// Length is the time from the start of the record to the last thing seen.
func (r *Record) Length() time.Duration { return r.end }

// Restarts counts them for each broker, those without any included.
func (r *Record) Restarts() map[string]int {
	counts := make(map[string]int, len(r.rows))
	for name, b := range r.rows {
		counts[name] = b.restarts
	}
	return counts
}

// Moment is one at which several did not serve.
type Moment struct {
	At    time.Duration
	Names []string // of brokers or of racks, sorted
}

// MostDown is the first moment at which the most brokers did not serve. A broker that catches up counts: until it is in
// sync, the next one must not go. What nobody could tell does not count.
func (r *Record) MostDown() Moment {
	return r.most(func(b *row) string { return b.name })
}

// MostRacksDown is the first moment at which the most racks had a broker that did not serve.
func (r *Record) MostRacksDown() Moment {
	return r.most(func(b *row) string { return b.rack })
}

func (r *Record) most(key func(*row) string) Moment {
	var worst Moment
	for _, at := range r.turns() {
		down := map[string]bool{}
		for _, b := range r.rows {
			if b.at(at).isDown() {
				down[key(b)] = true
			}
		}
		if len(down) > len(worst.Names) {
			worst = Moment{at, slices.Sorted(maps.Keys(down))}
		}
	}
	return worst
}

// Batch is a set of brokers that were restarted together.
type Batch struct {
	Begin, End time.Duration // from the first that stopped until the last that served again, or the end of the record
	Names      []string      // sorted
}

// Batches groups the restarts by time: who stops before the first of a batch serves again belongs to it. A broker that
// only fell behind was not restarted.
func (r *Record) Batches() []Batch {
	var spans []span
	for _, b := range r.rows {
		spans = append(spans, r.spans(b)...)
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.name, b.name))
	})
	var batches []Batch
	var firstBack time.Duration
	for _, s := range spans {
		if len(batches) == 0 || s.begin >= firstBack {
			batches, firstBack = append(batches, Batch{Begin: s.begin}), s.end
		}
		last := &batches[len(batches)-1]
		last.Names = append(last.Names, s.name)
		last.End, firstBack = max(last.End, s.end), min(firstBack, s.end)
	}
	for i := range batches {
		slices.Sort(batches[i].Names)
		batches[i].Names = slices.Compact(batches[i].Names)
	}
	return batches
}

// span is a stretch of time in which one broker did not serve, because it stopped or had not started.
type span struct {
	name       string
	begin, end time.Duration
}

func (r *Record) spans(b *row) []span {
	var spans []span
	var now *span
	restarted := false
	for _, c := range append(slices.Clone(b.changes), change{r.end, Serving}) {
		switch {
		case c.state.isDown() && now == nil:
			now, restarted = &span{name: b.name, begin: c.at}, false
		case !c.state.isDown() && now != nil:
			if now.end = c.at; restarted {
				spans = append(spans, *now)
			}
			now = nil
		}
		restarted = restarted || c.state.isDown() && c.state != CatchingUp
	}
	return spans
}

// Disturbed is the time from the first moment at which somebody did not serve to the last one.
func (r *Record) Disturbed() time.Duration {
	var first, last time.Duration
	begun := false
	for _, at := range r.turns() {
		switch down := r.anyDown(at); {
		case down && !begun:
			first, last, begun = at, r.end, true
		case down:
			last = r.end
		case begun && last == r.end:
			last = at
		}
	}
	return last - first
}

func (r *Record) anyDown(at time.Duration) bool {
	for _, b := range r.rows {
		if b.at(at).isDown() {
			return true
		}
	}
	return false
}

// turns are the moments at which anything changed, sorted.
func (r *Record) turns() []time.Duration {
	var all []time.Duration
	for _, b := range r.rows {
		for _, c := range b.changes {
			all = append(all, c.at)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// at is what a broker did at a moment.
func (b *row) at(moment time.Duration) State {
	state := Unknown
	for _, c := range b.changes {
		if c.at > moment {
			break
		}
		state = c.state
	}
	return state
}

func (s State) isDown() bool { return s != Serving && s != Unknown }

// sorted lists the rows by rack, then by name with numbers in their order.
func (r *Record) sorted() []*row {
	rows := slices.Collect(maps.Values(r.rows))
	slices.SortFunc(rows, func(a, b *row) int {
		return cmp.Or(cmp.Compare(a.rack, b.rack), cmp.Compare(len(a.name), len(b.name)), cmp.Compare(a.name, b.name))
	})
	return rows
}

// cells divides the time of one row into n equal parts. A part shows what a broker did longest in it of all but
// serving, so that no interruption is too short to be seen.
func (r *Record) cells(b *row, n int) []State {
	cells := make([]State, n)
	for i := range cells {
		from, to := r.end*time.Duration(i)/time.Duration(n), r.end*time.Duration(i+1)/time.Duration(n)
		cells[i] = b.within(from, to)
	}
	return cells
}

func (b *row) within(from, to time.Duration) State {
	lasted := map[State]time.Duration{}
	state, since := b.at(from), from
	for _, c := range b.changes {
		if c.at <= from || c.at >= to {
			continue
		}
		lasted[state] += c.at - since
		state, since = c.state, c.at
	}
	lasted[state] += to - since
	longest, shown := time.Duration(-1), Serving
	for s := range CatchingUp + 1 {
		if d, seen := lasted[s]; seen && s.isDown() && d > longest {
			longest, shown = d, s
		}
	}
	if _, serving := lasted[Serving]; longest < 0 && !serving {
		return Unknown
	}
	return shown
}

// Rack is the rack of a broker, as far as it was seen.
func (r *Record) Rack(name string) string { return r.row(name).rack }
