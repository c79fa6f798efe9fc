package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/cluster"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/console"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/image"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/node"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/toolchain"
)

// commands are set in init because their help prints them.
var commands []command

func init() {
	commands = []command{
		{name: "up", help: "bring the cluster up, or heal it", run: runUp},
		{name: "down", help: "end the cluster and remove all it made (--keep-data keeps volumes)", run: runDown},
		{name: "status", help: "show components, nodes and memory", run: runStatus},
		{name: "kubeconfig", help: "print the path of the kubeconfig", run: printPath(func(c *cluster.Cluster) string { return c.Dir.Kubeconfig() })},
		{name: "audit", help: "print the path of the API server's audit log", run: printPath(func(c *cluster.Cluster) string { return c.Dir.Audit() })},
		{name: "kubectl", args: "-- ARGUMENTS", help: "run kubectl on the cluster", raw: true, run: runKubectl},
		{name: "exec", args: "NODE -- COMMAND", help: "run a command on a node", run: runExec},
		{name: "node", args: "stop|start|partition|heal NODE", help: "cut a node's power or network, and bring it back", run: runNode},
		{name: "disk", args: "fail VOLUME", help: "make a volume of the class sized fail", run: runDisk},
		{name: "policies", help: "enforce NetworkPolicies on all nodes from now on, until down", run: runPolicies},
		{name: "load-image", args: "PATH", help: "push an OCI layout or an image's tar file to the cluster (--ref)", run: runLoadImage},
		{name: "image", help: "make an image of a static program (--from-binary, --ref, --out)", run: runImage},
		{name: "build", help: "build all that is missing, without a cluster", run: runBuild},
		{name: "apiserver", args: "[-- FLAGS]", help: "run etcd and an API server on loopback ports until the input closes", run: runAPIServer},
		{name: "supervise", run: func(_ context.Context, in invocation) error { return cluster.Supervise(plan.Dir(in.args[0])) }},
		{name: "node-init", raw: true, run: func(_ context.Context, in invocation) error { return node.Init(in.args[0]) }},
		{name: "node-run", raw: true, run: func(_ context.Context, in invocation) error { return node.Run(in.args[0]) }},
	}
}

func runUp(ctx context.Context, in invocation) error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root: it makes namespaces, mounts and cgroups")
	}
	begin := time.Now()
	tools, err := in.buildAll(ctx)
	if err != nil {
		return err
	}
	if err := toolchain.EnsurePackages(ctx, in.console, toolchain.RunNeeds); err != nil {
		return err
	}
	cache := plan.Cache(in.cache)
	c := cluster.New(cache, cluster.Config{
		Plan: in.plan, Tolerations: in.tolerations, Tools: tools, Images: cache.Images(),
	}, in.console)
	if err := c.Up(ctx, cache); err != nil {
		return err
	}
	if _, err := c.PrintNodes(ctx, os.Stderr); err != nil {
		return err
	}
	in.console.Say("\ncluster %s is up: %s\n", in.plan.Name, console.Elapsed(time.Since(begin)))
	fmt.Printf("export KUBECONFIG=%s\n", c.Dir.Kubeconfig())
	return nil
}

// buildAll builds the programs and the images of a cluster.
func (in invocation) buildAll(ctx context.Context) (toolchain.Tools, error) {
	tools, err := in.builder.All(ctx)
	if err != nil {
		return tools, err
	}
	images := plan.Cache(in.cache).Images()
	if err := image.Pause(images, tools.PauseBinary()); err != nil {
		return tools, err
	}
	kafka := image.Kafka{Version: in.kafka, Images: images, Work: plan.Cache(in.cache).ImageWork(), Console: in.console}
	return tools, kafka.Build(ctx)
}

func runBuild(ctx context.Context, in invocation) error {
	_, err := in.buildAll(ctx)
	return err
}

func (in invocation) load() (*cluster.Cluster, error) {
	return cluster.Load(plan.Cache(in.cache), in.plan.Name, in.console)
}

func runDown(ctx context.Context, in invocation) error {
	c, err := in.load()
	if err != nil {
		if _, ok := errors.AsType[cluster.NotThere](err); !ok {
			in.console.Say("%v; going by the cluster's name alone", err)
		}
		c = cluster.New(plan.Cache(in.cache), cluster.Config{Plan: in.plan}, in.console)
	}
	return c.Down(ctx, in.keepData)
}

func runStatus(ctx context.Context, in invocation) error {
	c, err := in.load()
	if err != nil {
		return err
	}
	return c.Status(ctx, os.Stdout)
}

func printPath(path func(*cluster.Cluster) string) func(context.Context, invocation) error {
	return func(_ context.Context, in invocation) error {
		c, err := in.load()
		if err != nil {
			return err
		}
		fmt.Println(path(c))
		return nil
	}
}

func runKubectl(ctx context.Context, in invocation) error {
	c, err := in.load()
	if err != nil {
		return err
	}
	argv := append([]string{c.Tools.ComponentsBinary(), "kubectl", "--kubeconfig", c.Dir.Kubeconfig()}, in.args...)
	return passThrough(ctx, argv)
}

func runExec(ctx context.Context, in invocation) error {
	c, err := in.load()
	if err != nil {
		return err
	}
	if len(in.args) < 2 {
		return errors.New("want a node and a command: localcluster exec n1 -- ps aux")
	}
	argv, err := c.Enter(in.args[0], in.args[1:])
	if err != nil {
		return err
	}
	return passThrough(ctx, argv)
}

// passThrough runs a command as if the user had called it.
func passThrough(ctx context.Context, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitCode(exit.ExitCode())
	}
	return err
}

func runNode(ctx context.Context, in invocation) error {
	c, err := in.load()
	if err != nil {
		return err
	}
	if len(in.args) != 2 {
		return errors.New("want an action and a node: localcluster node stop n1")
	}
	switch action, name := in.args[0], in.args[1]; action {
	case "stop":
		return c.StopNode(ctx, name)
	case "start":
		return c.StartNode(ctx, name)
	case "partition", "heal":
		return c.Partition(ctx, name, action == "partition")
	default:
		return fmt.Errorf("no action %q; want stop, start, partition or heal", action)
	}
}

func runDisk(_ context.Context, in invocation) error {
	c, err := in.load()
	if err != nil {
		return err
	}
	if len(in.args) != 2 || in.args[0] != "fail" {
		return errors.New("want an action and a volume: localcluster disk fail pvc-…")
	}
	on, err := c.FailDisk(in.args[1])
	if err != nil {
		return err
	}
	in.console.Say("volume %s on node %s fails: every access is an I/O error until it is mounted anew", in.args[1], on)
	return nil
}

func runPolicies(ctx context.Context, in invocation) error {
	c, err := in.load()
	if err != nil {
		return err
	}
	program, err := in.builder.Policies(ctx)
	if err != nil {
		return err
	}
	return c.EnforcePolicies(ctx, program)
}

func runLoadImage(ctx context.Context, in invocation) error {
	c, err := in.load()
	if err != nil {
		return err
	}
	if len(in.args) != 1 {
		return errors.New("want one OCI layout or tar file")
	}
	return c.LoadImage(ctx, in.args[0], in.ref)
}

func runImage(_ context.Context, in invocation) error {
	if in.fromBinary == "" || in.ref == "" || in.out == "" {
		return errors.New("want --from-binary FILE --ref NAME:TAG --out FOLDER")
	}
	return image.FromBinary(in.fromBinary, in.entrypoint, in.ref, in.out)
}
