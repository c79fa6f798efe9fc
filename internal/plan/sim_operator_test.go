package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// observe is what the operator sees: the truth, unless its cache has not yet shown its own last act.
func (s *sim) observe() *model.Observation {
	o := s.stale
	if o == nil {
		o = s.objects()
	}
	seen := *o
	seen.CacheCurrent = s.stale == nil
	seen.Kafka, seen.KafkaError = s.snapshot()
	seen.Usage = maps.Clone(s.told)
	seen.Balancing = model.BalancingSeen{Remembered: s.remembered, Topics: &model.TopicsSeen{}}
	return &seen
}

func (s *sim) objects() *model.Observation {
	o := &model.Observation{
		BudgetClosed: s.budget.allowed == 0 && len(s.budget.spared) == 0 && s.budgetCounted(),
		Pools:        make(map[string]model.ObservedPool, len(s.sets)),
		Nodes:        make(map[int32]model.ObservedNode, len(s.order)),
	}
	for name, set := range s.sets {
		shape := s.contents[set.template.User]
		o.Pools[name] = model.ObservedPool{
			UID: set.uid, FirstNodeID: set.first, Controller: shape.controller, Broker: shape.broker,
			Replicas: set.replicas, Files: set.files, Template: set.template, Deleting: set.deleting,
			RetriedAt: set.retried, OtherClaims: s.poolOf(name) != nil && set.size != s.sizeOf(name),
		}
	}
	for _, n := range s.order {
		if n.claim == "" && n.pod == nil {
			continue
		}
		seen := model.ObservedNode{DiskUID: n.claim, Pod: n.pod}
		if n.pod == nil && n.refusals > 0 {
			seen.Refused, seen.RefusedAt = "exceeded quota", s.after(n.refusedAt)
		}
		if n.claim != "" {
			seen.Claims = []model.ObservedClaim{s.claimOf(n, model.ObservedClaim{
				Volume: "data", Name: fmt.Sprintf("data-%d", n.id), UID: n.claim, ClusterID: "CID", Bound: true,
				Lost: n.lost, Replace: n.replace, Deleting: n.going, KubernetesNode: n.machine(),
			})}
		}
		if n.second.claim != "" {
			seen.Claims = append(seen.Claims, s.claimOf(n, model.ObservedClaim{
				Volume: "second", Name: fmt.Sprintf("second-%d", n.id), UID: n.second.claim, ClusterID: "CID", Bound: true,
				Replace: n.second.replace, Deleting: n.second.going, KubernetesNode: n.machine(),
			}))
		}
		o.Nodes[n.id] = seen
	}
	return o
}

// errDied ends a pass of an operator that dies in it.
var errDied = errors.New("the operator died")

// pass is one pass of the operator; it tells whether there was nothing to do and nothing to wait for.
func (s *sim) pass() bool {
	obs := s.observe()
	s.seen, s.unseen = obs.Kafka, false
	for _, n := range s.order {
		s.sawAlive[n.id], s.sawGoing[n.id] = n.alive(), n.going
	}
	s.noteEmpty(obs.Kafka)
	p := next(s.c, s.want, obs, s.now, s.tables)
	if p.Course.Wants().Any() {
		obs.Balancing.Sizes = s.sizes()
		if p = next(s.c, s.want, obs, s.now, s.tables); p.Course.Wants().Any() {
			s.violate("a plan of moves has what it wants, and wants it again")
		}
	}
	s.tell(p)
	s.judgePlan(p, obs)
	s.remembered = p.Course.Remembered
	s.c.Cordoned = map[int32]bool{}
	for _, id := range p.Cordoned {
		s.c.Cordoned[id] = true
	}
	if s.budget.allowed != p.Evictable || !slices.Equal(s.budget.spared, p.Spared) {
		if s.perform(func() error { s.budget = budget{p.Evictable, p.Spared, s.tick}; return nil }) != nil {
			return false
		}
	}
	if slices.ContainsFunc(p.Steps, func(step Step) bool { return step.Kind == Restart }) {
		s.rounds++
	}
	for i := range p.Steps {
		if s.perform(func() error { return s.act(&p.Steps[i], p.Steps) }) != nil {
			return false
		}
		s.judgeExpectation(&p.Steps[i])
	}
	s.reportBalancing(&p)
	return p.Empty() && !p.Course.UnderWay()
}

// perform does one thing, unless the operator dies before it, or the answer is lost, or the request is.
func (s *sim) perform(do func() error) error {
	s.steps++
	switch s.steps {
	case s.crashAt:
		s.note("(the operator dies before the next step)")
		s.stale, s.hidden, s.cached = nil, 0, nil // the next one reads everything anew
		s.remembered = model.Remembered{}
		return errDied
	case s.loseAt:
		s.note("(an answer is lost)")
		if s.performed {
			_ = do()
		}
		return errors.New("timeout")
	}
	return do()
}

// tell keeps the lines of a plan that the last one did not have.
func (s *sim) tell(p Plan) {
	if s.mute {
		if !p.Empty() {
			s.last = "not empty"
		}
		return
	}
	text := p.String()
	for line := range strings.Lines(text) {
		if !strings.Contains(s.last, line) {
			s.note("%s", strings.TrimSuffix(line, "\n"))
		}
	}
	s.last = text
}

// noteEmpty writes down since when a broker that leaves is seen to hold nothing.
func (s *sim) noteEmpty(shot *kafka.Snapshot) {
	if shot == nil {
		return
	}
	for _, n := range s.order {
		if !s.slot(n) || s.wanted(n.id) != nil {
			delete(s.c.EmptySince, n.id)
			continue
		}
		holds := slices.ContainsFunc(shot.Partitions,
			func(p kafka.Partition) bool { return slices.Contains(p.Replicas, n.id) })
		if _, noted := s.c.EmptySince[n.id]; holds {
			delete(s.c.EmptySince, n.id)
		} else if !noted {
			s.c.EmptySince[n.id] = shot.TakenAt
		}
	}
}

// act does what a step says, and judges it.
func (s *sim) act(step *Step, all []Step) error {
	if step.Kind.Row().Act == MoveReplicas {
		defer func() { s.cached = nil }()
		return s.moveReplicas(step)
	}
	if step.Kind.Row().Act == AskKafka {
		defer func() { s.cached = nil }() // what was read before the act is not used after it
		return s.actOnKafka(step)
	}
	if s.lag > 0 && s.stale == nil {
		s.stale, s.hidden = s.objects(), s.lag
	}
	set := s.sets[step.Pool]
	switch step.Kind {
	case CreatePool:
		s.uids++
		p := s.poolOf(step.Pool)
		set = &simSet{uid: fmt.Sprintf("set-%d", s.uids), first: p.FirstNodeID,
			template: s.want.Templates[step.Pool], files: map[int32]model.Fingerprint{}, size: s.sizeOf(step.Pool)}
		s.sets[step.Pool] = set
		for _, n := range s.order {
			if n.pool == step.Pool && n.pod != nil {
				set.files[n.id] = n.pod.Files // as it ran last
			}
		}
		s.resize(set, step.Replicas, step.Pool)
		s.judgeTakeover(step)
	case ScalePool:
		s.resize(set, step.Replicas, step.Pool)
	case StageFiles:
		s.judgeStaging(step)
		set.template, set.touched = s.want.Templates[step.Pool], s.tick
	case RetryPod:
		set.retried, set.touched = s.now, s.tick
	case SayFormat:
		s.sayFormat(step)
	case ShrinkPool:
		s.judgeShrink(step)
		set.replicas = step.Replicas
	case ReturnNode:
		s.judgeReturn(step)
		s.resize(set, step.Replicas, step.Pool)
	case RemovePool:
		s.judgeRemovePool(step)
		delete(s.sets, step.Pool)
	case RenewPool:
		s.judgeRenewal(step)
		s.orphan(step.Pool)
	case DeleteClaims:
		s.deleteUnwanted(step)
	case ReplaceDisk:
		s.replaceDisk(step)
	case Restart:
		if n := s.nodes[step.Node]; n != nil && n.pod != nil && n.pod.UID == step.PodUID && !n.pod.Deleting {
			s.judgeRestart(n, all)
			if !n.second.going { // else it restarts for its disk, maybe on what it ran before
				s.started[n.id]++
			}
			s.stop(n)
			n.byPlan = true
		}
	default:
		s.violate("nobody knows how to %s", step.Kind)
	}
	if len(step.Nodes) > 0 {
		set.files = maps.Clone(set.files)
		for _, id := range step.Nodes {
			set.files[id] = s.want.Files[id]
		}
	}
	return nil
}

func (s *sim) actOnKafka(step *Step) error {
	switch step.Kind {
	case AlterConfig, Cordon, Uncordon:
		return s.alterConfig(step)
	case ElectLeaders:
		for i := range s.kafka.parts {
			if p := &s.kafka.parts[i]; slices.Contains(p.ISR, p.Replicas[0]) && s.up(p.Replicas[0]) {
				p.Leader = p.Replicas[0]
			}
		}
	case AddVoter:
		return s.changeVoters(step, s.addVoter)
	case RemoveVoter:
		return s.changeVoters(step, s.removeVoter)
	case Unregister:
		s.judgeUnregister(step)
		if n := s.nodes[step.Node]; n != nil {
			n.registered, n.unfenced = false, false
		}
	case FinalizeVersion:
		s.judgeVersion(step)
		s.kafka.level = step.Level
	}
	return nil
}

// alterConfig follows KIP-1066: no broker below metadata.version 4.3-IV0 is cordoned.
func (s *sim) alterConfig(step *Step) error {
	config := maps.Clone(s.configOf(step))
	if config == nil {
		config = map[string]string{}
	}
	for _, c := range step.Changes {
		if c.Key == cordonKey && c.Value != nil && s.kafka.level < levels["4.3.1"] {
			s.violate("broker %d is to be cordoned at metadata.version %d", step.Node, s.kafka.level)
			return errors.New("unsupported version")
		}
		if delete(config, c.Key); c.Value != nil {
			config[c.Key] = *c.Value
		}
	}
	if step.Node == kafka.AllBrokers {
		s.kafka.config = config
	} else {
		s.kafka.own[step.Node] = config
	}
	return nil
}

// configOf is what Kafka holds of the run-time keys that a step is about.
func (s *sim) configOf(step *Step) map[string]string {
	if step.Node == kafka.AllBrokers {
		return s.kafka.config
	}
	return s.kafka.own[step.Node]
}

func (s *sim) changeVoters(step *Step, change func(kafka.QuorumMember) error) error {
	before := s.kafka.voters
	if err := change(step.Member); err != nil {
		s.note("(Kafka refuses: %v)", err)
		return err
	}
	s.judgeVoters(step, before)
	return nil
}

func (s *sim) resize(set *simSet, replicas int32, pool string) {
	set.replicas = replicas
	for id := set.first; id < set.first+replicas; id++ {
		s.node(id, pool)
	}
}

func (s *sim) sayFormat(step *Step) {
	n := s.nodes[step.Node]
	if n.pod == nil || n.pod.UID != step.PodUID {
		return
	}
	if step.Format == FormatInitial {
		disk, before := s.said[n.id]
		if before && disk != n.claim {
			s.violate("node %d was told initial for two disks", n.id)
		}
		if n.dir == "" && n.founded {
			s.violate("node %d was told initial for a disk that was emptied", n.id)
		}
		s.said[n.id] = n.claim
		for i := range s.c.InitialVoters {
			if s.c.InitialVoters[i].NodeID == n.id {
				s.c.InitialVoters[i].DiskUID = step.DiskUID
			}
		}
	}
	n.change(func(p *model.ObservedPod) { p.Format = step.Format })
}

// replaceDisk deletes the claims of a node and its pod; the StatefulSet makes both anew.
func (s *sim) replaceDisk(step *Step) {
	n := s.nodes[step.Node]
	s.judgeReplace(n, step)
	s.replaceSecond(n, step)
	if takes(step, n.claim) {
		n.claim, n.dir, n.lost, n.replace = "", "", false, false
	}
	if n.pod != nil && !n.pod.Deleting {
		s.stop(n)
	}
}
