package plan

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/castellan-dev/castellan/internal/model"
)

// The price of one plan for 500 brokers and 100,000 partitions of three replicas.
const (
	planTime  = 200 * time.Millisecond
	planBytes = 64 << 20
)

// largeCluster is 500 brokers in three racks, all of which need a restart, and all that is known of them.
func largeCluster(partitions int32) (*sim, *model.Observation) {
	s := newSim(simPools("ctl:0:3:c", "brk:1000:500:b"))
	s.users.racks, s.c.RackKey, s.mute = 3, "zone", true
	s.settle(60)
	s.assignAtRandom(1000, 500, partitions, true)
	s.edit("v2")
	s.cached, s.budget = nil, budget{written: s.tick - 5}
	return s, s.observe()
}

func BenchmarkNext(b *testing.B) {
	for _, partitions := range []int32{12_500, 25_000, 50_000, 100_000} {
		b.Run(fmt.Sprintf("brokers=500/partitions=%d", partitions), func(b *testing.B) {
			s, obs := largeCluster(partitions)
			b.ReportAllocs()
			for b.Loop() {
				Next(s.c, s.want, obs, s.now)
			}
			if each := b.Elapsed() / time.Duration(b.N); each > planTime {
				b.Errorf("one plan takes %s, want at most %s", each, planTime)
			}
		})
	}
}

// Bytes are counted and not timed, so that a busy machine does not fail the test.
func TestAPlanIsCheapAndGrowsNoFasterThanThePartitions(t *testing.T) {
	spent := map[int32]uint64{}
	for _, partitions := range []int32{10_000, 100_000} {
		s, obs := largeCluster(partitions)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Next(s.c, s.want, obs, s.now)
		runtime.ReadMemStats(&after)
		spent[partitions] = after.TotalAlloc - before.TotalAlloc
	}
	t.Logf("10,000 partitions: %d KiB, 100,000 partitions: %d KiB", spent[10_000]>>10, spent[100_000]>>10)
	if spent[100_000] > planBytes {
		t.Errorf("one plan takes %d bytes, want at most %d", spent[100_000], planBytes)
	}
	if spent[100_000] > 11*spent[10_000] {
		t.Errorf("ten times the partitions take %d bytes instead of %d", spent[100_000], spent[10_000])
	}
}
