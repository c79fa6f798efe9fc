// Package cluster brings a cluster up and takes it down again. Every step of
// Up looks at what is there and makes only what is missing, so that a run that
// was cut short, or a part that was killed, is healed by the next run.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/console"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/control"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/kube"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/netns"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/node"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/pki"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/toolchain"
)

// Config is what a cluster is made from. It is stored in the cluster's folder.
type Config struct {
	Plan        plan.Plan       `json:"plan"`
	Tolerations int             `json:"tolerationSeconds"`
	Tools       toolchain.Tools `json:"tools"`
	Images      string          `json:"images"`
}

// Cluster is one cluster, up or not.
type Cluster struct {
	Config
	Dir     plan.Dir
	Console *console.Console
}

// New is a cluster that may not exist yet.
func New(cache plan.Cache, config Config, c *console.Console) *Cluster {
	return &Cluster{Config: config, Dir: cache.Cluster(config.Plan.Name), Console: c}
}

// Load reads a cluster that was brought up.
func Load(cache plan.Cache, name string, c *console.Console) (*Cluster, error) {
	dir := cache.Cluster(name)
	config, err := readConfig(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, NotThere{name}
	}
	if err != nil {
		return nil, err
	}
	return &Cluster{Config: config, Dir: dir, Console: c}, nil
}

// NotThere says that there is no cluster of that name.
type NotThere struct{ Name string }

func (e NotThere) Error() string {
	return fmt.Sprintf("there is no cluster %q; `localcluster up` makes one", e.Name)
}

func readConfig(dir plan.Dir) (Config, error) {
	var config Config
	content, err := os.ReadFile(dir.Config())
	if err != nil {
		return config, err
	}
	if err := json.Unmarshal(content, &config); err != nil {
		return config, fmt.Errorf("%s: %w", dir.Config(), err)
	}
	return config, config.Plan.Validate()
}

// save refuses changes that a cluster cannot make while it exists, and an
// index that another cluster uses.
func (c *Cluster) save(cache plan.Cache) error {
	old, err := readConfig(c.Dir)
	exists := err == nil
	if err := c.settleFamilies(old.Plan, exists, netns.HasIPv6); err != nil {
		return err
	}
	if exists && (old.Plan.Index != c.Plan.Index || old.Plan.Nodes > c.Plan.Nodes) {
		return fmt.Errorf("cluster %s exists with index %d and %d nodes; run `localcluster down --name %s` first",
			c.Plan.Name, old.Plan.Index, old.Plan.Nodes, c.Plan.Name)
	}
	others, err := filepath.Glob(filepath.Join(cache.Clusters(), "*", "cluster.json"))
	if err != nil {
		return err
	}
	for _, path := range others {
		dir := plan.Dir(filepath.Dir(path))
		other, err := readConfig(dir)
		if err == nil && dir != c.Dir && other.Plan.Index == c.Plan.Index {
			return fmt.Errorf("cluster %s uses index %d already; choose another --index", other.Plan.Name, c.Plan.Index)
		}
	}
	return writeJSON(c.Dir.Config(), c.Config)
}

// settleFamilies chooses the families of the cluster's addresses where nobody
// has: those that it has, else both, else, where the kernel has no IPv6, IPv4.
func (c *Cluster) settleFamilies(old plan.Plan, exists bool, hasIPv6 func() error) error {
	asked := c.Plan.Families
	if exists {
		c.Plan.Families = old.Families
		if asked != "" && strings.Join(c.Plan.Each(), ",") != string(asked) {
			return fmt.Errorf("cluster %s exists with %s; run `localcluster down --name %s` first",
				c.Plan.Name, strings.Join(c.Plan.Each(), " and "), c.Plan.Name)
		}
		return nil
	}
	if asked == plan.IPv4 {
		return nil
	}
	missing := hasIPv6()
	switch {
	case missing == nil && asked == "":
		c.Plan.Families = plan.Both
	case missing != nil && asked == "":
		c.Plan.Families = plan.IPv4
		c.Console.Say("IPv4 alone: the kernel has no IPv6 for a cluster: %v", missing)
	case missing != nil:
		return fmt.Errorf("--ip-families %s: the kernel has no IPv6 for a cluster: %w", asked, missing)
	}
	return nil
}

// lock keeps other commands from changing the cluster at the same time.
func (c *Cluster) lock(ctx context.Context) (func(), error) {
	return proc.Lock(ctx, string(c.Dir)+".lock", func() {
		c.Console.Say("waiting for another command on cluster %s", c.Plan.Name)
	})
}

func (c *Cluster) store() pki.Store { return pki.Store(c.Dir.PKI()) }

// Client speaks to the API server as administrator.
func (c *Cluster) Client() (*kube.Client, error) {
	return kube.New(c.Plan.APIURL(), c.store(), control.CA, control.Admin)
}

// program is the cluster's own copy of this program: `go run` deletes its
// binary, and a node sees only a part of the file system.
func (c *Cluster) program() string { return c.Dir.Path(programName) }

const programName = "localcluster"

func (c *Cluster) copyProgram() error {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	part, err := os.OpenFile(c.program()+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(part, self)
	if err = errors.Join(err, part.Close()); err != nil {
		return err
	}
	return os.Rename(part.Name(), c.program())
}

func (c *Cluster) boot(n plan.Node) node.Boot {
	return node.Boot{Plan: c.Plan, Node: n, Dir: c.Dir, Tools: c.Tools, Program: c.program()}
}

// writeJSON never leaves half a file.
func writeJSON(path string, v any) error {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", content, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
