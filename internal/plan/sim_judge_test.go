package plan

import (
	"slices"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// disturbs tells the kinds of steps that somebody may notice.
func disturbs(k Kind) bool {
	switch k {
	case Restart, ReplaceDisk, RemoveVoter, AddVoter, ShrinkPool, RemovePool, Unregister, FinalizeVersion:
		return true
	}
	return false
}

// judgePlan holds the shape of a plan against the promises, before any of it is done.
func (s *sim) judgePlan(p Plan, obs *model.Observation) {
	var kind Kind
	var round []*simNode
	for i := range p.Steps {
		step := &p.Steps[i]
		if !disturbs(step.Kind) {
			if kind != "" {
				s.violate("%s comes after %s in one plan", step.Kind, kind)
			}
			continue
		}
		if kind != "" && (kind != step.Kind || kind != Restart) {
			s.violate("%s and %s in one plan", kind, step.Kind)
		}
		if kind = step.Kind; kind == Restart {
			n := s.nodes[step.Node]
			if slices.Contains(round, n) {
				s.violate("node %d is restarted twice by one plan", n.id)
			}
			round = append(round, n)
		}
	}
	if kind != "" && s.c.Paused {
		s.violate("%s while the cluster is paused", kind)
	}
	if kind != "" && !obs.CacheCurrent {
		s.violate("%s before the cache has shown the last act", kind)
	}
	if open := p.Evictable > 0 || len(p.Spared) > 0; p.Evictable < 0 || p.Evictable > 1 || open &&
		(kind != "" || obs.Kafka == nil || s.now.Sub(obs.Kafka.TakenAt) > 10*time.Second) {
		s.violate("evictable are %d and %v", p.Evictable, p.Spared)
	}
	if len(round) > 1 {
		s.judgeRound(round, obs.Kafka)
	}
}

// judgeRound holds what restarts together against the rules of a round. Pods that serve nobody are no part of it.
func (s *sim) judgeRound(round []*simNode, shot *kafka.Snapshot) {
	round = slices.DeleteFunc(slices.Clone(round), func(n *simNode) bool { return !n.alive() || !n.pod.Ready })
	if len(round) < 2 {
		return
	}
	racks := s.users.racks > 0
	most := int(s.c.MaxUnavailable)
	if most == 0 && !racks {
		most = 1
	}
	if most > 0 && len(round) > most {
		s.violate("%d nodes restart together, and %d may", len(round), most)
	}
	first := ""
	for _, n := range round {
		if shot != nil && shot.Quorum.LeaderID == n.id {
			s.violate("the leader of the quorum, node %d, restarts together with others", n.id)
		}
		if n.files.broker && racks {
			if first != "" && first != n.rack {
				s.violate("racks %s and %s restart together", first, n.rack)
			}
			first = n.rack
		}
		if !s.proven(n.pool) && s.wanted(n.id) != nil {
			s.violate("node %d tries a new revision together with others", n.id)
		}
	}
}

// proven tells that some node of a pool works on what its pool is wanted to run.
func (s *sim) proven(pool string) bool {
	return slices.ContainsFunc(s.order, func(n *simNode) bool {
		return n.pool == pool && n.pod != nil && n.pod.Ready && s.runsWanted(n)
	})
}

// runsWanted tells that a pod runs what its user asked for.
func (s *sim) runsWanted(n *simNode) bool {
	return n.pod.Files.User == s.want.Files[n.id].User && n.pod.Template.User == s.want.Templates[n.pool].User
}

// judgeRestart holds a restart against the truth. A pod that serves nobody may always be replaced.
func (s *sim) judgeRestart(n *simNode, all []Step) {
	set := s.sets[n.pool]
	if s.started[n.id] > 0 && !n.going && !n.second.going {
		s.violate("node %d is restarted twice for one change", n.id)
	}
	if !s.slot(n) || set.deleting {
		s.violate("node %d is stopped and nobody makes its pod again", n.id)
		return
	}
	s.judgeGoing(n)
	if n.second.going {
		s.judgeSecond(n)
	}
	wanted := s.wanted(n.id)
	asked := wanted != nil && n.pod.CreatedAt.Before(wanted.RestartBefore)
	if wanted != nil && s.runsWanted(n) && !asked && !n.going && !n.second.going {
		s.violate("node %d is restarted for nothing", n.id)
	}
	if s.c.Bootstrapped && s.bad[s.contents[s.want.Files[n.id].User].text] && n.pod.Problem == model.ProblemNone &&
		slices.ContainsFunc(s.order, func(m *simNode) bool { return m != n && s.failsOnWanted(m) }) {
		s.violate("node %d follows another onto a revision that does not work", n.id)
	}
	if s.seen != nil && s.seen.MetadataVersion > levels[s.c.Version] && n.pod.Version != s.c.Version {
		s.violate("node %d is to run %s, which cannot read metadata.version %d", n.id, s.c.Version,
			s.seen.MetadataVersion)
	}
	goes := s.contents[s.want.Templates[n.pool].User].text
	if s.flaky[goes] && !s.flaky[n.template.text] && wanted != nil && n.serves() && s.c.Bootstrapped &&
		slices.ContainsFunc(s.order, func(m *simNode) bool {
			return m != n && m.pod != nil && s.flaky[m.template.text] && s.wanted(m.id) != nil
		}) {
		s.violate("node %d follows another onto a template whose sidecar does not work", n.id)
	}
	if !n.serves() || !s.c.Bootstrapped {
		return
	}
	if n.pod.Files == (model.Fingerprint{}) {
		s.violate("node %d is stopped on a guess", n.id)
	}
	if n.files.controller && wanted != nil && !s.contents[set.files[n.id].User].controller &&
		slices.ContainsFunc(s.order, func(m *simNode) bool { return m.pool == n.pool && s.isVoter(m) }) {
		s.violate("node %d gives up the role Controller while a node of its pool is a voter", n.id)
	}
	s.judgeServing(n, all)
}

// judgeServing holds the end of a process that serves against what the others are good for. all are the steps of its
// plan; nil = it is stopped for its disk.
func (s *sim) judgeServing(n *simNode, all []Step) {
	if s.budget.allowed > 0 || len(s.budget.spared) > 0 || !s.budgetCounted() {
		s.violate("node %d is stopped while others may be evicted", n.id)
	}
	for _, m := range s.order {
		together := slices.ContainsFunc(all, func(step Step) bool { return step.Kind == Restart && step.Node == m.id })
		missed := s.wanted(m.id) != nil || s.holds(m.id)
		besides := all == nil || n.second.going || !n.pod.Ready || s.wanted(m.id) == nil || s.takesOver(n, m)
		ready := m.pod != nil && m.pod.Ready || besides && m.serves()
		if m != n && !together && missed && s.slot(m) && !ready {
			s.violate("node %d is stopped while node %d is not ready", n.id, m.id)
		}
	}
	s.judgeStop(n, "stopped")
}

// takesOver tells that a node becomes a controller, and that another, whose pool gives up that role, waits for it.
func (s *sim) takesOver(n, m *simNode) bool {
	p := s.poolOf(m.pool)
	return s.wantedController(n.id) && !n.files.controller && p != nil && !p.Controller &&
		slices.ContainsFunc(s.order, func(o *simNode) bool { return o.pool == m.pool && s.isVoter(o) })
}

// judgeGoing holds a restart that ends a disk, whose claim is being deleted, against what the disk is still good for.
func (s *sim) judgeGoing(n *simNode) {
	switch {
	case !n.going || n.lost:
	case !n.replace:
		s.violate("node %d is stopped, its disk goes with it, and nobody permitted that", n.id)
	case s.isVoter(n) && s.caughtUp(s.kafka.voters, n.id) < len(s.kafka.voters)/2+1:
		s.violate("the disk of node %d goes with its pod and the quorum needs it", n.id)
	}
	for i := range s.kafka.parts {
		if p := &s.kafka.parts[i]; n.going && !n.lost && slices.Equal(p.ISR, []int32{n.id}) {
			s.violate("the disk of node %d goes with its pod and has the only copy of %s", n.id, p.name())
		}
	}
}

// serves tells that somebody may depend on the process, whatever runs beside it in its pod.
func (n *simNode) serves() bool { return n.alive() && (n.pod.Ready || n.pod.Serves) }

// judgeExpectation holds what a step has done against what its row expects.
func (s *sim) judgeExpectation(step *Step) {
	n, set := s.nodes[step.Node], s.sets[step.Pool]
	theVeryPod := n != nil && n.pod != nil && n.pod.UID == step.PodUID
	seen := true
	switch step.Kind.Row().Expects {
	case PodGone:
		seen = !theVeryPod || n.pod.Deleting
	case PodAnnotated:
		seen = !theVeryPod || n.pod.Format == step.Format
	case StatefulSetChanged:
		seen = set.replicas == step.Replicas
		for _, id := range step.Nodes {
			seen = seen && set.files[id] == s.want.Files[id]
		}
	case StatefulSetGone:
		seen = set == nil || set.uid != step.SetUID || set.deleting
	case ClaimsGone:
		seen = n.claim == "" && n.second.claim == ""
	case KafkaShows:
		seen = s.kafkaShows(step)
	}
	if !seen {
		s.violate("%s was carried out, and %s is not seen", step, step.Kind.Row().Expects)
	}
}

// kafkaShows tells whether Kafka would show what a step asked for.
func (s *sim) kafkaShows(step *Step) bool {
	switch step.Kind {
	case AlterConfig, Cordon, Uncordon:
		config := s.configOf(step)
		return !slices.ContainsFunc(step.Changes, func(c kafka.ConfigChange) bool {
			value, set := config[c.Key]
			return set != (c.Value != nil) || set && value != *c.Value
		})
	case AddVoter:
		return slices.Contains(s.kafka.voters, step.Member)
	case RemoveVoter:
		return !slices.Contains(s.kafka.voters, step.Member)
	case Unregister:
		return s.nodes[step.Node] == nil || !s.nodes[step.Node].registered
	case FinalizeVersion:
		return s.kafka.level == step.Level
	case BeginMoves:
		return !slices.ContainsFunc(step.Moves, func(m v1alpha1.MovingPartition) bool {
			p := s.part(m.Topic, m.Partition)
			return !slices.Equal(p.target, m.Replicas) && !slices.Equal(p.Replicas, m.Replicas)
		})
	}
	return false
}

func (s *sim) failsOnWanted(n *simNode) bool {
	return n.pod != nil && n.pod.Problem == model.ProblemCrashLoop && s.bad[n.files.text] && s.runsWanted(n)
}

// judgeStop holds the loss of one serving pod against what the cluster has left.
func (s *sim) judgeStop(n *simNode, how string) {
	if !n.alive() {
		return
	}
	// A restart has been judged already, whatever the pod does; Kubernetes evicts by the budget of the last pass.
	if how != "stopped" && s.sawGoing[n.id] {
		s.judgeGoing(n)
	}
	s.judgePartitions(n, how)
	if s.isVoter(n) {
		left, all := s.caughtUp(s.kafka.voters, n.id), len(s.kafka.voters)
		if left < all/2+1 && (all > 2 || s.c.Unavailable == v1alpha1.UnavailableWait) {
			s.violate("node %d is %s and the quorum keeps %d of %d voters", n.id, how, left, all)
		}
	}
	brokers, left := 0, 0
	for _, m := range s.order {
		if m.registered && s.slot(m) {
			brokers++
		}
		if m != n && m.unfenced && m.alive() {
			left++
		}
	}
	if n.unfenced && brokers > 1 && left == 0 {
		s.violate("node %d is %s and no broker is left", n.id, how)
	}
}

func (s *sim) judgePartitions(n *simNode, how string) {
	behind := int32(-1)
	for i := range s.kafka.parts {
		p := &s.kafka.parts[i]
		left, in := int32(0), false
		for _, id := range p.ISR {
			switch m := s.nodes[id]; {
			case m == n:
				in = true
			case m != nil && m.alive() && m.unfenced:
				left++
			}
		}
		for _, id := range p.Replicas {
			if m := s.nodes[id]; m != n && m != nil && m.alive() && m.syncIn > 0 && !m.byPlan &&
				!slices.Contains(p.ISR, id) {
				behind = id
			}
		}
		if !in {
			continue
		}
		if spare := p.factor() > p.MinISR || s.c.Unavailable == v1alpha1.UnavailableWait; left < p.MinISR && spare {
			s.violate("node %d is %s and %s falls to %d in-sync replicas", n.id, how, p.name(), left)
		}
		if left == 0 && p.factor() > 1 {
			s.violate("node %d is %s and %s goes offline", n.id, how, p.name())
		}
	}
	if behind >= 0 && how == "stopped" { // an eviction promises min ISR only
		s.violate("node %d is %s while node %d is not in sync", n.id, how, behind)
	}
}

// judgeStaging holds what a pod would come back on against its duties.
func (s *sim) judgeStaging(step *Step) {
	for _, id := range step.Nodes {
		n := s.nodes[id]
		if n != nil && s.isVoter(n) && n.pod != nil && n.files.controller &&
			!s.contents[s.want.Files[id].User].controller {
			s.violate("node %d is a voter and would come back without the role Controller", id)
		}
	}
}

// judgeVoters holds a change of the quorum's members, which has just been made, against the truth.
func (s *sim) judgeVoters(step *Step, before []kafka.QuorumMember) {
	voters := s.kafka.voters
	if up := s.caughtUp(voters, -1); up < len(voters)/2+1 {
		s.violate("after %s %d the quorum has %d of %d voters", step.Kind, step.Member.ID, up, len(voters))
	}
	n := s.nodes[step.Member.ID]
	wanted := s.wantedController(step.Member.ID)
	switch {
	case step.Kind == AddVoter && !wanted:
		s.violate("node %d becomes a voter and nobody wants that", step.Member.ID)
	case step.Kind == RemoveVoter && wanted && n != nil && n.dir == step.Member.DirectoryID &&
		slices.Contains(before, step.Member):
		s.violate("node %d is to be a voter, has its disk, and is removed", step.Member.ID)
	}
}

func (s *sim) judgeShrink(step *Step) {
	set := s.sets[step.Pool]
	if step.Replicas != set.replicas-1 {
		s.violate("pool %s shrinks from %d to %d", step.Pool, set.replicas, step.Replicas)
	}
	for id := set.first + step.Replicas; id < set.first+set.replicas; id++ {
		n := s.nodes[id]
		if s.wanted(id) != nil {
			s.violate("node %d is wanted and goes", id)
		}
		if s.holds(id) {
			s.violate("node %d holds partitions and goes", id)
		}
		if s.isVoter(n) {
			s.violate("node %d is a voter and goes", id)
		}
	}
	for i := range s.kafka.parts {
		if s.kafka.parts[i].target != nil && s.seen != nil && s.seen.Reassigning > 0 {
			s.violate("pool %s shrinks while partitions move", step.Pool)
			return
		}
	}
}

// judgeReturn asks that only a node comes back that partitions name, and on files that it has.
func (s *sim) judgeReturn(step *Step) {
	set := s.sets[step.Pool]
	if s.wanted(step.Node) != nil || step.Replicas != step.Node-set.first+1 || step.Replicas <= set.replicas {
		s.violate("node %d comes back in a pool of %d, which then has %d", step.Node, set.replicas, step.Replicas)
	}
	for id := set.first + set.replicas; id < set.first+step.Replicas; id++ {
		if s.contents[set.files[id].User].text == "" {
			s.violate("node %d comes back without files", id)
		}
	}
}

func (s *sim) judgeRemovePool(step *Step) {
	if s.poolOf(step.Pool) != nil {
		s.violate("pool %s is wanted and removed", step.Pool)
	}
	if set := s.sets[step.Pool]; set == nil || set.replicas > 0 {
		s.violate("pool %s is removed with its nodes", step.Pool)
	}
	for _, n := range s.order {
		if n.pool == step.Pool && n.pod != nil {
			s.violate("pool %s is removed and node %d still has a pod", step.Pool, n.id)
		}
		if n.pool == step.Pool && s.holds(n.id) {
			s.violate("pool %s is removed and partitions name broker %d", step.Pool, n.id)
		}
	}
}

func (s *sim) judgeUnregister(step *Step) {
	n := s.nodes[step.Node]
	switch {
	case n == nil:
		s.violate("broker %d is none of ours and is unregistered", step.Node)
	case n.pod != nil || s.slot(n) || s.wanted(n.id) != nil:
		s.violate("broker %d is not gone and is unregistered", step.Node)
	case s.holds(n.id):
		s.violate("broker %d holds partitions and is unregistered", step.Node)
	}
}

// judgeReplace holds the deletion of a disk against what it may still be good for.
func (s *sim) judgeReplace(n *simNode, step *Step) {
	if !takes(step, n.claim) {
		return
	}
	if !n.replace {
		s.violate("the disk of node %d is deleted and nobody permitted it", n.id)
	}
	if n.serves() {
		s.violate("the disk of node %d is deleted while it serves", n.id)
	}
	if n.lost || n.dir == "" {
		return
	}
	for i := range s.kafka.parts {
		if p := &s.kafka.parts[i]; slices.Equal(p.ISR, []int32{n.id}) {
			s.violate("the disk of node %d is deleted and has the only copy of %s", n.id, p.name())
		}
	}
	if s.isVoter(n) && s.caughtUp(s.kafka.voters, n.id) < len(s.kafka.voters)/2+1 {
		s.violate("the disk of node %d is deleted and the quorum needs it", n.id)
	}
}

// judgeVersion asks that every process knows a metadata.version before it is in force, and that nothing else is to do.
func (s *sim) judgeVersion(step *Step) {
	if step.Level != s.c.MetadataVersion {
		s.violate("metadata.version becomes %d and not %d", step.Level, s.c.MetadataVersion)
	}
	for _, n := range s.order {
		if !s.slot(n) && n.pod == nil {
			continue
		}
		if n.pod == nil || levels[n.template.version] < step.Level {
			s.violate("metadata.version becomes %d and node %d runs %q", step.Level, n.id, n.template.version)
		}
		if wanted := s.wanted(n.id); wanted != nil && n.pod != nil && !s.runsWanted(n) {
			s.violate("metadata.version changes while node %d is not what is wanted", n.id)
		}
	}
}
