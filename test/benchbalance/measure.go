package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/test/bench/report"
)

// Row is how one of the two evens out one set of data. Bytes are those of the topic's partitions when it begins.
type Row struct {
	Who      string  `json:"who"`
	Data     string  `json:"data"`
	Size     int64   `json:"bytesOfOneCopy"`
	Rate     int64   `json:"bytesPerSecondPerBroker"`
	Cores    int     `json:"cores"`
	Plan     float64 `json:"planSeconds"` // until the first move began
	Done     float64 `json:"doneSeconds"` // until nothing moves and no throttle is left
	Replicas int     `json:"replicasCopied"`
	Copied   int64   `json:"bytesCopied"`
	Least    int64   `json:"leastBytes"` // that any plan needs to be as even as the operator's
	// Others and OthersFar are of more plans of Kafka's tool, which were not carried out.
	Others    []int64   `json:"bytesOfOtherPlans,omitempty"`
	OthersFar []float64 `json:"farthestOfOtherPlansPercent,omitempty"`
	Farthest  float64   `json:"farthestFromSharePercent"`
	Counts    [2]int    `json:"replicasOfABroker"` // fewest and most
	Leaders   [2]int    `json:"preferredLeadersOfABroker"`
	RestP50   float64   `json:"produceP50AtRestSeconds"`
	RestP99   float64   `json:"produceP99AtRestSeconds"`
	MoveP50   float64   `json:"produceP50Seconds"`
	MoveP99   float64   `json:"produceP99Seconds"`
	Slowest   float64   `json:"produceSlowestSeconds"`
	Acked     int       `json:"recordsAcknowledged"`
	Lost      int       `json:"recordsLost"`
}

// way is one of the two ways to even out: it fills in what it knows of the row.
type way func(ctx context.Context, w *world, r *Row) (begun time.Time, err error)

// measure evens out the same data twice, once by each, from the same state.
func measure(ctx context.Context, o Options, data string) (rows []Row, err error) {
	say("%s data: starting brokers, and filling a topic", data)
	w, err := startWorld(ctx, o, data)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	say("warming up: all replicas go to the new brokers, and come back")
	away := home()
	for _, replicas := range away {
		for i := range replicas {
			replicas[i] += int32(len(before))
		}
	}
	if err := w.goTo(ctx, away); err != nil {
		return nil, err
	}
	for _, one := range []struct {
		who string
		way way
	}{{"castellan", byCastellan}, {"kafka-reassign-partitions", byTool}} {
		if err := w.goTo(ctx, home()); err != nil {
			return nil, err
		}
		row := Row{Who: one.who, Data: data, Size: o.Size, Rate: o.Rate, Cores: runtime.NumCPU()}
		if err := w.evenOut(ctx, &row, one.way); err != nil {
			return rows, fmt.Errorf("%s: %w", one.who, err)
		}
		rows = append(rows, row)
	}
	rows[1].Least = rows[0].Least
	return rows, w.propose(ctx, &rows[1])
}

// evenOut measures one way, with a producer beside it.
func (w *world) evenOut(ctx context.Context, r *Row, by way) error {
	f, err := w.startFlow(ctx)
	if err != nil {
		return err
	}
	defer f.cancel()
	select {
	case <-time.After(w.options.Rest):
	case <-ctx.Done():
		return ctx.Err()
	}
	took := f.taken()
	r.RestP50, r.RestP99 = report.Percentile(took, 0.5), report.Percentile(took, 0.99)
	bounded, cancel := context.WithTimeout(ctx, waitFor)
	defer cancel()
	say("%s evens out", r.Who)
	start := time.Now()
	begun, err := by(bounded, w, r)
	if err != nil {
		return err
	}
	r.Plan, r.Done = begun.Sub(start).Seconds(), time.Since(start).Seconds()
	took = f.taken()
	r.MoveP50, r.MoveP99 = report.Percentile(took, 0.5), report.Percentile(took, 0.99)
	r.Slowest = report.Percentile(took, 1)
	if r.Acked, r.Lost, err = f.stop(bounded); err != nil {
		return err
	}
	say("%s took %.1f s", r.Who, r.Done)
	if err := errors.Join(w.settle(ctx), w.throttled(ctx)); err != nil {
		return err
	}
	return w.judge(ctx, r)
}

// judge tells how even the brokers are.
func (w *world) judge(ctx context.Context, r *Row) error {
	assignment, err := w.assignment(ctx)
	if err != nil {
		return err
	}
	sizes, err := w.sizes(ctx)
	if err != nil {
		return err
	}
	r.Farthest, r.Counts, r.Leaders = evenness(assignment, sizes)
	return nil
}

// evenness tells by how many percent of its share a broker's bytes are off at most, and how many replicas and preferred
// leaders brokers have, fewest and most.
func evenness(assignment [][]int32, sizes map[int32]int64) (farthest float64, counts, leaders [2]int) {
	bytes, total := make([]int64, len(all)), int64(0)
	replicas, led := make([]int, len(all)), make([]int, len(all))
	for p, on := range assignment {
		for i, id := range on {
			at := slices.Index(all, id)
			bytes[at], total, replicas[at] = bytes[at]+sizes[int32(p)], total+sizes[int32(p)], replicas[at]+1
			if i == 0 {
				led[at]++
			}
		}
	}
	share := float64(total) / float64(len(all))
	for _, held := range bytes {
		farthest = max(farthest, (float64(held)-share)/share*100, (share-float64(held))/share*100)
	}
	return farthest, [2]int{slices.Min(replicas), slices.Max(replicas)}, [2]int{slices.Min(led), slices.Max(led)}
}

// added is how many of some brokers are not among those before.
func added(before, after []int32) int {
	n := 0
	for _, id := range after {
		if !slices.Contains(before, id) {
			n++
		}
	}
	return n
}

func byCastellan(ctx context.Context, w *world, r *Row) (time.Time, error) {
	o, err := newOperator(ctx, w)
	if err != nil {
		return time.Time{}, err
	}
	begun, err := o.balance(ctx)
	r.Replicas, r.Copied, r.Least = o.replicas, o.copied, o.least
	return begun, err
}

// byTool carries out the first plan that Kafka's tool makes.
func byTool(ctx context.Context, w *world, r *Row) (begun time.Time, err error) {
	dir, err := os.MkdirTemp("", "benchbalance-")
	if err != nil {
		return begun, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sizes, err := w.sizes(ctx)
	if err != nil {
		return begun, err
	}
	plan, err := w.generate(ctx, dir)
	if err != nil {
		return begun, err
	}
	r.Replicas, r.Copied = cost(plan.assignment, sizes)
	begun = time.Now()
	return begun, w.execute(ctx, dir, plan)
}

// propose looks at more plans of Kafka's tool for the same, none of which is carried out.
func (w *world) propose(ctx context.Context, r *Row) error {
	if err := w.goTo(ctx, home()); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "benchbalance-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	sizes, err := w.sizes(ctx)
	for n := 1; n < w.options.Proposals && err == nil; n++ {
		var plan proposal
		if plan, err = w.generate(ctx, dir); err == nil {
			_, bytes := cost(plan.assignment, sizes)
			farthest, _, _ := evenness(plan.assignment, sizes)
			r.Others, r.OthersFar = append(r.Others, bytes), append(r.OthersFar, farthest)
		}
	}
	return err
}

// cost is what it takes to bring the data from home to an assignment.
func cost(assignment [][]int32, sizes map[int32]int64) (replicas int, bytes int64) {
	for p, from := range home() {
		n := added(from, assignment[p])
		replicas, bytes = replicas+n, bytes+int64(n)*sizes[int32(p)]
	}
	return replicas, bytes
}

// table prints the rows in the form of Markdown.
func table(rows []Row) string {
	var b strings.Builder
	b.WriteString("| data | by | MiB copied | of the least | replicas copied | done s | MiB/s " +
		"| of it before the first move s | farthest from the share % | replicas a broker | preferred leaders a broker " +
		"| produce p50 / p99 / slowest ms | at rest p50 / p99 ms | acknowledged | lost |\n|" +
		strings.Repeat("---|", 15) + "\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s, %d MiB | %s | %.1f | %.2f | %d | %.1f | %.1f | %.1f | %.1f | %d to %d | %d to %d "+
			"| %.1f / %.1f / %.0f | %.1f / %.1f | %d | %d |\n",
			r.Data, r.Size>>20, r.Who, mib(r.Copied), float64(r.Copied)/float64(max(1, r.Least)), r.Replicas, r.Done,
			mib(r.Copied)/r.Done, r.Plan, r.Farthest, r.Counts[0], r.Counts[1], r.Leaders[0], r.Leaders[1],
			r.MoveP50*1e3, r.MoveP99*1e3, r.Slowest*1e3, r.RestP50*1e3, r.RestP99*1e3, r.Acked, r.Lost)
	}
	for _, r := range rows {
		for i, bytes := range r.Others {
			fmt.Fprintf(&b, "\nanother plan of %s, %s data: %.1f MiB, farthest from the share %.1f %%",
				r.Who, r.Data, mib(bytes), r.OthersFar[i])
		}
	}
	return b.String()
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
