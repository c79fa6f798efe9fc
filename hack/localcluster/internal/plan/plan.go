// Package plan holds the names and addresses of a cluster. Everything is
// computed from the cluster's name, its index and its number of nodes, so that
// two clusters with different names and indexes never share anything.
package plan

import (
	"fmt"
	"net"
	"regexp"
	"slices"
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

// The four ranges of a cluster.
const (
	nodeNet = iota
	serviceNet
	podNet
	balancerNet
)

// sixPrefix is where all IPv6 addresses begin, in the space that everybody may
// use within their own network (RFC 4193).
const sixPrefix = "fdca:57e1:1a00:"

// Families are the families of the cluster's addresses, the first one first:
// it is that of the nodes' own address, and of Services that ask for none.
type Families string

// What a cluster can have. The empty value is IPv4: clusters were made with it
// before there was a choice.
const (
	IPv4     Families = "IPv4"
	IPv6     Families = "IPv6"
	Both     Families = "IPv4,IPv6"
	SixFirst Families = "IPv6,IPv4"
)

// Plan is the address plan of one cluster.
type Plan struct {
	Name     string   `json:"name"`
	Index    int      `json:"index"`
	Nodes    int      `json:"nodes"`
	Families Families `json:"ipFamilies,omitempty"`
}

// Node is one machine of the cluster, with an address and a range of pods in
// each family.
type Node struct {
	Number   int      `json:"number"`
	Name     string   `json:"name"`
	NetNS    string   `json:"netns"`
	Zone     string   `json:"zone"`
	IPs      []string `json:"ips"`
	PodCIDRs []string `json:"podCIDRs"`
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
	case !slices.Contains([]Families{"", IPv4, IPv6, Both, SixFirst}, p.Families):
		return fmt.Errorf("families %q: want %s, %s, %s or %s", p.Families, IPv4, Both, IPv6, SixFirst)
	}
	return nil
}

// Each lists the families in order.
func (p Plan) Each() []string {
	if p.Families == "" {
		return []string{string(IPv4)}
	}
	return strings.Split(string(p.Families), ",")
}

// HasIPv4 tells whether the cluster has IPv4 addresses, alone or among others.
func (p Plan) HasIPv4() bool { return slices.Contains(p.Each(), string(IPv4)) }

// HasIPv6 tells whether the cluster has IPv6 addresses, alone or among others.
func (p Plan) HasIPv6() bool { return slices.Contains(p.Each(), string(IPv6)) }

// IsIPv6 tells the family of an address or of a range.
func IsIPv6(address string) bool { return strings.Contains(address, ":") }

// net is the n-th address range of the cluster: 10.200 and fdca:57e1:1a00:200
// for nodes, then 201 for services, 202 for pods and 203 for load balancers
// with index 0. The numbers of an IPv6 address are written as those of its
// IPv4 sister are, so that people know one by the other.
func (p Plan) net(n int) int { return firstNet + perIndex*p.Index + n }

// inEach is what each family has, in order; the formats take the number of the net.
func (p Plan) inEach(n int, four, six string) []string {
	formats := map[string]string{string(IPv4): "10.%d" + four, string(IPv6): sixPrefix + "%d:" + six}
	var all []string
	for _, family := range p.Each() {
		all = append(all, fmt.Sprintf(formats[family], p.net(n)))
	}
	return all
}

// address is the same address of a net in each family.
func (p Plan) address(n, host int) []string {
	return p.inEach(n, fmt.Sprintf(".0.%d", host), fmt.Sprintf(":%d", host))
}

func (p Plan) NodeCIDRs() []string         { return p.inEach(nodeNet, ".0.0/24", ":/64") }
func (p Plan) ServiceCIDRs() []string      { return p.inEach(serviceNet, ".0.0/16", ":/112") }
func (p Plan) PodCIDRs() []string          { return p.inEach(podNet, ".0.0/16", ":/64") }
func (p Plan) LoadBalancerCIDRs() []string { return p.inEach(balancerNet, ".0.0/16", ":/112") }

// OnLink is an address of a node, of the control plane or of the host as an
// interface has it: with the length of the nodes' range.
func OnLink(address string) string {
	if IsIPv6(address) {
		return address + "/64"
	}
	return address + "/24"
}

// ControlIPs are the addresses of the control plane and of the nodes' gateway.
func (p Plan) ControlIPs() []string { return p.address(nodeNet, 1) }

// ControlIP is the first of them.
func (p Plan) ControlIP() string { return p.ControlIPs()[0] }

// HostIPs are the addresses of the machine that runs the cluster.
func (p Plan) HostIPs() []string { return p.address(nodeNet, 254) }

// APIServiceIPs are the first service addresses: Service default/kubernetes.
func (p Plan) APIServiceIPs() []string { return p.address(serviceNet, 1) }

// DNSIPs are the addresses of Service kube-system/kube-dns.
func (p Plan) DNSIPs() []string { return p.address(serviceNet, 10) }

// APIURL is the API server's address, reachable from everywhere.
func (p Plan) APIURL() string { return "https://" + net.JoinHostPort(p.ControlIP(), "6443") }

// Registry is host:port of the image registry.
func (p Plan) Registry() string { return net.JoinHostPort(p.ControlIP(), "5000") }

// ControlNetNS is the network namespace of the control plane.
func (p Plan) ControlNetNS() string { return p.Name + "-cp" }

// HostLink is the host's interface in the cluster's network.
func (p Plan) HostLink() string { return p.Name + "-host" }

// HostRoutes are the ranges that the host reaches through the control plane.
func (p Plan) HostRoutes() []string {
	return slices.Concat(p.ServiceCIDRs(), p.PodCIDRs(), p.LoadBalancerCIDRs())
}

// Node returns the i-th node, counted from 1.
func (p Plan) Node(i int) Node {
	name := "n" + strconv.Itoa(i)
	return Node{
		Number:   i,
		Name:     name,
		NetNS:    p.Name + "-" + name,
		Zone:     string(rune('a' + i - 1)),
		IPs:      p.address(nodeNet, firstNode+i),
		PodCIDRs: p.inEach(podNet, fmt.Sprintf(".%d.0/24", i), fmt.Sprintf("%d::/80", i)),
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
