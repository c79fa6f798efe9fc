package user

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/users"
)

// SCRAM credentials, ACLs and quotas stand in Kafka's metadata log. Which of its records a broker acts by, it tells for
// all users together; see kafka.UserAdmin.

const (
	// loadLimit bounds the wait for one broker within a flush. It is several times the half second after which also an
	// idle cluster's log grows.
	loadLimit = 5 * time.Second
	loadPause = 50 * time.Millisecond
)

var (
	errNotLoaded = errors.New("it has not loaded what was written")
	errNoQuorum  = errors.New("the metadata quorum does not say what has been written")
)

// loads says of each broker why it does not act yet by all that stood in the metadata log; nil = it does. A nil map:
// nobody can tell.
type loads map[int32]error

// inLog tells whether the credentials of a mechanism stand in the metadata log.
func inLog(m v1alpha1.Mechanism) bool {
	return mechanism.Uses([]v1alpha1.Mechanism{m}, mechanism.ScramCredentials)
}

// awaitLoaded waits until the brokers act by all that stands in the metadata log, if something is to be seen of that.
// Of other people's clusters nothing is told but by logins: they may be older, or not let the operator ask.
func (p *userPass) awaitLoaded(ctx context.Context, admin kafka.UserAdmin, brokers []int32, probes []*probe) loads {
	asks := slices.ContainsFunc(probes, func(t *probe) bool { return inLog(t.mechanism) }) ||
		slices.ContainsFunc(p.items, p.unproven)
	if p.host.External || !asks || len(brokers) == 0 {
		return nil
	}
	end, err := admin.MetadataEnd(ctx)
	if err != nil {
		return nil
	}
	seen := loads{}
	var mu sync.Mutex
	batch.Each(len(brokers), brokers, func(id int32) {
		err := p.load(ctx, admin, id, end)
		mu.Lock()
		defer mu.Unlock()
		seen[id] = err
	})
	if !slices.ContainsFunc(slices.Collect(maps.Values(seen)), func(err error) bool { return err != nil }) {
		p.r.mu.Lock()
		defer p.r.mu.Unlock()
		for _, i := range p.items {
			delete(p.r.unloaded, p.keyOf(i))
		}
	}
	return seen
}

// load waits until one broker has shown an image of the metadata with everything below the end, and then another.
func (p *userPass) load(ctx context.Context, admin kafka.UserAdmin, broker int32, end int64) error {
	at := p.door(broker, "")
	if err := p.r.silent(at); err != nil {
		return err
	}
	err := p.loading(ctx, admin, broker, end)
	p.r.heard(at, err)
	return err
}

func (p *userPass) loading(ctx context.Context, admin kafka.UserAdmin, broker int32, end int64) error {
	ctx, cancel := context.WithTimeout(ctx, p.r.loadLimit)
	defer cancel()
	for answered, shown := false, int64(-1); ; answered = true {
		offset, err := admin.Loaded(ctx, broker)
		switch {
		case err != nil && answered && ctx.Err() != nil:
			return errNotLoaded
		case err != nil:
			return err
		case shown >= 0 && offset > shown:
			return nil
		case shown < 0 && offset >= end-1:
			shown = offset
		}
		if pause(ctx, p.r.loadPause) != nil {
			return errNotLoaded
		}
	}
}

// pause waits, or returns an error as soon as the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (p *userPass) keyOf(i *userItem) batch.Key {
	return batch.Key{Cluster: p.pass.Cluster.Key, Name: i.claim.Name}
}

// noteWritten remembers whose entries in the metadata log are about to be changed, until every broker acts by them.
func (p *userPass) noteWritten(changes users.Changes, byName map[string]*userItem) {
	names := slices.Collect(maps.Keys(changes.Quotas))
	for _, a := range slices.Concat(changes.CreateACLs, changes.DeleteACLs) {
		names = append(names, nameOf(a.Principal))
	}
	for _, u := range changes.Upserts {
		names, byName[u.User].credentialsWritten = append(names, u.User), true
	}
	for _, d := range changes.Deletions {
		names, byName[d.User].credentialsWritten = append(names, d.User), true
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	for _, name := range names {
		if i := byName[name]; i != nil && !p.host.External {
			p.r.unloaded[p.keyOf(i)] = true
		}
	}
}

// unproven tells whether something of a user in the metadata log may not be in force everywhere: it was written by this
// process, or by one before, of which nobody said that it is in force.
func (p *userPass) unproven(i *userItem) bool {
	if !i.changes() || p.host.External {
		return false
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	return p.r.unloaded[p.keyOf(i)] || i.takesAway() || !kafkaUsers.IsReady(i.claim.Holder) && p.mayStandInLog(i)
}

// mayStandInLog tells whether there may be something of a holder in the metadata log.
func (p *userPass) mayStandInLog(i *userItem) bool {
	return len(i.desired.ACLs)+len(i.desired.Quotas) > 0 || slices.ContainsFunc(i.desired.Mechanisms, inLog) ||
		p.mayHaveACLs(i)
}

// unloaded lists the brokers that do not act yet by what stands of a user in the metadata log, but for those of which
// more is said already. lag: one of them has answered.
func (p *userPass) unloaded(i *userItem, seen loads, said map[int32]bool) (open []string, lag bool) {
	if !p.unproven(i) {
		return nil, false
	}
	if seen == nil {
		return []string{errNoQuorum.Error()}, true
	}
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		if err := seen[id]; err != nil && !said[id] {
			open, lag = append(open, fmt.Sprintf("broker %d: %s", id, unloadedWord(err))), lag || !unasked(err)
		}
	}
	return open, lag
}

func unloadedWord(err error) string {
	if errors.Is(err, errNoAddress) || errors.Is(err, errWithdrawn) || isBehind(err) {
		return err.Error()
	}
	return "no answer"
}

// isBehind tells that a broker has answered, and has not read or loaded yet what it has to.
func isBehind(err error) bool {
	_, fault := errors.AsType[fileFault](err)
	return fault || errors.Is(err, errNotLoaded)
}
