package decide

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Mounted is a Secret whose entries brokers read as files.
type Mounted struct {
	Secret string            // its name; empty = nobody needs it
	Data   map[string][]byte // what it shall hold
	// Current: the live Secret holds just this.
	Current bool
	// Digest identifies what the live Secret holds; empty = that is not what it shall hold, or there is none. It stands
	// where many can read it.
	Digest string
}

// settle compares with the live Secret. keep leaves entries in it that nobody needs any more: some broker may still
// read them.
func (m *Mounted) settle(live *corev1.Secret, keep bool) {
	if live == nil {
		return
	}
	if keep {
		for entry, value := range live.Data {
			if _, wanted := m.Data[entry]; !wanted {
				m.Data[entry] = value
			}
		}
	}
	if m.Current = maps.EqualFunc(m.Data, live.Data, bytes.Equal); m.Current {
		m.Digest = digestOf(live.Data)
	}
}

func digestOf(data map[string][]byte) string {
	sum := sha256.New()
	for _, entry := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(sum, "%s %d:%s\n", entry, len(data[entry]), data[entry])
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
