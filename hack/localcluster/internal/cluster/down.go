package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/console"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/mounts"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/netns"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/node"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

const controlGrace = 8 * time.Second

// Down ends the cluster and removes everything that Up made. With keepData etcd, volumes, nodes' disks and certificates
// stay for the next Up. What cannot be removed does not keep the rest from going; the error names all of it.
func (c *Cluster) Down(ctx context.Context, keepData bool) error {
	if !c.anythingLeft() {
		c.Console.Say("there is no cluster %q: nothing to do", c.Plan.Name)
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("ending a cluster needs root, as making it did")
	}
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.refuseTwin(); err != nil {
		return err
	}
	if !c.exists() {
		if err := c.refuseResidents(); err != nil {
			return err
		}
	}
	begin := time.Now()
	if err := c.takeDown(ctx, keepData); err != nil {
		return fmt.Errorf("all of cluster %s is gone but this:\n%w\nafterwards run `localcluster down --name %s` once more",
			c.Plan.Name, err, c.Plan.Name)
	}
	c.Console.Say("cluster %s is down: %s", c.Plan.Name, console.Elapsed(time.Since(begin)))
	if keepData {
		return nil
	}
	return os.Remove(string(c.Dir) + ".lock")
}

// takeDown does the work of Down. Each part goes on after an error of another: what is left is less then, and all of it
// is named.
func (c *Cluster) takeDown(ctx context.Context, keepData bool) error {
	c = c.whole()
	err := remains("the note that the cluster ends", c.noteEnding(keepData), "make room in "+string(c.Dir))
	for _, n := range c.Plan.AllNodes() {
		err = errors.Join(err, c.stopRecorded(n))
	}
	// Looking through all processes of the machine takes a while on a busy one: once for all nodes.
	err = errors.Join(err, c.stopMembers(func(m member) bool { return m.node != "" }))
	grace := time.Duration(0)
	if keepData {
		grace = controlGrace
	}
	err = errors.Join(err, c.stopControl(grace), c.stopStragglers(), c.deleteNetwork(ctx), c.deleteCgroups())
	return errors.Join(err, c.deleteState(keepData, err == nil))
}

// powerOff ends a node at once.
func (c *Cluster) powerOff(n plan.Node) error {
	return errors.Join(c.stopRecorded(n), c.stopMembers(membersOf(n)), c.deleteCgroups(n.Name))
}

// stopRecorded ends a node's first process, and thereby all of the node.
func (c *Cluster) stopRecorded(n plan.Node) error {
	record, err := proc.Read(c.Dir.Run(), node.RecordName(n.Name))
	if err != nil {
		return err
	}
	return record.Stop(0)
}

// stopControl ends the supervisor, and what a killed supervisor left behind.
// The list of programs goes first: a supervisor without it is about to end,
// and Up must not count on it.
func (c *Cluster) stopControl(grace time.Duration) error {
	err := os.Remove(c.Dir.Path(specsFile))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	supervisor, readErr := proc.Read(c.Dir.Run(), supervisorRecord)
	if readErr == nil {
		readErr = supervisor.Stop(grace)
	}
	err = errors.Join(err, readErr, c.stopMembers(isSupervisor))
	records, readErr := proc.ReadAll(c.Dir.Run())
	err = errors.Join(err, readErr)
	for _, r := range records {
		if !isNodeRecord(r.Name) {
			err = errors.Join(err, r.Stop(0))
		}
	}
	return err
}

// isNodeRecord asks for the nodes that any cluster may have.
func isNodeRecord(name string) bool {
	all := plan.Plan{Nodes: plan.MaxNodes}.AllNodes()
	return slices.ContainsFunc(all, func(n plan.Node) bool { return node.RecordName(n.Name) == name })
}

// stopStragglers ends processes that have no record but are in the cluster's
// network namespaces, such as those that a user started there.
func (c *Cluster) stopStragglers() error {
	var err error
	for _, name := range c.namespaces() {
		ids, namedErr := netns.Named(name)
		err = errors.Join(err, namedErr)
		for _, id := range ids {
			for _, r := range proc.InNamespace("net", id) {
				err = errors.Join(err, r.Stop(0))
			}
		}
	}
	return err
}

// deleteState removes the cluster's folder. As long as anything else of the cluster is left, three things stay for the
// next attempt: the plan, the records of processes, and the note that the cluster ends.
func (c *Cluster) deleteState(keepData, allElseGone bool) error {
	err := errors.Join(refuseMounts(c.Dir.Deleted()), removeAll(c.Dir.Deleted()))
	keep := []string{}
	if keepData {
		keep = c.Dir.Data()
	}
	entries, readErr := os.ReadDir(string(c.Dir))
	if errors.Is(readErr, os.ErrNotExist) {
		return err
	}
	err = errors.Join(err, readErr, refuseMounts(string(c.Dir)))
	if err == nil && allElseGone && !keepData {
		// Without half a state when it is cut short.
		if err := os.Rename(string(c.Dir), c.Dir.Deleted()); err != nil {
			return remains(string(c.Dir), err, "`rm -r "+string(c.Dir)+"`")
		}
		return removeAll(c.Dir.Deleted())
	}
	last := []string{"cluster.json", "run", endingFile}
	for _, e := range entries {
		if !slices.Contains(keep, e.Name()) && !slices.Contains(last, e.Name()) {
			err = errors.Join(err, removeAll(c.Dir.Path(e.Name())))
		}
	}
	if err != nil || !allElseGone {
		return err
	}
	for _, name := range last {
		if !slices.Contains(keep, name) {
			err = errors.Join(err, removeAll(c.Dir.Path(name)))
		}
	}
	return err
}

// removeAll deletes a file or folder, but nothing that is mounted within it: that is not ours.
func removeAll(path string) error {
	if points, err := mounts.Below(path); err != nil || len(points) > 0 {
		return err // refuseMounts names them
	}
	return remains(path, os.RemoveAll(path), "`rm -r "+path+"`")
}

// refuseMounts names what is mounted within a folder. Deleting the folder would delete what is in there.
func refuseMounts(dir string) error {
	points, err := mounts.Below(dir)
	// The innermost go first.
	for _, p := range slices.Backward(points) {
		err = errors.Join(err, remains("mount "+p, errors.New("it lies within "+dir), "`umount "+p+"`"))
	}
	return err
}
