package decide

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/provided"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/verdict"
)

// The key of an authority is replaced in three rounds, and in each of them every node restarts, because Kafka's raft
// client reads its files once: all trust the new one too, all present what the new one has signed, all trust the new
// one alone. What a round changes is recorded in the Secret of the authority first. A running broker may read changed
// files at any moment, so a file is changed only once everybody can live with that.

// Turn is a change of the authority's Secret that begins a round.
type Turn string

// The turns, in their order.
const (
	NoTurn       Turn = ""
	TrustNext    Turn = "TrustNext"    // another authority is made, and trusted beside the one that signs
	PresentNext  Turn = "PresentNext"  // that one signs from now on, and the former one is trusted beside it
	ForgetFormer Turn = "ForgetFormer" // the former one is no longer trusted
)

// The phases between turns: the round modulo roundsEach.
const (
	settled  = iota // one authority, perhaps not yet on every node
	trusting        // nodes are learning to trust the next one
	signing         // the next one signs, and nodes are given what it has signed

	roundsEach = 3
)

func (a AuthorityState) phase() int { return a.Round % roundsEach }

// rounds are the lines that stand beside the names of an internal certificate: every round up to that which it belongs
// to, for nodes whose files are of an earlier one.
func (a AuthorityState) rounds(entry string) string {
	if strings.Contains(entry, ".") {
		return "" // of a listener of clients
	}
	var lines strings.Builder
	for round := 1; round <= a.Round; round++ {
		lines.WriteString(render.RoundName(round) + "\n")
	}
	return lines.String()
}

// Turned is what the Secret of the authority holds after its turn; next is the authority that TrustNext begins with.
func (a AuthorityState) Turned(next pki.Authority, asked string) map[string][]byte {
	data := map[string][]byte{pki.AuthorityCertificate: a.Authority.CertPEM, pki.AuthorityKey: a.Authority.KeyPEM}
	switch a.Turn {
	case NoTurn, ForgetFormer:
	case TrustNext:
		a.Asked = asked
		data[pki.NextCertificate], data[pki.NextKey] = next.CertPEM, next.KeyPEM
	case PresentNext:
		data[pki.AuthorityCertificate], data[pki.AuthorityKey] = a.Next.CertPEM, a.Next.KeyPEM
		data[pki.FormerCertificate] = a.Authority.CertPEM
	}
	data[pki.AuthorityRound] = fmt.Appendf(nil, "%d %s", a.Round+1, a.Asked)
	return data
}

// lackers are the Secrets of users that do not hold some certificates by which their clients know brokers at a listener
// whose certificates the cluster's own authority signs.
func lackers(c *model.Cluster, in Inputs, anchors []byte) []string {
	var own []string
	for _, l := range c.Listeners {
		if trust, _ := trustOnRecord(in.Cluster, l.Name); l.TLS && trust == (model.Trust{}) {
			own = append(own, l.Name)
		}
	}
	return in.lacking(own, anchors)
}

// leftBehind warns of Secrets by which clients do not trust the authority that signs already.
func (a AuthorityState) leftBehind(c *model.Cluster, in Inputs) []string {
	if a.Problem != "" || a.phase() != signing {
		return nil
	}
	left := lackers(c, in, a.Authority.CertPEM)
	if len(left) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the certificate authority is being replaced, and clients with these Secrets refuse the "+
		"brokers, because ca.crt lacks the certificate of the one that signs now: %s; see why they are not written, in the "+
		"status of each KafkaUser", verdict.Few(provided.MaxNamed, left))}
}

// madeAt is when the next authority was made. Users' Secrets are given it from then on.
func (a AuthorityState) madeAt() time.Time {
	certificates, err := pki.ParseCertificates(a.Next.CertPEM)
	if err != nil {
		return time.Time{}
	}
	return certificates[0].NotBefore.Add(pki.Backdating)
}

// turn says which turn of a replacement is due, and what one that is under way waits for.
func turn(c *model.Cluster, o *model.Observation, a AuthorityState, in Inputs) (Turn, string) {
	annotations := in.Cluster.Annotations
	asked := annotations[v1alpha1.AnnotationReplaceAuthority]
	isAsked := asked != "" && asked != a.Asked && !c.Paused
	if a.Problem != "" || a.ToBeMade || a.phase() == settled && !isAsked {
		return NoTurn, ""
	}
	if behind := behindRound(c, o, a.Round); behind != "" {
		return NoTurn, "the certificate authority is being replaced: " + doing[a.phase()] + "; waiting for " + behind
	}
	switch a.phase() {
	case trusting:
		if held, _ := v1alpha1.Holds(annotations, v1alpha1.AnnotationHoldAuthority); held {
			return NoTurn, "the certificate authority is being replaced: every node trusts both, and the annotation " +
				v1alpha1.AnnotationHoldAuthority + " keeps the next one from signing; remove it when clients have the new ca.crt"
		}
		if end := a.madeAt().Add(c.TrustWindow); in.Now.Before(end) {
			if left := lackers(c, in, a.Next.CertPEM); len(left) > 0 {
				return NoTurn, fmt.Sprintf("the certificate authority is being replaced: every node trusts both, and until %s the "+
					"next one signs only once ca.crt of users' Secrets has its certificate; waiting for %s",
					end.UTC().Format(time.RFC3339), verdict.Few(provided.MaxNamed, left))
			}
		}
		return PresentNext, ""
	case signing:
		return ForgetFormer, ""
	}
	return TrustNext, ""
}

var doing = [roundsEach]string{
	settled:  "it begins once every node works with the one there is",
	trusting: "round 1 of 3, every node comes to trust the next one too",
	signing:  "round 2 of 3, every node comes to present what the next one has signed",
}

// behindRound names a node that has not been seen to work on what belongs to a round; empty = all have. A node without
// a pod, and one that leaves, counts until it is gone: nobody knows what it works with.
func behindRound(c *model.Cluster, o *model.Observation, round int) string {
	ids := map[int32]bool{}
	for i := range c.Nodes {
		ids[c.Nodes[i].ID] = true
	}
	for id, node := range o.Nodes {
		if node.Pod != nil {
			ids[id] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		pod := o.Nodes[id].Pod
		if pod == nil || pod.Deleting || !pod.Ready || pod.AuthorityRound != round {
			return fmt.Sprintf("node %d", id)
		}
	}
	return ""
}
