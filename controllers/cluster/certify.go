package cluster

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/internal/apply"
	"github.com/castellan-dev/castellan/internal/connect"
	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
)

const (
	nodeName = "kafka-node" // in the nodes' certificates; render puts the principal that follows from it into super.users
	// leafLife is how long a node's certificates live. Kafka's raft client never reads its own again, so they are made to
	// outlive any node's time between restarts.
	leafLife = 5 * 365 * 24 * time.Hour
)

// certify keeps the cluster's certificate authority and the keys of every node.
func (r *Reconciler) certify(ctx context.Context, s *scope) error {
	authority, found, err := r.authority(ctx, s)
	if err != nil || !found {
		return err
	}
	for i := range s.model.Pools {
		pool := &s.model.Pools[i]
		for _, purpose := range []struct {
			secret string
			leaves []leaf
		}{
			{render.InternalSecret(s.model, pool), internalLeaves(s.model, pool)},
			{render.ListenersSecret(s.model, pool), listenerLeaves(s, pool)},
		} {
			if len(purpose.leaves) == 0 && s.live.Secrets[purpose.secret] == nil {
				continue
			}
			if err := r.issue(ctx, s, authority, purpose.secret, purpose.leaves); err != nil {
				return err
			}
		}
	}
	return nil
}

// authority reads the certificate authority, or makes it when the cluster begins. One that is lost or damaged while nodes
// run is not replaced: they trust no other, and would part from each other one by one. Then none is found, and the status
// says what to restore.
func (r *Reconciler) authority(ctx context.Context, s *scope) (authority pki.Authority, found bool, err error) {
	name := connect.AuthoritySecret(s.cluster.Name)
	if secret := s.live.Secrets[name]; secret != nil {
		authority, err := pki.ParseAuthority(secret.Data[connect.AuthorityCertificate], secret.Data[connect.AuthorityKey])
		if err != nil { // the error may quote the Secret, and is not told
			s.wait(fmt.Sprintf("Secret %s does not hold a certificate authority (%s and %s): restore it", name, connect.AuthorityCertificate, connect.AuthorityKey), whenHeld)
		}
		return authority, err == nil, nil
	}
	if len(s.live.Pods) > 0 {
		s.wait(fmt.Sprintf("Secret %s, the certificate authority that the running nodes trust, is missing: restore it from a backup", name), whenHeld)
		return pki.Authority{}, false, nil
	}
	if authority, err = pki.NewAuthority(s.cluster.Namespace+"/"+s.cluster.Name, s.now); err != nil {
		return pki.Authority{}, false, fmt.Errorf("make a certificate authority for %s: %w", s.key(), err)
	}
	secret := s.secret(name, map[string][]byte{connect.AuthorityCertificate: authority.CertPEM, connect.AuthorityKey: authority.KeyPEM})
	if err := r.Create(ctx, secret, client.FieldOwner(apply.FieldOwner)); err != nil {
		return pki.Authority{}, false, fmt.Errorf("create Secret %s/%s: %w", secret.Namespace, name, err)
	}
	return authority, true, nil
}

// leaf is one entry of a pool's key Secret.
type leaf struct {
	entry   string // without extension
	request pki.Request
}

func internalLeaves(c *model.Cluster, pool *model.Pool) []leaf {
	var leaves []leaf
	for i := range c.Nodes {
		node := &c.Nodes[i]
		if node.Pool != pool.Name {
			continue
		}
		var names []string
		for _, listener := range node.Listeners {
			if listener.IsInternal() {
				names = append(names, listener.SANs...)
			}
		}
		// Also for a node that is no controller: one that ceases to be may have to come back as one first.
		names = append(names, c.ServiceHost(c.ControllersService()))
		leaves = append(leaves, leaf{entry: fmt.Sprint(node.ID), request: nodeRequest(names, "")})
	}
	return leaves
}

// listenerLeaves leaves out a node whose address is not known yet: its start script waits for the certificate.
func listenerLeaves(s *scope, pool *model.Pool) []leaf {
	hosts := hostsOf(s.live.Pods)
	var leaves []leaf
	for i := range s.model.Nodes {
		node := &s.model.Nodes[i]
		if node.Pool != pool.Name {
			continue
		}
		for _, listener := range node.Listeners {
			host := hosts[node.ID]
			if listener.IsInternal() || len(listener.SANs) == 0 || listener.NeedsHostIP && host == "" {
				continue
			}
			if !listener.NeedsHostIP {
				host = ""
			}
			entry := fmt.Sprintf("%d.%s", node.ID, strings.ToLower(listener.Name))
			leaves = append(leaves, leaf{entry: entry, request: nodeRequest(listener.SANs, host)})
		}
	}
	return leaves
}

func nodeRequest(names []string, host string) pki.Request {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	request := pki.Request{
		CommonName: nodeName, Organization: connect.Organization, DNSNames: names,
		Usages: pki.Usages{Server: true, Client: true}, ValidFor: leafLife,
	}
	if address := net.ParseIP(host); address != nil {
		request.IPs = []net.IP{address}
	}
	return request
}

// issue keeps a Secret of keys: an entry that still serves stays as it is, one for a node that is gone goes. A node that
// the spec no longer asks for keeps its own until then.
func (r *Reconciler) issue(ctx context.Context, s *scope, authority pki.Authority, name string, leaves []leaf) error {
	live := s.live.Secrets[name]
	have := map[string][]byte{}
	if live != nil {
		have = live.Data
	}
	data := map[string][]byte{connect.AuthorityCertificate: authority.CertPEM}
	for _, leaf := range leaves {
		bundle := have[leaf.entry+".pem"]
		if _, renew := pki.NeedsRenewal(pki.ParseBundle(bundle), leaf.request, authority, s.now, pki.LastThird); renew {
			issued, err := pki.Issue(authority, leaf.request, s.now)
			if err != nil {
				return fmt.Errorf("issue the certificate %s of Secret %s/%s: %w", leaf.entry, s.cluster.Namespace, name, err)
			}
			bundle = issued.Bundle()
		}
		data[leaf.entry+".pem"] = bundle
		data[leaf.entry+".names"] = []byte(namesOf(leaf.request))
	}
	leaving, _ := s.model.Leaving(s.observation)
	for _, node := range leaving {
		for entry, bytes := range have {
			if strings.HasPrefix(entry, fmt.Sprintf("%d.", node.ID)) {
				data[entry] = bytes
			}
		}
	}
	if live != nil && maps.EqualFunc(data, live.Data, bytes.Equal) {
		return nil
	}
	_, err := r.applier.Apply(ctx, s.secret(name, data), nil)
	if err == nil {
		s.requeue = min(s.requeue, whenBehind)
	}
	return err
}

func namesOf(request pki.Request) string {
	names := slices.Clone(request.DNSNames)
	for _, address := range request.IPs {
		names = append(names, address.String())
	}
	return strings.Join(names, "\n") + "\n"
}

func (s *scope) secret(name string, data map[string][]byte) *corev1.Secret {
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.cluster.Namespace, Name: name, Labels: s.labels()},
		Data:       data,
	}
	apply.Own(secret, s.cluster, kindCluster, v1alpha1.GroupVersion.String())
	return secret
}

// hostsOf are the addresses of the Kubernetes nodes that the pods landed on, by node id.
func hostsOf(pods []corev1.Pod) map[int32]string {
	hosts := map[int32]string{}
	sort.Slice(pods, func(i, j int) bool { return pods[i].Name < pods[j].Name })
	for i := range pods {
		if id, ok := observe.NodeID(pods[i].Name); ok && pods[i].Status.HostIP != "" && pods[i].DeletionTimestamp == nil {
			hosts[id] = pods[i].Status.HostIP
		}
	}
	return hosts
}
