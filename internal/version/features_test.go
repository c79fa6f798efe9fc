package version

import (
	"slices"
	"testing"
)

func TestMetadataVersionsAreFoundByName(t *testing.T) {
	for _, tc := range []struct {
		kafka, name string
		level       int16 // 0 = the name is not known
	}{
		{"4.1.2", "Auto", 27},
		{"4.2.2", "Auto", 29},
		{"4.3.1", "Auto", 30},
		{"4.3.1", "4.3", 30},
		{"4.3.1", "4.3-IV0", 30},
		{"4.3.1", "4.2", 29}, // the latest of two
		{"4.3.1", "4.2-IV0", 28},
		{"4.2.2", "3.3", 7},
		{"4.1.2", "4.2", 0},     // there, but not ready for production
		{"4.2.2", "4.3-IV0", 0}, // the same
		{"4.3.1", "4.3-IV9", 0},
		{"4.3.1", "4", 0}, // no release, though names begin so
		{"4.3.1", "auto", 0},
		{"4.3.1", "", 0},
	} {
		level, known := find(t, tc.kafka).MetadataLevel(tc.name)
		if level != tc.level || known != (tc.level != 0) {
			t.Errorf("Kafka %s: %q stands for level %d (%t), want %d", tc.kafka, tc.name, level, known, tc.level)
		}
	}
	if name := find(t, "4.2.2").MetadataName(27); name != "4.1-IV1" {
		t.Errorf("level 27 is called %s", name)
	}
}

func TestEveryVersionSupportsItsOwnLevels(t *testing.T) {
	for _, v := range Catalogue {
		if !slices.IsSortedFunc(v.levels, func(a, b metadataLevel) int { return int(a.level) - int(b.level) }) {
			t.Errorf("%s: levels are not sorted, by which the latest of a release is found", v.Kafka)
		}
		for _, m := range v.levels {
			if !v.Supports(MetadataVersion, m.level) {
				t.Errorf("%s does not support its level %s", v.Kafka, m.name)
			}
		}
	}
	if !slices.IsSortedFunc(Catalogue, func(a, b Version) int { return Compare(a.Kafka, b.Kafka) }) {
		t.Errorf("the catalogue is not sorted: %s", Names())
	}
}

func TestAVersionSupportsWhatItsTableSays(t *testing.T) {
	for _, tc := range []struct {
		kafka, feature string
		level          int16
		want           bool
	}{
		{"4.3.1", MetadataVersion, 30, true},
		{"4.3.1", MetadataVersion, 31, false},
		{"4.2.2", MetadataVersion, 30, false}, // a newer cluster's
		{"4.1.2", MetadataVersion, 6, false},  // before KRaft was ready
		{"4.1.2", MetadataVersion, 0, false},  // no cluster is without it
		{"4.1.2", "streams.version", 1, false},
		{"4.1.2", "streams.version", 0, true}, // off
		{"4.2.2", "streams.version", 1, true},
		{"4.3.1", "kraft.version", 0, true},
		{"4.3.1", "kraft.version", 2, false},
		{"4.3.1", "unheard.of", 0, true},
		{"4.3.1", "unheard.of", 1, false},
	} {
		if got := find(t, tc.kafka).Supports(tc.feature, tc.level); got != tc.want {
			t.Errorf("%s supports %s %d: %t, want %t", tc.kafka, tc.feature, tc.level, got, tc.want)
		}
	}
}

func TestMetadataVersionsAreLoweredOnlyWhileNothingCanBeLost(t *testing.T) {
	v := find(t, "4.3.1")
	for _, tc := range []struct {
		from, to int16
		want     bool
	}{
		{30, 29, false}, // 4.3-IV0 changed the metadata log
		{30, 27, false},
		{29, 27, true},
		{27, 23, true},
		{27, 22, false}, // behind 4.0-IV1
		{29, 29, true},
		{27, 30, true}, // up is no matter
		{0, 30, true},  // nothing is known yet
	} {
		if got := v.CanLower(tc.from, tc.to); got != tc.want {
			t.Errorf("from %d to %d: %t, want %t", tc.from, tc.to, got, tc.want)
		}
	}
}

func TestABadLineOfATableIsAnError(t *testing.T) {
	for _, line := range []string{"feature x 1", "feature x 0 one", "level 4.3-IV0 thirty", "level 4.3-IV0", "level 4.3-IV0 30 maybe", "range x 0 1"} {
		v := Version{features: map[string]feature{}}
		if v.readFeature(line) == nil {
			t.Errorf("%q was taken", line)
		}
	}
}

func TestVersionsAreOrderedByTheirNumbers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"4.3.1", "4.3.1", 0}, {"4.2.2", "4.3.1", -1}, {"4.10.0", "4.9.9", 1}, {"4.3", "4.3.1", -1}} {
		if got := Compare(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %d", c.a, c.b, got)
		}
	}
}
