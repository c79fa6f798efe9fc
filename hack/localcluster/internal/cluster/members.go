package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/netns"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/node"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

// member is a process of this program that keeps a cluster running: the supervisor, or the first processes of a node.
// It is known by its command line, so that it is found also where its record was never written or is lost.
type member struct {
	proc.Record
	dir  plan.Dir // of the cluster that it belongs to
	node string   // empty: the supervisor
}

// allMembers lists the members of all clusters of that name, whatever folder they keep their state in.
func allMembers(name string) []member {
	var found []member
	for _, r := range proc.WithArguments(func(argv []string) bool { _, ok := memberOf(argv); return ok }) {
		m, ok := memberOf(proc.Arguments(r.PID))
		if ok && filepath.Base(string(m.dir)) == name {
			m.Record = r
			found = append(found, m)
		}
	}
	return found
}

func memberOf(argv []string) (member, bool) {
	const program, command, argument = 0, 1, 2
	if len(argv) <= argument || filepath.Base(argv[program]) != programName {
		return member{}, false
	}
	switch argv[command] {
	case "supervise":
		return member{dir: plan.Dir(argv[argument])}, true
	case "node-init", "node-run":
		var b node.Boot
		err := json.Unmarshal([]byte(argv[argument]), &b)
		return member{dir: b.Dir, node: b.Node.Name}, err == nil && b.Dir != ""
	}
	return member{}, false
}

// isOurs tells whether a folder is this cluster's. Two paths may lead to it.
func (c *Cluster) isOurs(dir plan.Dir) bool {
	if dir == c.Dir {
		return true
	}
	// The folder itself may be gone; the one above is shared by all clusters of a cache.
	own, errOwn := os.Stat(filepath.Dir(string(c.Dir)))
	other, errOther := os.Stat(filepath.Dir(string(dir)))
	return errOwn == nil && errOther == nil && os.SameFile(own, other) &&
		filepath.Base(string(dir)) == filepath.Base(string(c.Dir))
}

func isSupervisor(m member) bool { return m.node == "" }

func membersOf(n plan.Node) func(member) bool {
	return func(m member) bool { return m.node == n.Name }
}

// stopMembers ends such members as have no record any more, or never had one.
func (c *Cluster) stopMembers(such func(member) bool) error {
	var err error
	for _, m := range allMembers(c.Plan.Name) {
		if such(m) && c.isOurs(m.dir) {
			err = errors.Join(err, m.Stop(0))
		}
	}
	return err
}

// refuseTwin fails if a cluster of the same name runs from another folder. Names of namespaces, of the interface and of
// control groups are the machine's, so the two cannot live side by side, and neither may take down the other.
func (c *Cluster) refuseTwin() error {
	for _, m := range allMembers(c.Plan.Name) {
		if !c.isOurs(m.dir) {
			cache := filepath.Dir(filepath.Dir(string(m.dir)))
			return fmt.Errorf("a cluster %s runs already from another folder, %s (process %d); choose another --name, or end "+
				"that one: `localcluster down --name %s --cache %s`", c.Plan.Name, m.dir, m.PID, c.Plan.Name, cache)
		}
	}
	return nil
}

// refuseResidents fails if there are processes in the cluster's namespaces although the cluster has no folder. Those of
// its members and their children are ended first; the others are somebody's whom we do not know.
func (c *Cluster) refuseResidents() error {
	var err error
	for _, m := range allMembers(c.Plan.Name) {
		if c.isOurs(m.dir) {
			err = errors.Join(err, m.Stop(controlGrace))
		}
	}
	for _, name := range c.whole().namespaces() {
		ids, namedErr := netns.Named(name)
		err = errors.Join(err, namedErr)
		for _, id := range ids {
			for _, r := range proc.InNamespace("net", id) {
				err = errors.Join(err, fmt.Errorf("%s is in the network namespace %s, which a cluster %s would have, but there "+
					"is no such cluster in %s; end it (`kill %d`) or choose another --name",
					proc.Describe(r.PID), name, c.Plan.Name, filepath.Dir(string(c.Dir)), r.PID))
			}
		}
	}
	return err
}
