package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/internal/model"
)

// simSet is a StatefulSet. What it hands out is never changed in place: observations hold it.
type simSet struct {
	uid      string
	first    int32
	replicas int32
	files    map[int32]model.Fingerprint
	template model.Fingerprint
	deleting bool
	orphaned bool  // it is deleted, and its pods stay
	size     int64 // of the disks that it would make
	retried  time.Time
	touched  int // second of the last change; its controller tries at once then
}

// simNode is one slot of a StatefulSet, its disk, and the process in it.
type simNode struct {
	id    int32
	pool  string
	rack  string
	clock *time.Time

	claim   string // UID; empty = none
	dir     string // directory id on the disk; empty = not formatted
	founded bool   // it has been formatted as a founder of the quorum
	lost    bool   // the volume is gone
	emptied bool   // what was on the disk is gone, and Kafka may still count on it
	replace bool
	going   bool // the claim is being deleted, and goes with the pod
	lostFor int
	holding int // seconds for which it has been leaving

	second   simDisk
	size     int64 // of the disk that its claim asks for
	unwanted bool  // the claim is to go when the node has left

	pod        *model.ObservedPod // never changed in place: observations hold it
	files      content            // what the process runs
	template   content
	fails      bool // the process dies at once
	goneFor    int  // seconds without a pod
	age        int  // seconds that the process has been up
	stopping   int  // seconds until a deleted pod is gone
	byPlan     bool // the planner stopped it last
	poweredOff bool
	cordoned   bool // no pod is put on its machine, and its disk is on no other
	frozen     bool // its port is open and it follows nobody
	refusals   int  // how often in a row no pod could be made
	refusedAt  int
	triesAt    int // when the controller tries again by itself
	sidecarIn  int // seconds until its sidecar is ready; 0 = it is

	registered bool // Kafka knows it as a broker
	unfenced   bool
	silent     int // seconds since the process was last alive
	syncIn     int // seconds until it is in sync again
	metaIn     int // seconds until it holds all of the metadata log
}

// budget is a PodDisruptionBudget. Kubernetes takes note of a change in the second after it, and evicts nobody until
// then.
type budget struct {
	allowed int32
	spared  []string
	written int
}

func (s *sim) budgetCounted() bool { return s.tick > s.budget.written }

func (n *simNode) change(f func(p *model.ObservedPod)) {
	p := *n.pod
	f(&p)
	n.pod = &p
}

// setReady says whether Kafka's process is ready; the pod is, if its sidecar is, too.
func (n *simNode) setReady(serves bool) {
	ready := serves && n.sidecarIn == 0
	if n.pod == nil || n.pod.Ready == ready && n.pod.Serves == serves && !n.pod.Silent {
		return
	}
	n.change(func(p *model.ObservedPod) {
		if ready && !p.Ready {
			p.ReadySince = *n.clock
		}
		p.Ready, p.Serves, p.Silent = ready, serves, false
		if p.Beside && ready {
			p.Problem, p.Container, p.Beside = model.ProblemNone, "", false
		}
	})
}

// goSilent is a kubelet that is not heard of. Kubernetes takes the pod for unready; its containers stay as they were
// seen last.
func (n *simNode) goSilent() {
	if n.pod != nil && !n.pod.Silent {
		n.change(func(p *model.ObservedPod) { p.Ready, p.Silent = false, true })
	}
}

// moveSidecar lets a flaky sidecar end a second after each of its starts; the kubelet's back-off doubles.
func (s *sim) moveSidecar(n *simNode) {
	if n.sidecarIn > 0 {
		n.sidecarIn--
		return
	}
	if !s.flaky[n.template.text] {
		return
	}
	n.sidecarIn = min(300, 10<<min(n.pod.Restarts, 5))
	n.change(func(p *model.ObservedPod) {
		p.Restarts++
		p.Ready, p.Problem, p.ProblemMessage = false, model.ProblemCrashLoop, "no such file"
		p.Container, p.Beside = "logger", true
	})
}

// alive tells that the process runs.
func (n *simNode) alive() bool {
	return n.pod != nil && n.stopping == 0 && !n.poweredOff && n.pod.Running && n.dir != "" && !n.lost
}

// machine is the Kubernetes node that its disk is on: one a rack, or one for each.
func (n *simNode) machine() string {
	if n.rack == "" {
		return fmt.Sprintf("machine-%d", n.id)
	}
	return "machine-" + n.rack
}

// slot tells that a StatefulSet asks for the node.
func (s *sim) slot(n *simNode) bool {
	set := s.sets[n.pool]
	return set != nil && n.id >= set.first && n.id < set.first+set.replicas
}

func (s *sim) moveNode(n *simNode) {
	set := s.sets[n.pool]
	switch {
	case n.poweredOff:
		n.goSilent()
		return
	case n.stopping > 0:
		if n.stopping--; n.stopping == 0 {
			n.dropPod()
		}
		return
	case n.pod == nil:
		n.goneFor++
		switch {
		case !s.slot(n) || set.deleting || n.goneFor < s.ticks.create || s.tick < n.triesAt && set.touched <= n.refusedAt:
		case s.refused[s.contents[set.template.User].text]:
			n.refusals++
			n.refusedAt, n.triesAt = s.tick, s.tick+1<<min(n.refusals, 10) // the controller's own back-off
		default:
			n.refusals = 0
			s.makePod(n, set)
		}
		return
	case set != nil && !set.deleting && !s.slot(n):
		s.stop(n)
		return
	case n.pod.Problem == model.ProblemUnschedulable:
		if !n.cordoned {
			n.change(func(p *model.ObservedPod) {
				p.KubernetesNode, p.Zone, p.Problem = n.machine(), n.rack, model.ProblemNone
			})
		}
		return
	}
	n.age++
	s.run1(n)
	s.moveSidecar(n)
}

func (s *sim) makePod(n *simNode, set *simSet) {
	s.uids++
	if n.claim == "" {
		n.claim, n.dir, n.lost, n.replace, n.lostFor = fmt.Sprintf("claim-%d-%d", n.id, s.uids), "", false, false, 0
		n.size = set.size
	}
	if n.second.claim == "" && s.isJBOD(n) {
		n.second = simDisk{claim: fmt.Sprintf("second-%d-%d", n.id, s.uids)}
	}
	n.files, n.template = s.contents[set.files[n.id].User], s.contents[set.template.User]
	n.pod = &model.ObservedPod{
		Name: fmt.Sprintf("events-%s-%d", n.pool, n.id), UID: fmt.Sprintf("pod-%d", s.uids), Pool: n.pool,
		CreatedAt: s.now,
		Files:     set.files[n.id], Revision: set.files, Template: set.template,
		Controller: n.files.controller, Broker: n.files.broker, Version: n.template.version,
	}
	if n.files.text == "" { // then its labels tell, which are those of its template
		n.pod.Controller, n.pod.Broker = n.template.controller, n.template.broker
	}
	if n.pod.KubernetesNode, n.pod.Zone = n.machine(), n.rack; n.cordoned {
		n.pod.KubernetesNode, n.pod.Zone, n.pod.Problem = "", "", model.ProblemUnschedulable
	}
	n.goneFor, n.age, n.syncIn, n.metaIn, n.byPlan = 0, 0, s.ticks.sync, s.ticks.meta, false
	n.sidecarIn = 0
	n.fails = s.bad[n.files.text] || s.bad[n.template.text] || n.files.text == ""
}

// run1 is a second of a pod's container.
func (s *sim) run1(n *simNode) {
	fails := n.fails || n.lost || levels[n.template.version] < s.kafka.level
	if running := !fails; n.pod.Running != running {
		n.change(func(p *model.ObservedPod) {
			p.Running = running
			if p.Problem, p.Container, p.Beside = model.ProblemNone, "", false; running {
				p.ProblemMessage = ""
			}
		})
	}
	if fails && n.age > 2 && (n.pod.Problem == model.ProblemNone || n.pod.Beside) {
		n.change(func(p *model.ObservedPod) {
			p.Problem, p.Restarts, p.ProblemMessage = model.ProblemCrashLoop, 3, "invalid value"
			p.Container, p.Beside = "", false
		})
	}
	if n.dir != "" || n.pod.Format == "" || fails {
		return
	}
	n.age, n.metaIn = 0, 2*s.ticks.meta
	s.uids++
	n.dir = fmt.Sprintf("dir-%d-%d", n.id, s.uids)
	if n.pod.Format == FormatInitial {
		n.dir, n.founded = fmt.Sprintf("first-%d", n.id), true
	}
}

// dropPod is the end of a pod, and of a claim that has waited for it.
func (n *simNode) dropPod() {
	if n.pod = nil; n.going {
		n.claim, n.dir, n.going, n.replace, n.emptied = "", "", false, false, true
	}
	if n.second.going {
		n.second = simDisk{}
	}
}

// stop is a graceful deletion of a pod: the broker leaves the ISRs before its process ends.
func (s *sim) stop(n *simNode) {
	n.change(func(p *model.ObservedPod) { p.Deleting, p.Ready, p.Serves = true, false, false })
	n.stopping, n.unfenced, n.syncIn = s.ticks.stop, false, s.ticks.sync
	s.movePartitions()
}

// kill is a pod that is gone at once; Kafka notices when the session ends or the next process registers.
func (s *sim) kill(n *simNode) {
	if n.pod != nil && n.stopping == 0 && !n.poweredOff {
		n.dropPod()
		n.syncIn, n.silent = s.ticks.sync, 1
	}
}

// power turns the Kubernetes node of a pod off or on; the pod's process starts again in the same pod.
func (s *sim) power(n *simNode, off bool) {
	n.poweredOff = off
	n.age, n.syncIn, n.metaIn, n.silent = 0, s.ticks.sync, s.ticks.meta, n.silent+1
	if n.goSilent(); !off {
		s.startAnew(n)
	}
}

// startAnew is a container that starts again in its pod.
func (s *sim) startAnew(n *simNode) {
	if n.pod != nil {
		n.change(func(p *model.ObservedPod) {
			p.Ready, p.Serves, p.Silent = false, false, false
			p.StartedAt, p.Restarts = s.now, p.Restarts+1
		})
	}
}

// loseDisk takes the volume of a node away under its claim.
func (s *sim) loseDisk(n *simNode) {
	s.wipe(n)
	n.lost, n.replace, n.lostFor = true, false, 0
}

// wipe empties the disk of a node under its claim; the process dies and starts again in its pod.
func (s *sim) wipe(n *simNode) {
	n.dir, n.emptied = "", true
	n.age, n.syncIn, n.silent = 0, s.ticks.sync, n.silent+1
	s.startAnew(n)
}

// isSurprised tells that a node went down after the operator's last pass: Kubernetes counts only the pods of a budget.
func (s *sim) isSurprised() bool {
	return slices.ContainsFunc(s.order, func(n *simNode) bool { return !n.alive() && s.sawAlive[n.id] })
}

// evict is the Eviction API under unhealthyPodEvictionPolicy AlwaysAllow; it tells whether the pod goes.
func (s *sim) evict(n *simNode) bool {
	if s.unseen || s.countsOnEmptied() {
		return false // one disaster at a time: the last copy could stop before Kafka has noticed that the others are gone
	}
	if !n.pod.Ready {
		if n.going {
			return false
		}
		s.stop(n)
		return true
	}
	healthy, expected := int32(0), int32(0)
	for _, set := range s.sets {
		expected += set.replicas
	}
	for _, m := range s.order {
		if s.slot(m) && m.pod != nil && m.pod.Ready && !m.pod.Deleting {
			healthy++
		}
	}
	if expected == 0 {
		return false
	}
	spared := slices.Contains(s.budget.spared, n.pod.Name)
	if !spared && (!s.budgetCounted() || s.budget.allowed-(expected-healthy) < 1) {
		return false
	}
	s.note("(the pod of node %d is evicted)", n.id)
	if !spared || !s.isSurprised() {
		s.judgeStop(n, "evicted")
	}
	s.stop(n)
	return true
}
