package decide

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/report"
)

const (
	// formerEnd is the extension of an entry of a key Secret: when the certificate ends that the one in the Secret has
	// replaced, as in RFC 3339.
	formerEnd = ".former"
	// mountLag is for how long a container that starts again in its pod may still find what the Secret held before: the
	// kubelet refreshes a mount within two minutes.
	mountLag = 10 * time.Minute
	// entryLag is by how much a process may be older than the first certificate of its node: it waits for it.
	entryLag = time.Hour
)

// endOfFormer is what is to be noted when a certificate is replaced: the end of the one that the running process of the
// node may have read, which is the earliest of those that were replaced since it started.
func endOfFormer(replaced pki.Leaf, noted []byte, o *model.Observation, entry string) []byte {
	certificate, err := replaced.Certificate()
	if err != nil {
		return noted
	}
	end := certificate.NotAfter
	var id int32
	if _, err := fmt.Sscanf(entry, "%d", &id); err != nil || strings.Contains(entry, ".") {
		return nil // of a listener of clients: it is read anew, and proven
	}
	if before, err := time.Parse(time.RFC3339, string(noted)); err == nil && before.Before(end) {
		if pod := o.Nodes[id].Pod; pod != nil && mayHoldFormer(pod, issuedAt(certificate.NotBefore)) {
			end = before
		}
	}
	return []byte(end.UTC().Format(time.RFC3339))
}

// observeIdentities notes when the certificate ends that each running process has read for CONTROLLER and REPLICATION.
// Kafka's raft client never reads it again.
func observeIdentities(c *model.Cluster, o *model.Observation, live *observe.Live) {
	for id, node := range o.Nodes {
		if node.Pod == nil || node.Pod.StartedAt.IsZero() {
			continue
		}
		secret := live.Secrets[c.InternalSecret(&model.Pool{Name: node.Pod.Pool})]
		node.IdentityEnds, node.IdentityGuessed = identityEnds(secret, fmt.Sprint(id), node.Pod)
		o.Nodes[id] = node
	}
}

// identityEnds is zero where nothing is known.
func identityEnds(secret *corev1.Secret, entry string, pod *model.ObservedPod) (end time.Time, guessed bool) {
	certificate := certificateIn(secret, entry)
	if certificate == nil {
		return time.Time{}, false
	}
	issued := issuedAt(certificate.NotBefore)
	former, err := time.Parse(time.RFC3339, string(secret.Data[entry+formerEnd]))
	switch {
	case err == nil && mayHoldFormer(pod, issued):
		return former, false
	case err != nil && pod.StartedAt.Before(issued.Add(-entryLag)):
		// An earlier version replaced it and noted nothing. It did so in the last third.
		return pod.StartedAt.Add(leafLife / pki.LastThird), true
	}
	return certificate.NotAfter, false
}

// mayHoldFormer tells whether a process may have read what its Secret held before the certificate of that time. A pod
// that was made later has a fresh mount.
func mayHoldFormer(pod *model.ObservedPod, issued time.Time) bool {
	return !pod.CreatedAt.After(issued) && pod.StartedAt.Before(issued.Add(mountLag))
}

func issuedAt(notBefore time.Time) time.Time { return notBefore.Add(pki.Backdating) }

// The kinds of certificates whose ends are told.
const (
	ExpiryAuthority  = "authority"
	ExpiryIdentities = "identities"
	ExpiryListeners  = "listeners"
	ExpiryClients    = "clients"
)

// expiries are when the first certificate of each kind ends: the authority's, those that running nodes have read for
// CONTROLLER and REPLICATION, and those that brokers have to show to clients. A kind without any has no entry.
func expiries(d *Decision) map[string]time.Time {
	ends := map[string]time.Time{}
	note := func(kind string, end time.Time) {
		if first, known := ends[kind]; !known || end.Before(first) {
			ends[kind] = end
		}
	}
	if certificates, err := pki.ParseCertificates(d.Authority.Authority.CertPEM); err == nil {
		note(ExpiryAuthority, certificates[0].NotAfter)
	}
	if certificates, err := pki.ParseCertificates(d.Authority.Clients.Authority.CertPEM); err == nil {
		note(ExpiryClients, certificates[0].NotAfter)
	}
	for _, node := range d.Observation.Nodes {
		if !node.IdentityEnds.IsZero() {
			note(ExpiryIdentities, node.IdentityEnds)
		}
	}
	for _, p := range d.Presenting {
		for _, l := range p.Listeners {
			note(ExpiryListeners, l.Certificate.NotAfter)
		}
	}
	return ends
}

// warnBefore is how long before its end people are told of a certificate. What goes by itself has gone by then.
const warnBefore = 90 * 24 * time.Hour

// endings warn of what is about to end although the operator renews it in time: something keeps it from that.
func endings(d *Decision, now time.Time) []string {
	var warnings []string
	ends := expiries(d)
	if end, known := ends[ExpiryIdentities]; known && end.Sub(now) < warnBefore {
		var nodes []string
		for _, id := range slices.Sorted(maps.Keys(d.Observation.Nodes)) {
			node := d.Observation.Nodes[id]
			if !node.IdentityEnds.IsZero() && node.IdentityEnds.Sub(now) < warnBefore {
				nodes = append(nodes, fmt.Sprintf("node %d: the certificate with which it started ends at %s, and others refuse "+
					"it from then on; it reads its new one when it restarts", id, node.IdentityEnds.UTC().Format(time.RFC3339)))
			}
		}
		warnings = append(warnings, report.First(nodes))
	}
	if end, known := ends[ExpiryIdentities]; known && d.Authority.Problem != "" {
		warnings = append(warnings, fmt.Sprintf("without its certificate authority no certificate of this cluster is "+
			"renewed, and the first ends at %s", end.UTC().Format(time.RFC3339)))
	}
	for _, authority := range []struct{ kind, secret, what string }{
		{ExpiryAuthority, pki.AuthoritySecret(d.Model.Name), "the certificate authority"},
		{ExpiryClients, pki.ClientsAuthoritySecret(d.Model.Name), "the authority for users' certificates"},
	} {
		if end, known := ends[authority.kind]; known && end.Sub(now) < warnBefore {
			warnings = append(warnings, fmt.Sprintf("%s in Secret %s ends at %s, and what it has signed is worth nothing from "+
				"then on; the operator has been to renew it for years, so see in the message of Ready what keeps it from that",
				authority.what, authority.secret, end.UTC().Format(time.RFC3339)))
		}
	}
	return warnings
}
