package decide

import (
	"fmt"
	"slices"

	"github.com/castellan-dev/castellan/internal/model"
	"github.com/castellan-dev/castellan/internal/pki"
	"github.com/castellan-dev/castellan/internal/render"
	"github.com/castellan-dev/castellan/internal/verdict"
)

const (
	// maxObject is how many bytes of values a ConfigMap or a Secret holds (Kubernetes: MaxSecretSize).
	maxObject = 1 << 20
	// rollRoom is what a revision may need more in mid-roll, when some nodes have their last files and others the next.
	rollRoom = 128 << 10
	// keyRoom is what a Secret of keys is left with: a key stays where it is when it is issued anew, for longer addresses.
	keyRoom = 32 << 10
	// authorityRoom is more than the certificates of the authority, of which there are two while its key is replaced. They
	// stand beside the keys.
	authorityRoom = 4 << 10
	// longestIP stands for addresses of Kubernetes nodes that are not known yet.
	longestIP   = "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"
	longestIPv4 = "255.255.255.255"
	// longHost stands for names of load balancers that are not known yet.
	longHost = "a0123456789abcdef0123456789abcdef-0123456789abcdef.elb.ap-southeast-1.amazonaws.com"
)

// tooLarge refuses pools whose files or keys do not fit into the object that holds them. It prints them to see.
func tooLarge(c *model.Cluster) verdict.List {
	c = assumed(c)
	var faults verdict.List
	files := render.Nodes(c)
	for i := range c.Pools {
		pool := &c.Pools[i]
		ofPool := map[int32]render.NodeFiles{}
		hosts := map[int32]model.HostIPs{}
		for k := range c.Nodes {
			if n := &c.Nodes[k]; n.Pool == pool.Name {
				ofPool[n.ID], hosts[n.ID] = files[n.ID], model.HostIPs{longestIP, longestIPv4}
			}
		}
		if size := render.RevisionBytes(render.Revision(c, pool, ofPool)); size > maxObject-rollRoom {
			faults.Refuse(
				model.PoolField(pool.Name, "config"),
				"the files of its %d nodes take %d bytes, and a ConfigMap has room for %d; shorten the configuration, or spread "+
					"the nodes over more pools",
				pool.Replicas,
				size,
				maxObject-rollRoom,
			)
		}
		leaves := listenerLeaves(c, pool, hosts)
		sizes, total := map[string]int{}, 0
		for _, leaf := range leaves {
			sizes[leaf.Entry] = leafBytes(leaf, pki.AuthorityName(c.Namespace, c.Name))
			total += sizes[leaf.Entry]
		}
		if _, fits := placed(sizes, nil, maxObject-keyRoom-authorityRoom); !fits {
			faults.Refuse(
				model.ReplicasField(pool.Name, pool.Scaled),
				"the %d keys of its %d nodes for listeners with TLS take %d bytes, and %d Secrets have room for %d; use fewer "+
					"such listeners, or spread the nodes over more pools",
				len(leaves),
				pool.Replicas,
				total,
				model.ListenersSecrets,
				model.ListenersSecrets*(maxObject-keyRoom-authorityRoom),
			)
		}
	}
	return faults
}

// mostHosts is how many addresses of Kubernetes nodes a certificate names at most.
const mostHosts = 500

// hostRoom is more than an address takes in a certificate, as PEM, and for its line's end in the list of names.
const hostRoom = 28

// nameHosts has certificates name every Kubernetes node, so that a pod that comes to another one finds its certificate
// there, also while no operator runs. Where that is too much for the Secrets, each names its own.
func (d *Decision) nameHosts(addresses []string) {
	leaves, size := 0, 0
	for i := range d.Model.Pools {
		count := 0
		for k := range d.Model.Nodes {
			for _, l := range d.Model.Nodes[k].AllListeners() {
				if d.Model.Nodes[k].Pool == d.Model.Pools[i].Name && l.NeedsHostIP {
					count++
				}
			}
		}
		leaves = max(leaves, count)
	}
	for _, address := range addresses {
		size += len(address) + hostRoom
	}
	switch {
	case leaves == 0:
	case len(addresses) > mostHosts || leaves*size > model.ListenersSecrets*(maxObject-keyRoom-authorityRoom)/2:
		d.Warnings = append(d.Warnings, fmt.Sprintf("the %d addresses of the Kubernetes nodes are too many for the "+
			"certificates of listeners of type NodePort: each names that on which its pod runs, and a pod that moves needs "+
			"the operator", len(addresses)))
	default:
		d.Model.HostAddresses = addresses
	}
}

// assumed is the cluster with the longest value for every fact that is not known yet.
func assumed(c *model.Cluster) *model.Cluster {
	known := *c
	known.Nodes = slices.Clone(c.Nodes)
	for i := range known.Nodes {
		n := &known.Nodes[i]
		n.Waiting, n.Listeners = "", n.AllListeners()
		for k := range n.Listeners {
			l := &n.Listeners[k]
			if l.AdvertisedPort == 0 {
				l.AdvertisedPort = 65535
			}
			if l.AdvertisedHost == "" {
				l.AdvertisedHost = longHost
			}
			if l.Late != "" && len(l.SANs) > 0 { // of the broker's load balancer, and of the one at which clients begin
				l.SANs = append(slices.Clone(l.SANs), longHost, "bootstrap-"+longHost)
			}
		}
	}
	return &known
}
