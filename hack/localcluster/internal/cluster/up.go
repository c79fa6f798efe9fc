package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/console"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/control"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/kube"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/netns"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/node"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/proc"
)

const (
	supervisorRecord = "supervisor"
	specsFile        = "specs.json"
	apiTimeout       = 2 * time.Minute
	nodesTimeout     = 3 * time.Minute
	partTimeout      = 90 * time.Second
)

// Up brings the cluster up, or heals it.
func (c *Cluster) Up(ctx context.Context, cache plan.Cache) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.clearWay(ctx); err != nil {
		return err
	}
	if err := c.prepare(cache); err != nil {
		return err
	}
	if err := c.ensureNetwork(ctx); err != nil {
		return err
	}
	if err := c.ensureSupervisor(); err != nil {
		return err
	}
	client, err := c.Client()
	if err != nil {
		return err
	}
	if err := c.timed("API server ready", func() error { return client.WaitReady(ctx, apiTimeout, nil) }); err != nil {
		return fmt.Errorf("%w; see %s", err, c.Dir.Log("kube-apiserver"))
	}
	if err := c.applyObjects(ctx); err != nil {
		return err
	}
	starts := map[string]time.Time{}
	for _, n := range c.Plan.AllNodes() {
		if starts[n.Name], err = c.ensureNode(n); err != nil {
			return err
		}
	}
	if err := c.timed("images pushed", func() error { return c.pushImages(ctx) }); err != nil {
		return err
	}
	if err := c.timed("nodes ready", func() error { return c.waitNodes(ctx, starts) }); err != nil {
		return err
	}
	return c.timed("service accounts and cluster DNS ready", func() error { return c.waitServices(ctx, client) })
}

// timed tells how long a part of Up took.
func (c *Cluster) timed(what string, f func() error) error {
	begin := time.Now()
	err := f()
	if err == nil {
		c.Console.Say("%s: %s", what, console.Elapsed(time.Since(begin)))
	}
	return err
}

// waitServices waits for what pods and clients need from the first moment: a
// service account, and cluster DNS at its service address.
func (c *Cluster) waitServices(ctx context.Context, client *kube.Client) error {
	const account = "/api/v1/namespaces/default/serviceaccounts/default"
	return waitFor(ctx, "service account and cluster DNS", func() error {
		if _, err := client.Do(ctx, http.MethodGet, account, "", nil); err != nil {
			return err
		}
		for _, address := range c.Plan.DNSIPs() {
			if err := dial(ctx, net.JoinHostPort(address, "53")); err != nil {
				return err
			}
		}
		return nil
	})
}

func dial(ctx context.Context, address string) error {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// waitFor repeats check until it succeeds.
func waitFor(ctx context.Context, what string, check func() error) error {
	for end := time.Now().Add(partTimeout); ; {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// prepare writes everything that is read from files.
func (c *Cluster) prepare(cache plan.Cache) error {
	if err := c.save(cache); err != nil {
		return err
	}
	for _, dir := range []string{c.Dir.Run(), filepath.Dir(c.Dir.Log("x")), c.Dir.Volumes(), c.Images} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	in := c.inputs()
	return errors.Join(
		in.EnsurePKI(),
		c.copyProgram(),
		os.WriteFile(in.AuditPolicyFile(), []byte(control.AuditPolicy), 0o644),
		os.WriteFile(in.CorefileFile(), []byte(in.Corefile()), 0o644),
	)
}

func (c *Cluster) inputs() control.Inputs {
	return control.Inputs{
		Plan: c.Plan, Dir: c.Dir, Tools: c.Tools, Images: c.Images,
		NetNS: netns.Path(c.Plan.ControlNetNS()), Tolerations: c.Tolerations,
	}
}

// ensureSupervisor starts the process that keeps the control plane running,
// and starts it anew if the control plane is to be another one.
func (c *Cluster) ensureSupervisor() error {
	specs, err := json.MarshalIndent(c.inputs().Specs(), "", "  ")
	if err != nil {
		return err
	}
	path := c.Dir.Path(specsFile)
	record, err := proc.Read(c.Dir.Run(), supervisorRecord)
	if err != nil {
		return err
	}
	old, _ := os.ReadFile(path)
	if record.Alive() && bytes.Equal(old, specs) && c.controlInNetNS() {
		return nil
	}
	if err := c.stopControl(controlGrace); err != nil {
		return err
	}
	if err := os.WriteFile(path, specs, 0o644); err != nil {
		return err
	}
	// All that Kubernetes itself runs inherits this: without, a few Java virtual machines that start keep the API server
	// from answering in time.
	record, err = proc.Detached(supervisorRecord, []string{"nice", "-n", "-15", c.program(), "supervise", string(c.Dir)},
		c.Dir.Log(supervisorRecord), syscall.SysProcAttr{})
	if err != nil {
		return err
	}
	return record.Write(c.Dir.Run())
}

// controlInNetNS is false when the namespace was deleted and made again.
func (c *Cluster) controlInNetNS() bool {
	etcd, err := proc.Read(c.Dir.Run(), "etcd")
	return err == nil && (!etcd.Alive() || proc.SameNamespace(etcd.PID, "net", netns.Path(c.Plan.ControlNetNS())))
}

// Supervise is the supervisor's process.
func Supervise(dir plan.Dir) error {
	config, err := readConfig(dir)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(dir.Path(specsFile))
	if err != nil {
		return err
	}
	var specs []proc.Spec
	if err := json.Unmarshal(content, &specs); err != nil {
		return err
	}
	c := &Cluster{Config: config, Dir: dir}
	client, err := c.Client()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := proc.Supervisor{RunDir: dir.Run(), Conditions: map[string]func(context.Context) error{
		control.AfterAPI: func(ctx context.Context) error { return client.WaitReady(ctx, time.Hour, nil) },
	}}
	s.Run(ctx, specs)
	return nil
}

// ensureNode boots a node that does not run and returns when it was booted;
// for a node that ran already that is long ago.
func (c *Cluster) ensureNode(n plan.Node) (time.Time, error) {
	record, err := proc.Read(c.Dir.Run(), node.RecordName(n.Name))
	if err != nil {
		return time.Time{}, err
	}
	if record.Alive() {
		if proc.SameNamespace(record.PID, "net", netns.Path(n.NetNS)) {
			return time.Time{}, nil
		}
		if err := record.Stop(0); err != nil {
			return time.Time{}, err
		}
	}
	// One that an interrupted `up` started has no record.
	if err := c.stopMembers(membersOf(n)); err != nil {
		return time.Time{}, err
	}
	if err := c.ensureCgroups(n); err != nil {
		return time.Time{}, err
	}
	boot := c.boot(n)
	total, err := node.MachineMemory()
	if err != nil {
		return time.Time{}, err
	}
	boot.Reserved = node.ReservedMemory(total, c.Plan.Nodes)
	begin := time.Now().Truncate(time.Second)
	record, err = node.Start(boot, netns.Path(n.NetNS))
	if err != nil {
		return begin, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return begin, record.Write(c.Dir.Run())
}

func (c *Cluster) waitNode(ctx context.Context, name string, booted time.Time) error {
	return c.waitNodes(ctx, map[string]time.Time{name: booted})
}

// waitNodes waits until every node has told that it is ready since it was
// booted. What it told in an earlier life does not count.
func (c *Cluster) waitNodes(ctx context.Context, booted map[string]time.Time) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, nodesTimeout)
	defer cancel()
	for {
		waiting := ""
		nodes, err := client.Nodes(ctx)
		for _, n := range c.Plan.AllNodes() {
			start, wanted := booted[n.Name]
			if got := nodes[n.Name]; wanted && (!got.Ready || got.Heartbeat.Before(start)) {
				waiting = n.Name
			}
		}
		if err == nil && waiting == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("node %s is not ready (last error: %v); see %s", waiting, err, c.Dir.Log(waiting+"-kubelet"))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
