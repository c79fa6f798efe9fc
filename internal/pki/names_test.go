package pki

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// A namespace has at most 63 characters and a cluster 32, and a common name holds 64.
func TestEveryClusterHasANameForItsAuthority(t *testing.T) {
	long := strings.Repeat("n", 63)
	seen := map[string]bool{}
	for _, c := range []struct{ namespace, cluster, want string }{
		{"shop", "events", "shop/events"},
		{strings.Repeat("n", 31), strings.Repeat("c", 32), strings.Repeat("n", 31) + "/" + strings.Repeat("c", 32)},
		{strings.Repeat("n", 32), strings.Repeat("c", 32), ""},
		{long, "a", ""},
		{long, "b", ""},
		{long, strings.Repeat("c", 32), ""},
	} {
		got := AuthorityName(c.namespace, c.cluster)
		if c.want != "" && got != c.want {
			t.Errorf("%s, expected %s as ever", got, c.want)
		}
		if utf8.RuneCountInString(got) > maxNameRunes || seen[got] {
			t.Errorf("%s for %s/%s: %d characters, taken before %t", got, c.namespace, c.cluster, len(got), seen[got])
		}
		seen[got] = true
		mustAuthority(t, got)
	}
}
