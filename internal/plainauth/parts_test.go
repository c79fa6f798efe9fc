package plainauth

import (
	"bytes"
	"testing"
)

func TestTheFirstFileSaysHowManyCount(t *testing.T) {
	entry, err := Hash("a", "one", bytes.Repeat([]byte{7}, MinSaltBytes), MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{
		"users": UsersFile([]Entry{entry}, "a"), "no user": UsersFile(nil), "certificates": CertificateList(nil),
	} {
		if PartsOf(file) != 1 || !bytes.Equal(InParts(file, 1), file) {
			t.Errorf("%s: one file says %d", name, PartsOf(file))
		}
		two := InParts(file, 2)
		if PartsOf(two) != 2 || PartsOf(InParts(two, MaxParts)) != MaxParts || !bytes.Equal(InParts(two, 1), file) {
			t.Errorf("%s: it says %q", name, two)
		}
		if all, err := ParseUsersFile(two); name == "users" && (err != nil || len(all) != 1 || !Retained(two)["a"]) {
			t.Errorf("%s: it reads %v (%v)", name, all, err)
		}
	}
	// What is written by whoever does not know of parts does not say it.
	all, _ := ParseUsersFile(InParts(UsersFile([]Entry{entry}), 3))
	if again := UsersFile(all["a"]); PartsOf(again) != 1 {
		t.Errorf("it still says %q", again)
	}
	for _, text := range []string{"", "#", "# h\n", "#files 2\n", "# h\n#files 2", "# h\n#files 02\n", "# h\n#files 9\n",
		"# h\n#files 1\n", "# h\n\n#files 2\n", "# h\n#files -2\n", "# h\n#files 33\n"} {
		if n := PartsOf([]byte(text)); n != 1 {
			t.Errorf("%q says %d", text, n)
		}
	}
}
