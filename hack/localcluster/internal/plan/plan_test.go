package plan

import (
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestDefaultAddresses(t *testing.T) {
	p := Plan{Name: "castellan", Nodes: 3}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		p.APIURL():               "https://10.200.0.1:6443",
		p.HostIPs()[0]:           "10.200.0.254",
		p.DNSIPs()[0]:            "10.201.0.10",
		p.PodCIDRs()[0]:          "10.202.0.0/16",
		p.LoadBalancerCIDRs()[0]: "10.203.0.0/16",
		p.HostLink():             "castellan-host",
		p.ControlNetNS():         "castellan-cp",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	want := Node{Number: 2, Name: "n2", NetNS: "castellan-n2", Zone: "b",
		IPs: []string{"10.200.0.12"}, PodCIDRs: []string{"10.202.2.0/24"}}
	if n, err := p.FindNode("n2"); err != nil || !reflect.DeepEqual(n, want) {
		t.Errorf("got %+v, %v", n, err)
	}
	if _, err := p.FindNode("n4"); err == nil {
		t.Error("found a node that is not there")
	}
}

func TestAddressesOfEachFamily(t *testing.T) {
	for families, want := range map[Families]struct{ api, registry, dns, nodes, services, pods, node, nodesPods string }{
		"":   {"https://10.210.0.1:6443", "10.210.0.1:5000", "10.211.0.10", "10.210.0.0/24", "10.211.0.0/16", "10.212.0.0/16", "10.210.0.13", "10.212.3.0/24"},
		IPv4: {"https://10.210.0.1:6443", "10.210.0.1:5000", "10.211.0.10", "10.210.0.0/24", "10.211.0.0/16", "10.212.0.0/16", "10.210.0.13", "10.212.3.0/24"},
		IPv6: {"https://[fdca:57e1:1a00:210::1]:6443", "[fdca:57e1:1a00:210::1]:5000", "fdca:57e1:1a00:211::10",
			"fdca:57e1:1a00:210::/64", "fdca:57e1:1a00:211::/112", "fdca:57e1:1a00:212::/64", "fdca:57e1:1a00:210::13", "fdca:57e1:1a00:212:3::/80"},
		Both: {"https://10.210.0.1:6443", "10.210.0.1:5000", "10.211.0.10 fdca:57e1:1a00:211::10",
			"10.210.0.0/24 fdca:57e1:1a00:210::/64", "10.211.0.0/16 fdca:57e1:1a00:211::/112",
			"10.212.0.0/16 fdca:57e1:1a00:212::/64", "10.210.0.13 fdca:57e1:1a00:210::13", "10.212.3.0/24 fdca:57e1:1a00:212:3::/80"},
		SixFirst: {"https://[fdca:57e1:1a00:210::1]:6443", "[fdca:57e1:1a00:210::1]:5000", "fdca:57e1:1a00:211::10 10.211.0.10",
			"fdca:57e1:1a00:210::/64 10.210.0.0/24", "fdca:57e1:1a00:211::/112 10.211.0.0/16",
			"fdca:57e1:1a00:212::/64 10.212.0.0/16", "fdca:57e1:1a00:210::13 10.210.0.13", "fdca:57e1:1a00:212:3::/80 10.212.3.0/24"},
	} {
		p := Plan{Name: "a", Index: 1, Nodes: 3, Families: families}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		n := p.Node(3)
		for got, want := range map[string]string{
			p.APIURL(): want.api, p.Registry(): want.registry, strings.Join(p.DNSIPs(), " "): want.dns,
			strings.Join(p.NodeCIDRs(), " "): want.nodes, strings.Join(p.ServiceCIDRs(), " "): want.services,
			strings.Join(p.PodCIDRs(), " "): want.pods, strings.Join(n.IPs, " "): want.node, strings.Join(n.PodCIDRs, " "): want.nodesPods,
		} {
			if got != want {
				t.Errorf("%q: got %s, want %s", families, got, want)
			}
		}
	}
	if got := OnLink("10.0.0.1") + " " + OnLink("fd00::1"); got != "10.0.0.1/24 fd00::1/64" {
		t.Error(got)
	}
}

// TestIndexesAreApart checks every pair of ranges of all indexes.
func TestIndexesAreApart(t *testing.T) {
	var all []*net.IPNet
	for i := range MaxIndex + 1 {
		p := Plan{Name: "a", Index: i, Nodes: MaxNodes, Families: Both}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, cidr := range append(p.HostRoutes(), p.NodeCIDRs()...) {
			_, n, err := net.ParseCIDR(cidr)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(all, func(o *net.IPNet) bool { return o.Contains(n.IP) || n.Contains(o.IP) }) {
				t.Errorf("%s of index %d is in use", cidr, i)
			}
			all = append(all, n)
		}
	}
}

func TestNodesLieInTheirRanges(t *testing.T) {
	p := Plan{Name: "a", Index: 3, Nodes: MaxNodes, Families: Both}
	for family := range p.Each() {
		_, pods, _ := net.ParseCIDR(p.PodCIDRs()[family])
		_, nodes, _ := net.ParseCIDR(p.NodeCIDRs()[family])
		for _, n := range p.AllNodes() {
			ip, _, err := net.ParseCIDR(n.PodCIDRs[family])
			if err != nil || !pods.Contains(ip) || !nodes.Contains(net.ParseIP(n.IPs[family])) {
				t.Errorf("%+v: %v", n, err)
			}
		}
	}
}

func TestValidate(t *testing.T) {
	for _, p := range []Plan{
		{Name: "", Nodes: 3},
		{Name: "elevenchars", Nodes: 3},
		{Name: "Upper", Nodes: 3},
		{Name: "a/b", Nodes: 3},
		{Name: "-a", Nodes: 3},
		{Name: "a-", Nodes: 3},
		{Name: "a", Nodes: 0},
		{Name: "a", Nodes: MaxNodes + 1},
		{Name: "a", Nodes: 1, Index: -1},
		{Name: "a", Nodes: 1, Index: MaxIndex + 1},
		{Name: "a", Nodes: 1, Families: "IPv5"},
		{Name: "a", Nodes: 1, Families: "IPv4, IPv6"},
		{Name: "a", Nodes: 1, Families: "IPv4,IPv4"},
	} {
		if p.Validate() == nil {
			t.Errorf("%+v is accepted", p)
		}
	}
	longest := Plan{Name: "tencharsxx", Nodes: 1}
	if err := longest.Validate(); err != nil || len(longest.HostLink()) > 15 {
		t.Errorf("%s: %v", longest.HostLink(), err)
	}
}
