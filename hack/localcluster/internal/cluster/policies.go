package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/netns"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/node"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// EnforcePolicies starts the program that enforces NetworkPolicies in the network of every node that runs, unless it is
// there. It ends with the cluster, and is not brought back when it ends by itself.
func (c *Cluster) EnforcePolicies(ctx context.Context, program string) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, n := range c.Plan.AllNodes() {
		running, readErr := proc.Read(c.Dir.Run(), node.RecordName(n.Name))
		if readErr == nil && running.Alive() {
			readErr = c.enforce(program, n)
		}
		err = errors.Join(err, readErr)
	}
	return err
}

func (c *Cluster) enforce(program string, n plan.Node) error {
	name := "policies-" + n.Name
	record, err := proc.Read(c.Dir.Run(), name)
	if err != nil || record.Alive() && proc.SameNamespace(record.PID, "net", netns.Path(n.NetNS)) {
		return err
	}
	// In one family: with both, the program wants ip6tables as well, which a cluster needs for nothing else.
	enforced := c.Plan
	if enforced.Families = plan.IPv4; !c.Plan.HasIPv4() {
		enforced.Families = plan.IPv6
	}
	argv := []string{
		program, "--run-firewall=true", "--run-router=false", "--run-service-proxy=false",
		"--kubeconfig=" + c.Dir.Kubeconfig(), "--hostname-override=" + n.Name,
		"--service-cluster-ip-range=" + enforced.ServiceCIDRs()[0],
		"--loadbalancer-ip-range=" + enforced.LoadBalancerCIDRs()[0], "--metrics-port=0",
		fmt.Sprintf("--enable-ipv4=%t", enforced.HasIPv4()), fmt.Sprintf("--enable-ipv6=%t", enforced.HasIPv6()),
	}
	err = proc.InNetNS(netns.Path(n.NetNS), func() error {
		record, err = proc.Detached(name, argv, c.Dir.Log(name), syscall.SysProcAttr{})
		return err
	})
	if err != nil {
		return fmt.Errorf("enforce NetworkPolicies on node %s: %w", n.Name, err)
	}
	return record.Write(c.Dir.Run())
}
