package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// snapshotMaxAge is the age up to which a view of Kafka permits a disruption. A broker takes longer to stop, start and
// be ready again in its pod, so no such restart can hide between a view and its use.
const snapshotMaxAge = 10 * time.Second

const (
	// maxLag is how long ago a voter or a broker that counts as alive may have last held all of the metadata log. It is
	// shorter than the 9 s session after which Kafka gives up on a broker: until then a dead broker stays in the ISRs.
	maxLag = 5 * time.Second
	// podHeadStart is how much younger than a pod and its process a snapshot has to be. A broker that is seen alive is
	// then the process of this pod, not the one before it. The extra second is there because Kubernetes cuts times to
	// seconds.
	podHeadStart = maxLag + time.Second
	// maxClockSkew is how far the operator's clock may be behind the one of a snapshot.
	maxClockSkew = 5 * time.Second
)

// evidence indexes one snapshot. Without a snapshot it is empty, and the quorum has no leader.
type evidence struct {
	snapshot *kafka.Snapshot // nil = none, or one of a foreign cluster
	foreign  string          // cluster id of a snapshot of another cluster; empty = there is none
	brokers  map[int32]kafka.Broker
	quorum   kafka.Quorum
	inSync   map[int32][]int     // by broker: partitions in whose ISR it is, as indexes into the snapshot
	lagging  map[int32][]int     // by broker: partitions that it replicates without being in the ISR
	short    int                 // how many partitions lack an in-sync replica
	seen     map[int32]time.Time // by node: when it last held all of the metadata log, on the clock of the leader
	failed   map[int32]model.FailedDisks
}

func newEvidence(c *model.Cluster, o *model.Observation) *evidence {
	e, s := &evidence{quorum: kafka.Quorum{LeaderID: -1}}, o.Kafka
	if s == nil {
		return e
	}
	if s.ClusterID != c.ClusterID {
		e.foreign = s.ClusterID
		return e
	}
	e.snapshot, e.quorum = s, s.Quorum
	e.brokers = make(map[int32]kafka.Broker, len(s.Brokers))
	for _, b := range s.Brokers {
		e.brokers[b.ID] = b
	}
	e.seen = latest(s.Quorum)
	e.failed = c.FailedDisks(o)
	e.inSync, e.lagging = map[int32][]int{}, map[int32][]int{}
	for i := range s.Partitions {
		p := &s.Partitions[i]
		for _, id := range p.ISR {
			e.inSync[id] = append(e.inSync[id], i)
		}
		if len(p.ISR) >= len(p.Replicas) {
			continue
		}
		e.short++
		for _, id := range p.Replicas {
			if !slices.Contains(p.ISR, id) {
				e.lagging[id] = append(e.lagging[id], i)
			}
		}
	}
	return e
}

// because says which disk that has failed keeps a partition from being in sync on another broker; empty = none does.
func (e *evidence) because(p *kafka.Partition) string {
	for _, id := range p.Offline {
		if e.onFailed(p, id) {
			return fmt.Sprintf("; of broker %d, %s", id, e.failed[id])
		}
	}
	return ""
}

// onFailed tells whether the replica of a broker that serves is on one of its disks that have failed.
func (e *evidence) onFailed(p *kafka.Partition, id int32) bool {
	_, has := e.failed[id]
	return has && slices.Contains(p.Offline, id)
}

func (e *evidence) partition(i int) *kafka.Partition { return &e.snapshot.Partitions[i] }

// replicas counts the partitions that a broker replicates, in sync or not, and returns one of them.
func (e *evidence) replicas(id int32) (count int, example *kafka.Partition) {
	for _, held := range [][]int{e.inSync[id], e.lagging[id]} {
		if len(held) > 0 {
			count += len(held)
			example = e.partition(held[0])
		}
	}
	return count, example
}

// widest is the partition with the most replicas among those that a broker replicates; nil = it replicates none.
func (e *evidence) widest(id int32) *kafka.Partition {
	var widest *kafka.Partition
	for _, i := range slices.Concat(e.inSync[id], e.lagging[id]) {
		if p := e.partition(i); widest == nil || len(p.Replicas) > len(widest.Replicas) {
			widest = p
		}
	}
	return widest
}

// leaderClock is when the quorum's leader wrote the answer, by its own clock: the leader is always caught up with
// itself.
func (e *evidence) leaderClock() time.Time { return e.seen[e.quorum.LeaderID] }

// latest takes the latest entry of each id. A node whose disk was emptied has two entries for a while.
func latest(q kafka.Quorum) map[int32]time.Time {
	seen := make(map[int32]time.Time, len(q.Voters)+len(q.Observers))
	for _, r := range slices.Concat(q.Voters, q.Observers) {
		if r.LastCaughtUp.After(seen[r.ID]) {
			seen[r.ID] = r.LastCaughtUp
		}
	}
	return seen
}

// isCaughtUp compares two readings of the leader's clock, so no other clock matters. The leader's id can have two
// entries; the later one is the leader.
func (e *evidence) isCaughtUp(r kafka.QuorumReplica) bool {
	clock := e.leaderClock()
	if r.ID == e.quorum.LeaderID && r.LastCaughtUp.Equal(clock) {
		return true
	}
	return !clock.IsZero() && !r.LastCaughtUp.IsZero() && clock.Sub(r.LastCaughtUp) <= maxLag
}

// isSilent tells whether a broker has not followed the metadata log for longer than maxLag. Kafka may not have fenced
// it yet. A broker that the quorum does not list is not silent; there the fencing decides.
func (e *evidence) isSilent(id int32) bool {
	seen, clock := e.seen[id], e.leaderClock()
	return id != e.quorum.LeaderID && !seen.IsZero() && !clock.IsZero() && clock.Sub(seen) > maxLag
}

// voter is the entry of a node among the voters. A node that lost its disk can have two for a moment. The one that is
// caught up counts.
func (e *evidence) voter(id int32) (kafka.QuorumReplica, bool) {
	var found kafka.QuorumReplica
	is := false
	for _, r := range e.quorum.Voters {
		if r.ID == id && (!is || e.isCaughtUp(r)) {
			found, is = r, true
		}
	}
	return found, is
}

// follower is the entry of a node among the observers, if it is caught up.
func (e *evidence) follower(id int32) (kafka.QuorumReplica, bool) {
	for _, r := range e.quorum.Observers {
		if r.ID == id && e.isCaughtUp(r) {
			return r, true
		}
	}
	return kafka.QuorumReplica{}, false
}

// votersWithout counts the caught-up voters that stay when some nodes stop.
func (e *evidence) votersWithout(stops func(id int32) bool) int {
	left := 0
	for _, r := range e.quorum.Voters {
		if !stops(r.ID) && e.isCaughtUp(r) {
			left++
		}
	}
	return left
}

// majority is how many of these voters, dead ones counted, have to be caught up.
func majority(voters int) int { return voters/2 + 1 }

// neededForQuorum tells whether the quorum would lose its majority if a node stopped now.
func (v *view) neededForQuorum(n *node) bool {
	if !n.isController() {
		return false
	}
	e := v.kafka
	if e.quorum.LeaderID < 0 {
		return true // nothing is known
	}
	entry, is := e.voter(n.ID)
	return is && e.isCaughtUp(entry) && e.votersWithout(n.is) < majority(len(e.quorum.Voters))
}
