// Package plan holds the names and addresses of a cluster. Everything is
// computed from the cluster's name, its index and its number of nodes, so that
// two clusters with different names and indexes never share anything.
package plan

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Limits of a plan. An interface name has at most 15 characters, and the
// longest one on the host is NAME-host. The third octet of the last index
// must stay below 256.
const (
	MaxNodes  = 6
	MaxIndex  = 5
	maxName   = 15 - len("-host")
	firstNet  = 200
	perIndex  = 10
	firstNode = 10
)

// Plan is the address plan of one cluster.
type Plan struct {
	Name  string `json:"name"`
	Index int    `json:"index"`
	Nodes int    `json:"nodes"`
}

// Node is one machine of the cluster.
type Node struct {
	Number  int    `json:"number"`
	Name    string `json:"name"`
	NetNS   string `json:"netns"`
	Zone    string `json:"zone"`
	IP      string `json:"ip"`
	PodCIDR string `json:"podCIDR"`
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// Validate tells what is wrong with a plan.
func (p Plan) Validate() error {
	switch {
	case !validName.MatchString(p.Name) || len(p.Name) > maxName || strings.HasSuffix(p.Name, "-"):
		return fmt.Errorf("name %q: want 1 to %d lower-case letters, digits and dashes, a letter first", p.Name, maxName)
	case p.Index < 0 || p.Index > MaxIndex:
		return fmt.Errorf("index %d: want 0 to %d", p.Index, MaxIndex)
	case p.Nodes < 1 || p.Nodes > MaxNodes:
		return fmt.Errorf("%d nodes: want 1 to %d", p.Nodes, MaxNodes)
	}
	return nil
}

// net is the n-th address range of the cluster: 10.200 for nodes, 10.201 for
// services, 10.202 for pods and 10.203 for load balancers with index 0.
func (p Plan) net(n int) string { return fmt.Sprintf("10.%d", firstNet+perIndex*p.Index+n) }

func (p Plan) NodeCIDR() string         { return p.net(0) + ".0.0/24" }
func (p Plan) ServiceCIDR() string      { return p.net(1) + ".0.0/16" }
func (p Plan) PodCIDR() string          { return p.net(2) + ".0.0/16" }
func (p Plan) LoadBalancerCIDR() string { return p.net(3) + ".0.0/16" }

// ControlIP is the address of the control plane and of the nodes' gateway.
func (p Plan) ControlIP() string { return p.net(0) + ".0.1" }

// HostIP is the address of the machine that runs the cluster.
func (p Plan) HostIP() string { return p.net(0) + ".0.254" }

// APIServiceIP is the first service address: Service default/kubernetes.
func (p Plan) APIServiceIP() string { return p.net(1) + ".0.1" }

// DNSIP is the address of Service kube-system/kube-dns.
func (p Plan) DNSIP() string { return p.net(1) + ".0.10" }

// APIURL is the API server's address, reachable from everywhere.
func (p Plan) APIURL() string { return "https://" + p.ControlIP() + ":6443" }

// Registry is host:port of the image registry.
func (p Plan) Registry() string { return p.ControlIP() + ":5000" }

// ControlNetNS is the network namespace of the control plane.
func (p Plan) ControlNetNS() string { return p.Name + "-cp" }

// HostLink is the host's interface in the cluster's network.
func (p Plan) HostLink() string { return p.Name + "-host" }

// HostRoutes are the ranges that the host reaches through the control plane.
func (p Plan) HostRoutes() []string {
	return []string{p.ServiceCIDR(), p.PodCIDR(), p.LoadBalancerCIDR()}
}

// Node returns the i-th node, counted from 1.
func (p Plan) Node(i int) Node {
	name := "n" + strconv.Itoa(i)
	return Node{
		Number:  i,
		Name:    name,
		NetNS:   p.Name + "-" + name,
		Zone:    string(rune('a' + i - 1)),
		IP:      fmt.Sprintf("%s.0.%d", p.net(0), firstNode+i),
		PodCIDR: fmt.Sprintf("%s.%d.0/24", p.net(2), i),
	}
}

// AllNodes returns the nodes in order.
func (p Plan) AllNodes() []Node {
	nodes := make([]Node, p.Nodes)
	for i := range nodes {
		nodes[i] = p.Node(i + 1)
	}
	return nodes
}

// FindNode returns the node of that name.
func (p Plan) FindNode(name string) (Node, error) {
	var names []string
	for _, n := range p.AllNodes() {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return Node{}, fmt.Errorf("no node %q in cluster %s; it has %s", name, p.Name, strings.Join(names, ", "))
}
