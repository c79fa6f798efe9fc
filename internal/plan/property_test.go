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

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
)

const defaultPropertyRuns = 10000

// A random cluster under random edits, faults and drains keeps the promises that the judge holds it to, and comes to
// rest as what is wanted.
func TestRandomClustersComeToRestWithoutABrokenPromise(t *testing.T) {
	runs, seed := envInt("CASTELLAN_PROPERTY_RUNS", defaultPropertyRuns), uint64(envInt("CASTELLAN_PROPERTY_SEED", 1))
	if testing.Short() {
		runs = min(runs, 500)
	}
	lives(t, runs, seed, newRandomRun)
}

// Pools shrink and go while users make topics, in clusters that know cordons and in others: nothing stays on a broker
// that is gone.
func TestRandomPoolsShrinkWhileTopicsAreMade(t *testing.T) {
	runs, seed := envInt("CASTELLAN_PROPERTY_RUNS", defaultPropertyRuns/10), uint64(envInt("CASTELLAN_PROPERTY_SEED", 1))
	if testing.Short() {
		runs = min(runs, 200)
	}
	lives(t, runs, seed, func(seed uint64, mute bool) *randomRun {
		r := newRandomRun(seed, mute)
		r.shrinks, r.snapAge = true, 0 // no view promises anything about a topic that is younger
		return r
	})
}

// Pools grow, shrink and go while the operator moves replicas to where there is room, dies between any two steps, and
// somebody else moves some, too. No user empties a broker.
func TestRandomPoolsAreBalancedWithoutABrokenPromise(t *testing.T) {
	runs, seed := envInt("CASTELLAN_PROPERTY_RUNS", defaultPropertyRuns/10), uint64(envInt("CASTELLAN_PROPERTY_SEED", 1))
	if testing.Short() {
		runs = min(runs, 200)
	}
	lives(t, runs, seed, func(seed uint64, mute bool) *randomRun {
		r := newRandomRun(seed, mute)
		r.shrinks, r.snapAge, r.users.emptyAfter = true, 0, 0
		if r.c.Balancing.Mode == v1alpha1.BalancingOff {
			r.c.Balancing.Mode = v1alpha1.BalancingOnScale
		}
		return r
	})
}

// lives plays random runs, and tells which fail.
func lives(t *testing.T, runs int, seed uint64, random func(seed uint64, mute bool) *randomRun) {
	t.Helper()
	var at, seconds, failed atomic.Int64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := at.Add(1) - 1; i < int64(runs) && failed.Load() < 3; i = at.Add(1) - 1 {
				r := random(seed+uint64(i), true)
				complaint := r.play()
				if seconds.Add(int64(r.tick)); complaint == "" {
					continue
				}
				failed.Add(1)
				again := random(seed+uint64(i), false)
				again.play()
				t.Errorf("CASTELLAN_PROPERTY_RUNS=1 CASTELLAN_PROPERTY_SEED=%d: %s\ntrace:\n%s",
					seed+uint64(i), complaint, strings.Join(again.trace, "\n"))
			}
		})
	}
	wait.Wait()
	t.Logf("%d runs, %d seconds of cluster life", min(at.Load(), int64(runs)), seconds.Load())
}

func envInt(key string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(key)); err == nil {
		return n
	}
	return otherwise
}

// randomRun is one cluster and what befalls it.
type randomRun struct {
	*sim
	rng     *rand.Rand
	disks   *rand.Rand // of what befalls second disks, so that lives without them stay as they are
	growth  *rand.Rand // of what befalls sizes and claims, in the same way
	edits   int
	next    int32         // first node id of the next new pool
	backIn  map[int32]int // seconds until a machine is back
	closed  map[int32]int // seconds until a machine is open again
	calm    bool          // nothing but edits befalls it
	shrinks bool          // pools come, go and change their size, and topics are made
}

func newRandomRun(seed uint64, mute bool) *randomRun {
	r := &randomRun{rng: rand.New(rand.NewPCG(seed, 0)), next: 5000, backIn: map[int32]int{}, closed: map[int32]int{}}
	shapes := [][]string{
		{"main:0:3:cb"}, {"main:0:5:cb"}, {"ctl:0:3:c", "brk:1000:3:b"}, {"ctl:0:3:c", "a:1000:3:b", "b:2000:2:b"},
		{"main:0:3:cb", "more:1000:2:b"}, {"one:0:1:cb"}, {"ctl:0:1:c", "brk:1000:4:b"}, {"ctl:0:5:c", "brk:1000:3:b"},
		{"ctl:0:3:c", "brk:1000:6:b"},
	}
	c := simPools(shapes[r.rng.IntN(len(shapes))]...)
	c.Version = []string{"4.1.2", "4.2.2", "4.3.1"}[r.rng.IntN(3)]
	if r.disks = rand.New(rand.NewPCG(seed, 1)); r.disks.IntN(3) == 0 {
		for i := range c.Pools {
			c.Pools[i].Volumes = jbod
		}
	}
	r.sim = newSim(c)
	r.mute = mute
	if r.growth = rand.New(rand.NewPCG(seed, 2)); r.growth.IntN(2) == 0 {
		for i := range c.Pools {
			r.deleteWhenScaled(c.Pools[i].Name)
		}
	}
	r.users.racks = r.rng.IntN(4)
	if r.users.racks > 0 {
		c.RackKey = "zone"
	}
	c.MaxUnavailable = int32(max(0, r.rng.IntN(5)-1))
	r.ticks = timings{
		create: 1 + r.rng.IntN(3), boot: 4 + r.rng.IntN(6), sync: 1 + r.rng.IntN(10), meta: r.rng.IntN(4),
		stop: 1 + r.rng.IntN(5), session: 9,
	}
	r.lag, r.snapAge = r.rng.IntN(4), r.rng.IntN(10)
	r.users.emptyAfter, r.users.replaceAfter = 1+r.rng.IntN(30), 1+r.rng.IntN(30)
	r.calm = r.rng.IntN(5) == 0
	r.balance(rand.New(rand.NewPCG(seed, 2)))
	return r
}

func (r *randomRun) play() string {
	r.render()
	if !r.settle(600) {
		return "the cluster is never complete: " + r.last
	}
	r.topics()
	for range 150 + r.rng.IntN(150) {
		r.happen()
		r.second()
		if !r.calm {
			r.interrupt()
		}
		if r.rng.IntN(4) > 0 {
			r.pass()
		}
		if len(r.wrong) > 0 {
			return strings.Join(r.wrong, "; ")
		}
	}
	return r.finish()
}

// interrupt lets the operator die before one of its next steps, or lose an answer.
func (r *randomRun) interrupt() {
	switch r.rng.IntN(40) {
	case 0:
		r.crashAt = r.steps + 1 + r.rng.IntN(4)
	case 1:
		r.loseAt, r.performed = r.steps+1+r.rng.IntN(4), r.rng.IntN(2) == 0
	}
}

// topics gives brokers partitions with a random place, and a min ISR that one broker's absence leaves possible where
// there is no consent to a pause.
func (r *randomRun) topics() {
	var brokers []int32
	for _, n := range r.order {
		if n.registered {
			brokers = append(brokers, n.id)
		}
	}
	wait := r.controllers() >= 3 && len(brokers) >= 3 && r.rng.IntN(3) == 0
	if wait {
		r.c.Unavailable = "Wait"
	}
	for i := range 1 + r.rng.IntN(6) {
		r.rng.Shuffle(len(brokers), func(i, j int) { brokers[i], brokers[j] = brokers[j], brokers[i] })
		factor := 1 + r.rng.IntN(min(3, len(brokers)))
		least := 1 + r.rng.IntN(factor)
		if wait {
			factor = min(3, len(brokers))
			least = 1 + r.rng.IntN(factor-1)
		}
		r.topic(fmt.Sprintf("t%d", i), int32(least), slices.Clone(brokers[:factor]))
	}
}

func (r *randomRun) controllers() int {
	count := 0
	for i := range r.c.Pools {
		if r.c.Pools[i].Controller {
			count += int(r.c.Pools[i].Replicas)
		}
	}
	return count
}

// widest is the largest replication factor of a partition.
func (r *randomRun) widest() int {
	most := 1
	for i := range r.kafka.parts {
		p := &r.kafka.parts[i]
		if most = max(most, len(p.Replicas)); p.target != nil {
			most = max(most, len(p.target))
		}
	}
	return most
}

// keepRoles takes back that a pool is to have no controllers while one of its nodes cannot start and another votes: the
// first waits for the second to leave the quorum, and the quorum may need the first for that.
func (r *randomRun) keepRoles() {
	for _, n := range r.order {
		pool := r.poolOf(n.pool)
		if r.willFail(n) && r.wanted(n.id) != nil && !pool.Controller &&
			slices.ContainsFunc(r.order, func(m *simNode) bool { return m.pool == n.pool && r.isVoter(m) }) {
			r.note("(the user leaves pool %s its controllers)", n.pool)
			r.setRoles(n.pool, "cb")
		}
	}
}

// willFail tells whether a node fails, or will once the pod that is stopping has been made again on what is staged.
func (r *randomRun) willFail(n *simNode) bool {
	set := r.sets[n.pool]
	if n.fails || set == nil || n.pod != nil && !n.pod.Deleting {
		return n.fails
	}
	return r.bad[r.contents[set.files[n.id].User].text] || r.bad[r.contents[set.template.User].text]
}

// bringBack wants nodes again that were to go, hold partitions or a vote, and cannot start on what they last ran.
func (r *randomRun) bringBack() {
	for _, n := range r.order {
		set := r.sets[n.pool]
		if r.wanted(n.id) != nil || !r.slot(n) || !r.willFail(n) || !r.holds(n.id) && !r.isVoter(n) {
			continue
		}
		r.note("(the user wants node %d again)", n.id)
		if r.poolOf(n.pool) == nil {
			shape := r.contents[set.template.User]
			r.addPool(fmt.Sprintf("%s:%d:0:%s", n.pool, set.first, roles(shape.controller, shape.broker)))
		}
		r.scale(n.pool, max(r.poolOf(n.pool).Replicas, n.id-set.first+1))
	}
}

// finish ends all faults, gives consent and takes bad values back; then everything has to become what is wanted.
func (r *randomRun) finish() string {
	r.note("(faults end)")
	r.dark, r.crashAt, r.loseAt, r.c.Paused = false, 0, 0, false
	for _, n := range r.order {
		if r.backIn[n.id] = 0; n.poweredOff {
			r.power(n, false)
		}
		n.cordoned = false
	}
	r.bringBack()
	r.keepRoles()
	for _, n := range r.c.Nodes {
		if r.bad[r.spec.texts[n.ID]] {
			r.edit("mended", n.ID)
		}
	}
	for _, p := range r.c.Pools {
		if r.bad[r.spec.templates[p.Name]] || r.flaky[r.spec.templates[p.Name]] {
			r.editTemplate(p.Name, "mended")
		}
	}
	settled := r.settle(3000)
	switch {
	case len(r.wrong) > 0:
		return strings.Join(r.wrong, "; ")
	case !settled:
		return "the plan is never empty: " + r.last
	}
	for _, p := range r.c.Pools {
		if set := r.sets[p.Name]; len(r.sets) == 1 && set != nil && set.size != r.sizeOf(p.Name) {
			return "the StatefulSet of pool " + p.Name + " makes other claims than the pool asks for"
		}
	}
	for _, n := range r.order {
		if n.unwanted && n.claim != "" && r.wanted(n.id) == nil {
			return fmt.Sprintf("node %d is gone and its claims stay", n.id)
		}
	}
	return r.atRest()
}

// balance gives a third of the clusters a spec.balancing. Users empty brokers all the same, at times before the
// operator does.
func (r *randomRun) balance(rng *rand.Rand) {
	modes := []v1alpha1.BalancingMode{v1alpha1.BalancingOff, v1alpha1.BalancingOff, v1alpha1.BalancingOff,
		v1alpha1.BalancingOff, v1alpha1.BalancingOnScale, v1alpha1.BalancingContinuous}
	r.c.Balancing = model.Balancing{
		Mode: modes[rng.IntN(len(modes))], Tolerance: 10 * rng.IntN(3), MaxMoving: 1 + rng.IntN(6),
	}
}
