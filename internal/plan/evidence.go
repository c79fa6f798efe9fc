package plan

import (
	"slices"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// SnapshotMaxAge is how old a view of Kafka may be and still permit a disturbance. It is shorter than a broker takes to
// stop, start and be ready again in its pod, so that such a restart cannot hide between a view and its use.
const SnapshotMaxAge = 10 * time.Second

const (
	// maxLag bounds how long ago a voter or a broker last held all of the metadata log and still counts as alive. It is
	// shorter than the session after which Kafka itself gives up on a broker (9 s): within that, a dead broker still
	// stands in the ISRs.
	maxLag = 5 * time.Second
	// podHeadStart is how much younger than a pod a snapshot has to be. With maxLag it makes sure that a broker seen
	// alive is the process of this pod and not the one before it.
	podHeadStart = maxLag
	// maxClockSkew is how far the operator's clock may be behind the one of a snapshot.
	maxClockSkew = 5 * time.Second
)

// evidence indexes one snapshot. Without a snapshot all of it is empty, and the quorum has no leader.
type evidence struct {
	snapshot *kafka.Snapshot // nil = none, or one of a foreign cluster
	foreign  string          // cluster id of a snapshot that is not ours
	brokers  map[int32]kafka.Broker
	quorum   kafka.Quorum
	inSync   map[int32][]*kafka.Partition // by broker: partitions in whose ISR it is
	lagging  map[int32][]*kafka.Partition // by broker: partitions that it replicates without being in the ISR
	seen     map[int32]time.Time          // by node: when it last held all of the metadata log
}

func newEvidence(c *model.Cluster, s *kafka.Snapshot) *evidence {
	e := &evidence{quorum: kafka.Quorum{LeaderID: -1}}
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
	e.inSync, e.lagging = map[int32][]*kafka.Partition{}, map[int32][]*kafka.Partition{}
	for i := range s.Partitions {
		p := &s.Partitions[i]
		for _, id := range p.ISR {
			e.inSync[id] = append(e.inSync[id], p)
		}
		for _, id := range p.Replicas {
			if !slices.Contains(p.ISR, id) {
				e.lagging[id] = append(e.lagging[id], p)
			}
		}
	}
	return e
}

// leaderClock is when the quorum's leader wrote the answer, by its own clock: it is always caught up with itself.
func (e *evidence) leaderClock() time.Time { return e.seen[e.quorum.LeaderID] }

// latest takes the latest of each id: an emptied disk leaves a second entry of the same id behind for a while.
func latest(q kafka.Quorum) map[int32]time.Time {
	seen := make(map[int32]time.Time, len(q.Voters)+len(q.Observers))
	for _, r := range slices.Concat(q.Voters, q.Observers) {
		if r.LastCaughtUp.After(seen[r.ID]) {
			seen[r.ID] = r.LastCaughtUp
		}
	}
	return seen
}

// isCaughtUp compares two readings of the leader's clock, so nobody else's clock matters.
func (e *evidence) isCaughtUp(r kafka.QuorumReplica) bool {
	if r.ID == e.quorum.LeaderID {
		return true
	}
	clock := e.leaderClock()
	return !clock.IsZero() && !r.LastCaughtUp.IsZero() && clock.Sub(r.LastCaughtUp) <= maxLag
}

// isSilent tells that a broker has not followed the metadata log for a while, though Kafka may still count on it.
// A broker of which the quorum says nothing is not called silent: whether it is fenced then decides.
func (e *evidence) isSilent(id int32) bool {
	seen, clock := e.seen[id], e.leaderClock()
	return id != e.quorum.LeaderID && !seen.IsZero() && !clock.IsZero() && clock.Sub(seen) > maxLag
}

func (e *evidence) isVoter(id int32) bool {
	return slices.ContainsFunc(e.quorum.Voters, func(r kafka.QuorumReplica) bool { return r.ID == id })
}

// votersWithout counts the caught-up voters that remain when one stops.
func (e *evidence) votersWithout(id int32) int {
	left := 0
	for _, r := range e.quorum.Voters {
		if r.ID != id && e.isCaughtUp(r) {
			left++
		}
	}
	return left
}

// majority of the voters, dead ones counted.
func (e *evidence) majority() int { return len(e.quorum.Voters)/2 + 1 }

// neededForQuorum tells that stopping a node now would take the majority away.
func (v *view) neededForQuorum(n *node) bool {
	if !n.pool.Controller {
		return false
	}
	e := v.kafka
	if e.quorum.LeaderID < 0 {
		return true // nothing is known
	}
	for _, r := range e.quorum.Voters {
		if r.ID == n.ID && e.isCaughtUp(r) {
			return e.votersWithout(n.ID) < e.majority()
		}
	}
	return false
}
