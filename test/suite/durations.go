package suite

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// Ran is one case that was begun.
type Ran struct {
	Case
	Took    time.Duration
	Outcome string // passed, failed, skipped or not run
}

// NotRun is the outcome of a case that could not be begun, such as for want of the cluster that it shares.
const NotRun = "not run"

// Durations keeps how long each case took.
type Durations struct {
	mu  sync.Mutex
	ran []Ran
}

// Add notes a case that has ended.
func (d *Durations) Add(r Ran) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ran = append(d.ran, r)
}

// Print writes a table, slowest first, and the sum of each lane.
func (d *Durations) Print(out io.Writer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.SortStableFunc(d.ran, func(a, b Ran) int { return cmp.Compare(b.Took, a.Took) })
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	sums, counts := map[Lane]time.Duration{}, map[Lane]int{}
	for _, r := range d.ran {
		fmt.Fprintf(table, "%6.1fs\t%s\t%s\t%s\n", r.Took.Seconds(), r.Lane, r.Outcome, r.Name)
		sums[r.Lane] += r.Took
		counts[r.Lane]++
	}
	for _, lane := range []Lane{Promise, Long} {
		if counts[lane] > 0 {
			fmt.Fprintf(table, "%6.1fs\t%s\t\t%d cases\n", sums[lane].Seconds(), lane, counts[lane])
		}
	}
	return table.Flush()
}
