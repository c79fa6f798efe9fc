package plan

import (
	"slices"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// simDisk is the second disk of a node. Its first one also holds the metadata log; a process ends when that one fails,
// and goes on when the second does.
type simDisk struct {
	claim     string // UID; empty = none
	failed    bool
	failedFor int
	held      map[string]bool // partitions that were on it when it failed
	replace   bool
	going     bool // the claim is being deleted, and goes with the pod
}

var jbod = []v1alpha1.Volume{{Name: "data"}, {Name: "second"}}

func (s *sim) isJBOD(n *simNode) bool {
	p := s.poolOf(n.pool)
	return p != nil && len(p.Volumes) > 1
}

// onSecond tells which partitions a broker with two disks has on the second.
func onSecond(p *simPart) bool { return (int(p.Topic[len(p.Topic)-1])+int(p.Number))%2 == 1 }

// hasFailed tells whether the replica of a partition is on a disk of the node that has failed.
func (n *simNode) hasFailed(p *simPart) bool { return n.second.failed && n.second.held[p.name()] }

// failDisk lets the second disk of a node fail.
func (s *sim) failDisk(n *simNode) {
	n.second.failed, n.second.failedFor, n.second.held = true, 0, map[string]bool{}
	for i := range s.kafka.parts {
		if p := &s.kafka.parts[i]; slices.Contains(p.Replicas, n.id) && onSecond(p) {
			n.second.held[p.name()] = true
		}
	}
	s.cached, s.unseen = nil, true // no view promises anything about what fails later, and Kubernetes does not see it
	s.movePartitions()
}

// offline lists the replicas of a partition that are on a failed disk, or on a broker that is down.
func (s *sim) offline(p *simPart) []int32 {
	var ids []int32
	for _, id := range p.Replicas {
		if !s.up(id) || s.nodes[id].hasFailed(p) {
			ids = append(ids, id)
		}
	}
	return ids
}

// askForLogDirs asks the brokers that Kafka's client would ask, with two of their disks: where replicas are offline or
// a disk is in doubt, and each once a minute for what is in use. It remembers what each said last.
func (s *sim) askForLogDirs(shot *kafka.Snapshot) {
	shot.LogDirs = map[int32][]kafka.LogDir{}
	for _, n := range s.order {
		lost := slices.ContainsFunc(shot.Partitions, func(p kafka.Partition) bool { return slices.Contains(p.Offline, n.id) })
		due := n.second.claim != "" && (s.now.Sub(s.askedAt[n.id]) >= time.Minute || s.toldFailed(n.id))
		if !n.unfenced || !n.alive() || n.frozen || !lost && !n.replace && !n.second.replace && !due {
			continue
		}
		first, second := kafka.LogDir{Path: model.LogDir("data")}, kafka.LogDir{Path: model.LogDir("second")}
		if n.second.failed {
			second.Error = kafka.ErrorStorage
		}
		for i := range s.kafka.parts {
			p := &s.kafka.parts[i]
			if !slices.Contains(p.Replicas, n.id) || !p.IsSole(n.id) || n.hasFailed(p) {
				continue
			}
			on := &first
			if n.second.claim != "" && onSecond(p) && !n.second.failed {
				on = &second
			}
			on.Sole = append(on.Sole, kafka.PartitionID{Topic: p.Topic, Number: p.Number})
		}
		if shot.LogDirs[n.id] = []kafka.LogDir{first}; n.second.claim != "" {
			shot.LogDirs[n.id] = append(shot.LogDirs[n.id], second)
		}
		s.told[n.id], s.askedAt[n.id] = shot.LogDirs[n.id], s.now
	}
}

// toldFailed tells whether a broker said last that a disk of it has failed.
func (s *sim) toldFailed(id int32) bool {
	return slices.ContainsFunc(s.told[id], func(d kafka.LogDir) bool { return d.Error != "" })
}

// judgeSecond holds the end of a second disk against what it is good for, and the end of its pod against the others.
func (s *sim) judgeSecond(n *simNode) {
	if !n.second.replace {
		s.violate("the second disk of node %d is deleted and nobody permitted it", n.id)
	}
	if n.serves() && !n.second.failed {
		s.violate("the second disk of node %d is deleted while it works", n.id)
	}
	for i := range s.kafka.parts {
		p := &s.kafka.parts[i]
		was := n.hasFailed(p) || !n.second.failed && onSecond(p)
		if was && slices.Contains(p.Replicas, n.id) && slices.Equal(p.ISR, []int32{n.id}) {
			s.violate("the second disk of node %d is deleted and has the only copy of %s", n.id, p.name())
		}
	}
	if n.serves() && s.c.Bootstrapped {
		if n.files.controller && s.isVoter(n) && !s.contents[s.sets[n.pool].files[n.id].User].controller {
			s.violate("node %d is a voter and comes back without the role Controller", n.id)
		}
		s.judgeServing(n, nil)
	}
}

// replaceSecond deletes the claim of the second disk if a step takes it.
func (s *sim) replaceSecond(n *simNode, step *Step) {
	if takes(step, n.second.claim) {
		s.judgeSecond(n)
		n.second = simDisk{}
	}
}

// takes tells whether a step deletes a claim.
func takes(step *Step, uid string) bool {
	return uid != "" &&
		slices.ContainsFunc(step.Claims, func(c model.ObservedClaim) bool { return c.UID == uid && c.Replace })
}

// missesDisk tells whether a second disk has failed and is not replaced yet.
func (s *sim) missesDisk() bool {
	return slices.ContainsFunc(s.order, func(n *simNode) bool { return n.second.failed })
}

// canFailDisk leaves disks alone that hold the last copy of something. It lets one fail at a time, and none beside
// sidecars that fail: where two brokers miss replicas that the other needs, or the only one whose pod is ready has to
// restart, only a user can decide.
func (r *randomRun) canFailDisk(n *simNode) bool {
	flaky := slices.ContainsFunc(r.order, func(m *simNode) bool {
		return r.flaky[m.template.text] || r.flaky[r.spec.templates[m.pool]]
	})
	if n.second.claim == "" || !n.alive() || !n.unfenced || n.pod.Deleting || flaky || r.missesDisk() {
		return false
	}
	for i := range r.kafka.parts {
		p := &r.kafka.parts[i]
		if !slices.Contains(p.Replicas, n.id) || !onSecond(p) {
			continue
		}
		if !slices.ContainsFunc(p.ISR, func(id int32) bool {
			m := r.nodes[id]
			return m != n && m.dir != "" && m.alive() && !m.lost && !m.going
		}) {
			return false
		}
	}
	return true
}
