package version

// mostEdits is how many letters may be missing, too many or wrong in a key for it to count as misspelt.
const mostEdits = 2

// Nearest is the key of this version that a misspelt one was probably meant to be; empty = none is near.
func (v Version) Nearest(misspelt string) string {
	nearest, least := "", mostEdits+1
	for key := range v.keys {
		if far := len(key) - len(misspelt); far > mostEdits || -far > mostEdits {
			continue
		}
		if edits := edits(misspelt, key); edits < least || edits == least && edits <= mostEdits && key < nearest {
			nearest, least = key, edits
		}
	}
	return nearest
}

// edits is how many letters have to be put in, taken out or replaced to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
