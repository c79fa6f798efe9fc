package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/image"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/node"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// StopNode cuts a node's power.
func (c *Cluster) StopNode(ctx context.Context, name string) error {
	n, err := c.Plan.FindNode(name)
	if err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return c.powerOff(n)
}

// StartNode boots a node with the disks of its earlier life and waits until
// it is ready.
func (c *Cluster) StartNode(ctx context.Context, name string) error {
	n, err := c.Plan.FindNode(name)
	if err != nil {
		return err
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, ending, err := c.readEnding(); err != nil || ending {
		return errors.Join(err, fmt.Errorf("cluster %s was being taken down when that was cut short; finish it: "+
			"`localcluster down --name %s`", c.Plan.Name, c.Plan.Name))
	}
	booted, err := c.ensureNode(n)
	if err != nil {
		return err
	}
	return c.waitNode(ctx, name, booted)
}

// Partition cuts a node's network, or heals it. The node goes on running.
func (c *Cluster) Partition(ctx context.Context, name string, cut bool) error {
	n, err := c.Plan.FindNode(name)
	if err != nil {
		return err
	}
	state := "up"
	if cut {
		state = "down"
	}
	return ip(ctx, c.Plan.ControlNetNS(), "link set "+n.Name+" "+state)
}

// Enter is the command line that runs a command on a node.
func (c *Cluster) Enter(name string, command []string) ([]string, error) {
	n, err := c.Plan.FindNode(name)
	if err != nil {
		return nil, err
	}
	record, err := proc.Read(c.Dir.Run(), node.RecordName(n.Name))
	if err != nil {
		return nil, err
	}
	if !record.Alive() {
		return nil, fmt.Errorf("node %s is not running", name)
	}
	enter := []string{"nsenter", "--target", strconv.Itoa(record.PID), "--mount", "--uts", "--ipc", "--net", "--pid", "--",
		"env", "PATH=" + node.Path(c.Tools)}
	return append(enter, command...), nil
}

// LoadImage pushes an image to the cluster's registry. Nodes that have another
// image of that name forget it, so that the next pod gets the new one.
func (c *Cluster) LoadImage(ctx context.Context, path, ref string) error {
	pushed, err := image.Push(ctx, path, ref, c.Plan.Registry())
	if err != nil {
		return err
	}
	for _, n := range c.Plan.AllNodes() {
		if err := c.forgetImage(ctx, n.Name, pushed); err != nil {
			return err
		}
	}
	c.Console.Say("image %s %s", pushed.Ref, pushed.Digest)
	return nil
}

func (c *Cluster) forgetImage(ctx context.Context, nodeName string, pushed image.Pushed) error {
	list, err := c.Enter(nodeName, []string{"ctr", "--namespace", "k8s.io", "images", "list", "name==" + pushed.Ref})
	if err != nil {
		return nil // it is off and pulls when it is asked to, unless it has the old one
	}
	out, err := proc.Output(ctx, list...)
	if err != nil || !strings.Contains(out, pushed.Ref) || strings.Contains(out, pushed.Digest.String()) {
		return err
	}
	remove, err := c.Enter(nodeName, []string{"ctr", "--namespace", "k8s.io", "images", "remove", "--sync", pushed.Ref})
	if err != nil {
		return err
	}
	_, err = proc.Output(ctx, remove...)
	return err
}

// pushImages makes the cached images known to the cluster's registry.
func (c *Cluster) pushImages(ctx context.Context) error {
	layouts, err := filepath.Glob(filepath.Join(c.Images, "*", "index.json"))
	if err != nil {
		return err
	}
	if err := waitFor(ctx, "the registry", func() error { return dial(ctx, c.Plan.Registry()) }); err != nil {
		return err
	}
	for _, l := range layouts {
		if _, pushErr := image.Push(ctx, filepath.Dir(l), "", c.Plan.Registry()); pushErr != nil {
			err = errors.Join(err, pushErr)
		}
	}
	return err
}

// AuditLog is the path of the API server's log of requests.
func (c *Cluster) AuditLog() (string, error) {
	_, err := os.Stat(c.Dir.Audit())
	return c.Dir.Audit(), err
}
