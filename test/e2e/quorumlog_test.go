package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// voterLag is how long ago a voter may last have held all of the metadata log and still count as caught up: about
	// half of the session after which Kafka gives up on a broker.
	voterLag = 5 * time.Second
	// quorumSilence is how long nobody may be able to tell about the quorum, such as while it elects a leader.
	quorumSilence = 20 * time.Second
)

// voter is a member of the quorum: a node and its disk.
type voter struct {
	id   int32
	disk string
}

func (v voter) String() string { return fmt.Sprintf("%d/%.4s", v.id, v.disk) }

// quorumLog records who the voters are, and whether a majority of them is caught up.
type quorumLog struct {
	stop func()

	mu      sync.Mutex
	began   time.Time
	history []string // for people
	voters  map[voter]bool
	seen    time.Time // the last answer
	full    time.Time // the last answer with a majority
	wrong   []string
}

// watchQuorum asks ten times a second until stop is called or the case ends. Two changes of the quorum within that time
// would look like one of two: Kafka itself needs longer for each.
func watchQuorum(t *testing.T, l login) *quorumLog {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	now := time.Now()
	q := &quorumLog{began: now, seen: now, full: now}
	cl := l.client(t, kgo.RetryTimeout(time.Second))
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			asked, answered := context.WithTimeout(ctx, time.Second)
			p, err := describeQuorum(asked, cl, -1)
			answered()
			if ctx.Err() == nil {
				q.note(p, err, time.Now())
			}
		}
	})
	q.stop = sync.OnceFunc(func() { cancel(); done.Wait() })
	t.Cleanup(func() {
		if q.stop(); t.Failed() {
			t.Logf("the quorum:%s", q)
		}
	})
	eventually(t, 30*time.Second, "the quorum is described", func(context.Context) error {
		if len(q.disks()) == 0 {
			return fmt.Errorf("no answer in %s", time.Since(now))
		}
		return nil
	})
	return q
}

func (q *quorumLog) note(p *kmsg.DescribeQuorumResponseTopicPartition, err error, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil || p.LeaderID < 0 {
		quiet := now.Sub(q.seen)
		q.blame(
			now,
			quiet > pace.Of(quorumSilence),
			"nobody tells of a leader for %s (error %v)",
			quiet.Round(time.Second),
			err,
		)
		return
	}
	q.seen = now
	voters, alive, latest := map[voter]bool{}, 0, int64(0)
	for _, r := range p.CurrentVoters {
		latest = max(latest, r.LastCaughtUpTimestamp)
	}
	for _, r := range p.CurrentVoters {
		voters[voter{r.ReplicaID, kafkaID(r.ReplicaDirectoryID)}] = true
		if r.ReplicaID == p.LeaderID || latest-r.LastCaughtUpTimestamp <= pace.Of(voterLag).Milliseconds() {
			alive++
		}
	}
	if 2*alive > len(voters) {
		q.full = now
	}
	// A leader that is new learns within a moment who follows.
	q.blame(now, now.Sub(q.full) > pace.Of(voterLag), "%d of %d voters are caught up", alive, len(voters))
	if !maps.Equal(voters, q.voters) {
		several := q.voters != nil && differing(voters, q.voters) > 1
		q.blame(now, several, "%s became %s at once", listed(q.voters), listed(voters))
		q.history = append(
			q.history,
			fmt.Sprintf("%.1fs %s, leader %d", now.Sub(q.began).Seconds(), listed(voters), p.LeaderID),
		)
		q.voters = voters
	}
}

// blame keeps the first findings; a long trouble is seen many times.
func (q *quorumLog) blame(now time.Time, isWrong bool, format string, args ...any) {
	if isWrong && len(q.wrong) < 10 {
		q.wrong = append(q.wrong, fmt.Sprintf("%.1fs: ", now.Sub(q.began).Seconds())+fmt.Sprintf(format, args...))
	}
}

// differing counts the members that only one of two quorums has.
func differing(a, b map[voter]bool) int {
	n := 0
	for v := range a {
		if !b[v] {
			n++
		}
	}
	for v := range b {
		if !a[v] {
			n++
		}
	}
	return n
}

func listed(voters map[voter]bool) string {
	byName := func(a, b voter) int { return strings.Compare(a.String(), b.String()) }
	return fmt.Sprint(slices.SortedFunc(maps.Keys(voters), byName))
}

func (q *quorumLog) String() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return "\n  " + strings.Join(q.history, "\n  ")
}

// disks are the directory ids of the voters, by node id.
func (q *quorumLog) disks() map[int32]string {
	q.mu.Lock()
	defer q.mu.Unlock()
	disks := map[int32]string{}
	for v := range q.voters {
		disks[v.id] = v.disk
	}
	return disks
}

// mustHaveHeld ends the record and fails unless there was a majority all along, and one change at a time.
func (q *quorumLog) mustHaveHeld(t *testing.T) {
	t.Helper()
	q.stop()
	say(t, "the quorum:%s", q)
	if len(q.wrong) > 0 {
		t.Errorf("the quorum did not hold:\n  %s", strings.Join(q.wrong, "\n  "))
	}
}

// waitVoters waits until the voters are these.
func (q *quorumLog) waitVoters(t *testing.T, within time.Duration, ids ...int32) {
	t.Helper()
	eventually(t, within, fmt.Sprintf("the voters are %v", ids), func(context.Context) error {
		if now := slices.Sorted(maps.Keys(q.disks())); !slices.Equal(now, ids) {
			return fmt.Errorf("they are %v", now)
		}
		return nil
	})
}
