package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/netns"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
)

// ending is the note in a cluster's folder that it is being taken down. It is written first and goes last. While it is
// there, what is left of the cluster is not to be healed but to be removed.
type ending struct {
	KeepData bool `json:"keepData"`
}

const endingFile = "ending.json"

// noteEnding writes the note. A cluster without a folder needs none: nothing of it could be healed.
func (c *Cluster) noteEnding(keepData bool) error {
	if _, err := os.Stat(string(c.Dir)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return writeJSON(c.Dir.Path(endingFile), ending{KeepData: keepData})
}

func (c *Cluster) readEnding() (e ending, found bool, err error) {
	path := c.Dir.Path(endingFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return e, false, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &e)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w; run `localcluster down --name %s`", path, err, c.Plan.Name)
	}
	return e, true, err
}

// clearWay finishes an earlier `down` that did not come to its end, and removes what a lost cluster of that name left on
// the machine. It fails with the objects and the cures if something stays in the way.
func (c *Cluster) clearWay(ctx context.Context) error {
	if err := c.refuseTwin(); err != nil {
		return err
	}
	e, found, err := c.readEnding()
	if err != nil {
		return err
	}
	if !found {
		if c.exists() || !c.anythingLeft() {
			return nil
		}
		// Without a folder it is nobody's: a cache that was deleted, or a `down` that was killed at its very end.
		if err := c.refuseResidents(); err != nil {
			return err
		}
	}
	c.Console.Say("an earlier cluster %s was not taken down wholly; doing the rest of it first", c.Plan.Name)
	if err := c.takeDown(ctx, e.KeepData); err != nil {
		return fmt.Errorf("cluster %s cannot come up, for something of its earlier life is in the way:\n%w",
			c.Plan.Name, err)
	}
	return nil
}

// exists tells whether the cluster has a folder that says how it was made.
func (c *Cluster) exists() bool {
	_, err := os.Stat(c.Dir.Config())
	return err == nil
}

// anythingLeft tells whether there is anything on the machine that bears the cluster's name.
func (c *Cluster) anythingLeft() bool {
	paths := []string{string(c.Dir), c.Dir.Deleted(), filepath.Join(cgroupRoot, c.Plan.Name)}
	if dirs, err := hierarchies(); err == nil {
		for _, h := range dirs {
			paths = append(paths, filepath.Join(h, c.Plan.Name))
		}
	}
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil {
			return true
		}
	}
	for _, name := range c.whole().namespaces() {
		if taken, err := netns.Taken(name); taken || err != nil {
			return true
		}
	}
	link, err := hostHasLink(c.Plan.HostLink())
	return link || err != nil || len(allMembers(c.Plan.Name)) > 0
}

// whole is the cluster with all the nodes that it may ever have had. Taking down asks for names, not for what is in the
// plan: the plan may be lost, or an `up` with more nodes was cut short.
func (c *Cluster) whole() *Cluster {
	whole := *c
	whole.Plan.Nodes = plan.MaxNodes
	return &whole
}
