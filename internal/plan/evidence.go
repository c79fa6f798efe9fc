package plan

import (
	"slices"
	"time"

	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/model"
)

// snapshotMaxAge is how old a view of Kafka may be and still permit a disturbance. It is shorter than a broker takes to
// stop, start and be ready again in its pod, so that such a restart cannot hide between a view and its use.
const snapshotMaxAge = 10 * time.Second

const (
	// maxLag bounds how long ago a voter or a broker last held all of the metadata log and still counts as alive. It is
	// shorter than the session after which Kafka itself gives up on a broker (9 s): within that, a dead broker still
	// stands in the ISRs.
	maxLag = 5 * time.Second
	// podHeadStart is how much younger than a pod and its process a snapshot has to be. With maxLag it makes sure that a
	// broker seen alive is the process of this pod and not the one before it; Kubernetes cuts the times of both to the second.
	podHeadStart = maxLag + time.Second
	// maxClockSkew is how far the operator's clock may be behind the one of a snapshot.
	maxClockSkew = 5 * time.Second
)

// evidence indexes one snapshot. Without a snapshot all of it is empty, and the quorum has no leader.
type evidence struct {
	snapshot *kafka.Snapshot // nil = none, or one of a foreign cluster
	foreign  string          // cluster id of a snapshot that is not ours
	brokers  map[int32]kafka.Broker
	quorum   kafka.Quorum
	inSync   map[int32][]int // by broker: partitions in whose ISR it is, as indexes into the snapshot
	lagging  map[int32][]int // by broker: partitions that it replicates without being in the ISR
	short    int             // partitions that lack an in-sync replica
	seen     map[int32]time.Time
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

func (e *evidence) partition(i int) *kafka.Partition { return &e.snapshot.Partitions[i] }

// replicas counts the partitions that a broker is assigned to, in sync or not, and names one.
func (e *evidence) replicas(id int32) (count int, example *kafka.Partition) {
	for _, held := range [][]int{e.inSync[id], e.lagging[id]} {
		if len(held) > 0 {
			count += len(held)
			example = e.partition(held[0])
		}
	}
	return count, example
}

// widest is the partition with the most replicas of those that a broker is assigned to; nil = it has none.
func (e *evidence) widest(id int32) *kafka.Partition {
	var widest *kafka.Partition
	for _, i := range slices.Concat(e.inSync[id], e.lagging[id]) {
		if p := e.partition(i); widest == nil || len(p.Replicas) > len(widest.Replicas) {
			widest = p
		}
	}
	return widest
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

// isCaughtUp compares two readings of the leader's clock, so nobody else's clock matters. An entry of the leader's id is
// the leader itself only when it is the latest of that id.
func (e *evidence) isCaughtUp(r kafka.QuorumReplica) bool {
	clock := e.leaderClock()
	if r.ID == e.quorum.LeaderID && r.LastCaughtUp.Equal(clock) {
		return true
	}
	return !clock.IsZero() && !r.LastCaughtUp.IsZero() && clock.Sub(r.LastCaughtUp) <= maxLag
}

// isSilent tells that a broker has not followed the metadata log for a while, though Kafka may still count on it.
// A broker of which the quorum says nothing is not called silent: whether it is fenced then decides.
func (e *evidence) isSilent(id int32) bool {
	seen, clock := e.seen[id], e.leaderClock()
	return id != e.quorum.LeaderID && !seen.IsZero() && !clock.IsZero() && clock.Sub(seen) > maxLag
}

// voter is the entry of a node among the voters. After its disk was lost a node can have a second one for a moment; the
// one that is caught up counts.
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

// follower is the caught-up observer of a node's id.
func (e *evidence) follower(id int32) (kafka.QuorumReplica, bool) {
	for _, r := range e.quorum.Observers {
		if r.ID == id && e.isCaughtUp(r) {
			return r, true
		}
	}
	return kafka.QuorumReplica{}, false
}

// votersWithout counts the caught-up voters that remain when some nodes stop.
func (e *evidence) votersWithout(stops func(id int32) bool) int {
	left := 0
	for _, r := range e.quorum.Voters {
		if !stops(r.ID) && e.isCaughtUp(r) {
			left++
		}
	}
	return left
}

// majority of so many voters, dead ones counted.
func majority(voters int) int { return voters/2 + 1 }

// neededForQuorum tells that stopping a node now would take the majority away.
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
