// Command benchbalance measures how a cluster that grows from three brokers to six is evened out: by the operator's own
// machinery, and by the plan of Kafka's own kafka-reassign-partitions, with the same data on the same brokers.
// docs/benchmarks.md says how to read it.
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
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Options say how much is measured.
type Options struct {
	Size      int64 // bytes of one copy of the data; there are three
	Rate      int64 // bytes per second that each broker may send and receive for moves; 0 = no limit
	Data      []string
	Records   int // a second, of the producer
	Proposals int // of Kafka's tool that are looked at; the first is carried out
	Rest      time.Duration
	Out       string // folder for the figures; empty = they are only printed
}

func main() {
	var o Options
	var size, rate, data string
	flag.StringVar(&size, "size", "256Mi", "bytes of one copy of the data, of which there are three")
	flag.StringVar(&rate, "rate", "10Mi", "bytes per second that each broker may send and receive for moves; 0 = no limit")
	flag.StringVar(&data, "data", "equal,skewed", "sizes of the partitions: equal, skewed")
	flag.IntVar(&o.Records, "records", 200, "records of 1 KiB that a producer sends each second meanwhile")
	flag.IntVar(&o.Proposals, "proposals", 5, "plans of Kafka's tool to look at; the first one is carried out")
	flag.DurationVar(&o.Rest, "rest", 15*time.Second, "how long the producer is watched while nothing moves")
	flag.StringVar(&o.Out, "out", "", "folder for the figures (JSON)")
	flag.Parse()
	log.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	var err1, err2 error
	o.Size, err1 = quantity("-size", size, 1<<20)
	o.Rate, err2 = quantity("-rate", rate, 0)
	o.Data = strings.Split(data, ",")
	err := errors.Join(err1, err2)
	if err == nil {
		err = measureAll(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// quantity reads a number of bytes such as 256Mi.
func quantity(name, text string, least int64) (int64, error) {
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return 0, fmt.Errorf("%s=%s: %w", name, text, err)
	}
	if q.Value() < least {
		return 0, fmt.Errorf("%s=%s: it must be at least %d bytes", name, text, least)
	}
	return q.Value(), nil
}

func measureAll(ctx context.Context, o Options) error {
	if o.Records < 1 || o.Proposals < 1 {
		return errors.New("-records and -proposals must be at least 1")
	}
	for _, data := range o.Data {
		if weights[data] == nil {
			return fmt.Errorf("-data=%s: there are equal and skewed", data)
		}
	}
	var all []Row
	for _, data := range o.Data {
		rows, err := measure(ctx, o, data)
		if err != nil {
			return fmt.Errorf("%s data: %w", data, err)
		}
		all = append(all, rows...)
	}
	fmt.Printf("\n%s\n", table(all))
	if o.Out == "" {
		return nil
	}
	content, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(o.Out, fmt.Sprintf("balance-%d.json", o.Size>>20))
	if err := os.WriteFile(file, append(content, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Println(file)
	return nil
}

var began = time.Now()

// say tells the progress, with the time since the beginning.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[%4.0fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
