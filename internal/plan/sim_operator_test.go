package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// observe is what the operator sees: the truth, unless its cache has not yet shown its own last act.
func (s *sim) observe() *model.Observation {
	if s.stale != nil {
		o := *s.stale
		o.CacheCurrent = false
		o.Kafka, o.KafkaError = s.snapshot()
		return &o
	}
	o := s.objects()
	o.Kafka, o.KafkaError = s.snapshot()
	return o
}

func (s *sim) objects() *model.Observation {
	o := &model.Observation{CacheCurrent: true, BudgetClosed: s.budgetClosed, Pools: map[string]model.ObservedPool{}, Nodes: map[int32]model.ObservedNode{}}
	for name, set := range s.sets {
		o.Pools[name] = model.ObservedPool{
			Replicas: set.replicas, Files: maps.Clone(set.files), Template: set.template, Deleting: set.deleting,
		}
	}
	for id, n := range s.nodes {
		seen := model.ObservedNode{DiskUID: n.claim}
		if n.pod != nil {
			pod := *n.pod
			seen.Pod = &pod
		}
		o.Nodes[id] = seen
	}
	return o
}

// snapshot reads Kafka through any living broker, and uses what it read for snapAge seconds.
func (s *sim) snapshot() (*kafka.Snapshot, string) {
	if s.cached != nil && s.now.Sub(s.cached.TakenAt) < time.Duration(s.snapAge)*time.Second {
		return s.cached, ""
	}
	reachable := false
	for _, n := range s.nodes {
		reachable = reachable || n.unfenced && n.alive()
	}
	if !reachable || s.leader < 0 || s.dark {
		s.cached = nil
		return nil, "no broker answers"
	}
	shot := &kafka.Snapshot{TakenAt: s.now, ClusterID: "CID", Config: maps.Clone(s.config)}
	shot.Quorum = kafka.Quorum{LeaderID: s.leader}
	voters := s.voters()
	for _, id := range s.ids() {
		n := s.nodes[id]
		if !n.formatted {
			continue
		}
		r := kafka.QuorumReplica{ID: id, LastCaughtUp: s.now.Add(-time.Duration(n.silent) * time.Second)}
		if slices.Contains(voters, id) {
			shot.Quorum.Voters = append(shot.Quorum.Voters, r)
		} else {
			shot.Quorum.Observers = append(shot.Quorum.Observers, r)
		}
		if s.pool(n).Broker {
			shot.Brokers = append(shot.Brokers, kafka.Broker{ID: id, Fenced: !n.unfenced})
		}
	}
	for _, p := range s.parts {
		p.ISR = slices.Clone(p.ISR)
		shot.Partitions = append(shot.Partitions, p)
	}
	s.cached = shot
	return shot, ""
}

// act does what a step says, and judges it.
func (s *sim) act(step Step) {
	before := s.objects()
	set := s.sets[step.Pool]
	switch step.Kind {
	case CreatePool:
		set = &simSet{files: map[int32]model.Fingerprint{}, template: s.want.Templates[step.Pool]}
		s.sets[step.Pool] = set
		s.resize(step.Pool, set)
	case ScalePool:
		s.resize(step.Pool, set)
	case StageFiles:
		set.template = s.want.Templates[step.Pool]
	case SayFormat:
		s.sayFormat(step)
	case AlterConfig:
		for _, c := range step.Changes {
			if delete(s.config, c.Key); c.Value != nil {
				s.config[c.Key] = *c.Value
			}
		}
		return
	case ElectLeaders:
		for i := range s.parts {
			if p := &s.parts[i]; slices.Contains(p.ISR, p.Replicas[0]) && s.up(p.Replicas[0]) {
				p.Leader = p.Replicas[0]
			}
		}
		return
	case AddVoter:
		s.quorum = append(slices.Clone(s.voters()), step.Member.ID)
		return
	case Restart:
		n := s.nodes[step.Node]
		if n.pod != nil && n.pod.UID == step.PodUID && !n.pod.Deleting {
			s.judge(n)
			s.restarts[n.id]++
			s.stop(n)
		}
	}
	for _, id := range step.Nodes {
		set.files[id] = s.want.Files[id]
	}
	if s.lag > 0 && s.stale == nil {
		s.stale, s.staleFor = before, s.lag
	}
}

func (s *sim) resize(pool string, set *simSet) {
	for _, p := range s.c.Pools {
		if p.Name == pool {
			set.replicas = p.Replicas
		}
	}
}

func (s *sim) sayFormat(step Step) {
	n := s.nodes[step.Node]
	if n.pod == nil || n.pod.UID != step.PodUID {
		return
	}
	if step.Format == FormatInitial {
		if disk, before := s.said[n.id]; before && disk != n.claim {
			s.violate("node %d was told initial for two disks", n.id)
		}
		s.said[n.id] = n.claim
		for i := range s.c.InitialVoters {
			if s.c.InitialVoters[i].NodeID == n.id {
				s.c.InitialVoters[i].DiskUID = step.DiskUID
			}
		}
	}
	n.pod.Format = step.Format
}

// judge holds a restart against the truth. A pod that serves nobody may always be replaced.
func (s *sim) judge(n *simNode) {
	if s.restarts[n.id] > 0 {
		s.violate("node %d is restarted twice for one change", n.id)
	}
	if set := s.sets[n.pool]; set == nil || set.deleting {
		s.violate("node %d is stopped and nobody makes its pod again", n.id)
	}
	trial := 0
	for _, m := range s.nodes {
		if m != n && m.pod != nil && m.pod.Problem != model.ProblemNone && s.bad[m.pod.Files.User] &&
			m.pod.Files == s.want.Files[m.id] && m.pod.Template == s.want.Templates[m.pool] {
			trial++
		}
	}
	if s.c.Bootstrapped && trial > 0 && s.bad[s.want.Files[n.id].User] && n.pod.Problem == model.ProblemNone {
		s.violate("node %d follows another onto a revision that does not work", n.id)
	}
	if !n.alive() || !n.pod.Ready || !s.c.Bootstrapped {
		return
	}
	if n.pod.Files == (model.Fingerprint{}) {
		s.violate("node %d is stopped on a guess", n.id)
	}
	for _, id := range s.ids() {
		if m := s.nodes[id]; m != n && s.sets[m.pool] != nil && m.id < s.pool(m).FirstNodeID+s.sets[m.pool].replicas && (m.pod == nil || !m.pod.Ready) {
			s.violate("node %d is stopped while node %d is not ready", n.id, m.id)
		}
	}
	s.judgePartitions(n)
	s.judgeQuorum(n)
}

func (s *sim) judgePartitions(n *simNode) {
	for i := range s.parts {
		p := &s.parts[i]
		living := slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool {
			m := s.nodes[id]
			return m == nil || !m.alive() || !m.unfenced
		})
		for _, id := range p.Replicas {
			if m := s.nodes[id]; id != n.id && m != nil && m.syncIn > 0 && !slices.Contains(p.ISR, id) {
				s.violate("node %d is stopped while node %d is not in sync", n.id, id)
				return
			}
		}
		if !slices.Contains(living, n.id) {
			continue
		}
		left := int32(len(living) - 1)
		spare := int32(len(p.Replicas)) > p.MinISR || s.c.Unavailable == v1alpha1.UnavailableWait
		if left < p.MinISR && spare {
			s.violate("%s falls to %d in-sync replicas", partition(p), left)
		}
		if left == 0 && len(p.Replicas) > 1 {
			s.violate("%s goes offline", partition(p))
		}
	}
}

func (s *sim) judgeQuorum(n *simNode) {
	voters := s.voters()
	if !slices.Contains(voters, n.id) {
		return
	}
	left := 0
	for _, id := range voters {
		if m := s.nodes[id]; m != n && m.alive() && m.silent == 0 {
			left++
		}
	}
	if left < len(voters)/2+1 && (len(voters) > 2 || s.c.Unavailable == v1alpha1.UnavailableWait) {
		s.violate("the quorum keeps %d of %d voters", left, len(voters))
	}
}
