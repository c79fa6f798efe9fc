//go:build linux

package main

import (
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/castellan-dev/castellan/test/bench"
)

// The real program, a real API server and a real broker: requests are counted from the audit log and on the wire.
func TestTheLifeOf250TopicsCostsTwoRequestsOneOneAndNone(t *testing.T) {
	operator := needOperator(t)
	figures, err := bench.Live(t.Context(), bench.Options{
		N: 250, Rest: 10 * time.Second, Echo: 2 * time.Second,
		Operator: operator, Repository: "../..", Out: t.TempDir(),
	}, topics)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", figures.Table())
	for _, wrong := range figures.Miscounted() {
		t.Error(wrong)
	}
}

// startAll starts a world and its operator, which end with the test.
func startAll(t *testing.T, o bench.Options) *bench.World {
	t.Helper()
	w, err := bench.StartWorld(t.Context(), o, topics)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := w.StartOperator(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// needOperator returns the operator's program.
func needOperator(t *testing.T) string {
	t.Helper()
	program := os.Getenv("CASTELLAN_BENCH_OPERATOR")
	if program == "" {
		t.Skip("needs CASTELLAN_BENCH_OPERATOR, the operator's program; make test STAGES=kafka sets it")
	}
	log.SetLogger(logr.Discard())
	return program
}
