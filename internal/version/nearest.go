package version

import "github.com/castellan-dev/castellan/internal/verdict"

// mostEdits is how many letters may be missing, too many or wrong in a key for it to count as misspelt.
const mostEdits = 2

// Nearest is the key of this version that a misspelt one was probably meant to be; empty = none is near.
func (v Version) Nearest(misspelt string) string {
	nearest, least := "", mostEdits+1
	for key := range v.keys {
		if far := len(key) - len(misspelt); far > mostEdits || -far > mostEdits {
			continue
		}
		if edits := verdict.Edits(misspelt, key); edits < least || edits == least && edits <= mostEdits && key < nearest {
			nearest, least = key, edits
		}
	}
	return nearest
}
