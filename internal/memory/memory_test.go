package memory

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

func free() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// burst uses memory and drops it again.
func burst() {
	all := make([][]byte, 0, 200)
	for range cap(all) {
		all = append(all, make([]byte, 1<<20))
	}
	runtime.KeepAlive(all)
	runtime.GC()
}

func TestWhatABurstHasUsedGoesBackOnceNothingHappensAnyMore(t *testing.T) {
	seen := idle{}.look()
	burst()
	if free() <= spare {
		t.Skipf("Go has given it back by itself: %d bytes are free", free())
	}
	if seen = seen.look(); free() <= spare {
		t.Error("it went back although something had been collected a moment ago")
	}
	if seen.look(); free() > spare {
		t.Errorf("%d bytes are still free", free())
	}
}

func TestWhoIsAtRestCollectsNothing(t *testing.T) {
	seen := idle{}.look().look().look()
	if again := seen.look(); again != seen {
		t.Errorf("%d collections more", again.collections-seen.collections)
	}
}
