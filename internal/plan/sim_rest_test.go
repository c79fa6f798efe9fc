package plan

import (
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
)

// atRest says what is not as wanted though the plan is empty; empty = nothing.
func (s *sim) atRest() string {
	for _, check := range []func() string{s.nodesAtRest, s.setsAtRest, s.quorumAtRest, s.kafkaAtRest, s.budgetAtRest, s.movesAtRest} {
		if complaint := check(); complaint != "" {
			return complaint
		}
	}
	return ""
}

func (s *sim) nodesAtRest() string {
	for i := range s.c.Nodes {
		w := &s.c.Nodes[i]
		n := s.nodes[w.ID]
		set := s.sets[w.Pool]
		switch {
		case n == nil || n.pod == nil || !n.pod.Ready:
			return fmt.Sprintf("node %d is wanted and not ready", w.ID)
		case !s.runsWanted(n):
			return fmt.Sprintf("node %d runs %s and %s and not what is wanted", w.ID, n.pod.Files.User,
				n.pod.Template.User)
		case n.pod.CreatedAt.Before(w.RestartBefore):
			return fmt.Sprintf("node %d was to be restarted", w.ID)
		case set.files[w.ID] != s.want.Files[w.ID]:
			return fmt.Sprintf("a new pod of node %d would run %v", w.ID, set.files[w.ID])
		case n.lost || n.going || n.second.failed || n.second.going:
			return fmt.Sprintf("node %d has no disk that stays", w.ID)
		}
	}
	for _, n := range s.order {
		if s.wanted(n.id) == nil && n.pod != nil {
			return fmt.Sprintf("node %d is not wanted and has a pod", n.id)
		}
	}
	return ""
}

func (s *sim) setsAtRest() string {
	for name, set := range s.sets {
		pool := s.poolOf(name)
		switch {
		case pool == nil:
			return fmt.Sprintf("pool %s is still there", name)
		case set.replicas != pool.Replicas:
			return fmt.Sprintf("pool %s has %d replicas", name, set.replicas)
		case set.template != s.want.Templates[name]:
			return fmt.Sprintf("a new pod of pool %s would be made from %v", name, set.template)
		}
	}
	return ""
}

// quorumAtRest asks for exactly the wanted controllers, with the disks that they have.
func (s *sim) quorumAtRest() string {
	var wanted []kafka.QuorumMember
	for _, n := range s.c.Nodes {
		if s.wantedController(n.ID) {
			wanted = append(wanted, kafka.QuorumMember{ID: n.ID, DirectoryID: s.nodes[n.ID].dir})
		}
	}
	if !slices.Equal(wanted, s.kafka.voters) {
		return fmt.Sprintf("the voters are %v and not %v", s.kafka.voters, wanted)
	}
	return ""
}

func (s *sim) kafkaAtRest() string {
	for _, n := range s.order {
		if n.registered != s.wantedBroker(n.id) {
			return fmt.Sprintf("broker %d is registered: %t", n.id, n.registered)
		}
	}
	for i := range s.kafka.parts {
		p := &s.kafka.parts[i]
		if p.Leader != p.Replicas[0] {
			return fmt.Sprintf("%s is led by broker %d", p.name(), p.Leader)
		}
		for _, id := range p.Replicas {
			if n := s.nodes[id]; n != nil && !s.wantedBroker(id) {
				return fmt.Sprintf("%s has a replica on broker %d, which is gone", p.name(), id)
			}
		}
	}
	for _, n := range s.c.Nodes {
		if _, cordoned := s.kafka.own[n.ID][cordonKey]; cordoned && !s.users.cordons[n.ID] {
			return fmt.Sprintf("broker %d is wanted and cordoned", n.ID)
		}
	}
	for key, value := range s.c.DynamicConfig {
		if s.kafka.config[key] != value {
			return "run-time key " + key + " is not what is wanted"
		}
	}
	if s.c.MetadataVersion != 0 && s.c.MetadataVersion != s.kafka.level {
		return fmt.Sprintf("metadata.version is %d and not %d", s.kafka.level, s.c.MetadataVersion)
	}
	return ""
}

// budgetAtRest asks that a drain gets on wherever every node can be spared, and nowhere else.
func (s *sim) budgetAtRest() string {
	spared, forced := true, false
	if left := len(s.kafka.voters) - 1; left < len(s.kafka.voters)/2+1 {
		spared, forced = false, s.c.Unavailable == v1alpha1.UnavailableWait
	}
	for i := range s.kafka.parts {
		if p := &s.kafka.parts[i]; int32(len(p.ISR)) <= p.MinISR {
			spared, forced = false, forced || s.c.Unavailable == v1alpha1.UnavailableWait
		}
	}
	switch {
	case s.c.Paused || len(s.c.Nodes) < 2:
	case spared && s.budget.allowed != 1:
		return "nobody may be evicted at rest"
	case forced && s.budget.allowed != 0:
		return "somebody may be evicted whom nobody can spare"
	}
	return ""
}
