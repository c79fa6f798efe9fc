package decide

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/provided"
)

// AuthorityState is what is known of the certificate authority of a cluster.
type AuthorityState struct {
	Authority pki.Authority // when there is no Problem, and it is not to be made
	ToBeMade  bool          // the cluster begins
	Renew     string        // why it is given a new certificate for its key; empty = it is not
	Problem   string        // what to restore; empty = nothing

	// Next is to sign once every node trusts it, Former was what signed before; both only while they are replaced.
	Next   pki.Authority
	Former []byte // PEM
	Round  int    // of all replacements, three for each
	Asked  string // the request that was carried out last
	Turn   Turn   // what is to be recorded now

	// Listeners are those for which users provide certificates, by name.
	Listeners map[string]provided.Outcome
	// Clients is what is known of the authority that signs certificates of users.
	Clients ClientsState
}

// Anchors are the certificates that nodes and clients trust, as PEM.
func (a AuthorityState) Anchors() []byte {
	return slices.Concat(a.Authority.CertPEM, a.Next.CertPEM, a.Former)
}

// authorityOf reads the certificate authority of a cluster. One that is lost or damaged while nodes may trust it is not
// replaced: they trust no other, and would part from each other one by one. Nor is another one taken in its place.
func authorityOf(live *observe.Live, cluster string, now time.Time) AuthorityState {
	name := pki.AuthoritySecret(cluster)
	secret := live.Secrets[name]
	switch {
	case secret != nil:
		authority, err := pki.ParseAuthority(secret.Data[pki.AuthorityCertificate], secret.Data[pki.AuthorityKey])
		if err != nil { // the error may quote the Secret, and is not told
			return AuthorityState{Problem: fmt.Sprintf("Secret %s does not hold a certificate authority (%s and %s): restore it",
				name, pki.AuthorityCertificate, pki.AuthorityKey)}
		}
		renew, _ := pki.AuthorityNeedsRenewal(authority, now)
		state := AuthorityState{Authority: authority, Renew: renew,
			Former: pki.CertificatesOnly(secret.Data[pki.FormerCertificate])}
		number, asked, _ := strings.Cut(string(secret.Data[pki.AuthorityRound]), " ")
		if number != "" { // none = it was never replaced
			state.Round, err = strconv.Atoi(number)
			if state.Asked = asked; err != nil || state.Round < 0 || state.Round > maxRound {
				return AuthorityState{Problem: fmt.Sprintf("Secret %s has an entry %s that is no round: restore it",
					name, pki.AuthorityRound)}
			}
		}
		if state.phase() == trusting {
			state.Next, err = pki.ParseAuthority(secret.Data[pki.NextCertificate], secret.Data[pki.NextKey])
			if err != nil {
				return AuthorityState{Problem: fmt.Sprintf("Secret %s does not hold the certificate authority that is to be the "+
					"next (%s and %s): restore it", name, pki.NextCertificate, pki.NextKey)}
			}
		}
		if stranger := distrusting(live, cluster, state); stranger != "" && mayBeTrusted(live, cluster) {
			return AuthorityState{Problem: fmt.Sprintf("Secret %s holds another certificate authority than the one that the "+
				"nodes trust, which is in Secret %s: restore its last backup", name, stranger)}
		}
		return state
	case mayBeTrusted(live, cluster):
		return AuthorityState{Problem: fmt.Sprintf(
			"Secret %s, the certificate authority that the running nodes trust, is missing: restore it from a backup", name)}
	}
	return AuthorityState{ToBeMade: true}
}

// maxRound bounds what is believed of a Secret that people can edit: a thousand replacements.
const maxRound = 1000 * roundsEach

// distrusting names a Secret by which nodes trust other authorities than the one that signs, or present what another
// has signed: they and those that are given new certificates would refuse each other. Another certificate of the same
// key is the same authority. The Secrets of removed pools stay, and nobody trusts by them. Empty = there is none.
func distrusting(live *observe.Live, cluster string, state AuthorityState) string {
	used := map[string]bool{}
	for i := range live.Pods {
		used[live.Pods[i].Labels[v1alpha1.LabelPool]] = true
	}
	for _, set := range live.StatefulSets {
		used[set.Labels[v1alpha1.LabelPool]] = true
	}
	key := keyOf(state.Authority.CertPEM)
	known, _ := pki.ParseCertificates(state.Anchors()) // what they are was looked at already
	for pool := range used {
		name := cluster + "-" + pool + model.InternalSuffix
		secret := live.Secrets[name]
		if secret == nil {
			continue
		}
		anchors, err := pki.ParseCertificates(secret.Data[pki.AuthorityCertificate])
		if err != nil {
			continue // it is about to be written anew
		}
		trusted := false
		for _, anchor := range anchors {
			trusted = trusted || bytes.Equal(anchor.RawSubjectPublicKeyInfo, key)
		}
		signer := anchors[0].RawSubjectPublicKeyInfo // Anchors puts it first
		if !trusted || !slices.ContainsFunc(known, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubjectPublicKeyInfo, signer)
		}) {
			return name
		}
	}
	return ""
}

func keyOf(certPEM []byte) []byte {
	certificates, err := pki.ParseCertificates(certPEM)
	if err != nil {
		return nil
	}
	return certificates[0].RawSubjectPublicKeyInfo
}

func isInternal(secret, cluster string) bool {
	return strings.HasPrefix(secret, cluster+"-") && strings.HasSuffix(secret, model.InternalSuffix)
}

// mayBeTrusted tells that nodes may trust an authority that is not there: a pod has run, or has keys to start with.
func mayBeTrusted(live *observe.Live, cluster string) bool {
	if len(live.Pods) == 0 {
		return false
	}
	for name := range live.Secrets {
		if isInternal(name, cluster) {
			return true
		}
	}
	for i := range live.Pods {
		if hasRun(&live.Pods[i]) {
			return true
		}
	}
	return false
}
