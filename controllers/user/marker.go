package user

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/users"
)

// Which state of a file of PLAIN users a broker has read, one login tells for all users together: that of the marker
// in the file; see plainauth.MarkerName.

var (
	errNotRead = errors.New("it has not read the file of PLAIN users as it is now")
	errNoLine  = errors.New("the files of PLAIN users have no line of it")
)

// unmountedError says that a broker does not mount the Secret in which a user stands.
type unmountedError struct{ sees int } // how many PLAIN users it sees

func (e unmountedError) Error() string {
	return fmt.Sprintf("it has to restart to see more than %d PLAIN users", e.sees)
}

// markedFile is one of the files of a cluster's PLAIN users.
type markedFile struct {
	cluster types.NamespacedName
	part    int
}

// marker is that of the last state of a file that was written. Who has not written it does not know its password, which
// is nowhere else.
type marker struct {
	entry    plainauth.Entry
	password string
	seen     map[int32]time.Time // when the processes of the brokers were started that have let it in
}

// mark gives a file a new marker if it is to be written, and else leaves it with that it has. anew: it gets one as well
// if nobody knows the password of that which it has.
func (p *userPass) mark(part int, file, current []byte, writes, anew bool) ([]byte, error) {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	key := markedFile{p.pass.Cluster.Key, part}
	known := p.r.markers[key]
	if known != nil && !plainauth.Bears(current, known.entry) { // somebody else has written it, or we did and do not know
		delete(p.r.markers, key)
		known = nil
	}
	if !writes && (known != nil || !anew) {
		return current, nil
	}
	password, err := users.NewPassword(rand.Reader)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, plainauth.MinSaltBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	entry, err := plainauth.Hash(plainauth.MarkerName(part), password, salt, plainauth.MinIterations)
	if err != nil {
		return nil, err
	}
	p.r.markers[key] = &marker{entry: entry, password: password, seen: map[int32]time.Time{}}
	return plainauth.Marked(file, entry), nil
}

// forgetMarkers is for a cluster without files.
func (p *userPass) forgetMarkers() {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	p.r.dropMarkers(p.pass.Cluster.Key)
}

func (r *Reconciler) dropMarkers(cluster types.NamespacedName) {
	maps.DeleteFunc(r.markers, func(f markedFile, _ *marker) bool { return f.cluster == cluster })
}

// reads is what brokers have read of the files of PLAIN users.
type reads struct {
	spread *users.Spread
	known  map[int]bool   // the parts whose marker is known
	seen   map[int32]int  // how many parts a broker mounts; not in it = all
	failed map[look]error // nil = it has read that part; not in it = it was not asked
}

// look is one file, as one broker has it.
type look struct {
	broker int32
	part   int
}

// sees is how many of the parts that there are a broker mounts.
func (r *reads) sees(broker int32) int {
	if n, known := r.seen[broker]; known {
		return min(n, len(r.spread.Parts))
	}
	return len(r.spread.Parts)
}

// needs are the files that a broker has to have read before anything is known of one probe: that in which a user
// stands, and those before it, as a line that it has there in a broker's late file counts in place of its own; of a
// user that goes all, as nobody knows any more where it stood.
func (r *reads) needs(t *probe) (all []look) {
	for part := range r.sees(t.node) {
		if of, has := r.spread.Of[t.item.claim.Name]; t.goes() || has && part <= of {
			all = append(all, look{t.node, part})
		}
	}
	return all
}

// of says why a broker does not act yet by the files as they are now, as far as one probe goes; nil = it does. known:
// somebody can tell.
func (r *reads) of(t *probe) (known bool, err error) {
	if r == nil {
		return false, nil
	}
	if part, has := r.spread.Of[t.item.claim.Name]; !t.goes() && !has {
		return true, errNoLine
	} else if !t.goes() && part >= r.sees(t.node) {
		return true, unmountedError{r.usersIn(r.sees(t.node))}
	}
	for _, l := range r.needs(t) {
		switch err, asked := r.failed[l]; {
		case !r.known[l.part] && t.goes(): // it is marked anew first
			return true, errNotRead
		case !r.known[l.part]:
			return false, nil
		case asked && err != nil:
			return true, err
		}
	}
	return true, nil
}

// usersIn is how many PLAIN users stand in the first parts.
func (r *reads) usersIn(parts int) (n int) {
	for _, part := range r.spread.Of {
		if part < parts {
			n++
		}
	}
	return n
}

// awaitRead asks each broker, of which something is to be seen about PLAIN users, whether it has read the files as they
// are now. nil = nobody can tell, because there are none.
func (p *userPass) awaitRead(ctx context.Context, probes []*probe) *reads {
	inFiles := slices.DeleteFunc(slices.Clone(probes), func(t *probe) bool {
		return !inFile([]v1alpha1.Mechanism{t.mechanism})
	})
	if p.files == nil || len(inFiles) == 0 {
		return nil
	}
	r := &reads{spread: p.files, known: map[int]bool{}, failed: map[look]error{}}
	markers := map[int]*marker{}
	p.r.mu.Lock()
	for part := range p.files.Parts {
		if m := p.r.markers[markedFile{p.pass.Cluster.Key, part}]; m != nil {
			r.known[part], markers[part] = true, m
		}
	}
	p.r.mu.Unlock()
	r.seen = p.mounted(ctx)
	var looks []look
	for _, t := range inFiles {
		for _, l := range r.needs(t) {
			if r.known[l.part] && !slices.Contains(looks, l) {
				looks = append(looks, l)
			}
		}
	}
	endpoints := users.Endpoints(p.host, []v1alpha1.Mechanism{v1alpha1.MechanismPlain})
	var mu sync.Mutex
	batch.Each(probers, looks, func(l look) {
		err := p.read(ctx, markers[l.part], l, endpoints)
		mu.Lock()
		defer mu.Unlock()
		r.failed[l] = err
	})
	return r
}

// mounted is how many of the files each broker mounts, as its pod is now: what a pod does not mount, and whatever comes
// after it mounts as it is by now, needs no proof. Where that is not known, a broker has all.
func (p *userPass) mounted(ctx context.Context) map[int32]int {
	seen, err := p.partsSeen(ctx, p.r.Client)
	if err == nil && least(seen) < len(p.files.Parts) {
		seen, err = p.partsSeen(ctx, p.r.apiReader) // the cache may be behind
	}
	if err != nil {
		return nil
	}
	return seen
}

// read tells whether one broker has read the state of a file that its marker stands for.
func (p *userPass) read(ctx context.Context, m *marker, l look, endpoints []users.Endpoint) error {
	endpoint, ok := users.For(endpoints, v1alpha1.MechanismPlain)
	if !ok {
		return nil // no listener offers it any more, and whoever is tried is told so
	}
	at := p.door(l.broker, endpoint.Listener)
	p.r.mu.Lock()
	since, known := m.seen[l.broker]
	p.r.mu.Unlock()
	if known && since.Equal(at.startedAt) {
		return nil
	}
	if err := p.r.silent(at); err != nil {
		return err
	}
	row, _ := mechanism.Of(v1alpha1.MechanismPlain)
	login := row.Login(mechanism.Credential{Username: plainauth.MarkerName(l.part), Password: m.password})
	login.Silent = true
	err := p.logIn(ctx, endpoint, l.broker, login)
	p.r.heard(at, err)
	switch {
	case errors.Is(err, kafka.ErrAuthenticationFailed):
		return errNotRead
	case err != nil:
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	m.seen[l.broker] = at.startedAt
	return nil
}
