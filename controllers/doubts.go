package controllers

import (
	"sync"
	"time"
)

// confirmAfter is how long a doubtful fault must have been standing: longer than a broker's metadata lags.
const confirmAfter = time.Second

// doubts are what has been seen of names and may be over in a moment: at most one thing of each name. The zero value is
// ready, and safe for concurrent use.
type doubts struct {
	mu   sync.Mutex
	seen map[nameKey]doubt
}

type doubt struct {
	what  string
	since time.Time
}

// age returns for how long this has been seen of a name, with nothing else between.
func (d *doubts) age(key nameKey, what string, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen == nil {
		d.seen = map[nameKey]doubt{}
	}
	if known, found := d.seen[key]; found && known.what == what {
		return now.Sub(known.since)
	}
	d.seen[key] = doubt{what, now}
	return 0
}

// forget drops what has been seen of a name: it is certain, or over.
func (d *doubts) forget(key nameKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, key)
}
