package user

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/controllers/batch"
	"github.com/castellan-dev/castellan/internal/kafka"
	"github.com/castellan-dev/castellan/internal/mechanism"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/users"
)

// Which state of a file of PLAIN users, or of a list of certificates, a broker has read, one login tells for all users
// together: that of the marker in the file; see plainauth.Marker.

// fileKind is one of the two kinds of files that brokers read.
type fileKind struct {
	store     mechanism.Store
	mechanism v1alpha1.Mechanism
	entry     string // of the first part, in its Secret
	in        func(users.Part) []byte
	places    func(*users.Spread) map[string]int
	// What messages call one file, all of them, and whoever stands there.
	file, files, users string
	issue              func(p *userPass, part int) (*marker, error)
}

var fileKinds = []fileKind{
	{
		store: mechanism.PasswordFile, mechanism: v1alpha1.MechanismPlain, entry: render.UsersEntry,
		in:     func(p users.Part) []byte { return p.Users },
		places: func(s *users.Spread) map[string]int { return s.Of },
		file:   "the file of PLAIN users", files: "the files of PLAIN users", users: "PLAIN users",
		issue: (*userPass).passwordMarker,
	},
	{
		store: mechanism.CertificateFile, mechanism: v1alpha1.MechanismTLS, entry: render.CertificatesEntry,
		in:     func(p users.Part) []byte { return p.Certificates },
		places: func(s *users.Spread) map[string]int { return s.Certified },
		file:   "the list of certificates", files: "the lists of certificates", users: "users with certificates",
		issue: (*userPass).certificateMarker,
	},
}

// kindOf is the kind of file in which users of a mechanism stand; nil = in none.
func kindOf(m v1alpha1.Mechanism) *fileKind {
	for n := range fileKinds {
		if mechanism.Uses([]v1alpha1.Mechanism{m}, fileKinds[n].store) {
			return &fileKinds[n]
		}
	}
	return nil
}

// fileFault says why a broker does not act by a file as it is now.
type fileFault string

func (f fileFault) Error() string { return string(f) }

func (k *fileKind) notRead() error { return fileFault("it has not read " + k.file + " as it is now") }

func (k *fileKind) noLine() error { return fileFault(k.files + " have no line of it") }

// unmounted says that a broker does not mount the Secret in which a user stands, and how many it sees.
func (k *fileKind) unmounted(sees int) error {
	return fileFault(fmt.Sprintf("it has to restart to see more than %d %s", sees, k.users))
}

// filePart is one of the files of a cluster.
type filePart struct {
	store mechanism.Store
	part  int
}

// markedFile is one of the files of a cluster's users.
type markedFile struct {
	cluster types.NamespacedName
	filePart
}

// marker is that of the last state of a file that was written. Who has not written it does not know its password or
// its key, which is nowhere else.
type marker struct {
	line       plainauth.Marker
	credential mechanism.Credential
	seen       map[int32]time.Time // when the processes of the brokers were started that have let it in
}

// mayMark tells whether a file can have a marker that brokers let in. A list of certificates has none where nobody can
// sign it, or no listener asks for certificates: each user is tried then.
func (p *userPass) mayMark(k *fileKind) bool {
	if k.store != mechanism.CertificateFile {
		return true
	}
	_, offered := users.For(users.Endpoints(p.host, []v1alpha1.Mechanism{k.mechanism}), k.mechanism)
	return p.clients.exists && offered
}

func (p *userPass) passwordMarker(part int) (*marker, error) {
	password, err := users.NewPassword(rand.Reader)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, plainauth.MinSaltBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	name := plainauth.MarkerName(part)
	entry, err := plainauth.Hash(name, password, salt, plainauth.MinIterations)
	return &marker{line: entry, credential: mechanism.Credential{Username: name, Password: password}}, err
}

// certificateMarker has the certificate of a user. One that stands in no list is refused by its subject, as theirs are.
func (p *userPass) certificateMarker(int) (*marker, error) {
	leaf, err := pki.Issue(p.clients.Authority, markerRequest, p.r.Clock.Now())
	if err != nil {
		return nil, fmt.Errorf("marker of the list of certificates: %w", err)
	}
	certificate, err := leaf.Certificate()
	if err != nil {
		return nil, fmt.Errorf("marker of the list of certificates: %w", err)
	}
	return &marker{line: plainauth.CertificateOf(plainauth.ListMarker, certificate),
		credential: mechanism.Credential{Username: plainauth.ListMarker, Certificate: leaf.CertPEM, Key: leaf.KeyPEM}}, nil
}

var markerRequest = pki.UserRequest(plainauth.ListMarker)

// good tells whether brokers that read a marker let it in: a certificate has to be of the authority that there is, and
// in force.
func (p *userPass) good(m *marker) bool {
	leaf := pki.Leaf{CertPEM: m.credential.Certificate, KeyPEM: m.credential.Key}
	return len(leaf.CertPEM) == 0 || pki.InForce(leaf, markerRequest, p.clients.Authority, p.r.Clock.Now())
}

// mark gives a file a new marker if it is to be written, and else leaves it with that it has. anew: it gets one as well
// if nobody knows that which it has.
func (p *userPass) mark(k *fileKind, part int, file, current []byte, writes, anew bool) ([]byte, error) {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	key := markedFile{p.pass.Cluster.Key, filePart{k.store, part}}
	known := p.r.markers[key]
	// Somebody else has written it, or we did and do not know; or no broker takes it any more.
	if known != nil && (!plainauth.Bears(current, known.line) || !p.good(known)) {
		delete(p.r.markers, key)
		known = nil
	}
	may := file != nil && p.mayMark(k)
	switch {
	case !writes && (known != nil || !anew || !may):
		return current, nil
	case !may:
		delete(p.r.markers, key)
		return file, nil
	}
	m, err := k.issue(p, part)
	if err != nil {
		return nil, err
	}
	m.seen = map[int32]time.Time{}
	p.r.markers[key] = m
	return plainauth.Marked(file, m.line), nil
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

// reads is what brokers have read of the files of users.
type reads struct {
	spread  *users.Spread
	markers map[filePart]*marker // those that are known
	seen    map[int32]int        // how many parts a broker mounts; not in it = all
	failed  map[look]error       // nil = it has read that part; not in it = it was not asked
}

// look is one file, as one broker has it.
type look struct {
	broker int32
	filePart
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
// user that goes all, as nobody knows any more where it stood. A further Secret that has no list never had one.
func (r *reads) needs(t *probe) (all []look) {
	k := kindOf(t.mechanism)
	of, has := k.places(r.spread)[t.item.claim.Name]
	for part := range r.sees(t.node) {
		there := part == 0 || k.in(r.spread.Parts[part]) != nil
		if there && (t.goes() || has && part <= of) {
			all = append(all, look{t.node, filePart{k.store, part}})
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
	k := kindOf(t.mechanism)
	if part, has := k.places(r.spread)[t.item.claim.Name]; !t.goes() && !has {
		return true, k.noLine()
	} else if !t.goes() && part >= r.sees(t.node) {
		return true, k.unmounted(r.usersIn(k, r.sees(t.node)))
	}
	for _, l := range r.needs(t) {
		switch err, asked := r.failed[l]; {
		case r.markers[l.filePart] == nil && t.goes() && k.store == mechanism.PasswordFile: // it is marked anew first
			return true, k.notRead()
		case r.markers[l.filePart] == nil:
			return false, nil
		case asked && err != nil:
			return true, err
		}
	}
	return true, nil
}

// usersIn is how many users stand in the first parts.
func (r *reads) usersIn(k *fileKind, parts int) (n int) {
	for _, part := range k.places(r.spread) {
		if part < parts {
			n++
		}
	}
	return n
}

// awaitRead asks each broker, of which something is to be seen about users in files, whether it has read the files as
// they are now. nil = nobody can tell, because there are none.
func (p *userPass) awaitRead(ctx context.Context, probes []*probe) *reads {
	if p.files == nil {
		return nil
	}
	r := &reads{spread: p.files, markers: map[filePart]*marker{}, failed: map[look]error{}}
	p.r.mu.Lock()
	for part := range p.files.Parts {
		for _, k := range fileKinds {
			f := filePart{k.store, part}
			if m := p.r.markers[markedFile{p.pass.Cluster.Key, f}]; m != nil {
				r.markers[f] = m
			}
		}
	}
	p.r.mu.Unlock()
	var looks []look
	kinds := map[look]*fileKind{}
	for _, t := range probes {
		k := kindOf(t.mechanism)
		if k == nil {
			continue
		}
		if r.seen == nil {
			r.seen = p.mounted(ctx)
		}
		for _, l := range r.needs(t) {
			if r.markers[l.filePart] != nil && kinds[l] == nil {
				looks, kinds[l] = append(looks, l), k
			}
		}
	}
	limit := p.r.readLimit
	if !p.wrote {
		limit = 0
	}
	waits, cancel := context.WithTimeout(ctx, limit) // one for all of them, however many there are
	defer cancel()
	var mu sync.Mutex
	batch.Each(probers, looks, func(l look) {
		err := p.reading(ctx, waits, kinds[l], r.markers[l.filePart], l.broker)
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
		return map[int32]int{}
	}
	return seen
}

const (
	// readLimit bounds the wait, within the flush that has written a file, for brokers to read it. A kubelet whose pod was
	// touched takes a part of that; else each user would say first that a broker is behind, and then that it is not.
	readLimit = 1500 * time.Millisecond
	// readPause is before the second look, and doubles: each look that comes too early is a line in the broker's log.
	readPause = 100 * time.Millisecond
)

// reading looks whether one broker has read the state of a file, and goes on looking until the wait ends. The last look
// is at its end.
func (p *userPass) reading(ctx, waits context.Context, k *fileKind, m *marker, broker int32) error {
	for wait := p.r.readPause; ; wait *= 2 {
		err := p.read(ctx, k, m, broker)
		if !errors.Is(err, k.notRead()) || waits.Err() != nil {
			return err
		}
		_ = pause(waits, wait)
	}
}

// errWithdrawn: a listener goes from the status before brokers restart without it.
var errWithdrawn = errors.New("no listener offers it any more, and the broker may be still to restart for that")

// withdrawn tells that brokers may still offer what no listener does by the status, because not every node runs what
// the spec of the cluster asks for; nil = they do not.
func (p *userPass) withdrawn() error {
	c := p.pass.Cluster.Object
	if !p.host.External && (meta.IsStatusConditionFalse(c.Status.Conditions, v1alpha1.ConditionReady) ||
		c.Status.ObservedGeneration < c.Generation) {
		return errWithdrawn
	}
	return nil
}

// read tells whether one broker has read the state of a file that its marker stands for.
func (p *userPass) read(ctx context.Context, k *fileKind, m *marker, broker int32) error {
	endpoint, ok := users.For(users.Endpoints(p.host, []v1alpha1.Mechanism{k.mechanism}), k.mechanism)
	if !ok {
		return p.withdrawn() // else no listener offers it any more, and whoever is tried is told so
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
	row, _ := mechanism.Of(k.mechanism)
	login := row.Login(m.credential)
	login.Silent = true // which is for passwords: whether a certificate is taken shows at a request alone
	err := p.logIn(ctx, endpoint, broker, login)
	p.r.heard(at, err)
	switch {
	case errors.Is(err, kafka.ErrAuthenticationFailed):
		return k.notRead()
	case err != nil:
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	m.seen[broker] = at.startedAt
	return nil
}
