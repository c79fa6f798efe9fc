// Package memory says how much of the machine's memory the operator keeps: how far garbage may grow, and when what a
// burst of work has used goes back.
package memory

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// garbage is how much the heap may grow before it is collected, in percent of what lives, unless GOGC says otherwise.
// The operator waits for others most of the time: half the garbage costs it a tenth more of little.
const garbage = 50

// Limit makes garbage be collected sooner than Go does by itself.
func Limit() {
	if _, told := os.LookupEnv("GOGC"); !told {
		debug.SetGCPercent(garbage)
	}
}

const (
	// every is how often somebody looks.
	every = 30 * time.Second
	// spare is what may lie idle, in bytes.
	spare = 16 << 20
)

// Returner gives the machine back what nobody has used since the last look. Go keeps a tenth more than what the heap
// was allowed to grow to, for as long as nothing is allocated: after 20,000 users have been read, that is as much again
// as they take.
type Returner struct{}

// Start looks until the context ends.
func (Returner) Start(ctx context.Context) error {
	looks := time.NewTicker(every)
	defer looks.Stop()
	var before idle
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-looks.C:
			before = before.look()
		}
	}
}

// NeedLeaderElection says that an operator which waits for its turn does so, too.
func (Returner) NeedLeaderElection() bool { return false }

// idle is what a look has seen: how many collections there had been. One that comes by itself sets the bound anew.
type idle struct{ collections uint64 }

// look returns memory to the machine, if much of it is free and nothing was collected since the look before.
func (before idle) look() (now idle) {
	samples := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(samples)
	now.collections = samples[0].Value.Uint64()
	if now == before && samples[1].Value.Uint64() > spare {
		debug.FreeOSMemory()
		metrics.Read(samples)
		now.collections = samples[0].Value.Uint64()
	}
	return now
}
