//go:build linux

// Package bench measures the life of many objects of one kind: the operator's real program against a real API server
// and real brokers, beside what the same objects take without an operator. What kind that is, and what happens to its
// objects, a Subject says; docs/benchmarks.md says how to read the figures.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/castellan-dev/castellan/test/bench/report"
)

// Options say how much is measured, and with what.
type Options struct {
	N          int
	Beside     int // objects that a bare client has made before the operator starts
	Brokers    int // zero = one
	Rest       time.Duration
	Echo       time.Duration // after each phase, in which its costs are still counted
	Drift      time.Duration // how often the operator looks at what is there; zero = as it does by itself
	Operator   string        // its program
	Repository string
	Out        string
}

// Bind makes flags of the options.
func (o *Options) Bind(noun string) {
	flag.IntVar(&o.N, "n", 1000, "number of "+noun)
	flag.IntVar(&o.Brokers, "brokers", 1, "number of brokers")
	flag.DurationVar(&o.Rest, "rest", 240*time.Second, "how long the operator is watched at rest")
	flag.DurationVar(&o.Echo, "echo", 5*time.Second, "how long after a phase its costs are still counted")
	flag.StringVar(&o.Operator, "operator", "", "the operator's program")
	flag.StringVar(&o.Repository, "repository", ".", "folder of this repository")
	flag.StringVar(&o.Out, "out", "", "folder for the figures (JSON), the picture (SVG) and the operator's log")
}

// Main is all that a program does that measures one subject; it does not return.
func Main(o Options, s Subject) {
	log.SetLogger(logr.Discard()) // or the Kubernetes client complains that there is none
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, o, s)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, o Options, s Subject) error {
	if o.N < 1 || o.Operator == "" || o.Out == "" {
		return errors.New("-n must be at least 1, and -operator and -out must be given")
	}
	if os.Geteuid() != 0 {
		return errors.New("run as root: the operator gets an /etc/hosts of its own")
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return err
	}
	figures, err := Live(ctx, o, s)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s\n", figures.Table())
	content, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(o.Out, fmt.Sprintf("%s-%d", s.File, o.N))
	files := map[string][]byte{name + ".json": append(content, '\n'), name + ".svg": []byte(figures.SVG())}
	for file, bytes := range files {
		if err := os.WriteFile(file, bytes, 0o644); err != nil {
			return err
		}
		fmt.Println(file)
	}
	if wrong := figures.Miscounted(); len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// Live takes the objects through their life in a world of its own.
func Live(ctx context.Context, o Options, s Subject) (figures report.Run, err error) {
	say("starting an API server and brokers")
	w, err := StartWorld(ctx, o, s)
	if err != nil {
		return figures, err
	}
	defer func() { err = errors.Join(err, w.Stop()) }()
	figures, err = w.measure(ctx)
	return figures, errors.Join(err, w.brokersRun())
}

var began = time.Now()

// say tells the progress, with the time since the beginning.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[%4.0fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
