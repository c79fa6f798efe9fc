package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// sim is a Kubernetes and a Kafka that move second by second, and an operator that acts on what Next says. It knows the
// truth, which the observation may lag behind, and judges every act by it.
type sim struct {
	now          time.Time
	start        time.Time
	c            *model.Cluster
	want         model.Desired
	bad          map[string]bool // user fingerprints with which the process dies at once
	refused      map[string]bool // templates that no pod can be made from
	hangs        map[string]bool // user fingerprints with which the process lives and never works
	broken       map[int32]bool  // brokers that never get in sync
	sets         map[string]*simSet
	nodes        map[int32]*simNode
	parts        []kafka.Partition
	quorum       []int32 // voters; nil = the initial ones
	leader       int32   // of the quorum
	config       map[string]string
	tables       tables
	ticks        timings
	cached       *kafka.Snapshot
	dark         bool               // Kafka cannot be reached by the operator
	stale        *model.Observation // what the lagging cache shows
	staleFor     int                // seconds until the cache has caught up with the operator
	budgetClosed bool
	lag          int // seconds that the cache takes after an act
	snapAge      int // seconds a snapshot is used before the next is taken
	uids         int
	steps        int // performed ones
	crashAt      int // number of the step before which the operator dies; 0 = never
	restarts     map[int32]int
	said         map[int32]string // disk that was told "initial", by node
	last         string
	trace        []string
	wrong        []string
}

// timings in seconds.
type timings struct{ create, boot, sync, stop, session int }

type simSet struct {
	replicas int32
	files    map[int32]model.Fingerprint
	template model.Fingerprint
	deleting bool
}

type simNode struct {
	id         int32
	pool       string
	claim      string
	formatted  bool
	pod        *model.ObservedPod
	goneFor    int // seconds without a pod
	age        int // seconds that the process has been up
	stopping   int // seconds until a deleted pod is gone
	poweredOff bool
	frozen     bool // its port is open and it follows nobody
	unfenced   bool
	silent     int // seconds since the process was last alive
	syncIn     int // seconds until it is in sync again
}

func newSim(c *model.Cluster) *sim {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &sim{
		now: start, start: start, c: c, bad: map[string]bool{}, refused: map[string]bool{}, hangs: map[string]bool{}, broken: map[int32]bool{}, sets: map[string]*simSet{}, nodes: map[int32]*simNode{},
		leader: -1, config: map[string]string{}, restarts: map[int32]int{}, said: map[int32]string{},
		tables: tables{reasons, predicates}, ticks: timings{create: 1, boot: 6, sync: 3, stop: 2, session: 9},
	}
	s.want = model.Desired{Files: map[int32]model.Fingerprint{}, Templates: map[string]model.Fingerprint{}}
	s.edit("v1")
	for _, p := range c.Pools {
		s.want.Templates[p.Name] = print2("t1")
	}
	return s
}

func print2(user string) model.Fingerprint {
	return model.Fingerprint{User: user, Whole: user + "/op1"}
}

// edit makes every node want other files.
func (s *sim) edit(user string, only ...int32) {
	s.restarts = map[int32]int{}
	for _, n := range s.c.Nodes {
		if len(only) == 0 || slices.Contains(only, n.ID) {
			s.want.Files[n.ID] = print2(user)
		}
		if s.nodes[n.ID] == nil {
			s.nodes[n.ID] = &simNode{id: n.ID, pool: n.Pool, claim: fmt.Sprintf("claim-%d", n.ID)}
		}
	}
}

func (s *sim) pool(n *simNode) *model.Pool { return s.c.PoolOf(&model.Node{Pool: n.pool}) }

func (s *sim) ids() []int32 { return slices.Sorted(maps.Keys(s.nodes)) }

// alive tells that the process runs.
func (n *simNode) alive() bool {
	return n.pod != nil && n.stopping == 0 && !n.poweredOff && n.pod.Running && n.formatted
}

// second moves the world on.
func (s *sim) second() {
	s.now = s.now.Add(time.Second)
	for _, id := range s.ids() {
		s.moveNode(s.nodes[id])
	}
	s.moveQuorum()
	for _, id := range s.ids() {
		s.moveBroker(s.nodes[id])
	}
	s.movePartitions()
	if s.staleFor > 0 {
		if s.staleFor--; s.staleFor == 0 {
			s.stale = nil
		}
	}
}

func (s *sim) moveNode(n *simNode) {
	set := s.sets[n.pool]
	switch {
	case n.poweredOff:
		if n.pod != nil {
			n.pod.Ready = false
		}
		return
	case n.stopping > 0:
		if n.stopping--; n.stopping == 0 {
			n.pod = nil
		}
		return
	case n.pod == nil:
		n.goneFor++
		if set == nil || set.deleting || s.refused[set.template.User] || n.id >= s.pool(n).FirstNodeID+set.replicas || n.goneFor < s.ticks.create {
			return
		}
		s.uids++
		n.pod = &model.ObservedPod{
			UID: fmt.Sprintf("pod-%d", s.uids), CreatedAt: s.now, Files: set.files[n.id], Template: set.template,
			Pool: n.pool, Broker: s.pool(n).Broker, Controller: s.pool(n).Controller,
		}
		n.goneFor, n.age, n.syncIn = 0, 0, s.ticks.sync
		return
	}
	n.age++
	dead := s.bad[n.pod.Files.User] || s.bad[n.pod.Template.User]
	n.pod.Running = !dead
	n.pod.Problem = model.ProblemNone
	if dead && n.age > 2 {
		n.pod.Problem, n.pod.Restarts, n.pod.ProblemMessage = model.ProblemCrashLoop, 3, "invalid value"
	}
	if !n.formatted && n.pod.Format != "" && !dead {
		n.formatted, n.age = true, 0
	}
}

func (s *sim) voters() []int32 {
	if s.quorum != nil {
		return s.quorum
	}
	var ids []int32
	for _, v := range s.c.InitialVoters {
		ids = append(ids, v.NodeID)
	}
	return ids
}

// moveQuorum elects the lowest living voter when a majority lives.
func (s *sim) moveQuorum() {
	var up []int32
	for _, id := range s.voters() {
		if s.nodes[id].alive() && !s.hangs[s.nodes[id].pod.Files.User] && s.nodes[id].age >= s.ticks.boot/2 {
			up = append(up, id)
		}
	}
	switch {
	case len(up) < len(s.voters())/2+1:
		s.leader = -1
	case !slices.Contains(up, s.leader):
		s.leader = up[0]
	}
	if s.leader >= 0 {
		s.c.Bootstrapped = true
	}
}

func (s *sim) moveBroker(n *simNode) {
	broker := s.pool(n).Broker
	if !n.alive() {
		if n.silent++; n.silent > s.ticks.session || n.age < s.ticks.boot && n.pod != nil && !n.poweredOff && n.age > 1 {
			n.unfenced = false
		}
		if n.pod != nil {
			n.pod.Ready = false
		}
		return
	}
	if n.silent > 0 && n.age < s.ticks.boot {
		n.unfenced = false // a new process registers anew
	}
	if n.silent = 0; n.frozen {
		n.silent = s.ticks.session + 1
	}
	switch {
	case broker && s.hangs[n.pod.Files.User]:
	case !broker:
		n.pod.Ready = n.age >= s.ticks.boot/2
	case n.age >= s.ticks.boot && s.leader >= 0:
		n.pod.Ready, n.unfenced = true, true
	}
	if n.unfenced && n.syncIn > 0 && !s.broken[n.id] {
		n.syncIn--
	}
}

func (s *sim) movePartitions() {
	for i := range s.parts {
		p := &s.parts[i]
		for _, id := range p.Replicas {
			n := s.nodes[id]
			in := slices.Contains(p.ISR, id)
			switch {
			case n == nil:
			case in && !n.unfenced && len(p.ISR) > 1:
				p.ISR = slices.DeleteFunc(slices.Clone(p.ISR), func(o int32) bool { return o == id })
			case !in && n.unfenced && n.syncIn == 0 && p.Leader >= 0:
				p.ISR = append(slices.Clone(p.ISR), id)
			}
		}
		if p.Leader < 0 || !slices.Contains(p.ISR, p.Leader) || !s.up(p.Leader) {
			p.Leader = -1
			for _, id := range p.ISR {
				if s.up(id) {
					p.Leader = id
					break
				}
			}
		}
	}
}

func (s *sim) up(id int32) bool { return s.nodes[id] != nil && s.nodes[id].unfenced }

// stop is a graceful deletion of a pod: the broker leaves the ISRs before its process ends.
func (s *sim) stop(n *simNode) {
	n.pod.Deleting, n.pod.Ready = true, false
	n.stopping, n.unfenced, n.syncIn = s.ticks.stop, false, s.ticks.sync
	s.movePartitions()
}

// kill is a pod that is gone at once; Kafka notices when the session ends or the next process registers.
func (s *sim) kill(n *simNode) {
	if n.pod != nil && n.stopping == 0 && !n.poweredOff {
		n.pod, n.syncIn, n.silent = nil, s.ticks.sync, 1
	}
}

// power turns the Kubernetes node of a pod off or on; the pod's process starts again in the same pod.
func (s *sim) power(n *simNode, off bool) {
	n.poweredOff = off
	n.age, n.syncIn, n.silent = 0, s.ticks.sync, n.silent+1
	if n.pod != nil && off {
		n.pod.Ready = false
	}
}

// topic adds partitions that start in sync everywhere.
func (s *sim) topic(name string, minISR int32, assignments ...[]int32) {
	for i, a := range assignments {
		s.parts = append(s.parts, kafka.Partition{
			Topic: name, Number: int32(i), Leader: a[0], Replicas: a, ISR: slices.Clone(a), MinISR: minISR,
		})
	}
}

func (s *sim) note(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf("%4ds  ", int(s.now.Sub(s.start).Seconds()))+fmt.Sprintf(format, args...))
}

func (s *sim) violate(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf("%4ds  ", int(s.now.Sub(s.start).Seconds()))+fmt.Sprintf(format, args...))
}

// run lets seconds pass, each with one pass of the operator.
func (s *sim) run(seconds int) {
	for range seconds {
		s.second()
		s.pass()
	}
}

// settle runs until the plan has been empty for a while, and tells whether that came to be.
func (s *sim) settle(limit int) bool {
	quiet := 0
	for range limit {
		s.second()
		if s.pass() {
			quiet++
		} else {
			quiet = 0
		}
		if quiet > settledFor {
			return true
		}
	}
	return false
}

// settledFor is for how many seconds a plan has to stay empty.
const settledFor = 25

// pass is one pass of the operator; it tells whether there was nothing to do and nothing to wait for.
func (s *sim) pass() bool {
	p := next(s.c, s.want, s.observe(), s.now, s.tables)
	s.budgetClosed = p.Evictable == 0
	text := p.String()
	for line := range strings.Lines(text) {
		if !strings.Contains(s.last, line) {
			s.note("%s", strings.TrimSuffix(line, "\n"))
		}
	}
	s.last = text
	for _, step := range p.Steps {
		s.steps++
		if s.steps == s.crashAt {
			s.note("(the operator dies before this step: %s)", step.Kind)
			s.stale, s.staleFor, s.cached = nil, 0, nil // the next one reads everything anew
			return false
		}
		s.act(step)
	}
	return p.Empty()
}

// simPools makes a cluster; every pool is "name:first:count:roles" with roles of c and b.
func simPools(specs ...string) *model.Cluster {
	c := &model.Cluster{
		Namespace: "prod", Name: "events", ClusterID: "CID", DynamicConfig: map[string]string{"min.insync.replicas": "2"},
		Unavailable: v1alpha1.UnavailableProceed,
	}
	for _, spec := range specs {
		f := strings.Split(spec, ":")
		pool := model.Pool{Name: f[0], StatefulSet: "events-" + f[0], Volumes: []v1alpha1.Volume{{Name: "data"}}}
		_, _ = fmt.Sscan(f[1], &pool.FirstNodeID)
		_, _ = fmt.Sscan(f[2], &pool.Replicas)
		pool.Controller, pool.Broker = strings.Contains(f[3], "c"), strings.Contains(f[3], "b")
		c.Pools = append(c.Pools, pool)
		for i := range pool.Replicas {
			addNode(c, &pool, pool.FirstNodeID+i)
			if pool.Controller {
				c.InitialVoters = append(c.InitialVoters, v1alpha1.InitialVoter{NodeID: pool.FirstNodeID + i, DirectoryID: "dir"})
			}
		}
	}
	return c
}

func addNode(c *model.Cluster, pool *model.Pool, id int32) {
	c.Nodes = append(c.Nodes, model.Node{ID: id, Pool: pool.Name, PodName: fmt.Sprintf("%s-%d", pool.StatefulSet, id)})
	slices.SortFunc(c.Nodes, func(a, b model.Node) int { return int(a.ID - b.ID) })
}
