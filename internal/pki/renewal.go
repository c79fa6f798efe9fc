package pki

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// LastThird is the usual last parameter of NeedsRenewal.
const LastThird = 3

// evidence is what the policies look at; a policy may count on those before it in the chain having found nothing.
type evidence struct {
	leaf     Leaf
	cert     *x509.Certificate // nil until unparsable has passed
	want     Request
	ca       *x509.Certificate
	now      time.Time
	lastPart int
}

// policy gives the reason for a new certificate, or "".
type policy func(e *evidence) string

var policies = []policy{
	missing,        // nothing there yet
	unparsable,     // somebody wrote something else into the Secret
	keyMismatch,    // the two halves are of different certificates, as after half a write
	notSignedByCA,  // the authority was replaced
	subjectDiffers, // the principal would be another one
	usageMissing,   // a peer would refuse the role
	nameMissing,    // an address was added
	notYetValid,    // our clock was ahead when it was issued
	nearItsEnd,     // the ordinary case
}

// NeedsRenewal says whether a new certificate must be issued in place of the existing one, and why, as half a sentence
// for a status. The last parameter is the divisor of the lifetime's last part: 3 renews in the last third (LastThird),
// 10 in the last tenth; below 1 it counts as LastThird. Names beyond those asked for and another ValidFor are no
// reason. An authority without a readable certificate can sign nothing: then nothing is renewed, and Issue tells the
// fault.
func NeedsRenewal(existing Leaf, want Request, ca Authority, now time.Time, lastPart int) (reason string, renew bool) {
	anchors, err := ParseCertificates(ca.CertPEM)
	if err != nil {
		return "", false
	}
	if lastPart < 1 {
		lastPart = LastThird
	}
	e := &evidence{leaf: existing, want: want, ca: anchors[0], now: now, lastPart: lastPart}
	for _, p := range policies {
		if reason := p(e); reason != "" {
			return reason, true
		}
	}
	return "", false
}

func missing(e *evidence) string {
	switch {
	case len(e.leaf.CertPEM) == 0:
		return "there is no certificate"
	case len(e.leaf.KeyPEM) == 0:
		return "there is no private key"
	}
	return ""
}

func unparsable(e *evidence) string {
	cert, err := e.leaf.Certificate()
	if err != nil {
		return "the certificate cannot be parsed: " + err.Error()
	}
	if _, err := parseKey(e.leaf.KeyPEM); err != nil {
		return "the key cannot be parsed: " + err.Error()
	}
	e.cert = cert
	return ""
}

func keyMismatch(e *evidence) string {
	if key, err := parseKey(e.leaf.KeyPEM); err != nil || !belongs(key, e.cert) {
		return "the private key does not belong to the certificate"
	}
	return ""
}

func notSignedByCA(e *evidence) string {
	if err := e.cert.CheckSignatureFrom(e.ca); err != nil {
		return fmt.Sprintf("it was not signed by the authority %s with serial %x", e.ca.Subject, e.ca.SerialNumber)
	}
	return ""
}

func subjectDiffers(e *evidence) string {
	have, err := subjectOf(e.cert.RawSubject)
	if err != nil {
		return err.Error()
	}
	if want := e.want.subject().ToRDNSequence().String(); have != want {
		return fmt.Sprintf("its subject is %s and should be %s", have, want)
	}
	return ""
}

func usageMissing(e *evidence) string {
	for _, usage := range e.want.Usages.extended() {
		if !slices.Contains(e.cert.ExtKeyUsage, usage) {
			return "it lacks the usage " + usage.String()
		}
	}
	return ""
}

func nameMissing(e *evidence) string {
	for _, name := range e.want.DNSNames {
		if !slices.Contains(e.cert.DNSNames, name) {
			return fmt.Sprintf("it does not name %s", name)
		}
	}
	for _, ip := range e.want.IPs {
		if !slices.ContainsFunc(e.cert.IPAddresses, func(have net.IP) bool { return have.Equal(ip) }) {
			return fmt.Sprintf("it does not name %s", ip)
		}
	}
	return ""
}

func notYetValid(e *evidence) string {
	if e.now.Before(e.cert.NotBefore) {
		return "it is not valid before " + stamp(e.cert.NotBefore)
	}
	return ""
}

// nearItsEnd does not ask for what would end no later: near the authority's own end that would go on for ever, ever
// faster.
func nearItsEnd(e *evidence) string {
	if e.cert.NotAfter.Before(e.ca.NotAfter) && inLastPart(e.cert, e.now, e.lastPart) {
		return "it ends at " + stamp(e.cert.NotAfter)
	}
	return ""
}

// inLastPart begins up to a tenth of the part later than the part does, for each certificate at another time: clusters
// that were made together are not renewed in one minute.
func inLastPart(cert *x509.Certificate, now time.Time, lastPart int) bool {
	return now.After(lastPartOf(cert, lastPart))
}

func lastPartOf(cert *x509.Certificate, lastPart int) time.Time {
	part := cert.NotAfter.Sub(cert.NotBefore) / time.Duration(lastPart)
	late := new(big.Int).Mod(cert.SerialNumber, big.NewInt(spread)).Int64()
	return cert.NotAfter.Add(part/10/spread*time.Duration(late) - part)
}

// RenewsAt is the moment from which on NeedsRenewal renews a certificate in its last third because of its end. The zero
// time: it does not, as the certificate ends with its authority or cannot be read.
func RenewsAt(leaf Leaf, ca Authority) time.Time {
	cert, err := leaf.Certificate()
	anchors, fault := ParseCertificates(ca.CertPEM)
	if err != nil || fault != nil || !cert.NotAfter.Before(anchors[0].NotAfter) {
		return time.Time{}
	}
	return lastPartOf(cert, LastThird).Add(time.Nanosecond)
}

// InForce tells whether nothing speaks against a certificate but, maybe, that it nears its end: it is one of the
// authority that fulfils the request, with its key, and valid now.
func InForce(existing Leaf, want Request, ca Authority, now time.Time) bool {
	anchors, err := ParseCertificates(ca.CertPEM)
	if err != nil {
		return false
	}
	e := &evidence{leaf: existing, want: want, ca: anchors[0], now: now}
	for _, p := range policies[:len(policies)-1] { // the last one is nearItsEnd
		if p(e) != "" {
			return false
		}
	}
	return now.Before(e.cert.NotAfter)
}

// spread is into how many moments the renewals of many certificates are spread.
const spread = 4096

// AuthorityNeedsRenewal says whether an authority must be given a new certificate for its key, and why, as half a
// sentence. It is so in its last third, and where it has ended or not begun. One that cannot be read is not renewed.
func AuthorityNeedsRenewal(ca Authority, now time.Time) (reason string, renew bool) {
	cert, _, err := ca.parse()
	switch {
	case err != nil:
		return "", false
	case now.Before(cert.NotBefore):
		return "it is not valid before " + stamp(cert.NotBefore), true
	case !now.Before(cert.NotAfter):
		return "it has ended at " + stamp(cert.NotAfter), true
	case inLastPart(cert, now, LastThird):
		return "it ends at " + stamp(cert.NotAfter), true
	}
	return "", false
}
