package plainauth

import (
	"bytes"
	"testing"
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
