package topics

import (
	"strings"
	"testing"

	"github.com/castellan-dev/castellan/internal/kafka"
)

// FuzzConfiguration: whatever keys and values there are, one round of changes is enough, and it touches no key of others.
func FuzzConfiguration(f *testing.F) {
	f.Add("retention.ms", "5", "6", false)
	f.Add("cleanup.policy", "compact, delete", "compact,delete", true)
	f.Add("min.cleanable.dirty.ratio", "1e-3", "0.001", true)
	f.Add("", ",,", ",", false)
	f.Fuzz(func(t *testing.T, key, want, have string, exact bool) {
		d := Desired{Name: "a", Known: Record{ID: "id"}, Config: map[string]string{key: want}, Exact: exact}
		live := map[string]string{key: have, "other\x00": "x"}
		after := changed(live, configChanges(d, nil, live))
		if more := configChanges(d, nil, after); len(more) > 0 {
			t.Errorf("once more: %v", more)
		}
		if _, stays := after["other\x00"]; key != "other\x00" && stays == exact {
			t.Errorf("exact is %v, and what others set stays: %v", exact, stays)
		}
		if !sameValue(after[key], want) {
			t.Errorf("%q is not %q", after[key], want)
		}
		if sameValue(want, have) && !sameValue(strings.TrimSpace(want), strings.TrimSpace(have)) {
			t.Errorf("blanks around %q and %q make a difference", want, have)
		}
	})
}

// FuzzNames: only a name that Kafka keeps for itself is held to be internal, and an announcement names one object.
func FuzzNames(f *testing.F) {
	f.Add("__consumer_offsets", "u", "v")
	f.Add("__debezium-heartbeat", "u", "v")
	f.Add("a.b", "a b", "a")
	f.Fuzz(func(t *testing.T, name, uid, other string) {
		changes, _ := Plan([]Desired{{Name: name}}, map[string]kafka.Topic{}, Survey{})
		if created := len(changes.Create) == 1; created == Internal(name) {
			t.Errorf("%q: created is %v", name, created)
		}
		if uid != other && !strings.ContainsAny(uid+other, " ") && Intent(claimant(uid, 0), "c", "") == Intent(claimant(other, 0), "c", "") {
			t.Errorf("%q and %q announce the same", uid, other)
		}
	})
}
