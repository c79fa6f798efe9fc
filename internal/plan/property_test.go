package plan

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const defaultPropertyRuns = 10000

// A random cluster under random edits and faults keeps the promises that judge() holds it to, and comes to rest.
func TestRandomClustersComeToRestWithoutABrokenPromise(t *testing.T) {
	runs, seed := envInt("CASTELLAN_PROPERTY_RUNS", defaultPropertyRuns), uint64(envInt("CASTELLAN_PROPERTY_SEED", 1))
	var work sync.WaitGroup
	var next atomic.Uint64
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for i := next.Add(1) - 1; i < uint64(runs) && !t.Failed(); i = next.Add(1) - 1 {
				r := &randomRun{rng: rand.New(rand.NewPCG(seed+i, 0))}
				if complaint := r.play(); complaint != "" {
					t.Errorf("CASTELLAN_PROPERTY_RUNS=1 CASTELLAN_PROPERTY_SEED=%d: %s\ntrace:\n%s",
						seed+i, complaint, strings.Join(r.trace, "\n"))
				}
			}
		})
	}
	work.Wait()
}

func envInt(key string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(key)); err == nil {
		return n
	}
	return otherwise
}

type randomRun struct {
	*sim
	rng   *rand.Rand
	edits int
	off   map[int32]int // seconds until a machine is back
}

func (r *randomRun) play() string {
	shapes := [][]string{
		{"main:0:3:cb"}, {"main:0:5:cb"}, {"ctl:0:3:c", "brk:1000:3:b"}, {"ctl:0:3:c", "a:1000:3:b", "b:2000:2:b"},
		{"main:0:3:cb", "more:1000:2:b"}, {"one:0:1:cb"}, {"ctl:0:1:c", "brk:1000:4:b"}, {"ctl:0:5:c", "brk:1000:3:b"},
	}
	r.sim = newSim(simPools(shapes[r.rng.IntN(len(shapes))]...))
	r.off = map[int32]int{}
	r.ticks = timings{create: 1 + r.rng.IntN(3), boot: 4 + r.rng.IntN(8), sync: 1 + r.rng.IntN(12), stop: 1 + r.rng.IntN(6), session: 9}
	r.lag, r.snapAge = r.rng.IntN(4), r.rng.IntN(10)
	if !r.settle(600) {
		return "the cluster is never complete: " + r.last
	}
	r.topics()
	for range 200 + r.rng.IntN(200) {
		r.happen()
		r.second()
		if r.rng.IntN(30) == 0 {
			r.crashAt = r.steps + 1 + r.rng.IntN(3)
		}
		r.pass()
		if len(r.wrong) > 0 {
			return strings.Join(r.wrong, "; ")
		}
	}
	return r.finish()
}

// topics gives every broker partitions with a random place and a min ISR that one broker's absence leaves possible.
func (r *randomRun) topics() {
	var brokers []int32
	for _, id := range r.ids() {
		if r.pool(r.nodes[id]).Broker {
			brokers = append(brokers, id)
		}
	}
	for i := range 1 + r.rng.IntN(6) {
		r.rng.Shuffle(len(brokers), func(i, j int) { brokers[i], brokers[j] = brokers[j], brokers[i] })
		factor := 1 + r.rng.IntN(min(3, len(brokers)))
		r.topic(fmt.Sprintf("t%d", i), int32(1+r.rng.IntN(factor)), slices.Clone(brokers[:factor]))
	}
}

// happen is what users, machines and networks do in one second. One machine at a time fails: what a second failure takes
// is not the planner's doing, and the truth cannot tell whose it was.
func (r *randomRun) happen() {
	for _, id := range r.ids() {
		if r.off[id] > 0 {
			if r.off[id]--; r.off[id] == 0 {
				r.note("(machine of node %d is back)", id)
				r.power(r.nodes[id], false)
			}
		}
	}
	ids := r.ids()
	n := r.nodes[ids[r.rng.IntN(len(ids))]]
	switch r.rng.IntN(120) {
	case 0, 1:
		r.change(fmt.Sprintf("v%d", r.edits+2), false)
	case 2:
		r.change(fmt.Sprintf("bad%d", r.edits+2), true)
	case 3:
		r.change("v1", false)
	case 4:
		r.edits++
		r.note("(files of node %d change)", n.id)
		r.edit(fmt.Sprintf("own%d", r.edits), n.id)
	case 5:
		r.edits++
		r.note("(template of pool %s changes)", n.pool)
		r.restarts = map[int32]int{}
		r.want.Templates[n.pool] = print2(fmt.Sprintf("t%d", r.edits))
	case 6:
		if p := r.pool(n); p.Broker && !p.Controller && p.Replicas < 6 {
			r.note("(pool %s grows)", n.pool)
			r.grow(n.pool)
		}
	case 7:
		r.c.DynamicConfig = map[string]string{"min.insync.replicas": "2", "log.cleaner.threads": strconv.Itoa(r.edits)}
	case 8:
		r.note("(pod of node %d is killed)", n.id)
		r.kill(n)
	case 9:
		if n.pod != nil && n.stopping == 0 && !n.poweredOff && r.stale == nil {
			r.note("(somebody deletes the pod of node %d)", n.id)
			r.stop(n)
		}
	case 10:
		if r.off[n.id] == 0 && n.stopping == 0 {
			r.note("(machine of node %d loses power)", n.id)
			r.off[n.id] = 12 + r.rng.IntN(40)
			r.power(n, true)
		}
	case 11:
		r.dark = !r.dark
		r.note("(Kafka cannot be reached: %t)", r.dark)
	case 12:
		r.note("(another operator version)")
		r.rerender()
	}
}

func (r *randomRun) change(user string, bad bool) {
	r.edits++
	r.bad[user] = bad
	r.note("(files change to %s)", user)
	r.edit(user)
}

// rerender changes what the operator renders and nothing that the user asked for.
func (r *randomRun) rerender() {
	r.edits++
	for id, f := range r.want.Files {
		f.Whole = fmt.Sprintf("%s/op%d", f.User, r.edits)
		r.want.Files[id] = f
	}
}

// finish ends all faults and takes bad values back; then everything has to become what is wanted.
func (r *randomRun) finish() string {
	r.note("(faults end)")
	r.dark = false
	for id := range r.off {
		r.off[id] = 0
		if r.nodes[id].poweredOff {
			r.power(r.nodes[id], false)
		}
	}
	for id, f := range r.want.Files {
		if r.bad[f.User] {
			r.edit("mended", id)
		}
	}
	if !r.settle(3000) {
		return "the plan is never empty: " + r.last
	}
	if len(r.wrong) > 0 {
		return strings.Join(r.wrong, "; ")
	}
	for _, n := range r.nodes {
		if n.pod.Files.User != r.want.Files[n.id].User || n.pod.Template.User != r.want.Templates[n.pool].User {
			return fmt.Sprintf("node %d runs %v and not what is wanted", n.id, n.pod.Files)
		}
		if r.sets[n.pool].files[n.id] != r.want.Files[n.id] {
			return fmt.Sprintf("a new pod of node %d would run %v", n.id, r.sets[n.pool].files[n.id])
		}
	}
	for key, value := range r.c.DynamicConfig {
		if r.config[key] != value {
			return "run-time key " + key + " is not what is wanted"
		}
	}
	for i := range r.parts {
		if p := &r.parts[i]; p.Leader != p.Replicas[0] {
			return fmt.Sprintf("%s is led by broker %d", partition(p), p.Leader)
		}
	}
	return ""
}
