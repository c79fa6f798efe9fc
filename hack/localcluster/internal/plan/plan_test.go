package plan

import (
	"net"
	"slices"
	"testing"
)

func TestDefaultAddresses(t *testing.T) {
	p := Plan{Name: "castellan", Nodes: 3}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		p.APIURL():           "https://10.200.0.1:6443",
		p.HostIP():           "10.200.0.254",
		p.DNSIP():            "10.201.0.10",
		p.PodCIDR():          "10.202.0.0/16",
		p.LoadBalancerCIDR(): "10.203.0.0/16",
		p.HostLink():         "castellan-host",
		p.ControlNetNS():     "castellan-cp",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	want := Node{Number: 2, Name: "n2", NetNS: "castellan-n2", Zone: "b", IP: "10.200.0.12", PodCIDR: "10.202.2.0/24"}
	if n, err := p.FindNode("n2"); err != nil || n != want {
		t.Errorf("got %+v, %v", n, err)
	}
	if _, err := p.FindNode("n4"); err == nil {
		t.Error("found a node that is not there")
	}
}

// TestIndexesAreApart checks every pair of ranges of all indexes.
func TestIndexesAreApart(t *testing.T) {
	var all []*net.IPNet
	for i := range MaxIndex + 1 {
		p := Plan{Name: "a", Index: i, Nodes: MaxNodes}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, cidr := range append(p.HostRoutes(), p.NodeCIDR()) {
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
	p := Plan{Name: "a", Index: 3, Nodes: MaxNodes}
	_, pods, _ := net.ParseCIDR(p.PodCIDR())
	_, nodes, _ := net.ParseCIDR(p.NodeCIDR())
	for _, n := range p.AllNodes() {
		ip, _, err := net.ParseCIDR(n.PodCIDR)
		if err != nil || !pods.Contains(ip) || !nodes.Contains(net.ParseIP(n.IP)) {
			t.Errorf("%+v: %v", n, err)
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
