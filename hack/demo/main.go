// Command demo shows the whole product at work: a Kubernetes cluster (the local one, or CONTEXT), the operator, the
// samples, and 10,000 records sent and read back from inside and from outside. It is run by make demo and make
// demo-down. It uses only what a user would: kubectl, Helm, the samples, and the Secret of a KafkaUser.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// What the samples are called.
const (
	namespace = "kafka"
	cluster   = "events"
	topic     = "orders"
	records   = 10_000
)

// users of the samples, and from where the demo lets each of them work.
const (
	insideUser  = "billing"
	outsideUser = "shipping"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: demo up|down|python")
	}
	d, err := newDemo()
	if err != nil {
		return err
	}
	switch args[0] {
	case "up":
		return d.up(ctx)
	case "down":
		return d.down(ctx)
	case "python": // for the tests
		python, err := d.python(ctx)
		fmt.Println(python)
		return err
	default:
		return fmt.Errorf("no command %q; there are up, down and python", args[0])
	}
}

// demo is where the demo takes place.
type demo struct {
	*progress
	root    string // of the repository
	cache   string // of the user
	context string // of the kubeconfig; empty = the local cluster
	kubectl []string
}

func newDemo() (*demo, error) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(root, "config", "samples", "kustomization.yaml")); err != nil {
		return nil, fmt.Errorf("run it by make demo, or in its own folder: %w", err)
	}
	cache := os.Getenv("CASTELLAN_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		cache = filepath.Join(base, "castellan")
	}
	d := &demo{progress: newProgress(os.Stdout), root: root, cache: cache, context: os.Getenv("CONTEXT")}
	if d.context == "" {
		d.kubectl = []string{d.script("localcluster.sh"), "kubectl"}
	} else {
		d.kubectl = []string{"kubectl", "--context", d.context}
	}
	return d, nil
}

func (d *demo) script(name string) string { return filepath.Join(d.root, "hack", name) }

// up brings everything up, or finds it there, and moves records.
func (d *demo) up(ctx context.Context) error {
	if d.context == "" {
		if err := d.step("local Kubernetes cluster", func() error {
			return d.show(ctx, d.script("localcluster.sh"), "up")
		}); err != nil {
			return err
		}
		if err := d.findProgram(ctx); err != nil {
			return err
		}
	}
	if err := d.step("operator", func() error { return d.show(ctx, d.script("install.sh")) }); err != nil {
		return err
	}
	if err := d.step("samples", func() error {
		if err := d.withdraw(ctx); err != nil {
			return err
		}
		// What somebody tried out since the last run goes back to what the samples say.
		return d.show(ctx, d.kubectl[0], d.kubectlArgs(
			"apply", "--server-side", "--force-conflicts", "-k", filepath.Join(d.root, "config", "samples"))...)
	}); err != nil {
		return err
	}
	if err := d.waitReady(ctx); err != nil {
		return err
	}
	inside, err := d.inside(ctx)
	if err != nil {
		return err
	}
	outside, err := d.outside(ctx)
	if err != nil {
		return err
	}
	return d.report(ctx, inside, outside)
}

// findProgram asks once where the local cluster's program is, so that kubectl is not compiled again for every look.
func (d *demo) findProgram(ctx context.Context) error {
	path, err := d.output(ctx, d.script("localcluster.sh"), "path")
	if err != nil {
		return err
	}
	d.kubectl = []string{path, "kubectl"}
	return nil
}

// down removes all that up made. On somebody's cluster that is the samples and the operator, but the CRDs only when no
// object of theirs is left.
func (d *demo) down(ctx context.Context) error {
	if d.context == "" {
		return d.step("local Kubernetes cluster", func() error {
			return d.show(ctx, d.script("localcluster.sh"), "down")
		})
	}
	if err := d.step("samples", func() error {
		return d.show(ctx, d.kubectl[0], d.kubectlArgs(
			"delete", "--ignore-not-found", "--timeout=3m", "-k", filepath.Join(d.root, "config", "samples"))...)
	}); err != nil {
		return err
	}
	return d.step("operator", func() error {
		helm, err := d.output(ctx, d.script("tool.sh"), "helm")
		if err != nil {
			return err
		}
		err = d.show(ctx, helm, "--kube-context", d.context,
			"uninstall", "castellan", "-n", "castellan-system", "--ignore-not-found", "--wait")
		if err != nil {
			return err
		}
		left, err := d.get(ctx, "kafka", "--all-namespaces", "-o", "name")
		if err == nil && left == "" {
			err = d.show(ctx, d.kubectl[0], d.kubectlArgs(
				"delete", "--ignore-not-found", "-k", filepath.Join(d.root, "config", "crd"))...)
		} else if left != "" {
			d.say("the CRDs stay: there are objects of theirs in other namespaces")
			err = nil
		}
		if err != nil {
			return err
		}
		return d.show(ctx, d.kubectl[0], d.kubectlArgs("delete", "namespace", "castellan-system", "--ignore-not-found")...)
	})
}
