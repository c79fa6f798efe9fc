package decide

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/exposure"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/provided"
)

// Presenting is what a running broker has to show to clients: the certificates that the Secret of its pool holds for
// the listeners that it runs. A broker reads them when it starts, and when it is told to.
type Presenting struct {
	Node      int32
	Pod       string
	PodUID    string
	StartedAt time.Time // of the process
	Listeners []Presented
	// Digest identifies the certificates of all listeners; Touched is that for which the pod was touched last.
	Digest, Touched string
	// TrustChanged is when whom its listeners trust about clients was changed last; zero = it is as at first. Reread tells
	// that the process was told to read what Touched stands for until it has.
	TrustChanged time.Time
	Reread       bool
}

// Presented is the certificate of one listener of one broker.
type Presented struct {
	Listener string // as in the spec
	Address  string // host:port on which the broker shows it
	// Certificate is the first one of the chain.
	Certificate *x509.Certificate
	Above       []*x509.Certificate // the others of the chain
	// ClientAuthorities sign the certificates of the listener's clients; none = it asks for no certificates.
	ClientAuthorities []*x509.Certificate
}

// Trusts tells whether a broker that says it trusts authorities with these subjects (DER) trusts those that it should,
// and no others. A broker that does not say so is not asked.
func (p Presented) Trusts(subjects [][]byte) bool {
	if len(p.ClientAuthorities) == 0 || len(subjects) == 0 {
		return true
	}
	wanted := map[string]bool{}
	for _, c := range p.ClientAuthorities {
		wanted[string(c.RawSubject)] = true
	}
	told := map[string]bool{}
	for _, s := range subjects {
		told[string(s)] = true
	}
	return maps.Equal(wanted, told)
}

// Chain is all that the broker shows.
func (p Presented) Chain() []*x509.Certificate {
	return slices.Concat([]*x509.Certificate{p.Certificate}, p.Above)
}

// Renewed tells that some certificate is newer than the process, which cannot have read it when it started.
func (p Presenting) Renewed() bool {
	return slices.ContainsFunc(p.Listeners, func(l Presented) bool {
		return l.Certificate.NotBefore.Add(pki.Backdating).After(p.StartedAt)
	})
}

// MustReread tells that the process may go by other authorities of clients than it should. It shows their subjects, and
// not their keys: of an authority with another key nothing tells which one it trusts.
func (p Presenting) MustReread() bool {
	return p.StartedAt.Before(p.TrustChanged.Add(mountLag)) && !p.TrustChanged.IsZero() &&
		(!p.Reread || p.Touched != p.Digest)
}

// RereadMark ends what is noted at a pod whose broker has been told to read anew until it has.
const RereadMark = " read"

// presenting lists the brokers that are up and have listeners with TLS, by node id. A listener whose certificate cannot
// be read is left out: it is about to be made anew.
func presenting(c *model.Cluster, o *model.Observation, live *observe.Live) []Presenting {
	var all []Presenting
	for i := range live.Pods {
		pod := &live.Pods[i]
		id, named := observe.NodeID(pod.Name)
		seen := o.Nodes[id].Pod
		if !named || !seen.IsUp() || seen.UID != string(pod.UID) || seen.Address == "" {
			continue
		}
		p := Presenting{Node: id, Pod: pod.Name, PodUID: seen.UID, StartedAt: seen.StartedAt}
		p.Touched, p.Reread = strings.CutSuffix(pod.Annotations[v1alpha1.AnnotationCertificates], RereadMark)
		secret := joined(live, c.ListenersSecrets(&model.Pool{Name: seen.Pool}))
		digest := sha256.New()
		for _, store := range seen.KeyStores {
			chain := chainIn(secret, store.Entry)
			if chain == nil {
				continue
			}
			_, listener, _ := strings.Cut(store.Entry, ".")
			authorities := clientAuthorities(secret, store.Trust)
			p.Listeners = append(p.Listeners, Presented{Listener: listener, Certificate: chain[0], Above: chain[1:],
				Address:           net.JoinHostPort(seen.Address, strconv.Itoa(int(store.Port))),
				ClientAuthorities: authorities})
			if changed := trustChanged(secret, listener); store.Trust != "" && changed.After(p.TrustChanged) {
				p.TrustChanged = changed
			}
			var raw []byte
			for _, certificate := range slices.Concat(chain, authorities) {
				raw = append(raw, certificate.Raw...)
			}
			raw = append(raw, secret.Data[model.Listener{Name: listener}.ClientRefused()]...)
			fmt.Fprintf(digest, "%s %x\n", store.Entry, sha256.Sum256(raw))
		}
		if len(p.Listeners) > 0 {
			p.Digest = hex.EncodeToString(digest.Sum(nil)[:8])
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Presenting) int { return cmp.Compare(a.Node, b.Node) })
	return all
}

// presented is the bundle with which an entry goes on, or the one that users provide for it; nil = it is to be issued,
// as the leaf then says.
func (a AuthorityState) presented(leaf *Leaf, existing pki.Leaf, now time.Time) []byte {
	_, listener, _ := strings.Cut(leaf.Entry, ".")
	outcome, signer := a.Listeners[listener], a.Authority
	switch {
	case outcome.Keeps(existing):
		return existing.Bundle()
	case outcome.Bundle != nil:
		return outcome.Bundle
	case outcome.Signer != nil:
		leaf.Signer, signer = outcome.Signer, outcome.Signer.Signs()
		leaf.Request = provided.Request(named(leaf.Names()))
		existing = outcome.Signer.Chained(existing)
	}
	if _, renew := pki.NeedsRenewal(existing, leaf.Request, signer, now, pki.LastThird); renew {
		return nil
	}
	return existing.Bundle()
}

// provide decides what becomes of the certificates that users provide, and notes in the model whom clients trust.
func (d *Decision) provide(in Inputs) {
	if d.Authority.Problem != "" { // nothing is written, and whom clients trust stays
		for i := range d.Model.Listeners {
			l := &d.Model.Listeners[i]
			l.Trust, l.TrustSince = trustOnRecord(in.Cluster, l.Name)
		}
		return
	}
	d.Authority.Listeners = map[string]provided.Outcome{}
	var names []string
	for i := range d.Model.Pools {
		names = append(names, d.Model.ListenersSecrets(&d.Model.Pools[i])...)
	}
	_, leaving := d.Model.Leaving(d.Observation)
	for _, pool := range leaving {
		names = append(names, d.Model.ListenersSecrets(pool)...)
	}
	secret, hosts := joined(in.Live, names), Hosts(in.Live.Pods)
	shown := sync.OnceValue(func() bool { return d.allShown(in) })
	held, _ := v1alpha1.Holds(in.Cluster.Annotations, v1alpha1.AnnotationHoldAuthority)
	for i := range d.Model.Listeners {
		l := &d.Model.Listeners[i]
		known := provided.Listener{
			Listener: *l, Authority: d.Model.ListenerAuthority, Window: d.Model.TrustWindow,
			Own: d.Authority.Anchors(), Held: held,
			Lacking: func(anchors []byte) []string { return in.lacking([]string{l.Name}, anchors) },
		}
		known.Recorded, known.Since = trustOnRecord(in.Cluster, l.Name)
		if !l.TLS || known.IsPlain() {
			continue
		}
		known.Names, known.Copies = namesToConnectTo(d.Model, *l, hosts)
		known.Entries, known.Shown = entriesOf(secret, l.Name), shown()
		outcome := known.Decide(in.Provided, in.Now)
		d.Authority.Listeners[l.Name], l.Trust = outcome, outcome.Trust
		l.TrustSince = outcome.Since
		d.tell(outcome)
	}
}

func (d *Decision) tell(o provided.Outcome) {
	if o.Fault != nil && !slices.Contains(d.Verdicts, *o.Fault) {
		d.Verdicts = append(d.Verdicts, *o.Fault)
	}
	if o.Waiting != "" {
		d.Waiting = append(d.Waiting, o.Waiting)
	}
	for _, warning := range []string{o.Warning, o.Left} {
		if warning != "" {
			d.Warnings = append(d.Warnings, warning)
		}
	}
}

// allShown tells whether every broker was seen to show what its Secret holds for the listeners that it runs.
func (d *Decision) allShown(in Inputs) bool {
	seen := map[int32]bool{}
	for _, p := range d.Presenting {
		if in.Shown == nil || !in.Shown(p) {
			return false
		}
		seen[p.Node] = true
	}
	for i := range d.Model.Nodes {
		if n := &d.Model.Nodes[i]; d.Model.IsBroker(n) && !seen[n.ID] {
			return false
		}
	}
	return true
}

// trustOnRecord is whom clients trust at a listener, and since when they are given another authority, as the status has
// it.
func trustOnRecord(cluster *v1alpha1.KafkaCluster, listener string) (trust model.Trust, since time.Time) {
	for _, l := range cluster.Status.Listeners {
		if l.Name != listener {
			continue
		}
		if l.TrustSince != nil {
			since = l.TrustSince.Time
		}
		return model.Trust{Anchors: l.CACertificates, Public: l.PublicAuthority}, since
	}
	return model.Trust{}, time.Time{}
}

// lacking names the Secrets of users that have any of some listeners and do not hold some anchors. Where they cannot be
// read, nobody knows that they hold them.
func (in Inputs) lacking(listeners []string, anchors []byte) []string {
	if in.Holders == nil {
		return nil
	}
	holders, err := in.Holders()
	if err != nil {
		return []string{"every Secret of a KafkaUser, which cannot be read now (" + err.Error() + "),"}
	}
	return provided.Lacking(holders, listeners, anchors)
}

// namesToConnectTo are the names and addresses of a listener that clients are told, and copies is how many brokers the
// largest pool has.
func namesToConnectTo(c *model.Cluster, l model.Listener, hosts map[int32]model.HostIPs) (names []string, copies int) {
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for server := range strings.SplitSeq(exposure.Bootstrap(c, l, hosts), ",") {
		host, _, _ := net.SplitHostPort(server) // one that is not known yet gives nothing
		add(host)
	}
	pools := map[string]int{}
	for i := range c.Nodes {
		nl := c.Nodes[i].Listener(strings.ToUpper(l.Name))
		if nl == nil {
			continue
		}
		pools[c.Nodes[i].Pool]++
		copies = max(copies, pools[c.Nodes[i].Pool])
		if model.IsHostIP(nl.AdvertisedHost) {
			add(hosts[c.Nodes[i].ID].At(nl.AdvertisedHost))
		} else {
			add(nl.AdvertisedHost)
		}
	}
	return names, copies
}

// entriesOf are the certificates that a Secret of keys holds for a listener.
func entriesOf(secret *corev1.Secret, listener string) []pki.Leaf {
	var entries []pki.Leaf
	if secret == nil {
		return nil
	}
	for _, entry := range slices.Sorted(maps.Keys(secret.Data)) {
		leaf := pki.ParseBundle(secret.Data[entry])
		if _, err := leaf.Certificate(); err == nil && strings.HasSuffix(entry, "."+listener+".pem") {
			entries = append(entries, leaf)
		}
	}
	return entries
}

func certificateIn(secret *corev1.Secret, entry string) *x509.Certificate {
	if chain := chainIn(secret, entry); chain != nil {
		return chain[0]
	}
	return nil
}

// chainIn is the chain of an entry; nil = there is none that can be read.
func chainIn(secret *corev1.Secret, entry string) []*x509.Certificate {
	if secret == nil {
		return nil
	}
	chain, err := pki.ParseCertificates(pki.ParseBundle(secret.Data[entry+".pem"]).CertPEM)
	if err != nil {
		return nil
	}
	return chain
}
