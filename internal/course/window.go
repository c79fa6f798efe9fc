package course

import (
	"time"

	"github.com/castellan-dev/castellan/internal/balance"
	"github.com/castellan-dev/castellan/internal/model"
)

// old tells whether the plan has waited so long for the word of a person that its sizes are of the past.
func (c *Course) old() bool {
	return c.in.Settings.Manual && c.in.Settings.Approved != c.Remembered.Plan.Hash() && len(c.flying) == 0 &&
		c.in.Now.Sub(c.Remembered.At) >= stale && !c.waitsForWindow()
}

// abandon forgets a plan of which nothing has been under way, nor could begin, for a while: a partition may stay as no
// move finds it, as after a reassignment that somebody has cancelled.
func (c *Course) abandon() {
	switch r := &c.Remembered; {
	case c.goesOn():
		r.Since = time.Time{}
	case r.Since.IsZero():
		r.Since = c.in.Now
	case c.in.Now.Sub(r.Since) >= pause:
		c.Remembered, c.plan, c.left = model.Remembered{}, nil, nil
	}
}

// goesOn tells whether something of the plan is under way, could begin, or waits for a window alone.
func (c *Course) goesOn() bool {
	if len(c.left) == 0 || len(c.flying) > 0 || c.waitsForWindow() {
		return true
	}
	held := false
	for i, p := range c.left {
		if p.Waits && held {
			return false
		}
		if p.flies || c.mayStart(i) {
			return true
		}
		held = held || p.held
	}
	return false
}

// mayStart tells whether a move can begin where its partition is, and of two that change places the other one, too.
func (c *Course) mayStart(i int) bool {
	switch {
	case c.changesPlaces(i):
		return c.left[i].startable && c.left[i+1].startable
	case i > 0 && c.changesPlaces(i-1):
		return c.left[i].startable && c.left[i-1].startable
	}
	return c.left[i].startable
}

// waitsForWindow tells whether nothing may begin before a window opens.
func (c *Course) waitsForWindow() bool { return !c.open && !c.empties() }

// waits tells whether a move waits for a window: what a broker that leaves needs does not.
func (c *Course) waits(m balance.Move) bool {
	evens := m.Reason == balance.Bytes || m.Reason == balance.Replicas || m.Reason == balance.Leaders ||
		m.Reason == balance.Topic || m.Reason == balance.Disks
	return c.waitsForWindow() || evens && !c.open
}
