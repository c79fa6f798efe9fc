package provided

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// leafLife is how long what an authority of the user's own signs lives, if the authority lives as long.
const leafLife = 5 * 365 * 24 * time.Hour

// MaxNamed is how many of the Secrets that lack an authority are named.
const MaxNamed = 3

// Request asks an authority of the user's own for the certificate of a listener. It is for servers alone and has a
// subject of its own: with that of a node, whoever trusts the authority for logins would take it for a super user.
func Request(names []string) pki.Request {
	request := pki.Request{CommonName: "kafka-listener", Usages: pki.Usages{Server: true}, ValidFor: leafLife}
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			request.IPs = append(request.IPs, address)
		} else {
			request.DNSNames = append(request.DNSNames, name)
		}
	}
	return request
}

// Listener is what is known of one listener with TLS.
type Listener struct {
	Listener  model.Listener
	Authority string      // the Secret with the authority that signs for all listeners; empty = the cluster's own does
	Names     []string    // that clients are told to connect to
	Copies    int         // the most brokers of one pool
	Recorded  model.Trust // as the status has it
	Own       []byte      // certificates of the cluster's own authority, as PEM
	// Entries are what the Secrets of the pools hold for the listener.
	Entries []pki.Leaf
	// Shown: every broker was seen to show what the Secrets hold.
	Shown bool
	// Held: somebody wants clients to have time before brokers present what another authority has signed.
	Held bool
	// Lacking names users' Secrets that do not hold some anchors; none = all that have the listener do.
	Lacking func(anchors []byte) []string
	// Since is since when clients are given the next authority, as the status has it, and Window for how long that waits
	// for them; zero = nobody is known to lack it.
	Since  time.Time
	Window time.Duration
}

// Outcome is what follows for a listener. The zero value is that the cluster's own authority signs.
type Outcome struct {
	// Bundle is what all brokers present, Signer what signs for each; neither = the cluster's own authority does.
	Bundle []byte
	Signer *pki.Served
	// Closed: what brokers present stays as it is, unless the cluster's own authority has signed it.
	Closed bool
	Trust  model.Trust
	Fault  *verdict.Verdict
	// Waiting says what is waited for; empty = nothing.
	Waiting string
	// Warning tells of a certificate that is about to end and was not renewed, and Left who lacks the authority for which
	// nobody waits any longer; empty = there is none.
	Warning, Left string
	// Since is since when clients are given another authority, while some lack it.
	Since time.Time
	own   []byte
}

// Keeps tells that a broker goes on to present a certificate, whatever is asked for.
func (o Outcome) Keeps(present pki.Leaf) bool {
	return o.Closed && len(present.CertPEM) > 0 && !present.SignedBy(o.own)
}

// IsPlain tells that nothing is, or was, provided for the listener.
func (l *Listener) IsPlain() bool {
	return l.Listener.CertificateSecret == "" && l.Authority == "" && l.Recorded == (model.Trust{})
}

// Decide says what a listener presents, and whom clients trust. Clients are given new anchors first: the status names
// them, then users' Secrets hold them, and only then do brokers present what they have signed. The former ones go once
// every broker was seen to show the new certificate.
func (l *Listener) Decide(secrets Secrets, now time.Time) Outcome {
	before := l.Recorded
	if before == (model.Trust{}) {
		before.Anchors = string(l.Own)
	}
	var ownPresent bool
	for _, entry := range l.Entries {
		ownPresent = ownPresent || entry.SignedBy(l.Own)
	}
	shall, fault := l.read(secrets, now)
	if fault != nil { // what is presented goes on
		o := Outcome{Closed: true, Fault: fault, Trust: before, own: l.Own, Since: l.Since}
		if ownPresent {
			o.Trust = l.widened(before, l.Own)
		}
		o.Trust = l.recorded(o.Trust)
		return o
	}
	o := Outcome{own: l.Own, Signer: shall.authority, Warning: l.ending(shall, now)}
	if shall.certificate != nil {
		o.Bundle = shall.certificate.Bundle()
	}
	after := shall.trust(l.Own)
	if after.Public && !before.Public && shall.certificate != nil &&
		shall.certificate.Leaf.SignedBy([]byte(before.Anchors)) {
		after = before // ca.crt was left out, and clients trust who has signed
	}
	begun, all := false, true
	for _, entry := range l.Entries {
		begun, all = begun || entry.SignedBy([]byte(after.Anchors)), all && l.presents(shall, entry)
	}
	nobodyWaits := l.ended(now) || before.Public != after.Public && !l.Held // nobody can be given both
	switch {
	case nobodyWaits:
		o.Trust = after
	case begun && pki.Holds([]byte(before.Anchors), []byte(after.Anchors)):
		if !l.Since.IsZero() { // who was not waited for is told of until it has it
			l.lacked(&o, after, now)
		}
		o.Trust = l.widened(before, []byte(after.Anchors))
		if all && l.Shown && !l.Held {
			o.Trust = after
		} else if ownPresent {
			o.Trust = l.widened(o.Trust, l.Own)
		}
	default:
		o.Trust = l.widened(before, []byte(after.Anchors))
		if ownPresent { // a broker that came meanwhile
			o.Trust = l.widened(o.Trust, l.Own)
		}
		if o.Waiting = l.waits(&o, before, after, now); o.Waiting != "" {
			o.Closed, o.Bundle, o.Signer = true, nil, nil
		}
	}
	o.Trust = l.recorded(o.Trust)
	return o
}

// ended tells that no broker presents a certificate that a client would take.
func (l *Listener) ended(now time.Time) bool {
	return !slices.ContainsFunc(l.Entries, func(entry pki.Leaf) bool {
		certificate, err := entry.Certificate()
		return err == nil && now.Before(certificate.NotAfter)
	})
}

// waits says why another authority's certificate is not presented yet; empty = it is. It notes since when clients are
// given that authority.
func (l *Listener) waits(o *Outcome, before, after model.Trust, now time.Time) string {
	switch {
	case before.Public && after.Public:
		return ""
	case before.Public || after.Public: // else it would not be waited for: nobody can be given both
		return l.hold()
	}
	if !pki.Holds([]byte(before.Anchors), []byte(after.Anchors)) {
		o.Since = now.Truncate(time.Second)
		return fmt.Sprintf("listener %s: clients are told of its next authority", l.Listener.Name)
	}
	if waiting := l.lacked(o, after, now); waiting != "" {
		return waiting
	}
	if l.Held {
		return l.hold()
	}
	return ""
}

// lacked says which clients are waited for; empty = none. Nobody is waited for beyond the window: a Secret may never be
// written, and its owner must not hold the certificate of everybody else. Who is left is told.
func (l *Listener) lacked(o *Outcome, after model.Trust, now time.Time) string {
	lacking := l.Lacking([]byte(after.Anchors))
	if len(lacking) == 0 {
		return ""
	}
	if o.Since = l.Since; o.Since.IsZero() {
		o.Since = now.Truncate(time.Second)
	}
	if end := o.Since.Add(l.Window); now.Before(end) {
		holds := "holds"
		if len(lacking) > 1 {
			holds = "hold"
		}
		return fmt.Sprintf("listener %s: its next authority signs once %s %s the certificate of it in ca.crt, and at %s at "+
			"the latest (spec.trustWindowSeconds)", l.Listener.Name, verdict.Few(MaxNamed, lacking), holds,
			end.UTC().Format(time.RFC3339))
	}
	o.Left = fmt.Sprintf("listener %s: its authority has been given to clients since %s and is not waited for any "+
		"longer; it is not in ca.crt of %s, and whoever connects by that is cut off", l.Listener.Name,
		o.Since.UTC().Format(time.RFC3339), verdict.Few(MaxNamed, lacking))
	return ""
}

func (l *Listener) hold() string {
	return fmt.Sprintf("listener %s: the annotation %s keeps its next authority from signing; remove it when clients "+
		"have the new ca.crt", l.Listener.Name, v1alpha1.AnnotationHoldAuthority)
}

// presents tells whether a broker presents what the listener shall.
func (l *Listener) presents(shall source, entry pki.Leaf) bool {
	switch {
	case shall.certificate != nil:
		return bytes.Equal(entry.Bundle(), shall.certificate.Bundle())
	case shall.authority != nil:
		certificate, err := entry.Certificate()
		return err == nil && certificate.CheckSignatureFrom(shall.authority.Certificate) == nil
	}
	return entry.SignedBy(l.Own)
}

func (l *Listener) widened(trust model.Trust, anchors []byte) model.Trust {
	if trust.Public {
		return trust
	}
	return model.Trust{Anchors: string(pki.Union([]byte(trust.Anchors), anchors))}
}

// recorded is what the status says: nothing where it is the cluster's own authority alone.
func (l *Listener) recorded(trust model.Trust) model.Trust {
	if !trust.Public && pki.Holds(l.Own, []byte(trust.Anchors)) {
		return model.Trust{}
	}
	return trust
}

// warnBefore is how long before its end people are told of a certificate that they provide. Who renews it does so long
// before, in its last third as a rule; of one that is short-lived, in its last sixth.
const warnBefore = 14 * 24 * time.Hour

func endsSoon(cert *x509.Certificate, now time.Time) bool {
	return cert.NotAfter.Sub(now) < min(warnBefore, cert.NotAfter.Sub(cert.NotBefore)/6)
}

func (l *Listener) ending(shall source, now time.Time) string {
	served, name := shall.certificate, l.Listener.CertificateSecret
	if served == nil {
		served, name = shall.authority, l.Authority
	}
	if served == nil {
		return ""
	}
	cert := served.Certificate
	if endsSoon(cert, now) {
		return fmt.Sprintf("listener %s: the certificate in Secret %q ends at %s, and nobody has renewed it",
			l.Listener.Name, name, cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return ""
}

// Holder is a Secret that tells a client how to connect.
type Holder struct {
	Name      string // as a sentence calls it
	Anchors   []byte
	Listeners []string
}

// Lacking names the holders that have any of some listeners and lack an anchor.
func Lacking(holders []Holder, listeners []string, anchors []byte) (names []string) {
	for _, h := range holders {
		if slices.ContainsFunc(h.Listeners, func(l string) bool { return slices.Contains(listeners, l) }) &&
			!pki.Holds(h.Anchors, anchors) {
			names = append(names, h.Name)
		}
	}
	return names
}
