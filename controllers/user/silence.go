package user

import (
	"errors"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// door is one listener of a broker, in one process of that.
type door struct {
	doorName
	startedAt time.Time
}

// doorName names a listener; without one it is that by which the operator asks Kafka.
type doorName struct {
	cluster  types.NamespacedName
	broker   int32
	listener string
}

// silence remembers the doors that gave no answer, so that nobody waits for them in every flush.
type silence struct {
	mu  sync.Mutex
	all map[doorName]quiet
}

type quiet struct {
	startedAt time.Time // of the process that gave none
	err       error
	until     time.Time // when it is tried again
	wait      time.Duration
}

func (p *userPass) door(broker int32, listener string) door {
	return door{doorName{p.pass.Cluster.Key, broker, listener}, serving(p.pass.Cluster.Object)[broker]}
}

// silent is the failure of the last attempt at a door, until the next one is due; nil = it may be tried.
func (r *Reconciler) silent(at door) error {
	r.silence.mu.Lock()
	defer r.silence.mu.Unlock()
	q, known := r.silence.all[at.doorName]
	if known && q.startedAt.Equal(at.startedAt) && r.Clock.Now().Before(q.until) {
		return q.err
	}
	return nil
}

// heard notes what came of an attempt. A door that goes on giving no answer is tried at growing intervals.
func (r *Reconciler) heard(at door, err error) {
	r.silence.mu.Lock()
	defer r.silence.mu.Unlock()
	if !errors.Is(err, errNotLoaded) && (!kafka.Unreachable(err) || notOffered(err)) {
		delete(r.silence.all, at.doorName)
		return
	}
	q := r.silence.all[at.doorName]
	if !q.startedAt.Equal(at.startedAt) {
		q.wait = 0
	}
	wait := min(max(2*q.wait, proveFirst), proveLimit)
	r.silence.all[at.doorName] = quiet{at.startedAt, err, r.Clock.Now().Add(wait), wait}
}

// forget drops what is remembered of the brokers of a cluster.
func (s *silence) forget(cluster types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.all, func(n doorName, _ quiet) bool { return n.cluster == cluster })
}
