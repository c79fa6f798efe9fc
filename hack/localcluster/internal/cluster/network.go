package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// The folder where ip(8) looks for network namespaces.
const netnsDir = "/run/netns"

func netnsPath(name string) string { return filepath.Join(netnsDir, name) }

// ensureNetNS makes a network namespace with a name that ip(8) knows. It is
// not made by ip(8) itself, because that leaves a mount behind.
func ensureNetNS(name string) error {
	path := netnsPath(name)
	if isNetNS(path) {
		return nil
	}
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return err
	}
	return proc.InNewNetNS(func(own string) error {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(own, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", path, err)
		}
		return nil
	})
}

func isNetNS(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC
}

func deleteNetNS(name string) error {
	path := netnsPath(name)
	if isNetNS(path) {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_ = os.Remove(netnsDir) // only if it is empty
	return nil
}

// ip runs a batch of ip(8) commands in a namespace, or on the host without.
func ip(ctx context.Context, netns string, lines ...string) error {
	args := []string{"-batch", "-"}
	if netns != "" {
		args = append([]string{"-netns", netns}, args...)
	}
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip in %q: %w: %s", netns, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// ensurePair connects two namespaces by a link with an end in each. A link
// that is there with only one of its ends leads to a namespace that has lost
// its name, and is made anew.
func ensurePair(ctx context.Context, netns, link, peerNetns, peer string) error {
	here, there := hasLink(ctx, netns, link), hasLink(ctx, peerNetns, peer)
	if here && there {
		return nil
	}
	var err error
	if here {
		err = ip(ctx, netns, "link del "+link)
	}
	if there {
		err = errors.Join(err, ip(ctx, peerNetns, "link del "+peer))
	}
	return errors.Join(err, ip(ctx, netns, "link add "+link+" type veth peer name "+peer+" netns "+peerNetns))
}

func hasLink(ctx context.Context, netns, link string) bool {
	args := []string{"ip", "link", "show", "dev", link}
	if netns != "" {
		args = []string{"ip", "-netns", netns, "link", "show", "dev", link}
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
	if err := ensureNetNS(cp); err != nil {
		return err
	}
	if !hasLink(ctx, cp, "br0") {
		if err := ip(ctx, cp, "link add br0 type bridge"); err != nil {
			return err
		}
	}
	if err := ip(ctx, cp, "link set lo up", "addr replace "+p.ControlIP()+"/24 dev br0", "link set br0 up"); err != nil {
		return err
	}
	if err := ensurePair(ctx, "", p.HostLink(), cp, "host"); err != nil {
		return err
	}
	if err := ip(ctx, cp, "link set host master br0 up"); err != nil {
		return err
	}
	host := []string{"addr replace " + p.HostIP() + "/24 dev " + p.HostLink(), "link set " + p.HostLink() + " up"}
	for _, cidr := range p.HostRoutes() {
		host = append(host, "route replace "+cidr+" via "+p.ControlIP()+" dev "+p.HostLink())
	}
	if err := ip(ctx, "", host...); err != nil {
		return err
	}
	for _, n := range p.AllNodes() {
		if err := c.ensureNodeNetwork(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// ensureNodeNetwork connects a node. Its default route leads to the control
// plane, which has none: nothing leaves the cluster, and it is known at once.
func (c *Cluster) ensureNodeNetwork(ctx context.Context, n plan.Node) error {
	cp := c.Plan.ControlNetNS()
	if err := ensureNetNS(n.NetNS); err != nil {
		return err
	}
	if err := ensurePair(ctx, cp, n.Name, n.NetNS, "eth0"); err != nil {
		return err
	}
	if err := ip(ctx, cp, "link set "+n.Name+" master br0 up", "route replace "+n.PodCIDR+" via "+n.IP); err != nil {
		return err
	}
	lines := []string{
		"link set lo up", "addr replace " + n.IP + "/24 dev eth0", "link set eth0 up",
		"route replace default via " + c.Plan.ControlIP(),
	}
	for _, other := range c.Plan.AllNodes() {
		if other.Number != n.Number {
			lines = append(lines, "route replace "+other.PodCIDR+" via "+other.IP)
		}
	}
	return ip(ctx, n.NetNS, lines...)
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
			for _, cidr := range append(c.Plan.HostRoutes(), c.Plan.NodeCIDR()) {
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

func (c *Cluster) deleteNetwork(ctx context.Context) error {
	var err error
	if hasLink(ctx, "", c.Plan.HostLink()) {
		err = ip(ctx, "", "link del "+c.Plan.HostLink())
	}
	for _, n := range c.Plan.AllNodes() {
		err = errors.Join(err, deleteNetNS(n.NetNS))
	}
	return errors.Join(err, deleteNetNS(c.Plan.ControlNetNS()))
}
