package cluster

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/node"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

const controlGrace = 8 * time.Second

// Down ends the cluster and removes everything that Up made. With keepData
// etcd, volumes, nodes' disks and certificates stay for the next Up.
func (c *Cluster) Down(ctx context.Context, keepData bool) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, n := range c.Plan.AllNodes() {
		err = errors.Join(err, c.powerOff(n))
	}
	grace := time.Duration(0)
	if keepData {
		grace = controlGrace
	}
	err = errors.Join(err, c.stopControl(grace), c.stopStragglers())
	if err != nil {
		return err
	}
	if err := errors.Join(c.deleteNetwork(ctx), c.deleteCgroups()); err != nil {
		return err
	}
	if err := c.deleteState(keepData); err != nil || keepData {
		return err
	}
	return os.Remove(string(c.Dir) + ".lock")
}

// powerOff ends a node at once.
func (c *Cluster) powerOff(n plan.Node) error {
	record, err := proc.Read(c.Dir.Run(), node.RecordName(n.Name))
	if err != nil {
		return err
	}
	if err := record.Stop(0); err != nil {
		return err
	}
	return c.deleteCgroups(n.Name)
}

// stopControl ends the supervisor, and what a killed supervisor left behind.
// The list of programs goes first: a supervisor without it is about to end,
// and Up must not count on it.
func (c *Cluster) stopControl(grace time.Duration) error {
	if err := os.Remove(c.Dir.Path(specsFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	supervisor, err := proc.Read(c.Dir.Run(), supervisorRecord)
	if err != nil {
		return err
	}
	if err := supervisor.Stop(grace); err != nil {
		return err
	}
	records, err := proc.ReadAll(c.Dir.Run())
	if err != nil {
		return err
	}
	for _, r := range records {
		if !isNodeRecord(r.Name, c.Plan) {
			err = errors.Join(err, r.Stop(0))
		}
	}
	return err
}

func isNodeRecord(name string, p plan.Plan) bool {
	return slices.ContainsFunc(p.AllNodes(), func(n plan.Node) bool { return node.RecordName(n.Name) == name })
}

// stopStragglers ends processes that have no record but are in the cluster's
// network namespaces, such as those that a user started there.
func (c *Cluster) stopStragglers() error {
	names := []string{c.Plan.ControlNetNS()}
	for _, n := range c.Plan.AllNodes() {
		names = append(names, n.NetNS)
	}
	var err error
	for _, name := range names {
		if path := netnsPath(name); isNetNS(path) {
			for _, r := range proc.InNamespace("net", path) {
				err = errors.Join(err, r.Stop(0))
			}
		}
	}
	return err
}

func (c *Cluster) deleteState(keepData bool) error {
	if !keepData {
		// Without half a state when it is cut short.
		deleted := string(c.Dir) + ".deleted"
		if err := os.RemoveAll(deleted); err != nil {
			return err
		}
		return errors.Join(os.Rename(string(c.Dir), deleted), os.RemoveAll(deleted))
	}
	entries, err := os.ReadDir(string(c.Dir))
	for _, e := range entries {
		if !slices.Contains(c.Dir.Data(), e.Name()) {
			err = errors.Join(err, os.RemoveAll(c.Dir.Path(e.Name())))
		}
	}
	return err
}
