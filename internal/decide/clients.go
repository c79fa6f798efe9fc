package decide

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/plainauth"
	"github.com/castellan-dev/castellan/internal/provided"
	"github.com/castellan-dev/castellan/internal/render"
)

// ClientsState is what is known of the authority that signs certificates of users. It is apart from the cluster's own:
// brokers know a node or the operator by that one. A certificate opens something only while it is in the list of users'
// certificates, so that this authority may be made anew at any time: users are given other certificates then. The
// former one is trusted on, so that no handshake fails before the list says so.
type ClientsState struct {
	Authority pki.Authority // when there is no Problem, and it is not to be made
	ToBeMade  bool
	Renew     string // why it is given a new certificate for its key; empty = it is not
	Problem   string // what to restore; empty = nothing
	// Provided are the authorities of users' own, as PEM, by listener and Secret. A Secret that cannot be used has none.
	Provided map[string]map[string][]byte
}

// clientsAuthority reads the authority for certificates of users. Where no listener asks for any there is none.
func (d *Decision) clientsAuthority(in Inputs) {
	if !d.Model.AsksForCertificates() {
		return
	}
	state := &d.Authority.Clients
	name := pki.ClientsAuthoritySecret(in.Cluster.Name)
	if secret := in.Live.Secrets[name]; secret == nil {
		state.ToBeMade = true
	} else if authority, err := pki.ParseClientsAuthority(secret.Data[pki.AuthorityCertificate],
		secret.Data[pki.AuthorityKey], in.Cluster.Namespace, in.Cluster.Name); err != nil { // it may quote the Secret
		state.Problem = fmt.Sprintf("Secret %s does not hold an authority for users' certificates (%s and %s): restore it, "+
			"or delete it, and every user gets a new certificate", name, pki.AuthorityCertificate, pki.AuthorityKey)
		d.Waiting = append(d.Waiting, state.Problem)
	} else {
		state.Authority = authority
		state.Renew, _ = pki.AuthorityNeedsRenewal(authority, in.Now)
	}
	if state.Problem != "" { // the lists are long, and nobody asks for them else
		if end := firstEnd(in.Live.Secrets, in.Cluster.Name); !end.IsZero() {
			d.Warnings = append(d.Warnings, fmt.Sprintf("without the authority for users' certificates none of them is "+
				"renewed, and the first ends at %s", end.UTC().Format(time.RFC3339)))
		}
	}
	state.Provided = map[string]map[string][]byte{}
	for _, l := range d.Model.Listeners {
		if !l.AsksForCertificates() {
			continue
		}
		given := provided.ClientAnchors(l, in.Provided, in.Now)
		state.Provided[l.Name] = given.Anchors
		d.Verdicts, d.Warnings = append(d.Verdicts, given.Faults...), append(d.Warnings, given.Warnings...)
	}
}

// firstEnd is when the first user is left without a certificate, by the lists that brokers read; zero = there is none
// in them.
func firstEnd(secrets map[string]*corev1.Secret, cluster string) (first time.Time) {
	last := map[string]time.Time{}
	for n, name := range render.PlainUsersSecrets(cluster) {
		if secrets[name] == nil {
			continue
		}
		file := secrets[name].Data[plainauth.PartName(render.CertificatesEntry, n)]
		list, _ := plainauth.ParseCertificateList(plainauth.Unmarked(file)) // a faulty line lets nobody in
		for _, c := range list {
			if c.End.After(last[c.Name]) {
				last[c.Name] = c.End
			}
		}
	}
	for _, end := range last {
		if first.IsZero() || end.Before(first) {
			first = end
		}
	}
	return first
}

// formerAuthorities is how many authorities for users' certificates are trusted beside the present one.
const formerAuthorities = 4

// trust says whom the listeners of a pool trust about certificates of clients, by the entry of its Secret: have is what
// that holds now; nil = nothing.
func (s ClientsState) trust(c *model.Cluster, have *corev1.Secret, now time.Time) map[string][]byte {
	all := map[string][]byte{}
	if have == nil {
		have = &corev1.Secret{}
	}
	for _, l := range c.Listeners {
		if !l.AsksForCertificates() {
			continue
		}
		before, sources := have.Data[l.ClientTrust()], have.Data[l.ClientTrustSources()]
		anchors := s.Authority.CertPEM // none while there is a Problem, and former ones are among those that stay
		for _, former := range formerOf(c, pki.Union(anchors, before), now) {
			anchors = pki.Union(anchors, former)
		}
		var from strings.Builder
		for _, name := range l.ClientAuthorities {
			given, usable := s.Provided[l.Name][name]
			if !usable {
				given = staying(c, before, sources, name, now)
			}
			anchors = pki.Union(anchors, given)
			for _, fingerprint := range fingerprints(given) {
				fmt.Fprintf(&from, "%s %s\n", fingerprint, name)
			}
		}
		if len(anchors) > 0 {
			all[l.ClientTrust()] = anchors
		}
		if from.Len() > 0 {
			all[l.ClientTrustSources()] = []byte(from.String())
		}
		var refused []byte
		for _, subject := range l.RefusedSubjects {
			refused = append(refused, subject+"\n"...)
		}
		if refused != nil {
			all[l.ClientRefused()] = refused
		}
		if changed := have.Data[l.ClientTrustChanged()]; before != nil && !bytes.Equal(before, anchors) ||
			!bytes.Equal(have.Data[l.ClientRefused()], refused) {
			all[l.ClientTrustChanged()] = []byte(now.UTC().Format(time.RFC3339))
		} else if changed != nil {
			all[l.ClientTrustChanged()] = changed
		}
	}
	return all
}

// staying are those of the certificates that were trusted so far by a Secret that cannot be used now. One of which
// nobody knows by which Secret it came counts among them, as an operator of before that was noted has left it.
func staying(c *model.Cluster, before, sources []byte, name string, now time.Time) []byte {
	living, _ := pki.Living(before, now)
	certificates, err := pki.ParseCertificates(living)
	if err != nil {
		return nil
	}
	var all []byte
	for _, x := range certificates {
		line, known := pki.Fingerprint(x), false
		for source := range strings.Lines(string(sources)) {
			known = known || strings.HasPrefix(source, line+" ")
		}
		if !pki.SignsForClients(x, c.Namespace, c.Name) &&
			(!known || bytes.Contains(sources, []byte(line+" "+name+"\n"))) {
			all = append(all, pki.Encode(x)...)
		}
	}
	return all
}

func fingerprints(anchors []byte) []string {
	certificates, err := pki.ParseCertificates(anchors)
	if err != nil {
		return nil // there is none
	}
	var all []string
	for _, x := range certificates {
		all = append(all, pki.Fingerprint(x))
	}
	return all
}

// formerOf are the operator's own authorities for users' certificates that were trusted so far, the newest first.
func formerOf(c *model.Cluster, trusted []byte, now time.Time) [][]byte {
	certificates, err := pki.ParseCertificates(pki.CertificatesOnly(trusted))
	if err != nil {
		return nil
	}
	certificates = slices.DeleteFunc(certificates, func(x *x509.Certificate) bool {
		return !pki.SignsForClients(x, c.Namespace, c.Name) || !now.Before(x.NotAfter)
	})
	slices.SortStableFunc(certificates, func(a, b *x509.Certificate) int { return b.NotBefore.Compare(a.NotBefore) })
	var all [][]byte
	for _, x := range certificates[:min(len(certificates), formerAuthorities+1)] {
		all = append(all, pki.Encode(x))
	}
	return all
}

// trustChanged is when a listeners' Secret was changed about whom a listener trusts; zero = never.
func trustChanged(secret *corev1.Secret, listener string) time.Time {
	at, err := time.Parse(time.RFC3339, string(secret.Data[model.Listener{Name: listener}.ClientTrustChanged()]))
	if err != nil {
		return time.Time{}
	}
	return at
}

// clientAuthorities are those that an entry of a listeners' Secret holds.
func clientAuthorities(secret *corev1.Secret, entry string) []*x509.Certificate {
	if secret == nil || entry == "" {
		return nil
	}
	all, err := pki.ParseCertificates(secret.Data[entry])
	if err != nil {
		return nil // it is about to be written anew
	}
	return all
}
