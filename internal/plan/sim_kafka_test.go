package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// simKafka is what Kafka itself keeps.
type simKafka struct {
	voters   []kafka.QuorumMember
	changing int          // seconds until the last change of the voters is committed
	leader   int32        // of the quorum
	replicas []simReplica // of the metadata log, as the leader hears of them
	parts    []simPart
	config   map[string]string
	own      map[int32]map[string]string // run-time keys of single brokers; they outlive the broker
	level    int16                       // of metadata.version
	// throttled are the topics with the operator's throttle.
	throttled map[string]bool
}

// simReplica is a replica of the metadata log; seen is when it last held all of it, 0 = not under this leader.
type simReplica struct {
	kafka.QuorumMember
	seen int
}

// simPart is a partition; with a target it is under reassignment.
type simPart struct {
	kafka.Partition
	target []int32
	added  []int32 // by the reassignment
	wait   int
	ours   bool // the operator has begun it
}

// factor is the replication factor; under reassignment there are more replicas for a while.
func (p *simPart) factor() int32 {
	if p.target != nil {
		return int32(len(p.target))
	}
	return int32(len(p.Replicas))
}

func (p *simPart) name() string { return fmt.Sprintf("%s-%d", p.Topic, p.Number) }

// observerSession is for how many seconds Kafka's leader remembers an observer that went silent.
const observerSession = 300

// runsQuorum tells that a node takes part in the quorum with the disk of that member.
func (s *sim) runsQuorum(m kafka.QuorumMember) bool {
	n := s.nodes[m.ID]
	return n != nil && n.alive() && n.dir == m.DirectoryID && n.files.controller && !n.frozen &&
		!s.hangs[n.files.text] && n.age >= s.ticks.boot/2
}

// caughtUp counts the voters that live and hold all of the metadata log, without some node.
func (s *sim) caughtUp(voters []kafka.QuorumMember, without int32) int {
	up := 0
	for _, m := range voters {
		if m.ID != without && s.runsQuorum(m) && s.nodes[m.ID].metaIn == 0 {
			up++
		}
	}
	return up
}

func (s *sim) isVoter(n *simNode) bool {
	return n.dir != "" && slices.Contains(s.kafka.voters, kafka.QuorumMember{ID: n.id, DirectoryID: n.dir})
}

// moveQuorum elects the first voter that is caught up when a majority lives.
func (s *sim) moveQuorum() {
	k := &s.kafka
	up, best := 0, int32(-1)
	stays := false
	for _, m := range k.voters {
		if !s.runsQuorum(m) {
			continue
		}
		up++
		if best < 0 || s.nodes[best].metaIn > s.nodes[m.ID].metaIn {
			best = m.ID
		}
		stays = stays || m.ID == k.leader
	}
	switch {
	case up < len(k.voters)/2+1:
		k.leader = -1
		return
	case !stays:
		k.leader = best
		s.nodes[best].metaIn = 0
		k.replicas = k.replicas[:0]
	}
	k.changing = max(0, k.changing-1)
	s.c.Bootstrapped = true
	for _, n := range s.order {
		follows := n.alive() && !n.frozen && n.age >= s.ticks.boot/2 && !s.hangs[n.files.text]
		if !follows {
			continue
		}
		if n.metaIn = max(0, n.metaIn-1); n.metaIn == 0 {
			s.hear(kafka.QuorumMember{ID: n.id, DirectoryID: n.dir})
		}
	}
}

func (s *sim) hear(m kafka.QuorumMember) {
	for i := range s.kafka.replicas {
		if r := &s.kafka.replicas[i]; r.QuorumMember == m {
			r.seen = s.tick
			return
		}
	}
	s.kafka.replicas = append(s.kafka.replicas, simReplica{m, s.tick})
}

// quorum is what the leader tells.
func (s *sim) quorum() kafka.Quorum {
	k := &s.kafka
	q := kafka.Quorum{LeaderID: k.leader, Voters: make([]kafka.QuorumReplica, 0, len(k.voters))}
	told := func(r simReplica) kafka.QuorumReplica {
		t := kafka.QuorumReplica{ID: r.ID, DirectoryID: r.DirectoryID}
		if r.seen > 0 {
			t.LastCaughtUp = s.after(r.seen)
		}
		return t
	}
	for _, m := range k.voters {
		i := slices.IndexFunc(k.replicas, func(r simReplica) bool { return r.QuorumMember == m })
		if i < 0 {
			q.Voters = append(q.Voters, told(simReplica{QuorumMember: m}))
		} else {
			q.Voters = append(q.Voters, told(k.replicas[i]))
		}
	}
	for _, r := range k.replicas {
		if !slices.Contains(k.voters, r.QuorumMember) && s.tick-r.seen < observerSession {
			q.Observers = append(q.Observers, told(r))
		}
	}
	slices.SortFunc(q.Observers, func(a, b kafka.QuorumReplica) int { return cmp.Compare(a.ID, b.ID) })
	return q
}

// addVoter follows KIP-853: one change at a time, one disk per node id, and only a controller that has caught up.
func (s *sim) addVoter(m kafka.QuorumMember) error {
	k := &s.kafka
	known := slices.ContainsFunc(k.voters, func(v kafka.QuorumMember) bool { return v.ID == m.ID })
	switch {
	case k.leader < 0 || k.changing > 0:
		return fmt.Errorf("the quorum is busy")
	case slices.Contains(k.voters, m):
		return nil
	case known:
		return fmt.Errorf("node %d is a voter with another disk", m.ID)
	case !s.runsQuorum(m) || s.nodes[m.ID].metaIn > 0:
		return fmt.Errorf("node %d is not caught up", m.ID)
	}
	k.voters = append(slices.Clone(k.voters), m)
	slices.SortFunc(k.voters, func(a, b kafka.QuorumMember) int { return cmp.Compare(a.ID, b.ID) })
	k.changing = 2
	return nil
}

func (s *sim) removeVoter(m kafka.QuorumMember) error {
	k := &s.kafka
	switch {
	case k.leader < 0 || k.changing > 0:
		return fmt.Errorf("the quorum is busy")
	case !slices.Contains(k.voters, m):
		return nil
	case len(k.voters) == 1:
		return fmt.Errorf("the last voter cannot go")
	}
	k.voters = slices.DeleteFunc(slices.Clone(k.voters), func(v kafka.QuorumMember) bool { return v == m })
	k.changing = 2
	return nil
}

func (s *sim) moveBroker(n *simNode) {
	if !n.alive() {
		if n.silent++; n.silent > s.ticks.session || n.age < s.ticks.boot && n.pod != nil && !n.poweredOff &&
			n.age > 1 {
			n.unfenced = false
		}
		if !n.poweredOff {
			n.setReady(false)
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
	case n.files.broker && s.hangs[n.files.text]:
	case !n.files.broker:
		n.unfenced = false
		n.setReady(n.age >= s.ticks.boot/2)
	case n.age >= s.ticks.boot && s.kafka.leader >= 0 && n.metaIn == 0:
		n.setReady(true)
		n.unfenced, n.registered = true, true
	}
	if n.unfenced && n.syncIn > 0 && !s.broken[n.id] {
		n.syncIn--
	}
}

func (s *sim) up(id int32) bool { return s.nodes[id] != nil && s.nodes[id].unfenced }

func (s *sim) movePartitions() {
	for i := range s.kafka.parts {
		p := &s.kafka.parts[i]
		for _, id := range p.Replicas {
			n := s.nodes[id]
			in := slices.Contains(p.ISR, id)
			switch {
			case n == nil:
			case in && (!n.unfenced || n.hasFailed(p)) && len(p.ISR) > 1:
				p.ISR = slices.DeleteFunc(slices.Clone(p.ISR), func(o int32) bool { return o == id })
			case !in && n.unfenced && n.syncIn == 0 && !n.hasFailed(p) && p.Leader >= 0 && (p.target == nil || p.wait == 0):
				p.ISR = append(slices.Clone(p.ISR), id)
			}
		}
		s.moveReassignment(p)
		serves := func(id int32) bool { return s.up(id) && !s.nodes[id].hasFailed(p) }
		if p.Leader < 0 || !slices.Contains(p.ISR, p.Leader) || !serves(p.Leader) {
			p.Leader = -1
			for _, id := range p.ISR {
				if serves(id) {
					p.Leader = id
					break
				}
			}
		}
	}
}

// moveReassignment ends a reassignment once the replicas that it adds are in sync, as Kafka does.
func (s *sim) moveReassignment(p *simPart) {
	if p.target == nil {
		return
	}
	p.wait = max(0, p.wait-1)
	for _, id := range p.added {
		if !slices.Contains(p.ISR, id) {
			return
		}
	}
	before := len(p.ISR)
	p.ISR = slices.DeleteFunc(slices.Clone(p.ISR), func(id int32) bool { return !slices.Contains(p.target, id) })
	if p.ours && len(p.ISR) < int(p.MinISR) && before-len(p.added) >= int(p.MinISR) {
		s.violate("moving %s takes it below its min ISR", p.name())
	}
	for _, id := range p.Replicas {
		if !slices.Contains(p.target, id) && s.nodes[id] != nil {
			delete(s.nodes[id].second.held, p.name())
		}
	}
	p.Replicas, p.target, p.ours = p.target, nil, false
}

// reassign begins to move a partition to other brokers.
func (s *sim) reassign(p *simPart, target []int32) {
	all := slices.Clone(target)
	for _, id := range p.Replicas {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	p.added = slices.DeleteFunc(slices.Clone(target), func(id int32) bool { return slices.Contains(p.Replicas, id) })
	p.Replicas, p.target, p.wait = all, target, s.ticks.sync
}

// recall undoes a reassignment.
func (s *sim) recall(p *simPart) {
	stays := func(some []int32) []int32 {
		return slices.DeleteFunc(slices.Clone(some), func(id int32) bool { return slices.Contains(p.added, id) })
	}
	if isr := stays(p.ISR); len(isr) < len(p.ISR) && len(isr) < int(p.MinISR) {
		s.violate("taking back the move of %s takes it below its min ISR", p.name())
	}
	for _, id := range p.added {
		if s.nodes[id] != nil {
			delete(s.nodes[id].second.held, p.name())
		}
	}
	p.Replicas, p.ISR, p.target, p.added, p.ours = stays(p.Replicas), stays(p.ISR), nil, nil, false
}

// emptyBroker moves away what a leaving broker holds, to brokers that stay; it begins with what can be moved now.
func (s *sim) emptyBroker(id int32) {
	for i := range s.kafka.parts {
		p := &s.kafka.parts[i]
		at := slices.Index(p.Replicas, id)
		if p.target != nil || at < 0 {
			continue
		}
		for _, n := range s.order {
			if s.wantedBroker(n.id) && n.unfenced && !n.going && n.syncIn == 0 && !slices.Contains(p.Replicas, n.id) {
				target := slices.Clone(p.Replicas)
				target[at] = n.id
				s.note("(the user moves %s from broker %d to broker %d)", p.name(), id, n.id)
				s.reassign(p, target)
				break
			}
		}
	}
}

// countsOnEmptied tells that a broker is held to be in sync whose disk was emptied.
func (s *sim) countsOnEmptied() bool {
	counts := false
	for _, n := range s.order {
		if !n.emptied {
			continue
		}
		n.emptied = slices.ContainsFunc(s.kafka.parts, func(p simPart) bool { return slices.Contains(p.ISR, n.id) })
		counts = counts || n.emptied
	}
	return counts
}

// topic adds partitions that start in sync everywhere.
func (s *sim) topic(name string, minISR int32, assignments ...[]int32) {
	for i, a := range assignments {
		s.kafka.parts = append(s.kafka.parts, simPart{Partition: kafka.Partition{
			Topic: name, Number: int32(i), Leader: a[0], Replicas: a, ISR: slices.Clone(a), MinISR: minISR,
		}})
	}
}

// create makes a topic of one partition where Kafka places it: on each broker in turn, and on none that is cordoned. It
// tells whether there were enough brokers.
func (s *sim) create(name string, minISR int32, factor int) bool {
	var open []int32
	for _, n := range s.order {
		if _, cordoned := s.kafka.own[n.id][cordonKey]; n.unfenced && n.alive() && !cordoned {
			open = append(open, n.id)
		}
	}
	if len(open) < factor {
		return false
	}
	first := len(s.kafka.parts) % len(open)
	placed := slices.Concat(open[first:], open[:first])[:factor]
	s.note("(a user makes topic %s, and Kafka places it on brokers %v)", name, placed)
	s.topic(name, minISR, placed)
	return true
}

// cordonKey is Kafka's key for log directories that get no new replica (KIP-1066).
const cordonKey = "cordoned.log.dirs"

// fallBehind takes a broker out of all ISRs that it is in, for good, while its process goes on.
func (s *sim) fallBehind(id int32) {
	s.broken[id], s.nodes[id].syncIn = true, 1
	for i := range s.kafka.parts {
		p := &s.kafka.parts[i]
		p.ISR = slices.DeleteFunc(slices.Clone(p.ISR), func(o int32) bool { return o == id })
	}
}

// holds tells that a broker has a replica of some partition.
func (s *sim) holds(id int32) bool {
	for i := range s.kafka.parts {
		if slices.Contains(s.kafka.parts[i].Replicas, id) {
			return true
		}
	}
	return false
}

// snapshot reads Kafka through any living broker, and uses what it read for snapAge seconds.
func (s *sim) snapshot() (*kafka.Snapshot, string) {
	if s.cached != nil && s.now.Sub(s.cached.TakenAt) < time.Duration(s.snapAge)*time.Second {
		return s.cached, ""
	}
	reachable := false
	for _, n := range s.order {
		reachable = reachable || n.unfenced && n.alive()
	}
	if !reachable || s.kafka.leader < 0 || s.dark {
		s.cached = nil
		return nil, "no broker answers"
	}
	shot := &kafka.Snapshot{
		TakenAt: s.now, ClusterID: "CID", Config: s.kafka.config, Quorum: s.quorum(), MetadataVersion: s.kafka.level,
		Features:   map[string]int16{"metadata.version": s.kafka.level},
		Partitions: make([]kafka.Partition, len(s.kafka.parts)), BrokerConfigs: map[int32]map[string]string{},
	}
	for _, n := range s.order {
		if n.registered {
			shot.Brokers = append(shot.Brokers, kafka.Broker{ID: n.id, Rack: n.rack, Fenced: !n.unfenced})
		}
		if n.unfenced && n.alive() {
			shot.BrokerConfigs[n.id] = s.kafka.own[n.id]
		}
	}
	for i := range s.kafka.parts {
		p := &s.kafka.parts[i]
		shot.Partitions[i] = p.Partition
		shot.Partitions[i].Offline = s.offline(p)
		if p.target != nil {
			shot.Reassigning++
			s.showReassignment(shot, p)
		}
	}
	s.askForLogDirs(shot)
	s.cached = shot
	return shot, ""
}
