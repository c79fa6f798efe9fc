package version

import "testing"

func TestMetadataVersionsAreFoundByName(t *testing.T) {
	v := Catalogue[len(Catalogue)-1]
	for name, want := range map[string]int16{"Auto": 30, "4.3": 30, "4.3-IV0": 30, "4.1": 27, "4.1-IV0": 26} {
		if level, known := v.MetadataLevel(name); !known || level != want {
			t.Errorf("%s: level %d, known %t; want %d", name, level, known, want)
		}
	}
	for _, name := range []string{"4", "4.9", "4.3-IV9", "auto", ""} {
		if level, known := v.MetadataLevel(name); known {
			t.Errorf("%q is taken for level %d", name, level)
		}
	}
	if name := v.MetadataName(27); name != "4.1-IV1" {
		t.Errorf("level 27 is called %s", name)
	}
}

func TestAVersionSupportsWhatItsTableSays(t *testing.T) {
	v := Catalogue[len(Catalogue)-1]
	for _, c := range []struct {
		feature string
		level   int16
		want    bool
	}{
		{MetadataVersion, 30, true}, {MetadataVersion, 31, false}, {MetadataVersion, 6, false}, {MetadataVersion, 0, false},
		{"kraft.version", 0, true}, {"kraft.version", 1, true}, {"kraft.version", 2, false}, {"unheard.of", 0, true}, {"unheard.of", 1, false},
	} {
		if got := v.Supports(c.feature, c.level); got != c.want {
			t.Errorf("%s %d: %t", c.feature, c.level, got)
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
