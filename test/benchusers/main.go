//go:build linux

// Command benchusers measures the life of many KafkaUsers. docs/benchmarks.md says how to read it.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/test/bench"
)

func main() {
	var o bench.Options
	o.Bind("users")
	flag.IntVar(&o.Beside, "beside", 0, "number of users that are there before the operator starts, and stay")
	name := flag.String("mechanism", string(v1alpha1.MechanismScram512), "how the users log in")
	flag.Parse()
	subject, err := usersOf(v1alpha1.Mechanism(*name), o.Brokers)
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchusers:", err)
		os.Exit(1)
	}
	bench.Main(o, subject)
}
