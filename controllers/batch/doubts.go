package batch

import (
	"sync"
	"time"
)

// ConfirmAfter is how long a doubtful fault must have been standing: longer than a broker's metadata lags.
const ConfirmAfter = time.Second

// Doubts remembers since when something has been seen of a name that may be over in a moment: one thing a name. The
// zero value is ready, and safe for concurrent use.
type Doubts struct {
	mu   sync.Mutex
	Seen map[Key]doubt
}

type doubt struct {
	what  string
	since time.Time
}

// age returns for how long this has been seen of a name, with nothing else between.
func (d *Doubts) age(key Key, what string, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Seen == nil {
		d.Seen = map[Key]doubt{}
	}
	if known, found := d.Seen[key]; found && known.what == what {
		return now.Sub(known.since)
	}
	d.Seen[key] = doubt{what, now}
	return 0
}

// Forget drops what has been seen of a name: it is certain, or over.
func (d *Doubts) Forget(key Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.Seen, key)
}
