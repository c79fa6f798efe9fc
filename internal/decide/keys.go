package decide

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/observe"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
)

const (
	// leafLife is how long a node's certificates live. Kafka's raft client never reads its own again, so they are made to
	// outlive any node's time between restarts.
	leafLife = 5 * 365 * 24 * time.Hour
)

// entryKinds are the extensions of the entries that belong to a leaf.
var entryKinds = []string{".pem", ".names", formerEnd}

// Leaf is one certificate of a pool's key Secret.
type Leaf struct {
	Entry   string // of the Secret, without extension
	Request pki.Request
	// Signer signs it in place of the cluster's authority; nil = that one does.
	Signer *pki.Served
}

// Names lists what a certificate names, a line each, as the start script compares them.
func (l Leaf) Names() string {
	names := slices.Clone(l.Request.DNSNames)
	for _, address := range l.Request.IPs {
		names = append(names, address.String())
	}
	return strings.Join(names, "\n") + "\n"
}

// KeySecret is a pool's Secret of keys and certificates for one purpose.
type KeySecret struct {
	Name   string
	Leaves []Leaf            // one for each node that needs one
	Keep   map[string][]byte // entries that stay as they are
	Issue  []Leaf            // those of Leaves to be issued anew
	// Trust are the entries with whoever signs certificates of clients.
	Trust map[string][]byte
	// Current: the live Secret holds just this.
	Current bool
}

// KeySecrets says what the key Secrets of a cluster shall hold. A certificate that still serves stays as it is, and so
// do those of a node that the spec no longer asks for, as long as it has a pod, or files on which it may come back.
func KeySecrets(
	c *model.Cluster,
	o *model.Observation,
	live *observe.Live,
	authority AuthorityState,
	now time.Time,
) []KeySecret {
	var secrets []KeySecret
	leaving, leavingPools := c.Leaving(o)
	hosts := Hosts(live.Pods)
	ran := sync.OnceValue(func() map[int32]render.NodeFiles { return ranFiles(live) })
	for i := range c.Pools {
		pool := &c.Pools[i]
		others := withoutSpec(c, o, leaving, pool.Name)
		internal := KeySecret{Name: c.InternalSecret(pool), Leaves: internalLeaves(c, pool)}
		if have := live.Secrets[internal.Name]; len(internal.Leaves) > 0 || have != nil {
			secrets = append(secrets, internal.compared(have, others, authority, o, now))
		}
		names := c.ListenersSecrets(pool)
		together := joined(live, names)
		listeners := KeySecret{Leaves: stillNaming(ran, together, listenerLeaves(c, pool, hosts), hosts)}
		listeners.Leaves = append(listeners.Leaves, movedLeaves(ran, together, leaving, pool.Name, hosts)...)
		if len(listeners.Leaves) > 0 || together != nil {
			listeners.Trust = authority.Clients.trust(c, together, now)
			listeners = listeners.compared(together, others, authority, o, now)
			secrets = append(secrets, listeners.spread(names, live, pki.AuthorityName(c.Namespace, c.Name))...)
		}
	}
	former := map[string]bool{}
	for _, node := range leaving {
		pool := leavingPools[node.ID]
		if c.Pool(pool.Name) != nil || former[pool.Name] {
			continue
		}
		former[pool.Name] = true
		names := c.ListenersSecrets(pool)
		together := joined(live, names)
		k := KeySecret{Leaves: movedLeaves(ran, together, leaving, pool.Name, hosts)}
		if len(k.Leaves) > 0 {
			k.Trust = authority.Clients.trust(c, together, now)
			k = k.compared(together, withoutSpec(c, o, leaving, pool.Name), authority, o, now)
			secrets = append(secrets, k.spread(names, live, pki.AuthorityName(c.Namespace, c.Name))...)
		}
	}
	return secrets
}

// stillNaming adds to leaves what their nodes still advertise: a running broker takes another certificate at once, and
// other names only when it restarts. Files are read only where names differ from those that there are.
func stillNaming(
	ran func() map[int32]render.NodeFiles, secret *corev1.Secret, leaves []Leaf, hosts map[int32]model.HostIPs,
) []Leaf {
	if secret == nil {
		return leaves
	}
	for i := range leaves {
		l := &leaves[i]
		if have, is := secret.Data[l.Entry+".names"]; !is || string(have) == l.Names() {
			continue
		}
		number, listener, _ := strings.Cut(l.Entry, ".")
		id, _ := strconv.ParseInt(number, 10, 32) // it is made of one
		names, byHost, known := render.CertificateNames(ran()[int32(id)], listener)
		if !known {
			continue
		}
		if byHost {
			names = append(names, hosts[int32(id)]...)
		}
		l.Request = nodeRequest(slices.Concat(named(l.Names()), names), nil)
	}
	return leaves
}

// withoutSpec lists the ids of a pool's nodes that the spec does not ask for and that leave, or that have files on
// which they may come back.
func withoutSpec(c *model.Cluster, o *model.Observation, leaving []model.Node, pool string) []int32 {
	var ids []int32
	for _, node := range leaving {
		if node.Pool == pool {
			ids = append(ids, node.ID)
		}
	}
	for id := range o.Pools[pool].Files {
		if c.Node(id) == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// movedLeaves are those of leaving nodes that have come to another Kubernetes node. The spec says nothing more of their
// listeners: what their certificates name stays, and the address becomes that of the Kubernetes node. Addresses that a
// listener advertises whatever the Kubernetes node stay as well.
func movedLeaves(
	ran func() map[int32]render.NodeFiles, secret *corev1.Secret, leaving []model.Node, pool string,
	hosts map[int32]model.HostIPs,
) []Leaf {
	if secret == nil {
		return nil
	}
	var leaves []Leaf
	for _, node := range leaving {
		host := hosts[node.ID]
		if node.Pool != pool || len(host) == 0 {
			continue
		}
		for _, entry := range slices.Sorted(maps.Keys(secret.Data)) {
			leaf, listed := strings.CutSuffix(entry, ".names")
			if !listed || !strings.HasPrefix(entry, fmt.Sprintf("%d.", node.ID)) {
				continue
			}
			lasting, byHost, known := render.CertificateNames(ran()[node.ID], leaf[strings.Index(leaf, ".")+1:])
			if known && !byHost {
				continue
			}
			var names, from []string
			for _, name := range named(string(secret.Data[entry])) {
				if net.ParseIP(name) != nil && !slices.Contains(lasting, name) {
					from = append(from, name)
				} else {
					names = append(names, name)
				}
			}
			here := func(name string) bool { return slices.Contains(from, name) }
			if len(from) > 0 && !slices.ContainsFunc(host, here) {
				leaves = append(leaves, Leaf{Entry: leaf, Request: nodeRequest(names, host)})
			}
		}
	}
	return leaves
}

func (k KeySecret) compared(
	live *corev1.Secret,
	others []int32, // nodes that the spec does not ask for, and whose entries stay
	authority AuthorityState,
	o *model.Observation,
	now time.Time,
) KeySecret {
	have := map[string][]byte{}
	if live != nil {
		have = live.Data
	}
	k.Keep = map[string][]byte{pki.AuthorityCertificate: authority.Anchors()}
	maps.Copy(k.Keep, k.Trust)
	k.Leaves = append(k.Leaves, k.keptLeaves(have, others)...)
	leaves := map[string]bool{}
	for _, leaf := range k.Leaves {
		existing, former := pki.ParseBundle(have[leaf.Entry+".pem"]), have[leaf.Entry+formerEnd]
		if stays := authority.presented(&leaf, existing, now); stays == nil {
			k.Issue = append(k.Issue, leaf)
			former = endOfFormer(existing, former, o, leaf.Entry)
		} else {
			k.Keep[leaf.Entry+".pem"] = stays
		}
		if former != nil {
			k.Keep[leaf.Entry+formerEnd] = former
		}
		k.Keep[leaf.Entry+".names"] = []byte(leaf.Names() + authority.rounds(leaf.Entry))
		for _, kind := range entryKinds {
			leaves[leaf.Entry+kind] = true
		}
	}
	for _, id := range others {
		for entry, value := range have {
			if strings.HasPrefix(entry, fmt.Sprintf("%d.", id)) && !leaves[entry] {
				k.Keep[entry] = value
			}
		}
	}
	k.Current = live != nil && len(k.Issue) == 0 && maps.EqualFunc(k.Keep, live.Data, bytes.Equal)
	return k
}

// keptLeaves are the certificates of nodes that the spec says nothing of: they go on to name what they name, and are
// renewed like all others.
func (k KeySecret) keptLeaves(have map[string][]byte, nodes []int32) []Leaf {
	var leaves []Leaf
	for _, entry := range slices.Sorted(maps.Keys(have)) {
		name, listed := strings.CutSuffix(entry, ".names")
		number, _, _ := strings.Cut(entry, ".")
		id, err := strconv.ParseInt(number, 10, 32)
		if !listed || err != nil || !slices.Contains(nodes, int32(id)) ||
			slices.ContainsFunc(k.Leaves, func(l Leaf) bool { return l.Entry == name }) {
			continue
		}
		names := named(string(have[entry]))
		if _, err := pki.ParseBundle(have[name+".pem"]).Certificate(); err == nil && len(names) > 0 {
			leaves = append(leaves, Leaf{Entry: name, Request: nodeRequest(names, nil)})
		}
	}
	return leaves
}

// named takes apart what Names put together.
func named(text string) []string {
	return slices.DeleteFunc(strings.Fields(text), render.IsRoundName)
}

func internalLeaves(c *model.Cluster, pool *model.Pool) []Leaf {
	var leaves []Leaf
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
		leaves = append(leaves, Leaf{Entry: fmt.Sprint(node.ID), Request: nodeRequest(names, nil)})
	}
	return leaves
}

// listenerLeaves leaves out a node whose address is not known yet: its start script waits for the certificate.
func listenerLeaves(c *model.Cluster, pool *model.Pool, hosts map[int32]model.HostIPs) []Leaf {
	var leaves []Leaf
	for i := range c.Nodes {
		node := &c.Nodes[i]
		if node.Pool != pool.Name {
			continue
		}
		for _, listener := range node.Listeners {
			host, names := hosts[node.ID], listener.SANs
			if listener.IsInternal() || len(names) == 0 ||
				listener.NeedsHostIP && len(host) == 0 && len(c.HostAddresses) == 0 {
				continue
			}
			if listener.NeedsHostIP {
				names = slices.Concat(names, c.HostAddresses)
			} else {
				host = nil
			}
			entry := fmt.Sprintf("%d.%s", node.ID, strings.ToLower(listener.Name))
			leaves = append(leaves, Leaf{Entry: entry, Request: nodeRequest(names, host)})
		}
	}
	return leaves
}

// nodeRequest asks for a certificate with DNS names and addresses, and the addresses of the Kubernetes node; none =
// that is not named.
func nodeRequest(names []string, host model.HostIPs) pki.Request {
	request := pki.Request{
		CommonName: pki.NodeName, Organization: pki.Organization,
		Usages: pki.Usages{Server: true, Client: true}, ValidFor: leafLife,
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(names, host)))) {
		if address := net.ParseIP(name); address != nil {
			request.IPs = append(request.IPs, address)
		} else if name != "" {
			request.DNSNames = append(request.DNSNames, name)
		}
	}
	return request
}

// Hosts are the addresses of the Kubernetes nodes that the pods landed on, by node id.
func Hosts(pods []corev1.Pod) map[int32]model.HostIPs {
	hosts := map[int32]model.HostIPs{}
	for i := range pods {
		status := pods[i].Status
		id, ok := observe.NodeID(pods[i].Name)
		if !ok || status.HostIP == "" || pods[i].DeletionTimestamp != nil {
			continue
		}
		hosts[id] = model.HostIPs{status.HostIP}
		for _, host := range status.HostIPs {
			if !slices.Contains(hosts[id], host.IP) {
				hosts[id] = append(hosts[id], host.IP)
			}
		}
	}
	return hosts
}
