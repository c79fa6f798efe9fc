package user

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/users"
)

// Which state of the file of PLAIN users a broker has read, one login tells for all users together: that of the marker
// in the file; see plainauth.MarkerName.

// markerRoom is a little more than the marker takes in the file.
const markerRoom = 200

var errNotRead = errors.New("it has not read the file of PLAIN users as it is now")

// marker is that of the last state of a cluster's file that was written. Who has not written it does not know its
// password, which is nowhere else.
type marker struct {
	entry    plainauth.Entry
	password string
	seen     map[int32]time.Time // when the processes of the brokers were started that have let it in
}

// mark gives a file a new marker if it is to be written, and else leaves it with that it has.
func (p *userPass) mark(file, current []byte, writes bool) ([]byte, error) {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	known := p.r.markers[p.pass.Cluster.Key]
	if !writes {
		if known != nil && !plainauth.Bears(current, known.entry) { // somebody else has written it, or we did and do not know
			delete(p.r.markers, p.pass.Cluster.Key)
		}
		return current, nil
	}
	password, err := users.NewPassword(rand.Reader)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, plainauth.MinSaltBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	entry, err := plainauth.Hash(plainauth.MarkerName, password, salt, plainauth.MinIterations)
	if err != nil {
		return nil, err
	}
	p.r.markers[p.pass.Cluster.Key] = &marker{entry: entry, password: password, seen: map[int32]time.Time{}}
	return plainauth.Marked(file, entry), nil
}

// forgetMarker is for a cluster without a file.
func (p *userPass) forgetMarker() {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	delete(p.r.markers, p.pass.Cluster.Key)
}

// awaitRead asks each broker, of which something is to be seen about PLAIN users, whether it has read the file as it is
// now. A nil map: nobody can tell, because the operator has not written the file itself since it was started.
func (p *userPass) awaitRead(ctx context.Context, probes []*probe) loads {
	p.r.mu.Lock()
	m := p.r.markers[p.pass.Cluster.Key]
	p.r.mu.Unlock()
	if m == nil {
		return nil
	}
	var brokers []int32
	for _, t := range probes {
		if inFile([]v1alpha1.Mechanism{t.mechanism}) && !slices.Contains(brokers, t.node) {
			brokers = append(brokers, t.node)
		}
	}
	endpoints := users.Endpoints(p.host, []v1alpha1.Mechanism{v1alpha1.MechanismPlain})
	seen := loads{}
	var mu sync.Mutex
	batch.Each(probers, brokers, func(id int32) {
		err := p.read(ctx, m, id, endpoints)
		mu.Lock()
		defer mu.Unlock()
		seen[id] = err
	})
	return seen
}

// read tells whether one broker has read the state of the file that the marker stands for.
func (p *userPass) read(ctx context.Context, m *marker, broker int32, endpoints []users.Endpoint) error {
	endpoint, ok := users.For(endpoints, v1alpha1.MechanismPlain)
	if !ok {
		return nil // no listener offers it any more, and whoever is tried is told so
	}
	at := p.door(broker, endpoint.Listener)
	p.r.mu.Lock()
	since, known := m.seen[broker]
	p.r.mu.Unlock()
	if known && since.Equal(at.startedAt) {
		return nil
	}
	if err := p.r.silent(at); err != nil {
		return err
	}
	row, _ := mechanism.Of(v1alpha1.MechanismPlain)
	login := row.Login(mechanism.Credential{Username: plainauth.MarkerName, Password: m.password})
	login.Silent = true
	err := p.logIn(ctx, endpoint, broker, login)
	p.r.heard(at, err)
	switch {
	case errors.Is(err, kafka.ErrAuthenticationFailed):
		return errNotRead
	case err != nil:
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	m.seen[broker] = at.startedAt
	return nil
}
