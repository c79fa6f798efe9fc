package plainauth

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestAFurtherFileCountsByTheWordThatTheFirstOneSays(t *testing.T) {
	entry, err := Hash("a", "one", bytes.Repeat([]byte{7}, MinSaltBytes), MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	one, two, other := strings.Repeat("1", 16), strings.Repeat("ab", 8), strings.Repeat("c", 16)
	for name, file := range map[string][]byte{
		"users": UsersFile([]Entry{entry}, "a"), "no user": UsersFile(nil), "certificates": CertificateList(nil),
	} {
		if len(Words(file)) != 0 || !bytes.Equal(Worded(file), file) {
			t.Errorf("%s: it says %v", name, Words(file))
		}
		first := Worded(file, one, two)
		if !slices.Equal(Words(first), []string{one, two}) || !bytes.Equal(Worded(first), file) ||
			len(Words(Worded(first, slices.Repeat([]string{one}, MaxParts-1)...))) != MaxParts-1 {
			t.Errorf("%s: it says %q", name, first)
		}
		if all, err := ParseUsersFile(first); name == "users" && (err != nil || len(all) != 1 || !Retained(first)["a"]) {
			t.Errorf("%s: it reads %v (%v)", name, all, err)
		}
		for part, counts := range map[int][]string{1: {one}, 2: {two}, 3: nil} {
			for _, word := range []string{one, two, other} {
				if Counts(first, Worded(file, word), part) != slices.Contains(counts, word) {
					t.Errorf("%s: part %d with the word %s counts: %t", name, part, word, !slices.Contains(counts, word))
				}
			}
			if Counts(first, file, part) || Counts(first, first, part) || Counts(file, Worded(file, one), part) {
				t.Errorf("%s: part %d counts without the word", name, part)
			}
		}
	}
	// What is written by whoever does not know of parts does not say it.
	all, _ := ParseUsersFile(Worded(UsersFile([]Entry{entry}), one))
	if again := UsersFile(all["a"]); len(Words(again)) != 0 {
		t.Errorf("it still says %q", again)
	}
	for _, text := range []string{"", "#", "# h\n", "#files " + one + "\n", "# h\n#files " + one, "# h\n#files 2\n",
		"# h\n\n#files " + one + "\n", "# h\n#files " + one + "1\n", "# h\n#files  " + one + "\n",
		"# h\n#files " + strings.ToUpper(two) + "\n", "# h\n#files " + one + " \n", "# h\n#files\n",
		"# h\n#files" + strings.Repeat(" "+one, MaxParts) + "\n"} {
		if said := Words([]byte(text)); len(said) != 0 {
			t.Errorf("%q says %v", text, said)
		}
	}
}
