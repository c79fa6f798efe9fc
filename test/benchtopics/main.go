//go:build linux

// Command benchtopics measures the life of many KafkaTopics. docs/benchmarks.md says how to read it.
package main

import (
	"flag"

	"github.com/castellan-dev/castellan/test/bench"
)

func main() {
	var o bench.Options
	o.Bind("topics")
	flag.Parse()
	bench.Main(o, topics)
}
