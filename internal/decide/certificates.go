package decide

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
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
}

// Presented is the certificate of one listener of one broker.
type Presented struct {
	Listener string // as in the spec
	Address  string // host:port on which the broker shows it
	// Certificate is the first one of the chain.
	Certificate *x509.Certificate
}

// Renewed tells that some certificate is newer than the process, which cannot have read it when it started.
func (p Presenting) Renewed() bool {
	return slices.ContainsFunc(p.Listeners, func(l Presented) bool {
		return l.Certificate.NotBefore.Add(pki.Backdating).After(p.StartedAt)
	})
}

// presenting lists the brokers that are up and have listeners with TLS, by node id. A listener whose certificate cannot
// be read is left out: it is about to be made anew.
func presenting(c *model.Cluster, o *model.Observation, live *observe.Live) []Presenting {
	var all []Presenting
	for i := range live.Pods {
		pod := &live.Pods[i]
		id, named := observe.NodeID(pod.Name)
		seen := o.Nodes[id].Pod
		if !named || seen == nil || seen.UID != string(pod.UID) || seen.Deleting || seen.Address == "" ||
			!seen.Ready && !seen.Serves {
			continue
		}
		p := Presenting{Node: id, Pod: pod.Name, PodUID: seen.UID, StartedAt: seen.StartedAt,
			Touched: pod.Annotations[v1alpha1.AnnotationCertificates]}
		secret := joined(live, c.ListenersSecrets(&model.Pool{Name: seen.Pool}))
		digest := sha256.New()
		for _, store := range seen.KeyStores {
			certificate := certificateIn(secret, store.Entry)
			if certificate == nil {
				continue
			}
			_, listener, _ := strings.Cut(store.Entry, ".")
			p.Listeners = append(p.Listeners, Presented{Listener: listener, Certificate: certificate,
				Address: net.JoinHostPort(seen.Address, strconv.Itoa(int(store.Port)))})
			fmt.Fprintf(digest, "%s %x\n", store.Entry, sha256.Sum256(certificate.Raw))
		}
		if len(p.Listeners) > 0 {
			p.Digest = hex.EncodeToString(digest.Sum(nil)[:8])
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Presenting) int { return cmp.Compare(a.Node, b.Node) })
	return all
}

func certificateIn(secret *corev1.Secret, entry string) *x509.Certificate {
	if secret == nil {
		return nil
	}
	certificate, err := pki.ParseBundle(secret.Data[entry+".pem"]).Certificate()
	if err != nil {
		return nil
	}
	return certificate
}
