package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/course"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/version"
)

// view is everything that one pass knows, joined node by node.
type view struct {
	c           *model.Cluster
	want        model.Desired
	obs         *model.Observation
	now         time.Time
	nodes       []*node
	kafka       *evidence
	course      *course.Course
	provenPools map[string]bool // pools that have proven what is wanted of them
	upgrades    bool            // some node runs an older version of Kafka than the spec asks for
}

// node is one node of the cluster with everything that is known about it. The pod says what it runs, staged is what a
// new pod of it would run, and wanted is what it should run.
type node struct {
	*model.Node
	pool    *model.Pool
	leaving bool               // the spec does not ask for it, and Kubernetes still has something of it
	gone    bool               // only Kafka still remembers it
	set     model.ObservedPool // its StatefulSet; zero when there is none
	made    bool               // its StatefulSet exists and asks for this node
	pod     *model.ObservedPod // nil = none
	going   string             // which of its claims is being deleted under the pod, and the cure; empty = none is
	disk    string             // UID of the metadata claim, or of the pod if that is ephemeral; empty = not known
	claims  []model.ObservedClaim
	changes []string // what a restart would change, as text
	// identityEnds is when the certificate ends with which the process speaks to others; zero = not known. One that is
	// guessed may end later.
	identityEnds    time.Time
	identityGuessed bool

	wanted        model.Fingerprint
	known         bool // wanted is known
	staged        model.Fingerprint
	isStaged      bool
	template      model.Fingerprint // the pool's desired one
	rendered      bool              // template is known
	templateWorks bool              // a ready pod of the pool was made from the template that a new one would be

	standing standing
}

func newView(c *model.Cluster, want model.Desired, obs *model.Observation, now time.Time) *view {
	v := &view{c: c, want: want, obs: obs, now: now, kafka: newEvidence(c, obs)}
	for i := range c.Nodes {
		v.nodes = append(v.nodes, v.join(&c.Nodes[i], c.PoolOf(&c.Nodes[i])))
	}
	v.addLeaving()
	v.addGone()
	v.provenPools = map[string]bool{}
	for i := range c.Pools {
		v.provenPools[c.Pools[i].Name] = v.isProven(c.Pools[i].Name)
	}
	v.upgrades = slices.ContainsFunc(v.nodes, func(n *node) bool {
		return n.pod != nil && !n.leaving && n.pod.Version != "" && version.Compare(n.pod.Version, c.Version) < 0
	})
	v.course = course.New(v.toBalance())
	templateWorks := map[string]bool{}
	for _, n := range v.nodes {
		templateWorks[n.Pool] = templateWorks[n.Pool] || n.ready() && n.pod.Template.User == n.set.Template.User
	}
	for _, n := range v.nodes {
		n.templateWorks = templateWorks[n.Pool]
		n.standing = v.standingOf(n)
	}
	return v
}

// addLeaving adds the nodes that Kubernetes still has and the spec no longer asks for.
func (v *view) addLeaving() {
	leaving, pools := v.c.Leaving(v.obs)
	for i := range leaving {
		n := v.join(&leaving[i], pools[leaving[i].ID])
		n.leaving, n.known, n.rendered = true, false, false
		v.nodes = append(v.nodes, n)
	}
}

// idsOfPool is how many node ids a pool can have, counted from its first.
const idsOfPool = 100

// addGone adds brokers and voters that Kafka remembers and Kubernetes does not have. Only ids of a pool that is or was
// in the spec belong to this cluster; others are left alone.
func (v *view) addGone() {
	known := map[int32]bool{}
	for _, n := range v.nodes {
		known[n.ID] = true
	}
	var remembered []int32
	for id := range v.kafka.brokers {
		remembered = append(remembered, id)
	}
	for _, r := range v.kafka.quorum.Voters {
		remembered = append(remembered, r.ID)
	}
	slices.Sort(remembered)
	for _, id := range slices.Compact(remembered) {
		if pool := v.poolOfID(id); !known[id] && pool != nil {
			v.nodes = append(v.nodes, &node{Node: &model.Node{ID: id, Pool: pool.Name}, pool: pool, gone: true})
		}
	}
}

// poolOfID is the pool that an id belongs to; nil = none.
func (v *view) poolOfID(id int32) *model.Pool {
	for i := range v.c.Pools {
		if first := v.c.Pools[i].FirstNodeID; first <= id && id < first+idsOfPool {
			return &v.c.Pools[i]
		}
	}
	for _, former := range v.c.FormerPools {
		if former.FirstNodeID <= id && id < former.FirstNodeID+idsOfPool {
			return &model.Pool{Name: former.Name, FirstNodeID: former.FirstNodeID, Broker: true}
		}
	}
	return nil
}

func (v *view) join(m *model.Node, pool *model.Pool) *node {
	n := &node{Node: m, pool: pool}
	seen := v.obs.Nodes[m.ID]
	n.claims, n.changes, n.going = seen.Claims, seen.Changes, seen.GoingVolume()
	n.pod, n.identityEnds, n.identityGuessed = seen.Pod, seen.IdentityEnds, seen.IdentityGuessed
	n.disk = seen.DiskUID
	if isEphemeral(n.pool) {
		n.disk = ""
		if n.pod != nil {
			n.disk = n.pod.UID
		}
	}
	set, exists := v.obs.Pools[m.Pool]
	n.set = set
	n.made = exists && m.ID < n.pool.FirstNodeID+set.Replicas
	n.wanted, n.known = v.want.Files[m.ID]
	n.staged, n.isStaged = set.Files[m.ID]
	n.template, n.rendered = v.want.Templates[m.Pool]
	return n
}

func isEphemeral(p *model.Pool) bool { return len(p.Volumes) > 0 && p.Volumes[0].Ephemeral }

// isEphemeral tells whether a volume goes with the pod.
func (n *node) isEphemeral(volume string) bool {
	return slices.ContainsFunc(n.pool.Volumes, func(v v1alpha1.Volume) bool { return v.Name == volume && v.Ephemeral })
}

// ready tells whether the pod is ready and stays.
func (n *node) ready() bool { return n.pod != nil && n.pod.Ready && !n.pod.Deleting }

// up tells whether Kafka's process is ready in a pod that stays. The pod may be unready because of another container,
// or because its kubelet is silent.
func (n *node) up() bool { return n.pod.IsUp() }

// isHeard tells whether Kafka's process is ready in a pod whose kubelet says so now.
func (n *node) isHeard() bool { return n.up() && !n.pod.Silent }

// is tells whether an id is that of this node.
func (n *node) is(id int32) bool { return n.ID == id }

// isBroker and isController tell what the node is now. Its pool may have been given other roles that its pod does not
// run yet.
func (n *node) isBroker() bool {
	if n.pod != nil {
		return n.pod.Broker
	}
	return n.pool.Broker
}

func (n *node) isController() bool {
	if n.pod != nil {
		return n.pod.Controller
	}
	return n.pool.Controller
}

// votes tells whether the spec wants the node in the metadata quorum.
func (n *node) votes() bool { return n.pool.Controller && !n.leaving && !n.gone }

// runsWanted tells whether the pod runs what the user asked for.
func (n *node) runsWanted() bool {
	return n.pod != nil && n.known && n.rendered &&
		n.pod.Files.User == n.wanted.User && n.pod.Template.User == n.template.User
}

// runsWantedTemplate tells whether the pod has the template that the user asked for, whatever its files.
func (n *node) runsWantedTemplate() bool {
	return n.pod != nil && n.rendered && n.pod.Template.User == n.template.User
}

// failsOnWanted tells whether the pod does not start on what the user asked for. A pod that is not scheduled has not
// tried.
func (n *node) failsOnWanted() bool {
	return n.runsWanted() && !n.pod.Ready && n.pod.Problem != model.ProblemNone &&
		n.pod.Problem != model.ProblemUnschedulable
}

// willRunWanted tells whether the pod is gone or going, and the next one will run what the user asked for.
func (n *node) willRunWanted() bool {
	gone := n.pod == nil || n.pod.Deleting
	return n.made && gone && n.known && n.rendered && n.isStaged &&
		n.staged.User == n.wanted.User && n.set.Template.User == n.template.User
}

// isStagedAsWanted tells whether a new pod would run exactly what is wanted, as far as that is known.
func (n *node) isStagedAsWanted() bool {
	return (!n.known || n.isStaged && n.staged.Whole == n.wanted.Whole) &&
		(!n.rendered || n.set.Template.Whole == n.template.Whole)
}

// name is the node's role and id, in Kafka's words.
func (n *node) name() string {
	if n.isBroker() {
		return fmt.Sprintf("broker %d", n.ID)
	}
	return n.controllerName()
}

func (n *node) controllerName() string { return fmt.Sprintf("controller %d", n.ID) }

func (n *node) poolName() string { return "pool " + n.Pool }

// proven tells whether some node of a pool changed to what is wanted and has worked on it for long enough, and no node
// of the pool fails on what is wanted. Nodes of a pool may differ in their files, so one that works proves nothing for
// one that fails.
func (v *view) proven(pool string) bool { return v.provenPools[pool] }

func (v *view) isProven(pool string) bool {
	nodes := v.ofPool(pool)
	if slices.ContainsFunc(nodes, (*node).failsOnWanted) {
		return false
	}
	return slices.ContainsFunc(nodes, func(n *node) bool {
		return n.ready() && n.runsWanted() && n.tookChange(nodes) && !v.now.Before(n.worksAt())
	})
}

const (
	// trialTime is for how long a pod has to be ready without a break before it shows that its revision works. It is
	// twice the kubelet's first back-off: a container that ends at once is ready for a second between two crashes.
	trialTime = 20 * time.Second
	// longestTrial is twice the kubelet's longest back-off. A container that has run for so long starts anew there, too.
	longestTrial = 10 * time.Minute
)

// worksAt is when a ready pod will have shown that its revision works, if none of its containers restarts before. Each
// restart that there was doubles the time, as it doubles the kubelet's back-off.
func (n *node) worksAt() time.Time {
	trial := longestTrial
	if n.pod.Restarts < 5 {
		trial = min(trial, trialTime<<n.pod.Restarts)
	}
	return n.pod.ReadySince.Add(trial)
}

// tries tells whether a node is ready on what is wanted and has not been for long enough to prove it.
func (v *view) tries(n *node) bool {
	return n.ready() && n.runsWanted() && v.now.Before(n.worksAt()) && n.tookChange(v.ofPool(n.Pool))
}

// until is when the first trial ends that holds something back; zero = none does.
func (v *view) until(p *Plan) time.Time {
	var first time.Time
	if !slices.ContainsFunc(p.Held, func(h Held) bool { return h.Predicate == provenRevisionName }) {
		return first
	}
	for _, n := range v.nodes {
		if v.proven(n.Pool) || !v.tries(n) {
			continue
		}
		if ends := n.worksAt(); first.IsZero() || ends.Before(first) {
			first = ends
		}
	}
	return first
}

// tookChange tells whether a node has been through the change that other nodes of its pool still have before them. A
// node whose own files stay the same proves nothing about the files of the others.
func (n *node) tookChange(nodes []*node) bool {
	return !slices.ContainsFunc(nodes, func(m *node) bool {
		if m.pod == nil || isGone(m.pod) || !m.known || !m.rendered || m.runsWanted() {
			return false
		}
		before, there := m.pod.Revision[n.ID]
		return m.pod.Template.User == n.pod.Template.User && (!there || before.User == n.pod.Files.User)
	})
}

func (v *view) ofPool(pool string) []*node {
	var found []*node
	for _, n := range v.nodes {
		if n.Pool == pool {
			found = append(found, n)
		}
	}
	return found
}

// standing says how much others depend on a pod.
type standing int

// The standings. Every predicate is asked about the restart of a serving pod, and the fewest about that of a failed
// one.
const (
	serving standing = iota // somebody may depend on it
	idle                    // nobody depends on it now, but it may come back by itself as it is
	failed                  // it cannot come back by itself
)

// standingOf finds pods that may be replaced whatever the cluster has left: the user must be able to take back a bad
// change while the cluster is down. A pod counts as serving unless its restart is known to be harmless.
func (v *view) standingOf(n *node) standing {
	switch {
	case n.pod == nil:
		return idle
	case n.pod.Deleting:
		return serving
	case v.neverWorked(), v.hasExpired(n):
		return failed
	case n.up():
		return serving
	case n.pod.Problem != model.ProblemNone && !n.pod.Beside:
		return failed // Kubernetes says why the process does not run, so no view of Kafka is needed
	case v.allDown(n):
		return failed
	case !n.pod.Running:
		return idle
	}
	fresh, _ := v.freshSnapshot()
	newer, _ := v.snapshotNewerThanPods()
	if fresh && newer && len(v.kafka.inSync[n.ID]) == 0 && !v.neededForQuorum(n) {
		return idle
	}
	return serving
}

// allDown tells whether no broker's process is ready, so that there can be no snapshot before pods are replaced. For a
// controller, no controller's may be ready either. Two more conditions:
//
//   - Every pod exists and none is stopping. If Kubernetes has merely lost contact with its nodes, the first deleted
//     pod stays in deletion, and no second one follows.
//   - No node fails on what is wanted: the others may still come back on what they have.
func (v *view) allDown(n *node) bool {
	for _, m := range v.nodes {
		if m.failsOnWanted() {
			return false
		}
		if m.made && (m.isBroker() || n.isController()) && (m.pod == nil || m.pod.Deleting || m.up()) {
			return false
		}
	}
	return true
}

// neverWorked tells whether there is nothing to lose yet: no quorum was ever seen, no broker is ready, and none
// answers. Controllers do not count. One is ready as soon as its port is open, even if its configuration keeps it from
// ever finding the others.
func (v *view) neverWorked() bool {
	if v.c.Bootstrapped || v.kafka.snapshot != nil {
		return false
	}
	for _, n := range v.nodes {
		if n.isBroker() && n.up() {
			return false
		}
	}
	return true
}

// hasExpired tells whether nobody can connect to a node any more, because its certificate has ended, and Kafka cannot
// be asked either. Restarted one by one, the new would refuse the old, and no view of Kafka would ever permit the next.
func (v *view) hasExpired(n *node) bool {
	return v.kafka.snapshot == nil && !n.identityGuessed && !n.identityEnds.IsZero() && !v.now.Before(n.identityEnds)
}

// listed is a list of facts that is told by its first one and the number of the others.
type listed struct {
	first string
	count int
}

func (l *listed) add(format string, args ...any) { l.addMany(1, format, args...) }

func (l *listed) addMany(count int, format string, args ...any) {
	if l.count == 0 {
		l.first = fmt.Sprintf(format, args...)
	}
	l.count += count
}

func (l *listed) String() string {
	if l.count < 2 {
		return l.first
	}
	return fmt.Sprintf("%s (and %d more)", l.first, l.count-1)
}

func (p *Plan) wait(format string, args ...any) {
	p.Waiting = append(p.Waiting, fmt.Sprintf(format, args...))
}

func joinIDs(ids []int32) string {
	parts := make([]string, 0, len(ids))
	for _, id := range ids {
		parts = append(parts, fmt.Sprint(id))
	}
	return strings.Join(parts, ", ")
}
