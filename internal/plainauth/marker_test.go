package plainauth

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAMarkerTellsOneStateOfTheFileFromAnother(t *testing.T) {
	entry := func(name, password string) Entry {
		e, err := Hash(name, password, bytes.Repeat([]byte{7}, MinSaltBytes), MinIterations)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	plain := UsersFile([]Entry{entry("a", "one"), entry("z", "two")}, "a")
	first, second := entry(MarkerName(0), "first"), entry(MarkerName(3), "second")
	marked := Marked(plain, first)
	again := Marked(marked, second)
	if !Bears(marked, first) || Bears(marked, second) || Bears(again, first) || !Bears(again, second) ||
		Bears(plain, first) || Bears(nil, Entry{}) {
		t.Error("a file bears another marker than it was given")
	}
	if !IsMarker(MarkerName(0)) || !IsMarker(MarkerName(7)) || IsMarker("a") || MarkerName(1) == MarkerName(0) {
		t.Error("markers are not known by their names")
	}
	if !bytes.Equal(Unmarked(again), plain) || !bytes.Equal(Unmarked(plain), plain) {
		t.Errorf("without its marker it is\n%s", Unmarked(again))
	}
	all, err := ParseUsersFile(again)
	if err != nil || len(all) != 3 || len(all[MarkerName(3)]) != 1 || !all[MarkerName(3)][0].Verify("second") {
		t.Errorf("it reads %v (%v)", all, err)
	}
}

func TestAMarkerTellsOneStateOfTheListFromAnother(t *testing.T) {
	line := func(name, digit string) UserCertificate {
		return UserCertificate{Name: name, Fingerprint: strings.Repeat(digit, 64), End: time.Unix(4102444800, 0).UTC()}
	}
	lines := []UserCertificate{line("a", "0"), line("castellan-markers", "1"), line("z", "2")}
	first, second := line(ListMarker, "a"), line(ListMarker, "b")
	for _, words := range [][]string{nil, {strings.Repeat("1", 16)}} {
		plain := Worded(CertificateList(lines), words...)
		marked := Marked(plain, first)
		again := Marked(marked, second)
		if !Bears(marked, first) || Bears(marked, second) || Bears(again, first) || !Bears(again, second) ||
			Bears(plain, first) || Bears(marked, lines[0]) || Bears(nil, UserCertificate{}) {
			t.Error("a list bears another marker than it was given")
		}
		if !bytes.Equal(Unmarked(again), plain) || !bytes.Equal(Unmarked(plain), plain) || Unmarked(nil) != nil {
			t.Errorf("without its marker it is\n%s", Unmarked(again))
		}
		if !slices.Equal(Words(again), words) {
			t.Errorf("it says %v", Words(again))
		}
		// The class in brokers, as well as an operator of before, reads it as a line like others.
		all, err := ParseCertificateList(again)
		if err != nil || !slices.Equal(all, append(slices.Clone(lines), second)) {
			t.Errorf("it reads %v (%v)", all, err)
		}
	}
	if !IsMarker(ListMarker) || IsMarker("castellan-markers") {
		t.Error("markers are not known by their names")
	}
	entry, err := Hash(ListMarker, "one", bytes.Repeat([]byte{7}, MinSaltBytes), MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	// Before the name was one of Castellan's, a user with a password might have had it.
	if file := UsersFile([]Entry{entry}); !bytes.Equal(Unmarked(file), file) || Bears(file, entry) {
		t.Error("a user's line is taken for a marker")
	}
}
