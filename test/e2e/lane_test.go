package e2e

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/test/suite"
)

var durations suite.Durations

// promise begins a case of the first lane: it holds a promise once, in every `make test`.
func promise(t *testing.T) {
	t.Helper()
	begin(t, suite.Promise)
}

// long begins a case that only `make test-all` runs.
func long(t *testing.T) {
	t.Helper()
	begin(t, suite.Long)
}

// notRun has the reasons of cases that could not be begun, by name.
var notRun = map[string]bool{}

// begin notes how long the case takes, with all that it cleans up.
func begin(t *testing.T, lane suite.Lane) {
	t.Helper()
	start := time.Now()
	t.Cleanup(func() {
		outcome := "passed"
		switch {
		case notRun[t.Name()]:
			outcome = suite.NotRun
		case t.Failed():
			outcome = "failed"
		case t.Skipped():
			outcome = "skipped"
		}
		took := time.Since(start)
		t.Logf("%s in %.1fs", outcome, took.Seconds())
		durations.Add(suite.Ran{Case: suite.Case{Name: t.Name(), Lane: lane}, Took: took, Outcome: outcome})
	})
}

// skipNotRun ends a case that cannot be begun, and whose promise is therefore neither held nor broken.
func skipNotRun(t *testing.T, format string, args ...any) {
	t.Helper()
	notRun[t.Name()] = true
	t.Skipf("not run: "+format, args...)
}

// selectCases leaves only the cases of the lane and the piece that the environment names; what go test was told besides
// counts too. It returns how many are left.
func selectCases() (int, error) {
	cases, err := suite.Cases(os.DirFS("."))
	if err != nil {
		return 0, err
	}
	chosen, err := suite.Select(cases, suite.Lane(os.Getenv("CASTELLAN_E2E_LANE")), os.Getenv("CASTELLAN_E2E_SHARD"))
	if err != nil {
		return 0, err
	}
	flag.Parse()
	skip := flag.Lookup("test.skip").Value
	return len(chosen), skip.Set(suite.SkipPattern(cases, chosen, skip.String()))
}

// printDurations writes the table of the cases to where CASTELLAN_E2E_DURATIONS says, else to the standard output.
func printDurations() error {
	path := os.Getenv("CASTELLAN_E2E_DURATIONS")
	if path == "" {
		return writeDurations(os.Stdout)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return writeDurations(file)
}

func writeDurations(out io.Writer) error {
	fmt.Fprintf(
		out,
		"one broker took %.1fs from apply to Ready; time-outs are %s times those of a quiet machine\n",
		brokerStart.Seconds(),
		pace,
	)
	return durations.Print(out)
}
