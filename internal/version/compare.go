package version

import (
	"cmp"
	"strconv"
	"strings"
)

// Compare orders versions by their numbers: -1 when a is older than b, 0 when they are equal, 1 when it is newer. What
// is no number counts as 0.
func Compare(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if order := cmp.Compare(number(as, i), number(bs, i)); order != 0 {
			return order
		}
	}
	return 0
}

func number(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.Atoi(parts[i])
	return n
}
