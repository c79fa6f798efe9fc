package cluster

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/kube"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/node"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// Status prints tables of the control plane and of the nodes, with memory.
func (c *Cluster) Status(ctx context.Context, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	records, err := proc.ReadAll(c.Dir.Run())
	if err != nil {
		return err
	}
	var total int64
	fmt.Fprintln(w, "COMPONENT\tSTATE\tPID\tAGE\tSTARTS\tMEMORY")
	for _, r := range records {
		if isNodeRecord(r.Name) {
			continue
		}
		if !r.Alive() {
			fmt.Fprintf(w, "%s\tdown\t\t\t\t\n", r.Name)
			continue
		}
		memory := proc.Memory(r.PID)
		total += memory
		fmt.Fprintf(w, "%s\tup\t%d\t%s\t%d\t%s\n", r.Name, r.PID, age(r.Since), max(1, r.Started), mib(memory))
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil {
		return err
	}
	sum, err := c.PrintNodes(ctx, out)
	fmt.Fprintf(out, "\nmemory of the cluster and its pods: %s\n", mib(total+sum))
	return err
}

// PrintNodes prints the table of nodes and returns the sum of their memory.
func (c *Cluster) PrintNodes(ctx context.Context, out io.Writer) (int64, error) {
	nodes := map[string]kube.Node{}
	client, err := c.Client()
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		nodes, err = client.Nodes(ctx)
	}
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NODE\tSTATE\tZONE\tADDRESS\tPODS\tVERSION\tMEMORY")
	var sum int64
	for _, n := range c.Plan.AllNodes() {
		memory, running := c.nodeMemory(n)
		sum += memory
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, nodeState(nodes[n.Name], running), n.Zone,
			strings.Join(n.IPs, ","), strings.Join(n.PodCIDRs, ","), nodes[n.Name].Version, mib(memory))
	}
	if err != nil {
		err = fmt.Errorf("the API server does not answer: %w", err)
	}
	return sum, joinFlush(err, w)
}

func joinFlush(err error, w *tabwriter.Writer) error {
	if flushErr := w.Flush(); err == nil {
		return flushErr
	}
	return err
}

func nodeState(n kube.Node, running bool) string {
	var state []string
	if !running {
		state = append(state, "off")
	}
	switch {
	case n.Name == "":
		state = append(state, "unknown")
	case n.Ready:
		state = append(state, "Ready")
	default:
		state = append(state, "NotReady")
	}
	return strings.Join(slices.Compact(state), ",")
}

// nodeMemory sums up all processes of a node, those of its pods included: they
// are in pid namespaces of their own, but all in the node's network or below
// the node's first process.
func (c *Cluster) nodeMemory(n plan.Node) (int64, bool) {
	record, err := proc.Read(c.Dir.Run(), node.RecordName(n.Name))
	if err != nil || !record.Alive() {
		return 0, false
	}
	var sum int64
	for _, pid := range proc.Descendants(record.PID) {
		sum += proc.Memory(pid)
	}
	return sum, true
}

func age(since time.Time) string { return time.Since(since).Round(time.Second).String() }

func mib(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
