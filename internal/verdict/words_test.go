package verdict

import (
	"slices"
	"strings"
	"testing"
)

func TestAListThatIsLongSaysHowManyMoreThereAre(t *testing.T) {
	for all, want := range map[string]struct{ few, shortened string }{
		"":          {"", ""},
		"a":         {"a", "a"},
		"a b c":     {"a, b, c", "a|b|c"},
		"a b c d":   {"a, b, c and 1 more", "a|b|and 2 more"},
		"a b c d e": {"a, b, c and 2 more", "a|b|and 3 more"},
	} {
		names := strings.Fields(all)
		before := slices.Clone(names)
		if got := Few(3, names); got != want.few {
			t.Errorf("%q: %q, expected %q", all, got, want.few)
		}
		if got := strings.Join(Shortened(3, names), "|"); got != want.shortened {
			t.Errorf("%q: %q, expected %q", all, got, want.shortened)
		}
		if !slices.Equal(names, before) {
			t.Errorf("%q: it is changed to %q", all, names)
		}
	}
}
