//go:build linux

package main

import (
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/castellan-dev/castellan/api/v1alpha1"
	"github.com/castellan-dev/castellan/test/bench"
)

// The real program, a real API server and real brokers: requests are counted from the audit log and on the wire, and
// Kafka agrees after each change. Users that a bare client has made as the operator would are as they should be: the
// operator writes nothing about them when it starts, and their number does not count later.
func TestTheLifeOfUsersCostsTheirOwnRequestsAndNoneAtRest(t *testing.T) {
	operator := os.Getenv("CASTELLAN_BENCH_OPERATOR")
	if operator == "" {
		t.Skip("needs CASTELLAN_BENCH_OPERATOR, the operator's program; make test STAGES=kafka sets it")
	}
	log.SetLogger(logr.Discard())
	const beside = 20
	for _, c := range []struct {
		mechanism v1alpha1.Mechanism
		brokers   int
	}{
		{v1alpha1.MechanismScram512, 3}, {v1alpha1.MechanismScram256, 1},
		{v1alpha1.MechanismPlain, 1}, {v1alpha1.MechanismTLS, 1},
	} {
		t.Run(string(c.mechanism), func(t *testing.T) {
			subject, err := usersOf(c.mechanism, c.brokers)
			if err != nil {
				t.Fatal(err)
			}
			figures, err := bench.Live(t.Context(), bench.Options{
				N: 10, Brokers: c.brokers, Beside: beside, Rest: 2 * time.Second, Echo: time.Second,
				Operator: operator, Repository: "../..", Out: t.TempDir(),
			}, subject)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("\n%s", figures.Table())
			for _, wrong := range figures.Miscounted() {
				t.Error(wrong)
			}
			start := figures.Phases[0].APIRequests
			if writes := start["create"] + start["update"] + start["patch"]; writes >= beside {
				t.Errorf("at its start beside %d users the operator writes: %v", beside, start)
			}
		})
	}
}
