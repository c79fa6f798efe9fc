//go:build linux

// Command writes measures what one write to a KafkaTopic costs the API server and etcd, by what is written and how. No
// operator and no Kafka take part. docs/benchmarks.md says how to read it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/castellan-dev/castellan/test/bench"
)

// attempts are how often a pass is made again whose watch has ended.
const attempts = 3

func main() {
	n := flag.Int("n", 25, "number of topics, each of which every variant writes once a round")
	rounds := flag.Int("rounds", 40, "number of rounds")
	only := flag.String("only", "", "the groups whose names match this regular expression; empty = all")
	repository := flag.String("repository", ".", "folder of this repository")
	flag.Parse()
	log.SetLogger(logr.Discard()) // or the Kubernetes client complains that there is none
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, *repository, *only, *n, *rounds)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "writes: %v\n", err)
		os.Exit(1)
	}
}

// run lets the variants of a group take turns, so that what else the machine does hits all of them alike.
func run(ctx context.Context, repository, only string, n, rounds int) (err error) {
	matches, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	servers, err := startServers(ctx, repository)
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.api.Stop())
		}
	}()
	if err != nil {
		return err
	}
	turn := 0 // no write is like another
	for _, g := range groups {
		if !matches.MatchString(g.name) {
			continue
		}
		costs := make([][]cost, len(g.variants)) // by variant and round
		for round := -1; round < rounds; round++ {
			for i := range g.variants {
				i = (i + round + 1) % len(g.variants) // nobody always comes after the same one
				v := g.variants[i]
				turn++
				c, err := v.pass(ctx, servers[v.server], n, turn)
				for again := 0; errors.Is(err, errEnded) && again < attempts; again++ {
					turn++
					c, err = v.pass(ctx, servers[v.server], n, turn)
				}
				if err != nil {
					return fmt.Errorf("%s: %s: %w", g.name, v.name, err)
				}
				if round >= 0 { // the one before warms up
					costs[i] = append(costs[i], c)
				}
			}
		}
		load, err := bench.LoadAverage()
		if err != nil {
			return err
		}
		fmt.Printf("\n%s; load %.1f\n\n%s", g.name, load, g.table(costs))
	}
	return nil
}
