package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// sim is a Kubernetes and a Kafka that move second by second, users and machines that interfere, and an operator that
// acts on what Next says. It knows the truth, which the observation may lag behind, and judges every act by it. It asks
// no function of the planner but next itself: a judge that shared the planner's mistakes would not see them.
type sim struct {
	now, start time.Time
	tick       int // seconds since start
	c          *model.Cluster
	want       model.Desired
	spec       spec
	contents   map[string]content // what a fingerprint stands for, by its User part

	bad     map[string]bool // texts with which the process dies at once
	hangs   map[string]bool // texts with which the process lives and never works
	refused map[string]bool // texts of templates that no pod can be made from
	flaky   map[string]bool // texts of templates with a sidecar that ends at once, again and again
	broken  map[int32]bool  // brokers that never get in sync

	sets   map[string]*simSet
	nodes  map[int32]*simNode
	order  []*simNode // by id
	budget budget
	kafka  simKafka
	users  users

	tables tables
	ticks  timings
	cached *kafka.Snapshot
	seen   *kafka.Snapshot    // of the pass that is being carried out
	unseen bool               // a disk has failed since the last pass
	dark   bool               // Kafka cannot be reached by the operator
	stale  *model.Observation // what the lagging cache shows
	hidden int                // seconds until the cache has caught up with the operator
	lag    int                // seconds that the cache takes after an act
	// told is what brokers said last of their log directories, and askedAt when.
	told    map[int32][]kafka.LogDir
	askedAt map[int32]time.Time
	snapAge int // seconds a snapshot is used before the next is taken
	uids    int
	// sawAlive holds the nodes that were alive in the operator's last pass.
	sawAlive map[int32]bool
	// sawGoing holds those whose claim was seen in it to be being deleted.
	sawGoing map[int32]bool
	// remembered is what the operator forgets when it dies.
	remembered model.Remembered
	steps      int // performed ones
	crashAt    int // number of the step before which the operator dies; 0 = never
	loseAt     int // number of the step whose request or answer is lost; 0 = none

	performed bool             // it is the answer that is lost
	started   map[int32]int    // restarts by the operator since the last edit, by node
	rounds    int              // plans that restarted somebody
	said      map[int32]string // disk that was told "initial", by node
	mute      bool             // no trace is kept
	last      string
	trace     []string
	wrong     []string
}

// timings in seconds: until a pod is made, a process works, a log of partitions or of metadata has caught up, a process
// has stopped, and Kafka gives up on one.
type timings struct{ create, boot, sync, meta, stop, session int }

// spec is what the user asked for, as far as it is not in model.Cluster.
type spec struct {
	texts     map[int32]string  // of the files, by node
	templates map[string]string // by pool
	unknown   map[int32]string  // facts that a node's files wait for
	restart   map[int32]time.Time
	operator  int // version of the operator
}

// content is what a process gets to read.
type content struct {
	text               string
	controller, broker bool
	version            string // of a template
}

func newSim(c *model.Cluster) *sim {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &sim{
		now: start, start: start, c: c, contents: map[string]content{},
		bad: map[string]bool{}, refused: map[string]bool{}, flaky: map[string]bool{}, hangs: map[string]bool{},
		broken: map[int32]bool{},
		sets:   map[string]*simSet{}, nodes: map[int32]*simNode{}, started: map[int32]int{},
		sawAlive: map[int32]bool{}, sawGoing: map[int32]bool{}, said: map[int32]string{},
		told: map[int32][]kafka.LogDir{}, askedAt: map[int32]time.Time{},
		kafka: simKafka{
			leader: -1, config: map[string]string{}, own: map[int32]map[string]string{}, level: levels[c.Version],
		},
		users:  users{emptyAfter: 10, replaceAfter: 20},
		tables: tables{reasons, predicates},
		ticks:  timings{create: 1, boot: 6, sync: 3, meta: 1, stop: 2, session: 9},
		spec: spec{
			texts: map[int32]string{}, templates: map[string]string{}, unknown: map[int32]string{},
			restart: map[int32]time.Time{}, operator: 1,
		},
	}
	for _, v := range c.InitialVoters {
		s.kafka.voters = append(s.kafka.voters, kafka.QuorumMember{ID: v.NodeID, DirectoryID: v.DirectoryID})
	}
	c.EmptySince, c.Cordoned = map[int32]time.Time{}, map[int32]bool{}
	s.render()
	return s
}

// node returns a node, made on first sight.
func (s *sim) node(id int32, pool string) *simNode {
	n := s.nodes[id]
	if n == nil {
		n = &simNode{id: id, pool: pool, rack: s.users.rackOf(id), clock: &s.now}
		s.nodes[id] = n
		s.order = append(s.order, n)
		slices.SortFunc(s.order, func(a, b *simNode) int { return cmp.Compare(a.id, b.id) })
	}
	return n
}

// second moves the world on.
func (s *sim) second() {
	s.now = s.now.Add(time.Second)
	s.tick++
	s.moveClaims()
	for _, n := range s.order {
		s.moveNode(n)
	}
	s.moveQuorum()
	for _, n := range s.order {
		s.moveBroker(n)
	}
	s.movePartitions()
	s.moveUsers()
	if s.hidden > 0 {
		if s.hidden--; s.hidden == 0 {
			s.stale = nil
		}
	}
}

func (s *sim) note(format string, args ...any) {
	if !s.mute {
		s.trace = append(s.trace, fmt.Sprintf("%4ds  ", s.tick)+fmt.Sprintf(format, args...))
	}
}

func (s *sim) violate(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf("%4ds  ", s.tick)+fmt.Sprintf(format, args...))
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
		if quiet++; !s.pass() || s.usersWait() {
			quiet = 0
		}
		if quiet > settledFor || len(s.wrong) > 0 && s.mute {
			return true
		}
	}
	return false
}

// settledFor is for how many seconds a plan has to stay empty. It is longer than the oldest snapshot in use.
const settledFor = 15

// simPools makes a cluster; every pool is "name:first:count:roles" with roles of c and b, and a j for two disks.
func simPools(specs ...string) *model.Cluster {
	c := &model.Cluster{
		Namespace: "prod", Name: "events", ClusterID: "CID", Version: "4.3.1",
		DynamicConfig: map[string]string{"min.insync.replicas": "2"}, Unavailable: v1alpha1.UnavailableProceed,
	}
	for _, spec := range specs {
		pool := parsePool(spec)
		c.Pools = append(c.Pools, pool)
		for i := range pool.Replicas {
			if id := pool.FirstNodeID + i; pool.Controller {
				c.InitialVoters = append(c.InitialVoters,
					v1alpha1.InitialVoter{NodeID: id, DirectoryID: fmt.Sprintf("first-%d", id)})
			}
		}
	}
	return c
}

func parsePool(spec string) model.Pool {
	f := strings.Split(spec, ":")
	pool := model.Pool{Name: f[0], StatefulSet: "events-" + f[0], Volumes: []v1alpha1.Volume{{Name: "data"}}}
	_, _ = fmt.Sscan(f[1], &pool.FirstNodeID)
	_, _ = fmt.Sscan(f[2], &pool.Replicas)
	pool.Controller, pool.Broker = strings.Contains(f[3], "c"), strings.Contains(f[3], "b")
	if strings.Contains(f[3], "j") {
		pool.Volumes = jbod
	}
	return pool
}
