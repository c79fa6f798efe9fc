package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/netns"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// ip runs a batch of ip(8) commands in a namespace, or on the host without.
func ip(ctx context.Context, namespace string, lines ...string) error {
	args := []string{"-batch", "-"}
	if namespace != "" {
		args = append([]string{"-netns", namespace}, args...)
	}
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip in %q: %w: %s", namespace, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// ensurePair connects two namespaces by a link with an end in each. A link
// that is there with only one of its ends leads to a namespace that has lost
// its name, and is made anew.
func ensurePair(ctx context.Context, namespace, link, peerNamespace, peer string) error {
	here, there := hasLink(ctx, namespace, link), hasLink(ctx, peerNamespace, peer)
	if here && there {
		return nil
	}
	var err error
	if here {
		err = ip(ctx, namespace, "link del "+link)
	}
	if there {
		err = errors.Join(err, ip(ctx, peerNamespace, "link del "+peer))
	}
	return errors.Join(err, ip(ctx, namespace, "link add "+link+" type veth peer name "+peer+" netns "+peerNamespace))
}

func hasLink(ctx context.Context, namespace, link string) bool {
	args := []string{"ip", "link", "show", "dev", link}
	if namespace != "" {
		args = []string{"ip", "-netns", namespace, "link", "show", "dev", link}
	}
	_, err := proc.Output(ctx, args...)
	return err == nil
}

// ensureNetwork makes the control plane's namespace with a bridge, the host's
// link into it and a namespace with one link for each node.
func (c *Cluster) ensureNetwork(ctx context.Context) error {
	if err := c.checkOverlap(); err != nil {
		return err
	}
	p, cp := c.Plan, c.Plan.ControlNetNS()
	if err := netns.Ensure(cp); err != nil {
		return err
	}
	if !hasLink(ctx, cp, "br0") {
		if err := ip(ctx, cp, "link add br0 type bridge"); err != nil {
			return err
		}
	}
	lines := append([]string{"link set lo up", "link set br0 up"}, own("br0", p.ControlIPs())...)
	if err := ip(ctx, cp, lines...); err != nil {
		return err
	}
	if err := ensurePair(ctx, "", p.HostLink(), cp, "host"); err != nil {
		return err
	}
	if err := ip(ctx, cp, "link set host master br0 up"); err != nil {
		return err
	}
	if err := c.ensureHostNetwork(ctx); err != nil {
		return err
	}
	for _, n := range p.AllNodes() {
		if err := c.ensureNodeNetwork(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// ensureHostNetwork gives the host its addresses in the cluster's network, and routes to the rest of the cluster.
func (c *Cluster) ensureHostNetwork(ctx context.Context) error {
	p, link := c.Plan, c.Plan.HostLink()
	if p.HasIPv6() {
		// Only on our own interface: whether the machine has IPv6 elsewhere is not our business.
		if err := os.WriteFile(filepath.Join(netns.SettingsIPv6, link, "disable_ipv6"), []byte("0"), 0o644); err != nil {
			return err
		}
	}
	lines := append([]string{"link set " + link + " up"}, own(link, p.HostIPs())...)
	for _, cidr := range p.HostRoutes() {
		lines = append(lines, "route replace "+cidr+" via "+sameFamily(p.ControlIPs(), cidr)+" dev "+link)
	}
	return ip(ctx, "", lines...)
}

// own gives an interface its addresses. An IPv6 address is good at once: the plan gives it to nobody else.
func own(link string, addresses []string) []string {
	var lines []string
	for _, address := range addresses {
		line := "addr replace " + plan.OnLink(address) + " dev " + link
		if plan.IsIPv6(address) {
			line += " nodad"
		}
		lines = append(lines, line)
	}
	return lines
}

// sameFamily is that of the addresses which is of one family with a range.
func sameFamily(addresses []string, cidr string) string {
	return addresses[slices.IndexFunc(addresses, func(a string) bool { return plan.IsIPv6(a) == plan.IsIPv6(cidr) })]
}

// ensureNodeNetwork connects a node. Its default route leads to the control
// plane, which has none: nothing leaves the cluster, and it is known at once.
func (c *Cluster) ensureNodeNetwork(ctx context.Context, n plan.Node) error {
	cp := c.Plan.ControlNetNS()
	if err := netns.Ensure(n.NetNS); err != nil {
		return err
	}
	if err := ensurePair(ctx, cp, n.Name, n.NetNS, "eth0"); err != nil {
		return err
	}
	if err := ip(ctx, cp, append([]string{"link set " + n.Name + " master br0 up"}, podRoutes(n)...)...); err != nil {
		return err
	}
	lines := append([]string{"link set lo up", "link set eth0 up"}, own("eth0", n.IPs)...)
	for _, gateway := range c.Plan.ControlIPs() {
		lines = append(lines, "route replace default via "+gateway)
	}
	for _, other := range c.Plan.AllNodes() {
		if other.Number != n.Number {
			lines = append(lines, podRoutes(other)...)
		}
	}
	return ip(ctx, n.NetNS, lines...)
}

// podRoutes lead to the pods of a node.
func podRoutes(n plan.Node) []string {
	var lines []string
	for _, cidr := range n.PodCIDRs {
		lines = append(lines, "route replace "+cidr+" via "+sameFamily(n.IPs, cidr))
	}
	return lines
}

// checkOverlap refuses to take addresses that the machine uses otherwise.
func (c *Cluster) checkOverlap() error {
	links, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, link := range links {
		if link.Name == c.Plan.HostLink() {
			continue
		}
		addresses, err := link.Addrs()
		if err != nil {
			return err
		}
		for _, a := range addresses {
			for _, cidr := range append(c.Plan.HostRoutes(), c.Plan.NodeCIDRs()...) {
				if overlap(a.String(), cidr) {
					return fmt.Errorf("interface %s has address %s within %s; choose another --index", link.Name, a, cidr)
				}
			}
		}
	}
	return nil
}

func overlap(a, b string) bool {
	ipA, netA, errA := net.ParseCIDR(a)
	ipB, netB, errB := net.ParseCIDR(b)
	return errA == nil && errB == nil && (netA.Contains(ipB) || netB.Contains(ipA))
}

// deleteNetwork removes the host's link and takes away the names of the namespaces, with which they go.
func (c *Cluster) deleteNetwork(ctx context.Context) error {
	err := c.deleteHostLink(ctx)
	for _, name := range c.namespaces() {
		err = errors.Join(err, deleteNetNS(name))
	}
	return err
}

// namespaces are the names of the cluster's network namespaces.
func (c *Cluster) namespaces() []string {
	var names []string
	for _, n := range c.Plan.AllNodes() {
		names = append(names, n.NetNS)
	}
	return append(names, c.Plan.ControlNetNS())
}

func (c *Cluster) deleteHostLink(ctx context.Context) error {
	link := c.Plan.HostLink()
	there, err := hostHasLink(link)
	if err == nil && there {
		// An interrupt must not leave it: the command takes no time.
		err = ip(context.WithoutCancel(ctx), "", "link del "+link)
	}
	return remains("interface "+link, err, "`ip link delete "+link+"`")
}

// hostHasLink differs from hasLink in that a failure to look is not an answer.
func hostHasLink(name string) (bool, error) {
	links, err := net.Interfaces()
	return slices.ContainsFunc(links, func(l net.Interface) bool { return l.Name == name }), err
}

func deleteNetNS(name string) error {
	what := "network namespace " + name
	ids, err := netns.Named(name)
	if err != nil {
		return remains(what, err, "mount /proc")
	}
	path := netns.Path(name)
	err = remains(what, netns.Remove(name), fmt.Sprintf("`umount -l %s; rm %s`", path, path))
	for _, id := range ids {
		points, mountsErr := netns.MountedAt(id)
		err = errors.Join(err, mountsErr)
		for _, point := range points {
			if point != path {
				err = errors.Join(err, remains(what, errors.New("it is mounted at "+point+" too"), "`umount "+point+"`"))
			}
		}
	}
	return err
}
