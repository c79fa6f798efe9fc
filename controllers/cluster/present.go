package cluster

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/decide"
)

const (
	// showTimeout bounds what one broker is asked in one pass: a handshake a listener, and the request to read anew.
	showTimeout = 2 * time.Second
	// showFirst is a little more than a kubelet needs to refresh a mount after its pod was touched. The time doubles with
	// each attempt from the third on, up to whenAtRest.
	showFirst = 300 * time.Millisecond
	// mountsRefreshed is after how long a kubelet has refreshed a mount, whether or not its pod was touched.
	mountsRefreshed = 3 * time.Minute
	// showAtOnce is how many brokers of a cluster are asked side by side.
	showAtOnce = 32
	// showPatience is after how many attempts the status says what may be wrong: some twenty seconds.
	showPatience = 6
)

// proofs remember what each broker was seen to show, so that a cluster at rest is asked nothing. A new leader asks each
// listener once.
type proofs struct {
	mu      sync.Mutex
	brokers map[types.NamespacedName]map[int32]proof
}

// proof is what is known of one process.
type proof struct {
	podUID    string
	startedAt time.Time
	digest    string // of what it has to show
	seen      bool   // it shows that
	attempts  int
	next      time.Time // when to look again
	missing   string    // what was missing when it was last looked at; empty = nothing is known
}

// of is what is known of a broker that has this to show. What is known of an earlier process, or of earlier
// certificates, proves nothing.
func (p *proofs) of(cluster types.NamespacedName, want decide.Presenting) proof {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.brokers[cluster][want.Node]
	if known.podUID != want.PodUID || !known.startedAt.Equal(want.StartedAt) || known.digest != want.Digest {
		return proof{podUID: want.PodUID, startedAt: want.StartedAt, digest: want.Digest}
	}
	return known
}

// keep remembers what is known of the brokers that there are, and forgets the others.
func (p *proofs) keep(cluster types.NamespacedName, known map[int32]proof) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.brokers == nil {
		p.brokers = map[types.NamespacedName]map[int32]proof{}
	}
	p.brokers[cluster] = known
}

func (p *proofs) forget(cluster types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.brokers, cluster)
}

// present sees to it that running brokers show the certificates that their Secrets hold. A broker that shows another
// one has its mounts refreshed, and is then told to read its key stores. Whether it did only the next handshake says:
// Kafka answers that all is well whatever comes of it.
func (r *Reconciler) present(ctx context.Context, s *scope) error {
	known := map[int32]proof{}
	type asked struct {
		want  decide.Presenting
		proof proof
		err   error
	}
	var due []*asked
	for _, want := range s.decision.Presenting {
		p := r.proofs.of(s.key(), want)
		known[want.Node] = p
		if !p.seen && !s.seen.Now.Before(p.next) {
			due = append(due, &asked{want: want, proof: p})
		}
	}
	var all sync.WaitGroup
	places := make(chan struct{}, showAtOnce)
	for _, a := range due {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			a.proof, a.err = r.show(ctx, s, a.want, a.proof)
		})
	}
	all.Wait()
	var errs []error
	for _, a := range due {
		known[a.want.Node], errs = a.proof, append(errs, a.err)
	}
	r.proofs.keep(s.key(), known)
	for _, want := range s.decision.Presenting {
		p := known[want.Node]
		if p.seen {
			continue
		}
		s.lookAgain(max(whenBehind, p.next.Sub(s.seen.Now)))
		if p.missing != "" {
			s.presenting = append(s.presenting, p.missing)
		}
	}
	return errors.Join(errs...)
}

// show looks at what one broker shows, and where that is not what it should be takes the next step towards it.
func (r *Reconciler) show(ctx context.Context, s *scope, want decide.Presenting, p proof) (proof, error) {
	looking, looked := context.WithTimeout(ctx, showTimeout)
	behind, err := r.differing(looking, want)
	looked()
	ctx, cancel := context.WithTimeout(ctx, showTimeout) // a listener that is silent has used up the other
	defer cancel()
	shows := behind == "" && err == nil
	if shows && !want.MustReread() {
		p.seen, p.missing = true, ""
		return p, nil
	}
	p.next = s.seen.Now.Add(min(whenAtRest, showFirst<<min(max(p.attempts-1, 0), 10)))
	p.attempts++
	if shows {
		return r.reread(ctx, s, want, p)
	}
	if behind == "" {
		if p.missing = ""; want.Renewed() {
			p.missing = fmt.Sprintf("broker %d cannot be asked whether it shows its new certificate: %v", want.Node, err)
		}
		return p, nil
	}
	p.missing = fmt.Sprintf("broker %d does not show its new certificate on listener %s yet", want.Node, behind)
	if p.attempts > showPatience {
		p.missing += "; its log says why, after \"Encountered metadata publishing fault\", and a restart of it helps"
	}
	if want.Touched != want.Digest {
		return p, r.touchPod(ctx, s, want, want.Digest)
	}
	admin, err := r.Connections.Admin(ctx, s.base)
	if err == nil {
		err = admin.ReloadCertificates(ctx, want.Node)
	}
	if err != nil {
		p.missing = fmt.Sprintf("broker %d cannot be told to read its new certificate: %v", want.Node, err)
	}
	return p, nil
}

// reread has a broker read whom it trusts about clients. Nothing shows that it has: so it is told again and again until
// the kubelet has refreshed its mounts whatever happened, and that is noted at the pod, for whoever leads next.
func (r *Reconciler) reread(ctx context.Context, s *scope, want decide.Presenting, p proof) (proof, error) {
	p.missing = ""
	if want.Touched != want.Digest {
		return p, r.touchPod(ctx, s, want, want.Digest)
	}
	admin, err := r.Connections.Admin(ctx, s.base)
	if err == nil {
		err = admin.ReloadCertificates(ctx, want.Node)
	}
	switch {
	case err != nil:
		p.missing = fmt.Sprintf("broker %d cannot be told to read who signs certificates of clients: %v", want.Node, err)
	case !s.seen.Now.Before(want.TrustChanged.Add(mountsRefreshed)):
		p.seen = true
		return p, r.touchPod(ctx, s, want, want.Digest+decide.RereadMark)
	}
	return p, nil
}

// differing names the first listener that shows another certificate than it should. An error is that of a listener that
// did not answer, where none was seen to differ.
func (r *Reconciler) differing(ctx context.Context, want decide.Presenting) (listener string, err error) {
	shown := make([]connect.Sight, len(want.Listeners))
	errs := make([]error, len(want.Listeners))
	var all sync.WaitGroup
	for i, l := range want.Listeners {
		all.Go(func() { shown[i], errs[i] = r.Shown(ctx, l.Address) })
	}
	all.Wait()
	for i, l := range want.Listeners {
		if errs[i] == nil && (!slices.EqualFunc(shown[i].Chain, l.Chain(), (*x509.Certificate).Equal) ||
			!l.Trusts(shown[i].ClientAuthorities)) {
			return l.Listener, nil
		}
	}
	return "", errors.Join(errs...)
}

// touchPod has the kubelet refresh the mounts of the very pod at once, and not within a minute or two.
func (r *Reconciler) touchPod(ctx context.Context, s *scope, want decide.Presenting, note string) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: s.base.Namespace, Name: want.Pod, UID: types.UID(want.PodUID)}}
	touched := map[string]any{"annotations": map[string]string{v1alpha1.AnnotationCertificates: note}}
	if err := apply.IgnoreGone(r.patch(ctx, pod, touched, nil)); err != nil {
		return fmt.Errorf("touch pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
