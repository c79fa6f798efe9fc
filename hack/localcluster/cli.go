package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/castellan-dev/castellan/hack/localcluster/internal/console"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/image"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/plan"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/standalone"
	"github.com/castellan-dev/castellan/hack/localcluster/internal/toolchain"
)

// options are the flags of all commands.
type options struct {
	plan        plan.Plan
	cache       string
	tolerations int
	keepData    bool
	kafka       string

	// load-image and image
	ref, fromBinary, entrypoint, out string

	// apiserver
	dir         string
	keep, fsync bool
}

// invocation is a command that was asked for.
type invocation struct {
	options
	args    []string
	console *console.Console
	builder toolchain.Builder
}

// command is one command of the program.
type command struct {
	name, args, help string
	// raw commands pass on what follows the first argument, flags and all.
	raw bool
	run func(ctx context.Context, in invocation) error
}

func run(ctx context.Context, args []string) error {
	var o options
	flags := newFlags(&o)
	if err := flags.Parse(args); err != nil {
		return usage(err)
	}
	if flags.NArg() == 0 {
		return usage(flag.ErrHelp)
	}
	name := flags.Arg(0)
	for _, c := range commands {
		if c.name != name {
			continue
		}
		rest, err := parse(flags, flags.Args()[1:], c.raw)
		if err != nil {
			return usage(err)
		}
		if err := o.plan.Validate(); err != nil {
			return err
		}
		out := console.New(os.Stderr, plan.Cache(o.cache).Logs())
		builder := toolchain.Builder{Cache: plan.Cache(o.cache), Console: out, Sources: sources}
		return c.run(ctx, invocation{options: o, args: rest, console: out, builder: builder})
	}
	return usage(fmt.Errorf("no command %q", name))
}

func newFlags(o *options) *flag.FlagSet {
	f := flag.NewFlagSet("localcluster", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.plan.Name, "name", "castellan", "name of the cluster, at most 10 characters")
	f.IntVar(&o.plan.Index, "index", 0, "address ranges, 0 to 5: 10.200-203, 10.210-213, …")
	f.StringVar((*string)(&o.plan.Families), "ip-families", "",
		"up: IPv4, IPv6, or both with a comma, the nodes' own first (default: both if the kernel has IPv6)")
	f.IntVar(&o.plan.Nodes, "nodes", 3, "number of nodes, 1 to 6")
	f.StringVar(&o.cache, "cache", string(plan.DefaultCache()), "folder for programs, images and state")
	f.IntVar(&o.tolerations, "toleration-seconds", 30, "how long pods stay on a lost node")
	f.StringVar(&o.kafka, "kafka", image.DefaultKafka, "up, build: version of the Kafka image")
	f.BoolVar(&o.keepData, "keep-data", false, "down: keep etcd, volumes and the nodes' disks")
	f.StringVar(&o.ref, "ref", "", "load-image, image: name of the image, such as castellan:dev")
	f.StringVar(&o.fromBinary, "from-binary", "", "image: the program")
	f.StringVar(&o.entrypoint, "entrypoint", "castellan", "image: name of the program in the image")
	f.StringVar(&o.out, "out", "", "image: folder of the OCI layout")
	f.StringVar(&o.dir, "dir", "", "apiserver: folder for its files (default: a temporary one)")
	f.BoolVar(&o.keep, "keep", false, "apiserver: keep the files at the end")
	f.BoolVar(&o.fsync, "fsync", false, "apiserver: etcd calls fsync, as it does in production")
	return f
}

// parse takes flags and arguments in any order. What follows "--", or the
// first argument of a raw command, is passed on as it is.
func parse(flags *flag.FlagSet, args []string, raw bool) ([]string, error) {
	var rest []string
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		used := len(args) - flags.NArg()
		dashes := used > 0 && args[used-1] == "--"
		args = flags.Args()
		if raw || dashes {
			return append(rest, args...), nil
		}
		if len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	return rest, nil
}

func usage(err error) error {
	var b strings.Builder
	b.WriteString("usage: localcluster COMMAND [FLAGS] [ARGUMENTS]\n\n")
	for _, c := range commands {
		if c.help != "" {
			fmt.Fprintf(&b, "  %-36s %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
		}
	}
	b.WriteString("\nFlags:\n")
	var o options
	f := newFlags(&o)
	f.SetOutput(&b)
	f.PrintDefaults()
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(b.String())
		return nil
	}
	return fmt.Errorf("%w\n%s", err, b.String())
}

func runAPIServer(ctx context.Context, in invocation) error {
	tools, err := in.builder.Components(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := endWithInput(ctx, os.Stdin)
	defer cancel()
	return standalone.Run(ctx, standalone.Options{
		Dir: in.dir, Components: tools.ComponentsBinary(), APIServer: os.Getenv("CASTELLAN_APISERVER"), Keep: in.keep,
		Fsync: in.fsync, Extra: in.args,
	}, os.Stdout)
}

// endWithInput returns a context that also ends when a pipe on standard input
// is closed, which happens when the process that started us dies. Other kinds
// of input, such as /dev/null, say nothing about anybody's life. It ends, too,
// when our parent is `go run`, which passes no signals on, and that ends.
func endWithInput(ctx context.Context, in *os.File) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if info, err := in.Stat(); err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
		go func() {
			_, _ = io.Copy(io.Discard, in)
			cancel()
		}()
	}
	parent := os.Getppid()
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", parent)); err == nil && string(name) == "go\n" {
		go func() {
			for os.Getppid() == parent {
				time.Sleep(200 * time.Millisecond)
			}
			cancel()
		}()
	}
	return ctx, cancel
}
