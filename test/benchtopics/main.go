//go:build linux

// Command benchtopics measures the life of many KafkaTopics: the operator's real program against a real API server and
// a real broker, beside what the same objects and topics take without an operator. docs/benchmarks.md says how to read
// it.
package main

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

	"github.com/castellan-dev/castellan/test/benchtopics/report"
)

type options struct {
	topics     int
	rest       time.Duration
	echo       time.Duration // after each phase, in which its costs are still counted
	drift      time.Duration // how often the operator looks at what is there; zero = as it does by itself
	operator   string
	repository string
	out        string
}

func main() {
	var o options
	flag.IntVar(&o.topics, "n", 1000, "number of topics")
	flag.DurationVar(&o.rest, "rest", 240*time.Second, "how long the operator is watched at rest")
	flag.DurationVar(&o.echo, "echo", 5*time.Second, "how long after a phase its costs are still counted")
	flag.StringVar(&o.operator, "operator", "", "the operator's program")
	flag.StringVar(&o.repository, "repository", ".", "folder of this repository")
	flag.StringVar(&o.out, "out", "", "folder for the figures (JSON), the picture (SVG) and the operator's log")
	flag.Parse()
	log.SetLogger(logr.Discard()) // or the Kubernetes client complains that there is none
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, o)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchtopics:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.topics < 1 || o.operator == "" || o.out == "" {
		return errors.New("-n must be at least 1, and -operator and -out must be given")
	}
	if os.Geteuid() != 0 {
		return errors.New("run as root: the operator gets an /etc/hosts of its own")
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	figures, err := live(ctx, o)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s\n", figures.Table())
	content, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(o.out, fmt.Sprintf("topics-%d", o.topics))
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

// live takes the topics through their life in a world of its own.
func live(ctx context.Context, o options) (figures report.Run, err error) {
	say("starting an API server and a broker")
	w, err := startWorld(ctx, o)
	if err != nil {
		return figures, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	figures, err = measure(ctx, w, o)
	return figures, errors.Join(err, w.brokersRun())
}

var began = time.Now()

// say tells the progress, with the time since the beginning.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[%4.0fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
